"""The three architectures once more, in plain numpy f64: what the ONNX writers are checked against.

Nothing is shared with twist_tools.models; weights come by transformers' names ([out, in], GPT-2's Conv1D [in, out]).
"""
import math

import numpy as np


def _double(weights):
    return {name: np.asarray(array, np.float64) for name, array in weights.items()}


def _softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _layer_norm(x, gain, bias, eps):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + eps) * gain + bias


def gpt2(weights, ids, heads):
    """Logits [B, S, V] of token ids [B, S]."""
    w = _double(weights)
    x = w["wte.weight"][ids] + w["wpe.weight"][: ids.shape[1]]
    batch, length, dim = x.shape
    hd = dim // heads
    layer = 0
    while f"h.{layer}.ln_1.weight" in w:
        p = f"h.{layer}."
        y = _layer_norm(x, w[p + "ln_1.weight"], w[p + "ln_1.bias"], 1e-5)
        packed = y @ w[p + "attn.c_attn.weight"] + w[p + "attn.c_attn.bias"]
        out = np.zeros_like(x)
        for b in range(batch):
            for h in range(heads):
                q, k, v = (packed[b][:, s * dim + h * hd: s * dim + (h + 1) * hd] for s in range(3))
                scores = q @ k.T / math.sqrt(hd)
                scores[np.triu_indices(length, 1)] = -np.inf
                out[b][:, h * hd:(h + 1) * hd] = _softmax(scores) @ v
        x = x + out @ w[p + "attn.c_proj.weight"] + w[p + "attn.c_proj.bias"]
        y = _layer_norm(x, w[p + "ln_2.weight"], w[p + "ln_2.bias"], 1e-5)
        y = y @ w[p + "mlp.c_fc.weight"] + w[p + "mlp.c_fc.bias"]
        y = 0.5 * y * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y * y * y)))
        x = x + y @ w[p + "mlp.c_proj.weight"] + w[p + "mlp.c_proj.bias"]
        layer += 1
    x = _layer_norm(x, w["ln_f.weight"], w["ln_f.bias"], 1e-5)
    return x @ w.get("lm_head.weight", w["wte.weight"]).T


def bert(weights, ids, mask, heads, pool=True):
    """Sentence embeddings [B, D] (pool) or hidden states [B, S, D]; all tokens of type 0."""
    w = _double(weights)
    e = "embeddings."
    x = (w[e + "word_embeddings.weight"][ids] + w[e + "position_embeddings.weight"][: ids.shape[1]]
         + w[e + "token_type_embeddings.weight"][0])
    x = _layer_norm(x, w[e + "LayerNorm.weight"], w[e + "LayerNorm.bias"], 1e-12)
    erf = np.vectorize(math.erf)

    def dense(x, name):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    layer = 0
    while f"encoder.layer.{layer}.output.dense.weight" in w:
        p = f"encoder.layer.{layer}."
        q, k, v = (dense(x, p + "attention.self." + n) for n in ("query", "key", "value"))
        hd, out = x.shape[-1] // heads, np.zeros_like(x)
        for h in range(heads):
            c = slice(h * hd, (h + 1) * hd)
            scores = np.einsum("bid,bjd->bij", q[..., c], k[..., c]) / math.sqrt(hd)
            scores = np.where(mask[:, None, :] != 0, scores, -np.inf)
            out[..., c] = np.einsum("bij,bjd->bid", _softmax(scores), v[..., c])
        y = x + dense(out, p + "attention.output.dense")
        y = _layer_norm(y, w[p + "attention.output.LayerNorm.weight"], w[p + "attention.output.LayerNorm.bias"], 1e-12)
        z = dense(y, p + "intermediate.dense")
        z = dense(z * 0.5 * (1 + erf(z / math.sqrt(2))), p + "output.dense")
        x = _layer_norm(y + z, w[p + "output.LayerNorm.weight"], w[p + "output.LayerNorm.bias"], 1e-12)
        layer += 1
    if not pool:
        return x
    m = mask.astype(np.float64)[..., None]
    mean = (x * m).sum(1) / np.maximum(m.sum(1), 1e-9)
    return mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)


def llama(weights, ids, heads, kv_heads, half=False):
    """Logits [B, S, V]; rotary pairs are neighbours, or halves of the head (`half`)."""
    w = _double(weights)
    x = w["model.embed_tokens.weight"][ids]
    batch, length, dim = x.shape
    hd, group = dim // heads, heads // kv_heads

    def norm(x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * w[name]

    def rotate(x):  # [S, hd] as complex numbers turned by position x frequency
        turn = np.exp(1j * np.outer(np.arange(length), 10000.0 ** (-np.arange(0, hd, 2) / hd)))
        even, odd = (x[:, :hd // 2], x[:, hd // 2:]) if half else (x[:, 0::2], x[:, 1::2])
        z = (even + 1j * odd) * turn
        return np.concatenate([z.real, z.imag], 1)  # the order is the same for q and k

    layer = 0
    while f"model.layers.{layer}.input_layernorm.weight" in w:
        p = f"model.layers.{layer}."
        y = norm(x, p + "input_layernorm.weight")
        q, k, v = (y @ w[f"{p}self_attn.{n}_proj.weight"].T for n in "qkv")
        out = np.zeros_like(x)
        for b in range(batch):
            for h in range(heads):
                a, c = slice(h * hd, (h + 1) * hd), slice(h // group * hd, (h // group + 1) * hd)
                scores = rotate(q[b][:, a]) @ rotate(k[b][:, c]).T / math.sqrt(hd)
                scores[np.triu_indices(length, 1)] = -np.inf
                out[b][:, a] = _softmax(scores) @ v[b][:, c]
        x = x + out @ w[p + "self_attn.o_proj.weight"].T
        y = norm(x, p + "post_attention_layernorm.weight")
        gate = y @ w[p + "mlp.gate_proj.weight"].T
        y = gate / (1 + np.exp(-gate)) * (y @ w[p + "mlp.up_proj.weight"].T)
        x = x + y @ w[p + "mlp.down_proj.weight"].T
        layer += 1
    x = norm(x, "model.norm.weight")
    return x @ w.get("lm_head.weight", w["model.embed_tokens.weight"]).T
