"""Modules that have no ONNX form: export-invalid.py FOLDER. Each is said, and no file is written."""
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

CASES = [
    ("an element type", "elements of type 'i24' have no ONNX data type", """
func.func @main() -> (tensor<2xi24> {onnx.name = "y"}) {
  %0 = onnx.Constant {value = dense<1> : tensor<2xi24>, onnx.meta = {name = "w"}} : tensor<2xi24>
  return %0 : tensor<2xi24>
}"""),
    ("a sparse constant of nothing", "has no sparse_value", """
func.func @main() -> (tensor<2xf32> {onnx.name = "y"}) {
  %0 = "onnx.node"() <{op_type = "Constant", node_attributes = {}}> {onnx.meta = {sparse_initializer}} : () -> tensor<2xf32>
  return %0 : tensor<2xf32>
}"""),
    ("control flow", "has control flow, which has no ONNX form", """
func.func @main(%x: tensor<2xf32> {onnx.name = "x"}) -> (tensor<2xf32> {onnx.name = "y"}) {
  cf.br ^next
^next:
  return %x : tensor<2xf32>
}"""),
]


def translate(source, target):
    return subprocess.run(["twist-translate", source, "-o", target], capture_output=True, text=True)


def default_value(folder):
    """An input whose value an initializer gives is taken as a constant, with a warning."""
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
                              [helper.make_tensor_value_info("x", 1, [2, 4]), helper.make_tensor_value_info("w", 1, [4, 3])],
                              [helper.make_tensor_value_info("y", 1, [2, 3])],
                              [numpy_helper.from_array(np.ones((4, 3), np.float32), "w")])
    path = os.path.join(folder, "default.onnx")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    done = subprocess.run(["twist", "inspect", path], capture_output=True, text=True)
    return done.returncode == 0 and "warning: node 'w': the input's default value is taken as a constant" in done.stderr


def main(folder):
    os.makedirs(folder, exist_ok=True)
    bad = []
    for name, message, text in CASES:
        source, target = os.path.join(folder, "x.mlir"), os.path.join(folder, "x.onnx")
        open(source, "w", encoding="utf-8").write(text)
        done = translate(source, target)
        if done.returncode != 1 or message not in done.stderr or os.path.exists(target):
            bad.append(f"{name}: {done.returncode} {done.stderr}")
    if not default_value(folder):
        bad.append("default value")
    print("\n".join(bad) or "all said")


main(sys.argv[1])
