"""One layer of attention and feed-forward in the forms that runtimes' optimisers and builders write.

Every weight is random and every head different, so that a wrong head shows. `zero` masks a model by hand: it knows
the layouts written here and shares no code with the compiler.
"""
import numpy as np
import onnx
from onnx import numpy_helper

from .graph import Graph

DIM, HEADS, WIDTH, FFN, VOCAB, CONTEXT = 24, 4, 16, 20, 31, 32
MS = "com.microsoft"


class Net(Graph):
    """Weights by name: q, k, v and o or qkv and o; up (gate) and down. [in, out] throughout."""

    def __init__(self, opset=21):
        super().__init__("fused", opset)
        self.random, self.layout, self.used = np.random.default_rng(5), {}, set()

    def normal(self, name, *shape):
        return self.weight(name, self.random.standard_normal(shape) * .6 * shape[0] ** -.5 if len(shape) > 1
                           else self.random.standard_normal(shape))

    def ms(self, kind, *inputs, **kwargs):
        self.used.add(MS)
        return self.op(kind, *inputs, domain=MS, **kwargs)

    def project(self, x, name, columns, bias=True):
        y = self.op("MatMul", x, self.normal(name, DIM, columns))
        return self.op("Add", y, self.normal(name + "_bias", columns)) if bias else y

    def ffn(self, x, gelu):
        """`gelu`: the name of the fused activation."""
        h = self.op("MatMul", x, self.normal("up", DIM, FFN))
        h = self.ms(gelu, h, self.normal("up_bias", FFN)) if gelu in ("BiasGelu", "FastGelu") else self.ms(gelu, h)
        self.layout["ffn"] = [("up", 1, None), ("up_bias", 0, None), ("down", 0, None)]
        return self.op("MatMul", h, self.normal("down", FFN, DIM))

    def heads(self, kind="head", width=WIDTH, value_width=None, group=1, packed=None, bias=True, past=False):
        """How units of attention lie in the weights: name, dimension, unit to indices."""
        value_width, groups = value_width or width, HEADS // group
        sizes = {"q": HEADS * width, "k": groups * width, "v": groups * value_width}
        start = dict(zip("qkv", np.cumsum([0, *sizes.values()])))

        def parts(name, indices):
            """In the separate or the packed weight and its bias."""
            at = packed or name
            offset = start[name] if packed else 0
            rows = [(at, 1, lambda u: offset + np.asarray(indices(u)))]
            return rows + ([(at + "_bias", 0, rows[0][2])] if bias else [])

        def columns(count, wide):
            return lambda u: range(u * count * wide, (u + 1) * count * wide)

        def within(heads, wide):
            return lambda u: [h * wide + u for h in range(heads)]
        self.layout[kind] = [*parts("q", columns(group, width)), *parts("k", columns(1, width)),
                             *parts("v", columns(1, value_width)), ("o", 0, columns(group, value_width))]
        self.layout["qk"] = [*parts("q", within(HEADS, width)), *parts("k", within(groups, width))]
        self.layout["v"] = [*parts("v", within(groups, value_width)), ("o", 0, within(HEADS, value_width))]

    def finish(self, y, shape=("batch", "sequence", DIM)):
        self.nodes[-1].output[0] = "y" if self.nodes[-1].output[0] == y else self.nodes[-1].output[0]
        if self.nodes[-1].output[0] != "y":
            self.op("Identity", y, to="y")
        self.outputs.insert(0, onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape))
        model = self.model({"kind": "fused"})
        for domain in self.used:
            model.opset_import.append(onnx.helper.make_opsetid(domain, 1))
        return model

    def hidden(self):
        return self.input("x", "float", ["batch", "sequence", DIM])

    def cache(self, groups, width, names=("key", "value")):
        for name in names:
            self.input(f"past_{name}", "float", ["batch", groups, "past", width])
            self.output(f"present_{name}", "float", ["batch", groups, "total", width])


def tables(n, half):
    angle = np.outer(np.arange(CONTEXT), 100. ** (-np.arange(half) / half))
    return n.weight("cos", np.cos(angle)), n.weight("sin", np.sin(angle))


def skip_norm(n, x, y, name, bias=True):
    extra = [n.normal(name + "_skip", DIM)] if bias else []
    return n.ms("SkipLayerNormalization", y, x, n.normal(name, DIM), n.normal(name + "_beta", DIM), *extra, epsilon=1e-5)


