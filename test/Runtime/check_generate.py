"""twist generate and its executable form against greedy decoding in onnxruntime. Argument: a folder."""
import json
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort

from twist_tools.models import llama

SIZES = dict(layers=1, dim=16, heads=4, kv_heads=2, vocab=37, context=64, ffn=24)
PROMPT, COUNT = [5, 11, 2], 12


def greedy(path):
    """Ids that onnxruntime makes; inputs by their place: ids, then positions, then states."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), [o.name for o in session.get_outputs()]
    state = {i.name: np.zeros([1, i.shape[1], 0, i.shape[3]], np.float32) for i in inputs if len(i.shape) == 4}
    tokens, past = list(PROMPT), 0
    for _ in range(COUNT):
        feeds = {"input_ids": np.array([tokens[past:]]), **state}
        if any(i.name == "position_ids" for i in inputs):
            feeds["position_ids"] = np.arange(past, len(tokens))[None]
        results = dict(zip(outputs, session.run(None, feeds)))
        if state:
            past, state = len(tokens), {n: results[n.replace("past_key_values", "present")] for n in state}
        tokens.append(int(results["logits"][0, -1].argmax()))
    return tokens[len(PROMPT):]


def run(*arguments, error=None):
    """Its output; with `error` it must fail with this message."""
    done = subprocess.run(arguments, capture_output=True, text=True)
    if error is None and done.returncode:
        sys.exit(f"FAILED {arguments}\n{done.stderr}")
    if error is not None and (done.returncode != 1 or error not in done.stderr):
        sys.exit(f"FAILED {arguments}: {done.returncode} {done.stderr!r}, not {error!r}")
    return done.stdout


def check(name, options, **config):
    model = llama.build(llama.Config(**SIZES, **config))
    onnx.save(model, f"{name}.onnx")
    run("twist", "compile", f"{name}.onnx", "-o", name, "--quiet")
    want = greedy(f"{name}.onnx")
    ids = ["--ids", ",".join(map(str, PROMPT)), "--count", str(COUNT), *options]
    for threads in ("1", "2"):
        made = [int(i) for i in run("twist", "generate", name, *ids, "--threads", threads).split()]
        if made != want:
            sys.exit(f"FAILED {name}: {made} is not {want}")
    print(f"{name}: {want}")


def main(folder):
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    check("cache", [], cache=True)
    check("whole", [], cache=False)
    positions = ["--ids-input", "input_ids", "--positions", "position_ids"]
    check("positions", positions, cache=True, position_input=True)
    run("twist", "compile", "cache.onnx", "-o", "decoder", "--emit=exe", "--quiet")
    ids = "--ids=" + ",".join(map(str, PROMPT))
    made = run("./decoder", ids, f"--count={COUNT}")
    if made != run("twist", "generate", "cache", ids, f"--count={COUNT}"):
        sys.exit(f"FAILED: the executable says {made}")

    report = json.loads(run("twist", "generate", "cache", ids, f"--count={COUNT}", "--json", "--threads=2"))
    if report["ids"] != [int(i) for i in made.split()] or report["prompt"] != PROMPT or report["threads"] != 2:
        sys.exit(f"FAILED: --json says {report}")

    # A token a byte: the ids as text, after a prompt of text, or of ids and text.
    ids_made = bytes(int(i) for i in made.split())
    prompt = "".join(map(chr, PROMPT))
    for before in (["--prompt", prompt], [f"--ids={PROMPT[0]}", "--prompt", prompt[1:]], [ids]):
        command = ["twist", "generate", "cache", *before, f"--count={COUNT}", "--tokenizer=bytes"]
        done = subprocess.run(command, capture_output=True)
        if done.returncode or done.stdout != ids_made + b"\n":
            sys.exit(f"FAILED {command}: {done.stdout} {done.stderr}")

    go = ["twist", "generate", "cache"]
    run(*go, "--prompt", "a", error="--prompt needs --tokenizer")
    run(*go, "--tokenizer=bytes", error="no prompt: --ids 1,2,3")
    run(*go, "--prompt", "a", "--tokenizer=none.json", error="none.json")
    run(*go, "--prompt", "z", "--tokenizer=bytes", error="error: ")
    open("text", "w", encoding="utf-8").write("to be or not to be")
    run("twist", "tokenizer", "--data", "text", "--vocab=260", "-o", "tokenizer.json")
    run(*go, "--prompt", b"be \xff", "--tokenizer=tokenizer.json", error="--prompt: the text is not UTF-8 at byte 3")
    run("twist", "generate", "positions", ids, error="inputs 'input_ids' and 'position_ids' may take the ids")
    run(*go, error="no prompt: --ids 1,2,3")
    run(*go, "--ids=1,,2", error="'--ids 1,,2' is no list of token ids")
    run(*go, "--ids=-1", error="is no list of token ids")
    run(*go, ids, "--count=0", error="'0' is no number from 1 on")
    run(*go, ids, "--logits=none", error="the program has no 'none'")
    run(*go, ids, "--state=a=b", error="'--state a=b' is not INPUT=OUTPUT of the program")
    run(*go, ids, "--logits=present.0.key", error="no output follows input")
    run(*go, ids, "--fast", error="unknown argument '--fast'")
    run(*go, ids, "--json=1", error="unknown argument '--json=1'")
    print("ok")


main(sys.argv[1])
