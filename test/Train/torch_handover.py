"""python/twist_torch against `twist train`: the same masks bit for bit, the same weights to rounding; and the way back.

    torch_handover.py FOLDER PYTHON-WITH-TORCH
"""
import json
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import numpy_helper
from train_gpt import corpus, write_tokens

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = ["--context", "32", "--batch", "2", "--local-steps", "3", "--rounds", "3", "--group", "16", "--kappa", "0.5", "--seed", "5",
         "--optimiser", "sgd", "--momentum", "0.9", "--learning-rate", "0.1", "--schedule", "constant", "--clip", "0", "--quiet",
         "--tickets", "0"]


def twist(*words):
    done = subprocess.run(["twist", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def weights(path):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def main(folder, python):
    def path(*names):
        return os.path.join(folder, *names)

    write_tokens(path("ids.bin"), corpus())
    spec = "gpt2:layers=2,dim=32,heads=4,vocab=64,context=32,ffn=64"
    twist("train", spec, "--data", path("ids.bin"), *SIZES, "--dry-run", "-o", path("masks"))
    twist("train", spec, "--data", path("ids.bin"), *SIZES, "-o", path("run"))
    start = path("run", "model.onnx")
    before = weights(start)
    np.savez(path("start.npz"), **before)
    with open(path("model.json"), "w") as file:
        file.write(twist("inspect", start, "--json", "--weights"))
    program = os.path.join(HERE, "torch_gpt.py")
    subprocess.run([python, program, folder, "0", "1"], check=True)
    os.replace(path("torch0.safetensors"), path("alone.safetensors"))
    children = [subprocess.Popen([python, program, folder, str(rank), "2"]) for rank in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    trained = [open(path(name), "rb").read() for name in ("alone.safetensors", "torch0.safetensors", "torch1.safetensors")]
    assert trained[0] == trained[1] == trained[2]
    print("one process = two processes")

    ours, theirs = json.load(open(path("masks", "masks.json"))), json.load(open(path("masks-torch.json")))
    symbols = {a["name"]: a["symbol"] for a in json.load(open(path("model.json")))["axes"]}
    compared = 0
    for round_, axes in enumerate(ours["masks"]):
        for axis, workers in zip(ours["axes"], axes):
            for worker, groups in enumerate(workers):
                units = theirs[round_][worker][symbols[axis["name"]]]
                group = len(units) // len(groups)
                assert units == [g * group + i for g in groups for i in range(group)]
                compared += 1
    print(f"{compared} masks are the same")

    print(twist("weights", start, "--from", path("alone.safetensors"), "-o", path("new.onnx")))
    new, dense = weights(path("new.onnx")), weights(path("run", "dense.onnx"))
    moved = max(np.abs(dense[n] - before[n]).max() for n in before)
    apart = max(np.abs(new[n] - dense[n]).max() for n in before)
    print(f"weights moved by {moved:.3g}, PyTorch's are {apart:.2g} away")
    assert moved > 0.02 and apart < 2e-5

    twist("ticket", path("new.onnx"), "--kappa", "0.5", "--group", "16", "--policy", "random", "--seed", "7", "-o",
          path("ticket.json"))
    mine, made = json.load(open(path("ticket.json"))), json.load(open(path("tickets", "kappa0.5-0.json")))
    assert {k: v["keep"] for k, v in mine["axes"].items()} == {k: v["keep"] for k, v in made["axes"].items()}
    twist("slice", path("new.onnx"), "--ticket", path("tickets", "kappa0.5-0.json"), "-o", path("small.onnx"), "--verify",
          "--dim", "batch=2", "--dim", "sequence=8")
    print("tickets are those of twist ticket, and cut the model")


if __name__ == "__main__":
    main(*sys.argv[1:])
