"""The axes of a whole graph do not depend on how its file orders nodes and initialisers.

usage: order.py FOLDER ORDERS

Each model is written in ORDERS other orders: nodes at random among those whose inputs are there, initialisers and
attributes' order shuffled; inspect must print the same axes, of the same parameters, and refuse the same.
"""
import json
import os
import random
import subprocess
import sys

import onnx
from twist_tools.models import bert, gpt2, llama

import architectures


def inspect(path):
    done = subprocess.run(["twist", "inspect", path, "--json"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"FAILED twist inspect {path}\n{done.stderr}")
    return json.loads(done.stdout)


def reads(node):
    """Names a node uses, those of its subgraphs included."""
    names = set(node.input)
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs] if attribute.HasField("g") or attribute.graphs else []:
            for inner in graph.node:
                names |= reads(inner)
    return names


def shuffled(model, rng):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    produced = {name for node in graph.node for name in node.output}
    waiting, done, order = [(node, reads(node) & produced) for node in graph.node], set(), []
    while waiting:
        ready = [i for i, (_, needs) in enumerate(waiting) if needs <= done]
        node, _ = waiting.pop(rng.choice(ready))
        order.append(node)
        done |= set(node.output)
    nodes, tensors = [onnx.NodeProto.FromString(n.SerializeToString()) for n in order], list(graph.initializer)
    for node in nodes:
        attributes = list(node.attribute)
        rng.shuffle(attributes)
        del node.attribute[:]
        node.attribute.extend(attributes)
    rng.shuffle(tensors)
    tensors = [onnx.TensorProto.FromString(t.SerializeToString()) for t in tensors]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)
    return copy


def statement(printed):
    """What inspect says of axes, without what counts in graph order: their numbers, and the first of their names."""
    axes = [{k: sorted(v) if k == "sources" else v for k, v in axis.items() if k not in ("index", "symbol", "name")}
            for axis in printed["axes"]]
    if not all(axis["name"] in axis["sources"] for axis in printed["axes"]):
        sys.exit(f"FAILED: an axis is named by none of its sources: {printed['axes']}")
    refused = [{"refused": sorted(r["sources"]), "units": r["units"]} for r in printed["refused"]]
    return sorted(json.dumps(a, sort_keys=True) for a in axes + refused)


def models(folder):
    for name in architectures.ARCHITECTURES:
        path = os.path.join(folder, name + ".onnx")
        architectures.write(name, path)
        yield name, onnx.load(path)
    yield "bert", bert.build(bert.Config(opset=18))
    for style in ("split", "qkv5"):
        yield f"gpt2_{style}", gpt2.build(gpt2.Config(opset=18, style=style, shapes="chain", cache=True))
    yield "llama", llama.build(llama.Config(opset=18))


def main(folder, orders):
    os.makedirs(folder, exist_ok=True)
    count = axes = 0
    for name, model in models(folder):
        path, rng = os.path.join(folder, name + ".shuffled.onnx"), random.Random(name)
        onnx.save_model(model, path)
        expected = statement(inspect(path))
        for number in range(orders):
            onnx.save_model(shuffled(model, rng), path)
            found = statement(inspect(path))
            if found != expected:
                lost, new = set(expected) - set(found), set(found) - set(expected)
                sys.exit(f"FAILED {name}, order {number}: lost {sorted(lost)[:2]}, new {sorted(new)[:2]}")
        count, axes = count + 1, axes + len(expected)
    print(f"{count} models of {axes} axes and refused sets, each in {orders} other orders: the same")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
