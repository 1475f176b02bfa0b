"""stories260K and all-MiniLM-L6-v2 cut without training: policies x corrections x kappas.

Data: for stories260K token ids sampled from the dense model (T = 1, from BOS, one seed to calibrate, another to
report); for MiniLM books-valid to calibrate and WikiText-2 valid to report, as ids of its own tokenizer in windows
with [CLS] and [SEP]. A cell that is there already is not measured again: an interrupted run goes on.
    benchmarks/cuts [--models stories,minilm] [--kappas .75,.5,.25] [--tickets 32] [--folder build/benchmarks/cuts]
"""
import argparse
import itertools
import json
import os
import re
import resource
import subprocess
import sys
import time

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(ROOT, "python"), os.path.join(ROOT, "examples", "minilm")]

from twist_tools import timing  # noqa: E402

TWIST = os.path.join(os.environ.get("TWIST_BUILD", os.path.join(ROOT, "build")), "bin", "twist")
DATA = os.environ.get("TWIST_DATA", os.path.join(os.path.dirname(ROOT), "shared", "data"))
POLICIES, METHODS = ("random", "magnitude", "flap", "obs", "fisher"), ("none", "bias", "ls", "relative")
LENGTH = 128


def twist(*arguments):
    """(what it prints, seconds, seconds of processor time)"""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([TWIST, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"twist {' '.join(map(str, arguments))}\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, time.perf_counter() - start, sum(
        getattr(after, k) - getattr(before, k) for k in ("ru_utime", "ru_stime"))


def sampled(model, path, windows, seed):
    """Ids of the model's own distribution, with its key/value cache."""
    import onnxruntime as ort
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    past = {n.name: np.zeros([windows, n.shape[1], 0, n.shape[3]], np.float32)
            for n in session.get_inputs() if n.name.startswith("past")}
    names = [n.replace("past_key_values", "present") for n in past]
    rng, ids = np.random.default_rng(seed), np.ones((windows, 1), np.int64)
    while ids.shape[1] < LENGTH:
        logits, *state = session.run(["logits", *names], {"input_ids": ids[:, -1:], **past})
        past = dict(zip(past, state))
        noisy = logits[:, -1].astype(np.float64) + rng.gumbel(size=logits[:, -1].shape)
        ids = np.concatenate([ids, noisy.argmax(1)[:, None]], 1)
    np.save(path, ids)


def tokenised(text, path, windows, skip=0):
    import tokenizers
    import write_onnx
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(write_onnx.package_folder(), "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    with open(os.path.join(DATA, "text", text), encoding="utf-8") as file:
        ids = tokenizer.encode(file.read(), add_special_tokens=False).ids
    first, last = (tokenizer.token_to_id(t) for t in ("[CLS]", "[SEP]"))
    rows = np.array(ids[skip * (LENGTH - 2):(skip + windows) * (LENGTH - 2)]).reshape(windows, LENGTH - 2)
    ends = [np.full((windows, 1), i) for i in (first, last)]
    np.save(path, np.concatenate([ends[0], rows, ends[1]], 1))


class Case:
    """A model and its data, made once."""

    def __init__(self, name, folder, options):
        self.name = name
        self.model, self.data, self.report, self.cal = (
            os.path.join(folder, name + end) for end in (".onnx", "-data.npy", "-report.npy", ".cal"))
        script = {"stories": "stories260k", "minilm": "minilm"}[name]
        if not os.path.exists(self.model):
            subprocess.run([sys.executable, os.path.join(ROOT, "examples", script, "write_onnx.py"), "-o", self.model],
                           check=True)
        self.windows = (128, 64) if name == "stories" else (options.windows, options.windows // 2)
        for path, count, seed, text in ((self.data, self.windows[0], 0, "books/books-valid.txt"),
                                        (self.report, self.windows[1], 1, "wikitext-2-valid.txt")):
            if os.path.exists(path):
                continue
            if name == "stories":
                sampled(self.model, path, count, seed)
            else:
                tokenised(text, path, count)
        self.measure = "perplexity" if name == "stories" else "cosine to dense"
        self.source = ("sampled from the model, T = 1, seeds 0 and 1" if name == "stories"
                       else "books-valid and WikiText-2 valid")
        self.batch, self.threads = 8 if name == "minilm" else 16, options.threads

    def arguments(self):
        return ["--data", self.data, "--report", self.report, "--batch", self.batch, "--threads", self.threads]

    def calibration(self):
        if not os.path.exists(self.cal):
            twist("calibrate", self.model, "--data", self.data, "--batch", self.batch, "-o", self.cal)
        return self.cal

    def cell(self, policy, method, kappa, tickets, folder):
        calibration = ["--calibration", self.calibration()] if policy in ("flap", "obs") else []
        count = tickets if policy == "random" else 1
        out, _, cpu = twist("ticket", self.model, "--policy", policy, "--kappa", kappa, "--search", count, "--correct",
                            method, *calibration, *self.arguments(), "-o", os.path.join(folder, "ticket.json"))
        mean, sd, least, most = map(float, re.search(
            r"tickets +\d+: mean (\S+), sd (\S+), min (\S+), max (\S+)", out).groups())
        dense = float(re.search(r"', dense (\S+)", out)[1])
        return {"mean": mean, "sd": sd, "min": least, "max": most, "dense": dense, "tickets": count, "cpu": cpu}


def markdown(cases, results, kappas):
    text = []
    for case in cases:
        dense = next((c["dense"] for k, c in results.items() if k.startswith(case.name + " ")), float("nan"))
        text += [f"{case.name}: {case.measure} (dense {dense:.4g}); {case.windows[0]} windows of {LENGTH} tokens to "
                 f"calibrate, {case.windows[1]} to report: {case.source}.", ""]
        rows, notes = [], []
        for kappa in kappas:
            for policy in POLICIES:
                cells = [results.get(f"{case.name} {policy} {m} {kappa}") for m in METHODS]
                measured = [c for c in cells if c]
                if not measured:
                    continue
                means = [c["mean"] if c else None for c in cells]
                best = (min if case.measure == "perplexity" else max)(c["mean"] for c in measured)
                shown = [(f"**{c['mean']:.4g}**" if c["mean"] == best else f"{c['mean']:.4g}")
                         + (f" ± {c['sd']:.2g} [{c['min']:.4g}, {c['max']:.4g}]" if c["tickets"] > 1 else "")
                         if c else "not measured" for c in cells]
                label = policy + (f" x {measured[0]['tickets']}" if measured[0]["tickets"] > 1 else "")
                rows.append([f"{kappa} {label}", *shown])
                if means[-1] not in (best, None):
                    notes.append(f"{kappa} {policy} ({METHODS[means.index(best)]})")
        text += [timing.table(["kappa, policy", *METHODS], rows), ""]
        text += ["`relative` is the best of each row." if not notes else
                 f"`relative` is the best of each row but: {', '.join(notes)}.", ""]
    return text


def prune(case, folder):
    """The whole command on 128 windows, and what it took."""
    data = [os.path.join(folder, f"minilm-{n}.npy") for n in ("data-128", "report-128")]
    for path, text in zip(data, ("books/books-valid.txt", "wikitext-2-valid.txt")):
        if not os.path.exists(path):
            tokenised(text, path, 128)
    out, wall, cpu = twist("prune", case.model, "--kappa", .5, "--data", data[0], "--report", data[1], "--batch",
                           case.batch, "-o", os.path.join(folder, "minilm-small.onnx"))
    table = out[out.rindex("\n\n"):].strip("\n").replace(folder + "/", "")
    return {"wall": wall, "cpu": cpu, "table": table}


def check(case, folder, method):
    """The largest error of a ticket's `ls` or `relative` against numpy's with the same masks, site by site on data already cut, in parts of
    the weight's (and the bias's) largest element. onnxruntime makes the data, in f32; a site's kept rows are those that changed.
    """
    import onnx
    import onnxruntime as ort
    from onnx import helper, numpy_helper
    from safetensors.numpy import load_file
    ticket = os.path.join(folder, f"{case.name}-check.json")
    twist("ticket", case.model, "--policy", "flap", "--calibration", case.calibration(), "--kappa", .5, "--search", 1,
          "--correct", method, *case.arguments(), "-o", ticket)
    found, model, worst = load_file(ticket + ".safetensors"), onnx.load(case.model), []
    weights = {t.name: t for t in model.graph.initializer if len(t.dims) == 2}
    ids = np.load(case.data).astype(np.int64)
    for at, node in list(enumerate(model.graph.node)):
        tensor = weights.get(node.input[1]) if node.op_type == "MatMul" else None
        if tensor is None:
            continue
        w = numpy_helper.to_array(tensor).astype(np.float64)
        changed = {k[:-7]: (t != w.astype(np.float32)).any(1) for k, t in found.items() if t.shape == w.shape}
        key = next((k for k, rows in changed.items() if 0 < rows.sum() < len(w)), None)
        if key is None:
            continue
        x = rows_of(ort, helper, model, node.input[0], ids, case.batch)
        keep, weigh = np.flatnonzero(changed[key]), np.ones(len(x))
        if method == "relative":
            squares = ((x @ w)**2).sum(1)
            weigh = 1 / (squares + np.sort(squares[:case.batch * LENGTH])[case.batch * LENGTH // 2])
        mean = weigh @ x / weigh.sum()
        gram = (x - mean).T @ (weigh[:, None] * (x - mean))
        kept = gram[np.ix_(keep, keep)]
        new = np.linalg.solve(kept + 1e-3 * np.trace(kept) / len(keep) * np.eye(len(keep)), gram[keep] @ w)
        bias = mean @ w - mean[keep] @ new
        worst.append(max(abs(found[key + ".weight"][keep] - new).max() / abs(new).max(),
                         abs(found[key + ".bias"] - bias).max() / abs(bias).max()))
        full = np.zeros_like(w)
        full[keep] = new
        tensor.CopyFrom(numpy_helper.from_array(full.astype(np.float32), tensor.name))
        model.graph.initializer.append(numpy_helper.from_array(bias.astype(np.float32), key))
        out, node.output[0] = node.output[0], node.output[0] + "/cut"
        place = next(i for i, n in enumerate(model.graph.node) if n is node or n.output[0] == node.output[0])
        model.graph.node.insert(place + 1, helper.make_node("Add", [node.output[0], key], [out]))
    return {"sites": len(worst), "error": max(worst)}


def rows_of(ort, helper, model, value, ids, batch):
    """What a value holds for all windows, a row a token, f64."""
    model.graph.output.append(helper.make_empty_tensor_value_info(value))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    model.graph.output.pop()
    rows = []
    for first in range(0, len(ids), batch):
        part = ids[first:first + batch]
        feed = {n.name: np.ones_like(part) if n.name == "attention_mask" else part if n.name == "input_ids" else
                np.zeros([len(part), n.shape[1], 0, n.shape[3]], np.float32) for n in session.get_inputs()}
        out = session.run([value], feed)[0]
        rows.append(out.reshape(-1, out.shape[-1]).astype(np.float64))
    return np.concatenate(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="stories,minilm")
    parser.add_argument("--kappas", default="0.75,0.5,0.25")
    parser.add_argument("--tickets", type=int, default=32, help="random ones a cell")
    parser.add_argument("--windows", type=int, default=64, help="of MiniLM to calibrate; half as many to report")
    parser.add_argument("--threads", type=int, default=0, help="of each run; 0: one per processor")
    parser.add_argument("--folder", default=os.path.join(ROOT, "build", "benchmarks", "cuts"))
    parser.add_argument("-o", "--output", default=os.path.join(ROOT, "build", "benchmarks", "cuts.md"))
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    store = os.path.join(options.folder, "results.json")
    results = json.load(open(store, encoding="utf-8")) if os.path.exists(store) else {}
    kappas = [float(k) for k in options.kappas.split(",")]
    cases = [Case(name, options.folder, options) for name in options.models.split(",")]

    def save(key, value):
        results[key] = value
        with open(store + ".tmp", "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
        os.replace(store + ".tmp", store)
        print(f"[{key}] {json.dumps(value)[:200]}", flush=True)
        with open(options.output, "w", encoding="utf-8") as file:
            file.write("\n".join(report()))

    def report():
        text = markdown(cases, results, kappas)
        for case, method in itertools.product(cases, ("ls", "relative")):
            if f"check {case.name} {method}" in results:
                c = results[f"check {case.name} {method}"]
                text += [f"{case.name}, kappa 0.5, flap: `{method}` of {c['sites']} sites within {c['error']:.1e} of numpy's, with the "
                         "same masks, in parts of the largest element.", ""]
        if "prune" in results:
            p = results["prune"]
            text += [f"`twist prune minilm.onnx --kappa 0.5` (128 windows to calibrate, 128 to report; obs, relative, proofs, "
                     f"two neighbours): {p['wall']:.0f} s, {p['cpu']:.0f} s of processor time.", "", "```",
                     p["table"], "```", ""]
        return text

    for policies in (POLICIES[1:], POLICIES[:1]):
        for case in cases:
            for kappa in kappas:
                for policy in policies:
                    for method in METHODS:
                        key = f"{case.name} {policy} {method} {kappa}"
                        if key not in results:
                            save(key, case.cell(policy, method, kappa, options.tickets, options.folder))
        for case in cases:
            for method in ("ls", "relative"):
                if f"check {case.name} {method}" not in results:
                    save(f"check {case.name} {method}", check(case, options.folder, method))
            if case.name == "minilm" and "prune" not in results:
                save("prune", prune(case, options.folder))
    print("\n".join(report()))
    print(f"saved: {options.output}")


if __name__ == "__main__":
    main()
