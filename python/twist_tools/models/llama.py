"""A Llama (RMSNorm, RoPE, grouped queries, SwiGLU) with a key/value cache, random or from llama2.c's file."""
import struct
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
    kv_heads: int = 2
    vocab: int = 61
    context: int = 32
    ffn: int = 48
    seed: int = 0
    rope: str = "pairs"     # pairs (neighbours, by Reshape) | strided (neighbours, by strided Slice) | half (rotate-half)
    norm: str = "decomposed"  # decomposed | fused (opset >= 23)
    cache: bool = True
    position_input: bool = False  # positions are an input instead of following from the cache's length
    tied: bool = True
    opset: int = 17
    dtype: str = "f32"

    def __post_init__(self):
        if self.rope not in ("pairs", "strided", "half"):
            raise ValueError(f"unknown rope {self.rope!r}")
        if self.dim % self.heads or self.heads % self.kv_heads:
            raise ValueError("dim must be a multiple of heads, heads of kv_heads")


def load(path):
    """Sizes and weights ([out, in], transformers' names) of a file in llama2.c's first format."""
    with open(path, "rb") as file:
        raw = file.read()
    dim, ffn, layers, heads, kv, vocab, context = struct.unpack("<7i", raw[:28])
    data, at = np.frombuffer(raw, "<f4", offset=28), 0
    kvdim = dim // heads * kv
    names = [("model.embed_tokens.weight", (vocab, dim)), ("input_layernorm", (layers, dim)),
             ("self_attn.q_proj", (layers, dim, dim)), ("self_attn.k_proj", (layers, kvdim, dim)),
             ("self_attn.v_proj", (layers, kvdim, dim)), ("self_attn.o_proj", (layers, dim, dim)),
             ("post_attention_layernorm", (layers, dim)), ("mlp.gate_proj", (layers, ffn, dim)),
             ("mlp.down_proj", (layers, dim, ffn)), ("mlp.up_proj", (layers, ffn, dim)), ("model.norm.weight", (dim,))]
    weights = {}
    for name, shape in names:
        n = int(np.prod(shape))
        if at + n > data.size:
            raise ValueError(f"{path}: ends inside {name}")
        array, at = data[at:at + n].reshape(shape), at + n
        if name.startswith("model."):
            weights[name] = array
        else:
            weights |= {f"model.layers.{i}.{name}.weight": array[i] for i in range(layers)}
    sizes = dict(layers=layers, dim=dim, heads=heads, kv_heads=kv, vocab=vocab, context=context, ffn=ffn,
                 tied=True)
    return sizes, weights


def random_weights(config):
    sampler = Sampler(config.seed)
    normal, d, f, kv = sampler.normal, config.dim, config.ffn, config.dim // config.heads * config.kv_heads

    w = {"model.embed_tokens.weight": normal(config.vocab, d, scale=d**-0.25), "model.norm.weight": sampler.gain(d)}
    for n in range(config.layers):
        p = f"model.layers.{n}."
        w |= {p + "input_layernorm.weight": sampler.gain(d), p + "post_attention_layernorm.weight": sampler.gain(d),
              p + "self_attn.q_proj.weight": normal(d, d, scale=1.4 * d**-0.5),
              p + "self_attn.k_proj.weight": normal(kv, d, scale=1.4 * d**-0.5),
              p + "self_attn.v_proj.weight": normal(kv, d, scale=d**-0.5),
              p + "self_attn.o_proj.weight": normal(d, d, scale=d**-0.5),
              p + "mlp.gate_proj.weight": normal(f, d, scale=d**-0.5),
              p + "mlp.up_proj.weight": normal(f, d, scale=d**-0.5),
              p + "mlp.down_proj.weight": normal(d, f, scale=f**-0.5)}
    if not config.tied:
        w["lm_head.weight"] = normal(config.vocab, d, scale=d**-0.5)
    return w


