"""Models of old operator sets upgraded: the same numbers, names and metadata."""
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

import models
from models import model, value
from roundtrip_tools import outputs

F = np.float32
rng = np.random.default_rng(3)


def legacy(opset):
    """Ops whose parameters were attributes and are operands now."""
    nodes = [
        h.make_node("Squeeze", ["x"], ["a"], axes=[1], name="squeeze"),
        h.make_node("Unsqueeze", ["a"], ["b"], axes=[1], name="unsqueeze"),
        h.make_node("ReduceMean", ["b"], ["c"], axes=[-1], keepdims=1, name="mean"),
        h.make_node("ReduceSum", ["b"], ["s"], axes=[2], keepdims=1),
        h.make_node("Sub", ["b", "c"], ["d"]),
        h.make_node("Add", ["d", "s"], ["d2"]),
        h.make_node("Reshape", ["d2", "shape"], ["e"]),
        h.make_node("Gemm", ["e", "w", "bias"], ["f"], alpha=0.5, transB=1, name="gemm"),
        h.make_node("Softmax", ["f"], ["g"], axis=1, name="softmax"),
        h.make_node("Split", ["g"], ["p", "q"], axis=1, name="split"),
        h.make_node("Concat", ["q", "p"], ["y"], axis=1)]
    for n in nodes:
        n.metadata_props.add(key="scope", value=n.output[0])
    if opset < 11:
        nodes.insert(5, h.make_node("Clip", ["d"], ["dc"], min=-1.0, max=1.0))
        nodes[6].input[0] = "dc"
        nodes.insert(6, h.make_node("Slice", ["dc"], ["ds"], axes=[2], starts=[0], ends=[24]))
        nodes[7].input[0] = "ds"
        nodes.insert(7, h.make_node("Pad", ["ds"], ["dp"], pads=[0] * 6))
        nodes[8].input[0] = "dp"
    m = model(nodes, [value("x", ["n", 1, 24])], [value("y", ["n", 64])],
              [nh.from_array(np.int64([0, 24]), "shape"),
               nh.from_array(rng.standard_normal((64, 24)).astype(F), "w"),
               nh.from_array(rng.standard_normal(64).astype(F), "bias")], opset=opset)
    m.metadata_props.add(key="kept", value="yes")
    m.graph.metadata_props.add(key="kept too", value="yes")
    return m


def convolution():
    return model(
        [h.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1], name="conv"),
         h.make_node("BatchNormalization", ["a", "s", "b", "m", "v"], ["n"], name="bn"),
         h.make_node("Relu", ["n"], ["r"]),
         h.make_node("Dropout", ["r"], ["d"], ratio=0.5),
         h.make_node("Upsample", ["d", "scales"], ["u"], mode="nearest"),
         h.make_node("MaxPool", ["u"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
         h.make_node("GlobalAveragePool", ["p"], ["q"]), h.make_node("Flatten", ["q"], ["y"])],
        [value("x", ["n", 3, 8, 8])], [value("y", ["n", 4])],
        [nh.from_array(rng.standard_normal((4, 3, 3, 3)).astype(F), "w"),
         nh.from_array(F([1, 1, 2, 2]), "scales")] +
        [nh.from_array(rng.random(4).astype(F), n) for n in "sbmv"], opset=9)


def shapes():
    """A chain of shape arithmetic that inference follows."""
    return model(
        [h.make_node("Shape", ["x"], ["sh"]),
         h.make_node("Constant", [], ["zero"], value=nh.from_array(np.int64(0)), name="c0"),
         h.make_node("Gather", ["sh", "zero"], ["n"], axis=0),
         h.make_node("Unsqueeze", ["n"], ["n1"], axes=[0]),
         h.make_node("Constant", [], ["rest"], value_ints=[4, 8]),
         h.make_node("Concat", ["n1", "rest"], ["to"], axis=0),
         h.make_node("Reshape", ["x", "to"], ["r"], name="reshape"),
         h.make_node("Relu", ["r"], ["y"])],
        [value("x", ["batch", 32])], [value("y", None)], opset=12)


work = sys.argv[1]
os.makedirs(work, exist_ok=True)
cases = {f"legacy{n}": legacy(n) for n in (7, 9, 11, 12)}
cases |= {"convolution": convolution(), "shapes": shapes()}
cases |= {f.__name__: f() for f in (models.perceptron, models.control, models.functions,
                                    models.sparse, models.defaults, models.passing)}
for name, original in cases.items():
    path = f"{work}/{name}.onnx"
    onnx.save(original, path)
    subprocess.run(["twist-opt", path, "--onnx-upgrade", "-o", f"{work}/{name}.mlir"], check=True)
    subprocess.run(["twist-translate", f"{work}/{name}.mlir", "-o", f"{work}/{name}.up.onnx"],
                   check=True)
    upgraded = onnx.load(f"{work}/{name}.up.onnx")
    onnx.checker.check_model(upgraded, full_check=True)
    assert upgraded.opset_import[0].version == 23 and not upgraded.functions
    initialised = {t.name for t in original.graph.initializer}
    expected = [i for i in original.graph.input if i.name not in initialised]
    assert list(upgraded.graph.input) == expected, name
    assert [o.name for o in upgraded.graph.output] == [o.name for o in original.graph.output]
    assert upgraded.metadata_props == original.metadata_props
    assert upgraded.graph.metadata_props == original.graph.metadata_props
    known = {n.output[0]: n for n in original.graph.node if n.op_type != "Constant"}
    kept = 0
    for node in upgraded.graph.node:
        if node.output[0] in known and not original.functions:
            before = known[node.output[0]]
            assert (node.name, node.metadata_props) == (before.name, before.metadata_props), name
            kept += 1
    typed = {v.name for v in list(upgraded.graph.value_info) + list(upgraded.graph.output)
             if v.type.tensor_type.HasField("shape")}
    missing = [n.output[0] for n in upgraded.graph.node if n.output[0] not in typed]
    assert not missing, f"{name}: no shape for {missing}"
    for a, b in zip(outputs(path), outputs(f"{work}/{name}.up.onnx"), strict=True):
        assert a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=1e-6), name
    print(f"{name}: {kept} nodes kept, same numbers")
