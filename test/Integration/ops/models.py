"""Small transformers of several exporter styles, straight to loops, against onnxruntime.

usage: models.py FOLDER
"""
import itertools
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import shape_inference
from twist_tools.models import bert, gpt2, llama

import emit
import run


def feeds(model, sizes, random):
    """An array for each input: ids below 50, masks that end early, floats."""
    result = {}
    initialisers = {t.name for t in model.graph.initializer}
    for value in model.graph.input:
        if value.name in initialisers:
            continue
        tensor = value.type.tensor_type
        shape = [sizes[d.dim_param] if d.dim_param else d.dim_value for d in tensor.shape.dim]
        if tensor.elem_type == onnx.TensorProto.INT64:
            result[value.name] = (random.integers(0, 2, shape) if "mask" in value.name
                                  else random.integers(0, 8, shape))
            if "mask" in value.name:
                result[value.name][..., 0] = 1
        else:
            result[value.name] = random.standard_normal(shape).astype(np.float32)
    return result


def prepared(model):
    """Types inferred; every dimension it does not know stays open."""
    return shape_inference.infer_shapes(model, data_prop=True)


def check(models, folder, sizes):
    texts = {name: emit.function(prepared(model), name) for name, model in models.items()}
    errors = {n: e for n, e in run.which_compile(texts).items() if e}
    for name, error in errors.items():
        print(f"refused {name}: {error}")
    library = run.build({n: t for n, t in texts.items() if n not in errors}, folder)
    failures = len(errors)
    for name, model in models.items():
        if name in errors:
            continue
        session = onnxruntime.InferenceSession(model.SerializeToString())
        for number, size in enumerate(sizes):
            inputs = feeds(model, size, np.random.default_rng(number))
            want = session.run(None, inputs)
            got = run.call(library, name, list(inputs.values()), want)
            bad = [e for e in map(run.difference, got, want) if e]
            failures += bool(bad)
            print(f"{'FAILED' if bad else 'ok'} {name} {size} {bad[:1] or ''}")
    return failures


def styles():
    """name → model: what changes the IR, not the mathematics."""
    models = {"bert": bert.build(bert.Config(opset=18)),
              "bert_fused": bert.build(bert.Config(opset=20, norm="fused"))}
    for style, shapes in itertools.product(("split", "separate", "qkv5"), ("zero", "chain")):
        models[f"gpt2_{style}_{shapes}"] = gpt2.build(
            gpt2.Config(opset=20, style=style, shapes=shapes, norm="fused"))
    models["gpt2_static"] = gpt2.build(gpt2.Config(opset=18, shapes="static"))
    models["gpt2_cache"] = gpt2.build(gpt2.Config(opset=18, cache=True))
    for rope in ("pairs", "half"):
        models[f"llama_{rope}"] = llama.build(llama.Config(opset=18, rope=rope, cache=False))
        models[f"llama_{rope}_cache"] = llama.build(llama.Config(opset=18, rope=rope))
    return models


def main():
    folder, = sys.argv[1:]
    sizes = [dict(zip(("batch", "sequence", "past", "total"), s))
             for s in ((1, 5, 3, 8), (3, 2, 0, 2), (2, 1, 7, 8))]
    failures = check(styles(), folder, sizes)
    print(f"{failures} failures")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
