"""One step of a BERT encoder and of a convolutional net with each loss, compared with the ONNX reference in f64.

    python losses.py FOLDER

A step of gradient descent at rate 1 leaves p - g: its loss is the formula on the reference's outputs, and g along random
directions is a central difference of that. The models' own losses are nodes of their graphs.
"""
import json
import math
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto as T, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "gradients"))
from widen import widen  # noqa: E402
from twist_tools.models import bert, cnn  # noqa: E402

BATCH = 3
IGNORED = -100
# Not trained: what a norm has measured.
FROZEN = ("running_mean", "running_var")


class Erf(OpRun):
    """The reference's own rounds to f32."""
    op_domain = ""

    def _run(self, x):
        return (np.vectorize(math.erf, otypes=[x.dtype])(x),)


def bert_model():
    model = bert.build(bert.Config(layers=1, dim=16, heads=2, vocab=19, context=8, ffn=24))
    random = np.random.default_rng(1)
    mask = np.ones((BATCH, 6), np.int64)
    mask[1, 4:] = 0
    return model, {"input_ids": random.integers(0, 19, (BATCH, 6)), "attention_mask": mask}, ["--context", "6"]


def cnn_model():
    model, _ = cnn.build(cnn.Config(layers=2, image=12))
    images = np.random.default_rng(2).standard_normal((BATCH, 3, 12, 12))
    return model, {"pixel_values": images}, []


def add_own_loss(model, output, labels):
    """A node of the graph computes the loss of `output`."""
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(labels, "true_labels"))
    graph.node.append(helper.make_node("SoftmaxCrossEntropyLoss", [output, "true_labels"], ["own_loss"], reduction="mean"))
    graph.output.append(helper.make_tensor_value_info("own_loss", T.FLOAT, []))


def cross_entropy(logits, labels, smoothing):
    shifted = logits - logits.max(-1, keepdims=True)
    scores = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    counted = labels != IGNORED
    picked = np.take_along_axis(scores, np.where(counted, labels, 0)[:, None], 1)[:, 0]
    return -(((1 - smoothing) * picked + smoothing * scores.mean(-1)) * counted).sum() / counted.sum()


def cosine(x, y):
    return (1 - (x * y).sum(-1) / (np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1))).mean()


def step(path, inputs, folder, options):
    """The loss of a step in f64, and what it left of the parameters."""
    words = ["twist", "step", path, "--precision", "f64", "--optimiser", "sgd", "--momentum", "0", "--learning-rate", "1",
             "--steps", "1", "--batch", str(BATCH), "--json", "--write", folder, *options]
    for name, array in inputs.items():
        file = os.path.join(folder, name + ".in.npy")
        np.save(file, array)
        words += ["--input", f"{name}={file}"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stderr}")
    return json.loads(done.stdout)[0]["losses"][0]


def reference(model, parameters, inputs):
    """Named outputs in f64 with these values of the parameters."""
    for tensor in model.graph.initializer:
        if tensor.name in parameters:
            tensor.CopyFrom(numpy_helper.from_array(parameters[tensor.name], tensor.name))
    names = [o.name for o in model.graph.output]
    return dict(zip(names, ReferenceEvaluator(model, new_ops=[Erf]).run(None, inputs)))


def check(title, built, loss, formula, folder, output="", extra=None):
    model, inputs, options = built
    folder = os.path.join(folder, title.replace(" ", "-"))
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "model.onnx")
    onnx.save(model, path)
    options = [*options, "--loss", loss, *(["--output", output] if output else []), *(extra or [])]
    targets = {k: v for k, v in inputs.items() if k in ("target", "labels")}
    found = step(path, inputs, folder, options)
    wide = widen(model, ())
    given = {k: v for k, v in inputs.items() if k not in targets}
    before = {t.name: numpy_helper.to_array(t) for t in wide.graph.initializer if t.data_type == T.DOUBLE}
    trained = {n: a for n, a in before.items() if not n.endswith(FROZEN)}
    after = {n: np.load(os.path.join(folder, n.replace("/", "_") + ".npy")) for n in trained}

    def value(parameters):
        return float(formula(reference(wide, parameters, given), targets))

    want = value(before)
    assert abs(found - want) < 1e-11 * max(1, abs(want)), (title, found, want)
    random, worst = np.random.default_rng(len(title)), 0.0
    for _ in range(2):
        direction = {n: random.standard_normal(a.shape) for n, a in trained.items()}
        slope = sum(((trained[n] - after[n]) * d).sum() for n, d in direction.items())
        sides = [value({n: a + sign * 1e-6 * direction[n] for n, a in trained.items()}) for sign in (1, -1)]
        difference = (sides[0] - sides[1]) / 2e-6
        worst = max(worst, abs(slope - difference) / max(1e-2, abs(difference)))
    assert worst < 1e-6, (title, worst)
    # A key's bias moves all scores of a row alike: softmax does not see it.
    still = [n for n in trained if np.all(trained[n] == after[n]) and not n.endswith("key.bias")]
    assert not still, still
    print(f"{title}: loss {found:.12f}, {len(trained)} parameters along 2 directions to {worst:.0e}")


def main(folder):
    random = np.random.default_rng(7)
    embedding = random.standard_normal((BATCH, 16))
    model, inputs, options = bert_model()
    name = model.graph.output[0].name
    check("BERT cosine", (model, inputs | {"target": embedding}, options), "cosine",
          lambda out, t: cosine(out[name], t["target"]), folder)
    model, inputs, options = bert_model()
    check("BERT mean square", (model, inputs | {"target": embedding}, options), "mean-square",
          lambda out, t: ((out[name] - t["target"])**2).mean(), folder)
    labels = np.array([4, IGNORED, 6])
    model, inputs, options = cnn_model()
    check("CNN cross entropy", (model, inputs | {"labels": labels}, options), "cross-entropy",
          lambda out, t: cross_entropy(out["logits"], t["labels"], 0.1), folder, "logits", ["--label-smoothing", "0.1"])
    model, inputs, options = cnn_model()
    labels = np.array([4, 2, 6])
    add_own_loss(model, "logits", labels)
    check("CNN own", (model, inputs, options), "own", lambda out, t: out["own_loss"], folder, "own_loss")


if __name__ == "__main__":
    main(sys.argv[1])
