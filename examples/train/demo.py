"""TwIST on a small GPT: train subnetworks in parallel, cut a random ticket, let it write; dense model and cuts beside it.

    examples/train/demo.py [--text FILE] [--rounds 200] [--folder build/demo-train]

Without --text it reads Debian's bible-kjv. Both models see the same tokens in the same order.
"""
import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np
import onnxruntime
import tokenizers

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "python"))

from twist_tools.demo import parameters, say, twist  # noqa: E402

CONTEXT, BATCH, GROUP = 128, 2, 32
MODEL = f"gpt2:layers=4,dim=128,heads=4,vocab=2048,context={CONTEXT}"


def read_text(path):
    if path:
        return open(path, encoding="utf-8").read()
    try:
        verses = subprocess.run(["bible", "-f", "gen1:1-rev22:21"], stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, check=True).stdout
    except FileNotFoundError:
        sys.exit("error: no text: name one with --text, or install Debian's bible-kjv")
    return "".join(line.split(" ", 1)[1] + "\n" for line in verses.splitlines() if " " in line)


def prepare(text, folder):
    """A tokenizer, and token files to train and to judge on: the last twentieth."""
    cut = text.rfind("\n", 0, len(text) * 19 // 20) + 1
    for name, part in (("train", text[:cut]), ("valid", text[cut:])):
        with open(os.path.join(folder, name + ".txt"), "w", encoding="utf-8") as file:
            file.write(part)
    tokenizer = os.path.join(folder, "tokenizer.json")
    twist("tokenizer", "--data", os.path.join(folder, "train.txt"), "--vocab", 2048, "-o", tokenizer)
    for name in ("train", "valid"):
        twist("tokenize", "--tokenizer", tokenizer, "--data", os.path.join(folder, name + ".txt"), "-o",
              os.path.join(folder, name + ".bin"))
    return tokenizer


def train(folder, name, rounds, *options):
    run = os.path.join(folder, name)
    subprocess.run(["rm", "-rf", run], check=True)
    twist("train", MODEL, "--data", os.path.join(folder, "train.bin"), "--context", CONTEXT, "--batch", BATCH,
          "--group", GROUP, "--rounds", rounds, "--local-steps", 15, "--learning-rate", 3e-3, "--warmup", 60,
          "--schedule", "cosine", "--weight-decay", 0.01, "--valid", os.path.join(folder, "valid.bin"),
          *options, "-o", run, show=True)
    return run


def windows(folder):
    """All windows of the held-out text, as `twist eval` and `twist train --valid` take them; the last label may be missing."""
    ids = np.fromfile(os.path.join(folder, "valid.bin"), "<u2", offset=64).astype(np.int64)
    count = len(ids) // CONTEXT
    labels = np.full(count * CONTEXT, -1)
    told = ids[1:count * CONTEXT + 1]
    labels[:len(told)] = told
    return ids[:count * CONTEXT].reshape(count, CONTEXT), labels.reshape(count, CONTEXT)


def judge(path, data):
    """Perplexity in onnxruntime, each token told once, and tokens a second of whole windows there."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    nats, best = 0.0, float("inf")
    for first in range(0, len(data[0]), BATCH):
        ids, labels = (part[first:first + BATCH] for part in data)
        feed = {"input_ids": ids}
        for value in session.get_inputs()[1:]:
            feed[value.name] = np.zeros((len(ids), value.shape[1], 0, value.shape[3]), np.float32)
        start = time.perf_counter()
        logits = session.run(["logits"], feed)[0].astype(np.float64)
        best = min(best, (time.perf_counter() - start) / ids.size)
        logits -= logits.max(-1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
        nats -= np.where(labels >= 0, np.take_along_axis(logits, np.maximum(labels, 0)[..., None], -1)[..., 0], 0).sum()
    return float(np.exp(nats / (data[1] >= 0).sum())), 1 / best


def cut(model, name, folder, method=None):
    """The random ticket of seed 7, as it is or corrected."""
    ticket, out = os.path.join(folder, name + ".json"), os.path.join(folder, name + ".onnx")
    twist("ticket", model, "--kappa", 0.5, "--policy", "random", "--seed", 7, "--group", GROUP, "-o", ticket)
    if method:
        corrected = os.path.join(folder, name + "-corrected.json")
        twist("correct", model, "--ticket", ticket, "--method", method, "--data", os.path.join(folder, "train.bin"),
              "--context", CONTEXT, "--batch", BATCH, "--samples", 128, "-o", corrected)
        ticket = corrected
    twist("slice", model, "--ticket", ticket, "-o", out)
    return out


def write(model, tokenizer, folder, prompt):
    """A native executable of the model continues the prompt, greedily."""
    program = os.path.join(folder, "writer")
    twist("compile", model, "--emit", "exe", "-o", program)
    words = tokenizers.Tokenizer.from_file(tokenizer)
    ids = words.encode(prompt).ids
    command = [program, "--ids", ",".join(map(str, ids)), "--count", "60"]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        sys.exit(made.stderr)
    print("    " + words.decode(ids + [int(i) for i in made.stdout.split()]).replace("\n", "\n    "))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--folder", default=os.path.join(ROOT, "build", "demo-train"))
    options = parser.parse_args()
    if options.rounds < 6:
        sys.exit("error: --rounds is 6 at least: kappa falls twice")
    folder = options.folder
    os.makedirs(folder, exist_ok=True)
    started = time.perf_counter()

    say("text, tokenizer, token files")
    text = read_text(options.text)
    if len(text) < 200_000:
        sys.exit("error: a text of 200,000 letters at least is needed")
    tokenizer = prepare(text, folder)

    say(f"TwIST: 4 workers hold all, then three quarters, then half of the heads and FFN groups of {MODEL} each, dealt anew "
        "every 15 steps")
    ours = train(folder, "twist", options.rounds, "--anneal", f"0:1,{options.rounds * 35 // 100}:0.75,{options.rounds * 55 // 100}:0.5",
                 "--tickets", 8)
    say("the whole model in every worker, the same tokens")
    dense = train(folder, "dense", options.rounds, "--mode", "dense", "--tickets", 0)

    say("cuts of that dense model at the same size: half of heads and FFN groups at random, as they are and by least "
        "squares")
    whole = os.path.join(dense, "dense.onnx")
    models = {"dense": whole,
              "TwIST ticket": os.path.join(ours, "sliced", "kappa0.5-0.onnx"),
              "random cut": cut(whole, "random", folder),
              "ls cut": cut(whole, "ls", folder, "ls")}
    data = windows(folder)
    print(f"\n{len(data[0])} windows of {CONTEXT} of the held-out end, {(data[1] >= 0).sum():,} tokens told, one each; onnxruntime, "
          "1 thread")
    print(f"{'':14} {'perplexity':>10} {'parameters':>11} {'bytes':>10} {'tokens/s':>9}")
    for name, path in models.items():
        perplexity, speed = judge(path, data)
        print(f"{name:14} {perplexity:10.2f} {parameters(path):11,} {os.path.getsize(path):10,} {speed:9.0f}")
    tickets = json.load(open(os.path.join(ours, "tickets.json")))["models"][1:]
    values = [t["perplexity"] for t in tickets]
    print(f"{len(values)} random tickets by twist train on the same tokens: {np.mean(values):.2f} mean, {min(values):.2f} to "
          f"{max(values):.2f}; the table's is the first, {values[0]:.2f}\n")

    say("the ticket writes, as a native executable")
    write(models["TwIST ticket"], tokenizer, folder, "And the king said unto them,")
    say(f"{time.perf_counter() - started:.0f} s; {os.path.relpath(ours)}/report.html shows the training")


if __name__ == "__main__":
    main()
