"""What the writers of whole architectures share: layers with random weights in the forms of torch's two exporters.

    legacy  TorchScript: sizes by Shape, Gather, Unsqueeze, Concat; weights of linear layers turned to [in, out]
    dynamo  torch.export: sizes by Shape(start, end); weights [out, in] behind a Transpose; attention as onnxscript
            writes it, keys flattened to turn them

The writer knows which rows of which weight read a unit and notes it (`unit`), so that masked models can be made
from here (`mask`) that share nothing with the compiler.
"""
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import numpy_helper

from .graph import Graph
from .sampler import Sampler


@dataclass
class Units:
    """One prunable axis. places: (weight, dimension, unit -> indices) of what a unit owns, or of all that reads it."""

    kind: str
    units: int
    places: list = field(default_factory=list)


def block(start, width):
    """Indices of unit u where units are runs of `width` from `start`."""
    return lambda u: [start + u * width + i for i in range(width)]


def strided(runs, width, inner=1):
    """Indices of unit u where each of `runs` runs holds `width` units of `inner` neighbours."""
    return lambda u: [(r * width + u) * inner + i for r in range(runs) for i in range(inner)]


class Net(Graph, Sampler):
    def __init__(self, name, form="legacy", seed=0, opset=None):
        if form not in ("legacy", "dynamo"):
            raise ValueError(f"unknown form {form!r}")
        Graph.__init__(self, name, opset or {"legacy": 17, "dynamo": 18}[form])
        Sampler.__init__(self, seed)
        self.form, self.axes = form, {}

    @property
    def dynamo(self):
        return self.form == "dynamo"

    def unit(self, name, kind, units, *places):
        self.axes.setdefault(name, Units(kind, units)).places += places

    # -- sizes: int64 scalars (legacy) or vectors of one element (dynamo)
    def size(self, x, dim):
        if not self.dynamo:
            return super().size(x, dim)
        return self.op("Shape", x, start=dim, end=dim + 1)

    def shape(self, *entries):
        if not self.dynamo or all(isinstance(e, int) for e in entries):
            return super().shape(*entries)
        return self.op("Concat", *[self.const([e]) if isinstance(e, int) else e for e in entries], axis=0)

    def reshape(self, x, *entries):
        if not self.dynamo:
            return super().reshape(x, *entries)
        return self.op("Reshape", x, self.shape(*entries), allowzero=1)

    def scalar(self, size):
        return self.squeeze(size, [0]) if self.dynamo else size

    # -- layers
    def matrix(self, name, inner, out, scale=1.0):
        """The right operand of x @ W."""
        w = self.normal(inner, out, scale=scale * inner**-0.5)
        if self.dynamo:
            return self.op("Transpose", self.weight(name, w.T), perm=[1, 0])
        return self.weight(name, w)

    def rows(self, name, indices):
        """The place of units in the inner dimension of a linear layer."""
        return (name + ".weight", 1 if self.dynamo else 0, indices)

    def dense(self, x, name, inner, out, bias=True, scale=1.0):
        y = self.op("MatMul", x, self.matrix(name + ".weight", inner, out, scale))
        if not bias:
            return y
        b = self.weight(name + ".bias", self.normal(out, scale=0.3))
        return self.op("Add", y, b) if self.dynamo else self.op("Add", b, y)

    def gemm(self, x, name, inner, out):
        """A linear layer on rows."""
        w = self.weight(name + ".weight", self.normal(out, inner, scale=inner**-0.5))
        return self.op("Gemm", x, w, self.weight(name + ".bias", self.normal(out, scale=0.3)), transB=1)

    def norm(self, x, name, size, kind="layer", eps=1e-5):
        """layer, rms, or rms1: (1 + g) as Gemma writes it."""
        gain = self.weight(name + ".weight", self.gain(size))
        if kind == "layer":
            bias = self.weight(name + ".bias", self.normal(size, scale=0.3))
            return self.layer_norm(x, gain, bias, eps, True)
        if kind == "rms1":
            gain = self.op("Add", gain, self.const(1.0))
        return self.rms_norm(x, gain, eps, False)

    def activation(self, x, kind):
        if kind == "silu":
            return self.op("Mul", x, self.op("Sigmoid", x))
        if kind == "gelu":
            return self.gelu_erf(x)
        if kind == "gelu_tanh":
            return self.gelu_tanh(x)
        return self.op(kind, x)

    def mlp(self, x, name, dim, ffn, act, bias=True, names=("fc1", "fc2")):
        up, down = (f"{name}.{n}" for n in names)
        self.unit(name, "ffn", ffn, self.rows(down, block(0, 1)))
        y = self.activation(self.dense(x, up, dim, ffn, bias), act)
        return self.dense(y, down, ffn, dim, bias)

    def gated_mlp(self, x, name, dim, ffn, act, names=("gate_proj", "up_proj", "down_proj")):
        gate, up, down = (f"{name}.{n}" for n in names)
        self.unit(name, "ffn", ffn, self.rows(down, block(0, 1)))
        y = self.activation(self.dense(x, gate, dim, ffn, False), act)
        y = self.op("Mul", y, self.dense(x, up, dim, ffn, False))
        return self.dense(y, down, ffn, dim, False)

    # -- attention
    def split_heads(self, x, batch, length, heads, width):
        return self.op("Transpose", self.reshape(x, batch, length, heads, width), perm=[0, 2, 1, 3])

    def join_heads(self, x, batch, length, width):
        return self.reshape(self.op("Transpose", x, perm=[0, 2, 1, 3]), batch, length, width)

    def softcap(self, x, cap):
        return self.op("Mul", self.op("Tanh", self.op("Div", x, self.const(cap))), self.const(cap))

    def attend(self, q, k, v, width, scale=None, bias=None, cap=0.0):
        """q, k, v: [B, H, S, width]; bias is added to the scores."""
        scale = width**-0.5 if scale is None else scale
        if self.dynamo and not cap:  # onnxscript's scaled_dot_product_attention
            root = self.const(float(scale) ** 0.5)
            heads, length = self.op("Shape", k, start=0, end=-2), self.op("Shape", k, start=-2)
            flat = self.op("Reshape", k, self.op("Concat", self.const([-1]), length, axis=0), allowzero=1)
            turned = self.op("Transpose", flat, perm=[0, 2, 1])
            last = [self.op("Shape", k, start=-1), self.op("Shape", k, start=-2, end=-1)]
            kt = self.op("Reshape", turned, self.op("Concat", heads, *last, axis=0), allowzero=1)
            scores = self.op("MatMul", self.op("Mul", q, root), self.op("Mul", kt, root))
        else:
            kt = self.op("Transpose", k, perm=[0, 1, 3, 2])
            scores = self.op("Mul", self.op("MatMul", q, kt), self.const(scale))
        if cap:
            scores = self.softcap(scores, cap)
        if bias:
            scores = self.op("Add", scores, bias)
        return self.op("MatMul", self.op("Softmax", scores, axis=-1), v)

    def causal_bias(self, length, padding=None, window=0):
        """0 where a query may look, the lowest float elsewhere: [1, 1, S, S], or [B, 1, S, S] with `padding` [B, S]."""
        seen = self.unsqueeze(self.causal_mask(self.const(0), self.scalar(length), window), [0, 1])
        if padding:
            real = self.cast(self.unsqueeze(padding, [1, 2]), np.bool_)
            seen = self.op("And", seen, real)
        return self.op("Where", seen, self.const(0.0), self.const(float(np.finfo(self.dtype).min)))


def mask(model, axes, kept):
    """A copy of `model` in which no removed unit is read. axes: name -> Units; kept: name -> units that stay."""
    masked = onnx.ModelProto()
    masked.CopyFrom(model)
    tensors = {t.name: t for t in masked.graph.initializer}
    for name, units in axes.items():
        removed = [u for u in range(units.units) if u not in kept.get(name, range(units.units))]
        for weight, dim, indices in units.places if removed else ():
            array = numpy_helper.to_array(tensors[weight]).copy()
            cut = [slice(None)] * array.ndim
            cut[dim] = [i for u in removed for i in indices(u)]
            array[tuple(cut)] = 0
            tensors[weight].CopyFrom(numpy_helper.from_array(array, weight))
    return masked
