"""A whole GPT with its loss, in f64: every parameter's gradient, however it is computed.

usage: gpt.py FOLDER [--jax PYTHON]

The model's weights are operands; the loss is ONNX's SoftmaxCrossEntropyLoss with ignored labels.
Forward and backward in one function or in two, with all values kept or some computed again, give
the same bytes; along a random direction of each parameter they agree with central differences.
--jax compares loss and gradients with jax.numpy, run by PYTHON.
"""
import argparse
import os
import re
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto as T, helper, numpy_helper, shape_inference

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ops"))
import emit  # noqa: E402
import run  # noqa: E402
import cases  # noqa: E402,F401  (inserts --twist-differentiate into run.TO_LINALG)
from widen import widen  # noqa: E402
from twist_tools.models import gpt2  # noqa: E402

CONFIG = gpt2.Config(layers=2, dim=16, heads=2, vocab=13, context=12, shapes="static", batch=2,
                     norm="fused", seed=3)
IGNORED = -1
VARIANTS = {"gpt": "", "gpt_again": "recompute=attention", "gpt_split": "split",
            "gpt_split_again": "split recompute=attention"}


def model_with_loss():
    """The model in f64 and its weights, which have become inputs."""
    model = gpt2.build(CONFIG)
    graph = model.graph
    shape = [CONFIG.batch, CONFIG.context]
    labels = helper.make_tensor_value_info("labels", T.INT64, shape)
    loss = helper.make_tensor_value_info("loss", T.DOUBLE, [])
    graph.node.append(helper.make_node("Transpose", ["logits"], ["scores"], perm=[0, 2, 1]))
    graph.node.append(helper.make_node("SoftmaxCrossEntropyLoss", ["scores", "labels"], ["loss"],
                                       reduction="mean", ignore_index=IGNORED))
    graph.input.append(labels)
    del graph.output[:]
    graph.output.append(loss)
    widen(model, ())
    weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer
               if t.data_type == T.DOUBLE and t.name != "causal_mask"}
    kept = [t for t in graph.initializer if t.name not in weights]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for name, array in weights.items():
        graph.input.append(helper.make_tensor_value_info(name, T.DOUBLE, array.shape))
    return shape_inference.infer_shapes(model), weights


def build(text, folder):
    """The library, and the types of what each split variant keeps."""
    at = run.TO_LINALG.index("--twist-differentiate")
    passes = [f"--twist-differentiate=function={n} {o}" for n, o in VARIANTS.items()]
    run.TO_LINALG[at:at + 1] = passes
    texts = "\n".join(text.replace("@gpt(", f"@{name}(") for name in VARIANTS)
    library = run.build({"gpt": texts}, folder)
    library.of = {n + kind: library.of["gpt"] for n in VARIANTS
                  for kind in ("", "_gradient", "_forward", "_backward")}
    done = subprocess.run(["twist-opt", "-", *run.TO_LINALG], input=texts, capture_output=True,
                          text=True, check=True).stdout
    kept = {}
    for name in VARIANTS:
        found = re.search(rf"@{name}_forward\(.*\) -> \((.*)\) attributes", done)
        if found:
            types = re.findall(r"tensor<((?:\d+x)*)(\w+)>", found.group(1))[1:]
            kept[name] = [np.zeros([int(d) for d in dims.split("x")[:-1]],
                                   {"f64": np.float64, "i64": np.int64, "i1": bool}[element])
                          for dims, element in types]
    return library, kept


def gradients(library, kept, name, inputs, floats):
    """Loss and gradients of the float inputs for the cotangent 1."""
    one = np.array(1.0)
    if name not in kept:
        return run.call(library, name + "_gradient", [*inputs, one], [one, *floats])
    forward = run.call(library, name + "_forward", inputs, [one, *kept[name]])
    return [forward[0], *run.call(library, name + "_backward", [*inputs, *forward[1:], one], floats)]


