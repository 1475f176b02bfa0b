"""DeBERTa v2: disentangled attention, by content and by log-bucketed relative positions, heads inside the batch."""
from dataclasses import asdict, dataclass

import numpy as np

from .net import Net, block, strided


@dataclass
class Config:
    layers: int = 2
    dim: int = 16
    heads: int = 4
    vocab: int = 31
    ffn: int = 20
    span: int = 4           # buckets on each side
    longest: int = 16
    seed: int = 0
    form: str = "legacy"


class Writer(Net):
    def __init__(self, config):
        super().__init__("deberta", config.form, config.seed)
        self.c, self.hd = config, config.dim // config.heads

    def relative(self, length):
        """Log-bucketed distances of all pairs, [S, S]."""
        c, middle = self.c, self.c.span // 2
        at = self.op("Range", self.const(0), self.scalar(length), self.const(1))
        far = self.op("Sub", self.unsqueeze(at, [1]), self.unsqueeze(at, [0]))
        near = self.op("And", self.op("Less", far, self.const(middle)), self.op("Greater", far, self.const(-middle)))
        size = self.op("Where", near, self.const(middle - 1), self.op("Abs", far))
        ratio = self.op("Div", self.cast(size), self.const(float(middle)))
        ratio = self.op("Div", self.op("Log", ratio), self.const(float(np.log((c.longest - 1) / middle))))
        steps = self.op("Ceil", self.op("Mul", ratio, self.const(float(middle - 1))))
        steps = self.op("Add", steps, self.const(float(middle)))
        logs = self.cast(self.op("Mul", steps, self.cast(self.op("Sign", far))), np.int64)
        return self.op("Where", self.op("LessOrEqual", size, self.const(middle)), far, logs)

    def heads(self, x, batch, length):
        """[B · H, S, hd]"""
        y = self.split_heads(x, batch, length, self.c.heads, self.hd)
        return self.reshape(y, -1, length, self.hd)

    def picked(self, scores, index, count, length):
        """scores[B · H, S, 2 span] at each pair's bucket."""
        wide = self.op("Expand", self.unsqueeze(index, [0]), self.shape(count, length, length))
        return self.op("GatherElements", scores, wide, axis=2)

    def attention(self, x, p):
        c, (b, s) = self.c, self.rows_of
        kinds = ("query_proj", "key_proj", "value_proj")
        q, k, v = (self.heads(self.dense(x, p + n, c.dim, c.dim, True, 1.4), b, s) for n in kinds)
        root = self.const(float(np.sqrt(3 * self.hd)))

        def turned(y):
            return self.op("Transpose", y, perm=[0, 2, 1])

        def again(name):
            """The same weights on the relative positions, repeated for the batch."""
            w = name + ".weight"
            w = self.op("Transpose", w, perm=[1, 0]) if self.dynamo else w
            y = self.op("Add", self.op("MatMul", self.positions, w), name + ".bias")
            y = self.reshape(self.op("Transpose", self.reshape(y, 1, 2 * c.span, c.heads, self.hd), perm=[0, 2, 1, 3]),
                             c.heads, 2 * c.span, self.hd)
            return self.op("Tile", y, self.shape(b, 1, 1))

        scores = self.op("Div", self.op("MatMul", q, turned(k)), root)
        count = self.op("Mul", b, self.const([c.heads] if self.dynamo else c.heads))
        low, high = self.const(0), self.const(2 * c.span - 1)
        forth = self.op("Clip", self.op("Add", self.buckets, self.const(c.span)), low, high)
        by_key = self.op("MatMul", q, turned(again(p + kinds[1])))
        scores = self.op("Add", scores, self.op("Div", self.picked(by_key, forth, count, s), root))
        back = self.op("Clip", self.op("Add", self.op("Neg", self.buckets), self.const(c.span)), low, high)
        by_query = self.op("MatMul", k, turned(again(p + kinds[0])))
        scores = self.op("Add", scores, turned(self.op("Div", self.picked(by_query, back, count, s), root)))

        scores = self.reshape(scores, -1, c.heads, s, s)
        weights = self.op("Softmax", self.op("Where", self.seen, scores, self.low), axis=-1)
        y = self.op("MatMul", self.reshape(weights, -1, s, s), v)
        y = self.join_heads(self.reshape(y, -1, c.heads, s, self.hd), b, s, c.dim)
        out = p + "output.dense"
        self.unit(p + "heads", "head", c.heads, self.rows(out, block(0, self.hd)))
        self.unit(p + "v", "v", self.hd, self.rows(out, strided(c.heads, self.hd)))
        return self.dense(y, out, c.dim, c.dim)

    def write(self):
        c = self.c
        ids = self.input("input_ids", np.int64, ["batch", "sequence"])
        mask = self.input("attention_mask", np.int64, ["batch", "sequence"])
        b, s = self.rows_of = self.size(ids, 0), self.size(ids, 1)
        table = self.weight("embeddings.word_embeddings.weight", self.normal(c.vocab, c.dim))
        x = self.norm(self.op("Gather", table, ids, axis=0), "embeddings.LayerNorm", c.dim)
        x = self.op("Mul", x, self.cast(self.unsqueeze(mask, [2])))
        wide = self.unsqueeze(mask, [1, 2])
        both = self.op("Mul", wide, self.op("Transpose", wide, perm=[0, 1, 3, 2]))
        self.seen = self.cast(both, np.bool_)
        self.low = self.const(float(np.finfo(np.float32).min))
        self.buckets = self.relative(s)
        positions = self.weight("encoder.rel_embeddings.weight", self.normal(2 * c.span, c.dim))
        self.positions = self.unsqueeze(self.norm(positions, "encoder.LayerNorm", c.dim), [0])
        for n in range(c.layers):
            p = f"encoder.layer.{n}."
            self.scope = f"/encoder/layer.{n}/"
            x = self.norm(self.op("Add", self.attention(x, p + "attention."), x), p + "attention.LayerNorm", c.dim)
            y = self.mlp(x, p + "mlp", c.dim, c.ffn, "gelu", names=("intermediate", "output"))
            x = self.norm(self.op("Add", y, x), p + "output.LayerNorm", c.dim)
        self.op("Identity", x, to="last_hidden_state")
        self.output("last_hidden_state", "float", ["batch", "sequence", c.dim])
        return self.model({"kind": "deberta", **asdict(c)})


def build(config):
    """(model, axes)"""
    writer = Writer(config)
    return writer.write(), writer.axes
