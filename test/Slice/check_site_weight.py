"""Masks of site "weight": the sliced model equals the one whose rows are zero and whose biases stay.

python check_site_weight.py FOLDER
"""
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import numpy_helper

from twist_tools import compare, tickets
from twist_tools.models import bert, cnn, decoder, gpt2, llama


def run(*arguments):
    return subprocess.run(arguments, capture_output=True, text=True)


def zeroed(model, rows):
    """`model` with weights' indices at 0; rows: (weight, dimension, indices)."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    tensors = {t.name: t for t in copy.graph.initializer}
    for name, dim, indices in rows:
        array = numpy_helper.to_array(tensors[name]).copy()
        array[(slice(None),) * dim + (indices,)] = 0
        tensors[name].CopyFrom(numpy_helper.from_array(array, name))
    return copy


def case(folder, name, model, ticket, rows, *options):
    """Sliced by `ticket` (axis -> (units, kept)) and compared with the model whose `rows` are zero."""
    base = os.path.join(folder, name)
    onnx.save_model(model, base + ".onnx")
    tickets.write(tickets.Ticket({a: tickets.Axis(n, keep, site="weight") for a, (n, keep) in ticket.items()}),
                  base + ".json")
    done = run("twist", "slice", base + ".onnx", "--ticket", base + ".json", "-o", base + ".small.onnx",
               "--masked", base + ".masked.onnx", *options)
    if done.returncode:
        sys.exit(f"FAILED {name}: {done.stderr}")
    feeds = compare.random_inputs(model, 3, batch=2, sequence=5)
    expected = zeroed(model, rows)
    b, exact = compare.run_ort(expected, feeds), compare.run_double(expected, feeds)
    for what in ("small", "masked"):
        path = f"{base}.{what}.onnx"
        a = compare.run_ort(onnx.load(path), feeds)
        for output in b:
            verdict = compare.agree(a[output], b[output], exact[output])
            if not verdict.equal:
                sys.exit(f"FAILED {name} {what}: {output}: {verdict}")
    # The biases do something: with site "operand" the outputs are others.
    text = open(base + ".json").read().replace('"weight"', '"operand"')
    with open(base + ".json", "w") as file:
        file.write(text)
    run("twist", "slice", base + ".onnx", "--ticket", base + ".json", "-o", base + ".other.onnx")
    other = compare.run_ort(onnx.load(base + ".other.onnx"), feeds)
    same = all(compare.agree(other[o], b[o], exact[o]).equal for o in b)
    print(f"{name}: rows zeroed, bias kept{', as if it were none' if same else ''}")


def transformer(folder, name, module, config, axis, weights, *options):
    """Half of the FFN units of layer 0, every one of layer 1. weights: (name with {}, dimension)."""
    model, ticket, rows = module.build(config), {}, []
    model = model[0] if isinstance(model, tuple) else model
    removed = list(range(0, config.ffn, 2)), list(range(config.ffn))
    for layer, gone in enumerate(removed):
        ticket[axis.format(layer)] = config.ffn, [u for u in range(config.ffn) if u not in gone]
        rows += [(w.format(layer), dim, gone) for w, dim in weights]
    case(folder, name, model, ticket, rows, *options)


def refused(folder, name, model, axis, units, words):
    base = os.path.join(folder, name)
    onnx.save_model(model, base + ".onnx")
    tickets.write(tickets.Ticket({axis: tickets.Axis(units, [0], site="weight")}), base + ".json")
    done = run("twist", "slice", base + ".onnx", "--ticket", base + ".json", "-o", base + ".small.onnx")
    if done.returncode != 1 or words not in done.stderr or os.path.exists(base + ".small.onnx"):
        sys.exit(f"FAILED {name}: should be refused with {words!r}: {done.stderr}")
    print(f"{name}: {done.stderr.strip()}")


def odd_case(folder, name, model):
    """Sliced, it equals the model whose columns of `up` are zero."""
    case(folder, name, model, {"up:1": (6, [0, 3])}, [("up", 1, [1, 2, 4, 5])])


class Graph:
    """A few nodes behind x [batch, 4] · up [4, 6]."""

    def __init__(self):
        self.nodes, self.weights, self.inputs = [], [], [onnx.helper.make_tensor_value_info("x", 1, ["batch", 4])]

    def op(self, kind, *inputs, **attributes):
        self.nodes.append(onnx.helper.make_node(kind, inputs, [f"v{len(self.nodes)}"], **attributes))
        return self.nodes[-1].output[0]

    def weight(self, name, *shape):
        rng = np.random.default_rng(len(self.weights))
        self.weights.append(numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name))
        return name

    def ints(self, *values):
        self.weights.append(numpy_helper.from_array(np.array(values, np.int64), f"k{len(self.weights)}"))
        return self.weights[-1].name

    def rows(self):
        return self.op("MatMul", "x", self.weight("up", 4, 6))

    def widened(self, name):
        """A weight [6] as [batch, 6]: of the input's sizes, not of its data."""
        sizes = self.op("Concat", self.op("Shape", "x", start=0, end=1), self.ints(6), axis=0)
        return self.op("Expand", self.weight(name, 6), sizes)

    def down(self, value):
        self.op("MatMul", value, self.weight("down", 6, 3))

    def model(self):
        output = onnx.helper.make_tensor_value_info(self.nodes[-1].output[0], 1, None)
        graph = onnx.helper.make_graph(self.nodes, "odd", self.inputs, [output], self.weights)
        return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)


