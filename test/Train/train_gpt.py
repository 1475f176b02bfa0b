"""twist train end to end on a GPT of 2 layers, dim 32, vocabulary 64: results against onnxruntime, runs that must be equal.

    train_gpt.py results FOLDER      one training; its files, judged again by onnxruntime
    train_gpt.py identities FOLDER   bytes of dense.onnx: dense, local SGD, threads, kill and resume
    train_gpt.py mpi FOLDER          bytes of dense.onnx: one process, two, three; kill and resume
"""
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time

import numpy as np

MODEL = "gpt2:layers=2,dim=32,heads=4,vocab=64,context=32,ffn=64"
SIZES = ["--context", "32", "--batch", "2", "--local-steps", "3", "--group", "16", "--learning-rate", "3e-3", "--quiet"]


def write_tokens(path, text):
    """A token file of 64 letters: those that are not letters are spaces."""
    alphabet = "\n abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,;:!?'\"-("
    ids = np.array([max(alphabet.find(c), 1) for c in text], "<u2")
    with open(path, "wb") as file:
        file.write(b"TWISTIDS" + struct.pack("<IIQII", 1, 2, len(ids), 64, 0) + bytes(32) + ids.tobytes())
    return ids


def corpus():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return "".join(open(os.path.join(root, "docs", name), encoding="utf-8").read()
                   for name in ("Using.md", "Tickets.md", "Cuts.md"))


def command(folder, name, *options, processes=1):
    words = ["twist", "train", MODEL, "--data", os.path.join(folder, "ids.bin"), "-o", os.path.join(folder, name),
             *SIZES, *map(str, options)]
    if processes > 1 or "mpi" in options:
        words = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", str(processes),
                 *words]
    return words


def train(folder, name, *options, processes=1):
    shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
    done = subprocess.run(command(folder, name, *options, processes=processes), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def last_state(folder, name):
    """All tensors of the last checkpoint: parameters, moments, counts, as bytes."""
    path = os.path.join(folder, name, "checkpoints", checkpoints(os.path.join(folder, name))[-1])
    raw = open(path, "rb").read()
    start = 8 + struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:start])
    header.pop("__metadata__")
    return {k: raw[start + v["data_offsets"][0]:start + v["data_offsets"][1]] for k, v in header.items()}


