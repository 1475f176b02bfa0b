"""What twist correct and a ticket with a correction must not be: correct_refused.py FOLDER"""
import json
import os
import struct
import subprocess
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

from twist_tools.models import gpt2
from twist_tools.models.graph import save

bad = []


def run(what, message, *arguments, **environment):
    done = subprocess.run(arguments, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode != 1 or message not in done.stderr or os.path.exists("x"):
        bad.append(f"{what}: {done.returncode} {done.stderr.strip()!r}, not {message!r}")


def safetensors(path, tensors):
    header, data = {}, b""
    for name, array in tensors.items():
        raw = array.astype(np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def ticket(path, axes, correction=None, file=None):
    data = {"version": 1, "axes": {name: {"units": units, "keep": list(range(kept))} for name, (units, kept) in axes.items()}}
    if correction:
        data |= {"correction": {"kind": correction}, "weights": {"file": file}}
    json.dump(data, open(path, "w", encoding="utf-8"))


def left_product(path):
    """y = down · relu(up · x): the matrix stands on the left."""
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("MatMul", ["up", "x"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
             helper.make_node("MatMul", ["down", "r"], ["y"], name="left")]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", 1, [4, "n"])],
                              [helper.make_tensor_value_info("y", 1, [3, "n"])],
                              [numpy_helper.from_array(rng.standard_normal(s).astype(np.float32), n)
                               for n, s in (("up", (6, 4)), ("down", (3, 6)))])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)


def main(folder):
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    save(gpt2.build(gpt2.Config(layers=1), None), "m.onnx", False)
    np.save("ids.npy", np.random.default_rng(0).integers(0, 61, (4, 16)))
    axis = "h.0.mlp.c_fc.weight:1"
    ticket("whole.json", {axis: (128, 128)})
    ticket("half.json", {axis: (128, 64)})
    ticket("done.json", {axis: (128, 64)}, "ls", "w.safetensors")
    correct = ["twist", "correct", "m.onnx", "--data", "ids.npy", "-o", "x", "--ticket"]
    run("method", "--method is none, gain, bias, bias+gain, ls or relative, not 'magic'", *correct, "half.json", "--method", "magic")
    run("whole", "the ticket keeps everything: there is nothing to correct", *correct, "whole.json")
    run("twice", "done.json is corrected already", *correct, "done.json")
    run("no folder", "cannot create a temporary folder", *correct, "half.json", TMPDIR="/nowhere")
    run("no folder for proofs", "cannot create a temporary folder", "twist", "slice", "m.onnx", "--ticket", "half.json", "-o", "x",
        "--verify", TMPDIR="/nowhere")

    slice_ = ["twist", "slice", "m.onnx", "--ticket", "done.json", "-o", "x"]
    safetensors("w.safetensors", {f"{axis}/0.weight": np.zeros((64, 3)), f"{axis}/0.bias": np.zeros(32)})
    run("shape", f"w.safetensors: tensor '{axis}/0.weight' is F32 [64, 3], the model takes F32 [128, 32]", *slice_)
    left_product("left.onnx")
    ticket("left.json", {"up:0": (6, 3)}, "ls", "left.safetensors")
    safetensors("left.safetensors", {"up:0/0.weight": np.zeros((6, 3)), "up:0/0.bias": np.zeros(3)})
    run("left", "node 'left': is corrected by the ticket, but is no product with a matrix on its right", "twist", "slice",
        "left.onnx", "--ticket", "left.json", "-o", "x")
    print("\n".join(bad) or "all refused")


main(sys.argv[1])
