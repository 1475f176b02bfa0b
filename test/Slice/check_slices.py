"""Sliced against masked models in onnxruntime, for kinds of axes and widths; wrong indices must be caught.

python check_slices.py FOLDER kinds|empty|mutants
"""
import json
import os
import re
import subprocess
import sys

import numpy as np
import onnx

from twist_tools import compare
from twist_tools.models import bert, gpt2, llama

SIZES = {"batch": 2, "sequence": 5, "past": 0}


def command(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}\n{done.stdout}{done.stderr}")
    return done.stdout


class Case:
    def __init__(self, folder, name, module, **config):
        self.base, self.name = os.path.join(folder, name), name
        self.model = module.build(module.Config(**config))
        onnx.save(self.model, self.base + ".onnx")
        symbols = {d.dim_param for v in self.model.graph.input for d in v.type.tensor_type.shape.dim if d.dim_param}
        sizes = {s: SIZES.get(s, SIZES["past"] + SIZES["sequence"]) for s in symbols}
        self.feeds = compare.random_inputs(self.model, 3, **sizes)

    def ticket(self, *options):
        command("twist", "ticket", self.base + ".onnx", *options, "-o", self.base + ".json")
        return json.load(open(self.base + ".json"))

    def write(self, ticket):
        json.dump(ticket, open(self.base + ".json", "w"))

    def slice(self):
        command("twist", "slice", self.base + ".onnx", "--ticket", self.base + ".json",
                "-o", self.base + ".small.onnx", "--masked", self.base + ".masked.onnx")
        self.small, self.masked = (onnx.load(f"{self.base}.{what}.onnx") for what in ("small", "masked"))
        onnx.checker.check_model(self.small, full_check=True)
        self.expected = self.results(self.masked)

    def results(self, model):
        """f32 and f64 outputs; a cache that got smaller is empty, so any cut of it will do."""
        feeds = {}
        for value in model.graph.input:
            have = self.feeds[value.name]
            shape = [d.dim_value or n for d, n in zip(value.type.tensor_type.shape.dim, have.shape)]
            feeds[value.name] = have if list(have.shape) == shape else np.zeros(shape, have.dtype)
        return compare.run_ort(model, feeds), compare.run_double(model, feeds)

    def equal(self, model):
        """None, or what differs."""
        single, double = self.results(model)
        for name in single:
            a, b = single[name], self.expected[0][name]
            if a.shape != b.shape and name.startswith("present"):
                continue
            exact = compare.agree_double(double[name], self.expected[1][name])
            verdict = compare.agree(a, b, double[name], self.expected[1][name])
            if not (exact.equal and verdict.equal):
                return f"{name}: f64 {exact}; f32 {verdict}"
        return None

    def check(self, what):
        self.slice()
        wrong = self.equal(self.small)
        if wrong:
            sys.exit(f"{self.name} {what}: {wrong}")
        dense = compare.run_ort(self.model, self.feeds)
        if all(np.array_equal(dense[n], self.expected[0][n]) for n in dense):
            sys.exit(f"{self.name} {what}: the mask did nothing")

    def mutants(self):
        """Models with one selection of one weight wrong: name, path."""
        text = command("twist-opt", self.base + ".onnx", "--onnx-normalise", "--twist-discover-axes",
                       f"--twist-apply-subnetwork=ticket={self.base}.json any-weights", "--twist-slice")
        for load in re.finditer(r"weights.load <.*? as tensor<([\dx]+)x\w+> select \[(.*?)\]> .*?name = \"(.*?)\"", text):
            sizes, weight = [int(n) for n in load[1].split("x")], load[3]
            for dim, part in enumerate(re.findall(r"unit|array<i64: [\d, ]+>", load[2])):
                if part == "unit":
                    continue
                indices = [int(i) for i in re.findall(r"\d+", part[10:])]
                wrong = {"off by one": off_by_one(indices, sizes[dim])}
                if "c_attn" in weight:
                    third = len(indices) // 3
                    wrong["swapped segment"] = indices[third:2 * third] + indices[:third] + indices[2 * third:]
                for kind, changed in wrong.items():
                    select = load[0].replace(part, f"array<i64: {', '.join(map(str, changed))}>")
                    path = self.base + ".mutant"
                    with open(path + ".mlir", "w") as file:
                        file.write(text[:load.start()] + select + text[load.end():])
                    command("twist-translate", path + ".mlir", "-o", path + ".onnx")
                    yield f"{weight}:{dim} {kind}", onnx.load(path + ".onnx")


def off_by_one(indices, size):
    """One kept index replaced by a neighbour that is not kept."""
    for at, index in enumerate(indices):
        for near in (index + 1, index - 1):
            if 0 <= near < size and near not in indices:
                return indices[:at] + [near] + indices[at + 1:]
    raise ValueError("everything is kept")


def transformers(folder):
    for style, shapes in (("split", "chain"), ("separate", "zero"), ("qkv5", "static"), ("qkv5", "chain")):
        yield Case(folder, f"gpt2-{style}-{shapes}", gpt2, style=style, shapes=shapes)
    yield Case(folder, "gpt2-cache", gpt2, cache=True)
    yield Case(folder, "gpt2-fused", gpt2, norm="fused", tied=False)
    for rope in ("pairs", "strided", "half"):
        yield Case(folder, f"llama-{rope}", llama, rope=rope)
    yield Case(folder, "llama-plain", llama, cache=False)
    yield Case(folder, "bert", bert)
    yield Case(folder, "bert-fused", bert, norm="fused", token_types=True, pool=False)


def kinds(folder):
    """Every kind of axis a model has, together, at random and different widths."""
    for number, case in enumerate(transformers(folder)):
        inspected = command("twist-opt", case.base + ".onnx", "--onnx-normalise", "--twist-discover-axes")
        names = sorted(set(re.findall(r'kind = "(\w+)"', inspected)))
        case.ticket("--axes", ",".join(names), "--seed", str(number), "--kappa", "0.5")
        case.check("all kinds")
        ticket = case.ticket("--seed", str(number), "--kappa", "0.7")
        for layer, axis in enumerate(ticket["axes"].values()):
            axis["keep"] = axis["keep"][layer % 2:]  # no two layers of one width
        case.write(ticket)
        case.check("widths")
        print(f"{case.name}: {' '.join(names)}")


def empty(folder):
    """Layers without any unit."""
    for case in transformers(folder):
        ticket = case.ticket("--kappa", "0.5")
        for name in list(ticket["axes"])[:2]:
            ticket["axes"][name]["keep"] = []
        case.write(ticket)
        case.check("first layer empty")
        for value in list(case.small.graph.initializer):
            if 0 in value.dims:
                sys.exit(f"{case.name}: {value.name} has no element")
        print(f"{case.name}: first layer empty")


def mutants(folder):
    """Each wrong selection is caught, but for key biases, which softmax does not see."""
    cases = [Case(folder, "gpt2-split", gpt2, layers=1), Case(folder, "llama", llama, layers=1, cache=False),
             Case(folder, "bert", bert, layers=1)]
    for case in cases:
        case.ticket("--kappa", "0.5", "--seed", "2")
        case.check("as it is")
        caught = 0
        for name, model in case.mutants():
            if "key.bias" in name:
                continue
            if not case.equal(model):
                sys.exit(f"{case.name}: not caught: {name}")
            caught += 1
        print(f"{case.name}: {caught} mutants caught")


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    {"kinds": kinds, "empty": empty, "mutants": mutants}[sys.argv[2]](sys.argv[1])
