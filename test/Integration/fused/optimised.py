"""What onnxruntime's own optimiser writes has the axes of the model it read, and cuts alike.

usage: optimised.py FOLDER
"""
import collections
import json
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
from twist_tools import compare
from twist_tools.models import bert, gpt2, llama

import run

MODELS = {
    "bert": lambda: bert.build(bert.Config()),
    # Norms that the operator set of the file does not have.
    "bert14": lambda: bert.build(bert.Config(opset=14)),
    "gpt2": lambda: gpt2.build(gpt2.Config(style="split")),
    "gpt2_cache": lambda: gpt2.build(gpt2.Config(cache=True)),
    "llama": lambda: llama.build(llama.Config(rope="half", cache=False)),
}
SIZES = {"batch": 2, "sequence": 5, "past": 3, "total": 8}


def optimise(model, path):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = path
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(path)


def axes_of(path):
    return json.loads(run.twist("inspect", path, "--json"))["axes"]


def cut(path, axes, folder):
    """Every other unit of heads and feed-forward, axes told apart by their place among their kind."""
    keep = {a["name"]: list(range(0, a["units"], 2 if a["kind"] in ("head", "kv_group", "ffn") else 1)) for a in axes}
    return run.slice_model(path.removesuffix(".onnx"), axes, keep)[0]


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for name, make in MODELS.items():
        model = make()
        plain, fused = (os.path.join(folder, f"{name}.{kind}.onnx") for kind in ("plain", "fused"))
        onnx.save(model, plain)
        written = optimise(model, fused)
        kinds = {n.op_type for n in written.graph.node} - {n.op_type for n in model.graph.node}
        if not kinds & {"FusedMatMul", "BiasGelu", "FastGelu", "SimplifiedLayerNormalization"}:
            sys.exit(f"FAILED {name}: the optimiser fuses nothing: {kinds}")
        found = [axes_of(p) for p in (plain, fused)]
        counts = [collections.Counter((a["kind"], a["index"], a["units"]) for a in axes) for axes in found]
        if counts[0] != counts[1]:
            sys.exit(f"FAILED {name}: {counts[0]} became {counts[1]}")
        feeds = compare.random_inputs(model, **SIZES)
        small = [cut(path, axes, folder) for path, axes in zip((plain, fused), found)]
        outputs = []
        for s in small:
            shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in s.graph.input}
            cuts = {n: x[tuple(slice(0, size or None) for size in shapes[n])] for n, x in feeds.items()}
            outputs.append(compare.run_ort(s, cuts))
        for key, a in outputs[0].items():
            b = outputs[1][key]
            if not np.allclose(a, b, rtol=0, atol=64 * np.finfo(np.float32).eps * np.abs(a).max()):
                sys.exit(f"FAILED {name} {key}: off by {np.abs(a - b).max()}")
        left = {n.op_type for n in small[1].graph.node}
        if not kinds <= left:
            sys.exit(f"FAILED {name}: {kinds - left} got lost")
        print(f"{name}: {len(found[0])} axes, {sorted(kinds)}")
    print(f"{len(MODELS)} optimised models cut as the plain ones")


if __name__ == "__main__":
    main(sys.argv[1])
