"""Runs every style of every writer in onnxruntime and compares it with numpy in f64."""
import numpy as np
import onnxruntime as ort

from twist_tools import numpy_models
from twist_tools.models import bert, gpt2, llama


def session(model):
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def close(got, want, what):
    """f32 against f64: an error of a few hundred roundings of the largest value."""
    error = np.abs(got - want).max() / np.abs(want).max()
    assert error < 2e-5, f"{what}: off by {error:.1e}"


def cached(run, inputs, ids, split):
    """Logits of ids fed in two parts through the cache."""
    past = {n.name: np.zeros([ids.shape[0], n.shape[1], 0, n.shape[3]], np.float32)
            for n in inputs if n.name.startswith("past")}
    names = [n.replace("past_key_values", "present") for n in past]
    parts = []
    for piece in np.split(ids, [split], axis=1):
        logits, *state = run(["logits", *names], {"input_ids": piece, **past})
        past = dict(zip(past, state))
        parts.append(logits)
    return np.concatenate(parts, 1)


def check_gpt2():
    rng = np.random.default_rng(1)
    count = 0
    for style in ("split", "separate", "qkv5"):
        for shapes, cache, more in (("static", False, dict(opset=13, tied=False)), ("zero", False, dict(opset=18)),
                                    ("chain", False, dict(norm="fused")), ("zero", True, {}),
                                    ("chain", True, dict(norm="fused", opset=23))):
            config = gpt2.Config(style=style, shapes=shapes, cache=cache, **more)
            batch, length = (1, 16) if shapes == "static" else (3, 11)
            ids = rng.integers(0, config.vocab, (batch, length))
            s = session(gpt2.build(config))
            want = numpy_models.gpt2(gpt2.random_weights(config), ids, config.heads)
            got = cached(s.run, s.get_inputs(), ids, 6) if cache else s.run(["logits"], {"input_ids": ids})[0]
            close(got, want, config)
            count += 1
    print(f"gpt2: {count} files agree")


def check_llama():
    rng = np.random.default_rng(2)
    count = 0
    for rope in ("pairs", "strided", "half", "half"):
        for cache, more in ((True, {}), (False, dict(opset=23, norm="fused", tied=False))):
            kv = 1 + count % 4 // 2 * 3  # one key/value head, or one per query head
            config = llama.Config(rope=rope, cache=cache, kv_heads=2 if rope == "pairs" else kv, **more)
            ids = rng.integers(0, config.vocab, (2, 9))
            s = session(llama.build(config))
            want = numpy_models.llama(llama.random_weights(config), ids, config.heads, config.kv_heads, rope == "half")
            got = cached(s.run, s.get_inputs(), ids, 5) if cache else s.run(["logits"], {"input_ids": ids})[0]
            close(got, want, config)
            count += 1
    print(f"llama: {count} files agree")


def check_bert():
    rng = np.random.default_rng(3)
    count = 0
    for settings in ({}, dict(norm="fused"), dict(pool=False, opset=13), dict(opset=20)):
        config = bert.Config(**settings)
        ids = rng.integers(0, config.vocab, (3, 9))
        mask = (np.arange(9) < np.array([[9], [4], [1]])).astype(np.int64)
        got = session(bert.build(config)).run(None, {"input_ids": ids, "attention_mask": mask})[0]
        want = numpy_models.bert(bert.random_weights(config), ids, mask, config.heads, config.pool)
        if not config.pool:
            got, want = got * mask[..., None], want * mask[..., None]
        close(got, want, config)
        count += 1
    print(f"bert: {count} files agree")


check_gpt2()
check_llama()
check_bert()
