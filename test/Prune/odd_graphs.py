"""Graphs that one command or another can't take, each for one reason: odd_graphs.py FOLDER. Nothing may be written."""
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from twist_tools.models import gpt2
from twist_tools.models.graph import save

node = helper.make_node
TYPES = {"f16": TensorProto.FLOAT16, "f32": TensorProto.FLOAT, "i64": TensorProto.INT64}
bad = []


def model(path, nodes, inputs, outputs, **weights):
    """inputs, outputs: {name: (type, dims)}; weights: shapes of normal ones, or arrays."""
    rng = np.random.default_rng(0)
    arrays = {n: rng.standard_normal(w).astype(np.float32) if isinstance(w, tuple) else w for n, w in weights.items()}
    values = [[helper.make_tensor_value_info(n, TYPES[t], dims) for n, (t, dims) in io.items()] for io in (inputs, outputs)]
    graph = helper.make_graph(nodes, "g", *values, [numpy_helper.from_array(a, n) for n, a in arrays.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)


def refused(message, *arguments):
    done = subprocess.run(["twist", *arguments], capture_output=True, text=True)
    if done.returncode != 1 or message not in done.stderr or os.path.exists("x"):
        bad.append(f"{arguments}: {done.returncode} {done.stderr.strip()!r}, not {message!r}")


def hidden(data="f32", more=(), **outputs):
    """x · u, relu, · d"""
    nodes = [node("MatMul", ["x", "u"], ["a"]), node("Relu", ["a"], ["r"]), node("MatMul", ["r", "d"], ["z"]), *more]
    kind = np.float16 if data == "f16" else np.float32
    weight = {"u": np.ones((4, 6), kind), "d": np.ones((6, 3), kind)}
    model(f"{data}{len(more)}.onnx", nodes, {"x": (data, ["n", 4])}, outputs or {"z": (data, ["n", 3])}, **weight)
    return f"{data}{len(more)}.onnx"


def tokens(path, middle, **weights):
    """A language model of six hidden units: `middle` makes r of a, the units before they are summed."""
    model(path, [node("Gather", ["e", "ids"], ["x"]), node("MatMul", ["x", "u"], ["a"]), *middle,
                 node("MatMul", ["r", "d"], ["z"])],
          {"ids": ("i64", ["n", "s"])}, {"z": ("f32", ["n", "s", 61])}, e=(61, 4), u=(4, 6), d=(6, 61), **weights)
    return path


def measuring():
    refused("is not f32 or f64 but f16", "calibrate", hidden("f16"), "--data", "x=half.npy", "-o", "x")
    path = hidden(more=[node("Cast", ["z"], ["i"], to=TYPES["f16"])], i=("f16", ["n", 3]))
    search = ["ticket", path, "--search", "2", "--data", "x=single.npy", "-o", "x"]
    refused("the model has no output of f32, f64 or integers", *search)
    refused("output 'i' is not f32, f64 or integers", *search, "--output", "i")
    model("left.onnx", [node("MatMul", ["up", "x"], ["a"]), node("Relu", ["a"], ["r"]),
                        node("MatMul", ["down", "r"], ["z"], name="left")],
          {"x": ("f32", ["n", 4, 5])}, {"z": ("f32", ["n", 3, 5])}, up=(6, 4), down=(3, 6))
    refused("at node 'left' is no product with a matrix on its right: it cannot be corrected",
            "ticket", "left.onnx", "--search", "2", "--correct", "ls", "--data", "x=matrices.npy", "-o", "x")
    model("sum.onnx", [node("MatMul", ["x", "u"], ["a"]), node("MatMul", ["x", "v"], ["b"]),
                       node("Einsum", ["a", "b", "d"], ["z"], equation="mni,mni,io->mno", name="sum")],
          {"x": ("f32", ["m", "n", 4])}, {"z": ("f32", ["m", "n", 3])}, u=(4, 6), v=(4, 6), d=(6, 3))
    refused("node 'sum': sums two gated operands: the model can't be measured piece by piece",
            "prune", "sum.onnx", "--axes", "qk", "--data", "x=rows.npy", "-o", "x")


def language():
    save(gpt2.build(gpt2.Config(layers=1)), "gpt2.onnx", False)
    search = ["ticket", "gpt2.onnx", "--search", "2", "--data", "ids.npy", "-o", "x"]
    refused("the data to report on make batches of other sizes than those to measure with", *search, "--report", "short.npy")
    refused("no ticket could be made", *search, "--budget", "parameters=0.01")
    cached = gpt2.build(gpt2.Config(layers=1, cache=True))
    pasts = [i.name for i in cached.graph.input if i.name.startswith("past")]
    for one in cached.graph.node:
        one.input[:] = [name + ".negative" if name in pasts else name for name in one.input]
    for name in pasts:
        cached.graph.node.insert(0, node("Neg", [name], [name + ".negative"], name="negate " + name))
    save(cached, "negative.onnx", False)
    refused("node 'negate past_key_values.0.key': needs input 'past_key_values.0.key', of which there is nothing at the first token",
            "prune", "negative.onnx", "--state", "past_key_values.*=present.*", "--data", "ids.npy", "-o", "x")


def steps():
    refused("'left.onnx' is no language model: it has no token ids or no logits", "step", "left.onnx")
    save(gpt2.build(gpt2.Config(layers=1, shapes="static")), "static.onnx", False)
    refused("input 'input_ids' is of fixed size [1, 16], the step is for [1, 7]", "step", "static.onnx", "--context", "7")
    mood = gpt2.build(gpt2.Config(layers=1))
    mood.graph.input.append(helper.make_tensor_value_info("mood", TensorProto.FLOAT, ["batch", "frames"]))
    mood.graph.node.append(node("ReduceSum", ["mood"], ["total"]))
    mood.graph.output.append(helper.make_tensor_value_info("total", TensorProto.FLOAT, [1, 1]))
    save(mood, "mood.onnx", False)
    refused("input 'mood' has a dimension 'frames': the step needs its size", "step", "mood.onnx", "--context", "8")
    # Which units a constant mask lets through is part of the program.
    path = tokens("mask.onnx", [node("Where", ["mask", "a", "zero"], ["r"])],
                  mask=np.array([1, 0, 0, 1, 1, 1], bool), zero=np.float32([0]))
    refused("the step's program would depend on which units are kept, not only on how many",
            "step", path, "--context", "8", "--kappa", "0.5")
    done = subprocess.run(["twist", "step", path, "--context", "8", "--steps", "1"], capture_output=True, text=True)
    if done.returncode:
        bad.append(f"the whole of {path}: {done.stderr}")
    path = tokens("small.onnx", [node("Relu", ["a"], ["r"])])
    refused("cannot make folder 'ids.npy/folder'", "step", path, "--context", "8", "--steps", "1", "--write", "ids.npy/folder")


def main(folder):
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    rng = np.random.default_rng(0)
    np.save("ids.npy", rng.integers(0, 61, (16, 16)))
    np.save("short.npy", rng.integers(0, 61, (16, 8)))
    for name, dims, kind in (("half", (40, 4), "f2"), ("single", (40, 4), "f4"), ("matrices", (40, 4, 5), "f4"),
                             ("rows", (40, 3, 4), "f4")):
        np.save(name + ".npy", rng.standard_normal(dims).astype(kind))
    for part in (measuring, language, steps):
        part()
    print("\n".join(bad) or "all refused")


main(sys.argv[1])
