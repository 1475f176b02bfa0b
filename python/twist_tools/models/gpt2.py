"""GPT-2 of any size with random weights, written as several exporters would.

The weights depend on the sizes and the seed alone: models in every style compute the same function.
"""
from dataclasses import asdict, dataclass

import numpy as np

from .graph import FLOAT, Graph
from .sampler import Sampler

EPS = 1e-5


@dataclass
class Config:
    layers: int = 2
    dim: int = 32
    heads: int = 4
    vocab: int = 61
    context: int = 16
    ffn: int = 0            # 0: 4 x dim
    seed: int = 0
    style: str = "split"    # split (packed Conv1D) | separate (q, k, v) | qkv5 ([B, S, 3, H, hd])
    shapes: str = "chain"   # static | zero (0 and -1 in Reshape) | chain (Shape, Gather, Unsqueeze, Concat)
    batch: int = 1          # of static shapes
    sequence: int = 0       # of static shapes; 0: context
    norm: str = "decomposed"  # decomposed | fused (opset >= 17)
    cache: bool = False     # past_key_values.N.{key,value} in, present.N.{key,value} out
    tied: bool = True       # the head is the embedding's transpose
    last: bool = False      # logits of the last position only
    opset: int = 17
    dtype: str = "f32"

    def __post_init__(self):
        self.ffn = self.ffn or 4 * self.dim
        self.sequence = self.sequence or self.context
        if self.style not in ("split", "separate", "qkv5"):
            raise ValueError(f"unknown style {self.style!r}")
        if self.shapes not in ("static", "zero", "chain"):
            raise ValueError(f"unknown shapes {self.shapes!r}")
        if self.dim % self.heads:
            raise ValueError("dim is no multiple of heads")
        if self.cache and self.shapes == "static":
            raise ValueError("a cache has no static shape")


def random_weights(config):
    """Weights under which a wrong head shows: scores of deviation 2 before softmax, gains and biases far from 1 and 0."""
    sampler = Sampler(config.seed)
    normal, gain, d, f = sampler.normal, sampler.gain, config.dim, config.ffn

    w = {"wte.weight": normal(config.vocab, d, scale=d**-0.25),
         "wpe.weight": normal(config.context, d, scale=0.5)}
    for n in range(config.layers):
        p = f"h.{n}."
        attn = normal(d, 3 * d, scale=d**-0.5)
        attn[:, :2 * d] *= 1.4
        w |= {p + "ln_1.weight": gain(d), p + "ln_1.bias": normal(d, scale=0.3),
              p + "attn.c_attn.weight": attn, p + "attn.c_attn.bias": normal(3 * d, scale=0.3),
              p + "attn.c_proj.weight": normal(d, d, scale=d**-0.5), p + "attn.c_proj.bias": normal(d, scale=0.3),
              p + "ln_2.weight": gain(d), p + "ln_2.bias": normal(d, scale=0.3),
              p + "mlp.c_fc.weight": normal(d, f, scale=d**-0.5), p + "mlp.c_fc.bias": normal(f, scale=0.3),
              p + "mlp.c_proj.weight": normal(f, d, scale=f**-0.5), p + "mlp.c_proj.bias": normal(d, scale=0.3)}
    w |= {"ln_f.weight": gain(d), "ln_f.bias": normal(d, scale=0.3)}
    if not config.tied:
        w["lm_head.weight"] = normal(config.vocab, d, scale=d**-0.5)
    return w


