"""The masked model, made by someone who knows the architecture: removed heads' and neurons' weights are zeroed.

Knows only names and layouts of twist_tools.models' GPT-2, BERT and Llama; shares no code with the compiler.
    python -m twist_tools.masked_reference dense.onnx --ticket t.json -o masked.onnx
"""
import argparse
import re

import numpy as np
import onnx
from onnx import numpy_helper

from . import tickets
from .models.graph import architecture

# Which layer and family a ticket's axis means, by the weight (or kind.n) in its name.
AXES = {
    "gpt2": [(r"^h\.(\d+)\.attn\.", "head"), (r"^h\.(\d+)\.mlp\.", "ffn")],
    "bert": [(r"^encoder\.layer\.(\d+)\.attention\.", "head"),
             (r"^encoder\.layer\.(\d+)\.(?:intermediate|output)\.", "ffn")],
    "llama": [(r"^model\.layers\.(\d+)\.self_attn\.", "kv_group"), (r"^model\.layers\.(\d+)\.mlp\.", "ffn")],
}


def family(kind, name):
    """(family, layer) of an axis's name."""
    for pattern, what in AXES[kind] + [(rf"^{f}\.(\d+)$", f) for f in ("head", "kv_group", "ffn")]:
        found = re.search(pattern, name)
        if found:
            return what, int(found[1])
    raise ValueError(f"axis {name!r} is none of the {kind}'s")


class Zeroer:
    def __init__(self, model):
        self.tensors = {t.name: t for t in model.graph.initializer}
        self.arrays = {}

    def zero(self, name, dim, indices):
        """Sets these indices of one dimension to zero; absent weights (other export style) are skipped."""
        if name not in self.tensors:
            return 0
        if name not in self.arrays:
            self.arrays[name] = numpy_helper.to_array(self.tensors[name]).copy()
        cut = [slice(None)] * self.arrays[name].ndim
        cut[dim] = np.asarray(indices, np.int64)
        self.arrays[name][tuple(cut)] = 0
        return 1

    def finish(self):
        for name, array in self.arrays.items():
            self.tensors[name].CopyFrom(numpy_helper.from_array(array, name))


def columns(units, width):
    return [u * width + i for u in units for i in range(width)]


def mask_gpt2(z, a, what, layer, removed):
    p = f"h.{layer}."
    if what == "head":
        cut = columns(removed, a["dim"] // a["heads"])
        n = z.zero(p + "attn.c_proj.weight", 0, cut)
        for s, kind in enumerate("qkv"):
            packed = [s * a["dim"] + c for c in cut]
            n += z.zero(p + "attn.c_attn.weight", 1, packed) + z.zero(p + "attn.c_attn.bias", 0, packed)
            n += z.zero(f"{p}attn.{kind}_proj.weight", 1, cut) + z.zero(f"{p}attn.{kind}_proj.bias", 0, cut)
        return n
    return (z.zero(p + "mlp.c_fc.weight", 1, removed) + z.zero(p + "mlp.c_fc.bias", 0, removed)
            + z.zero(p + "mlp.c_proj.weight", 0, removed))


def mask_bert(z, a, what, layer, removed):
    p = f"encoder.layer.{layer}."
    if what == "head":
        cut = columns(removed, a["dim"] // a["heads"])
        n = z.zero(p + "attention.output.dense.weight", 0, cut)
        for kind in ("query", "key", "value"):
            name = f"{p}attention.self.{kind}"
            n += z.zero(name + ".weight", 1, cut) + z.zero(name + ".bias", 0, cut)
        return n
    return (z.zero(p + "intermediate.dense.weight", 1, removed) + z.zero(p + "intermediate.dense.bias", 0, removed)
            + z.zero(p + "output.dense.weight", 0, removed))


def mask_llama(z, a, what, layer, removed):
    p, hd = f"model.layers.{layer}.", a["dim"] // a["heads"]
    if what == "kv_group":
        n = z.zero(p + "self_attn.o_proj.weight", 0, columns(removed, hd * (a["heads"] // a["kv_heads"])))
        n += z.zero(p + "self_attn.q_proj.weight", 1, columns(removed, hd * (a["heads"] // a["kv_heads"])))
        return n + sum(z.zero(f"{p}self_attn.{k}_proj.weight", 1, columns(removed, hd)) for k in "kv")
    return sum(z.zero(p + "mlp." + name + ".weight", dim, removed)
               for name, dim in (("gate_proj", 1), ("up_proj", 1), ("down_proj", 0)))


MASKS = {"gpt2": mask_gpt2, "bert": mask_bert, "llama": mask_llama}


def mask(model, ticket):
    """A copy of `model` (one of this package's) with every removed unit's weights at zero."""
    settings = architecture(model)
    if settings is None:
        raise ValueError("the model does not say its architecture: it is none of twist_tools.models")
    masked = onnx.ModelProto()
    masked.CopyFrom(model)
    zeroer = Zeroer(masked)
    for name, axis in ticket.axes.items():
        what, layer = family(settings["kind"], name)
        if axis.removed_units() and not MASKS[settings["kind"]](zeroer, settings, what, layer, axis.removed_units()):
            raise ValueError(f"axis {name!r}: no weight of layer {layer} was found")
    zeroer.finish()
    return masked


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--ticket", required=True)
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    onnx.save_model(mask(onnx.load(options.model), tickets.read(options.ticket)), options.output)


if __name__ == "__main__":
    main()
