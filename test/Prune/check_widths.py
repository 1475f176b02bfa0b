"""twist widths, twist dfl widths and --value-model against onnxruntime and all combinations: check_widths.py FOLDER"""
import itertools
import json
import os
import re
import sys

import numpy as np
from twist_tools.models import gpt2
from twist_tools.models.graph import save

from common import LENGTH, VOCAB, perplexity, refused, session, twist


def check_values(path, model, data, report, ids, folder):
    """The uniform ticket and one with an axis whole, each made, corrected, sliced and run by others."""
    values = json.load(open(path))
    ticket, corrected, small = (os.path.join(folder, n) for n in ("t.json", "c.json", "s.onnx"))

    def loss(keep):
        mask = json.load(open(os.path.join(folder, "uniform.json")))
        for name, width in keep.items():
            mask["axes"][name]["keep"] = list(range(mask["axes"][name]["units"])) if width is None else width
        json.dump(mask, open(ticket, "w"))
        twist("correct", model, "--ticket", ticket, "--data", data, "--batch", 4, "-o", corrected)
        twist("slice", model, "--ticket", corrected, "-o", small)
        return np.log(perplexity(small, ids))

    uniform, axis = loss({}), values["axes"][1]
    assert abs(values["uniform"] - uniform) < 1e-4, (values["uniform"], uniform)
    assert abs(values["dense"] - np.log(perplexity(model, ids))) < 1e-4
    at = axis["widths"].index(axis["uniform"])
    want = uniform - loss({axis["axis"]: None})
    assert abs(axis["increases"][at] - want) < 1e-4 and axis["increases"][-1] == 0, (axis, want)
    for axis in values["axes"]:
        assert axis["uniform"] == axis["units"] // 2 and axis["features"][-1] == [0] * len(values["features"])
    assert values["allowed"] == sum(a["costs"][a["widths"].index(a["uniform"])] for a in values["axes"])
    print("widths: losses as onnxruntime has them")
    return values


def check_choice(model, data, path, values, learned, folder):
    """The budget of the uniform ticket: the least of all combinations of what the value model says."""
    predictor = session(learned)
    port = predictor.get_inputs()[0]
    kind = np.float64 if "double" in port.type else np.float32
    tables = [predictor.run(None, {port.name: np.array(a["features"], kind)})[0][:, 0] for a in values["axes"]]
    best = min(sum(t[i] for t, i in zip(tables, picks))
               for picks in itertools.product(*(range(len(t)) for t in tables))
               if sum(a["costs"][i] for a, i in zip(values["axes"], picks)) <= values["allowed"])
    whole = sum(a["costs"][-1] for a in values["axes"])
    dense = int(re.search(r"budget +\d+ of (\d+)", twist(
        "ticket", model, "--budget", "parameters=.9", "-o", os.path.join(folder, "d.json")))[1])
    spent = ["--round-to", 32, "--min-units", 1, "--budget", f"parameters={dense - whole + values['allowed']}", "--value-model",
             learned]
    out = twist("ticket", model, "--policy", "obs", "--calibration", path, *spent, "-o", os.path.join(folder, "chosen.json"))
    got = float(re.search(r"loss (\S+), the least", out)[1])
    assert abs(got - best) < 1e-5 * max(1, abs(best)), (got, best)
    out = twist("prune", model, "--data", data, "--batch", 4, *spent, "--correct", "none", "--verify=false",
                "--neighbours=false", "-o", os.path.join(folder, "chosen.onnx"))
    assert abs(float(re.search(r"loss (\S+), the least", out)[1]) - best) < 1e-5 * max(1, abs(best)), out
    print("value model: the best of all combinations")


