"""Single ops with their data: those written here, and the ONNX project's own node tests.

What is written here asks for what the node tests lack: classes of every form, and ops outside the ONNX domain.
"""
import os
import re
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ops"))

import backend  # noqa: E402
import emit  # noqa: E402

F, I, B = np.float32, np.int64, np.bool_
ints = lambda *values: np.array(values, I)


def case(op, inputs, outputs=1, **attributes):
    """`inputs`: a shape (float data), an array (a constant), ("bool", shape), or None."""
    return op, inputs, outputs, attributes


UNARY = ["Abs", "Erf", "Exp", "Gelu", "LeakyRelu", "Neg", "Relu", "Sigmoid", "Softplus", "Sqrt", "Tanh", "Identity"]
BINARY = ["Add", "Div", "Mul", "Sub", "Pow"]
CASES = [case(op, [(2, 6)]) for op in UNARY] + [
    *(case(op, [(2, 3, 4), (3, 1)]) for op in BINARY),
    case("Less", [(3, 4), (4,)]), case("Max", [(3, 4), (4,), (3, 1)]), case("Sum", [(3, 4), (3, 4)]),
    case("Where", [("bool", (3, 1)), (3, 4), (4,)]), case("Clip", [(3, 4), np.array(-.5, F), None]),
    case("Cast", [(3, 4)], to=TensorProto.DOUBLE),
    case("MatMul", [(3, 4), (4, 5)]), case("MatMul", [(2, 1, 3, 4), (5, 4, 6)]), case("MatMul", [(4,), (2, 4, 3)]),
    case("MatMul", [(2, 3, 4), (4,)]), case("Gemm", [(3, 4), (4, 5), (5,)], alpha=.5),
    case("Gemm", [(4, 3), (5, 4), (3, 1)], transA=1, transB=1, beta=2.),
    case("Einsum", [(2, 3, 4), (2, 5, 4)], equation="bhd,bsd->bhs"), case("Einsum", [(3, 4), (5, 3)], equation="ij,ki"),
    case("Einsum", [(3, 4)], equation="ij->j"),
    *(case(op, [(2, 3, 4), ints(-1)]) for op in
      ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
       "ReduceLogSumExp"]),
    case("ReduceSum", [(2, 3, 4), ints(0, 2)], keepdims=0), case("ReduceSum", [(2, 3, 4), None], noop_with_empty_axes=1),
    case("Softmax", [(2, 3, 4)], axis=1), case("LogSoftmax", [(3, 4)]), case("Hardmax", [(3, 4)]),
    case("LayerNormalization", [(2, 3, 4), (4,), (4,)]), case("LayerNormalization", [(2, 3, 4), (3, 4), None], axis=1),
    case("RMSNormalization", [(2, 3, 4), (4,)]), case("ArgMax", [(2, 3, 4)], axis=1, keepdims=0),
    case("CumSum", [(3, 4), np.array(1, I)]),
    case("Reshape", [(2, 12), ints(2, 3, 4)]), case("Reshape", [(2, 3, 4), ints(6, -1)]),
    case("Reshape", [(6, 4), ints(2, 12)]), case("Reshape", [(4, 6), ints(3, 8)]), case("Flatten", [(2, 3, 4)], axis=2),
    case("Transpose", [(2, 3, 4)], perm=[2, 0, 1]), case("Transpose", [(2, 3, 4)]),
    case("Squeeze", [(2, 1, 4), ints(1)]), case("Unsqueeze", [(2, 4), ints(0, -1)]),
    case("Concat", [(2, 3), (2, 5)], axis=1), case("Split", [(2, 7), ints(3, 4)], 2, axis=1),
    case("Split", [(6, 2)], 3, num_outputs=3), case("Slice", [(2, 8), ints(2), ints(6), ints(1)]),
    case("Slice", [(2, 8), ints(-3), ints(100), ints(-1)]), case("Slice", [(2, 8), ints(1), ints(100), ints(1), ints(2)]),
    case("Slice", [(2, 8), ints(1), ints(100), ints(1), ints(3)]), case("Slice", [(2, 8), ints(7), ints(-100), ints(1), ints(-1)]),
    case("Pad", [(2, 4), ints(0, 1, 0, 2)]), case("Pad", [(2, 4), ints(0, 1, 0, 2)], mode="reflect"),
    case("Expand", [(1, 4), ints(3, 1)]), case("Expand", [(3, 1), ints(2, 3, 4)]), case("Tile", [(2, 4), ints(1, 3)]),
    case("Gather", [(5, 4), np.array(2, I)]), case("Gather", [(2, 6), ints(4, 5, 0)], axis=1),
    case("Gather", [(2, 3), ints(0, 0, 1, 1, 2, 2)], axis=1), case("Gather", [(2, 3), ints(0, 1, 2, 0, 1, 2)], axis=1),
    case("Gather", [(2, 6), ints(1, 3, 5)], axis=1), case("Gather", [(2, 6), np.array([[0, 1], [2, 5]])], axis=1),
    case("GatherElements", [(3, 4), np.array([[0, 1, 2, 0]] * 3)], axis=0),
    case("GatherND", [(3, 4, 2), np.array([[0], [2]])]), case("GatherND", [(3, 4, 2), np.array([[0, 1], [2, 3]])]),
    case("ScatterND", [(4, 3), np.array([[1], [2]]), (2, 3)]), case("Trilu", [(2, 4, 4), None]),
    case("Mod", [(3, 4), (3, 4)], fmod=1), case("PRelu", [(3, 4), (4,)]), case("Mean", [(3, 4), (3, 1)]),
    case("GlobalLpPool", [(2, 3, 4, 5)]), case("SimplifiedLayerNormalization", [(2, 3, 4), (4,)]),
]
MS = "com.microsoft."
CASES += [
    case(MS + "Gelu", [(2, 6)]), case(MS + "QuickGelu", [(2, 6)]), case(MS + "BiasGelu", [(2, 3, 6), (6,)]),
    case(MS + "FastGelu", [(2, 6)]), case(MS + "FastGelu", [(2, 3, 6), (6,)]),
    case(MS + "FusedMatMul", [(2, 3, 4), (2, 5, 4)], transB=1, alpha=.5), case(MS + "FusedMatMul", [(4, 3), (4, 5)], transA=1),
    case(MS + "FusedGemm", [(3, 4), (4, 5), (5,)], activation="Relu"),
    case(MS + "SkipLayerNormalization", [(2, 3, 4), (2, 3, 4), (4,), (4,), (4,)]),
    case(MS + "SkipSimplifiedLayerNormalization", [(2, 3, 4), (2, 3, 4), (4,)]),
    case(MS + "EmbedLayerNormalization", [np.array([[1, 4, 2]], np.int32), None, (5, 4), (3, 4), None, (4,), (4,)], 2),
    case(MS + "RotaryEmbedding", [(2, 2, 3, 8), np.array([[0, 1, 4]] * 2), (5, 4), (5, 4)]),
    case(MS + "RotaryEmbedding", [(2, 3, 16), ints(1), (5, 4), (5, 4)]),
    case(MS + "Attention", [(2, 3, 8), (8, 24), (24,)], num_heads=2, scale=.5),
    case(MS + "MultiHeadAttention", [(2, 3, 8), (2, 5, 8), (2, 5, 12)], num_heads=2, scale=.5),
    case(MS + "GroupQueryAttention", [(2, 3, 32), (2, 3, 16), (2, 3, 16), None, None, np.array([2, 2], np.int32),
                                      np.array(3, np.int32)], num_heads=4, kv_num_heads=2, scale=.5),
]