def reshaped(g):
    """x in pairs of rows, whose biases differ."""
    pairs = g.op("MatMul", g.op("Reshape", "x", g.ints(-1, 2, 4)), g.weight("up", 4, 6))
    g.down(g.op("Reshape", g.op("Add", pairs, g.weight("b", 2, 6)), g.ints(-1, 6)))


# Name, what is built, why the constants f(b) of removed units are not known.
ODD = [
    ("concat", lambda g: g.op("MatMul", g.op("Concat", g.rows(), "x", axis=1), g.weight("down", 10, 3)), "Concat mixes it"),
    ("values", lambda g: g.down(g.op("MatMul", g.op("MatMul", "x", g.op("Transpose", "x")), g.rows())), "it is a product of data"),
    ("gemm bias", lambda g: g.down(g.op("Gemm", "x", g.weight("up", 4, 6), g.op("MatMul", "x", g.weight("more", 4, 6)))),
     "its bias depends on the input"),
    ("wide bias", lambda g: g.down(g.op("Gemm", "x", g.weight("up", 4, 6), g.widened("b"))), "its bias depends on the input"),
    ("position", reshaped, "its bias depends on the position"),
    ("scaled", lambda g: g.down(g.op("Mul", g.rows(), g.op("ReduceSum", "x", g.ints(1)))), "an operand is data without the axis"),
    ("sizes", lambda g: g.down(g.op("Mul", g.rows(), g.widened("b"))), "an operand depends on the input's sizes"),
    ("statistics", lambda g: g.down(g.op("BatchNormalization", g.rows(), g.op("ReduceMean", g.op(
        "MatMul", "x", g.weight("scale", 4, 6)), g.ints(0), keepdims=0), g.weight("b", 6), g.weight("m", 6), g.weight("v", 6))),
     "its statistics depend on the input"),
    ("row count", lambda g: g.down(g.op("Mul", g.rows(), g.op("Cast", g.op("Shape", "x", start=0, end=1), to=1))),
     "an operand depends on the input's sizes"),
    ("bias of sizes", lambda g: g.op("Add", g.op("MatMul", g.op("Add", g.rows(), g.weight("a", 6)), g.weight("down", 6, 3)),
                                     g.op("Cast", g.op("Shape", "x", start=0, end=1), to=1)), None),
]


def main(folder):
    os.makedirs(folder, exist_ok=True)
    fc = [("h.{}.mlp.c_fc.weight", 1)]
    transformer(folder, "gpt2 split", gpt2, gpt2.Config(), "h.{}.mlp.c_fc.weight:1", fc, "--verify")
    transformer(folder, "gpt2 separate", gpt2, gpt2.Config(style="separate", norm="fused", opset=18),
                "h.{}.mlp.c_fc.weight:1", fc)
    transformer(folder, "bert", bert, bert.Config(), "encoder.layer.{}.intermediate.dense.weight:1",
                [("encoder.layer.{}.intermediate.dense.weight", 1)])
    transformer(folder, "phi", decoder, decoder.PRESETS["phi"], "layers.{}.mlp.fc1.weight:0",
                [("layers.{}.mlp.fc1.weight", 0)])
    transformer(folder, "llama", llama, llama.Config(cache=False), "model.layers.{}.mlp.gate_proj.weight:1",
                [("model.layers.{}.mlp.gate_proj.weight", 1), ("model.layers.{}.mlp.up_proj.weight", 1)])

    refused(folder, "heads", gpt2.build(gpt2.Config()), "head.0", 4, "is no constant here: Reshape takes its units apart")
    refused(folder, "query-key", gpt2.build(gpt2.Config(style="separate")), "qk.0", 8,
            "/Reshape_0': ticket: axis 'qk_0' has site \"weight\"")
    net, _ = cnn.build(cnn.Config("mobilenet_v2", form="legacy"))
    refused(folder, "depthwise", net, "features.0.0.expand.weight:0", 32,
            "/Conv_2': ticket: axis 'ffn_0' has site \"weight\", but a removed unit is no constant here: "
            "it is summed over a window")
    net, _ = cnn.build(cnn.Config("resnet", form="legacy"))
    refused(folder, "padded", net, "layer0.0.conv0.weight:0", 10, "it is summed over a window or in a form whose constant is not known")
    for name, build, words in ODD:
        graph = Graph()
        build(graph)
        if words:
            refused(folder, name, graph.model(), "up:1", 6, words)
        else:
            odd_case(folder, name, graph.model())
    print("site weight: passed")


if __name__ == "__main__":
    main(sys.argv[1])
