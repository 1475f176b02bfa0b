"""Training and attacks of compiled predictors against numpy, brute force and onnxruntime."""
import itertools
import json
import re
import subprocess
import sys

import numpy as np
import onnxruntime

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


def main(folder):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((260, 6, 3))
    np.savez_compressed(f"{folder}/data.npz", x=x, c=costs(x))
    task = {"problem": {"kind": "knapsack", "capacity": CAPACITY, "weights": WEIGHTS.tolist()},
            "data": {"kind": "file", "file": "data.npz"}, "split": [150, 50, 60]}
    with open(f"{folder}/task.json", "w", encoding="utf-8") as file:
        json.dump(task, file)
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
