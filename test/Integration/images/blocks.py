"""Blocks of convolutional nets that no whole architecture here has, each cut by a mask that its writer makes.

`BLOCKS`: name -> (body, axes stated by hand as "kind units"). A body gets a Net and the input [batch, 3, 8, 8], notes
which indices of which weight read each unit, and returns what the classifier sees. Of each block: its axes; a ticket
for half of all units, with both proofs; sliced = masked by the writer in onnxruntime; one unit off is noticed;
compiled, dense and sliced, it equals onnxruntime.
"""
import json
import os
import sys

import numpy as np
import onnx

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))

from pipeline import command  # noqa: E402
from twist_tools import compare, native, tickets  # noqa: E402
from twist_tools.models.net import Net, block, mask, strided  # noqa: E402

IMAGE = 8


def conv(n, x, name, inner, out, kernel=1, groups=1, rank=2, **attributes):
    fan = inner // groups * kernel**rank
    w = n.normal(out, inner // groups, *[kernel] * rank, scale=1.4 * fan**-0.5)
    return n.op("Conv", x, n.weight(name + ".weight", w), n.weight(name + ".bias", n.normal(out, scale=0.3)),
                group=groups, **({"pads": [kernel // 2] * 2 * rank} | attributes))


def batch_norm(n, x, name, channels):
    return n.op("BatchNormalization", x, n.weight(name + ".scale", n.gain(channels)),
                n.weight(name + ".bias", n.normal(channels, scale=0.3)),
                n.weight(name + ".mean", n.normal(channels, scale=0.3)), n.weight(name + ".var", n.positive(channels)))


def classify(n, x, channels):
    """Channels are the classifier's columns."""
    y = n.op("Flatten", n.op("GlobalAveragePool", x), axis=1)
    return n.gemm(y, "classifier", channels, 5)


def reader(name, indices, dim=1):
    return (name + ".weight", dim, indices)


def dense_net(n, x):
    """What each layer makes is concatenated to what there was, and read by all that follow."""
    x, width, made = conv(n, x, "stem", 3, 6, 3), 6, [("stem", 0, 6)]
    for i, growth in enumerate((4, 5)):
        y = n.op("LeakyRelu", batch_norm(n, x, f"norm{i}", width))
        y = conv(n, y, f"layer{i}", width, growth, 3)
        for name, start, size in made:
            n.unit(name, "channel", size, reader(f"layer{i}", block(start, 1)))
        made.append((f"layer{i}", width, growth))
        x, width = n.op("Concat", x, y, axis=1), width + growth
    for name, start, size in made:
        n.unit(name, "channel", size, reader("classifier", block(start, 1)))
    return classify(n, x, width)


def res_next(n, x):
    """A grouped convolution of 3 groups of 4 to 3 of 2: groups are cut whole, or units alike in all groups."""
    y = n.op("LeakyRelu", conv(n, x, "reduce", 3, 12))
    y = n.op("LeakyRelu", conv(n, y, "grouped", 12, 6, 3, groups=3))
    n.unit("inner", "channel", 4, reader("grouped", block(0, 1)))
    n.unit("groups", "channel", 3, reader("expand", block(0, 2)))
    n.unit("outer", "channel", 2, reader("expand", strided(3, 2)))
    y = n.op("Add", conv(n, y, "expand", 6, 8), conv(n, x, "shortcut", 3, 8))
    n.unit("stream", "channel", 8, reader("classifier", block(0, 1)))
    return classify(n, y, 8)


def u_net(n, x):
    """Down, up twice, by Resize and by ConvTranspose, and the way around."""
    skip = n.op("LeakyRelu", conv(n, x, "down", 3, 6, 3))
    y = n.op("MaxPool", skip, kernel_shape=[2, 2], strides=[2, 2])
    y = n.op("LeakyRelu", conv(n, y, "middle", 6, 8, 3))
    w = n.weight("up.weight", n.normal(8, 4, 2, 2, scale=0.4))
    up = n.op("ConvTranspose", y, w, n.weight("up.bias", n.normal(4, scale=0.3)), strides=[2, 2])
    scales = n.const(np.array([1, 1, 2, 2], np.float32))
    resized = n.op("Resize", y, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")
    y = n.op("Concat", skip, up, resized, axis=1)
    n.unit("skip", "channel", 6, reader("middle", block(0, 1)), reader("join", block(0, 1)))
    n.unit("up", "channel", 4, reader("join", block(6, 1)))
    n.unit("middle", "channel", 8, reader("up", block(0, 1), 0), reader("join", block(10, 1)))
    y = n.op("LeakyRelu", conv(n, y, "join", 18, 7, 3))
    n.unit("join", "channel", 7, reader("classifier", block(0, 1)))
    return classify(n, y, 7)


def shuffle(n, x):
    """ShuffleNet: 3 groups of 4 channels become 4 of 3, then a depthwise convolution."""
    y = n.op("LeakyRelu", conv(n, x, "reduce", 3, 12))
    y = n.op("Reshape", y, n.const([0, 3, 4, IMAGE, IMAGE]))
    y = n.op("Transpose", y, perm=[0, 2, 1, 3, 4])
    y = n.op("Reshape", y, n.const([0, 12, IMAGE, IMAGE]))
    y = conv(n, y, "depthwise", 12, 12, 3, groups=12, strides=[2, 2])
    y = n.op("LeakyRelu", conv(n, y, "expand", 12, 6))
    n.unit("groups", "channel", 3, reader("expand", strided(4, 3)))
    n.unit("members", "channel", 4, reader("expand", block(0, 3)))
    n.unit("last", "channel", 6, reader("classifier", block(0, 1)))
    return classify(n, y, 6)


def group_norm(n, x):
    """Groups of a norm stay whole; a pixel shuffle reads 4 channels for one."""
    y = conv(n, x, "stem", 3, 12, 3)
    y = n.op("GroupNormalization", y, n.weight("norm.weight", n.gain(12)),
             n.weight("norm.bias", n.normal(12, scale=0.3)), num_groups=4)
    y = conv(n, n.op("LeakyRelu", y), "spread", 12, 20, 3)
    n.unit("groups", "channel", 4, reader("spread", block(0, 3)))
    y = n.op("DepthToSpace", y, blocksize=2, mode="CRD")
    y = n.op("LeakyRelu", conv(n, y, "last", 5, 6, 3))
    n.unit("pixels", "channel", 5, reader("last", block(0, 1)))
    n.unit("last", "channel", 6, reader("classifier", block(0, 1)))
    return classify(n, y, 6)


def temporal(n, x):
    """One-dimensional, dilated, padded on one side only; the multiplier of a depthwise convolution is 2."""
    y = n.op("Reshape", x, n.const([0, 3, IMAGE * IMAGE]))
    y = n.op("Pad", y, n.const([0, 0, 4, 0, 0, 0]))
    y = n.op("LeakyRelu", conv(n, y, "causal", 3, 6, 3, rank=1, dilations=[2], pads=[0, 0]))
    y = n.op("LeakyRelu", conv(n, y, "depthwise", 6, 12, 3, groups=6, rank=1))
    y = n.op("InstanceNormalization", y, n.weight("norm.weight", n.gain(12)),
             n.weight("norm.bias", n.normal(12, scale=0.3)))
    n.unit("channels", "channel", 6, reader("last", block(0, 2)))
    n.unit("copies", "channel", 2, reader("last", strided(6, 2)))
    y = n.op("LeakyRelu", conv(n, y, "last", 12, 7, 1, rank=1))
    n.unit("last", "channel", 7, reader("classifier", block(0, 1)))
    return classify(n, y, 7)


BLOCKS = {f.__name__: f for f in (dense_net, res_next, u_net, shuffle, group_norm, temporal)}


class Block:
    def __init__(self, folder, name):
        self.name, self.base = name, os.path.join(folder, name)
        net = Net(name, "dynamo", opset=21)
        y = BLOCKS[name](net, net.input("x", "float", ["batch", 3, IMAGE, IMAGE]))
        net.op("Identity", y, to="y")
        net.output("y", "float", ["batch", 5])
        self.model, self.axes = net.model({"kind": "block"}), net.axes
        onnx.save_model(self.model, self.base + ".onnx")
        self.feeds = compare.random_inputs(self.model, 3, batch=2)
        self.found = json.loads(command("twist", "inspect", self.base + ".onnx", "--json"))["axes"]

    def fail(self, text):
        sys.exit(f"FAILED {self.name}: {text}")

    def name_of(self, name):
        """The compiler's axis of as many units whose sources name a dimension that the writer's places do."""
        units = self.axes[name]
        places = [f"{weight}:{dim}" for weight, dim, _ in units.places]
        fits = [a["name"] for a in self.found if a["units"] == units.units
                and any(s == p or s.startswith(p + ":") for p in places for s in a["sources"])]
        if len(fits) != 1:
            self.fail(f"{name}: {units.units} units that {places} read are {fits} of {self.found}")
        return fits[0]

    def slice(self, ticket, tag, *more):
        tickets.write(ticket, f"{self.base}.{tag}.json")
        small = f"{self.base}.{tag}.onnx"
        return small, command("twist", "slice", self.base + ".onnx", "--ticket", f"{self.base}.{tag}.json", "-o", small,
                              *more)

    def equal(self, a, b, exact):
        return all(compare.agree(a[n], b[n], *(e[n] for e in exact)).equal for n in b)

    def run(self):
        names = {name: self.name_of(name) for name in self.axes}
        if len(self.found) != len(names):
            self.fail(f"{len(names)} axes were stated, found are {[a['name'] for a in self.found]}")
        rng = np.random.default_rng(5)
        kept = {name: sorted(rng.choice(u.units, (u.units + 1) // 2, replace=False).tolist())
                for name, u in self.axes.items()}
        ticket = tickets.Ticket({names[n]: tickets.Axis(u.units, kept[n]) for n, u in self.axes.items()})
        small, text = self.slice(ticket, "half", "--verify")
        zeroed, cut = mask(self.model, self.axes, kept), onnx.load(small)
        a, b = compare.run_ort(cut, self.feeds), compare.run_ort(zeroed, self.feeds)
        exact = compare.run_double(cut, self.feeds), compare.run_double(zeroed, self.feeds)
        if not self.equal(a, b, exact):
            self.fail("sliced differs from the writer's masked model")
        for name in self.axes:
            wrong = tickets.Ticket({**ticket.axes, names[name]: tickets.shifted(ticket.axes[names[name]])})
            other = onnx.load(self.slice(wrong, "wrong")[0])
            if self.equal(compare.run_ort(other, self.feeds), b, exact[1:]):
                self.fail(f"{name}, one unit off, goes unnoticed")
        for path in (self.base + ".onnx", small):
            command("twist", "compile", path, "-o", path[:-5])
            with native.Program(path[:-5]) as program:
                result = {n: x.copy() for n, x in program(self.feeds).items()}
            model = onnx.load(path)
            if not self.equal(result, compare.run_ort(model, self.feeds), [compare.run_double(model, self.feeds)]):
                self.fail(f"{path}, native, differs from onnxruntime")
        print(f"{self.name}: {', '.join(sorted(f'{n} {u.units}' for n, u in self.axes.items()))}", flush=True)


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for name in sys.argv[2:] or BLOCKS:
        Block(folder, name).run()


if __name__ == "__main__":
    main()
