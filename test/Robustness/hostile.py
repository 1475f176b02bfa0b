"""Models nobody would write: each is an error that names the place, or works; none crashes, hangs or grows.

Arguments: a folder; the name of one part, if not all.
"""
import os
import resource
import subprocess
import sys
import time

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

work = sys.argv[1]
os.makedirs(work, exist_ok=True)
MEMORY = 6 << 30
bad = []


def value(name, shape, kind=T.FLOAT):
    return h.make_tensor_value_info(name, kind, shape)


def model(nodes, inputs, outputs, weights=(), functions=(), imports=()):
    graph = h.make_graph(nodes, "g", inputs, outputs, list(weights))
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 18), *imports], ir_version=9, functions=list(functions))


def weight(name, *shape, fill=None):
    rng = np.random.default_rng(3)
    array = rng.standard_normal(shape) if fill is None else np.full(shape, fill)
    return nh.from_array(array.astype(np.float32), name)


def run(name, arguments, seconds):
    start = time.monotonic()
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=seconds, errors="replace",
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)))
    except subprocess.TimeoutExpired:
        bad.append(f"{name}: {arguments[1]} takes more than {seconds} s")
        return None, "", 0
    took = time.monotonic() - start
    if done.returncode not in (0, 1):
        bad.append(f"{name}: {arguments[1]} exits {done.returncode}: {done.stderr[-400:]}")
    return done.returncode, done.stderr, took


def expect(name, m, *words, seconds=60, commands=("inspect", "compile")):
    """An error with all of `words`; without words, both commands take it."""
    path = f"{work}/{name}.onnx"
    with open(path, "wb") as file:
        file.write(m if isinstance(m, bytes) else m.SerializeToString())
    for command in commands:
        output = ["-o", f"{work}/{name}", "--quiet"] if command == "compile" else []
        code, text, took = run(name, ["twist", command, path, *output], seconds)
        if code == (1 if words else 0) and all(word in text for word in words):
            print(f"{name} {command}: {'refused' if code else 'taken'}, {took:.1f} s")
        else:
            bad.append(f"{name}: {command} exits {code}, says {text[-600:]!r}, not {words}")


def chain(count, name=lambda i: f"n{i}"):
    nodes = [h.make_node("Add" if i % 2 else "Relu", [f"v{i}", "w"] if i % 2 else [f"v{i}"], [f"v{i + 1}"],
                         name=name(i)) for i in range(count)]
    return model(nodes, [value("v0", ["n", 4])], [value(f"v{count}", ["n", 4])], [weight("w", 4)])


def product(**changes):
    """y = x · w under a node's name, changed."""
    parts = {"nodes": [h.make_node("MatMul", ["x", "w"], ["y"], name="product")], "inputs": [value("x", ["n", 4])],
             "outputs": [value("y", ["n", 4])], "weights": [weight("w", 4, 4)], **changes}
    return model(**parts)


def node(op, inputs, outputs, name="culprit", **attributes):
    return h.make_node(op, inputs, outputs, name=name, **attributes)


def nested(levels):
    """If in If in If."""
    inner = [node("Identity", ["x"], ["y"], name="inmost")]
    for level in range(levels):
        def branch(name):
            return h.make_graph(inner, name, [], [value("y", ["n", 4])])
        inner = [node("If", ["c"], ["y"], name=f"level{level}", then_branch=branch("then"),
                      else_branch=h.make_graph([node("Identity", ["x"], ["y"], name="other")], "else", [],
                                               [value("y", ["n", 4])]))]
    return model(inner, [value("x", ["n", 4]), value("c", [], T.BOOL)], [value("y", ["n", 4])])


