"""Vision transformers: ViT, and Swin with its shifted windows, relative bias and merged patches."""
from dataclasses import asdict, dataclass

import numpy as np

from .net import Net, block, strided


@dataclass
class Config:
    name: str = "vit"       # vit | swin
    layers: int = 2         # swin: stages of two blocks, the second shifted
    dim: int = 16           # swin: of the first stage; each has twice as many
    heads: int = 4
    ffn: int = 20
    image: int = 16
    patch: int = 4
    window: int = 2
    classes: int = 7
    seed: int = 0
    form: str = "legacy"


class Writer(Net):
    def __init__(self, config):
        super().__init__(config.name, config.form, config.seed)
        self.c = config

    def patches(self, x):
        """[B, C, h, w] by a convolution as wide as its stride."""
        c = self.c
        weight = self.normal(c.dim, 3, c.patch, c.patch, scale=(3 * c.patch**2)**-0.5)
        return self.op("Conv", x, self.weight("patch.weight", weight),
                       self.weight("patch.bias", self.normal(c.dim, scale=0.3)), kernel_shape=[c.patch] * 2,
                       strides=[c.patch] * 2, pads=[0] * 4, group=1, dilations=[1, 1])

    def rows_first(self, x, dim):
        """[B, C, h, w] as [B, h · w, C]."""
        side = self.c.image // self.c.patch
        return self.op("Transpose", self.reshape(x, self.batch, dim, side * side), perm=[0, 2, 1])

    def project(self, x, p, batch, length, dim, heads):
        def one(kind):
            return self.split_heads(self.dense(x, p + kind, dim, dim, True, 1.4), batch, length, heads, dim // heads)
        return [one(kind) for kind in ("query", "key", "value")]

    def note_heads(self, p, dim, heads):
        self.unit(p + "heads", "head", heads, self.rows(p + "output", block(0, dim // heads)))
        self.unit(p + "v", "v", dim // heads, self.rows(p + "output", strided(heads, dim // heads)))

    # -- ViT
    def vit(self, x):
        c, length = self.c, (self.c.image // self.c.patch)**2 + 1
        x = self.rows_first(self.patches(x), c.dim)
        token = self.weight("cls_token", self.normal(1, 1, c.dim))
        token = self.op("Expand", token, self.shape(self.batch, 1, c.dim))
        x = self.op("Concat", token, x, axis=1)
        x = self.op("Add", x, self.weight("position_embeddings", self.normal(1, length, c.dim, scale=0.5)))
        for n in range(c.layers):
            p = f"layer.{n}.attention."
            self.scope = f"/layer.{n}/"
            y = self.norm(x, f"layer.{n}.before", c.dim)
            q, k, v = self.project(y, p, self.batch, length, c.dim, c.heads)
            y = self.join_heads(self.attend(q, k, v, c.dim // c.heads), self.batch, length, c.dim)
            self.note_heads(p, c.dim, c.heads)
            x = self.op("Add", self.dense(y, p + "output", c.dim, c.dim), x)
            y = self.norm(x, f"layer.{n}.after", c.dim)
            y = self.mlp(y, f"layer.{n}.mlp", c.dim, c.ffn, "gelu", names=("intermediate", "output"))
            x = self.op("Add", y, x)
        x = self.op("Gather", self.norm(x, "layernorm", c.dim), self.const(0), axis=1)
        return self.gemm(x, "classifier", c.dim, c.classes)

    # -- Swin
    def roll(self, x, shift):
        """Rows and columns moved round by `shift`: torch.roll as slices put together again."""
        for axis in (1, 2):
            at, axes = self.const([-shift]), self.const([axis])
            tail = self.op("Slice", x, at, self.const([np.iinfo(np.int64).max]), axes)
            x = self.op("Concat", tail, self.op("Slice", x, self.const([0]), at, axes), axis=axis)
        return x

    def windows(self, x, side, dim):
        w, count = self.c.window, side // self.c.window
        x = self.op("Transpose", self.reshape(x, self.batch, count, w, count, w, dim), perm=[0, 1, 3, 2, 4, 5])
        return self.reshape(x, -1, w * w, dim)

    def unwindowed(self, x, side, dim):
        w, count = self.c.window, side // self.c.window
        x = self.op("Transpose", self.reshape(x, self.batch, count, count, w, w, dim), perm=[0, 1, 3, 2, 4, 5])
        return self.reshape(x, self.batch, side, side, dim)

    def relative(self, p, heads):
        """[1, H, N, N]: a table's rows picked by the distance of two places of a window."""
        w = self.c.window
        at = np.stack(np.meshgrid(np.arange(w), np.arange(w), indexing="ij")).reshape(2, -1)
        far = at[:, :, None] - at[:, None, :] + w - 1
        index = (far[0] * (2 * w - 1) + far[1]).reshape(-1)
        table = self.weight(p + "relative_position_bias_table", self.normal((2 * w - 1)**2, heads))
        bias = self.reshape(self.op("Gather", table, self.const(index), axis=0), w * w, w * w, heads)
        return self.unsqueeze(self.op("Transpose", bias, perm=[2, 0, 1]), [0])

    def shifted_mask(self, p, side, shift):
        """[windows, N, N]: places that were no neighbours do not see each other."""
        w = self.c.window
        region = np.zeros((side, side))
        cuts = (slice(0, -w), slice(-w, -shift), slice(-shift, None))
        for n, (rows, columns) in enumerate((r, c) for r in cuts for c in cuts):
            region[rows, columns] = n
        region = region.reshape(side // w, w, side // w, w).transpose(0, 2, 1, 3).reshape(-1, w * w)
        return self.weight(p + "attn_mask", np.where(region[:, :, None] == region[:, None, :], 0.0, -100.0))

    def swin_block(self, x, p, side, dim, heads, shift):
        c, n, count = self.c, self.c.window**2, (side // self.c.window)**2
        y = self.reshape(self.norm(x, p + "before", dim), self.batch, side, side, dim)
        y = self.windows(self.roll(y, -shift) if shift else y, side, dim)
        many, a = self.size(y, 0), p + "attention."
        q, k, v = self.project(y, a, many, n, dim, heads)
        scores = self.op("MatMul", q, self.op("Transpose", k, perm=[0, 1, 3, 2]))
        scores = self.op("Div", scores, self.const(float(dim // heads)**0.5))
        scores = self.op("Add", scores, self.relative(p, heads))
        if shift:
            mask = self.unsqueeze(self.shifted_mask(p, side, shift), [1, 0])
            scores = self.op("Add", self.reshape(scores, self.batch, count, heads, n, n), mask)
            scores = self.reshape(scores, -1, heads, n, n)
        y = self.op("MatMul", self.op("Softmax", scores, axis=-1), v)
        y = self.dense(self.join_heads(y, many, n, dim), a + "output", dim, dim)
        self.note_heads(a, dim, heads)
        y = self.unwindowed(y, side, dim)
        y = self.roll(y, shift) if shift else y
        x = self.op("Add", x, self.reshape(y, self.batch, side * side, dim))
        y = self.mlp(self.norm(x, p + "after", dim), p + "mlp", dim, c.ffn, "gelu", names=("intermediate", "output"))
        return self.op("Add", x, y)

    def merged(self, x, p, side, dim):
        """Four neighbours side by side, then half as wide."""
        x = self.reshape(x, self.batch, side, side, dim)
        end, two, parts = self.const([np.iinfo(np.int64).max]), self.const([2]), []
        for row, column in ((0, 0), (1, 0), (0, 1), (1, 1)):
            y = self.op("Slice", x, self.const([row]), end, self.const([1]), two)
            parts.append(self.op("Slice", y, self.const([column]), end, self.const([2]), two))
        x = self.reshape(self.op("Concat", *parts, axis=-1), self.batch, side * side // 4, 4 * dim)
        return self.dense(self.norm(x, p + "norm", 4 * dim), p + "reduction", 4 * dim, 2 * dim, False)

    def swin(self, x):
        c, dim, side, heads = self.c, self.c.dim, self.c.image // self.c.patch, self.c.heads
        x = self.norm(self.rows_first(self.patches(x), dim), "patch.norm", dim)
        for stage in range(c.layers):
            for n in range(2):
                self.scope = f"/layers.{stage}/blocks.{n}/"
                shift = c.window // 2 if n and side > c.window else 0
                x = self.swin_block(x, f"layers.{stage}.blocks.{n}.", side, dim, heads, shift)
            if stage < c.layers - 1:
                x = self.merged(x, f"layers.{stage}.downsample.", side, dim)
                dim, side = 2 * dim, side // 2
        x = self.norm(x, "layernorm", dim)
        x = self.op("GlobalAveragePool", self.op("Transpose", x, perm=[0, 2, 1]))
        return self.gemm(self.op("Flatten", x, axis=1), "classifier", dim, c.classes)

    def write(self):
        c = self.c
        x = self.input("pixel_values", "float", ["batch", 3, c.image, c.image])
        self.batch = self.size(x, 0)
        y = self.swin(x) if c.name == "swin" else self.vit(x)
        self.op("Identity", y, to="logits")
        self.output("logits", "float", ["batch", c.classes])
        return self.model({"kind": "vision", **asdict(c)})


def build(config):
    """(model, axes)"""
    writer = Writer(config)
    return writer.write(), writer.axes
