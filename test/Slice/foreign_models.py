"""Models that hold an op without a lowering: foreign_models.py FOLDER. Each is two dense layers and one such op."""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write(path, extra, outputs, domain=""):
    """y = relu(x · up + bias) · down, then `extra` nodes."""
    rng = np.random.default_rng(0)
    weights = {"up": (8, 16), "bias": (16,), "down": (16, 4)}
    nodes = [helper.make_node("MatMul", ["x", "up"], ["a"]), helper.make_node("Add", ["a", "bias"], ["b"]),
             helper.make_node("Relu", ["b"], ["c"]), helper.make_node("MatMul", ["c", "down"], ["y"])]
    graph = helper.make_graph(
        [*nodes, *extra], "mlp", [helper.make_tensor_value_info("x", 1, ["batch", 8])],
        [helper.make_tensor_value_info("y", 1, ["batch", 4]), *outputs],
        [numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name) for name, shape in weights.items()])
    imports = [helper.make_opsetid("", 21)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=10), path)


def main(folder):
    # [4, batch] · [batch, 4], inverted: com.microsoft's Inverse is unknown here, onnxruntime has it.
    write(f"{folder}/inverse.onnx",
          [helper.make_node("Transpose", ["y"], ["t"]), helper.make_node("MatMul", ["t", "y"], ["square"]),
           helper.make_node("Inverse", ["square"], ["z"], name="invert", domain="com.microsoft")],
          [helper.make_tensor_value_info("z", 1, [4, 4])], "com.microsoft")
    # How many places are not zero is known only when it runs.
    write(f"{folder}/places.onnx",
          [helper.make_node("Relu", ["y"], ["positive"]), helper.make_node("NonZero", ["positive"], ["z"], name="find")],
          [helper.make_tensor_value_info("z", TensorProto.INT64, [2, None])])
    # No engine has this one.
    write(f"{folder}/nowhere.onnx", [helper.make_node("Riddle", ["y"], ["z"], name="solve", domain="of.nobody")],
          [helper.make_tensor_value_info("z", 1, ["batch", 4])], "of.nobody")


main(sys.argv[1])
