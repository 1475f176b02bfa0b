"""twist compile --precision: each program against onnx's own evaluator in the same type, errors measured against f64.

Argument: a folder.
"""
import json
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto

from twist_tools import compare, native
from twist_tools.models import cnn, gpt2

TYPES = {"f64": TensorProto.DOUBLE, "f16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"FAILED {arguments}\n{done.stdout}{done.stderr}")
    return done.stdout


def inputs(model, precision, **dims):
    dtype = onnx.helper.tensor_dtype_to_np_dtype(TYPES[precision])
    return {k: v.astype(dtype) if v.dtype.kind == "f" else v for k, v in compare.random_inputs(model, 7, **dims).items()}


def check(name, model, precision, **dims):
    """The program's error is at most 8 times the evaluator's: both round each tensor, sums are in f32 or better."""
    onnx.save(model, name + ".onnx")
    out = f"{name}.{precision}"
    run("twist", "compile", name + ".onnx", f"--precision={precision}", "-o", out, "--quiet")
    card = json.load(open(out + ".card.json"))
    assert card["precision"] == precision and card["outputs"][0]["type"] == precision, card
    feeds = inputs(model, precision, **dims)
    exact = compare.run_double(model, compare.random_inputs(model, 7, **dims))
    evaluated = compare.run_precision(model, feeds, TYPES[precision])
    with native.Program(out) as program:
        for output, value in program(feeds).items():
            verdict = compare.agree(value, evaluated[output], exact[output])
            if precision == "f64":
                verdict = compare.agree_double(value, exact[output])
            if not verdict.equal:
                sys.exit(f"FAILED {name} {precision}: {output}: {verdict}")
            print(f"{name} {precision} {verdict}")
    return os.path.getsize(out + ".weights")


def check_files(model):
    """bf16 in files of NumPy, which has no such type: the bits as u16."""
    feeds = inputs(model, "bf16", batch=2)
    name, image = next(iter(feeds.items()))
    np.save("image.npy", image.view(np.uint16))
    run("twist", "run", "cnn.bf16", "--input", f"{name}=image.npy", "--output-dir", "out")
    with native.Program("cnn.bf16") as program:
        for output, value in program(feeds).items():
            assert np.array_equal(np.load(f"out/{output}.npy"), value.view(np.uint16)), output


def check_decoder():
    """Greedy ids of a cached decoder in bf16 are those that its program gives step by step."""
    model = gpt2.build(gpt2.Config(layers=1, cache=True, shapes="zero"))
    onnx.save(model, "decoder.onnx")
    run("twist", "compile", "decoder.onnx", "--precision=bf16", "-o", "decoder", "--quiet")
    prompt, count = [5, 11, 2], 6
    made = run("twist", "generate", "decoder", "--ids", ",".join(map(str, prompt)), "--count", str(count)).split()
    tokens, past = list(prompt), 0
    with native.Program("decoder") as program:
        state = {str(i): np.zeros([d if d >= 0 else 1 - bool(n == 2) for n, d in enumerate(i.dims[:4])], native.TYPES[4])
                 for i in program.inputs if i.rank == 4}
        for _ in range(count):
            results = program({"input_ids": np.array([tokens[past:]]), **state})
            state = {n: results[n.replace("past_key_values", "present")].copy() for n in state}
            past = len(tokens)
            tokens.append(int(results["logits"][0, -1].astype(np.float32).argmax()))
    assert [int(i) for i in made] == tokens[len(prompt):], (made, tokens)
    print("decoder bf16", *made)


def main(folder):
    os.chdir(folder)
    model = gpt2.build(gpt2.Config())
    sizes = {p: check("gpt2", model, p, batch=2, sequence=5) for p in TYPES}
    # Embeddings tied to the last product are stored once; what is more is padding.
    card = json.load(open("gpt2.f64.card.json"))
    assert card["weights"]["bytes"] < 1.1 * 8 * card["parameters"], card
    # Less a page of header each, and what rounds each weight up to 64 bytes.
    assert 3.5 < (sizes["f64"] - 4096) / (sizes["bf16"] - 4096) < 4.1, sizes
    image = cnn.build(cnn.Config("resnet"))[0]
    check("cnn", image, "bf16", batch=2)
    check_files(image)
    check_decoder()
    print("ok")


main(sys.argv[1])