def killed_and_resumed(folder, name, *options, processes=1, kills=1):
    """Kills (-9) at random moments after the first checkpoint, and goes on."""
    target = os.path.join(folder, name)
    shutil.rmtree(target, ignore_errors=True)
    options = [*options, "--checkpoint-every", 1]
    for kill in range(kills):
        words = command(folder, name, *options, *(["--resume"] if kill else []), processes=processes)
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        before = checkpoints(target)
        deadline = time.monotonic() + 120
        while checkpoints(target) == before and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(random.random() * 0.05)
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()
        assert checkpoints(target), "no checkpoint was written"
    done = subprocess.run(command(folder, name, *options, "--resume", processes=processes), capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rounds = [json.loads(line)["round"] for line in open(os.path.join(target, "metrics.jsonl"))]
    assert rounds == list(range(len(rounds))), rounds


def checkpoints(target):
    folder = os.path.join(target, "checkpoints")
    return sorted(f for f in os.listdir(folder) if f.endswith(".safetensors")) if os.path.isdir(folder) else []


# -- results
def logits_of(path, ids):
    import onnxruntime
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {"input_ids": ids}
    for value in session.get_inputs():
        if value.name != "input_ids":
            feed[value.name] = np.zeros((len(ids), value.shape[1], 0, value.shape[3]), np.float32)
    return session.run(["logits"], feed)[0].astype(np.float64)


def perplexity(path, ids, context=32, batch=2):
    """By the same windows: all whole ones, the last label behind the last token."""
    count = (len(ids) - 1) // context // batch * batch
    order = np.arange(count)
    windows = np.stack([ids[i * context:i * context + context + 1] for i in order]).astype(np.int64)
    logits = logits_of(path, windows[:, :-1])
    logits -= logits.max(-1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    return float(np.exp(-np.take_along_axis(logits, windows[:, 1:, None], -1).mean()))


def results(folder):
    text = corpus()
    write_tokens(os.path.join(folder, "ids.bin"), text)
    # 16 windows and the label behind them: an even number of batches, so that all are judged.
    valid = write_tokens(os.path.join(folder, "valid.bin"), text[:16 * 32 + 1])
    out = train(folder, "run", "--kappa", 0.5, "--rounds", 40, "--valid", os.path.join(folder, "valid.bin"),
                "--tickets", 2, "--seed", 3)
    print(out)
    run = os.path.join(folder, "run")
    metrics = [json.loads(line) for line in open(os.path.join(run, "metrics.jsonl"))]
    assert len(metrics) == 40 and len(metrics[0]["losses"]) == 4
    assert metrics[-1]["loss"] < metrics[0]["loss"] - 0.8, (metrics[0]["loss"], metrics[-1]["loss"])
    assert sorted(os.listdir(os.path.join(run, "tickets"))) == ["kappa0.50-0.json", "kappa0.50-1.json"]
    judged = {m["model"]: m for m in json.load(open(os.path.join(run, "tickets.json")))["models"]}
    for name, path in (("dense", "dense.onnx"), ("kappa0.50-0", "sliced/kappa0.50-0.onnx")):
        ours, theirs = judged[name]["perplexity"], perplexity(os.path.join(run, path), valid)
        print(f"{name}: {ours:.6f} here, {theirs:.6f} in onnxruntime")
        assert abs(ours / theirs - 1) < 1e-5
    # The slice is what twist slice makes of dense model and ticket, and smaller.
    again = os.path.join(folder, "again.onnx")
    subprocess.run(["twist", "slice", os.path.join(run, "dense.onnx"), "--ticket",
                    os.path.join(run, "tickets/kappa0.50-0.json"), "-o", again], check=True, stdout=subprocess.DEVNULL)
    assert open(again, "rb").read() == open(os.path.join(run, "sliced/kappa0.50-0.onnx"), "rb").read()
    assert os.path.getsize(again) < os.path.getsize(os.path.join(run, "dense.onnx"))
    page = open(os.path.join(run, "report.html")).read()
    assert "<svg" in page and "kappa0.50-1" in page and "http://" not in page.replace("http://www.w3.org/2000/svg", "")


# -- identities
def identities(folder):
    write_tokens(os.path.join(folder, "ids.bin"), corpus())
    short = ["--rounds", 3, "--tickets", 0]

    def same(a, b):
        first, second = last_state(folder, a), last_state(folder, b)
        assert len(first) > 20 and first == second, f"{a} and {b} differ"
        print(f"{a} = {b}")

    train(folder, "one", *short, "--workers", 1, "--kappa", 1)
    train(folder, "dense", *short, "--workers", 1, "--mode", "dense", "--local-steps", 9, "--rounds", 1)
    same("one", "dense")
    train(folder, "many", *short, "--kappa", 1)
    train(folder, "sgd", *short, "--mode", "dense")
    same("many", "sgd")
    train(folder, "twist", *short, "--at-once", 1)
    train(folder, "threads", *short, "--at-once", 4, "--threads", 2)
    same("twist", "threads")
    killed_and_resumed(folder, "killed", *short, kills=int(os.environ.get("TWIST_KILLS", 1)))
    same("twist", "killed")


def mpi(folder):
    write_tokens(os.path.join(folder, "ids.bin"), corpus())
    short = ["--rounds", 3, "--tickets", 0, "--transport", "mpi"]
    train(folder, "one", *short[:-2], "--at-once", 1)
    for processes in (2, 3):
        out = train(folder, f"mpi{processes}", *short, processes=processes)
        assert last_state(folder, "one") == last_state(folder, f"mpi{processes}"), processes
        print(next(line for line in out.splitlines() if line.startswith("bytes")))
    killed_and_resumed(folder, "killed", *short, processes=2, kills=int(os.environ.get("TWIST_KILLS", 1)))
    assert last_state(folder, "one") == last_state(folder, "killed")
    print("one process = two = three = two, killed and resumed")


if __name__ == "__main__":
    {"results": results, "identities": identities, "mpi": mpi}[sys.argv[1]](sys.argv[2])
