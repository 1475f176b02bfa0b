"""The loss curve of a GPT-2 under AdamW, in JAX and f64: what the compiled step is compared with.

    python jax_gpt2.py CURVE.json

It shares no code with the compiler: architecture, loss, gradients and optimiser are written here once more. Weights come from
twist_tools.models.gpt2 (numpy), which also writes the ONNX model. Needs jax, which the tests do not install: CURVE.json is kept.
"""
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np

from twist_tools.models import gpt2

jax.config.update("jax_enable_x64", True)

CONFIG = dict(layers=4, dim=32, heads=4, vocab=61, context=16, seed=3)
BATCH, STEPS, RATE, DECAY, CLIP, SMOOTHING = 2, 50, 3e-3, 0.1, 1.0, 0.1
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def stored(value):
    """A constant as the model's file has it."""
    return float(np.float32(value))


def paragraph(config):
    """A text of a few words over and over: ids that can be learnt."""
    words = np.random.default_rng(5).integers(0, config.vocab, (12, 4))
    order = np.random.default_rng(6).integers(0, 12, 64)
    return words[order].reshape(-1).astype(np.int64)


def batches(ids, step, context):
    rows = []
    for row in range(BATCH):
        start = (step * BATCH + row) * context
        rows.append(ids[(start + np.arange(context + 1)) % len(ids)])
    rows = np.stack(rows)
    return rows[:, :-1], rows[:, 1:]


def norm(x, scale, shift):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(variance + stored(gpt2.EPS)) * scale + shift


def gelu(x):
    return 0.5 * x * (1 + jnp.tanh(stored(np.sqrt(2 / np.pi)) * (x + stored(0.044715) * x ** 3)))


def logits(w, ids, config):
    batch, length = ids.shape
    x = w["wte.weight"][ids] + w["wpe.weight"][:length]
    width = config.dim // config.heads
    hidden = jnp.tril(jnp.ones((length, length), bool))
    for n in range(config.layers):
        p = f"h.{n}."
        y = norm(x, w[p + "ln_1.weight"], w[p + "ln_1.bias"]) @ w[p + "attn.c_attn.weight"] + w[p + "attn.c_attn.bias"]
        q, k, v = (part.reshape(batch, length, config.heads, width).transpose(0, 2, 1, 3) for part in jnp.split(y, 3, -1))
        scores = jnp.where(hidden, q @ k.transpose(0, 1, 3, 2) / stored(np.sqrt(width)), -jnp.inf)
        y = (jax.nn.softmax(scores, -1) @ v).transpose(0, 2, 1, 3).reshape(batch, length, config.dim)
        x = x + y @ w[p + "attn.c_proj.weight"] + w[p + "attn.c_proj.bias"]
        y = norm(x, w[p + "ln_2.weight"], w[p + "ln_2.bias"]) @ w[p + "mlp.c_fc.weight"] + w[p + "mlp.c_fc.bias"]
        x = x + gelu(y) @ w[p + "mlp.c_proj.weight"] + w[p + "mlp.c_proj.bias"]
    return norm(x, w["ln_f.weight"], w["ln_f.bias"]) @ w["wte.weight"].T


def loss(w, ids, labels, config):
    log_p = jax.nn.log_softmax(logits(w, ids, config), -1)
    picked = jnp.take_along_axis(log_p, labels[..., None], -1)[..., 0]
    return -((1 - SMOOTHING) * picked + SMOOTHING * log_p.mean(-1)).mean()


def update(w, gradients, state, step):
    norm_of_all = jnp.sqrt(sum((g ** 2).sum() for g in gradients.values()))
    factor = jnp.minimum(1, CLIP / norm_of_all)
    for name, g in gradients.items():
        g = g * factor
        m, v = state[name]
        m = BETA1 * m + (1 - BETA1) * g
        v = BETA2 * v + (1 - BETA2) * g * g
        state[name] = m, v
        change = m / (1 - BETA1 ** step) / (jnp.sqrt(v / (1 - BETA2 ** step)) + EPSILON)
        if w[name].ndim >= 2:
            change = change + DECAY * w[name]
        w[name] = w[name] - RATE * change


def main(path):
    config = gpt2.Config(**CONFIG)
    # The model's file holds f32.
    w = {name: jnp.asarray(value.astype(np.float32).astype(np.float64)) for name, value in gpt2.random_weights(config).items()}
    ids = paragraph(config)
    state = {name: (jnp.zeros_like(value), jnp.zeros_like(value)) for name, value in w.items()}
    gradient = jax.jit(jax.value_and_grad(loss), static_argnums=3)

    class Frozen:  # a configuration that jit can hash
        def __init__(self, values):
            self.__dict__.update(values)
    static = Frozen(config.__dict__)
    curve = []
    for step in range(STEPS):
        x, labels = batches(ids, step, config.context)
        value, gradients = gradient(w, jnp.asarray(x), jnp.asarray(labels), static)
        curve.append(float(value))
        update(w, gradients, state, step + 1)
    sums = {name: float(jnp.abs(value).sum()) for name, value in w.items()}
    with open(path, "w") as file:
        json.dump({"losses": curve, "ids": ids.tolist(), "sums": sums}, file)
        file.write("\n")
    print(curve[0], curve[-1])


if __name__ == "__main__":
    main(sys.argv[1])
