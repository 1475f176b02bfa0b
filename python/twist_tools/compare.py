"""When two results count as equal: errors are measured against f64, never against a fixed number.

Two computations a, b of the same function, in f32, agree if |a - b| is within 8 times the larger of
their own errors against their own f64 versions, or 4 ulp of the largest output.
"""
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16}


def random_inputs(model, seed=0, **dims):
    """Inputs by name; symbolic sizes by `dims`, others are an error.

    Integers are token ids below the smallest table that an input is looked up in; a mask is all ones.
    """
    rng, feeds = np.random.default_rng(seed), {}
    tables = {t.name: t.dims[0] for t in model.graph.initializer if t.dims}
    limit = {}
    for node in model.graph.node:
        if node.op_type == "Gather" and node.input[0] in tables:
            limit[node.input[1]] = min(limit.get(node.input[1], 1 << 30), tables[node.input[0]])
    for value in model.graph.input:
        if value.name in tables:
            continue
        shape = [d.dim_value if d.HasField("dim_value") else dims[d.dim_param]
                 for d in value.type.tensor_type.shape.dim]
        elem = value.type.tensor_type.elem_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(elem)
        if np.dtype(dtype).kind in "iu":
            if value.name in limit:
                feeds[value.name] = rng.integers(0, limit[value.name], shape).astype(dtype)
            else:
                feeds[value.name] = np.ones(shape, dtype)
        else:
            feeds[value.name] = rng.standard_normal(shape).astype(dtype)
    return feeds


def session(model, threads=1, optimise=True):
    """An onnxruntime session of a path or a ModelProto."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, (str, bytes)) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def run_ort(model, feeds, optimise=True):
    """Outputs by name."""
    s = session(model, optimise=optimise)
    return dict(zip([o.name for o in s.get_outputs()], s.run(None, feeds)))


def to_precision(model, target):
    """The same model with every float16, bfloat16, float32 and float64 as `target`, a TensorProto type."""
    dtype, floats = onnx.helper.tensor_dtype_to_np_dtype(target), FLOATS | {TensorProto.DOUBLE}
    result = onnx.ModelProto()
    result.CopyFrom(model)

    def convert(tensor):
        if tensor.data_type in floats:
            with np.errstate(over="ignore"):  # a mask's "very negative" becomes infinite
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(dtype), tensor.name))

    def graph(g):
        for tensor in g.initializer:
            convert(tensor)
        for value in [*g.input, *g.output, *g.value_info]:
            if value.type.tensor_type.elem_type in floats:
                value.type.tensor_type.elem_type = target
        for node in g.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    convert(attribute.t)
                if attribute.HasField("g"):
                    graph(attribute.g)
                if node.op_type == "Cast" and attribute.name == "to" and attribute.i in floats:
                    attribute.i = target

    graph(result.graph)
    return result


def run_precision(model, feeds, target):
    """Outputs by name of the model with all floats of one type (onnx's own evaluator; slow, for small inputs)."""
    dtype = onnx.helper.tensor_dtype_to_np_dtype(target)
    feeds = {k: v.astype(dtype) if v.dtype.kind == "f" else v for k, v in feeds.items()}
    evaluator = ReferenceEvaluator(to_precision(model, target))
    return dict(zip(evaluator.output_names, evaluator.run(None, feeds)))


def run_double(model, feeds):
    """Outputs by name of the model in f64."""
    return run_precision(model, feeds, TensorProto.DOUBLE)


@dataclass
class Verdict:
    difference: float  # largest |a - b|
    bound: float       # what was allowed
    largest: float     # largest |output|

    @property
    def equal(self):
        return self.difference <= self.bound  # false for NaN

    def __str__(self):
        return (f"{'equal' if self.equal else 'DIFFERENT'}: difference {self.difference:.2e}, "
                f"allowed {self.bound:.2e}, largest output {self.largest:.2e}")


def _maximum(x):
    return float(np.max(np.abs(x))) if np.size(x) else 0.0


def agree(a, b, exact_a, exact_b=None):
    """Whether f32 results a and b agree; exact_a, exact_b are their own f64 versions (one if not both are given).

    With one f64 version b is the yardstick: a's error may be 8 times b's, or 4 ulp.
    """
    for x in (a, b):
        if np.shape(x) != np.shape(exact_a):
            raise ValueError(f"shapes differ: {np.shape(x)} and {np.shape(exact_a)}")
    a64, b64 = np.asarray(a, np.float64), np.asarray(b, np.float64)
    largest = _maximum(exact_a)
    ulp = 4 * float(np.spacing(np.float32(largest)))
    if exact_b is None:
        return Verdict(_maximum(a64 - exact_a), max(8 * _maximum(b64 - exact_a), ulp), largest)
    own = max(_maximum(a64 - exact_a), _maximum(b64 - exact_b))
    return Verdict(_maximum(a64 - b64), max(8 * own, ulp), largest)


def agree_double(a, b):
    """Two f64 results: 1e-12 of the largest output."""
    largest = max(_maximum(a), _maximum(b))
    return Verdict(_maximum(np.asarray(a) - np.asarray(b)), 1e-12 * largest, largest)
