"""A BERT sentence encoder: embeddings, post-norm layers, mean pooling, unit length; random or from safetensors."""
import json
import os
from dataclasses import asdict, dataclass

import numpy as np

from .graph import FLOAT, Graph
from .sampler import Sampler

EPS = 1e-12


@dataclass
class Config:
    layers: int = 2
    dim: int = 32
    heads: int = 4
    vocab: int = 61
    context: int = 16
    ffn: int = 64
    seed: int = 0
    norm: str = "decomposed"  # decomposed | fused (opset >= 17)
    token_types: bool = False  # token_type_ids is an input; otherwise every token is of type 0
    pool: bool = True       # output sentence_embedding [B, D]; otherwise last_hidden_state [B, S, D]
    opset: int = 17
    dtype: str = "f32"

    def __post_init__(self):
        if self.dim % self.heads:
            raise ValueError("dim is no multiple of heads")


def read_safetensors(path):
    """name -> array; only f32, f16, f64 and i64 are met in the models used here."""
    kinds = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I64": "<i8", "I32": "<i4"}
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        data = file.read()
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            arrays[name] = np.frombuffer(data[begin:end], kinds[entry["dtype"]]).reshape(entry["shape"])
    return arrays


def load(path):
    """Sizes and weights of a safetensors file with its config.json beside it."""
    with open(os.path.join(os.path.dirname(path), "config.json"), encoding="utf-8") as file:
        entry = json.load(file)
    if entry["hidden_act"] != "gelu" or entry.get("position_embedding_type", "absolute") != "absolute":
        raise ValueError(f"{path}: only erf-GELU and absolute positions are written")
    sizes = dict(layers=entry["num_hidden_layers"], dim=entry["hidden_size"], heads=entry["num_attention_heads"],
                 vocab=entry["vocab_size"], context=entry["max_position_embeddings"], ffn=entry["intermediate_size"])
    weights = read_safetensors(path)
    return sizes, {name.removeprefix("bert."): array for name, array in weights.items()}


def random_weights(config):
    sampler = Sampler(config.seed)
    normal, d, f = sampler.normal, config.dim, config.ffn

    w = {"embeddings.word_embeddings.weight": normal(config.vocab, d, scale=1),
         "embeddings.position_embeddings.weight": normal(config.context, d, scale=0.5),
         "embeddings.token_type_embeddings.weight": normal(2, d, scale=0.5)}

    def norm(name):
        w[name + ".weight"] = sampler.gain(d)
        w[name + ".bias"] = normal(d, scale=0.3)

    def linear(name, out, inner, scale=1.0):
        w[name + ".weight"] = normal(out, inner, scale=scale * inner**-0.5)
        w[name + ".bias"] = normal(out, scale=0.3)

    norm("embeddings.LayerNorm")
    for n in range(config.layers):
        p = f"encoder.layer.{n}."
        linear(p + "attention.self.query", d, d, 1.4)
        linear(p + "attention.self.key", d, d, 1.4)
        linear(p + "attention.self.value", d, d)
        linear(p + "attention.output.dense", d, d)
        norm(p + "attention.output.LayerNorm")
        linear(p + "intermediate.dense", f, d)
        linear(p + "output.dense", d, f)
        norm(p + "output.LayerNorm")
    return w


class Writer:
    def __init__(self, config, weights):
        self.c, self.w = config, weights
        self.g = Graph("bert", config.opset, FLOAT[config.dtype])
        self.hd = config.dim // config.heads

    def linear(self, x, name):
        g = self.g
        weight = g.weight(name + ".weight", self.w[name + ".weight"].T)
        return g.linear(x, weight, g.weight(name + ".bias", self.w[name + ".bias"]))

    def norm(self, x, name):
        g = self.g
        gain, bias = (g.weight(name + kind, self.w[name + kind]) for kind in (".weight", ".bias"))
        return g.layer_norm(x, gain, bias, EPS, self.c.norm == "fused")

    def embed(self, ids):
        g, p = self.g, "embeddings."
        g.scope = "/embeddings/"

        def table(name):
            return g.weight(p + name + ".weight", self.w[p + name + ".weight"])

        x = g.op("Gather", table("word_embeddings"), ids, axis=0)
        kind = "token_type_ids" if self.c.token_types else g.const(0)
        x = g.op("Add", x, g.op("Gather", table("token_type_embeddings"), kind, axis=0))
        rows = g.op("Range", g.const(0), self.length, g.const(1))
        x = g.op("Add", x, g.op("Gather", table("position_embeddings"), g.unsqueeze(rows, [0]), axis=0))
        return self.norm(x, p + "LayerNorm")

    def attention(self, x, p):
        g, c = self.g, self.c

        def heads(kind, perm):
            y = g.reshape(self.linear(x, p + "self." + kind), self.batch, self.length, c.heads, self.hd)
            return g.op("Transpose", y, perm=perm)

        q, k, v = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
        scores = g.op("Div", g.op("MatMul", q, k), g.const(float(self.hd) ** 0.5))
        weights = g.op("Softmax", g.op("Add", scores, self.bias), axis=-1)
        y = g.op("Transpose", g.op("MatMul", weights, v), perm=[0, 2, 1, 3])
        y = self.linear(g.reshape(y, self.batch, self.length, c.dim), p + "output.dense")
        return self.norm(g.op("Add", y, x), p + "output.LayerNorm")

    def layer(self, x, n):
        g, p = self.g, f"encoder.layer.{n}."
        g.scope = f"/encoder/layer.{n}/attention/"
        x = self.attention(x, p + "attention.")
        g.scope = f"/encoder/layer.{n}/"
        y = self.linear(g.gelu_erf(self.linear(x, p + "intermediate.dense")), p + "output.dense")
        return self.norm(g.op("Add", y, x), p + "output.LayerNorm")

    def pool(self, x, mask):
        """Mean over the tokens that are none of padding, scaled to length 1."""
        g = self.g
        g.scope = "/pooling/"
        weight = g.cast(g.unsqueeze(mask, [2]))
        total = g.sum(g.op("Mul", x, weight), 1)
        mean = g.op("Div", total, g.op("Clip", g.sum(weight, 1), g.const(1e-9)))
        length = g.op("Clip", g.norm2(mean, 1), g.const(1e-12))
        return g.op("Div", mean, length, to="sentence_embedding")

    def write(self):
        g, c = self.g, self.c
        ids = g.input("input_ids", np.int64, ["batch", "sequence"])
        mask = g.input("attention_mask", np.int64, ["batch", "sequence"])
        if c.token_types:
            g.input("token_type_ids", np.int64, ["batch", "sequence"])
        self.batch, self.length = g.size(ids, 0), g.size(ids, 1)
        off = g.op("Sub", g.const(1.0), g.cast(g.unsqueeze(mask, [1, 2])))
        self.bias = g.op("Mul", off, g.const(float(np.finfo(g.dtype).min)))
        x = self.embed(ids)
        for n in range(c.layers):
            x = self.layer(x, n)
        if c.pool:
            self.pool(x, mask)
            g.output("sentence_embedding", "float", ["batch", c.dim])
        else:
            g.scope = "/"
            g.op("Identity", x, to="last_hidden_state")
            g.output("last_hidden_state", "float", ["batch", "sequence", c.dim])
        return g.model({"kind": "bert", **asdict(c)})


def build(config, weights=None):
    """The ONNX model of `config`; weights [out, in] by transformers' names."""
    return Writer(config, weights or random_weights(config)).write()
