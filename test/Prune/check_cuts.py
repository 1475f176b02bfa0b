"""eval, calibrate and the policies that need data, against numpy and onnxruntime: check_cuts.py FOLDER"""
import json
import os
import re
import sys

import numpy as np
import onnx
from twist_tools import calibration
from twist_tools.models import gpt2
from twist_tools.models.graph import save

from common import LENGTH, log_softmax, refused, session, twist


def check_eval(model, folder):
    text = (open(os.path.abspath(__file__), "rb").read() + "äöü €\n".encode())[:1500]
    source = os.path.join(folder, "text")
    open(source, "wb").write(text)
    out = twist("eval", model, "--data", source, "--tokenizer", "bytes", "--context", LENGTH, "--batch", 3)
    ids = np.frombuffer(text, "u1").astype(np.int64)
    windows = len(ids) // LENGTH
    runs = session(model)
    nats = count = 0
    for w in range(windows):
        start = w * LENGTH
        targets = ids[start + 1:start + LENGTH + 1]
        logits, = runs.run(["logits"], {"input_ids": ids[None, start:start + LENGTH]})
        nats -= log_softmax(logits)[0, np.arange(len(targets)), targets].sum()
        count += len(targets)
    want = {"perplexity": np.exp(nats / count), "bits/byte": nats / np.log(2) / count}
    for name, value in want.items():
        got = float(re.search(rf"^{name} +([0-9.]+)", out, re.M)[1])
        assert abs(got / value - 1) < 1e-4, f"{name}: {got}, not {value}\n{out}"
    assert f"{windows} of {LENGTH} tokens" in out and f"{count} told" in out and "bytes" in out, out
    same = twist("eval", model, "--reference", model, "--data", source, "--tokenizer", "bytes", "--context", LENGTH,
                 "--samples", 3)
    assert "cosine     1.000000 mean, 1.000000 least" in same, same
    print("eval: agrees with onnxruntime")


def gate_inputs(model, ids):
    """Per c_proj weight the data it is multiplied with, in f64: one row a token."""
    graph = onnx.load(model)
    names = {}
    for node in graph.graph.node:
        if len(node.input) > 1 and node.input[1].endswith("c_proj.weight"):
            names[node.input[1]] = node.input[0]
    for value in names.values():
        graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(value))
    runs = session(graph.SerializeToString())
    rows = {weight: [] for weight in names}
    for row in ids:
        for weight, value in zip(names, runs.run(list(names.values()), {"input_ids": row[None]})):
            rows[weight].append(value.reshape(-1, value.shape[-1]).astype(np.float64))
    weights = {i.name: onnx.numpy_helper.to_array(i) for i in graph.graph.initializer}
    return {w: (np.concatenate(r), weights[w]) for w, r in rows.items()}


def check_statistics(path, model, ids):
    header, sites = calibration.read(path)
    want = gate_inputs(model, ids)
    assert header["done"] == header["batches"] and len(sites) == len(want)
    for site, (x, weight) in zip(sites, want.values()):
        assert site.count == len(x)
        np.testing.assert_array_equal(site.weight, weight)
        mean = x.mean(0)
        gram = (x - mean).T @ (x - mean)
        assert abs(site.mean - mean).max() < 1e-5 * abs(x).max()
        assert abs(site.gram - gram).max() < 1e-5 * abs(gram).max(), abs(site.gram - gram).max()
    print("calibrate: agrees with onnxruntime and numpy")
    return sites


def check_same_bytes(path, model, data, folder):
    """One thread or three, in one go or resumed."""
    other = os.path.join(folder, "other.cal")
    twist("calibrate", model, "--data", data, "--batch", 2, "--threads", 3, "-o", other)
    full = open(path, "rb").read()
    assert open(other, "rb").read() == full, "another number of threads, other bytes"
    os.remove(other)
    twist("calibrate", model, "--data", data, "--batch", 2, "--samples", 10, "-o", other)
    part, numbers = calibration.split(open(other, "rb").read())
    whole, _ = calibration.split(full)
    part.update({key: whole[key] for key in ("batches", "data_sha256", "protocol")})
    open(other, "wb").write(calibration.join(part, numbers))
    refused("is unfinished: 5 of", "ticket", model, "--policy", "flap", "--calibration", other, "-o",
            os.path.join(folder, "x.json"))
    twist("calibrate", model, "--data", data, "--batch", 2, "-o", other)
    a, b = calibration.split(open(other, "rb").read()), calibration.split(full)
    assert a == b, "resumed, other numbers"
    print("calibrate: the same bytes for any threads, and resumed")


def flap(site, axis, units):
    scores = np.diag(site.gram) / site.count * (site.weight**2).sum(1)
    return np.array([scores[site.features(axis, u)].sum() for u in range(units)])


def obs(site, axis, units, group):
    """Greedy over the whole loss of what is removed, computed anew each time."""
    h = site.gram + 1e-3 * np.trace(site.gram) / len(site.gram) * np.eye(len(site.gram))
    inverse, removed, order = np.linalg.inv(h), [], []
    groups = {g: sum((site.features(axis, u) for u in range(g * group, (g + 1) * group)), [])
              for g in range(units // group)}
    while groups:
        def loss(g):
            s = removed + groups[g]
            w = site.weight[s]
            return np.trace(w.T @ np.linalg.solve(inverse[np.ix_(s, s)], w))
        g = min(groups, key=loss)
        removed += groups.pop(g)
        order.append(g)
    return order


def check_policies(path, model, sites, folder):
    ticket = os.path.join(folder, "t.json")
    for policy, group in (("flap", 1), ("flap", 4), ("obs", 1), ("obs", 8)):
        for kappa in (0.75, 0.25):
            twist("ticket", model, "--policy", policy, "--calibration", path, "--kappa", kappa, "--group", group,
                  "-o", ticket)
            axes = json.load(open(ticket))["axes"]
            seen = 0
            for site in sites:
                for number, axis in enumerate(site.axes):
                    if axis["name"] not in axes:
                        continue
                    mask = axes[axis["name"]]
                    size, count = mask["group"], mask["units"] // mask["group"]
                    kept = int(np.floor(kappa * count + 0.5))
                    if policy == "flap":
                        scores = flap(site, number, axis["units"]).reshape(count, size).sum(1)
                        want = np.argsort(-scores, kind="stable")[:kept]
                    else:
                        want = obs(site, number, axis["units"], size)[count - kept:]
                    assert mask["keep"] == sorted(int(u) for u in want), (policy, group, kappa, axis["name"])
                    seen += 1
            assert seen == len(axes)
    small = os.path.join(folder, "small.onnx")
    twist("slice", model, "--ticket", ticket, "-o", small)
    print("ticket: flap and obs agree with numpy")


def main(folder):
    model = os.path.join(folder, "m.onnx")
    save(gpt2.build(gpt2.Config(layers=1, dim=32, heads=4, vocab=256), None), model)
    check_eval(model, folder)
    ids = np.random.default_rng(0).integers(0, 256, (24, LENGTH))
    data, path = os.path.join(folder, "ids.npy"), os.path.join(folder, "m.cal")
    np.save(data, ids)
    twist("calibrate", model, "--data", data, "--batch", 2, "--threads", 1, "-o", path)
    sites = check_statistics(path, model, ids)
    check_same_bytes(path, model, data, folder)
    check_policies(path, model, sites, folder)


if __name__ == "__main__":
    main(sys.argv[1])
