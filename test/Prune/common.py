"""What the checks of this folder share: runs of twist, and qualities as onnxruntime has them."""
import re
import subprocess

import numpy as np
import onnxruntime as ort
from twist_tools.models.graph import Graph, save

LENGTH, VOCAB = 16, 61


def run(*arguments):
    return subprocess.run(["twist", *map(str, arguments)], capture_output=True, text=True)


def twist(*arguments):
    done = run(*arguments)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


def refused(message, *arguments):
    done = run(*arguments)
    assert done.returncode == 1 and re.search(message, done.stderr), f"{arguments}: {done.returncode} {done.stderr}"


def language_model(path, ffn=128, dim=32):
    """A hidden layer behind a norm, named as GPT-2's: compiled in a part of the time."""
    rng, g = np.random.default_rng(0), Graph("lm")

    def linear(x, name, rows, columns):
        weight, bias = rng.standard_normal((rows, columns)) * rows**-.5, rng.standard_normal(columns) * .3
        return g.linear(x, g.weight(name + ".weight", weight), g.weight(name + ".bias", bias))

    x = g.op("Gather", g.weight("wte.weight", rng.standard_normal((VOCAB, dim))),
             g.input("input_ids", np.int64, ["batch", "sequence"]))
    x = g.layer_norm(x, g.weight("ln.weight", np.ones(dim)), g.weight("ln.bias", np.zeros(dim)), 1e-5, True)
    g.op("Identity", linear(g.op("Tanh", linear(x, "h.0.mlp.c_fc", dim, ffn)), "h.0.mlp.c_proj", ffn, VOCAB), to="logits")
    g.output("logits", "float", ["batch", "sequence", VOCAB])
    save(g.model({"kind": "lm"}), path, False)


def session(model):
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"])


def log_softmax(x):
    x = x.astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def perplexity(model, ids):
    logits, = session(model).run(["logits"], {"input_ids": ids})
    return np.exp(-np.take_along_axis(log_softmax(logits)[:, :-1], ids[:, 1:, None], -1).mean())
