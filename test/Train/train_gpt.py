"""twist train end to end on a GPT of 2 layers, dim 32, vocabulary 64: results against onnxruntime, runs that must be equal.

    train_gpt.py results FOLDER      one training; its files, judged again by onnxruntime
    train_gpt.py gains FOLDER        learned gains, folded into dense model and slices, which onnxruntime judges again
    train_gpt.py identities FOLDER   bytes of dense.onnx: dense, local SGD, threads, kill and resume
    train_gpt.py mpi FOLDER          bytes of dense.onnx: one process, two, three; kill and resume
    train_gpt.py spread FOLDER       bytes of dense.onnx: one to four processes, of one to four threads a worker
    train_gpt.py trouble FOLDER      training that diverges, alone and in one of two processes; a disk that is full
    train_gpt.py kills FOLDER        twenty kills, and twenty under MPI
"""
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time

import numpy as np

MODEL = "gpt2:layers={},dim=32,heads=4,vocab=64,context=32,ffn=64"
LAYERS = 2  # one where only bytes are compared: programs are compiled in half the time
MPI = shutil.which("mpirun") is not None
SIZES = ["--context", "32", "--batch", "2", "--local-steps", "3", "--group", "16", "--learning-rate", "3e-3", "--quiet"]


def write_tokens(path, text, tokenizer=bytes(32)):
    """A token file of 64 letters: those that are not letters are spaces. `tokenizer` is its hash."""
    alphabet = "\n abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,;:!?'\"-("
    ids = np.array([max(alphabet.find(c), 1) for c in text], "<u2")
    with open(path, "wb") as file:
        file.write(b"TWISTIDS" + struct.pack("<IIQII", 1, 2, len(ids), 64, 0) + tokenizer + ids.tobytes())
    return ids


def corpus():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return "".join(open(os.path.join(root, "docs", name), encoding="utf-8").read()
                   for name in ("Using.md", "Tickets.md", "Cuts.md"))


