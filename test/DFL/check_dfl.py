"""Training and attacks of compiled predictors against numpy, brute force and onnxruntime."""
import itertools
import json
import os
import re
import subprocess
import sys

import highsbox
import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

WEIGHTS, CAPACITY, MIX = np.array([3, 5, 7, 3, 5, 7]), 12, np.array([1.0, 2.0, -1.5])
SETS = np.array([s for s in itertools.product([0, 1], repeat=6) if np.dot(s, WEIGHTS) <= CAPACITY], float)


def costs(x):
    return 9 + x @ MIX + 0.8 * x[..., 0] * x[..., 1]


def best(gains):
    """The best set under each row of gains; no ties in these data."""
    return SETS[np.argmax(gains @ SETS.T, axis=1)]


def regret(c, predicted):
    optimum = (c * best(c)).sum(1)
    return 100 * np.mean((optimum - (c * best(predicted)).sum(1)) / optimum)


def twist(*arguments):
    return subprocess.run(["twist", "dfl", *arguments], check=True, capture_output=True, text=True).stdout


def predict(model, x):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x.reshape(-1, 3).astype(np.float32)})[0].reshape(x.shape[:2])


def parameters(path):
    return np.concatenate([numpy_helper.to_array(w).ravel() for w in onnx.load(path).graph.initializer]).astype(float)


def trained_in_numpy(x, c, start, gradient, rate, steps):
    """Adam on one linear layer for all items, every step on all instances: weights, then the bias."""
    t, m, v = start.copy(), np.zeros(4), np.zeros(4)
    for step in range(1, steps + 1):
        g = gradient(x @ t[:3] + t[3], c)
        d = np.append(np.einsum("bi,bif->f", g, x), g.sum())
        m, v = 0.9 * m + 0.1 * d, 0.999 * v + 0.001 * d * d
        t = t - rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return t


def check_long_batch(folder, task, x):
    """A batch of 900 rows, in the order that numpy shuffles, is trained as in numpy."""
    with open(f"{folder}/long.json", "w", encoding="utf-8") as file:
        json.dump(dict(task, shuffle="mt19937"), file)
    order = np.arange(len(x))
    np.random.RandomState(3).shuffle(order)
    x = x[order[:150]]
    common = [f"{folder}/long.json", "--seed", "3", "--batch", "150", "--learning-rate", "0.3"]
    twist("train", *common, "--method", "mse", "--epochs", "0", "-o", f"{folder}/start.onnx")
    start = parameters(f"{folder}/start.onnx")
    gradients = {"mse": lambda yh, c: 2 * (yh - c) / c.size, "spo+": lambda yh, c: best(2 * yh - c) - best(c)}
    for method, gradient in gradients.items():
        twist("train", *common, "--method", method, "--epochs", "7", "-o", f"{folder}/long.onnx")
        want = trained_in_numpy(x, costs(x), start, gradient, 0.3, 7)
        got = parameters(f"{folder}/long.onnx")
        assert np.abs(got - want).max() < 1e-5 < np.abs(got - start).max(), (method, got, want)
    print("a batch of 900 rows is that of numpy")


PROGRAMME = """maximize
 obj: x0 + x1 + x2
subject to
 r0: x0 + 2 x1 + x2 <= 4
 r1: x0 - x1 >= -1
bounds
 x0 <= 3
 x2 >= -1
 x2 <= 1
general
 x1
end
"""


def check_programmes(folder, rng):
    """A mixed-integer programme is trained through its relaxation; an instance without optimum is named."""
    os.environ["TWIST_HIGHS"] = os.path.join(highsbox.highs_lib_dir(), "libhighs.so")
    x = rng.standard_normal((90, 4))
    c = x @ rng.standard_normal((4, 3)) + 0.3 * rng.standard_normal((90, 3)) + [0.5, 1, 0]
    task = {"problem": {"kind": "programme", "file": "p.lp"}, "data": {"kind": "file", "file": "p.npz"},
            "split": [60, 0, 30]}
    with open(f"{folder}/p.json", "w", encoding="utf-8") as file:
        json.dump(task, file)
    with open(f"{folder}/p.lp", "w", encoding="utf-8") as file:
        file.write(PROGRAMME)
    np.savez(f"{folder}/p.npz", x=x, c=c)
    for method in ("hsd", "qptl"):
        shown = twist("train", f"{folder}/p.json", "--method", method, "--epochs", "8", "--batch", "20",
                      "--learning-rate", "0.1")
        curve = [float(line.split()[2]) for line in shown.splitlines() if re.match(r" +\d", line)]
        assert curve[-1] < 0.5 * curve[0], (method, curve)
    # Open above but for instances whose cost of x1 is positive.
    with open(f"{folder}/p.lp", "w", encoding="utf-8") as file:
        file.write("maximize\n obj: x0 + x1 + x2\nsubject to\n r0: x0 + x2 <= 4\nend\n")
    np.savez(f"{folder}/p.npz", x=x, c=np.where(np.arange(90)[:, None] == 41, 1.0, -1.0) * np.ones(3))
    run = subprocess.run(["twist", "dfl", "train", f"{folder}/p.json"], capture_output=True, text=True, check=False)
    assert run.returncode == 1 and re.search(r"error: instance 41 of a programme .*: is unbounded", run.stderr), run
    print("programmes are trained through their relaxations")