class Writer:
    def __init__(self, config, weights):
        self.c, self.w = config, weights
        self.g = Graph("llama", config.opset, FLOAT[config.dtype])
        self.hd = config.dim // config.heads

    def linear(self, x, name):
        return self.g.op("MatMul", x, self.g.weight(name, self.w[name].T))

    def norm(self, x, name):
        return self.g.rms_norm(x, self.g.weight(name, self.w[name]), EPS, self.c.norm == "fused")

    def tables(self, positions):
        """cos and sin of the positions, [B or 1, 1, S, hd/2] (half: hd)."""
        angle = np.outer(np.arange(self.c.context), 10000.0 ** (-np.arange(0, self.hd, 2) / self.hd))
        if self.c.rope == "half":
            angle = np.concatenate([angle, angle], 1)
        g = self.g
        return [g.unsqueeze(g.op("Gather", g.weight(n, f(angle)), positions, axis=0), [1])
                for n, f in (("rope_cos", np.cos), ("rope_sin", np.sin))]

    def rotate(self, x, heads):
        """x: [B, heads, S, hd]."""
        g, hd = self.g, self.hd
        cos, sin = self.cos_sin
        if self.c.rope == "half":
            low, high = g.split(x, [hd // 2] * 2, 3)
            turned = g.op("Concat", g.op("Neg", high), low, axis=3)
            return g.op("Add", g.op("Mul", x, cos), g.op("Mul", turned, sin))
        shape = (self.batch, heads, self.length)
        if self.c.rope == "pairs":
            pairs = g.reshape(x, *shape, hd // 2, 2)
            even, odd = (g.squeeze(part, [4]) for part in g.split(pairs, [1, 1], 4))
        else:
            end, axes, steps = g.const([hd]), g.const([3]), g.const([2])
            even, odd = (g.op("Slice", x, g.const([i]), end, axes, steps) for i in (0, 1))
        a = g.op("Sub", g.op("Mul", even, cos), g.op("Mul", odd, sin))
        b = g.op("Add", g.op("Mul", even, sin), g.op("Mul", odd, cos))
        both = g.op("Concat", g.unsqueeze(a, [4]), g.unsqueeze(b, [4]), axis=4)
        return g.reshape(both, *shape, hd)

    def heads(self, x, name, heads):
        y = self.g.reshape(self.linear(x, name), self.batch, self.length, heads, self.hd)
        return self.g.op("Transpose", y, perm=[0, 2, 1, 3])

    def repeat(self, x):
        """Each key/value head for its group of queries: [B, KV, T, hd] to [B, H, T, hd]."""
        g, c = self.g, self.c
        group = c.heads // c.kv_heads
        if group == 1:
            return x
        total = g.size(x, 2)
        wide = g.op("Expand", g.unsqueeze(x, [2]), g.shape(self.batch, c.kv_heads, group, total, self.hd))
        return g.reshape(wide, self.batch, c.heads, total, self.hd)

    def attention(self, x, p, n):
        g, c = self.g, self.c
        q = self.rotate(self.heads(x, p + "q_proj.weight", c.heads), c.heads)
        k = self.rotate(self.heads(x, p + "k_proj.weight", c.kv_heads), c.kv_heads)
        v = self.heads(x, p + "v_proj.weight", c.kv_heads)
        if c.cache:
            k = g.op("Concat", f"past_key_values.{n}.key", k, axis=2, to=f"present.{n}.key")
            v = g.op("Concat", f"past_key_values.{n}.value", v, axis=2, to=f"present.{n}.value")
        k, v = self.repeat(k), self.repeat(v)
        scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
        scores = g.op("Mul", scores, g.const(float(self.hd) ** -0.5))
        low = g.const(float(np.finfo(g.dtype).min))
        weights = g.op("Softmax", g.op("Where", self.mask, scores, low), axis=-1)
        y = g.op("Transpose", g.op("MatMul", weights, v), perm=[0, 2, 1, 3])
        y = g.reshape(y, self.batch, self.length, c.dim)
        return self.linear(y, p + "o_proj.weight")

    def block(self, x, n):
        g, p = self.g, f"model.layers.{n}."
        g.scope = f"/model/layers.{n}/self_attn/"
        y = self.attention(self.norm(x, p + "input_layernorm.weight"), p + "self_attn.", n)
        x = g.op("Add", x, y)
        g.scope = f"/model/layers.{n}/mlp/"
        y = self.norm(x, p + "post_attention_layernorm.weight")
        gate = self.linear(y, p + "mlp.gate_proj.weight")
        gate = g.op("Mul", gate, g.op("Sigmoid", gate))
        y = g.op("Mul", gate, self.linear(y, p + "mlp.up_proj.weight"))
        return g.op("Add", x, self.linear(y, p + "mlp.down_proj.weight"))

    def cache_values(self, prefix, length, add):
        c = self.c
        for n in range(c.layers if c.cache else 0):
            for kind in ("key", "value"):
                add(f"{prefix}.{n}.{kind}", "float", ["batch", c.kv_heads, length, self.hd])

    def write(self):
        g, c = self.g, self.c
        ids = g.input("input_ids", np.int64, ["batch", "sequence"])
        if c.position_input:
            positions = g.input("position_ids", np.int64, ["batch", "sequence"])
        self.cache_values("past_key_values", "past", g.input)
        g.scope = "/model/"
        self.batch, self.length = g.size(ids, 0), g.size(ids, 1)
        past = g.size("past_key_values.0.key", 2) if c.cache else g.const(0)
        self.mask = g.causal_mask(past, self.length)
        if not c.position_input:
            total = g.op("Add", past, self.length)
            positions = g.unsqueeze(g.op("Range", past, total, g.const(1)), [0])
        self.cos_sin = self.tables(positions)
        embedding = g.weight("model.embed_tokens.weight", self.w["model.embed_tokens.weight"])
        x = g.op("Gather", embedding, ids, axis=0)
        for n in range(c.layers):
            x = self.block(x, n)
        g.scope = "/"
        x = self.norm(x, "model.norm.weight")
        if c.tied:
            g.op("MatMul", x, g.op("Transpose", embedding, perm=[1, 0]), to="logits")
        else:
            g.op("MatMul", x, g.weight("lm_head.weight", self.w["lm_head.weight"].T), to="logits")
        g.output("logits", "float", ["batch", "sequence", c.vocab])
        self.cache_values("present", "total", g.output)
        return g.model({"kind": "llama", **asdict(c)})


def build(config, weights=None):
    """The ONNX model of `config`; weights [out, in] by transformers' names."""
    return Writer(config, weights or random_weights(config)).write()
