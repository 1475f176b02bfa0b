"""Recurrent nets, TopK, scatters and conditionals as programs, against onnxruntime; what cannot be a program is refused.

usage: native.py FOLDER
"""
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto as T, helper, numpy_helper
from twist_tools import native

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def model(nodes, inputs, outputs, constants=(), opset=22):
    value = lambda name, kind, dims: helper.make_tensor_value_info(name, kind, dims)  # noqa: E731
    graph = helper.make_graph(nodes, "g", [value(*v) for v in inputs], [value(*v) for v in outputs],
                              [numpy_helper.from_array(a, n) for n, a in dict(constants).items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def recurrent(random, kind, direction, hidden=20, size=12, **attributes):
    directions = 2 if direction == "bidirectional" else 1
    draw = lambda *shape: (random.standard_normal(shape) * .4).astype(np.float32)  # noqa: E731
    weights = {"W": draw(directions, GATES[kind] * hidden, size), "R": draw(directions, GATES[kind] * hidden, hidden),
               "B": draw(directions, 2 * GATES[kind] * hidden)}
    node = helper.make_node(kind, ["X", "W", "R", "B", "lengths"], ["Y", "Yh"], "net", direction=direction,
                            hidden_size=hidden, **attributes)
    made = model([node], [("X", T.FLOAT, ["steps", "batch", size]), ("lengths", T.INT32, ["batch"])],
                 [("Y", T.FLOAT, ["steps", directions, "batch", hidden]),
                  ("Yh", T.FLOAT, [directions, "batch", hidden])], weights)
    feeds = [{"X": draw(steps, batch, size), "lengths": random.integers(1, steps + 1, batch).astype(np.int32)}
             for steps, batch in ((1, 1), (7, 3), (4, 9))]
    return made, feeds


def picks(random):
    """The largest three of a row, added to it once more."""
    nodes = [helper.make_node("TopK", ["X", "k"], ["values", "indices"], "top", axis=1),
             helper.make_node("ScatterElements", ["X", "indices", "values"], ["Y"], "back", axis=1, reduction="add")]
    made = model(nodes, [("X", T.FLOAT, ["n", 40])],
                 [("values", T.FLOAT, ["n", 3]), ("indices", T.INT64, ["n", 3]), ("Y", T.FLOAT, ["n", 40])],
                 {"k": np.array([3])})
    rows = random.integers(-9, 9, (5, 40)).astype(np.float32)  # with ties
    return made, [{"X": rows}, {"X": rows[:1]}]


def branch(name, op):
    return helper.make_graph([helper.make_node(op, ["X"], [name])], name, [],
                             [helper.make_tensor_value_info(name, T.FLOAT, None)])


def conditional(condition_is_input):
    """Neg or Exp, by whether X has two dimensions, or by an input."""
    nodes = [] if condition_is_input else [
        helper.make_node("Shape", ["X"], ["shape"]), helper.make_node("Size", ["shape"], ["rank"]),
        helper.make_node("Equal", ["rank", "two"], ["c"])]
    nodes.append(helper.make_node("If", ["c"], ["Y"], "choice", then_branch=branch("a", "Neg"),
                                  else_branch=branch("b", "Exp")))
    inputs = [("X", T.FLOAT, ["n", 4])] + ([("c", T.BOOL, [])] if condition_is_input else [])
    return model(nodes, inputs, [("Y", T.FLOAT, ["n", 4])], {} if condition_is_input else {"two": np.array(2)})


def refused(random):
    """node → a model that no program can be, and why."""
    x = ("X", T.FLOAT, ["n", 4])
    nonzero = model([helper.make_node("NonZero", ["X"], ["Y"], "found")], [x], [("Y", T.INT64, [2, None])])
    body = helper.make_graph([helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Exp", ["s"], ["t"])],
                             "body", [helper.make_tensor_value_info("i", T.INT64, []),
                                      helper.make_tensor_value_info("go", T.BOOL, []),
                                      helper.make_tensor_value_info("s", T.FLOAT, ["n", 4])],
                             [helper.make_tensor_value_info("on", T.BOOL, []),
                              helper.make_tensor_value_info("t", T.FLOAT, ["n", 4])])
    loop = model([helper.make_node("Loop", ["n", "", "X"], ["Y"], "around", body=body)],
                 [x, ("n", T.INT64, [])], [("Y", T.FLOAT, ["n", 4])])
    return {"choice": (conditional(True), "If whose condition does not follow from sizes and constants"),
            "found": (nonzero, "the sizes of its result depend on data"), "around": (loop, "no lowering for Loop")}


def compiled(path, made):
    onnx.save(made, path + ".onnx")
    return subprocess.run(["twist", "compile", path + ".onnx", "-o", path], capture_output=True, text=True)


def check(path, made, feeds):
    done = compiled(path, made)
    if done.returncode:
        return done.stderr
    session = onnxruntime.InferenceSession(made.SerializeToString())
    with native.Program(path, 1) as program:
        for feed in feeds:
            want = dict(zip([o.name for o in made.graph.output], session.run(None, feed)))
            got = program(feed)
            for name, value in want.items():
                if got[name].shape != value.shape or not np.allclose(got[name], value, rtol=1e-5, atol=1e-5):
                    return f"{name} differs for {[a.shape for a in feed.values()]}"
    return None


def main():
    folder, = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    random = np.random.default_rng(0)
    programs = {"lstm": recurrent(random, "LSTM", "bidirectional"), "gru": recurrent(random, "GRU", "reverse"),
                "gru_linear": recurrent(random, "GRU", "forward", linear_before_reset=1),
                "rnn": recurrent(random, "RNN", "bidirectional", activations=["Relu", "Tanh"], clip=.5),
                "picks": picks(random),
                "if": (conditional(False), [{"X": random.standard_normal((3, 4)).astype(np.float32)}])}
    failures = 0
    for name, (made, feeds) in programs.items():
        if error := check(os.path.join(folder, name), made, feeds):
            failures += 1
            print(f"FAILED {name}: {error}")
    for node, (made, why) in refused(random).items():
        path = os.path.join(folder, node)
        done = compiled(path, made)
        if done.returncode != 1 or node not in done.stderr or why not in done.stderr or os.path.exists(path + ".so"):
            failures += 1
            print(f"FAILED {node}: exit {done.returncode}, not refused as expected: {done.stderr}")
    print(f"{len(programs)} programs, {failures} failures")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
