"""Gradients of a BERT encoder and of a Llama, exported with a cache, against jax.numpy in f64.

    python jax_models.py FOLDER --jax PYTHON

A step of gradient descent at rate 1 leaves p - g. PYTHON has JAX; it gets the parameters by their names.
"""
import argparse
import os
import subprocess

import numpy as np
import onnx
from onnx import numpy_helper

from losses import step
from twist_tools.models import bert, llama

BERT = bert.Config(layers=2, dim=16, heads=2, vocab=23, context=8, ffn=24)
LLAMA = llama.Config(layers=2, dim=16, heads=4, kv_heads=2, vocab=23, context=16, ffn=20)
BATCH, LENGTH = 3, 7

COMMON = '''
import sys, jax, numpy as np, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
data = dict(np.load(sys.argv[1]))
heads, kv_heads = (int(x) for x in data.pop("heads"))
layers = int(data.pop("layers"))
f32 = lambda x: float(np.float32(x))

def norm(x, g, b):
    d = x - x.mean(-1, keepdims=True)
    return d / jnp.sqrt((d * d).mean(-1, keepdims=True) + f32(1e-12)) * g + b

def rms(x, g):
    return x / jnp.sqrt((x * x).mean(-1, keepdims=True) + f32(1e-5)) * g

def split(x, n):
    return x.reshape(*x.shape[:2], n, -1).swapaxes(1, 2)

def join(x):
    return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1)

def attend(q, k, v, allowed, scale):
    a = jnp.where(allowed, q @ k.swapaxes(2, 3) * scale, -1e300)
    return join(jax.nn.softmax(a, -1) @ v)
'''
SCRIPTS = {"bert": COMMON + '''
ids, mask, target = (data.pop(n) for n in ("input_ids", "attention_mask", "target"))

def loss(w):
    e = "embeddings."
    x = w[e + "word_embeddings.weight"][ids] + w[e + "token_type_embeddings.weight"][0] \\
        + w[e + "position_embeddings.weight"][:ids.shape[1]]
    x = norm(x, w[e + "LayerNorm.weight"], w[e + "LayerNorm.bias"])
    for n in range(layers):
        p = f"encoder.layer.{n}."
        lin = lambda y, name: y @ w[p + name + ".weight"] + w[p + name + ".bias"]
        q, k, v = (split(lin(x, "attention.self." + t), heads) for t in ("query", "key", "value"))
        y = attend(q, k, v, mask[:, None, None] > 0, 1 / f32((x.shape[2] / heads) ** 0.5))
        x = norm(lin(y, "attention.output.dense") + x, w[p + "attention.output.LayerNorm.weight"],
                 w[p + "attention.output.LayerNorm.bias"])
        y = lin(x, "intermediate.dense")
        y = y * (jax.scipy.special.erf(y / f32(2 ** 0.5)) + 1) * 0.5
        x = norm(lin(y, "output.dense") + x, w[p + "output.LayerNorm.weight"], w[p + "output.LayerNorm.bias"])
    mean = (x * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    out = mean / jnp.sqrt((mean * mean).sum(1, keepdims=True))
    return ((out - target) ** 2).mean()

value, slopes = jax.value_and_grad(loss)(data)
np.savez(sys.argv[2], value=value, **slopes)
''', "llama": COMMON + '''
ids, labels, cos, sin = (data.pop(n) for n in ("input_ids", "labels", "rope_cos", "rope_sin"))

def rotate(x):
    c, s = cos[:x.shape[2]], sin[:x.shape[2]]
    even, odd = x[..., ::2], x[..., 1::2]
    return jnp.stack([even * c - odd * s, even * s + odd * c], -1).reshape(x.shape)

def loss(w):
    x = w["model.embed_tokens.weight"][ids]
    length = ids.shape[1]
    for n in range(layers):
        p = f"model.layers.{n}."
        y = rms(x, w[p + "input_layernorm.weight"])
        q, k, v = (split(y @ w[p + f"self_attn.{t}_proj.weight"], h)
                   for t, h in (("q", heads), ("k", kv_heads), ("v", kv_heads)))
        k, v = (jnp.repeat(t, heads // kv_heads, 1) for t in (rotate(k), v))
        y = attend(rotate(q), k, v, np.tri(length) > 0, f32((x.shape[2] / heads) ** -0.5))
        x = x + y @ w[p + "self_attn.o_proj.weight"]
        y = rms(x, w[p + "post_attention_layernorm.weight"])
        gate = y @ w[p + "mlp.gate_proj.weight"]
        x = x + (gate * jax.nn.sigmoid(gate) * (y @ w[p + "mlp.up_proj.weight"])) @ w[p + "mlp.down_proj.weight"]
    scores = jax.nn.log_softmax(rms(x, w["model.norm.weight"]) @ w["model.embed_tokens.weight"].T)
    return -jnp.take_along_axis(scores, labels[..., None], 2).mean()

value, slopes = jax.value_and_grad(loss)(data)
np.savez(sys.argv[2], value=value, **slopes)
'''}


def compare(kind, model, config, python, folder, inputs, options, data):
    """Loss and each parameter's gradient, relative to its largest."""
    folder = os.path.join(folder, kind)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "model.onnx")
    onnx.save(model, path)
    if "ids.npy" in options:
        np.save(os.path.join(folder, "ids.npy"), data.pop("stream"))
        options[options.index("ids.npy")] = os.path.join(folder, "ids.npy")
    loss = step(path, inputs, folder, options)
    arrays = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    arrays = {n: a.astype(np.float64) for n, a in arrays.items() if a.dtype == np.float32}
    given, made = (os.path.join(folder, f"jax-{n}.npz") for n in ("in", "out"))
    np.savez(given, heads=[config.heads, getattr(config, "kv_heads", config.heads)], layers=config.layers, **arrays, **data)
    subprocess.run([python, "-c", SCRIPTS[kind], given, made], check=True)
    want = np.load(made)
    assert abs(loss - want["value"]) < 1e-11, (loss, want["value"])
    names = [n for n in arrays if n in want]
    largest = max(abs(want[n]).max() for n in names)
    worst = 0.0
    for name in names:
        after = np.load(os.path.join(folder, name + ".npy"))
        # Where the gradient is but rounding (a key's bias), against the largest of all.
        scale = max(abs(want[name]).max(), 1e-6 * largest)
        worst = max(worst, abs(arrays[name] - after - want[name]).max() / scale)
    assert worst < 1e-9, worst
    print(f"{kind}: loss {loss:.12f}, {len(names)} gradients as jax's, to {worst:.1e}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--jax", required=True)
    options = parser.parse_args()
    random = np.random.default_rng(3)
    mask = np.ones((BATCH, LENGTH), np.int64)
    mask[1, 5:] = 0
    inputs = {"input_ids": random.integers(0, BERT.vocab, (BATCH, LENGTH)), "attention_mask": mask,
              "target": random.standard_normal((BATCH, BERT.dim))}
    compare("bert", bert.build(BERT), BERT, options.jax, options.folder, inputs,
            ["--context", str(LENGTH), "--loss", "mean-square"], dict(inputs))
    stream = random.integers(0, LLAMA.vocab, BATCH * LENGTH + 1)
    data = {"stream": stream, "input_ids": stream[:-1].reshape(BATCH, LENGTH), "labels": stream[1:].reshape(BATCH, LENGTH)}
    compare("llama", llama.build(LLAMA), LLAMA, options.jax, options.folder, {},
            ["--context", str(LENGTH), "--data", "ids.npy"], data)


if __name__ == "__main__":
    main()
