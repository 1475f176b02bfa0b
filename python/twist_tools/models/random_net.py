"""Random nets of linear, gated, attention, convolution and concat blocks, packed and written in random ways.

`build(seed)` gives a model and, per block, which rows and columns belong to which unit: its author knows, so masks
made from it share nothing with the compiler.
"""
from .graph import Graph
from .net import Units, block
from .sampler import Sampler


class Net(Sampler):
    def __init__(self, seed):
        super().__init__(seed)
        self.g = Graph(f"random{seed}", int(self.rng.choice([13, 17, 18, 21])))
        self.axes = {}
        self.dim = int(self.rng.choice([12, 20, 24]))

    def pick(self, *choices):
        return choices[int(self.rng.integers(len(choices)))]

    # -- linear maps in several spellings; a weight's [in, out] may be stored transposed
    def linear(self, x, name, inner, out, scale=1.0, bias=None):
        """(result, rows(f), columns(f)): the latter register unit indices of the inner or outer dimension."""
        g, w = self.g, self.normal(inner, out, scale=scale * inner**-0.5)
        bias = self.pick(True, False) if bias is None else bias
        form = self.pick("matmul", "matmul", "transposed", "gemm", "gemm-t")
        flat = form.startswith("gemm")
        turned = form in ("transposed", "gemm-t")
        weight = g.weight(name + ".weight", w.T if turned else w)
        b = g.weight(name + ".bias", self.normal(out, scale=0.3)) if bias else None
        if flat:
            flat_x = g.reshape(x, -1, inner)
            y = g.op("Gemm", *([flat_x, weight] + ([b] if b else [])), transB=int(turned))
            y = g.reshape(y, g.size(x, 0), g.size(x, 1), out)
        else:
            if turned:
                weight = g.op("Transpose", weight, perm=[1, 0])
            y = g.op("MatMul", x, weight)
            if b:
                y = g.op("Add", y, b) if self.pick(True, False) else g.op("Add", b, y)
        row = (name + ".weight", 1 if turned else 0)
        column = [(name + ".weight", 0 if turned else 1)] + ([(name + ".bias", 0)] if bias else [])
        return y, row, column

    def activate(self, x):
        g, kind = self.g, self.pick("Relu", "Tanh", "Sigmoid", "silu", "gelu", "erf", "Softplus", "LeakyRelu")
        if kind == "silu":
            return g.op("Mul", x, g.op("Sigmoid", x))
        if kind == "gelu":
            return g.gelu_tanh(x)
        if kind == "erf":
            return g.gelu_erf(x)
        return g.op(kind, x)

    def norm(self, x, name):
        g, kind = self.g, self.pick("layer", "fused", "rms", "none")
        if kind == "none":
            return x
        gain = g.weight(name + ".gain", self.gain(self.dim))
        if kind == "rms":
            return g.rms_norm(x, gain, 1e-5, False)
        return g.layer_norm(x, gain, g.weight(name + ".bias", self.normal(self.dim, scale=0.3)), 1e-5,
                            kind == "fused")

    # -- blocks
    def width(self, *taken):
        """Of a hidden layer; never that of the residual or one taken, so that an axis is known by its size."""
        return self.pick(*[f for f in range(3, 17) if f not in (self.dim, *taken)])

    def mlp(self, x, name):
        f = self.width()
        units = Units("ffn", f)
        y, _, up = self.linear(x, name + ".up", self.dim, f)
        y = self.activate(y)
        y, row, _ = self.linear(y, name + ".down", f, self.dim)
        units.places = [(*at, block(0, 1)) for at in [row, *up]]
        self.axes[name] = units
        return y

    def gated(self, x, name):
        g, f = self.g, self.width()
        units, form = Units("ffn", f), self.pick("two", "split", "slices", "pairs")
        if form == "two":
            a, _, up = self.linear(x, name + ".gate", self.dim, f)
            b, _, more = self.linear(x, name + ".up", self.dim, f)
            units.places = [(*at, block(0, 1)) for at in up + more]
        else:
            both, _, up = self.linear(x, name + ".up", self.dim, 2 * f)
            if form == "split":
                a, b = g.split(both, [f, f], 2)
            elif form == "slices":
                axis = g.const([2])
                a, b = (g.op("Slice", both, g.const([s]), g.const([s + f]), axis) for s in (0, f))
            else:  # [f, 2]
                pairs = g.reshape(both, g.size(both, 0), g.size(both, 1), f, 2)
                a, b = (g.op("Gather", pairs, g.const(i), axis=3) for i in (0, 1))
            for at in up:
                units.places += [(*at, block(0, 2))] if form == "pairs" else [(*at, block(0, 1)), (*at, block(f, 1))]
        y, row, _ = self.linear(g.op("Mul", self.activate(a), b), name + ".down", f, self.dim)
        units.places.append((*row, block(0, 1)))
        self.axes[name] = units
        return y

    def attention(self, x, name):
        g = self.g
        kv, group, hd = int(self.rng.integers(2, 5)), self.pick(1, 1, 2, 3), self.pick(2, 3, 4)
        heads = kv * group
        units = Units("head" if group == 1 else "kv_group", kv)
        form = self.pick("separate", "packed", "five", "neox") if group == 1 else self.pick("separate", "packed")
        rows = g.size(x, 0), g.size(x, 1)
        widths = [heads * hd, kv * hd, kv * hd]
        own = [group * hd, hd, hd]  # columns of a unit in q, k, v
        if form == "separate":
            parts = []
            for n, width, each in zip("qkv", widths, own):
                y, _, columns = self.linear(x, f"{name}.{n}", self.dim, width, 1.4 if n != "v" else 1.0)
                parts.append(y)
                units.places += [(*at, block(0, each)) for at in columns]
        else:
            packed, _, columns = self.linear(x, name + ".qkv", self.dim, sum(widths), 1.4)
            starts = [0, widths[0], widths[0] + widths[1]]
            if form == "neox":  # [heads, 3 hd]
                units.places += [(*at, block(0, 3 * hd)) for at in columns]
                parts = g.split(g.reshape(packed, *rows, heads, 3 * hd), [hd] * 3, 3)
            else:
                units.places += [(*at, block(s, each)) for at in columns for s, each in zip(starts, own)]
            if form == "packed":
                parts = g.split(packed, widths, 2)
            elif form == "five":
                five = g.op("Transpose", g.reshape(packed, *rows, 3, heads, hd), perm=[2, 0, 3, 1, 4])
                parts = [g.op("Gather", five, g.const(i), axis=0) for i in range(3)]
        if form != "five":
            if form != "neox":
                parts = [g.reshape(p, *rows, w // hd, hd) for p, w in zip(parts, widths)]
            parts = [g.op("Transpose", p, perm=[0, 2, 1, 3]) for p in parts]
        q, k, v = parts
        if group > 1:
            def wide(t):
                t = g.op("Expand", g.unsqueeze(t, [2]), g.shape(rows[0], kv, group, rows[1], hd))
                return g.reshape(t, rows[0], heads, rows[1], hd)
            k, v = wide(k), wide(v)
        if form == "separate" and self.pick(True, False):  # a norm of each query and key
            q, k = (g.rms_norm(t, g.weight(f"{name}.{n}_norm", self.gain(hd)), 1e-5, False)
                    for t, n in ((q, "q"), (k, "k")))
        scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
        scores = g.op("Mul", scores, g.const(hd**-0.5))
        if self.pick(True, False, False):  # a bias per head
            bias = g.weight(name + ".head_bias", self.normal(1, heads, 1, 1))
            units.places.append((name + ".head_bias", 1, block(0, group)))
            scores = g.op("Add", scores, g.op("Mul", bias, g.op("Sigmoid", scores)))
        y = g.op("MatMul", g.op("Softmax", scores, axis=-1), v)
        y = g.reshape(g.op("Transpose", y, perm=[0, 2, 1, 3]), *rows, heads * hd)
        y, row, _ = self.linear(y, name + ".o", heads * hd, self.dim)
        units.places.append((*row, block(0, group * hd)))
        self.axes[name] = units
        return y

    def concat(self, x, name):
        """Branches of their own widths side by side."""
        g, parts, start = self.g, [], 0
        widths = [self.width()]
        widths.append(self.width(*widths))
        for n, f in enumerate(widths):
            y, _, up = self.linear(x, f"{name}_{n}.up", self.dim, f)
            parts.append(self.activate(y))
            self.axes[f"{name}_{n}"] = Units("ffn", f, [(*at, block(0, 1)) for at in up])
        y, row, _ = self.linear(g.op("Concat", *parts, axis=2), name + ".down", sum(widths), self.dim)
        for n, f in enumerate(widths):
            self.axes[f"{name}_{n}"].places.append((*row, block(start, 1)))
            start += f
        return y

    # -- convolutions over the sequence
    def conv(self, x, name, inner, out, kernel=1, groups=1):
        """[B, inner, S] to [B, out, S]; the places of its output channels are returned too."""
        w = self.normal(out, inner // groups, kernel, scale=(inner // groups * kernel)**-0.5)
        inputs, places = [x, self.g.weight(name + ".weight", w)], [(name + ".weight", 0, block(0, 1))]
        if self.pick(True, False):
            inputs.append(self.g.weight(name + ".bias", self.normal(out, scale=0.3)))
            places.append((name + ".bias", 0, block(0, 1)))
        pad = kernel // 2
        return self.g.op("Conv", *inputs, kernel_shape=[kernel], pads=[pad, pad], group=groups), places

    def batch_norm(self, x, name, size):
        g = self.g
        return g.op("BatchNormalization", x, g.weight(name + ".gain", self.gain(size)),
                    g.weight(name + ".bias", self.normal(size, scale=0.3)),
                    g.weight(name + ".mean", self.normal(size, scale=0.3)),
                    g.weight(name + ".variance", self.positive(size)))

    def squeeze_excite(self, x, name, f):
        """Each channel times a function of all channels' means; the places that read them."""
        g, h = self.g, self.width(f)
        y, first = self.conv(g.mean(x, 2), name + "_se.fc1", f, h)
        y, _ = self.conv(g.op("Relu", y), name + "_se.fc2", h, f)
        self.axes[name + "_se"] = Units("ffn", h, [*first, (name + "_se.fc2.weight", 1, block(0, 1))])
        return g.op("Mul", x, g.op("Sigmoid", y)), [(name + "_se.fc1.weight", 1, block(0, 1)),
                                                    (name + "_se.fc2.weight", 0, block(0, 1))]

    def convolution(self, x, name):
        g, f = self.g, self.width()
        y, places = self.conv(g.op("Transpose", x, perm=[0, 2, 1]), name + ".up", self.dim, f, self.pick(1, 3))
        for n in range(self.pick(0, 1, 1)):
            if self.pick(True, False):
                y = self.batch_norm(y, f"{name}.bn{n}", f)
            y, more = self.conv(self.activate(y), f"{name}.deep{n}", f, f, self.pick(3, 5), f)
            places += more
        if self.pick(True, False):
            y = self.batch_norm(y, name + ".bn", f)
        y, kind = self.activate(y), "ffn"
        if self.pick(True, False):  # which makes the channels once more
            y, more = self.squeeze_excite(y, name, f)
            places, kind = places + more, "channel"
        y, _ = self.conv(y, name + ".down", f, self.dim, self.pick(1, 3))
        self.axes[name] = Units(kind, f, [*places, (name + ".down.weight", 1, block(0, 1))])
        return g.op("Transpose", y, perm=[0, 2, 1])

    def build(self):
        g = self.g
        x = g.input("x", "float", ["batch", "sequence", self.dim])
        count = int(self.rng.integers(1, 4))
        for n in range(count):
            kind = self.pick("mlp", "gated", "attention", "attention", "concat", "convolution", "convolution")
            g.scope = f"/{n}/"
            y = getattr(self, kind)(self.norm(x, f"b{n}.norm"), f"b{n}.{kind}")
            # The last one is residual: a constant graph, all units removed, is none for onnxruntime.
            x = g.op("Add", x, y) if self.pick(True, True, False) or n == count - 1 else y
        g.op("Identity", x, to="y")
        g.output("y", "float", ["batch", "sequence", self.dim])
        return g.model({"kind": "random"})


def build(seed):
    """(model, axes): axes maps a block's name, the prefix of its weights, to its Units."""
    net = Net(seed)
    return net.build(), net.axes
