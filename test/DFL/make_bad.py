"""Files that twist dfl refuses: make_bad.py FOLDER."""
import sys

import numpy as np
import onnx
from twist_tools.models.graph import Graph

folder = sys.argv[1]
x, c = np.arange(12.0).reshape(4, 3), np.arange(12.0).reshape(4, 3)
np.savez(f"{folder}/shape.npz", x=x, c=c[:, 0])
np.savez_compressed(f"{folder}/whole.npz", c=c, x=x)
with open(f"{folder}/whole.npz", "rb") as file:
    data = bytearray(file.read())
with open(f"{folder}/cut.npz", "wb") as file:
    file.write(data[:100])
data[60:90] = bytes(30)
with open(f"{folder}/damaged.npz", "wb") as file:
    file.write(data)
rows = np.ones((47, 9))
np.savez(f"{folder}/days.npz", X_1gtrain=rows, X_1gtest=rows, y_train=rows[:, 0], y_test=rows[:, 0], weights=np.ones(48))


def model(name, build):
    g = Graph(name)
    build(g)
    onnx.save_model(g.model({"kind": name}), f"{folder}/{name}.onnx")


def two(g):
    g.input("a", "float", ["rows", 1])
    g.input("b", "float", ["rows", 1])
    g.op("MatMul", g.op("Add", "a", "b"), g.weight("w", np.ones((1, 3), np.float32)), to="y")
    g.output("y", "float", ["rows", 3])


def fixed(g):
    g.input("x", "float", ["rows", 1])
    g.op("Concat", "x", "x", "x", axis=1, to="y")
    g.output("y", "float", ["rows", 3])


def rows_differ(g):
    g.input("x", "float", ["rows", 1])
    g.op("ReduceSum", g.op("MatMul", "x", g.weight("w", np.ones((1, 3), np.float32))), g.weight("axes", np.array([0])),
         to="y")
    g.output("y", "float", [1, 3])


def wide(g):
    g.input("x", "float", ["rows", 2])
    g.op("MatMul", "x", g.weight("w", np.ones((2, 3), np.float32)), to="y")
    g.output("y", "float", ["rows", 3])


model("two", two)
model("fixed", fixed)
model("rows", rows_differ)
model("wide", wide)
