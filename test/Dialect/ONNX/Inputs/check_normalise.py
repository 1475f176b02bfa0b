"""Models as exporters write them, before and after onnx-normalise.

Each is run in onnxruntime, optimisations off: the normalised file gives the
same bytes for every shape, with dimensions bound too; the f64 file is within
the f32 one's own error. Usage: check_normalise.py WORK_DIRECTORY
"""
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh


class Graph:
    """Collects nodes; each method gives the name of its result."""

    def __init__(self):
        self.nodes, self.inits, self.count = [], [], 0
        self.rng = np.random.default_rng(0)

    def name(self, prefix):
        self.count += 1
        return f"{prefix}_{self.count}"

    def op(self, op, *inputs, nout=1, **attributes):
        outputs = [self.name(op) for _ in range(nout)]
        self.nodes.append(
            h.make_node(op, list(inputs), outputs, name="/" + outputs[0], **attributes))
        return outputs[0] if nout == 1 else outputs

    def const(self, value):
        return self.op("Constant", value=nh.from_array(np.array(value)))

    def ints(self, *values):
        return self.const(np.array(values, np.int64))

    def weight(self, *shape):
        return self.init(self.rng.standard_normal(shape).astype(np.float32) / 2)

    def init(self, value):
        name = self.name("W")
        self.inits.append(nh.from_array(value, name))
        return name

    def dim(self, x, index):
        return self.op("Gather", self.op("Shape", x), self.const(np.int64(index)), axis=0)

    def up(self, x):
        return self.op("Unsqueeze", x, self.ints(0))

    def linear(self, x, rows, columns):
        return self.op("Add", self.weight(columns), self.op("MatMul", x, self.weight(rows, columns)))

    def model(self, inputs, outputs, opset):
        for inner, outer in outputs:
            self.nodes.append(h.make_node("Identity", [inner], [outer[0]], name="/" + outer[0]))
        info = lambda port: h.make_tensor_value_info(*port)
        graph = h.make_graph(self.nodes, "g", [info(i) for i in inputs],
                             [info(o) for _, o in outputs], self.inits)
        return h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=8)


def legacy_bert():
    """Attention as the TorchScript exporter writes it: every size is computed."""
    g, H, NH = Graph(), 16, 4
    hd = H // NH
    x = g.op("Gather", g.weight(50, H), "input_ids")
    seq = g.dim("input_ids", 1)
    table = g.init(np.arange(32, dtype=np.int64)[None])
    pid = g.op("Slice", table, g.ints(0), g.up(seq), g.ints(1), g.ints(1))
    x = g.op("Add", x, g.op("Gather", g.weight(32, H), pid))
    # The mask, through Expand's ConstantOfShape/Equal/Where.
    m = g.op("Unsqueeze", g.op("Unsqueeze", "attention_mask", g.ints(1)), g.ints(2))
    shape = g.op("Concat", g.up(g.dim("input_ids", 0)), g.ints(1), g.up(seq), g.up(seq), axis=0)
    ones = lambda: g.op("ConstantOfShape", g.ints(4), value=nh.from_array(np.array([1], np.int64)))
    minus = g.op("Mul", ones(), g.const(np.int64(-1)))
    m = g.op("Expand", m, g.op("Where", g.op("Equal", shape, minus), ones(), shape))
    m = g.op("Sub", g.const(np.float32(1)), g.op("Cast", m, to=T.FLOAT))
    m = g.op("Mul", m, g.const(np.float32(-1e4)))

    def heads(t):
        s = g.op("Concat", g.up(g.dim(t, 0)), g.up(g.dim(t, 1)), g.ints(NH), g.ints(hd), axis=0)
        return g.op("Transpose", g.op("Reshape", t, s), perm=[0, 2, 1, 3])

    q, k, v = (heads(g.linear(x, H, H)) for _ in range(3))
    scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
    root = g.op("Sqrt", g.op("Cast", g.dim(q, 3), to=T.FLOAT))
    probs = g.op("Softmax", g.op("Add", g.op("Div", scores, root), m), axis=-1)
    o = g.op("Transpose", g.op("MatMul", g.op("Dropout", probs), v), perm=[0, 2, 1, 3])
    wide = g.op("Mul", g.dim(o, 2), g.dim(o, 3))
    wide = g.op("Cast", g.op("Cast", g.op("Div", wide, g.const(np.int64(1))), to=T.INT64), to=T.INT64)
    o = g.op("Reshape", o, g.op("Concat", g.up(g.dim(o, 0)), g.up(g.dim(o, 1)), g.up(wide), axis=0))
    o = g.op("Add", x, g.linear(o, H, H))
    d = g.op("Sub", o, g.op("ReduceMean", o, axes=[-1]))
    var = g.op("ReduceMean", g.op("Pow", d, g.const(np.float32(2))), axes=[-1])
    o = g.op("Div", d, g.op("Sqrt", g.op("Add", var, g.const(np.float32(1e-5)))))
    branch = lambda op, label: h.make_graph([h.make_node(op, [o], [label])], label, [],
                                            [h.make_tensor_value_info(label, T.FLOAT, None)])
    cond = g.op("Equal", g.dim(o, 2), g.const(np.int64(1)))
    o = g.op("If", cond, then_branch=branch("Neg", "a"), else_branch=branch("Identity", "b"))
    dims = ["batch", "sequence"]
    model = g.model([("input_ids", T.INT64, dims), ("attention_mask", T.INT64, dims)],
                    [(o, ("out", T.FLOAT, dims + [H]))], 14)
    feeds = lambda b, s, r: {"input_ids": r.integers(0, 50, (b, s)),
                             "attention_mask": r.integers(0, 2, (b, s))}
    return model, feeds, ["batch", "sequence"], [(1, 1), (2, 5), (3, 32)], 0


