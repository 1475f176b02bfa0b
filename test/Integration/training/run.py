"""Trains a 4-layer GPT-2 on a paragraph with the compiled step and compares the loss curve with JAX's (jax_gpt2.py).

    python run.py FOLDER
"""
import json
import os
import subprocess
import sys

import numpy as np

from twist_tools.models import gpt2
from twist_tools.models.graph import save

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = dict(layers=4, dim=32, heads=4, vocab=61, context=16, seed=3)
OPTIONS = ["--batch", "2", "--context", "16", "--learning-rate", "3e-3", "--weight-decay", "0.1", "--clip", "1",
           "--label-smoothing", "0.1", "--json"]


def run(model, folder, *options):
    command = ["twist", "step", model, *OPTIONS, *options, "--data", os.path.join(folder, "ids.npy")]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stderr}")
    return json.loads(result.stdout)


def same_files(a, b):
    names = sorted(os.listdir(a))
    assert names == sorted(os.listdir(b)) and names
    for name in names:
        with open(os.path.join(a, name), "rb") as first, open(os.path.join(b, name), "rb") as second:
            if first.read() != second.read():
                sys.exit(f"{name} differs between {a} and {b}")


def main(folder):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(HERE, "Inputs", "gpt2-curve.json")) as file:
        reference = json.load(file)
    np.save(os.path.join(folder, "ids.npy"), np.array(reference["ids"]))
    config = gpt2.Config(style="split", cache=True, **CONFIG)
    model = os.path.join(folder, "gpt2.onnx")
    save(gpt2.build(config), model)

    # f64: the same numbers as JAX.
    wrote = os.path.join(folder, "f64")
    result = run(model, folder, "--precision", "f64", "--steps", "50", "--write", wrote)
    difference = np.abs(np.array(result["losses"]) - reference["losses"]).max()
    print(f"f64: losses differ by {difference:.1e} at most")
    assert difference < 1e-8, difference
    for name, expected in reference["sums"].items():
        found = np.abs(np.load(os.path.join(wrote, name + ".npy"))).sum()
        assert abs(found - expected) < 1e-7 * expected, (name, found, expected)
    print("f64: parameters agree")

    # f32: near, and the same bytes for any number of threads.
    folders = []
    for threads in (1, 2, 3, 4):
        folders.append(os.path.join(folder, f"f32-{threads}"))
        result = run(model, folder, "--steps", "50", "--threads", str(threads), "--write", folders[-1])
    difference = np.abs(np.array(result["losses"]) - reference["losses"]).max()
    print(f"f32: losses differ by {difference:.1e} at most")
    assert difference < 1e-3, difference
    for other in folders[1:]:
        same_files(folders[0], other)
    print("f32: the same bytes for 1 to 4 threads")

    # Two halves of a batch whose gradients are added.
    halves = run(model, folder, "--precision", "f64", "--steps", "10", "--batch", "1", "--accumulate", "2")
    difference = np.abs(np.array(halves["losses"]) - reference["losses"][:10]).max()
    print(f"accumulated: losses differ by {difference:.1e} at most")
    assert difference < 1e-8, difference


if __name__ == "__main__":
    main(sys.argv[1])
