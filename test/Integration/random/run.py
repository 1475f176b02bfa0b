"""Random nets, random tickets: sliced equals masked by the net's own author. Arguments: folder, first seed, count."""
import json
import os
import sys

import numpy as np
import onnx

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from pipeline import command  # noqa: E402
from twist_tools import compare, masked_reference, tickets  # noqa: E402
from twist_tools.models import random_net  # noqa: E402


def choose(axes, seed):
    """A ticket with an axis per block, named by one of its weights as the compiler does, and the masked model's cuts."""
    rng = np.random.default_rng(seed)
    return {name: sorted(rng.choice(u.units, int(rng.integers(0 if rng.random() < .1 else 1, u.units + 1)),
                                    replace=False).tolist())
            for name, u in axes.items()}


def masked(model, axes, kept):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    zeroer = masked_reference.Zeroer(copy)
    for name, units in axes.items():
        removed = [u for u in range(units.units) if u not in kept[name]]
        for weight, dim, indices in units.places:
            assert zeroer.zero(weight, dim, [i for u in removed for i in indices(u)]), weight
    zeroer.finish()
    return copy


def one(folder, seed):
    model, axes = random_net.build(seed)
    base = os.path.join(folder, f"net{seed}")
    onnx.save_model(model, base + ".onnx")
    found = json.loads(command("twist", "inspect", base + ".onnx", "--json"))["axes"]
    kept, ticket = choose(axes, seed), tickets.Ticket()
    for name, units in axes.items():
        match = [a for a in found if a["kind"] == units.kind and a["units"] == units.units
                 and any(s.startswith(name + ".") for s in a["sources"])]
        if len(match) != 1:
            sys.exit(f"FAILED seed {seed}: {name} should be one {units.kind} axis of {units.units} units, found "
                     f"{[(a['kind'], a['units'], a['sources'][0]) for a in found]}")
        ticket.axes[match[0]["name"]] = tickets.Axis(units.units, kept[name])
    tickets.write(ticket, base + ".json")
    command("twist", "slice", base + ".onnx", "--ticket", base + ".json", "-o", base + ".small.onnx")
    small, zeroed = onnx.load(base + ".small.onnx"), masked(model, axes, kept)
    feeds = compare.random_inputs(model, seed, batch=2, sequence=3)
    verdict = compare.agree(compare.run_ort(small, feeds)["y"], compare.run_ort(zeroed, feeds)["y"],
                            compare.run_double(small, feeds)["y"], compare.run_double(zeroed, feeds)["y"])
    if not verdict.equal:
        sys.exit(f"FAILED seed {seed}: {verdict} ({base}.onnx)")
    for end in (".onnx", ".json", ".small.onnx"):  # ten thousand of them fill a disk
        os.remove(base + end)


def main(folder, first, count):
    os.makedirs(folder, exist_ok=True)
    for seed in range(first, first + count):
        one(folder, seed)
    print(f"{count} random nets: sliced equals masked")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