def legacy_gpt2():
    """Packed QKV, a causal table sliced by past and sequence, and a cache."""
    g, H, NH = Graph(), 12, 3
    hd = H // NH
    x = g.op("Gather", g.weight(40, H), "ids")
    past, seq = g.dim("past_k", 2), g.dim("ids", 1)
    total = g.op("Add", past, seq)
    pos = g.op("Range", past, total, g.const(np.int64(1)))
    pos = g.op("Reshape", g.up(pos), g.op("Concat", g.ints(-1), g.up(seq), axis=0))
    x = g.op("Add", x, g.op("Gather", g.weight(64, H), pos))
    q, k, v = g.op("Split", g.linear(x, H, 3 * H), g.ints(H, H, H), nout=3, axis=2)

    def heads(t):
        s = g.op("Concat", g.up(g.dim(t, 0)), g.up(g.dim(t, 1)), g.ints(NH),
                 g.up(g.op("Div", g.dim(t, -1), g.const(np.int64(NH)))), axis=0)
        return g.op("Transpose", g.op("Reshape", t, s), perm=[0, 2, 1, 3])

    q, k, v = heads(q), heads(k), heads(v)
    k = g.op("Concat", "past_k", k, axis=-2)
    v = g.op("Concat", "past_v", v, axis=-2)
    w = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
    w = g.op("Div", w, g.op("Sqrt", g.op("Cast", g.op("Shape", v, start=3, end=4), to=T.FLOAT)))
    causal = g.init(np.tril(np.ones((1, 1, 64, 64), bool)))
    nk, nq = g.dim(w, -1), g.dim(w, -2)
    rows = g.op("Slice", causal, g.up(g.op("Sub", nk, nq)), g.up(nk), g.ints(2), g.ints(1))
    mask = g.op("Slice", rows, g.ints(0), g.up(nk), g.ints(3), g.ints(1))
    w = g.op("Softmax", g.op("Where", mask, w, g.const(np.float32(-1e9))), axis=-1)
    o = g.op("Transpose", g.op("MatMul", w, v), perm=[0, 2, 1, 3])
    front = g.op("Slice", g.op("Shape", o), g.ints(0), g.ints(-2), g.ints(0))
    o = g.op("Reshape", o, g.op("Concat", front, g.ints(H), axis=0))
    # Conv1D: flattened, Gemm, and back to the size it had.
    flat = g.op("Gemm", g.op("Reshape", o, g.ints(-1, H)), g.weight(H, H), g.weight(H))
    o = g.op("Reshape", flat, g.op("Concat", g.op("Slice", g.op("Shape", o), g.ints(0), g.ints(2)),
                                   g.ints(H), axis=0))
    o = g.op("Add", x, o)
    last = g.op("Slice", o, g.ints(-1), g.ints(2**63 - 1), g.ints(1))
    cache = ["batch", NH, "past", hd]
    after = ["batch", NH, "past + sequence", hd]
    model = g.model([("ids", T.INT64, ["batch", "sequence"]), ("past_k", T.FLOAT, cache),
                     ("past_v", T.FLOAT, cache)],
                    [(o, ("out", T.FLOAT, ["batch", "sequence", H])), (last, ("last", T.FLOAT, ["batch", 1, H])),
                     (k, ("k", T.FLOAT, after)), (v, ("v", T.FLOAT, after))], 15)
    feeds = lambda b, s, p, r: {"ids": r.integers(0, 40, (b, s)),
                                "past_k": r.standard_normal((b, NH, p, hd)).astype(np.float32),
                                "past_v": r.standard_normal((b, NH, p, hd)).astype(np.float32)}
    return model, feeds, ["batch", "sequence", "past"], [(1, 1, 0), (2, 5, 3), (1, 1, 63)], 1