def calls(depth, last):
    """f0 calls f1 calls … calls `last`."""
    functions = []
    for i in range(depth):
        callee = f"f{i + 1}" if i + 1 < depth else last
        domain = "my" if callee.startswith("f") else ""
        functions.append(h.make_function("my", f"f{i}", ["a"], ["b"],
                                         [h.make_node(callee, ["a"], ["b"], domain=domain, name=f"call{i}")],
                                         [h.make_opsetid("", 18), h.make_opsetid("my", 1)]))
    return product(nodes=[node("f0", ["x"], ["y"], domain="my")], functions=functions,
                   imports=[h.make_opsetid("my", 1)], weights=[])


def names():
    expect("cycle", product(nodes=[node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]),
                                   node("Relu", ["b"], ["y"])]), "culprit", "input 'b' is not defined before its use")
    expect("itself", product(nodes=[node("Add", ["x", "y"], ["y"])]), "culprit", "'y' is not defined before its use")
    expect("twice", product(nodes=[node("Relu", ["x"], ["y"], "first"), node("Relu", ["x"], ["y"])]),
           "culprit", "value 'y' is defined twice")
    expect("both_outputs", product(nodes=[node("Split", ["x"], ["y", "y"], axis=1, num_outputs=2)]),
           "culprit", "value 'y' is defined twice")
    expect("weights_twice", product(weights=[weight("w", 4, 4), weight("w", 4, 4)]), "'w'", "defined twice")
    expect("inputs_twice", product(inputs=[value("x", ["n", 4]), value("x", ["n", 4])]), "'x' is defined twice")
    expect("same_node_names", chain(6, name=lambda i: "same"))
    expect("output_twice", product(outputs=[value("y", ["n", 4]), value("y", ["n", 4])]))
    loop = weight("w", 4, 4)
    loop.ClearField("raw_data")
    loop.data_location = T.EXTERNAL
    loop.external_data.add(key="location", value="itself_data.onnx")
    loop.external_data.add(key="length", value="64")
    expect("itself_data", product(weights=[loop]))


def sizes():
    def raw(dims, data=b"1234"):
        return T(name="w", data_type=T.FLOAT, dims=dims, raw_data=data)
    expect("huge", product(weights=[raw([2**62, 4])]), "'w'", "has impossible dimensions")
    expect("overflow", product(weights=[raw([2**33, 2**33])]), "'w'", "has impossible dimensions")
    expect("negative", product(weights=[raw([-4, 4])]), "'w'", "has impossible dimensions")
    expect("huge_input", product(inputs=[value("x", [2**62, 4])], outputs=[value("y", [2**62, 4])]),
           commands=("inspect",))
    expect("huge_expand", product(nodes=[node("Expand", ["w", "s"], ["y"])], outputs=[value("y", None)],
                                  weights=[weight("w", 4, 4), nh.from_array(np.int64([2**40, 2**40, 4, 4]), "s")]),
           commands=("inspect",))
    expect("empty", product(inputs=[value("x", [0, 4])], outputs=[value("y", [0, 4])]))
    expect("no_columns", product(weights=[weight("w", 4, 0)], outputs=[value("y", ["n", 0])]))
    expect("wrong_rank", product(nodes=[node("Transpose", ["x"], ["y"], perm=[0, 5])]), "culprit")
    expect("wrong_size", product(weights=[weight("w", 5, 4)]), "product", "is multiplied with",
           commands=("compile",))
    expect("rank_2000", product(inputs=[value("x", [1] * 2000)], nodes=[node("Relu", ["x"], ["y"])],
                                outputs=[value("y", [1] * 2000)]), commands=("inspect",))
    expect("rank_2000_compiled", product(inputs=[value("x", [1] * 2000)], nodes=[node("Relu", ["x"], ["y"])],
                                         outputs=[value("y", [1] * 2000)]), "dimensions", commands=("compile",))
    expect("not_a_number", product(weights=[weight("w", 4, 4, fill=np.nan)]))
    expect("infinite", product(weights=[weight("w", 4, 4, fill=np.inf)]))


