"""Ops on every element type, with numbers where types differ, against numpy.

usage: elements.py FOLDER
"""
import sys

import ml_dtypes
import numpy as np
from onnx import TensorProto as T, helper, shape_inference

import emit
import run

FLOATS = {T.DOUBLE: np.float64, T.FLOAT: np.float32, T.FLOAT16: np.float16,
          T.BFLOAT16: ml_dtypes.bfloat16}
SIGNED = {T.INT8: np.int8, T.INT16: np.int16, T.INT32: np.int32, T.INT64: np.int64}
UNSIGNED = {T.UINT8: np.uint8, T.UINT16: np.uint16, T.UINT32: np.uint32, T.UINT64: np.uint64}
INTEGERS = {**SIGNED, **UNSIGNED}
TYPES = {**FLOATS, **INTEGERS, T.BOOL: np.bool_}
# More than the lowering follows as scalars, so that loops are tested.
N = 96


class Cases:
    """name → (model, inputs, outputs)."""

    def __init__(self):
        self.all = {}

    def add(self, name, op, inputs, outputs, opset=23, **attributes):
        tensors = {f"x{i}": np.array(x) for i, x in enumerate(inputs)}
        results = {f"y{i}": np.array(y) for i, y in enumerate(outputs)}
        info = lambda values: [helper.make_tensor_value_info(n, type_of(v), v.shape)  # noqa: E731
                               for n, v in values.items()]
        node = helper.make_node(op, list(tensors), list(results), **attributes)
        graph = helper.make_graph([node], "g", info(tensors), info(results))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        self.all[name] = (model, list(tensors.values()), list(results.values()))


def type_of(array):
    return next(t for t, d in TYPES.items() if array.dtype == d)


def some(dtype, random, shape=(N,), low=None):
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        low = max(info.min, -40) if low is None else low
        return random.integers(low, 41, shape).astype(dtype)
    return random.standard_normal(shape).astype(dtype)


def c_divide(x, y):
    """Integers, towards zero; 0 where numpy refuses."""
    q = np.abs(x.astype(object)) // np.where(y == 0, 1, np.abs(y.astype(object)))
    q = np.where((x < 0) != (y < 0), -q, q)
    # The smallest divided by -1 wraps.
    return np.where(y == 0, 0, q & 2**64 - 1).astype(np.uint64).astype(x.dtype)


