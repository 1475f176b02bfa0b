"""Decoders with every architecture's own packing, positions, norms and feed-forward: OPT, Qwen3, Gemma, Phi, NeoX, Falcon, BLOOM."""
from dataclasses import asdict, dataclass

import numpy as np

from .net import Net, block, strided


@dataclass
class Config:
    name: str = "opt"
    layers: int = 2
    dim: int = 16
    heads: int = 4
    kv_heads: int = 0       # 0: heads
    width: int = 4          # of a head
    ffn: int = 20
    vocab: int = 31
    context: int = 16
    seed: int = 0
    form: str = "legacy"
    opset: int = 0
    norm: str = "layer"     # layer | rms | rms1
    pack: str = "separate"  # separate | heads (NeoX [H, 3w]) | triple (BLOOM [H, 3, w]) | groups (Falcon [KV, G+2, w])
    positions: str = "rope"  # rope | learned | alibi
    rotary: int = 0         # rotated part of a head; 0: all
    act: str = "gelu"
    gated: bool = False
    bias: bool = True
    parallel: str = ""      # "": after each other | one | two (norms, of attention and feed-forward side by side)
    qk_norm: bool = False
    after: bool = False     # a norm after attention and feed-forward too
    cap: float = 0.0        # softcap of scores; final logits have 30
    merged: bool = False    # batch · heads in one dimension, by bmm
    scaled: bool = False    # embedding times √dim
    window: int = 0         # keys a query sees in every other layer, from the first; 0: all

    def __post_init__(self):
        self.kv_heads = self.kv_heads or self.heads
        self.rotary = self.rotary or self.width
        if self.heads % self.kv_heads:
            raise ValueError("heads is no multiple of kv_heads")


PRESETS = {
    "opt": Config("opt", positions="learned", act="Relu", merged=True, opset=14),
    "qwen3": Config("qwen3", kv_heads=2, width=6, norm="rms", act="silu", gated=True, bias=False, qk_norm=True,
                    form="dynamo"),
    "gemma": Config("gemma", kv_heads=2, width=6, norm="rms1", act="gelu_tanh", gated=True, bias=False, after=True,
                    cap=50.0, scaled=True, window=3),
    "phi": Config("phi", width=8, rotary=4, act="gelu_tanh", parallel="one", form="dynamo"),
    "neox": Config("neox", pack="heads", width=8, rotary=4, parallel="two"),
    "falcon": Config("falcon", heads=6, kv_heads=2, pack="groups", bias=False, parallel="one", form="dynamo"),
    "falcon_mqa": Config("falcon_mqa", kv_heads=1, pack="groups", bias=False, parallel="one"),
    "bloom": Config("bloom", pack="triple", positions="alibi", act="gelu_tanh"),
}