def concatenated(count):
    """A dimension of `count` segments, each in the one before."""
    nodes = [node("MatMul", ["x", "w"], ["v0"], "first")]
    for i in range(count):
        nodes += [node("MatMul", ["x", "w"], [f"p{i}"], f"part{i}"),
                  node("Concat", [f"v{i}", f"p{i}"], [f"v{i + 1}"], f"join{i}", axis=1)]
    nodes.append(node("ReduceSum", [f"v{count}", "last"], ["y"], "sum"))
    return model(nodes, [value("x", ["n", 4])], [value("y", ["n", 1])],
                 [weight("w", 4, 2), nh.from_array(np.int64([1]), "last")])


def long_chain(count):
    """Compiled and run: as numpy, one op after the other."""
    m, base = chain(count), f"{work}/ten_thousand"
    expect("ten_thousand", m, seconds=120)
    x, w = np.float32([[1, -2, 3, -4]]), nh.to_array(m.graph.initializer[0])
    np.save(base + ".npy", x)
    run("ten_thousand", ["twist", "run", base, "--input", f"v0={base}.npy", "--output-dir", base + ".out"], 60)
    for i in range(count):
        x = x + w if i % 2 else np.maximum(x, 0)
    if not np.array_equal(np.load(f"{base}.out/v{count}.npy"), x):
        bad.append("ten_thousand: the program gives something else than numpy")


def depth():
    long_chain(10000)
    expect("nested_10", nested(10), commands=("inspect",))
    expect("nested_segments_2000", concatenated(2000), commands=("inspect",))
    expect("calls_100", calls(100, "Relu"))
    expect("calls_itself", calls(3, "f0"), "f0")


def sliced(name, m, *words):
    """Half of every axis is cut away, and the model keeps its mistakes; or an error with all of `words`."""
    path = f"{work}/{name}.onnx"
    with open(path, "wb") as file:
        file.write(m.SerializeToString())
    for arguments in (["ticket", path, "--kappa", "0.5", "--policy", "first", "-o", path + ".json"],
                      ["slice", path, "--ticket", path + ".json", "-o", path + ".small.onnx"]):
        code, text, _ = run(name, ["twist", *arguments], 60)
        refused = bool(words) and arguments[0] == "slice"
        if code != refused or (refused and not all(word in text for word in words)):
            bad.append(f"{name}: {arguments[0]} exits {code}, says {text[-400:]!r}")


def perceptron(extra, outputs, weights):
    nodes = [node("MatMul", ["x", "a"], ["h"], "up"), node("Relu", ["h"], ["r"], "act"),
             node("MatMul", ["r", "b"], ["y"], "down"), *extra]
    return model(nodes, [value("x", ["n", 4])], [value("y", ["n", 4]), *outputs],
                 [weight("a", 4, 8), weight("b", 8, 4), *weights])


def one(op, inputs, shape, kinds=None, outputs=1, result=T.FLOAT, version=18, domain="",
        **attributes):
    """A node alone; `inputs` are shapes, a name that is taken as it is, or the name of no input."""
    names = [s if isinstance(s, str) else f"x{i}" for i, s in enumerate(inputs)]
    kinds = kinds or [T.FLOAT] * len(inputs)
    values = [value(n, s, k) for n, s, k in zip(names, inputs, kinds) if not isinstance(s, str)]
    results = ["y"] if outputs == 1 else [f"y{i}" for i in range(outputs)]
    made = h.make_node(op, names, results, "culprit", domain=domain, **attributes)
    graph = h.make_graph([made], "g", values, [value(r, shape, result) for r in results])
    imports = [h.make_opsetid(domain, version)] + ([h.make_opsetid("", 18)] if domain else [])
    return h.make_model(graph, opset_imports=imports, ir_version=9)