def bert(n):
    """As the transformer optimiser writes BERT: ids, packed Attention with a mask, BiasGelu, SkipLayerNormalization."""
    ids, mask = (n.input(i, np.int32, ["batch", "sequence"]) for i in ("input_ids", "attention_mask"))
    tokens = n.input("token_type_ids", np.int32, ["batch", "sequence"])
    table = [n.normal(w, rows, DIM) for w, rows in (("words", VOCAB), ("places", CONTEXT), ("kinds", 2))]
    x, _ = n.ms("EmbedLayerNormalization", ids, tokens, *table, n.normal("e", DIM), n.normal("e_beta", DIM),
                outputs=2, epsilon=1e-5)
    y = n.ms("Attention", x, n.normal("qkv", DIM, 3 * HEADS * WIDTH), n.normal("qkv_bias", 3 * HEADS * WIDTH), mask,
             num_heads=HEADS)
    n.heads(packed="qkv")
    x = skip_norm(n, x, n.op("MatMul", y, n.normal("o", HEADS * WIDTH, DIM)), "a")
    return n.finish(skip_norm(n, x, n.ffn(x, "BiasGelu"), "f"))


def gpt(n):
    """As it writes GPT-2: one packed state, causal Attention, FastGelu."""
    x = n.hidden()
    n.input("past", "float", [2, "batch", HEADS, "past", WIDTH])
    n.output("present", "float", [2, "batch", HEADS, "total", WIDTH])
    h = n.op("LayerNormalization", x, n.normal("n", DIM), n.normal("n_beta", DIM))
    y, _ = n.ms("Attention", h, n.normal("qkv", DIM, 3 * HEADS * WIDTH), n.normal("qkv_bias", 3 * HEADS * WIDTH), "",
                "past", num_heads=HEADS, unidirectional=1, to=[n.scope + "attention", "present"])
    n.heads(packed="qkv")
    n.layout["qkv"] = n.layout.pop("qk") + n.layout.pop("v")
    y = n.op("MatMul", y, n.normal("o", HEADS * WIDTH, DIM))
    h, _, _, x = n.ms("SkipLayerNormalization", y, x, n.normal("m", DIM), n.normal("m_beta", DIM), n.normal("o_bias", DIM),
                      outputs=4)
    return n.finish(n.op("Add", n.ffn(h, "FastGelu"), x))


def narrow(n):
    """Attention with values of another width than keys, and a scale."""
    x = n.hidden()
    y = n.ms("Attention", x, n.normal("qkv", DIM, HEADS * (6 + 6 + 10)), n.normal("qkv_bias", HEADS * 22), num_heads=HEADS,
             qkv_hidden_sizes=[HEADS * 6, HEADS * 6, HEADS * 10])
    n.heads(width=6, value_width=10, packed="qkv")
    return n.finish(n.op("MatMul", y, n.normal("o", HEADS * 10, DIM)))


def heads_of_runtime(n, rotary=False):
    """MultiHeadAttention with its bias inside, or behind a RotaryEmbedding."""
    x = n.hidden()
    q, k, v = (n.project(x, w, HEADS * WIDTH, bias=False) for w in "qkv")
    n.heads(bias=False)
    if rotary:
        n.input("positions", np.int64, ["batch", "sequence"])
        q, k = (n.ms("RotaryEmbedding", z, "positions", *tables(n, 4), num_heads=HEADS, rotary_embedding_dim=8)
                for z in (q, k))
        y = n.ms("MultiHeadAttention", q, k, v, num_heads=HEADS, unidirectional=1)
        turn(n.layout)
    else:
        y = n.ms("MultiHeadAttention", q, k, v, n.normal("qkv_bias", 3 * HEADS * WIDTH), num_heads=HEADS)
        n.layout |= {kind: rows + inner_bias(rows) for kind, rows in n.layout.items()}
    return n.finish(n.op("Add", n.op("MatMul", y, n.normal("o", HEADS * WIDTH, DIM)), x))


def inner_bias(rows):
    """q, k and v have their thirds of one bias."""
    third = {w: i * HEADS * WIDTH for i, w in enumerate("qkv")}
    return [("qkv_bias", 0, lambda u, f=f, w=w: third[w] + np.asarray(f(u))) for w, _, f in rows if w in third]