def command(folder, name, *options, processes=1):
    words = ["twist", "train", MODEL.format(LAYERS), "--data", os.path.join(folder, "ids.bin"), "-o", os.path.join(folder, name),
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
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        before = checkpoints(target)
        deadline = time.monotonic() + 1200
        while checkpoints(target) == before and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(random.random() * 0.05)
        if processes == 1:
            child.kill()
            child.wait()
        else:  # one of them: mpirun says so, and ends the others
            ranks = open(f"/proc/{child.pid}/task/{child.pid}/children").read().split() if child.poll() is None else []
            for rank in ranks[-1:]:
                os.kill(int(rank), signal.SIGKILL)
            said = child.stderr.read().decode()
            child.wait()
            assert not ranks or "signal 9" in said, said
        assert checkpoints(target), "no checkpoint was written"
    done = subprocess.run(command(folder, name, *options, "--resume", processes=processes), capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rounds = [json.loads(line)["round"] for line in open(os.path.join(target, "metrics.jsonl"))]
    assert rounds == list(range(len(rounds))), rounds


def interrupted(folder, name):
    """Ctrl-C ends the round, leaves a checkpoint and is told from an end by the exit code."""
    target = os.path.join(folder, name)
    shutil.rmtree(target, ignore_errors=True)
    child = subprocess.Popen(command(folder, name, "--rounds", 100000), stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 1200
    metrics = os.path.join(target, "metrics.jsonl")
    while not (os.path.exists(metrics) and os.path.getsize(metrics)) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    said = child.communicate(timeout=120)[1]
    assert child.returncode == 130 and "stopped after round" in said and "--resume goes on" in said, said
    rounds = int(said.split("stopped after round ")[1].split(";")[0])
    assert checkpoints(target)[-1] == f"round-{rounds:06}.safetensors"
    refused = subprocess.run(command(folder, name, "--rounds", 100000), capture_output=True, text=True)
    assert refused.returncode == 1 and "holds a training already" in refused.stderr, refused.stderr
    print("interrupted:", said.strip().splitlines()[-1].split(";")[1])


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
    assert sorted(os.listdir(os.path.join(run, "tickets"))) == ["kappa0.5-0.json", "kappa0.5-1.json"]
    judged = {m["model"]: m for m in json.load(open(os.path.join(run, "tickets.json")))["models"]}
    for name, path in (("dense", "dense.onnx"), ("kappa0.5-0", "sliced/kappa0.5-0.onnx")):
        ours, theirs = judged[name]["perplexity"], perplexity(os.path.join(run, path), valid)
        print(f"{name}: {ours:.6f} here, {theirs:.6f} in onnxruntime")
        assert abs(ours / theirs - 1) < 1e-5
    # The slice is what twist slice makes of dense model and ticket, and smaller.
    again = os.path.join(folder, "again.onnx")
    subprocess.run(["twist", "slice", os.path.join(run, "dense.onnx"), "--ticket",
                    os.path.join(run, "tickets/kappa0.5-0.json"), "-o", again], check=True, stdout=subprocess.DEVNULL)
    assert open(again, "rb").read() == open(os.path.join(run, "sliced/kappa0.5-0.onnx"), "rb").read()
    assert os.path.getsize(again) < os.path.getsize(os.path.join(run, "dense.onnx"))
    page = open(os.path.join(run, "report.html")).read()
    assert "<svg" in page and "kappa0.5-1" in page and "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def gains(folder):
    text = corpus()
    write_tokens(os.path.join(folder, "ids.bin"), text)
    valid = write_tokens(os.path.join(folder, "valid.bin"), text[:16 * 32 + 1])
    train(folder, "run", "--any-kappa", "0.5,1", "--rounds", 12, "--valid", os.path.join(folder, "valid.bin"),
          "--tickets", 1, "--gain", "learned", "--gain-start", 1.5)
    run = os.path.join(folder, "run")
    ticket = json.load(open(os.path.join(run, "tickets/kappa0.5-0.json")))
    assert ticket["correction"]["kind"] == "gain" and ticket["weights"]["file"] == "gain0.5.safetensors"
    learned = {k: np.frombuffer(v, "<f4") for k, v in last_state(folder, "run").items() if k.startswith("parameter/gain:")}
    assert len(learned) == 4 and all(len(v) == 2 for v in learned.values())
    assert all(v[0] != v[1] and v[0] != 1.5 and v[1] != 1 for v in learned.values()), learned
    def compare(run):
        judged = {m["model"]: m for m in json.load(open(os.path.join(run, "tickets.json")))["models"]}
        for name, path in (("dense", "dense.onnx"), ("kappa0.5-0", "sliced/kappa0.5-0.onnx")):
            ours, theirs = judged[name]["perplexity"], perplexity(os.path.join(run, path), valid)
            print(f"{name}: {ours:.6f} here, {theirs:.6f} in onnxruntime")
            assert abs(ours / theirs - 1) < 1e-5

    compare(run)
    constant = train(folder, "constant", "--rounds", 4, "--tickets", 1, "--gain", 0.6, "--valid", os.path.join(folder, "valid.bin"))
    assert "frozen" in constant
    compare(os.path.join(folder, "constant"))


# -- identities
def identities(folder):
    write_tokens(os.path.join(folder, "ids.bin"), corpus())
    short = ["--rounds", 3, "--tickets", 0]

    def same(a, b):
        first, second = last_state(folder, a), last_state(folder, b)
        assert len(first) > 60 and first == second, f"{a} and {b} differ"
        print(f"{a} = {b}")

    train(folder, "one", *short, "--workers", 1, "--kappa", 1)
    train(folder, "dense", *short, "--workers", 1, "--mode", "dense", "--local-steps", 9, "--rounds", 1)
    same("one", "dense")
    train(folder, "twist", *short, "--at-once", 1)
    train(folder, "threads", *short, "--at-once", 4, "--threads", 2)
    same("twist", "threads")
    killed_and_resumed(folder, "killed", *short)
    same("twist", "killed")
    interrupted(folder, "interrupted")


def mpi(folder):
    write_tokens(os.path.join(folder, "ids.bin"), corpus())
    short = ["--rounds", 3, "--tickets", 0, "--transport", "mpi"]
    train(folder, "one", *short[:-2], "--at-once", 1)
    out = train(folder, "mpi", *short, processes=3)
    killed_and_resumed(folder, "killed", *short, processes=2)
    for name in ("mpi", "killed"):
        assert last_state(folder, "one") == last_state(folder, name), name
    print(next(line for line in out.splitlines() if line.startswith("bytes")))
    print("one process = three = two, one of them killed, and resumed")


def spread(folder):
    write_tokens(os.path.join(folder, "ids.bin"), corpus())
    short = ["--rounds", 2, "--tickets", 0]
    train(folder, "one", *short, "--at-once", 1)
    wanted = last_state(folder, "one")
    for processes in (1, 2, 3, 4):
        for threads in (1, 2, 3, 4):
            more = ["--transport", "mpi"] if processes > 1 else ["--at-once", 2]
            train(folder, "many", *short, *more, "--threads", threads, processes=processes)
            assert last_state(folder, "many") == wanted, (processes, threads)
    print("one process of one thread = four of four, and all between")


def trouble(folder):
    write_tokens(os.path.join(folder, "ids.bin"), corpus())
    target = os.path.join(folder, "lost")
    words = ["--rounds", 30, "--tickets", 0, "--checkpoint-every", 1, "--clip", 0, "--optimiser", "sgd", "--schedule", "constant",
             "--warmup", 60, "--learning-rate", 30]
    for processes in (1, 2) if MPI else (1, ):
        shutil.rmtree(target, ignore_errors=True)
        more = ["--transport", "mpi"] if processes > 1 else []
        done = subprocess.run(command(folder, "lost", *words, *more, processes=processes), capture_output=True, text=True)
        said = next(line for line in done.stderr.splitlines() if "error: round" in line)
        print(f"{processes}: {said}")
        assert done.returncode != 0 and "worker" in said and "step" in said and "finite" in said, done.stderr
        lost = int(said.split("round ")[1].split(",")[0])
        assert lost > 0 and checkpoints(target)[-1] == f"round-{lost:06}.safetensors", (lost, checkpoints(target))

    whole = ["--rounds", 40, "--tickets", 0]
    train(folder, "whole", *whole)
    target = os.path.join(folder, "full")
    shutil.rmtree(target, ignore_errors=True)
    words = command(folder, "full", *whole, "--checkpoint-every", 1)
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not checkpoints(target) and child.poll() is None:
        time.sleep(0.002)
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (20000, 20000))
    said = child.communicate()[1]
    kept = checkpoints(target)
    assert child.returncode == 1 and "cannot be written: File too large" in said, said
    assert kept and all(name.startswith("round-") for name in os.listdir(os.path.join(target, "checkpoints")))
    assert sorted(os.listdir(os.path.join(target, "checkpoints"))) == kept, "a temporary file is left"
    subprocess.run([*words, "--resume"], check=True, stdout=subprocess.DEVNULL)
    assert last_state(folder, "full") == last_state(folder, "whole")
    print("a full disk costs nothing but the round")


def kills(folder):
    write_tokens(os.path.join(folder, "ids.bin"), corpus())
    options = ["--rounds", 24, "--tickets", 0]
    train(folder, "whole", *options)
    for name, processes, more in (("killed", 1, []), ("killed-mpi", 2, ["--transport", "mpi"])):
        killed_and_resumed(folder, name, *options, *more, processes=processes, kills=20)
        assert last_state(folder, "whole") == last_state(folder, name), name
        print(f"{name}: 20 times")


if __name__ == "__main__":
    LAYERS = 2 if sys.argv[1] in ("results", "gains") else 1
    {"results": results, "gains": gains, "identities": identities, "mpi": mpi, "spread": spread, "trouble": trouble,
     "kills": kills}[sys.argv[1]](sys.argv[2])
