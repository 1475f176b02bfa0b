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
            "/Conv_2': ticket: axis 'ffn_0' has site \"weight\", but a removed unit is no constant here: it is summed")
    net, _ = cnn.build(cnn.Config("resnet", form="legacy"))
    refused(folder, "padded", net, "layer0.0.conv0.weight:0", 10, "/Conv_2': ticket: axis")
    print("site weight: passed")


if __name__ == "__main__":
    main(sys.argv[1])