def dynamo_llama():
    """Grouped heads, rotary halves, Expand of KV, as the dynamo exporter does."""
    g, H, NH, KV = Graph(), 16, 4, 2
    hd = H // NH
    x = g.op("Gather", g.weight(40, H), "ids")
    batch = g.op("Shape", "ids", start=0, end=1)
    seq = g.op("Shape", "ids", start=1, end=2)
    n = g.op("Squeeze", seq, g.ints(0))
    pos = g.op("Cast", g.op("Range", g.const(np.int64(0)), n, g.const(np.int64(1))), to=T.FLOAT)
    freq = g.init((1 / 100 ** (np.arange(hd // 2) / (hd / 2))).astype(np.float32))
    angle = g.op("Einsum", pos, freq, equation="i,j->ij")
    angle = g.op("Concat", angle, angle, axis=-1)
    cos, sin = g.op("Cos", angle), g.op("Sin", angle)
    norm = g.op("Mul", x, g.op("Reciprocal", g.op("Sqrt", g.op("Add", g.op(
        "ReduceMean", g.op("Mul", x, x), g.ints(-1)), g.const(np.float32(1e-6))))))

    def heads(count):
        t = g.op("MatMul", norm, g.weight(H, count * hd))
        s = g.op("Concat", batch, seq, g.ints(count), g.ints(hd), axis=0)
        return g.op("Transpose", g.op("Reshape", t, s, allowzero=1), perm=[0, 2, 1, 3])

    def rotate(t):
        low = g.op("Slice", t, g.ints(0), g.ints(hd // 2), g.ints(-1))
        high = g.op("Slice", t, g.ints(hd // 2), g.ints(2**63 - 1), g.ints(-1))
        turned = g.op("Concat", g.op("Neg", high), low, axis=-1)
        return g.op("Add", g.op("Mul", t, cos), g.op("Mul", turned, sin))

    def repeat(t):
        t = g.op("Unsqueeze", t, g.ints(2))
        s = g.op("Concat", batch, g.ints(KV), g.ints(NH // KV), seq, g.ints(hd), axis=0)
        s = g.op("Expand", t, s)
        return g.op("Reshape", s, g.op("Concat", batch, g.ints(NH), seq, g.ints(hd), axis=0), allowzero=1)

    q, k, v = rotate(heads(NH)), repeat(rotate(heads(KV))), repeat(heads(KV))
    w = g.op("Mul", g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2])), g.const(np.float32(hd ** -0.5)))
    full = g.op("Expand", g.const(np.float32(-1e9)), g.op("Concat", seq, seq, axis=0))
    w = g.op("Softmax", g.op("Add", w, g.op("Trilu", full, g.const(np.int64(1)))), axis=-1)
    o = g.op("Transpose", g.op("MatMul", w, v), perm=[0, 2, 1, 3])
    o = g.op("Reshape", o, g.op("Concat", batch, seq, g.ints(-1), axis=0), allowzero=1)
    o = g.op("Add", x, g.op("MatMul", o, g.weight(H, H)))
    up, gate = g.op("Split", g.op("MatMul", o, g.weight(H, 24)), nout=2, axis=-1, num_outputs=2)
    o = g.op("Add", o, g.op("MatMul", g.op("Mul", up, g.op("Mul", gate, g.op("Sigmoid", gate))), g.weight(12, H)))
    dims = ["s0", "s1"]
    model = g.model([("ids", T.INT64, dims)], [(o, ("out", T.FLOAT, dims + [H]))], 18)
    feeds = lambda b, s, r: {"ids": r.integers(0, 40, (b, s))}
    return model, feeds, dims, [(1, 1), (2, 7)], 0


def tool(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


def run(path, feeds):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def normalised(source, target, *passes):
    tool("twist-opt", source, "--onnx-normalise", *passes, "-o", target + ".mlir")
    tool("twist-translate", target + ".mlir", "-o", target)
    onnx.checker.check_model(target, full_check=True)
    return onnx.load(target)


def check(build, work):
    name = build.__name__
    model, feeds, dims, sizes, left = build()
    source = os.path.join(work, name + ".onnx")
    onnx.save(model, source)
    target = os.path.join(work, name + ".normal.onnx")
    result = normalised(source, target)
    ops = [n.op_type for n in result.graph.node]
    assert not {"If", "Dropout"} & set(ops), ops
    # Shapes of Reshape are constants where at most one dimension is not a copy
    # of the input's; two dimensions split from one are left.
    constants = {i.name for i in result.graph.initializer} | {
        n.output[0] for n in result.graph.node if n.op_type == "Constant"}
    computed = [n.name for n in result.graph.node
                if n.op_type == "Reshape" and n.input[1] not in constants]
    assert len(computed) == left, computed
    for size in sizes:
        given = feeds(*size, np.random.default_rng(1))
        before = run(source, given)
        for a, b in zip(before, run(target, given), strict=True):
            assert a.dtype == b.dtype and a.tobytes() == b.tobytes(), (name, size)
    # The last size, bound; then in f64.
    bind = "--onnx-bind-dims=dims=" + ",".join(
        f"{d}={max(1, n)}" for d, n in zip(dims, sizes[1]))
    given = feeds(*sizes[1], np.random.default_rng(1))
    before = run(source, given)
    target = os.path.join(work, name + ".bound.onnx")
    fixed = normalised(source, target, bind)
    assert not {"Shape", "Size", "ConstantOfShape"} & {n.op_type for n in fixed.graph.node}
    for port in list(fixed.graph.input) + list(fixed.graph.output):
        assert all(d.dim_value for d in port.type.tensor_type.shape.dim), port
    for a, b in zip(before, run(target, given), strict=True):
        assert a.tobytes() == b.tobytes(), (name, "bound")
    target = os.path.join(work, name + ".f64.onnx")
    normalised(source, target, "--onnx-set-precision=precision=f64")
    wide = {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in given.items()}
    for a, b in zip(before, run(target, wide), strict=True):
        assert b.dtype == np.float64
        error = np.abs(a - b).max() / np.abs(b).max()
        assert 0 < error < 1e-5 or np.array_equal(a, b), (name, error)
    print(f"{name}: {len(model.graph.node)} nodes, {len(ops)} normalised, {len(fixed.graph.node)} bound")


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    for build in (legacy_bert, legacy_gpt2, dynamo_llama):
        check(build, sys.argv[1])