def looping(counter):
    """A Loop whose body says that its counter is of this shape."""
    x, i, c = value("x", [1]), value("i", counter, T.INT64), value("c", [], T.BOOL)
    body = h.make_graph([h.make_node("Identity", ["c"], ["more"]), h.make_node("Unsqueeze", ["i", "axes"], ["at"]),
                         h.make_node("Cast", ["at"], ["step"], to=T.FLOAT), h.make_node("Add", ["x", "step"], ["z"])],
                        "body", [i, c, x], [value("more", [], T.BOOL), value("z", [1])],
                        [nh.from_array(np.int64([0]), "axes")])
    return model([h.make_node("Loop", ["n", "b", "y"], ["out"], "culprit", body=body)],
                 [value("n", [], T.INT64), value("b", [], T.BOOL), value("y", [1])], [value("out", None)])


def found():
    """What twist-fuzz once found: nodes that the onnx library or a pass read without looking."""
    inspect, compile_ = ("inspect",), ("compile",)
    expect("no_input", one("LayerNormalization", ["", [4]], ["n", 4]), "culprit",
           "operator 'LayerNormalization' has no input 'X'")
    expect("few_inputs", one("TensorScatter", [[2, 1, 4, 5]], None, version=24), "culprit",
           "operator 'TensorScatter' has no input 'update'")
    expect("attribute_type", one("ReduceLogSumExp", [[3, 2]], None, version=7, axes=0), "culprit",
           "attribute 'axes' is of type INT, not INTS")
    expect("axis", one("LayerNormalization", [[3, 4], [4]], [3, 4], outputs=2, axis=2**62 - 1), "culprit",
           "out of range")
    expect("encoder", one("LabelEncoder", ["nowhere"], [3], version=4, domain="ai.onnx.ml", keys_strings=["a"],
                          values_int64s=[1]), "culprit", "not defined")
    no_rank = "culprit", "the rank of its result does not follow from the graph"
    expect("negative_size", one("GatherND", [[2, 2], [2, -2]], [2], [T.FLOAT, T.INT64]), commands=inspect)
    expect("long_shape", one("Reshape", [[2, 3], [2**40]], None, [T.FLOAT, T.INT64]), *no_rank)
    expect("long_axes", one("Unsqueeze", [[2, 3], [2**62]], None, [T.FLOAT, T.INT64]), *no_rank)
    expect("long_list", one("Gather", [[2**50], [2**50]], None, [T.INT64, T.INT64], result=T.INT64), commands=inspect)
    expect("long_inside", looping([2**31 - 1]), "Add:z", "has sizes [1, 2147483647]", commands=inspect)
    expect("units", one("LSTM", [[1, 3, 2], [1, 12, 2], [1, 12, 2**63 - 1]], None, version=22, outputs=3), "culprit",
           "needs 4 gates of 9223372036854775807 hidden units", commands=inspect)
    expect("pads", one("MaxPool", [[1, 1, 5, 5]], None, version=22, kernel_shape=[5, 5], pads=[2, 2, 2, 2**63 - 1]),
           "culprit", "pad of 9223372036854775807 is out of range", commands=inspect)
    expect("turned", one("RotaryEmbedding", [[2, 4, 3, 8], [50, 2**63 - 1], [50, 4], [2, 3]], None,
                         [T.FLOAT, T.FLOAT, T.FLOAT, T.INT64], version=23), "culprit", "can't be turned by a table of 92233720368",
           commands=compile_)
    expect("flatten", one("Flatten", [[2, 3, 2**60, 5]], None, axis=0), "is a tensor of 2^63 bytes and more", commands=compile_)
    expect("long_tuples", one("ScatterND", [[4, 4], [2, 2**57], [2, 4]], [4, 4], [T.FLOAT, T.INT64, T.FLOAT]),
           "culprit", "dimensions of data of rank 2", commands=compile_)
    expect("updates", one("ScatterND", [[4, 4], [2, 1], [2]], [4, 4], [T.FLOAT, T.INT64, T.FLOAT]),
           "culprit", "its updates must have 2 dimensions, have 1", commands=compile_)
    expect("gemm", one("Gemm", [[2, 3, 4], [4, 2]], [2, 2]), "culprit", "operand 0 must have 2 dimensions, has 3",
           commands=compile_)
    expect("instance", one("InstanceNormalization", [[3], [3], [3]], [3]), "culprit",
           "operand 0 must have at least 2 dimensions, has 1", commands=compile_)
    expect("shift", one("BitShift", [[3], [2]], [3], [T.UINT8, T.UINT8], direction="RIGHT", result=T.UINT8), "culprit",
           "sizes 3 and 2 of its operands do not fit together", commands=compile_)
    expect("sum", one("Add", [[2, 3], [2, 1, 4]], [2, 2, 3]), "culprit", "sizes 3 and 4 of its operands",
           commands=compile_)
    expect("no_type", one("ArgMin", [[2, 2]], [2], [-1], axis=-3, result=T.INT64), commands=inspect)
    expect("cast", one("Cast", [[3, 4]], [3, 4], result=255, to=T.FLOAT16), *no_rank)
    expect("cast_like", one("CastLike", [[3, 4], [0]], [3, 4], [T.FLOAT, T.FLOAT16], result=T.FLOAT16))
    expect("ranks", one("Concat", [[2, 2], [2]], None, axis=0), *no_rank)
    expect("concat", one("Concat", [[2, 2], [2]], [4, 2], axis=0), "culprit", "operand 1 must have 2 dimensions, has 1",
           commands=compile_)
    expect("axes_twice", one("ReduceSum", [[2, 3]], [2, 1], version=11, axes=[1, -1]), "culprit",
           "axis -1 is given twice", commands=compile_)
    expect("infinite_integer", one("IsInf", [[3]], [3], [T.INT32], version=20, result=T.BOOL))
    expect("nan_integer", one("IsNaN", [[3]], [3], [T.INT32], version=20, result=T.BOOL))
    expect("equation", one("Einsum", [[3, 4]], [4, 3], equation="ij-->ji>ji"), "culprit", "'ij-->ji>ji' is no equation")
    two = nh.from_array(np.int64([0, 0]), "two")
    expect("parts_of_nothing", model(
        [node("Reshape", ["x", "two"], ["r"], "r", allowzero=1), node("ReduceSum", ["r", "last"], ["t"], "t", keepdims=0),
         node("Add", ["x", "t"], ["y"], "y")], [value("x", [0])], [value("y", [0])],
        [two, nh.from_array(np.int64([1]), "last")]), commands=inspect)
    sliced("entry", perceptron([node("Shape", ["r"], ["s"], "s"), node("Gather", ["s", "seven"], ["e"], "e")],
                               [value("e", [], T.INT64)], [nh.from_array(np.int64(7), "seven")]))
    sliced("wide", perceptron([node("Expand", ["w", "size"], ["e"], "e")], [value("e", None)],
                              [weight("w", 4, 1), nh.from_array(np.int64([4, 2**62]), "size")]))
    sliced("negative", perceptron(
        [node("Shape", ["b"], ["s"], "s"), node("Neg", ["s"], ["t"], "t"), node("Reshape", ["b", "t"], ["n"], "n"),
         node("MatMul", ["n", "four"], ["e"], "e")], [value("e", None)], [weight("four", 4, 4)]))
    sliced("tiled", perceptron(
        [node("Tile", ["r", "times"], ["t"], "t"), node("ReduceSum", ["t", "last"], ["s"], "s")], [value("s", None)],
        [nh.from_array(np.int64([1, 2**30]), "times"), nh.from_array(np.int64([1]), "last")]),
        "a dimension of 8589934592 is too long to be cut")


if __name__ == "__main__":
    for part in [names, sizes, depth, found]:
        if len(sys.argv) < 3 or part.__name__ == sys.argv[2]:
            part()
    print("\n".join(bad))
    print(f"{len(bad)} failures")
