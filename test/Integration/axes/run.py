"""Axes of eleven architectures: found as they should be, and random cuts of all of them at once change nothing.

The sliced model against the masked one, both in onnxruntime; and the mask did something.
"""
import collections
import json
import os
import random
import subprocess
import sys

import numpy as np
import onnx

from twist_tools import compare

import architectures


def twist(*arguments):
    done = subprocess.run(["twist", *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"FAILED twist {' '.join(arguments)}\n{done.stderr}")
    return done.stdout


def cut(base, axes, seed):
    rng = random.Random(seed)
    ticket = {"version": 1, "axes": {}}
    for axis in axes:
        count = rng.randint(1, axis["units"])
        ticket["axes"][axis["name"]] = {"units": axis["units"], "group": 1,
                                        "keep": sorted(rng.sample(range(axis["units"]), count))}
    with open(base + ".json", "w") as file:
        json.dump(ticket, file)
    small, masked = base + ".small.onnx", base + ".masked.onnx"
    twist("slice", base + ".onnx", "--ticket", base + ".json", "-o", small, "--masked", masked)
    dense, small, masked = (onnx.load(p) for p in (base + ".onnx", small, masked))
    feeds = {"x": np.random.default_rng(seed).standard_normal((2, architectures.SEQUENCE, architectures.DIM)).astype(np.float32)}
    name = dense.graph.output[0].name
    a, b = compare.run_ort(small, feeds)[name], compare.run_ort(masked, feeds)[name]
    verdict = compare.agree(a, b, compare.run_double(small, feeds)[name], compare.run_double(masked, feeds)[name])
    if not verdict.equal:
        sys.exit(f"FAILED {base} seed {seed}: {verdict}")
    removed = any(len(a["keep"]) < a["units"] for a in ticket["axes"].values())
    if removed and np.allclose(compare.run_ort(dense, feeds)[name], a):
        sys.exit(f"FAILED {base} seed {seed}: the mask does nothing")


def main(folder, seeds):
    os.makedirs(folder, exist_ok=True)
    for name, (_, expected) in architectures.ARCHITECTURES.items():
        base = os.path.join(folder, name)
        architectures.write(name, base + ".onnx")
        axes = json.loads(twist("inspect", base + ".onnx", "--json"))["axes"]
        found = collections.defaultdict(list)
        for axis in axes:
            found[axis["kind"]].append(axis["units"])
        if {k: sorted(v) for k, v in found.items()} != {k: sorted(v) for k, v in expected.items()}:
            sys.exit(f"FAILED {name}: expected {expected}, found {dict(found)}")
        for seed in range(seeds):
            cut(base, axes, seed)
        print(f"{name}: {len(axes)} axes, {seeds} cuts")
    print(f"{len(architectures.ARCHITECTURES)} architectures: sliced equals masked")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
