"""Models with units that must not be cut: each is refused, at the node and for the reason stated here.

`REFUSED`: name -> (body, units refused, reason, node). A body gets a Net and the input [batch, 6, DIM] and returns its
outputs. Each has other units that can be cut, so the model as a whole is fine: a ticket naming the refused weight is
an error, and cutting the others is right.
"""
import json
import os
import sys

import numpy as np
import onnx

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))

from pipeline import command  # noqa: E402
from twist_tools.models.net import Net  # noqa: E402

DIM, UNITS, SEQUENCE = 8, 12, 6


def up(n, x, units=UNITS):
    """The units in question: [batch, 6, units]."""
    return n.dense(x, "up", DIM, units)


def down(n, y, units=UNITS):
    return n.dense(y, "down", units, DIM)


def softmax(n, x):
    return down(n, n.op("Softmax", up(n, x), axis=-1))


def layer_norm(n, x):
    return down(n, n.norm(up(n, x), "norm", UNITS))


def rms_norm_written_out(n, x):
    return down(n, n.norm(up(n, x), "norm", UNITS, "rms"))


def own_length(n, x):
    """x / |x|: a sum over the units comes back to them."""
    y = up(n, x)
    length = n.op("Sqrt", n.op("ReduceSum", n.op("Mul", y, y), n.const([-1]), keepdims=1))
    return down(n, n.op("Div", y, length))


def maximum(n, x):
    y = up(n, x)
    return n.op("Add", down(n, y), n.op("ReduceMax", y, n.const([-1]), keepdims=1))


def top_k(n, x):
    values, _ = n.op("TopK", up(n, x), n.const([DIM]), outputs=2, axis=-1)
    return values


def running_sum(n, x):
    return down(n, n.op("CumSum", up(n, x), n.const(-1)))


def best_unit(n, x):
    y = up(n, x)
    n.op("Identity", n.op("ArgMax", y, axis=-1, keepdims=0), to="best")
    n.output("best", np.int64, ["batch", SEQUENCE])
    return down(n, y)


def shown(n, x):
    """The units are an output."""
    y = n.op("Identity", up(n, x), to="hidden")
    n.output("hidden", "float", ["batch", SEQUENCE, UNITS])
    return down(n, y)


def given(n, x):
    """They meet an input unit by unit."""
    n.input("scale", "float", [UNITS])
    return down(n, n.op("Mul", up(n, x), "scale"))


def picked_by_data(n, x):
    y = up(n, x)
    index = n.op("ArgMax", x, axis=-1, keepdims=1)
    return n.op("Add", down(n, y), n.op("GatherElements", y, index, axis=-1))


def sorted_by_index(n, x):
    """Gather along the units at indices that depend on the input."""
    n.input("order", np.int64, [UNITS])
    return down(n, n.op("Gather", up(n, x), "order", axis=2))


def flattened_rows(n, x):
    """Flatten mixes units with positions; another reader takes the same rows as four other dimensions."""
    y = n.reshape(up(n, x), -1, SEQUENCE * UNITS)
    a = n.dense(y, "all", SEQUENCE * UNITS, DIM)
    b = n.dense(n.reshape(y, -1, 8, 9), "some", 9, DIM)
    return n.op("Add", n.unsqueeze(a, [1]), n.op("ReduceSum", b, n.const([1]), keepdims=1))


def two_brackets(n, x):
    """Twelve units as 3 x 4 heads in one place and 4 x 3 in another."""
    y = up(n, x)
    a = n.op("ReduceSum", n.reshape(y, 0, SEQUENCE, 3, 4), n.const([2]), keepdims=0)
    b = n.op("ReduceSum", n.reshape(y, 0, SEQUENCE, 4, 3), n.const([2]), keepdims=0)
    return n.op("Add", n.dense(n.op("Concat", a, b, axis=-1), "down", 7, DIM), x)


def uneven_groups(n, x):
    """Query heads of unequal share: five of eight units belong to the first key, three to the second."""
    y = up(n, x, 8)
    wide = n.op("Gather", n.dense(x, "key", DIM, 2), n.const([0, 0, 0, 0, 0, 1, 1, 1]), axis=2)
    return down(n, n.op("Mul", y, wide), 8)


def unknown_op(n, x):
    """A residual stream through an op of somebody else's."""
    y = up(n, x)
    y = n.op("Add", y, n.op("Shuffle", y, domain="com.example"))
    return down(n, y)


