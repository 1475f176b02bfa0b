"""T5 v1.1: encoder and decoder, bucketed relative bias per head, gated feed-forward, unscaled attention."""
from dataclasses import asdict, dataclass

import numpy as np

from .net import Net, block, strided


@dataclass
class Config:
    layers: int = 2         # of the encoder, and of the decoder
    dim: int = 16
    heads: int = 4
    width: int = 6          # of a head
    vocab: int = 31
    ffn: int = 20
    buckets: int = 8
    longest: int = 16
    seed: int = 0
    form: str = "legacy"


class Writer(Net):
    def __init__(self, config):
        super().__init__("t5", config.form, config.seed)
        self.c = config

    def bucket(self, far, both_ways):
        """Of each distance (key - query): half of the buckets exact, the others logarithmic."""
        c, count = self.c, self.c.buckets
        start = self.const(0)
        if both_ways:
            count //= 2
            after = self.cast(self.op("Greater", far, self.const(0)), np.int64)
            start = self.op("Mul", after, self.const(count))
            far = self.op("Abs", far)
        else:
            far = self.op("Neg", self.op("Min", far, self.const(0)))
        exact = count // 2
        ratio = self.op("Log", self.op("Div", self.cast(far), self.const(float(exact))))
        ratio = self.op("Div", ratio, self.const(float(np.log(c.longest / exact))))
        large = self.cast(self.op("Mul", ratio, self.const(float(count - exact))), np.int64)
        large = self.op("Min", self.op("Add", large, self.const(exact)), self.const(count - 1))
        return self.op("Add", start, self.op("Where", self.op("Less", far, self.const(exact)), far, large))

    def relative_bias(self, name, length, both_ways):
        """[1, H, S, S]; the first layer's, used by all."""
        at = self.op("Range", self.const(0), self.scalar(length), self.const(1))
        far = self.op("Sub", self.unsqueeze(at, [0]), self.unsqueeze(at, [1]))
        table = self.weight(name, self.normal(self.c.buckets, self.c.heads))
        bias = self.op("Gather", table, self.bucket(far, both_ways), axis=0)
        return self.unsqueeze(self.op("Transpose", bias, perm=[2, 0, 1]), [0])

    def attention(self, x, memory, p, lengths, bias):
        c, b = self.c, self.batch
        inner, out = c.heads * c.width, p + "o"

        def project(y, kind, length, scale):
            return self.split_heads(self.dense(y, p + kind, c.dim, inner, False, scale), b, length, c.heads, c.width)

        q = project(x, "q", lengths[0], 0.8)
        k, v = project(memory, "k", lengths[1], 0.8), project(memory, "v", lengths[1], 1)
        y = self.join_heads(self.attend(q, k, v, c.width, 1.0, bias), b, lengths[0], inner)
        self.unit(p + "heads", "head", c.heads, self.rows(out, block(0, c.width)))
        self.unit(p + "v", "v", c.width, self.rows(out, strided(c.heads, c.width)))
        return self.dense(y, out, inner, c.dim, False)

    def stack(self, name, x, length, bias, memory=None):
        c = self.c
        for n in range(c.layers):
            p = f"{name}.block.{n}."
            self.scope = f"/{name}/block.{n}/"
            y = self.norm(x, p + "SelfAttention.norm", c.dim, "rms")
            x = self.op("Add", x, self.attention(y, y, p + "SelfAttention.", (length, length), bias))
            if memory:
                y = self.norm(x, p + "EncDecAttention.norm", c.dim, "rms")
                lengths = (length, memory[1])
                x = self.op("Add", x, self.attention(y, memory[0], p + "EncDecAttention.", lengths, memory[2]))
            y = self.norm(x, p + "DenseReluDense.norm", c.dim, "rms")
            x = self.op("Add", x, self.gated_mlp(y, p + "DenseReluDense", c.dim, c.ffn, "gelu_tanh",
                                                 ("wi_0", "wi_1", "wo")))
        self.scope = "/"
        return self.norm(x, name + ".final_layer_norm", c.dim, "rms")

    def write(self):
        c = self.c
        ids = self.input("input_ids", np.int64, ["batch", "encoder_sequence"])
        mask = self.input("attention_mask", np.int64, ["batch", "encoder_sequence"])
        target = self.input("decoder_input_ids", np.int64, ["batch", "decoder_sequence"])
        self.batch, length, steps = self.size(ids, 0), self.size(ids, 1), self.size(target, 1)
        table = self.weight("shared.weight", self.normal(c.vocab, c.dim))
        off = self.op("Sub", self.const(1.0), self.cast(self.unsqueeze(mask, [1, 2])))
        padding = self.op("Mul", off, self.const(float(np.finfo(np.float32).min)))
        bias = self.relative_bias("encoder.relative_attention_bias.weight", length, True)
        x = self.stack("encoder", self.op("Gather", table, ids, axis=0), length, self.op("Add", bias, padding))
        bias = self.relative_bias("decoder.relative_attention_bias.weight", steps, False)
        bias = self.op("Add", bias, self.causal_bias(steps))
        y = self.stack("decoder", self.op("Gather", table, target, axis=0), steps, bias, (x, length, padding))
        head = self.matrix("lm_head.weight", c.dim, c.vocab)
        self.op("MatMul", y, head, to="logits")
        self.output("logits", "float", ["batch", "decoder_sequence", c.vocab])
        return self.model({"kind": "t5", **asdict(c)})


def build(config):
    """(model, axes)"""
    writer = Writer(config)
    return writer.write(), writer.axes