def check_random(model, cal, data, report, ids, folder):
    """Widths drawn by seeds: within the budget, not all alike, and the best of them is found."""
    best, one, small = (os.path.join(folder, n) for n in ("best.json", "one.json", "one.onnx"))
    spent = ["--policy", "obs", "--calibration", cal, "--round-to", 32, "--min-units", 1, "--budget", "parameters=.8", "--value-model",
             "random"]
    out = twist("ticket", model, *spent, "--seed", 5, "--search", 3, "--data", data, "--report", report, "--batch", 4, "-o", best)
    found, widths = [], set()
    for seed in (5, 6, 7):
        text = twist("ticket", model, *spent, "--seed", seed, "-o", one)
        allowed, kept = map(int, re.search(r"budget +(\d+) of \d+ parameters, kept (\d+)", text).groups())
        assert .9 * allowed < kept <= allowed, text
        widths.add(tuple(len(a["keep"]) for a in json.load(open(one))["axes"].values()))
        twist("slice", model, "--ticket", one, "-o", small)
        found.append(perplexity(small, ids))
    least, most = map(float, re.search(r"min (\S+), max (\S+)", out).groups())
    np.testing.assert_allclose([least, most], [min(found), max(found)], rtol=1e-4)
    assert f"best       seed {5 + int(np.argmin(found))}\n" in out and len(widths) > 1, (out, widths)
    assert json.load(open(best))["provenance"]["widths"] == "random"
    refused("all the same, unless --value-model random", "ticket", model, "--policy", "obs", "--calibration", cal, "--search", 2,
            "--data", data, "-o", best)
    print("random widths: the best of three")


def main(folder):
    model, data, report, cal, path = (os.path.join(folder, n) for n in ("m.onnx", "d.npy", "r.npy", "m.cal", "v.json"))
    save(gpt2.build(gpt2.Config(layers=2, dim=32, heads=4, vocab=VOCAB), None), model)
    rng = np.random.default_rng(0)
    ids = rng.integers(0, VOCAB, (8, LENGTH))
    np.save(data, rng.integers(0, VOCAB, (24, LENGTH)))
    np.save(report, ids)
    twist("calibrate", model, "--data", data, "--batch", 4, "-o", cal)
    obs = ["--policy", "obs", "--calibration", cal]
    twist("ticket", model, *obs, "-o", os.path.join(folder, "uniform.json"))
    twist("widths", model, "--calibration", cal, "--data", data, "--report", report, "--batch", 4, "--round-to", 32,
          "--min-units", 1, "-o", path)
    values = check_values(path, model, data, report, ids, folder)
    learned = os.path.join(folder, "value.onnx")
    for method in ("mse", "spo+"):
        out = twist("dfl", "widths", path, "--judge", path, "--method", method, "--epochs", 400, "-o", learned)
        regret, even = map(float, re.search(r"judged +(\S+) +(\S+)", out).groups())
        assert 0 <= regret < even / 2, out
    check_choice(model, data, cal, values, learned, folder)
    check_random(model, cal, data, report, ids, folder)
    budget = ["--budget", "parameters=.8", "-o", os.path.join(folder, "x.json")]
    refused("--value-model needs --budget: it predicts what widths lose", "ticket", model, *obs, "--value-model", learned, "-o", "x.json")
    refused("under the policy obs, not flap", "ticket", model, "--policy", "flap", "--calibration", cal, "--value-model",
            learned, *budget)
    refused("a predictor's (input is|has one)", "ticket", model, *obs, "--value-model", model, *budget)
    few, path3 = json.load(open(path)), os.path.join(folder, "three.json")
    few["features"] = few["features"][:3]
    for axis in few["axes"]:
        axis["features"] = [row[:3] for row in axis["features"]]
    json.dump(few, open(path3, "w"))
    twist("dfl", "widths", path3, "--epochs", 1, "-o", os.path.join(folder, "three.onnx"))
    refused("the value model takes 3 features and gives 1 values: widths have 17 features", "ticket", model, *obs,
            "--value-model", os.path.join(folder, "three.onnx"), *budget)
    refused("three.json: has 3 features a width, the first file 17", "dfl", "widths", path, path3)
    refused("--widths is at least 1", "widths", model, "--calibration", cal, "--data", data, "--widths", 0, "-o", "x.json")
    refused("around --kappa", "widths", model, "--calibration", cal, "--data", data, *budget)
    refused("uniform.json: ", "dfl", "widths", os.path.join(folder, "uniform.json"))
    json.dump({"version": 2}, open(os.path.join(folder, "second.json"), "w"))
    refused("holds no values of widths of version 1", "dfl", "widths", os.path.join(folder, "second.json"))
    broken = json.load(open(path))
    broken["axes"][0]["costs"].pop()
    json.dump(broken, open(path, "w"))
    refused("has not one cost, increase and row of features", "dfl", "widths", path)
    print("value model: refusals")


main(sys.argv[1])
