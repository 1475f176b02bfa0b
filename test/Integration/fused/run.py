"""Fused attention and its like: the axes are found, cut, and the cut model still has its fused ops and is right.

usage: run.py FOLDER [--prove FORM]...

For each form, for each axis alone and for all at once, and without any unit of an axis: the sliced model in onnxruntime against the same model
with the units' weights zeroed by hand (twist_tools.models.fused), which differs from the dense model; and an off-by-one
cut is noticed. `--prove FORM` proves one form's cut by `twist slice --verify`, on compiled programs.
"""
import collections
import json
import os
import random
import subprocess
import sys

import numpy as np
import onnx
from twist_tools import compare
from twist_tools.models import fused

# Fused ops that must be left after a cut.
KEPT = {"Attention", "MultiHeadAttention", "GroupQueryAttention", "RotaryEmbedding", "BiasGelu", "FastGelu", "QuickGelu",
        "SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "EmbedLayerNormalization",
        "SimplifiedLayerNormalization"}


def twist(*arguments):
    done = subprocess.run(["twist", *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"FAILED twist {' '.join(arguments)}\n{done.stderr}")
    return done.stdout


def count(model):
    return collections.Counter(n.op_type for n in model.graph.node if n.op_type in KEPT)


def cut_feeds(feeds, small, axes, keep):
    """State inputs lose the units that the model lost."""
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in small.graph.input}
    result = dict(feeds)
    for name, array in feeds.items():
        for dim, size in enumerate(shapes[name]):
            if size and size != array.shape[dim]:
                # A cache has units of one axis in each dimension: tell them by number.
                units = [keep[a["name"]] for a in axes
                         if a["units"] == array.shape[dim] and len(keep[a["name"]]) == size]
                array = np.take(array, units[0], dim)
        result[name] = array
    return result


def ticket(base, axes, keep):
    data = {"version": 1, "axes": {a["name"]: {"units": a["units"], "group": 1, "keep": keep[a["name"]]} for a in axes}}
    with open(base + ".json", "w") as file:
        json.dump(data, file)


def slice_model(base, axes, keep, *options):
    ticket(base, axes, keep)
    text = twist("slice", base + ".onnx", "--ticket", base + ".json", "-o", base + ".small.onnx", *options)
    return onnx.load(base + ".small.onnx"), text


def check(name, base, axes, chosen, seed):
    """Cuts some units of each chosen axis; complaints end the program."""
    rng = random.Random(seed)
    dense, _, layout = fused.build(name)
    feeds = fused.feeds(dense, seed)
    keep, masked = {}, dense
    for axis in axes:
        units = list(range(axis["units"]))
        left = sorted(rng.sample(units, max(1, len(units) * 2 // 3))) if axis in chosen else units
        keep[axis["name"]] = left
        removed = [u for u in units if u not in left]
        masked = fused.zero(masked, layout, axis["kind"], axis["units"], removed)
    small, _ = slice_model(base, axes, keep)
    if count(small) != count(dense):
        sys.exit(f"FAILED {name}: {dict(count(dense))} became {dict(count(small))}")
    a = compare.run_ort(small, cut_feeds(feeds, small, axes, keep))["y"]
    b = compare.run_ort(masked, feeds)["y"]
    full = compare.run_ort(dense, feeds)["y"]
    scale = np.abs(b).max()
    if np.abs(a - b).max() > 64 * np.finfo(np.float32).eps * scale:
        sys.exit(f"FAILED {name} {[a['name'] for a in chosen]}: off by {np.abs(a - b).max() / scale:.2g} of the largest")
    if np.abs(a - full).max() < 1e-3 * scale:
        sys.exit(f"FAILED {name} {[a['name'] for a in chosen]}: the mask does nothing")
    if len(chosen) > 1:
        return
    axis = chosen[0]
    shifted = {**keep, axis["name"]: sorted((u + 1) % axis["units"] for u in keep[axis["name"]])}
    wrong, _ = slice_model(base, axes, shifted)
    c = compare.run_ort(wrong, cut_feeds(feeds, wrong, axes, shifted))["y"]
    if np.abs(b - c).max() < 1e-3 * scale:
        sys.exit(f"FAILED {name} {axis['name']}: a cut off by one is not noticed")


def empty(name, base, axes):
    """An axis without a unit left: the layer is gone, or an error says why it can't be."""
    dense, _, layout = fused.build(name)
    feeds = fused.feeds(dense)
    for axis in axes:
        if axis["kind"] in ("qk", "qkv"):
            continue  # what is left would be a constant pattern
        keep = {a["name"]: [] if a is axis else list(range(a["units"])) for a in axes}
        cached = any(o.name == "present_key" for o in dense.graph.output)
        if axis["kind"] == "query_group" and cached:
            ticket(base, axes, keep)
            done = subprocess.run(["twist", "slice", base + ".onnx", "--ticket", base + ".json", "-o", base + ".none.onnx"],
                                  capture_output=True, text=True)
            if done.returncode != 1 or "has no query left" not in done.stderr or os.path.exists(base + ".none.onnx"):
                sys.exit(f"FAILED {name}: cut of every query: {done.stderr}")
            continue
        if axis["kind"] == "v" and cached:
            continue
        small, _ = slice_model(base, axes, keep)
        left = {i.name for i in small.graph.input}
        a = compare.run_ort(small, {k: v for k, v in feeds.items() if k in left})["y"]
        b = compare.run_ort(fused.zero(dense, layout, axis["kind"], axis["units"], range(axis["units"])), feeds)["y"]
        if np.abs(a - b).max() > 64 * np.finfo(np.float32).eps * np.abs(b).max():
            sys.exit(f"FAILED {name} {axis['name']}: without any unit off by {np.abs(a - b).max()}")


def prove(name, folder):
    """Both proofs of a cut of everything at once."""
    base = os.path.join(folder, name)
    onnx.save(fused.build(name)[0], base + ".onnx")
    axes = json.loads(twist("inspect", base + ".onnx", "--json"))["axes"]
    keep = {a["name"]: list(range(0, a["units"], 2)) for a in axes}
    _, text = slice_model(base, axes, keep, "--verify")
    holds = sum("holds" in line for line in text.splitlines())
    print(f"{name}: {holds} proofs hold")


def main(folder, *options):
    os.makedirs(folder, exist_ok=True)
    if options:
        return [prove(name, folder) for name in options if name != "--prove"]
    cuts = 0
    for name in fused.FORMS:
        base = os.path.join(folder, name)
        model, expected, _ = fused.build(name)
        onnx.save(model, base + ".onnx")
        axes = json.loads(twist("inspect", base + ".onnx", "--json"))["axes"]
        found = collections.defaultdict(list)
        for axis in axes:
            found[axis["kind"]].append(axis["units"])
        if {k: sorted(v) for k, v in found.items()} != {k: sorted(v) for k, v in expected.items()}:
            sys.exit(f"FAILED {name}: expected {expected}, found {dict(found)}")
        for seed, chosen in enumerate([[axis] for axis in axes] + [axes]):
            check(name, base, axes, chosen, seed)
            cuts += 1
        empty(name, base, axes)
        print(f"{name}: {len(axes)} axes")
    print(f"{len(fused.FORMS)} forms, {cuts} cuts: sliced equals masked")


if __name__ == "__main__":
    main(*sys.argv[1:])