def tied_weights(n, x):
    """One weight makes the units and, turned, reads what a norm over them gives."""
    w = n.weight("tied.weight", n.normal(DIM, UNITS, scale=0.4))
    y = n.norm(n.op("MatMul", x, w), "norm", UNITS)
    return n.op("MatMul", y, n.op("Transpose", w, perm=[1, 0]))


def reversed_units(n, x):
    end, axis, step = n.const([np.iinfo(np.int64).min]), n.const([2]), n.const([-1])
    return down(n, n.op("Slice", up(n, x), n.const([-1]), end, axis, step))


def triangle(n, x):
    """A triangle over positions and units."""
    return down(n, n.op("Trilu", up(n, x), upper=0))


def averaged(n, x):
    y = up(n, x)
    return down(n, n.op("Sub", y, n.mean(y)))


def logsumexp(n, x):
    y = up(n, x)
    return n.op("Add", down(n, y), n.op("ReduceLogSumExp", y, n.const([-1]), keepdims=1))


REFUSED = {f.__name__: (f, *expected) for f, expected in {
    softmax: (UNITS, "Softmax over it", "/Softmax_0"),
    layer_norm: (UNITS, "statistic: LayerNormalization over it", "/LayerNormalization_0"),
    rms_norm_written_out: (UNITS, "statistic: ReduceMean over it", "/ReduceMean_0"),
    own_length: (UNITS, "statistic: a sum over it scales it", "/ReduceSum_0"),
    maximum: (UNITS, "ReduceMax over it", "/ReduceMax_0"),
    top_k: (UNITS, "TopK over it", "/TopK_0"),
    running_sum: (UNITS, "CumSum over it", "/CumSum_0"),
    best_unit: (UNITS, "ArgMax over it", "/ArgMax_0"),
    shown: (UNITS, "it reaches the output 'hidden'", "return"),
    given: (UNITS, "it comes with the input 'scale'", "main"),
    picked_by_data: (UNITS, "it is indexed at run time", "/GatherElements_0"),
    sorted_by_index: (UNITS, "it is indexed at run time", "/Gather_0"),
    flattened_rows: (UNITS, "it brackets the dimension in another way", "/Reshape_1"),
    two_brackets: (4, "it brackets the dimension in another way", "/Reshape_1"),
    uneven_groups: (8, "it is picked apart by constant indices", "/Gather_0"),
    unknown_op: (UNITS, "it declares no relations", "/Shuffle_0"),
    tied_weights: (UNITS, "statistic: LayerNormalization over it", "/LayerNormalization_0"),
    reversed_units: (UNITS, "it is sliced backwards", "/Slice_0"),
    triangle: (UNITS, "a triangle depends on its indices", "/Trilu_0"),
    averaged: (UNITS, "statistic: ReduceMean over it", "/ReduceMean_0"),
    logsumexp: (UNITS, "ReduceLogSumExp over it", "/ReduceLogSumExp_0"),
}.items()}


def build(body):
    n = Net(body.__name__, "legacy", opset=18)
    x = n.input("x", "float", ["batch", SEQUENCE, DIM])
    y = n.op("Add", body(n, x), x)
    n.op("Identity", n.op("Add", n.mlp(y, "fine", DIM, 5, "gelu"), y), to="y")
    n.output("y", "float", ["batch", SEQUENCE, DIM])
    model = n.model({"kind": "refused"})
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    for node in model.graph.node:  # onnx does not know what comes out
        if node.domain == "com.example":
            model.graph.value_info.append(onnx.helper.make_tensor_value_info(
                node.output[0], onnx.TensorProto.FLOAT, ["batch", SEQUENCE, UNITS]))
    return model


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for name, (body, units, why, node) in REFUSED.items():
        path = os.path.join(folder, name + ".onnx")
        onnx.save_model(build(body), path)
        found = json.loads(command("twist", "inspect", path, "--json"))
        kinds = [(a["kind"], a["units"]) for a in found["axes"]]
        if kinds != [("ffn", 5)]:
            sys.exit(f"FAILED {name}: only the last block can be cut, found {kinds}")
        said = [(r["units"], reason["why"], reason["node"]) for r in found["refused"] for reason in r["reasons"]]
        if (units, why, node) not in said:
            sys.exit(f"FAILED {name}: should be refused for {(units, why, node)}, is for {said}")
        print(f"{name}: {units} units: {why}, at {node}")
    print(f"{len(REFUSED)} models refused")


if __name__ == "__main__":
    main(sys.argv[1])
