"""twist train on other objectives, starts, precisions and baselines, on models of one layer; numbers against onnxruntime.

    train_kinds.py objectives FOLDER     masked tokens; a teacher's outputs, kept in a file
    train_kinds.py gains FOLDER          gains of least squares, from a calibration
    train_kinds.py models FOLDER         llama:, bf16, dropout, a small dense model
    train_kinds.py stories FOLDER        a trained model from outside
"""
import json
import os
import resource
import shutil
import struct
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import train_gpt
from train_gpt import corpus, last_state, logits_of, perplexity, train, write_tokens
from twist_tools.models import bert, gpt2

train_gpt.LAYERS = 1


def twist(*words, fails=False):
    done = subprocess.run(["twist", *map(str, words)], capture_output=True, text=True)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


def losses(folder, name):
    return [json.loads(line)["loss"] for line in open(os.path.join(folder, name, "metrics.jsonl"))]


def judged(folder, name):
    file = json.load(open(os.path.join(folder, name, "tickets.json")))
    return {m["model"]: m[file["measure"]] for m in file["models"]}


def write_data(folder):
    text = corpus()
    write_tokens(os.path.join(folder, "ids.bin"), text)
    return write_tokens(os.path.join(folder, "valid.bin"), text[:15 * 32 + 1])  # the last batch is half


# -- objectives
def norm(vectors):
    return np.linalg.norm(vectors, axis=-1)


def embedding_of(path, ids):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {value.name: ids if "ids" in value.name else np.ones_like(ids) for value in session.get_inputs()}
    return session.run(None, feed)[0].astype(np.float64)


def run_distil(folder, distance, model, teacher, windows, outputs_of, wanted, most, more):
    words = train_gpt.command(folder, distance, "--objective", "distil", "--teacher", teacher, "--distance", distance, "--rounds", 12,
                              *more)
    words[2] = model
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    target = outputs_of(teacher, windows)
    for name, path in (("dense", "dense.onnx"), ("kappa0.5-0", "sliced/kappa0.5-0.onnx")):
        theirs = wanted(outputs_of(os.path.join(folder, distance, path), windows), target)
        ours = judged(folder, distance)[name]
        print(f"{distance}, {name}: {ours:.6f} here, {theirs:.6f} in onnxruntime")
        assert abs(ours / theirs - 1) < 1e-4
    seen = losses(folder, distance)
    assert seen[-1] < most * seen[0], seen