class Writer:
    def __init__(self, config, weights):
        self.c, self.w = config, weights
        self.g = Graph("gpt2", config.opset, FLOAT[config.dtype])
        self.hd = config.dim // config.heads

    def weight(self, name):
        return self.g.weight(name, self.w[name])

    # -- shapes
    def rows(self, x):
        """(batch, sequence) of x as entries of a Reshape."""
        if self.c.shapes == "static":
            return self.c.batch, self.c.sequence
        if self.c.shapes == "zero":
            return 0, 0
        return self.g.size(x, 0), self.g.size(x, 1)

    def conv1d(self, x, name, width):
        """transformers' Conv1D: flatten rows, Gemm, give the rows back."""
        g, weight, bias = self.g, self.weight(name + ".weight"), self.weight(name + ".bias")
        if self.c.style != "split":
            return g.linear(x, weight, bias)
        inner = self.w[name + ".weight"].shape[0]
        flat = g.op("Gemm", g.reshape(x, -1, inner), weight, bias, alpha=1.0, beta=1.0)
        if self.c.shapes == "zero":  # 0 copies from the flat input: the rows must come from x
            like = g.op("Slice", g.op("Shape", x), g.const([0]), g.const([2]), g.const([0]))
            return g.op("Reshape", flat, g.op("Concat", like, g.const([width]), axis=0))
        return g.reshape(flat, *self.rows(x), width)

    # -- the block
    def project(self, x, p):
        """q, k, v as [B, H, S, hd]."""
        g, c = self.g, self.c
        if c.style == "split":
            packed = self.conv1d(x, p + "attn.c_attn", 3 * c.dim)
            parts = g.split(packed, [c.dim] * 3, 2)
        elif c.style == "separate":
            parts = []
            for i, kind in enumerate("qkv"):
                cut = slice(i * c.dim, (i + 1) * c.dim)
                weight = g.weight(f"{p}attn.{kind}_proj.weight", self.w[p + "attn.c_attn.weight"][:, cut])
                bias = g.weight(f"{p}attn.{kind}_proj.bias", self.w[p + "attn.c_attn.bias"][cut])
                parts.append(g.linear(x, weight, bias))
        else:
            packed = self.conv1d(x, p + "attn.c_attn", 3 * c.dim)
            five = g.reshape(packed, *self.rows(packed), 3, c.heads, self.hd)
            five = g.op("Transpose", five, perm=[2, 0, 3, 1, 4])
            return [g.op("Gather", five, g.const(i), axis=0) for i in range(3)]
        heads = [g.reshape(part, *self.rows(part), c.heads, self.hd) for part in parts]
        return [g.op("Transpose", h, perm=[0, 2, 1, 3]) for h in heads]

    def mask_scores(self, scores):
        g, c = self.g, self.c
        if c.shapes == "static":
            n = c.sequence
            mask = np.where(np.tri(n, dtype=bool), 0.0, -1e9)[None, None]
            if c.dtype == "f16":
                mask = np.maximum(mask, -6e4)
            return g.op("Add", scores, g.weight("causal_mask", mask))
        low = g.const(float(np.finfo(g.dtype).min))
        if c.shapes == "chain":  # the buffer of transformers' GPT2Attention, cut to [past : total, : total]
            buffer = g.weight("causal_bias", np.tri(c.context, dtype=bool)[None, None])
            total, queries = g.size(scores, 3), g.size(scores, 2)
            start = g.unsqueeze(g.op("Sub", total, queries), [0])
            total = g.unsqueeze(total, [0])
            mask = g.op("Slice", buffer, start, total, g.const([2]), g.const([1]))
            mask = g.op("Slice", mask, g.const([0]), total, g.const([3]), g.const([1]))
        else:
            mask = self.mask
        return g.op("Where", mask, scores, low)

    def attention(self, x, p, n):
        g, c = self.g, self.c
        q, k, v = self.project(x, p)
        if c.cache:
            k = g.op("Concat", f"past_key_values.{n}.key", k, axis=2, to=f"present.{n}.key")
            v = g.op("Concat", f"past_key_values.{n}.value", v, axis=2, to=f"present.{n}.value")
        kt = g.op("Transpose", k, perm=[0, 1, 3, 2])
        root = float(self.hd) ** 0.5
        if c.style == "split":
            scores = g.op("Div", g.op("MatMul", q, kt), g.const(root))
        else:
            scores = g.op("MatMul", g.op("Mul", q, g.const(1 / root)), kt)
        weights = g.op("Softmax", self.mask_scores(scores), axis=-1)
        y = g.op("Transpose", g.op("MatMul", weights, v), perm=[0, 2, 1, 3])
        y = g.reshape(y, *self.rows(y), c.dim)
        return self.conv1d(y, p + "attn.c_proj", c.dim)

    def norm(self, x, name):
        return self.g.layer_norm(x, self.weight(name + ".weight"), self.weight(name + ".bias"), EPS,
                                 self.c.norm == "fused")

    def block(self, x, n):
        g, p = self.g, f"h.{n}."
        g.scope = f"/h.{n}/attn/"
        x = g.op("Add", x, self.attention(self.norm(x, p + "ln_1"), p, n))
        g.scope = f"/h.{n}/mlp/"
        y = self.conv1d(self.norm(x, p + "ln_2"), p + "mlp.c_fc", self.c.ffn)
        return g.op("Add", x, self.conv1d(g.gelu_tanh(y), p + "mlp.c_proj", self.c.dim))

    # -- the whole
    def positions(self, ids):
        g, c = self.g, self.c
        if c.shapes == "static":
            return g.const(np.arange(c.sequence)[None])
        length = g.size(ids, 1)
        past = g.size("past_key_values.0.key", 2) if c.cache else g.const(0)
        self.mask = g.causal_mask(past, length) if c.shapes == "zero" else None
        return g.unsqueeze(g.op("Range", past, g.op("Add", past, length), g.const(1)), [0])

    def head(self, x):
        g, c = self.g, self.c
        if c.last:
            x = g.op("Slice", x, g.const([-1]), g.const([np.iinfo(np.int64).max]), g.const([1]))
        if c.tied:
            return g.op("MatMul", x, g.op("Transpose", "wte.weight", perm=[1, 0]), to="logits")
        weight = g.weight("lm_head.weight", self.w["lm_head.weight"].T)
        return g.op("MatMul", x, weight, to="logits")

    def write(self):
        g, c = self.g, self.c
        static = c.shapes == "static"
        batch, sequence = (c.batch, c.sequence) if static else ("batch", "sequence")
        ids = g.input("input_ids", np.int64, [batch, sequence])
        for n in range(c.layers if c.cache else 0):
            for kind in ("key", "value"):
                g.input(f"past_key_values.{n}.{kind}", "float", [batch, c.heads, "past", self.hd])
        x = g.op("Gather", self.weight("wte.weight"), ids, axis=0)
        x = g.op("Add", x, g.op("Gather", self.weight("wpe.weight"), self.positions(ids), axis=0))
        for n in range(c.layers):
            x = self.block(x, n)
        g.scope = "/"
        self.head(self.norm(x, "ln_f"))
        g.output("logits", "float", [batch, 1 if c.last else sequence, c.vocab])
        for n in range(c.layers if c.cache else 0):
            for kind in ("key", "value"):
                g.output(f"present.{n}.{kind}", "float", [batch, c.heads, "total", self.hd])
        return g.model({"kind": "gpt2", **asdict(c)})


def build(config, weights=None):
    """The ONNX model of `config`; weights by transformers' names, Conv1D as [in, out]."""
    return Writer(config, weights or random_weights(config)).write()
