"""Convolutions in one model each for known and unknown sizes, compiled, against onnxruntime."""
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from twist_tools import compare, native

# (input, weight, attributes)
CASES = [
    ((1, 3, 8, 8), (4, 3, 3, 3), dict(pads=[1] * 4)),
    ((2, 16, 14, 14), (32, 16, 3, 3), dict(pads=[1] * 4)),
    ((1, 16, 15, 13), (24, 16, 3, 3), dict(pads=[1] * 4, strides=[2, 2])),
    ((1, 3, 32, 32), (16, 3, 7, 7), dict(pads=[3] * 4, strides=[2, 2])),
    ((1, 3, 32, 32), (16, 3, 8, 8), dict(strides=[8, 8])),
    ((1, 3, 33, 32), (16, 3, 2, 3), dict(strides=[3, 4])),
    ((1, 8, 16, 16), (8, 8, 3, 3), dict(dilations=[2, 2], pads=[2] * 4)),
    ((1, 8, 16, 16), (8, 8, 3, 3), dict(dilations=[3, 2], strides=[2, 2], pads=[1, 2, 3, 0])),
    ((1, 16, 16, 16), (32, 16, 1, 1), {}),
    ((1, 16, 16, 16), (32, 16, 1, 1), dict(strides=[2, 2])),
    ((1, 16, 16, 16), (32, 16, 1, 3), dict(strides=[2, 1], pads=[0, 1, 0, 1])),
    ((2, 16, 16, 16), (32, 4, 3, 3), dict(group=4, pads=[1] * 4)),
    ((2, 16, 16, 16), (16, 1, 3, 3), dict(group=16, pads=[1] * 4)),
    ((2, 16, 16, 16), (32, 1, 3, 3), dict(group=16, pads=[1] * 4, strides=[2, 2])),
    ((1, 16, 16, 16), (16, 4, 1, 1), dict(group=4)),
    ((2, 5, 20), (7, 5, 3), dict(pads=[1, 1])),
    ((2, 5, 21), (7, 5, 4), dict(strides=[3])),
    ((1, 4, 6, 7, 8), (5, 4, 3, 3, 3), dict(pads=[1] * 6)),
    ((1, 4, 6, 7, 8), (5, 4, 3, 2, 3), dict(strides=[2, 1, 2], pads=[1, 0, 1, 0, 1, 1])),
    ((1, 4, 9, 9), (4, 4, 3, 3), dict(auto_pad="SAME_UPPER", strides=[2, 2])),
    ((1, 4, 9, 9), (4, 4, 3, 3), dict(auto_pad="SAME_LOWER")),
    ((1, 4, 7, 7), (4, 4, 7, 7), {}),
    # The last elements of the padding are in no window, nor is any of the input.
    ((1, 2, 1, 9), (4, 2, 3, 3), dict(pads=[5, 1, 0, 1], strides=[4, 1])),
]


def build(dynamic):
    rng, nodes, inputs, outputs, weights = np.random.default_rng(0), [], [], [], []
    for i, (shape, kernel, attributes) in enumerate(CASES):
        w = rng.standard_normal(kernel) / np.sqrt(np.prod(kernel[1:]))
        weights += [numpy_helper.from_array(w.astype(np.float32), f"w{i}"),
                    numpy_helper.from_array(rng.standard_normal(kernel[0]).astype(np.float32), f"b{i}")]
        nodes += [helper.make_node("Conv", [f"x{i}", f"w{i}", f"b{i}"], [f"c{i}"], **attributes),
                  helper.make_node("LeakyRelu", [f"c{i}"], [f"y{i}"])]
        sizes = [f"d{i}_{d}" if dynamic and d != 1 else size for d, size in enumerate(shape)]
        inputs.append(helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, sizes))
        outputs.append(helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, [None] * len(shape)))
    graph = helper.make_graph(nodes, "convolutions", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    rng = np.random.default_rng(1)
    feeds = {f"x{i}": rng.standard_normal(shape).astype(np.float32) for i, (shape, _, _) in enumerate(CASES)}
    for dynamic in (False, True):
        path = os.path.join(folder, "dynamic" if dynamic else "static")
        model = build(dynamic)
        onnx.save_model(model, path + ".onnx")
        subprocess.run(["twist", "compile", path + ".onnx", "-o", path], check=True, stderr=subprocess.DEVNULL)
        with native.Program(path) as program:
            got = {name: value.copy() for name, value in program(feeds).items()}
        want = compare.run_ort(model, feeds)
        for i, case in enumerate(CASES):
            a, b = got[f"y{i}"], want[f"y{i}"]
            if a.shape != b.shape or not np.abs(a - b).max() <= 1e-5:
                sys.exit(f"FAILED {case}: {a.shape}, {b.shape}, {np.abs(a - b).max() if a.shape == b.shape else ''}")
        print(f"{len(CASES)} convolutions with {'un' if dynamic else ''}known sizes equal onnxruntime")


if __name__ == "__main__":
    main()
