"""twist correct against numpy and onnxruntime, with the same masks: check_corrections.py FOLDER"""
import json
import os
import sys

import numpy as np
import onnx
from safetensors.numpy import load_file
from twist_tools.models import gpt2
from twist_tools.models.graph import save

from common import LENGTH, language_model, session, twist

CONFIG = gpt2.Config(layers=1, dim=32, heads=4)
BATCH = 4


def kept_features(axes, weight, width):
    """Rows of a c_proj weight that stay: heads of 8 or single FFN units."""
    name = "h.0.attn.c_attn.weight:1:c0:0" if "attn" in weight else "h.0.mlp.c_fc.weight:1"
    mask = axes[name]
    size = width // mask["units"] * mask["group"]
    return np.array([g * size + i for g in mask["keep"] for i in range(size)])


def statistics(model, weight, ids):
    """The data that meet `weight`, one row a token, f64."""
    graph = onnx.ModelProto.FromString(model.SerializeToString())
    value, = {n.input[0] for n in graph.graph.node if len(n.input) > 1 and n.input[1] == weight}
    graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(value))
    made = session(graph.SerializeToString())
    return np.concatenate([made.run([value], {"input_ids": row[None]})[0].reshape(-1, len(array(model, weight)))
                           for row in ids]).astype(np.float64)


def array(model, name):
    return next(onnx.numpy_helper.to_array(t) for t in model.graph.initializer if t.name == name)


def change(model, name, value):
    tensor = next(t for t in model.graph.initializer if t.name == name)
    tensor.CopyFrom(onnx.numpy_helper.from_array(value.astype(np.float32), name))


def scale(x, w, keep, units):
    """s* of the gain."""
    size, k = x.shape[1] // units, units
    parts = [x[:, u * size:(u + 1) * size] @ w[u * size:(u + 1) * size] for u in range(k)]
    a = (sum(parts)**2).sum(1).mean()
    v = k / (k - 1) * (sum((p**2).sum(1).mean() for p in parts) - a / k)
    kappa = len(keep) / x.shape[1]
    return a / (kappa * a + (1 - kappa) * v)


def corrected(method, x, w, keep, units):
    """W' in the rows it keeps, b'."""
    mu, removed = x.mean(0), np.setdiff1d(np.arange(x.shape[1]), keep)
    if method in ("ls", "relative"):
        weights = np.ones(len(x))
        if method == "relative":
            squares = ((x @ w)**2).sum(1)
            weights = 1 / (squares + np.sort(squares[:BATCH * LENGTH])[BATCH * LENGTH // 2])
        mu = weights @ x / weights.sum()
        h = (x - mu).T @ (weights[:, None] * (x - mu))
        hss = h[np.ix_(keep, keep)]
        lam = 1e-3 * np.trace(hss) / len(keep)
        new = np.linalg.solve(hss + lam * np.eye(len(keep)), h[keep] @ w)
        return new, mu @ w - mu[keep] @ new
    gain = scale(x, w, keep, units) if "gain" in method else 1
    new = gain * w[keep]
    if method == "gain":
        return new, np.zeros(w.shape[1])
    if method == "bias":
        return new, mu[removed] @ w[removed]
    return new, mu @ w - mu[keep] @ new


def check(method, path, ids, data, ticket, folder):
    out = os.path.join(folder, "corrected.json")
    twist("correct", path, "--ticket", ticket, "--data", data, "--batch", BATCH, "--method", method, "-o", out)
    tensors, axes = load_file(out + ".safetensors"), json.load(open(ticket))["axes"]
    model = onnx.load(path)
    names = [t.name for t in model.graph.initializer]
    for weight, bias in (("h.0.attn.c_proj.weight", "h.0.attn.c_proj.bias"),
                         ("h.0.mlp.c_proj.weight", "h.0.mlp.c_proj.bias")):
        if weight not in names:
            continue
        x, w = statistics(model, weight, ids), array(model, weight).astype(np.float64)
        keep = kept_features(axes, weight, len(w))
        units = CONFIG.heads if "attn" in weight else len(w)
        new, shift = corrected(method, x, w, keep, units)
        full = w.copy()
        full[keep] = new
        got = next((k[:-7] for k, t in tensors.items() if t.shape == w.shape and k.endswith(".weight")), None)
        for name, want in ((got + ".weight", full), (got + ".bias", shift)):
            error = abs(tensors[name] - want).max() / max(abs(want).max(), 1e-3)
            assert error < 1e-4, f"{method}: {name}: {error}"
        masked = np.zeros_like(w)
        masked[keep] = new
        change(model, weight, masked)
        change(model, bias, array(model, bias) + shift)
    small = os.path.join(folder, "small.onnx")
    proven = method == "relative"  # weights, biases: what others change, too
    report = twist("slice", path, "--ticket", out, "-o", small, *(["--verify"] if proven else []))
    assert not proven or report.count("holds") >= 4 and "FAILS" not in report, report
    dense, cut, want = (session(m).run(["logits"], {"input_ids": ids[:2]})[0]
                        for m in (path, small, model.SerializeToString()))
    assert abs(cut - want).max() < 1e-3 * abs(want).max(), abs(cut - want).max()
    return dense, cut


def main(folder):
    gpt, lm, data, ticket = (os.path.join(folder, n) for n in ("gpt.onnx", "lm.onnx", "ids.npy", "t.json"))
    save(gpt2.build(CONFIG, None), gpt)
    language_model(lm)
    ids = np.random.default_rng(0).integers(0, 61, (24, LENGTH))
    np.save(data, ids)
    for path, methods in ((lm, ("gain", "bias", "ls")), (gpt, ("bias+gain", "relative"))):
        twist("ticket", path, "--kappa", 0.5, "-o", ticket)
        for method in methods:
            dense, cut = check(method, path, ids, data, ticket, folder)
            print(f"{method}: agrees with numpy; relative error of the logits "
                  f"{abs(dense - cut).mean() / abs(dense).mean():.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