class Case:
    """A model of one node (or the few that a node test has), constants as initialisers, and data for its inputs."""

    def __init__(self, name, model, data):
        self.name, self.model, self.data = name, model, data
        self.ops = {(n.domain + "." if n.domain else "") + n.op_type for n in model.graph.node}
        # Constants that are data, not sizes and axes: no exchange of units reaches them.
        how = backend.fixed_operands(model.graph, dynamic=False)
        self.constant_data = any(t.name not in how and np.prod(t.dims) > 1 for t in model.graph.initializer)


# Operands that hold sizes, of which nothing is cut: constants.
SIZES = {"AffineGrid": [1], "Col2Im": [1, 2]}


def with_dense_sizes(model):
    """A size of data that an op takes by default as a number it is told: a cut leaves it as it was."""
    for node in model.graph.node:
        if node.op_type == "Attention" and not any(a.name == "scale" for a in node.attribute):
            dims = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
            heads = next((a.i for a in node.attribute if a.name == "q_num_heads"), 1)
            node.attribute.append(helper.make_attribute("scale", (dims[-1] // heads) ** -.5))
    return model


def build(number, op, inputs, outputs, attributes):
    names, constants, data = [], [], {}
    rng = np.random.default_rng(7)
    for i, spec in enumerate(inputs):
        name = f"x{i}"
        names.append("" if spec is None else name)
        if isinstance(spec, np.ndarray):
            constants.append(numpy_helper.from_array(spec, name))
        elif spec is not None and spec[0] == "bool":
            data[name] = rng.integers(0, 2, spec[1]).astype(B)
        elif spec is not None:
            data[name] = rng.uniform(.5, 2, spec).astype(F)
    while names and not names[-1]:
        names.pop()
    results = [f"y{i}" for i in range(outputs)]
    domain, _, kind = op.rpartition(".")
    node = helper.make_node(kind, names, results, domain=domain, **attributes)
    typed = [helper.make_tensor_value_info(n, TensorProto.BOOL if a.dtype == B else TensorProto.FLOAT, a.shape)
             for n, a in data.items()]
    graph = helper.make_graph([node], "g", typed, [helper.make_empty_tensor_value_info(n) for n in results], constants)
    # onnxruntime has GlobalLpPool up to 21; it is the same op since 2.
    opsets = [helper.make_opsetid("", 21 if op == "GlobalLpPool" else 23), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return Case(re.sub(r"\W", "_", f"own{number}_{op}"), model, data)


def written():
    return [build(number, *case) for number, case in enumerate(CASES)]


def node_tests(known, per_op):
    """The node tests of ops in `known` that are tensors throughout; at most `per_op` an op, the first ones."""
    from onnx.backend.test.case.node import collect_testcases
    backend.HOW.update(SIZES)
    counts, cases = {}, []
    for test in collect_testcases(None):
        if "_expanded" in test.name or not test.data_sets or any(n.domain for n in test.model.graph.node):
            continue
        ops = {n.op_type for n in test.model.graph.node}
        if not ops <= known or min(counts.get(op, 0) for op in ops) >= per_op:
            continue
        try:
            inputs = [backend.as_array(v) for v in test.data_sets[0][0]]
            if len(inputs) != len(test.model.graph.input):
                continue
            model, kept = backend.variant(with_dense_sizes(test.model), inputs, dynamic=False)
            [emit.type_of(v) for v in (*model.graph.input, *model.graph.output)]
        except emit.Unsupported:
            continue
        for op in ops:
            counts[op] = counts.get(op, 0) + 1
        data = {v.name: a for v, a in zip(model.graph.input, kept)}
        cases.append(Case(re.sub(r"\W", "_", test.name), model, data))
    return cases
