"""Seeds for twist-fuzz: python -m twist_tools.fuzz_seeds FOLDER [--no-cases] [--twist FILE]

Small models of every family this package writes, a node test of the onnx package for each operator, the suite's models
of format features, tickets, a weights file, arrays, and with --twist a compiled program.
"""
import argparse
import hashlib
import importlib.util
import io
import json
import os
import struct
import subprocess
import tempfile
import warnings

import numpy as np
import onnx

from .models import bert, cnn, deberta, decoder, gpt2, llama, random_net, t5, vision

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TINY = {"layers": 1, "vocab": 7}


def families():
    """(name, model) or (name, (model, axes))."""
    yield "bert", bert.build(bert.Config(**TINY, dim=8, heads=2, ffn=8))
    yield "gpt2", gpt2.build(gpt2.Config(**TINY, dim=8, heads=2, context=8))
    yield "gpt2_cache", gpt2.build(gpt2.Config(**TINY, dim=8, heads=2, context=8, style="separate", cache=True))
    yield "llama", llama.build(llama.Config(**TINY, dim=8, heads=2, kv_heads=1, context=8, ffn=8))
    yield "llama_half", llama.build(llama.Config(**TINY, dim=8, heads=2, kv_heads=1, context=8, ffn=8, rope="half",
                                                 cache=False))
    for pack, positions in (("heads", "rope"), ("triple", "alibi"), ("groups", "rope"), ("separate", "learned")):
        yield f"decoder_{pack}", decoder.build(decoder.Config(**TINY, dim=8, heads=2, width=4, ffn=8, pack=pack,
                                                              positions=positions))
    yield "deberta", deberta.build(deberta.Config(**TINY, dim=8, heads=2, ffn=8))
    yield "t5", t5.build(t5.Config(**TINY, dim=8, heads=2, width=4, ffn=8))
    for name in ("resnet", "mobilenet_v2", "mobilenet_v3", "convnext"):
        yield name, cnn.build(cnn.Config(name=name, layers=1, width=4, classes=3, image=8))
    for name in ("vit", "swin"):
        yield name, vision.build(vision.Config(name=name, layers=1, dim=8, heads=2, ffn=8, classes=3, image=8))
    for seed in range(8):
        yield f"random{seed}", random_net.build(seed)


def features():
    """The models that the suite has of the format's features."""
    path = os.path.join(ROOT, "test", "Target", "ONNX", "Inputs", "models.py")
    spec = importlib.util.spec_from_file_location("format_models", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("perceptron", "metadata", "attributes", "numbers", "control", "functions", "sparse", "training",
                 "types", "defaults", "passing", "unknown"):
        yield f"format_{name}", getattr(module, name)()


def cases():
    """The first node test of each operator, without large ones."""
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases
    seen = set()
    for case in collect_testcases(None):
        kinds = tuple(sorted({node.op_type for node in case.model.graph.node}))
        if kinds not in seen and "_expanded" not in case.name and case.model.ByteSize() < 8192:
            seen.add(kinds)
            yield case.name, case.model


def tickets():
    axis = {"name": "c.up", "units": 64, "group": 4, "keep": [0, 3, 9]}
    yield "whole", {"version": 1, "axes": []}
    yield "cut", {"version": 1,
                  "model": {"structure_sha256": "ab" * 32, "weights_sha256": "cd" * 32},
                  "axes": [{"name": "a.query", "units": 4, "keep": [0, 2]}, {"name": "head.1", "units": 4, "keep": []},
                           axis],
                  "provenance": {"made_by": "hand", "list": [1, 2.5, None, True, {"deep": "\u00e9"}]}}


def weights():
    """64 bytes of weights as Runtime/Program.h lays them out."""
    data = bytes(range(64))
    header = b"TWISTWTS" + struct.pack("<IIQQ", 1, 0, 4096, len(data)) + hashlib.sha256(data).digest()
    return header.ljust(4096, b"\0") + data


def arrays():
    for name, array in (("f32", np.ones((2, 3), np.float32)), ("i64", np.arange(5)), ("empty", np.zeros((0, 2), bool))):
        file = io.BytesIO()
        np.save(file, array)
        yield name, file.getvalue()


def code(twist):
    """A program's machine code, with the seal at its end."""
    with tempfile.TemporaryDirectory() as folder:
        model, program = os.path.join(folder, "m.onnx"), os.path.join(folder, "m")
        onnx.save(random_net.build(0)[0], model)
        subprocess.run([twist, "compile", model, "-o", program, "--quiet"], check=True)
        with open(program + ".so", "rb") as file:
            return file.read()


def main():
    parser = argparse.ArgumentParser(prog="python -m twist_tools.fuzz_seeds")
    parser.add_argument("folder")
    parser.add_argument("--no-cases", action="store_true", help="without the onnx package's node tests")
    parser.add_argument("--twist", help="the compiler: with a program of its making")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    count = 0

    def write(name, data):
        nonlocal count
        count += 1
        with open(os.path.join(options.folder, name), "wb") as file:
            file.write(data)

    for source in [families, features] + ([] if options.no_cases else [cases]):
        for name, model in source():
            model = model[0] if isinstance(model, tuple) else model
            write(name + ".onnx", model.SerializeToString(deterministic=True))
    for name, ticket in tickets():
        write(name + ".json", json.dumps(ticket).encode())
    write("program.weights", weights())
    if options.twist:
        write("program.so", code(options.twist))
    for name, array in arrays():
        write(name + ".npy", array)
    print(f"{count} seeds in {options.folder}")


if __name__ == "__main__":
    main()
