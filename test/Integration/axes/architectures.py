"""Small models of architectures that pack and share their dimensions differently, with the axes each must have.

`ARCHITECTURES`: name -> (function that writes the body, expected {kind: [units, …]}). The body gets a Net and the
input [batch, 5, DIM]; its result has the input's shape.
"""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DIM, HEADS, WIDTH, HIDDEN, SEQUENCE = 16, 4, 6, 20, 5


class Net:
    def __init__(self, seed=0):
        self.rng, self.nodes, self.data, self.count = np.random.default_rng(seed), [], [], 0

    def weight(self, name, *shape):
        values = self.rng.standard_normal(shape) / np.sqrt(shape[0])
        self.data.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def const(self, values, dtype=np.int64):
        self.count += 1
        self.data.append(numpy_helper.from_array(np.array(values, dtype), f"c{self.count}"))
        return f"c{self.count}"

    def __call__(self, op, *inputs, outputs=1, **attributes):
        self.count += 1
        names = [f"t{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=f"{op}_{self.count}", **attributes))
        return names[0] if outputs == 1 else names

    def linear(self, x, name, *shape):
        return self("MatMul", x, self.weight(name, *shape))

    def reshape(self, x, *shape):
        return self("Reshape", x, self.const(shape))

    def cut(self, x, start, end, axis):
        return self("Slice", x, self.const([start]), self.const([end]), self.const([axis]))

    def heads(self, x):
        return self("Transpose", x, perm=[0, 2, 1, 3])

    def attention(self, q, k, v):
        """[batch, heads, s, width] each."""
        scores = self("MatMul", q, self("Transpose", k, perm=[0, 1, 3, 2]))
        scaled = self("Mul", scores, self.const(.7, np.float32))
        return self("MatMul", self("Softmax", scaled, axis=-1), v)

    def close(self, x, context, rows):
        """Joined heads, output projection, residual."""
        joined = self.reshape(self.heads(context), 0, 0, -1)
        return self("Add", self.linear(joined, "o", rows, DIM), x)

    def model(self, result):
        shape = ["batch", SEQUENCE, DIM]
        graph = helper.make_graph(self.nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                                  [helper.make_tensor_value_info(result, TensorProto.FLOAT, shape)], self.data)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def packed_in_heads(n, x, rotary=False):
    """NeoX: [heads, 3 · width], with a feed-forward in parallel; optionally rotary positions on part of the width."""
    qkv = n("Add", n.linear(x, "qkv", DIM, 3 * HEADS * WIDTH), n.weight("qkv_bias", 3 * HEADS * WIDTH))
    qkv = n.reshape(qkv, 0, 0, HEADS, 3 * WIDTH)
    q, k, v = (n.heads(n.cut(qkv, i * WIDTH, (i + 1) * WIDTH, 3)) for i in range(3))
    if rotary:
        cos, sin = n.weight("cos", 1, 1, SEQUENCE, 4), n.weight("sin", 1, 1, SEQUENCE, 4)

        def rotate(z):
            a, b = n("Split", n.cut(z, 0, 4, 3), n.const([2, 2]), outputs=2, axis=-1)
            turned = n("Mul", n("Concat", n("Neg", b), a, axis=-1), sin)
            return n("Concat", n("Add", n("Mul", n.cut(z, 0, 4, 3), cos), turned), n.cut(z, 4, 99, 3), axis=-1)
        q, k = rotate(q), rotate(k)
    y = n.close(x, n.attention(q, k, v), HEADS * WIDTH)
    return n("Add", y, n.linear(n("Tanh", n.linear(x, "up", DIM, HIDDEN)), "down", HIDDEN, DIM))


def packed_groups(n, x, groups=2, queries=3):
    """Falcon: [groups, queries + 2, width]; keys and values repeated by Expand."""
    y = n.reshape(n.linear(x, "qkv", DIM, groups * (queries + 2) * WIDTH), 0, 0, groups, queries + 2, WIDTH)
    shape = n.const([1, SEQUENCE, groups, queries, WIDTH])
    q = n.cut(y, 0, -2, 3)
    k, v = (n("Expand", n("Gather", y, n.const([queries + i]), axis=3), shape) for i in (0, 1))
    q, k, v = (n.heads(n.reshape(z, 0, 0, groups * queries, WIDTH)) for z in (q, k, v))
    return n.close(x, n.attention(q, k, v), groups * queries * WIDTH)


def broadcast_groups(n, x, groups=2, queries=3):
    """Five dimensions: keys and values have 1 where queries have their group, MatMul broadcasts."""
    def project(name, count):
        z = n.reshape(n.linear(x, name, DIM, groups * count * WIDTH), 0, 0, groups, count, WIDTH)
        return n("Transpose", z, perm=[0, 2, 3, 1, 4])
    q, k, v = project("wq", queries), project("wk", 1), project("wv", 1)
    p = n("Softmax", n("MatMul", q, n("Transpose", k, perm=[0, 1, 2, 4, 3])), axis=-1)
    c = n.reshape(n("Transpose", n("MatMul", p, v), perm=[0, 3, 1, 2, 4]), 0, 0, -1)
    return n("Add", n.linear(c, "o", groups * queries * WIDTH, DIM), x)


def batch_of_heads(n, x):
    """[batch · heads, s, width]: heads inside a dimension of dynamic size."""
    def project(name):
        z = n.heads(n.reshape(n.linear(x, name, DIM, HEADS * WIDTH), 0, SEQUENCE, HEADS, WIDTH))
        return n.reshape(z, -1, SEQUENCE, WIDTH)
    q, k, v = project("wq"), project("wk"), project("wv")
    p = n("Softmax", n("MatMul", q, n("Transpose", k, perm=[0, 2, 1])), axis=-1)
    return n.close(x, n.reshape(n("MatMul", p, v), -1, HEADS, SEQUENCE, WIDTH), HEADS * WIDTH)


def normed_queries(n, x):
    """A norm over the width of q and k: no qk axis."""
    def project(name, norm):
        z = n.reshape(n.linear(x, name, DIM, HEADS * WIDTH), 0, 0, HEADS, WIDTH)
        if norm:
            mean = n("ReduceMean", n("Mul", z, z), n.const([-1]))
            z = n("Div", z, n("Sqrt", n("Add", mean, n.const(1e-5, np.float32))))
            z = n("Mul", z, n.weight("scale_" + name, WIDTH))
        return n.heads(z)
    return n.close(x, n.attention(project("wq", True), project("wk", True), project("wv", False)), HEADS * WIDTH)


def gated_branches(n, x):
    """Gate and up packed; another branch concatenated; a squeeze that scales both."""
    gate, up = n("Split", n.linear(x, "gate_up", DIM, 2 * HIDDEN), outputs=2, axis=-1, num_outputs=2)
    f = n("Mul", n("Mul", gate, n("Sigmoid", gate)), up)
    joined = n("Concat", f, n("Relu", n.linear(x, "branch", DIM, 8)), axis=-1)
    scale = n("Sigmoid", n.linear(n("Relu", n.linear(x, "squeeze", DIM, 7)), "excite", 7, HIDDEN + 8))
    return n("Add", n.linear(n("Mul", joined, scale), "down", HIDDEN + 8, DIM), x)


def biased_positions(n, x):
    """Einsum with weights [dim, heads, width]; a slope per head and a table of relative positions [9, heads]."""
    q, k, v = (n("Einsum", x, n.weight(w, DIM, HEADS, WIDTH), equation="bsd,dhe->bhse") for w in ("wq", "wk", "wv"))
    steps = np.arange(SEQUENCE)
    slope = n("Mul", n.weight("slopes", HEADS, 1, 1), n.const(steps, np.float32))
    table = n("Gather", n.weight("relative", 9, HEADS), n.const(steps[:, None] - steps + 4), axis=0)
    table = n("Unsqueeze", n("Transpose", table, perm=[2, 0, 1]), n.const([0]))
    scores = n("Add", n("Add", n("Einsum", q, k, equation="bhie,bhje->bhij"), slope), table)
    c = n("Einsum", n("Softmax", scores, axis=-1), v, equation="bhij,bhje->bihe")
    return n("Add", n("Einsum", c, n.weight("o", HEADS, WIDTH, DIM), equation="bihe,hed->bid"), x)


def stream_without_norms(n, x):
    """The residual stream is an axis too: nothing takes its statistics."""
    y = n.linear(x, "stem", DIM, 12)
    for layer in range(2):
        h = n("Add", n.linear(y, f"up{layer}", 12, HIDDEN), n.weight(f"bias{layer}", HIDDEN))
        y = n("Add", y, n.linear(n("Relu", h), f"down{layer}", HIDDEN, 12))
    return n.linear(y, "head", 12, DIM)


def linear_attention(n, x):
    """exp(q) · (exp(k)ᵀ · v) over its own sum."""
    def project(name):
        return n.heads(n.reshape(n.linear(x, name, DIM, HEADS * WIDTH), 0, 0, HEADS, WIDTH))
    q, k, v = n("Exp", project("wq")), n("Exp", project("wk")), project("wv")
    state = n("MatMul", n("Transpose", k, perm=[0, 1, 3, 2]), v)
    total = n("Mul", q, n("ReduceSum", k, n.const([2]), keepdims=1))
    total = n("ReduceSum", total, n.const([3]), keepdims=1)
    return n.close(x, n("Div", n("MatMul", q, state), total), HEADS * WIDTH)


def derived_weights(n, x):
    """Weights transposed and split by ops, one used again elsewhere, one a product of two."""
    big = n.weight("big", 3 * HIDDEN, DIM)
    a, b, c = n("Split", n("Transpose", big, perm=[1, 0]), outputs=3, axis=1, num_outputs=3)
    h = n("Mul", n("Relu", n("MatMul", x, a)), n("MatMul", x, b))
    y = n("MatMul", h, n("MatMul", n.weight("left", HIDDEN, 3), n.weight("right", 3, DIM)))
    return n("Add", y, n("MatMul", n("Tanh", n("MatMul", y, c)), n.cut(big, 0, HIDDEN, 0)))


FULL = {"head": [HEADS], "qk": [WIDTH], "v": [WIDTH]}
ARCHITECTURES = {
    "packed_in_heads": (packed_in_heads, {**FULL, "ffn": [HIDDEN]}),
    "partly_rotary": (lambda n, x: packed_in_heads(n, x, True), {**FULL, "qk": [2, 2], "ffn": [HIDDEN]}),
    "packed_groups": (packed_groups, {"kv_group": [2], "query_group": [3], "qkv": [WIDTH]}),
    "broadcast_groups": (broadcast_groups, {"kv_group": [2], "query_group": [3], "qk": [WIDTH], "v": [WIDTH]}),
    "batch_of_heads": (batch_of_heads, FULL),
    "normed_queries": (normed_queries, {"head": [HEADS], "v": [WIDTH]}),
    "gated_branches": (gated_branches, {"ffn": [HIDDEN, 8, 7]}),
    "biased_positions": (biased_positions, FULL),
    "stream_without_norms": (stream_without_norms, {"channel": [12], "ffn": [HIDDEN, HIDDEN]}),
    "linear_attention": (linear_attention, FULL),
    "derived_weights": (derived_weights, {"ffn": [HIDDEN, HIDDEN]}),
}


def write(name, path):
    net = Net()
    result = ARCHITECTURES[name][0](net, "x")
    onnx.save_model(net.model(result), path)