def arithmetic(cases, random):
    for t, d in {**FLOATS, **INTEGERS}.items():
        x, y = some(d, random), some(d, random)
        for op, f in (("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply),
                      ("Max", np.maximum), ("Min", np.minimum)):
            with np.errstate(all="ignore"):
                cases.add(f"{op}_{t}", op, [x, y], [f(x, y)])
        for op, f in (("Less", np.less), ("GreaterOrEqual", np.greater_equal), ("Equal", np.equal)):
            cases.add(f"{op}_{t}", op, [x, y], [f(x, y)])
    for t, d in FLOATS.items():
        x, y = some(d, random), some(d, random)
        x[:3], y[:3] = np.nan, [1, np.nan, 2]
        cases.add(f"Div_{t}", "Div", [x, y], [x / y])
        cases.add(f"MaxNaN_{t}", "Max", [x, y], [np.maximum(x, y)])
        with np.errstate(all="ignore"):
            cases.add(f"LessNaN_{t}", "Less", [x, y], [x < y])
        cases.add(f"Relu_{t}", "Relu", [x], [np.maximum(x, d(0))])
    for t, d in INTEGERS.items():
        x, y = some(d, random), some(d, random)
        y[:4] = [0, 0, 1, np.array(-1).astype(d)]
        x[3] = np.iinfo(d).min
        cases.add(f"Div_{t}", "Div", [x, y], [c_divide(x, y)])
        y[y == 0] = 3
        y[3] = 7
        cases.add(f"Mod_{t}", "Mod", [x, y], [np.mod(x, y)])
        cases.add(f"Fmod_{t}", "Mod", [x, y], [np.fmod(x, y)], fmod=1)
    for t, d in {**SIGNED, T.UINT64: np.uint64}.items():
        x, y = some(d, random), np.abs(some(d, random)) % 5
        with np.errstate(all="ignore"):
            cases.add(f"Pow_{t}", "Pow", [x, y.astype(d)], [np.power(x, y.astype(d))])


def functions(cases, random):
    """Halves are computed in f32 and rounded once."""
    gelu = np.vectorize(lambda v: 0.5 * v * (1 + __import__("math").erf(v / 2**0.5)))
    for t, d in FLOATS.items():
        x = some(d, random)
        wide = x.astype(np.float64)
        for op, f in (("Exp", np.exp), ("Tanh", np.tanh), ("Gelu", gelu), ("Sin", np.sin),
                      ("Sigmoid", lambda v: 1 / (1 + np.exp(-v)))):
            cases.add(f"{op}_{t}", op, [x], [f(wide).astype(d)])
        big = np.array([-1e4, -100, 0, 100, 1e4] * 20).astype(d)
        cases.add(f"SigmoidBig_{t}", "Sigmoid", [big],
                  [np.where(big > 0, 1, np.where(big < 0, 0, 0.5)).astype(d)])
        a, b = some(d, random, (5, 300)), some(d, random, (300, 4))
        cases.add(f"MatMul_{t}", "MatMul", [a, b],
                  [(a.astype(np.float64) @ b.astype(np.float64)).astype(d)])
        scores = (10 * some(d, random, (3, 50)).astype(np.float64)).astype(d)
        e = np.exp(scores.astype(np.float64) - scores.max(-1, keepdims=True).astype(np.float64))
        cases.add(f"Softmax_{t}", "Softmax", [scores], [(e / e.sum(-1, keepdims=True)).astype(d)])
        rows, gain, bias = (some(d, random, s) for s in ((4, 64), (64,), (64,)))
        rows = (rows.astype(np.float64) + 3).astype(d)
        w = rows.astype(np.float64)
        centred = w - w.mean(-1, keepdims=True)
        normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        cases.add(f"LayerNorm_{t}", "LayerNormalization", [rows, gain, bias],
                  [(normal * gain.astype(np.float64) + bias.astype(np.float64)).astype(d)])
        rms = w / np.sqrt((w**2).mean(-1, keepdims=True) + 1e-5)
        cases.add(f"RMSNorm_{t}", "RMSNormalization", [rows, gain],
                  [(rms * gain.astype(np.float64)).astype(d)])
        ones = np.full((3, 4000), 1, d)  # 4000 is no sum of ones in 8 bits of mantissa
        cases.add(f"ReduceSum_{t}", "ReduceMean", [ones], [np.full((1, 1), 1, d)])


def casts(cases, random):
    for source, s in TYPES.items():
        for target, t in TYPES.items():
            x = (random.integers(0, 2, N) > 0) if s == np.bool_ else some(s, random, low=0)
            if s == np.float64:
                x = x * 20
            if np.issubdtype(t, np.unsignedinteger) and s in FLOATS.values():
                x = np.abs(x)
            with np.errstate(all="ignore"):
                cases.add(f"Cast_{source}_{target}", "Cast", [x], [x.astype(t)], to=target)
    # Beyond the range: the nearest there is; NaN gives 0.
    for source, s in FLOATS.items():
        for target, t in INTEGERS.items():
            info = np.iinfo(t)
            x = np.array([np.inf, -np.inf, np.nan, -0.9] * 24).astype(s)
            want = np.array([info.max, info.min, 0, 0] * 24, t)
            cases.add(f"Saturate_{source}_{target}", "Cast", [x], [want], to=target)
    nan = np.array([np.nan, 0, -0.0, 0.1] * 24, np.float32)
    cases.add("CastNaNBool", "Cast", [nan], [nan.astype(bool)], to=T.BOOL)
    ties = np.array([1 + 2**-9, 1 + 3 * 2**-9, 1 + 2**-8, 65536] * 24, np.float32)
    cases.add("CastTies", "Cast", [ties], [ties.astype(ml_dtypes.bfloat16)], to=T.BFLOAT16)


def main():
    folder, = sys.argv[1:]
    cases = Cases()
    random = np.random.default_rng(0)
    arithmetic(cases, random)
    functions(cases, random)
    casts(cases, random)
    texts = {name: emit.function(shape_inference.infer_shapes(model), name)
             for name, (model, _, _) in cases.all.items()}
    failed = {n: e for n, e in run.which_compile(texts).items() if e}
    library = run.build({n: t for n, t in texts.items() if n not in failed}, folder)
    for name, (_, inputs, outputs) in cases.all.items():
        if name in failed:
            continue
        if error := run.difference(run.call(library, name, inputs, outputs)[0], outputs[0]):
            failed[name] = error
    for name, why in failed.items():
        print(f"FAILED {name}: {why}")
    print(f"{len(texts) - len(failed)} passed, {len(failed)} failed")
    return failed != {}


if __name__ == "__main__":
    sys.exit(main())