def objectives(folder):
    ids = write_data(folder)
    valid = ["--valid", os.path.join(folder, "valid.bin"), "--tickets", 1]
    train(folder, "masked", "--objective", "masked", "--mask-token", 63, "--rounds", 20, "--tickets", 0)
    seen = losses(folder, "masked")
    print(f"masked: from {seen[0]:.3f} to {seen[-1]:.3f}")
    assert 3.9 < seen[0] < 4.4 and seen[-1] < seen[0] - 0.6

    teacher = os.path.join(folder, "masked", "dense.onnx")
    windows = np.stack([ids[i * 32:i * 32 + 32] for i in range(14)]).astype(np.int64)  # whole batches
    run_distil(folder, "cosine", train_gpt.MODEL.format(1), teacher, windows, logits_of,
               lambda made, target: 1 - ((made * target).sum(-1) / (norm(made) * norm(target))).mean(), 0.7, valid)
    for seed in (0, 1):  # sentence encoders: no logits, one vector a window
        onnx.save(bert.build(bert.Config(layers=1, seed=seed, vocab=64, context=32)), os.path.join(folder, f"bert{seed}.onnx"))
    run_distil(folder, "mse", os.path.join(folder, "bert1.onnx"), os.path.join(folder, "bert0.onnx"), windows, embedding_of,
               lambda made, target: ((made - target) ** 2).mean(), 0.97, valid)

    # The file of outputs: taken where it holds, made again where it does not.
    kept = os.path.join(folder, "cosine", "teacher-0.outputs")
    damaged = bytearray(open(kept, "rb").read())
    used = [i for i in range(128, len(damaged)) if damaged[i]][::50]
    for at in used:
        damaged[at] ^= 1
    for name, content in (("again", None), ("damaged", damaged)):
        shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        os.makedirs(os.path.join(folder, name))
        if content:
            open(os.path.join(folder, name, "teacher-0.outputs"), "wb").write(content)
        command = train_gpt.command(folder, name, "--objective", "distil", "--teacher", teacher, "--rounds", 2, "--tickets", 0)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        assert last_state(folder, name) == last_state(folder, "again"), name
    assert len(used) > 500
    print("damaged outputs of the teacher are made again")
    model = os.path.join(folder, "masked", "dense.onnx")
    for words, said in (
            (["--objective", "distil"], "--teacher and --objective distil need each other"),
            (["--objective", "distil", "--teacher", model, "--distance", "l1"], "--distance is cosine or mse, not 'l1'"),
            (["--objective", "distil", "--teacher", model, "--output", "hidden"], "dense.onnx: has no output of floats 'hidden'"),
            (["--objective", "masked"], "masked tokens need --mask-token, an id below 64")):
        message = twist("train", model, "--data", os.path.join(folder, "ids.bin"), "--context", 32, *words, "-o",
                        os.path.join(folder, "refused"), fails=True)
        assert said in message, message
    distil = ["--objective", "distil", "--rounds", 2, "--tickets", 0, "--teacher"]
    for vocabulary, said in ((48, "takes ids below 48, the student's are below 64"),
                             (80, "the student's output is [2, 32, 64], the teacher's 'logits' [2, 32, 80]")):
        other = os.path.join(folder, f"vocabulary{vocabulary}.onnx")
        onnx.save(gpt2.build(gpt2.Config(layers=1, dim=16, heads=2, vocab=vocabulary, context=32)), other)
        done = subprocess.run(train_gpt.command(folder, "refused", *distil, other), capture_output=True, text=True)
        assert done.returncode == 1 and said in done.stderr, done.stderr
    assert not os.path.exists(os.path.join(folder, "refused", "teacher-0.outputs"))
    again = train_gpt.command(folder, "again", *distil, os.path.join(folder, "cosine", "dense.onnx"), "--resume")
    done = subprocess.run(again, capture_output=True, text=True)
    assert done.returncode == 1 and "was made with another teacher" in done.stderr, done.stderr
    os.makedirs(os.path.join(folder, "stuck"))
    os.symlink("/dev/full", os.path.join(folder, "stuck", "teacher-0.outputs"))
    done = subprocess.run(train_gpt.command(folder, "stuck", *distil, teacher), capture_output=True, text=True)
    assert done.returncode == 1 and "teacher-0.outputs: cannot be emptied: " in done.stderr, done.stderr
    done = subprocess.run(train_gpt.command(folder, "large", *distil, teacher), capture_output=True, text=True, restore_signals=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
    assert done.returncode == 1 and "teacher-0.outputs: the teacher's outputs cannot be kept: File too large" in done.stderr, done.stderr
    print("teachers that do not fit are refused")


# -- gains
def gains(folder):
    """s* of the only layer's heads is what `twist correct --method gain` finds for a ticket of the same kappa."""
    write_data(folder)
    data = ["--data", os.path.join(folder, "ids.bin"), "--context", 32, "--batch", 2]
    train(folder, "start", "--rounds", 4, "--tickets", 0)
    model, cal = os.path.join(folder, "start", "dense.onnx"), os.path.join(folder, "cal")
    twist("calibrate", model, *data, "--samples", 64, "-o", cal)
    ticket, corrected = os.path.join(folder, "t.json"), os.path.join(folder, "c.json")
    twist("ticket", model, "--kappa", 0.5, "--group", 16, "--policy", "random", "-o", ticket)
    out = twist("correct", model, "--ticket", ticket, "--method", "gain", *data, "--samples", 64, "-o", corrected)
    theirs = float(next(line for line in out.splitlines() if "c_proj" in line or "attn" in line).split()[2])
    sizes = [*data, "--local-steps", 3, "--group", 16, "--learning-rate", 1e-9, "--quiet", "--rounds", 1]
    run = os.path.join(folder, "run")
    twist("train", model, *sizes, "--gain", "learned", "--gain-start", "s*", "--calibration", cal, "--tickets", 0, "-o", run)
    state = last_state(folder, "run")
    ours = next(np.frombuffer(v, "<f4") for k, v in state.items() if k.startswith("parameter/gain:") and "attn" in k)
    print(f"s* {ours[0]:.4f} here, {theirs:.4f} by twist correct; of the whole {ours[1]:.4f}")
    assert abs(ours[0] - theirs) < 1e-3 and abs(ours[1] - 1) < 1e-6 and abs(theirs - 1) > 0.01
    message = twist("train", model, *sizes, "--gain", "s*", "-o", run + "2", fails=True)
    assert "--calibration and gains of s* need each other" in message
    message = twist("train", os.path.join(folder, "start", "model.onnx"), *sizes, "--freeze", "*wpe*", "--gain", "s*",
                    "--calibration", ticket, "-o", run + "2", fails=True)
    assert "t.json" in message, message
    twist("calibrate", model, *data, "--samples", 64, "--axes", "head", "-o", cal + "2")
    message = twist("train", model, *sizes, "--gain", "s*", "--calibration", cal + "2", "-o", run + "2", fails=True)
    assert "cal2: tells nothing of axis '" in message and "mlp" in message, message


# -- models
def models(folder):
    valid = write_data(folder)
    more = ["--rounds", 6, "--valid", os.path.join(folder, "valid.bin"), "--tickets", 1]
    spec = train_gpt.MODEL
    train_gpt.MODEL = "llama:layers={},dim=32,heads=4,kv_heads=2,vocab=64,context=32,ffn=64"
    train(folder, "llama", *more)
    train_gpt.MODEL = spec
    for name, path in (("dense", "dense.onnx"), ("kappa0.5-0", "sliced/kappa0.5-0.onnx")):
        ours, theirs = judged(folder, "llama")[name], perplexity(os.path.join(folder, "llama", path), valid, batch=1)
        print(f"llama, {name}: {ours:.5f} here, {theirs:.5f} in onnxruntime")
        assert abs(ours / theirs - 1) < 1e-5
    assert losses(folder, "llama")[-1] < losses(folder, "llama")[0] - 0.3

    alone = ["--rounds", 6, "--tickets", 0]
    train(folder, "full", *alone)
    train(folder, "bf16", *alone, "--precision", "bf16")
    full, half = np.array(losses(folder, "full")), np.array(losses(folder, "bf16"))
    print(f"bf16: losses at most {np.abs(half / full - 1).max():.2g} away")
    assert 0 < np.abs(half / full - 1).max() < 0.01

    dense = ["--mode", "dense", "--rounds", 2, "--tickets", 0, "--dropout", 0.2]
    train(folder, "dropout", *dense)
    train_gpt.killed_and_resumed(folder, "resumed", *dense)
    assert last_state(folder, "dropout") == last_state(folder, "resumed")
    assert abs(losses(folder, "dropout")[0] / full[0] - 1) < 0.05
    print(f"dropout: {losses(folder, 'dropout')[0]:.4f} in the dense model, {full[0]:.4f} in tickets without")

    # A small dense model of the ticket's shape, from scratch: the new model's slice, the rest never there.
    start = os.path.join(folder, "full", "model.onnx")
    ticket, small = os.path.join(folder, "t.json"), os.path.join(folder, "small.onnx")
    twist("ticket", start, "--kappa", 0.5, "--group", 16, "--policy", "random", "-o", ticket)
    twist("slice", start, "--ticket", ticket, "-o", small)
    train(folder, "fixed", "--mode", "fixed", "--ticket", ticket, "--rounds", 2, "--tickets", 0)
    train_gpt.MODEL = small
    train(folder, "small", "--mode", "dense", "--rounds", 2, "--tickets", 0)
    train_gpt.MODEL = spec
    assert losses(folder, "fixed") == losses(folder, "small")
    cut = os.path.join(folder, "cut.onnx")
    twist("slice", os.path.join(folder, "fixed", "dense.onnx"), "--ticket", ticket, "-o", cut, "--any-weights")
    a, b = logits_of(cut, valid[None, :32].astype(np.int64)), logits_of(os.path.join(folder, "small", "dense.onnx"),
                                                                        valid[None, :32].astype(np.int64))
    assert np.array_equal(a, b)
    print("a fixed mask of a new model is a small dense model")


# -- a model from outside
def stories(folder):
    """Its loss before training is what onnxruntime says; a round at kappa 0.5 keeps it near."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    model = os.path.join(folder, "stories.onnx")
    subprocess.run([sys.executable, os.path.join(root, "examples", "stories260k", "write_onnx.py"), "-o", model], check=True,
                   stdout=subprocess.DEVNULL)
    random, ids = np.random.default_rng(0), np.ones((64, 1), np.int64)
    while ids.shape[1] < 32:  # sampled from the model itself
        logits = logits_of(model, ids)[:, -1]
        noise = random.gumbel(size=logits.shape)
        ids = np.concatenate([ids, (logits + noise).argmax(-1)[:, None]], 1)
    path = os.path.join(folder, "ids.bin")
    with open(path, "wb") as file:
        file.write(b"TWISTIDS" + struct.pack("<IIQII", 1, 2, ids.size, 512, 0) + bytes(32) + ids.astype("<u2").tobytes())
    sizes = ["--data", path, "--context", 31, "--batch", 4, "--quiet", "--rounds", 1, "--valid", path]
    twist("train", model, *sizes, "--mode", "dense", "--local-steps", 1, "--learning-rate", 1e-9, "--tickets", 0, "-o",
          os.path.join(folder, "same"))
    ours, theirs = judged(folder, "same")["dense"], perplexity(model, ids.reshape(-1), context=31, batch=1)
    print(f"stories260K: {ours:.4f} here, {theirs:.4f} in onnxruntime, before training")
    assert abs(ours / theirs - 1) < 1e-4
    twist("train", model, *sizes, "--kappa", 0.75, "--local-steps", 10, "--learning-rate", 1e-3, "--tickets", 2, "-o",
          os.path.join(folder, "round"))
    after, loss = judged(folder, "round"), losses(folder, "round")[0]
    print(f"after a round of tickets (loss {loss:.3f}): {after}")
    assert loss < np.log(512) and after["dense"] < 2 * theirs


if __name__ == "__main__":
    {"objectives": objectives, "gains": gains, "models": models, "stories": stories}[sys.argv[1]](sys.argv[2])