def turn(layout, turned=8, interleaved=False):
    """Units of q and k are pairs of neighbours or by halves; what is not turned is another axis, told by its size."""
    def pairs(f):
        return lambda u: [*f(2 * u), *f(2 * u + 1)] if interleaved else [*f(u), *f(u + turned // 2)]
    rows = layout["qk"]
    layout[f"qk:{WIDTH - turned}"] = [(w, d, lambda u, f=f: f(turned + u)) for w, d, f in rows]
    layout["qk"] = [(w, d, pairs(f)) for w, d, f in rows]


def groups(n, packed=True):
    """As builders write Llama: packed GroupQueryAttention with a cache and rotation, SkipSimplifiedLayerNormalization."""
    x, kv = n.hidden(), HEADS // 2
    for name in ("seqlens_k", "total"):
        n.input(name, np.int32, ["batch"] if name == "seqlens_k" else [])
    n.cache(kv, WIDTH)
    h = n.op("SimplifiedLayerNormalization", x, n.normal("n", DIM), axis=-1, epsilon=1e-5)
    sizes = {"q": HEADS * WIDTH, "k": kv * WIDTH, "v": kv * WIDTH}
    if packed:
        qkv = [n.project(h, "qkv", sum(sizes.values()), bias=False), "", ""]
    else:
        qkv = [n.project(h, w, c, bias=False) for w, c in sizes.items()]
    y, _, _ = n.ms("GroupQueryAttention", *qkv, "past_key", "past_value", "seqlens_k", "total", *tables(n, WIDTH // 2),
                   num_heads=HEADS, kv_num_heads=kv, do_rotary=1, to=[n.scope + "attention", "present_key", "present_value"])
    n.heads("kv_group", group=2, packed="qkv" if packed else None, bias=False)
    del n.layout["qk"], n.layout["v"]
    n.layout["query_group"] = [("q" if not packed else "qkv", 1, query_columns), ("o", 0, query_columns)]
    y = n.op("MatMul", y, n.normal("o", HEADS * WIDTH, DIM))
    h, _, _, x = n.ms("SkipSimplifiedLayerNormalization", y, x, n.normal("m", DIM), outputs=4, epsilon=1e-5)
    gate = n.ms("QuickGelu", n.op("MatMul", h, n.normal("gate", DIM, FFN)), alpha=1.0)
    h = n.op("Mul", gate, n.op("MatMul", h, n.normal("up", DIM, FFN)))
    n.layout["ffn"] = [("up", 1, None), ("gate", 1, None), ("down", 0, None)]
    return n.finish(n.op("Add", n.op("MatMul", h, n.normal("down", FFN, DIM)), x))


def query_columns(unit):
    """One of the two query heads of every group."""
    return [(g * 2 + unit) * WIDTH + i for g in range(HEADS // 2) for i in range(WIDTH)]


def standard(n, rank=3, group=1, causal=False, past=False, mask=None, **attributes):
    """ONNX's own Attention."""
    x, kv = n.hidden(), HEADS // group
    q = n.project(x, "q", HEADS * 6)
    k, v = n.project(x, "k", kv * 6), n.project(x, "v", kv * 10)
    n.heads("kv_group" if group > 1 else "head", width=6, value_width=10, group=group)
    if group > 1:
        n.layout["query_group"] = [("q", 1, lambda u: [(g * group + u) * 6 + i for g in range(kv) for i in range(6)]),
                                   ("o", 0, lambda u: [(g * group + u) * 10 + i for g in range(kv) for i in range(10)])]
    inputs = [mask and n.input("mask", mask, ["batch", 1, "sequence", "total" if past else "sequence"]) or ""]
    if past:
        n.input("past_key", "float", ["batch", kv, "past", 6])
        n.input("past_value", "float", ["batch", kv, "past", 10])
        n.output("present_key", "float", ["batch", kv, "total", 6])
        n.output("present_value", "float", ["batch", kv, "total", 10])
        inputs += ["past_key", "past_value"]
    while inputs and not inputs[-1]:
        inputs.pop()
    to = [n.scope + "attention"] + (["present_key", "present_value"] if past else [])
    if rank == 3:
        attributes |= {"q_num_heads": HEADS, "kv_num_heads": kv}
    else:
        q, k, v = (n.op("Transpose", n.op("Reshape", z, n.const([0, 0, h, w])), perm=[0, 2, 1, 3])
                   for z, h, w in ((q, HEADS, 6), (k, kv, 6), (v, kv, 10)))
    y = n.op("Attention", q, k, v, *inputs, is_causal=int(causal), to=to, **attributes)
    y = y if isinstance(y, str) else y[0]
    if rank == 4:
        y = n.op("Reshape", n.op("Transpose", y, perm=[0, 2, 1, 3]), n.const([0, 0, HEADS * 10]))
    return n.finish(n.op("Add", n.op("MatMul", y, n.normal("o", HEADS * 10, DIM)), x))


def turned(n, interleaved=0, rank=3):
    """ONNX's RotaryEmbedding on part of the width, then its Attention."""
    x = n.hidden()
    n.input("positions", np.int64, ["batch", "sequence"])
    q, k, v = (n.project(x, w, HEADS * WIDTH) for w in "qkv")
    n.heads()
    mark = dict(interleaved=interleaved, rotary_embedding_dim=8)
    if rank == 4:
        q, k, v = (n.op("Transpose", n.op("Reshape", z, n.const([0, 0, HEADS, WIDTH])), perm=[0, 2, 1, 3]) for z in (q, k, v))
    else:
        mark["num_heads"] = HEADS
    q, k = (n.op("RotaryEmbedding", z, *tables(n, 4), "positions", **mark) for z in (q, k))
    heads = {} if rank == 4 else {"q_num_heads": HEADS, "kv_num_heads": HEADS}
    y = n.op("Attention", q, k, v, is_causal=1, **heads)
    if rank == 4:
        y = n.op("Reshape", n.op("Transpose", y, perm=[0, 2, 1, 3]), n.const([0, 0, HEADS * WIDTH]))
    turn(n.layout, interleaved=interleaved)
    return n.finish(n.op("Add", n.op("MatMul", y, n.normal("o", HEADS * WIDTH, DIM)), x))


GQA = {"kv_group": [2], "query_group": [2]}
PAIRS = {"head": [HEADS], "qk": [4, 8], "v": [WIDTH]}
# name: (writer, operator set, expected axes)
FORMS = {
    "bert": (bert, 21, {"head": [HEADS], "qk": [WIDTH], "v": [WIDTH], "ffn": [FFN]}),
    "gpt": (gpt, 21, {"head": [HEADS], "qkv": [WIDTH], "ffn": [FFN]}),
    "narrow": (narrow, 14, {"head": [HEADS], "qk": [6], "v": [10]}),
    "mha": (heads_of_runtime, 21, {"head": [HEADS], "qk": [WIDTH], "v": [WIDTH]}),
    "mha_rotary": (lambda n: heads_of_runtime(n, True), 21, PAIRS),
    "gqa_packed": (groups, 21, {**GQA, "ffn": [FFN]}),
    "gqa": (lambda n: groups(n, False), 21, {**GQA, "ffn": [FFN]}),
    "attention3": (standard, 23, {"head": [HEADS], "qk": [6], "v": [10]}),
    "attention4_mask": (lambda n: standard(n, 4, mask=np.bool_), 23, {"head": [HEADS], "qk": [6], "v": [10]}),
    "attention3_groups": (lambda n: standard(n, 3, 2, True, past=True), 23, {**GQA, "qk": [6], "v": [10]}),
    "attention4_groups": (lambda n: standard(n, 4, 2, softcap=2., scale=.7), 23, {**GQA, "qk": [6], "v": [10]}),
    "rotary3": (turned, 23, PAIRS),
    "rotary4_neighbours": (lambda n: turned(n, 1, 4), 23, PAIRS),
}


def build(name):
    """The model, its expected axes (kind: units, sorted), and where units lie for `zero`."""
    writer, opset, axes = FORMS[name]
    net = Net(opset)
    return writer(net), axes, net.layout


def feeds(model, seed=0, batch=2, sequence=5, past=3):
    """Inputs of one size that fit each other."""
    random, result = np.random.default_rng(seed), {}
    names = [i.name for i in model.graph.input]
    has_past = any(name.startswith("past") for name in names)
    if "seqlens_k" in names:
        batch = 1  # what onnxruntime takes with more than one new position
    total = sequence + (past if has_past else 0)
    sizes = {"batch": batch, "sequence": sequence, "past": past, "total": total}
    for value in model.graph.input:
        shape = [d.dim_value or sizes[d.dim_param] for d in value.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if value.name == "seqlens_k":
            array = np.full(shape, total - 1)
        elif value.name == "total":
            array = np.array(total)
        elif value.name == "positions":
            array = random.permuted(np.tile(np.arange(sequence), (batch, 1)), axis=1)
        elif value.name in ("attention_mask", "mask"):
            array = random.integers(0, 2, shape)
            array[..., 0] = 1
        elif np.dtype(dtype).kind == "i":
            array = random.integers(0, 2 if "type" in value.name else VOCAB, shape)
        else:
            array = random.standard_normal(shape)
        result[value.name] = array.astype(dtype)
    return result


def zero(model, layout, kind, size, units):
    """A copy of `model` with the weights of these units of an axis, by kind and size, at zero."""
    masked = onnx.ModelProto()
    masked.CopyFrom(model)
    tensors = {t.name: t for t in masked.graph.initializer}
    for name, dim, indices in layout.get(f"{kind}:{size}", layout[kind]):
        array = numpy_helper.to_array(tensors[name]).copy()
        for unit in units:
            cut = [slice(None)] * array.ndim
            cut[dim] = np.asarray([unit] if indices is None else list(indices(unit)))
            array[tuple(cut)] = 0
        tensors[name].CopyFrom(numpy_helper.from_array(array, name))
    return masked
