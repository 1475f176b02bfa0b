"""Which layers --pin-layers leaves whole: stacks.py FOLDER"""
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

from twist_tools.models import cnn, t5


def pinned(path, pins, *more):
    """Names of the axes that stay whole, and of the others."""
    done = subprocess.run(["twist", "ticket", path, "--pin-layers", pins, "-o", "t.json", *more], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    return {r[4] for r in rows if r[-1] == "(pinned)"}, {r[4] for r in rows if r[-1] != "(pinned)"}


def check(what, got, want):
    if got != want:
        sys.exit(f"FAILED {what}: pinned are {sorted(got)}, not {sorted(want)}")
    print(what)


def towers(path):
    """Two stacks of three layers each, x + relu(x · up) · down, that meet in a product at the end."""
    rng, nodes, weights = np.random.default_rng(0), [], []

    def op(kind, *inputs):
        nodes.append(helper.make_node(kind, inputs, [f"v{len(nodes)}"]))
        return nodes[-1].output[0]

    def weight(name, *shape):
        weights.append(numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name))
        return name

    ends = ["x", "y"]
    for n in range(3):
        for i, tower in enumerate("xy"):
            h = op("Relu", op("MatMul", ends[i], weight(f"{tower}.{n}.up", 8, 16)))
            ends[i] = op("Add", ends[i], op("MatMul", h, weight(f"{tower}.{n}.down", 16, 8)))
    nodes.append(helper.make_node("MatMul", [ends[0], op("Transpose", ends[1])], ["z"]))
    graph = helper.make_graph(nodes, "towers", [helper.make_tensor_value_info(n, 1, [4, 8]) for n in "xy"],
                              [helper.make_tensor_value_info("z", 1, [4, 4])], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)


def main(folder):
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    for form in ("legacy", "dynamo"):
        onnx.save(t5.build(t5.Config(layers=3, form=form))[0], "t5.onnx")
        held, cut = pinned("t5.onnx", "1,1", "--axes", "ffn")
        check(f"t5 {form}: first and last of both stacks", len(held), 4)
        check("the middle is cut", len(cut), 2)
        # In the decoder attention and cross-attention take turns: six of them.
        held, cut = pinned("t5.onnx", "1,2", "--axes", "head")
        check(f"t5 {form}: attentions", (len(held), len(cut)), (6, 3))
        held, cut = pinned("t5.onnx", "1,0", "--axes", "qk,v")
        check(f"t5 {form}: inside heads", (len(held), len(cut)), (4, 14))
    towers("towers.onnx")
    check("two towers", pinned("towers.onnx", "1,1")[0], {f"{t}.{n}.up:1" for t in "xy" for n in (0, 2)})
    # Stages of a convolutional net follow each other: one stack, though each adds to channels of its own.
    onnx.save(cnn.build(cnn.Config("resnet"))[0], "cnn.onnx")
    check("stages of a convolutional net", pinned("cnn.onnx", "1,1", "--axes", "ffn")[0],
          {"layer0.0.conv0.weight:0", "layer1.1.conv0.weight:0"})
    print("ok")


main(sys.argv[1])
