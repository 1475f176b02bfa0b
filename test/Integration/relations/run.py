"""What each op declares of its dimensions, against what the op does.

One model a case: the op alone, its data as inputs. For every class of units that nothing refuses:
  carried   new values in one unit change no element of an output that lies in another unit
  absorbed  an output without the class is, with zeros in one unit, what the op makes of the data without it
An op may only be silent by refusing; a class that an output neither has nor sums away must not matter at all.
"""
import collections
import os
import re
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

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
]


def build(op, inputs, outputs, attributes):
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
    node = helper.make_node(op, names, results, **attributes)
    typed = [helper.make_tensor_value_info(n, TensorProto.BOOL if a.dtype == B else TensorProto.FLOAT, a.shape)
             for n, a in data.items()]
    graph = helper.make_graph([node], "g", typed, [helper.make_empty_tensor_value_info(n) for n in results], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    known = {v.name: v for v in graph.graph.value_info} | {v.name: v for v in graph.graph.output}
    for value in model.graph.output:
        value.CopyFrom(known[value.name])
    return model, data


PLACE = re.compile(r"(input|output) (\d+) dim (\d+): class (\d+) offset (\d+) outer (\d+) units (\d+) inner (\d+)")


class Class:
    def __init__(self):
        self.places, self.units, self.summed, self.refused = collections.defaultdict(list), 0, False, False

    def index(self, side, number, shape, unit):
        """A mask per dimension that has the class: which indices are the unit's."""
        masks = {}
        for dim, offset, outer, inner in self.places[side, number]:
            mask = masks.setdefault(dim, np.zeros(shape[dim], bool))
            for o in range(outer):
                start = offset + (o * self.units + unit) * inner
                mask[start:start + inner] = True
        return masks


def declared(path):
    text = subprocess.run(["twist-opt", path, "--onnx-normalise", "--twist-print-dimensions", "-o", os.devnull],
                          check=True, capture_output=True, text=True).stdout
    classes = collections.defaultdict(Class)
    for side, number, dim, name, offset, outer, units, inner in PLACE.findall(text):
        classes[name].units = int(units)
        classes[name].places[side, int(number)].append((int(dim), int(offset), int(outer), int(inner)))
    for name in re.findall(r"summed class (\d+)", text):
        classes[name].summed = True
    for name in re.findall(r"refused class (\d+)", text):
        classes[name].refused = True
    return classes


def spread(mask, dim, rank):
    return mask.reshape([-1 if d == dim else 1 for d in range(rank)])


def check(name, model, data, classes):
    """Complaints."""
    run = ReferenceEvaluator(model).run
    base = run(None, data)
    rng = np.random.default_rng(11)
    order, checked = list(data), 0
    for key, units in classes.items():
        if units.refused:
            continue
        for unit in sorted({0, units.units // 2, units.units - 1}):
            poisoned, zeroed, removed = dict(data), dict(data), dict(data)
            touched = False
            for number, x in enumerate(order):
                value = data[x]
                for dim, mask in units.index("input", number, value.shape, unit).items():
                    here = np.broadcast_to(spread(mask, dim, value.ndim), value.shape)
                    other = ~value if value.dtype == B else rng.uniform(3, 4, value.shape).astype(F)
                    poisoned[x] = np.where(here, other, poisoned[x])
                    zeroed[x] = np.where(here, np.zeros((), value.dtype), zeroed[x])
                    removed[x] = np.compress(~mask, removed[x], dim)
                    touched = True
            if not touched:
                continue
            checked += 1
            for number, (a, b) in enumerate(zip(base, run(None, poisoned))):
                changed = (a != b) & ~((a != a) & (b != b))
                masks = units.index("output", number, a.shape, unit)
                if masks:
                    own = np.zeros(a.shape, bool)
                    for dim, mask in masks.items():
                        own |= spread(mask, dim, a.ndim)
                    if (changed & ~own).any():
                        return f"class {key} unit {unit}: output {number} changes in other units", checked
                elif not units.summed and changed.any():
                    return f"class {key} unit {unit}: output {number} changes, but has and sums it nowhere", checked
                elif units.summed:
                    c, d = run(None, zeroed)[number], run(None, removed)[number]
                    if c.shape != d.shape or not np.allclose(c, d, rtol=1e-5, atol=1e-6):
                        return f"class {key} unit {unit}: zeros in output {number} are not as if removed", checked
    return None, checked


def main(folder):
    os.makedirs(folder, exist_ok=True)
    failures, total, silent = [], 0, 0
    for number, (op, inputs, outputs, attributes) in enumerate(CASES):
        name = f"{number} {op} {attributes or ''}"
        model, data = build(op, inputs, outputs, attributes)
        path = os.path.join(folder, f"{number}.onnx")
        onnx.save_model(model, path)
        complaint, checked = check(name, model, data, declared(path))
        total += checked
        silent += not checked
        if complaint:
            failures.append(f"FAILED {name}: {complaint}")
    print("\n".join(failures))
    print(f"{len(CASES)} ops, {total} units checked, {silent} ops refuse all")
    if failures:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