class Writer(Net):
    def __init__(self, config):
        super().__init__(config.name, config.form, config.seed, config.opset or None)
        self.c = config

    # -- positions
    def tables(self, positions):
        """cos and sin of the positions, [B, 1, S, rotary]."""
        c = self.c
        angle = np.outer(np.arange(c.context), 100.0 ** (-np.arange(0, c.rotary, 2) / c.rotary))
        angle = np.concatenate([angle, angle], 1)
        return [self.unsqueeze(self.op("Gather", self.weight(n, f(angle)), positions, axis=0), [1])
                for n, f in (("rope.cos", np.cos), ("rope.sin", np.sin))]

    def rotate(self, x):
        """x: [B, H, S, w]; its first `rotary` elements turn."""
        cos, sin = self.cos_sin
        half, rest = self.c.rotary // 2, None
        if self.c.rotary < self.c.width:
            end, axis = self.const([np.iinfo(np.int64).max]), self.const([3])
            cut = self.const([self.c.rotary])
            rest = self.op("Slice", x, cut, end, axis)
            x = self.op("Slice", x, self.const([0]), cut, axis)
        axis = self.const([3])
        low = self.op("Slice", x, self.const([0]), self.const([half]), axis)
        high = self.op("Slice", x, self.const([half]), self.const([np.iinfo(np.int64).max]), axis)
        turned = self.op("Concat", self.op("Neg", high), low, axis=-1)
        y = self.op("Add", self.op("Mul", x, cos), self.op("Mul", turned, sin))
        return self.op("Concat", y, rest, axis=-1) if rest else y

    def alibi(self, padding):
        """slope · position: [B, H, 1, S]."""
        c = self.c
        at = self.op("Sub", self.op("CumSum", padding, self.const(-1)), self.const(1))
        at = self.cast(self.op("Mul", at, padding))
        slopes = self.weight("alibi.slopes", 2.0 ** -np.arange(1, c.heads + 1))
        wide = self.op("Mul", self.unsqueeze(slopes, [1]), self.unsqueeze(at, [1]))
        return self.unsqueeze(wide, [2])

    # -- attention
    def project(self, x, p):
        """q [B, H, S, w] and k, v [B, KV, S, w], or with `pack` groups all of H."""
        c, (b, s) = self.c, self.rows_of
        if c.pack == "separate":
            def one(kind, heads):
                y = self.dense(x, p + kind + "_proj", c.dim, heads * c.width, c.bias, 1.0 if kind == "v" else 1.4)
                if c.merged and kind == "q":
                    y = self.op("Mul", y, self.const(c.width**-0.5))
                y = self.reshape(y, b, s, heads, c.width)
                if c.qk_norm and kind != "v":
                    y = self.norm(y, p + kind + "_norm", c.width, "rms")
                return self.op("Transpose", y, perm=[0, 2, 1, 3])
            return one("q", c.heads), one("k", c.kv_heads), one("v", c.kv_heads)
        count = (c.heads // c.kv_heads + 2) * c.kv_heads if c.pack == "groups" else 3 * c.heads
        packed = self.dense(x, p + "query_key_value", c.dim, count * c.width, c.bias, 1.3)
        if c.pack == "heads":
            packed = self.reshape(packed, b, s, c.heads, 3 * c.width)
            axis = self.const([3])
            parts = [self.op("Slice", packed, self.const([i * c.width]), self.const([(i + 1) * c.width]), axis)
                     for i in range(3)]
        elif c.pack == "triple":
            packed = self.reshape(packed, b, s, c.heads, 3, c.width)
            parts = [self.op("Gather", packed, self.const(i), axis=3) for i in range(3)]
        else:
            return self.project_groups(packed)
        return [self.op("Transpose", y, perm=[0, 2, 1, 3]) for y in parts]

    def project_groups(self, packed):
        """Falcon: the last two of a group's heads are its key and value, repeated for each query."""
        c, (b, s) = self.c, self.rows_of
        queries = c.heads // c.kv_heads
        packed = self.reshape(packed, b, s, c.kv_heads, queries + 2, c.width)
        axis = self.const([3])
        q = self.op("Slice", packed, self.const([0]), self.const([-2]), axis)
        wide = self.shape(b, s, c.kv_heads, queries, c.width)
        k, v = (self.op("Expand", self.op("Gather", packed, self.const([i]), axis=3), wide) for i in (-2, -1))
        return [self.split_heads(y, b, s, c.heads, c.width) for y in (q, k, v)]

    def repeat(self, x):
        """Each key or value head for its group of queries."""
        c, (b, s) = self.c, self.rows_of
        group = c.heads // c.kv_heads
        if group == 1 or c.pack == "groups":
            return x
        wide = self.op("Expand", self.unsqueeze(x, [2]), self.shape(b, c.kv_heads, group, s, c.width))
        return self.reshape(wide, b, c.heads, s, c.width)

    def merged_attention(self, q, k, v):
        """OPT: [batch · heads, S, w]; the mask is added in four dimensions."""
        c, (b, s) = self.c, self.rows_of
        bh = self.op("Mul", self.scalar(b), self.const(c.heads))
        q, k, v = (self.reshape(x, bh, s, c.width) for x in (q, k, v))
        scores = self.op("MatMul", q, self.op("Transpose", k, perm=[0, 2, 1]))
        scores = self.op("Add", self.reshape(scores, b, c.heads, s, s), self.bias)
        scores = self.op("Max", scores, self.const(float(np.finfo(np.float32).min)))
        weights = self.op("Softmax", self.reshape(scores, bh, s, s), axis=-1)
        return self.reshape(self.op("MatMul", weights, v), b, c.heads, s, c.width)

    def attention(self, x, p):
        c, (b, s) = self.c, self.rows_of
        q, k, v = self.project(x, p)
        if c.positions == "rope":
            q, k = self.rotate(q), self.rotate(k)
        if c.merged:
            y = self.merged_attention(q, k, v)
        else:
            y = self.attend(q, self.repeat(k), self.repeat(v), c.width, None, self.bias, c.cap)
        group, out = c.heads // c.kv_heads, p + "o_proj"
        # A single key/value head is shared by all queries, which are then the heads.
        if c.kv_heads > 1:
            self.unit(p + "heads", "head" if group == 1 else "kv_group", c.kv_heads,
                      self.rows(out, block(0, group * c.width)))
        if group > 1:
            self.unit(p + "queries", "query_group" if c.kv_heads > 1 else "head", group,
                      self.rows(out, strided(c.kv_heads, group, c.width)))
        if c.pack in ("separate", "heads"):  # else one factor of the packed weight for q, k and v
            self.unit(p + "v", "v", c.width, self.rows(out, strided(c.heads, c.width)))
        return self.dense(self.join_heads(y, b, s, c.heads * c.width), out, c.heads * c.width, c.dim, c.bias)

    # -- the whole
    def feed_forward(self, x, p):
        c = self.c
        if c.gated:
            return self.gated_mlp(x, p + "mlp", c.dim, c.ffn, c.act)
        return self.mlp(x, p + "mlp", c.dim, c.ffn, c.act, c.bias)

    def layer(self, x, n):
        c, p = self.c, f"layers.{n}."
        self.scope = f"/layers.{n}/"
        y = self.norm(x, p + "input_norm", c.dim, c.norm)
        a = self.attention(y, p + "self_attn.")
        if c.parallel:
            if c.parallel == "two":
                y = self.norm(x, p + "post_norm", c.dim, c.norm)
            return self.op("Add", self.op("Add", a, self.feed_forward(y, p)), x)
        if c.after:
            a = self.norm(a, p + "after_attention", c.dim, c.norm)
        x = self.op("Add", x, a)
        y = self.feed_forward(self.norm(x, p + "post_norm", c.dim, c.norm), p)
        if c.after:
            y = self.norm(y, p + "after_mlp", c.dim, c.norm)
        return self.op("Add", x, y)

    def embed(self, ids, padding):
        c = self.c
        self.embedding = self.weight("embed_tokens.weight", self.normal(c.vocab, c.dim, scale=0.7))
        x = self.op("Gather", self.embedding, ids, axis=0)
        if c.scaled:
            x = self.op("Mul", x, self.const(c.dim**0.5))
        if c.positions == "learned":  # counted among the tokens that are no padding, two rows further
            at = self.op("Mul", self.op("CumSum", padding, self.const(1)), padding)
            at = self.op("Add", self.op("Sub", at, self.const(1)), self.const(2))
            table = self.weight("embed_positions.weight", self.normal(c.context + 2, c.dim, scale=0.5))
            x = self.op("Add", x, self.op("Gather", table, at, axis=0))
        if c.positions == "alibi":
            x = self.norm(x, "embed_norm", c.dim)
        return x

    def write(self):
        c = self.c
        ids = self.input("input_ids", np.int64, ["batch", "sequence"])
        padding = self.input("attention_mask", np.int64, ["batch", "sequence"])
        self.scope = "/"
        self.rows_of = self.size(ids, 0), self.size(ids, 1)
        x = self.embed(ids, padding)
        biases = [self.causal_bias(self.rows_of[1], padding, c.window)]
        if c.window:
            biases.append(self.causal_bias(self.rows_of[1], padding))
        if c.positions == "alibi":
            biases[0] = self.op("Add", self.alibi(padding), biases[0])
        if c.positions == "rope":
            end = self.scalar(self.rows_of[1])
            self.cos_sin = self.tables(self.unsqueeze(self.op("Range", self.const(0), end, self.const(1)), [0]))
        for n in range(c.layers):
            self.bias = biases[n % len(biases)]
            x = self.layer(x, n)
        self.scope = "/"
        x = self.norm(x, "final_norm", c.dim, c.norm)
        logits = self.op("MatMul", x, self.op("Transpose", self.embedding, perm=[1, 0]))
        self.op("Identity", self.softcap(logits, 30.0) if c.cap else logits, to="logits")
        self.output("logits", "float", ["batch", "sequence", c.vocab])
        return self.model({"kind": "decoder", **asdict(c)})


def build(config):
    """(model, axes) of a Config or a preset's name."""
    writer = Writer(PRESETS[config] if isinstance(config, str) else config)
    return writer.write(), writer.axes
