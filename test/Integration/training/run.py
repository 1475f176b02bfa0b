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
OPTIONS = ["--context", "16", "--learning-rate", "3e-3", "--weight-decay", "0.1", "--clip", "1",
           "--label-smoothing", "0.1", "--json"]


def run(model, folder, *options):
    batch = () if "--batch" in options else ("--batch", "2")
    command = ["twist", "step", model, *OPTIONS, *batch, *options, "--data", os.path.join(folder, "ids.npy")]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stderr}")
    return json.loads(result.stdout)


def main(folder):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(HERE, "Inputs", "gpt2-curve.json")) as file:
        reference = json.load(file)
    np.save(os.path.join(folder, "ids.npy"), np.array(reference["ids"]))
    config = gpt2.Config(style="split", cache=True, **CONFIG)
    model = os.path.join(folder, "gpt2.onnx")
    save(gpt2.build(config), model)

    # f64: the same numbers as JAX.
    wrote, emitted = os.path.join(folder, "f64"), os.path.join(folder, "mlir")
    result, = run(model, folder, "--precision", "f64", "--steps", "50", "--write", wrote, "--emit-mlir", emitted)
    difference = np.abs(np.array(result["losses"]) - reference["losses"]).max()
    print(f"f64: losses differ by {difference:.1e} at most")
    assert difference < 1e-8, difference
    for name, expected in reference["sums"].items():
        found = np.abs(np.load(os.path.join(wrote, name + ".npy"))).sum()
        assert abs(found - expected) < 1e-7 * expected, (name, found, expected)
    print("f64: parameters agree")

    # What the causal mask hides is left out: six products a layer, its softmax and that's gradient.
    found = subprocess.run(["twist-opt", "--nn-find-causal", os.path.join(emitted, "step.mlir")], check=True,
                           capture_output=True, text=True).stdout
    counts = [found.count(text) for text in ("nn.triangle", "nn.causal_softmax", " causal 0")]
    print(f"causal products, softmaxes, gradients: {counts}")

    # f32: near, and the same bytes for any number of threads.
    results = run(model, folder, "--steps", "50", "--threads", "1,2,3,4")
    difference = np.abs(np.array(results[0]["losses"]) - reference["losses"]).max()
    print(f"f32: losses differ by {difference:.1e} at most")
    assert difference < 1e-3, difference
    assert len({result["sha256"] for result in results}) == 1, [result["sha256"] for result in results]
    print("f32: the same bytes for 1 to 4 threads")

    # Products of bf16: 8 bits of mantissa.
    result, = run(model, folder, "--precision", "bf16", "--steps", "20")
    difference = np.abs(np.array(result["losses"]) - reference["losses"][:20]).max()
    print(f"bf16: losses differ by {difference:.1e} at most")
    assert 1e-5 < difference < 0.1, difference

    # A head that the exporter stored once more, transposed, is the embedding again; gradients of half a batch add up.
    weights = gpt2.random_weights(config)
    weights["lm_head.weight"] = weights["wte.weight"]
    save(gpt2.build(gpt2.Config(style="split", tied=False, **CONFIG), weights), model)
    result, = run(model, folder, "--precision", "f64", "--steps", "10", "--batch", "1", "--accumulate", "2")
    difference = np.abs(np.array(result["losses"]) - reference["losses"][:10]).max()
    print(f"tied again, accumulated: losses differ by {difference:.1e} at most")
    assert difference < 1e-8, difference


if __name__ == "__main__":
    main(sys.argv[1])
