"""Architectures x proofs: python run.py FOLDER [--write | --check] [--without-programs] [NAME …]

Of each model: its axes are those stated in expected.json; a ticket over what its writer can mask gives the masked
model's outputs in onnxruntime, a ticket one unit off does not; a ticket over all kinds of axes has both proofs
(`twist slice --verify`); compiled, dense and sliced, it equals onnxruntime. One line each for docs/Architectures.md.
"""
import argparse
import json
import os
import re
import sys
from dataclasses import replace

import numpy as np
import onnx

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))

from pipeline import command  # noqa: E402
from twist_tools import compare, native, tickets  # noqa: E402
from twist_tools.models import bert, cnn, deberta, decoder, gpt2, llama, t5, vision  # noqa: E402
from twist_tools.models.net import Units, block, mask  # noqa: E402

SIZES = dict(batch=2, sequence=5, encoder_sequence=6, decoder_sequence=3)
DOCUMENT = os.path.join(HERE, "..", "..", "..", "docs", "Architectures.md")
BEGIN, END = "<!-- begin: test/Integration/architectures/run.py --write -->\n", "<!-- end -->"


def stated(kind, out, ffn, group="head"):
    """The writer's own knowledge of GPT-2, BERT and Llama: which rows of which weights read a unit."""
    def build(module, config):
        axes, heads = {}, getattr(config, "kv_heads", config.heads)
        for n in range(config.layers):
            places = (out.format(n), 0, block(0, config.dim // heads)), (ffn.format(n), 0, block(0, 1))
            axes |= {f"{n}.{group}": Units(group, heads, [places[0]]), f"{n}.ffn": Units("ffn", config.ffn, [places[1]])}
        return module.build(config), axes
    return lambda config: build(kind, config)


# name -> (function of a Config to (model, axes), the Config)
MODELS = {
    "gpt2": (stated(gpt2, "h.{}.attn.c_proj.weight", "h.{}.mlp.c_proj.weight"), gpt2.Config(ffn=64)),
    "llama": (stated(llama, "model.layers.{}.self_attn.o_proj.weight", "model.layers.{}.mlp.down_proj.weight",
                     "kv_group"), llama.Config(rope="half", cache=False)),
    "bert": (stated(bert, "encoder.layer.{}.attention.output.dense.weight", "encoder.layer.{}.output.dense.weight"),
             bert.Config()),
    **{name: (decoder.build, config) for name, config in decoder.PRESETS.items()},
    "deberta": (deberta.build, deberta.Config()),
    "t5": (t5.build, t5.Config(form="dynamo")),
    "vit": (vision.build, vision.Config("vit", form="dynamo")),
    "swin": (vision.build, vision.Config("swin")),
    "resnet": (cnn.build, cnn.Config("resnet", form="legacy")),
    "bottleneck": (cnn.build, cnn.Config("resnet_bottleneck")),
    "mobilenet2": (cnn.build, cnn.Config("mobilenet_v2", form="legacy")),
    "mobilenet3": (cnn.build, cnn.Config("mobilenet_v3")),
    "convnext": (cnn.build, cnn.Config("convnext")),
}


class Case:
    def __init__(self, folder, name, expected):
        self.name, self.expected = name, dict(expected)
        self.title = self.expected.pop("title")
        self.folder, (self.build, self.config) = folder, MODELS[name]

    def path(self, what):
        return os.path.join(self.folder, f"{self.name}.{what}")

    def fail(self, text):
        sys.exit(f"FAILED {self.name}: {text}")

    def open(self, config, tag):
        self.model, self.axes = self.build(config)
        onnx.checker.check_model(self.model, full_check=True)
        self.dense = self.path(tag + ".onnx")
        onnx.save_model(self.model, self.dense)
        symbols = {d.dim_param for v in self.model.graph.input for d in v.type.tensor_type.shape.dim}
        self.feeds = compare.random_inputs(self.model, 3, **{s: SIZES[s] for s in symbols if s})
        for name, value in self.feeds.items():
            if name == "attention_mask":
                value[1, -1] = 0
        self.found = json.loads(command("twist", "inspect", self.dense, "--json"))["axes"]

    def check_axes(self):
        count = {}
        for axis in self.found:
            kind = count.setdefault(axis["kind"], {})
            kind[axis["units"]] = kind.get(axis["units"], 0) + 1
        found = {k: " + ".join(f"{u} x {n}" for u, n in sorted(v.items())) for k, v in count.items()}
        if found != self.expected:
            self.fail(f"axes should be {self.expected}, are {found}")

    def name_of(self, name, units):
        """The compiler's name of an axis the writer knows: told by a weight, its kind and its size."""
        places = [f"{weight}:{dim}" for weight, dim, _ in units.places]
        fits = [a["name"] for a in self.found if (a["kind"], a["units"]) == (units.kind, units.units)
                and any(re.fullmatch(re.escape(p) + "(:.*)?", s) for p in places for s in a["sources"])]
        if len(fits) != 1:
            self.fail(f"{name}, {units.units} {units.kind}, reads {places}: such axes are {fits}")
        return fits[0]

    def slice(self, ticket, tag, *more):
        tickets.write(ticket, self.path(tag + ".json"))
        small = self.path(tag + ".onnx")
        text = command("twist", "slice", self.dense, "--ticket", self.path(tag + ".json"), "-o", small, *more)
        return small, text

    def equal(self, a, b, exact):
        """a, b: f32 results of the same function by two engines or models; exact: f64, of both or of b."""
        return all(compare.agree(a[n], b[n], *(e[n] for e in exact)).equal for n in b)

    def independent(self):
        """Sliced, against the model that its writer masks; and one unit off."""
        rng, kept = np.random.default_rng(5), {}
        for name, units in self.axes.items():
            kept[name] = sorted(rng.choice(units.units, (units.units + 1) // 2, replace=False).tolist())
        names = {name: self.name_of(name, units) for name, units in self.axes.items()}
        ticket = tickets.Ticket({names[n]: tickets.Axis(u.units, kept[n]) for n, u in self.axes.items()})
        small, text = self.slice(ticket, "half")
        zeroed = mask(self.model, self.axes, kept)
        small = onnx.load(small)
        a, b = compare.run_ort(small, self.feeds), compare.run_ort(zeroed, self.feeds)
        exact = compare.run_double(small, self.feeds), compare.run_double(zeroed, self.feeds)
        if not self.equal(a, b, exact):
            self.fail("sliced differs from the writer's masked model")
        if self.equal(compare.run_ort(self.model, self.feeds), b, exact[1:]):
            self.fail("the masks do nothing")
        for name in self.axes:
            wrong = tickets.Ticket({**ticket.axes, names[name]: tickets.shifted(ticket.axes[names[name]])})
            if self.equal(compare.run_ort(onnx.load(self.slice(wrong, "wrong")[0]), self.feeds), b, exact[1:]):
                self.fail(f"{names[name]}, one unit off, goes unnoticed")
            if name.split(".")[-1] != "mlp":  # one of attention, one of the feed-forward is enough
                break
        before, after = map(int, re.search(r"weight bytes +(\d+) +(\d+)", text).groups())
        self.saved = f"{before:,} | {after:,}"

    def proofs(self):
        """Both, over all kinds of axes at once."""
        rng = np.random.default_rng(6)
        ticket = tickets.Ticket({a["name"]: tickets.Axis(a["units"], sorted(
            rng.choice(a["units"], (a["units"] + 1) // 2, replace=False).tolist())) for a in self.found})
        small, text = self.slice(ticket, "all", "--verify")
        if len(re.findall(r"^  holds (poison|acts|equal f64|equal f32)", text, re.M)) < 4:
            self.fail(text)
        for path, tag in ((self.dense, "dense"), (small, "sliced")):
            command("twist", "compile", path, "-o", self.path(tag))
            with native.Program(self.path(tag)) as program:
                result = {n: a.copy() for n, a in program(self.feeds).items()}
            model = onnx.load(path)
            if not self.equal(result, compare.run_ort(model, self.feeds), [compare.run_double(model, self.feeds)]):
                self.fail(f"native, {tag}, differs from onnxruntime")

    def run(self, programs):
        """The row of the table; without programs only its beginning."""
        self.open(self.config, "dense")
        self.check_axes()
        self.independent()
        axes = ", ".join(f"{k} {v}" for k, v in self.expected.items()).replace(" x ", " × ")
        row = f"| {self.title} | {axes} | {self.saved} | yes |"
        if not programs:
            return row
        self.open(replace(self.config, layers=1), "one")  # compiling is what takes the time
        self.proofs()
        return row + " yes | yes |\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--write", action="store_true", help="the table into docs/Architectures.md")
    parser.add_argument("--check", action="store_true", help="that the lines stand there")
    parser.add_argument("--without-programs", action="store_true", help="nothing that is compiled")
    options = parser.parse_intermixed_args()
    if options.write and (options.names or options.without_programs):
        parser.error("--write needs all of it")
    os.makedirs(options.folder, exist_ok=True)
    with open(os.path.join(HERE, "expected.json"), encoding="utf-8") as file:
        expected = json.load(file)
    with open(DOCUMENT, encoding="utf-8") as file:
        document = file.read()
    rows = []
    for name in options.names or expected:
        rows.append(Case(options.folder, name, expected[name]).run(not options.without_programs))
        print(rows[-1].rstrip("\n"), flush=True)
        if options.check and rows[-1] not in document:
            sys.exit(f"FAILED {name}: docs/Architectures.md has another line: run with --write")
    if options.write:
        head, rest = document.split(BEGIN)
        title = ("| architecture | axes: units × how many | bytes of weights | half of each cut "
                 "| sliced = masked by its writer | poison, sliced = masked | native = onnxruntime |\n"
                 "|---|---|---:|---:|---|---|---|\n")
        with open(DOCUMENT, "w", encoding="utf-8") as file:
            file.write(head + BEGIN + title + "".join(rows) + END + rest.split(END, 1)[1])
    print(f"{len(rows)} architectures: all proofs hold" if not options.without_programs else
          f"{len(rows)} architectures: as their writers say")


if __name__ == "__main__":
    main()