def main(folder):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((260, 6, 3))
    np.savez_compressed(f"{folder}/data.npz", x=x, c=costs(x))
    task = {"problem": {"kind": "knapsack", "capacity": CAPACITY, "weights": WEIGHTS.tolist()},
            "data": {"kind": "file", "file": "data.npz"}, "split": [150, 50, 60]}
    with open(f"{folder}/task.json", "w", encoding="utf-8") as file:
        json.dump(task, file)
    check_long_batch(folder, task, x)
    check_programmes(folder, np.random.default_rng(1))
    common = [f"{folder}/task.json", "--seed", "3", "--batch", "32", "--method", "spo+"]
    trained = twist("train", *common, "--epochs", "12", "--learning-rate", "0.3", "-o", f"{folder}/m.onnx")
    curve = [float(line.split()[2]) for line in trained.splitlines() if re.match(r" +\d", line)]
    assert len(curve) == 13 and curve[-1] < 0.5 * curve[0], curve
    printed = float(re.search(r"relative regret ([\d.]+) %", trained)[1])

    # The exported model in onnxruntime, decisions by brute force.
    attacked = {}
    for eps in ("0", "0.25"):
        table = twist("attack", *common, "--model", f"{folder}/m.onnx", "--eps", eps, "-o", f"{folder}/x.npy")
        attacked[eps] = np.load(f"{folder}/x.npy"), float(table.splitlines()[-1].split()[1])
    clean, shown = attacked["0"]
    c = costs(clean)
    model = predict(f"{folder}/m.onnx", clean)
    assert abs(regret(c, model) - printed) < 0.02 and abs(shown - printed) < 0.02, (regret(c, model), printed, shown)
    print("regret of the exported model is that printed")

    # One step of an attack on a linear model: eps times the sign of what the weights carry back.
    gradient = best(2 * model - c) - best(c)
    weights = np.stack([predict(f"{folder}/m.onnx", clean + d) - model for d in np.eye(3)], axis=-1)
    want = clean + 0.25 * np.sign(gradient[..., None] * np.sign(weights))
    moved, shown = attacked["0.25"]
    assert np.abs(moved - want).max() < 1e-12, np.abs(moved - want).max()
    assert abs(regret(c, predict(f"{folder}/m.onnx", moved)) - shown) < 0.02
    print("the attack is the closed form")

    # Only where the mask and the box allow it; towards the next instance's decision.
    gradient = best(2 * model - np.roll(c, -1, 0)) - np.roll(best(c), -1, 0)
    want = clean - 0.25 * np.sign(gradient[..., None] * np.sign(weights)) * [0, 1, 1]
    want = np.minimum(want, np.maximum([9, 0.5, 9], clean))
    twist("attack", *common, "--model", f"{folder}/m.onnx", "--eps", "0.25", "--targeted", "--mask", "0,1,1", "--upper",
          "9,0.5,9", "-o", f"{folder}/x.npy")
    assert np.abs(np.load(f"{folder}/x.npy") - want).max() < 1e-12
    print("so is the one with a target, a mask and a box")

    # Hidden units: gradients of inputs point uphill.
    twist("train", *common[:-1], "mse", "--model", "relu:8", "--epochs", "40", "--learning-rate", "0.02", "-o",
          f"{folder}/r.onnx")
    losses = []
    for eps in ("0", "0.05"):
        twist("attack", *common[:-1], "mse", "--model", f"{folder}/r.onnx", "--attack-loss", "mse", "--eps", eps, "-o",
              f"{folder}/x.npy")
        losses.append(((predict(f"{folder}/r.onnx", np.load(f"{folder}/x.npy")) - c) ** 2).mean(axis=1))
    assert np.mean(losses[1] > losses[0]) > 0.95 and losses[0].mean() < 3, (losses[0].mean(), losses[1].mean())
    print("a model with hidden units is trained and attacked")


main(sys.argv[1])