JAX = '''
import sys, jax, numpy as np, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
data = dict(np.load(sys.argv[1]))
layers, heads = (int(x) for x in data.pop("sizes"))
ids, labels = data.pop("input_ids"), data.pop("labels")

def norm(x, g, b):
    d = x - x.mean(-1, keepdims=True)
    return d / jnp.sqrt((d * d).mean(-1, keepdims=True) + EPS) * g + b

def loss(w):
    x = w["wte.weight"][ids] + w["wpe.weight"][:ids.shape[1]]
    b, s, d = x.shape
    for n in range(layers):
        p = f"h.{n}."
        h = norm(x, w[p + "ln_1.weight"], w[p + "ln_1.bias"])
        h = h @ w[p + "attn.c_attn.weight"] + w[p + "attn.c_attn.bias"]
        q, k, v = (t.reshape(b, s, heads, -1).swapaxes(1, 2) for t in jnp.split(h, 3, 2))
        a = q @ k.swapaxes(2, 3) / ROOT + np.where(np.tri(s), 0, -1e9)
        h = (jax.nn.softmax(a, -1) @ v).swapaxes(1, 2).reshape(b, s, d)
        x = x + h @ w[p + "attn.c_proj.weight"] + w[p + "attn.c_proj.bias"]
        h = norm(x, w[p + "ln_2.weight"], w[p + "ln_2.bias"])
        h = h @ w[p + "mlp.c_fc.weight"] + w[p + "mlp.c_fc.bias"]
        h = GELU
        x = x + h @ w[p + "mlp.c_proj.weight"] + w[p + "mlp.c_proj.bias"]
    scores = jax.nn.log_softmax(norm(x, w["ln_f.weight"], w["ln_f.bias"]) @ w["wte.weight"].T)
    picked = jnp.take_along_axis(scores, jnp.maximum(labels, 0)[..., None], 2)[..., 0]
    counted = labels != IGNORED
    return -(picked * counted).sum() / counted.sum()

value, slopes = jax.value_and_grad(loss)(data)
np.savez(sys.argv[2], value=value, **slopes)
'''


def compare_with_jax(python, folder, named, weights, loss, got):
    """The largest difference of a gradient, relative to the largest of that parameter."""
    # Constants that ONNX writes in f32 are what they are in f32.
    constants = {float(np.float32(x)): repr(float(np.float32(x))) for x in (0.044715, np.sqrt(2 / np.pi))}
    cubic, root = constants.values()
    gelu = f"0.5 * h * (1 + jnp.tanh({root} * (h + {cubic} * h * h * h)))"
    script = JAX.replace("EPS", repr(float(np.float32(1e-5)))).replace("GELU", gelu)
    script = script.replace("ROOT", repr(float(np.float32((CONFIG.dim / CONFIG.heads) ** 0.5))))
    script = script.replace("IGNORED", str(IGNORED))
    given, made = (os.path.join(folder, f"jax-{n}.npz") for n in ("in", "out"))
    np.savez(given, sizes=[CONFIG.layers, CONFIG.heads], **named, **weights)
    subprocess.run([python, "-c", script, given, made], check=True)
    want = np.load(made)
    print(f"loss {loss:.12f}, jax {float(want['value']):.12f}")
    assert abs(loss - want["value"]) < 1e-10
    worst = 0.0
    for name, gradient in zip(weights, got):
        error = abs(gradient - want[name]).max() / abs(want[name]).max()
        worst = max(worst, error)
        print(f"{error:.1e} {name}")
    assert worst < 1e-10, worst
    print(f"{len(weights)} gradients as jax's, to {worst:.1e}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--jax")
    options = parser.parse_args()
    model, weights = model_with_loss()
    random = np.random.default_rng(5)
    shape = (CONFIG.batch, CONFIG.context)
    named = {"input_ids": random.integers(0, CONFIG.vocab, shape),
             "labels": random.integers(0, CONFIG.vocab, shape)}
    named["labels"][random.random(shape) < 0.3] = IGNORED
    values = named | weights
    initialisers = {t.name for t in model.graph.initializer}
    inputs = [values[i.name] for i in model.graph.input if i.name not in initialisers]
    floats = [a for a in inputs if a.dtype == np.float64]
    library, kept = build(emit.function(model, "gpt"), options.folder)

    loss, *got = gradients(library, kept, "gpt", inputs, floats)
    for name in VARIANTS:
        for a, b in zip([loss, *got], gradients(library, kept, name, inputs, floats)):
            assert np.array_equal(a, b), f"{name} differs by {abs(a - b).max()}"
    print(f"{len(VARIANTS)} variants agree")

    worst = 0.0
    for position, gradient in enumerate(got):
        direction = random.standard_normal(gradient.shape)
        sides = []
        for sign in (1, -1):
            changed = list(inputs)
            at = len(inputs) - len(got) + position
            changed[at] = inputs[at] + sign * 1e-5 * direction
            sides.append(float(run.call(library, "gpt", changed, [np.array(0.0)])[0]))
        want, slope = (sides[0] - sides[1]) / 2e-5, float((gradient * direction).sum())
        worst = max(worst, abs(want - slope) / max(1.0, abs(want)))
    assert worst < 1e-7, worst
    print(f"{len(got)} parameters agree with differences to {worst:.0e}")
    if options.jax:
        compare_with_jax(options.jax, options.folder, named, weights, float(loss), got)


if __name__ == "__main__":
    main()
