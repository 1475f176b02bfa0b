"""Convolutional nets: ResNet, MobileNet (inverted residuals, squeeze and excite), ConvNeXt.

The legacy exporter folds BatchNormalization into the convolution before it, dynamo leaves it.
"""
from dataclasses import asdict, dataclass

from .net import Net, block


@dataclass
class Config:
    name: str = "resnet"    # resnet | resnet_bottleneck | mobilenet_v2 | mobilenet_v3 | convnext
    layers: int = 2         # stages
    width: int = 8          # channels of the first stage; each has 4 more
    classes: int = 7
    image: int = 16
    seed: int = 0
    form: str = "dynamo"


class Writer(Net):
    def __init__(self, config):
        super().__init__(config.name, config.form, config.seed)
        self.c = config

    def conv(self, x, name, inner, out, kernel, stride=1, groups=1, bias=True, pad=None):
        w = self.normal(out, inner // groups, kernel, kernel, scale=1.4 * (inner // groups * kernel**2)**-0.5)
        inputs = [x, self.weight(name + ".weight", w)]
        if bias:
            inputs.append(self.weight(name + ".bias", self.normal(out, scale=0.3)))
        pad = kernel // 2 if pad is None else pad
        return self.op("Conv", *inputs, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, group=groups,
                       dilations=[1, 1])

    def conv_bn(self, x, name, inner, out, kernel, stride=1, groups=1):
        if not self.dynamo:
            return self.conv(x, name, inner, out, kernel, stride, groups)
        y = self.conv(x, name, inner, out, kernel, stride, groups, bias=False)
        p = name + ".bn."  # with a bias under which a Relu is not always 0
        return self.op("BatchNormalization", y, self.weight(p + "weight", self.gain(out)),
                       self.weight(p + "bias", self.positive(out)),
                       self.weight(p + "running_mean", self.normal(out, scale=0.3)),
                       self.weight(p + "running_var", self.positive(out)), epsilon=1e-5, momentum=0.9)

    def reads(self, *names):
        """The places of units in the input channels of convolutions."""
        return [(name + ".weight", 1, block(0, 1)) for name in names]

    def head(self, x, channels, bias_of=None):
        y = self.op("Flatten", self.op("GlobalAveragePool", x), axis=1)
        return self.gemm(y, "classifier", channels, self.c.classes)

    # -- ResNet
    def resnet_block(self, x, p, inner, out, stride, bottleneck):
        """Two or three convolutions and the way around them; what reads `x` is returned too."""
        middle = out // 2 if bottleneck else out + 2
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        y, reads, width = x, [p + "conv0"], inner
        for n, kernel in enumerate(kernels):
            last = n == len(kernels) - 1
            to = out if last else middle
            y = self.conv_bn(y, f"{p}conv{n}", width, to, kernel, stride if kernel == 3 and n < 2 else 1)
            if not last:
                self.unit(f"{p}conv{n}.mlp", "ffn", to, *self.reads(f"{p}conv{n + 1}"))
                y = self.op("Relu", y)
            width = to
        if stride > 1 or inner != out:
            x = self.conv_bn(x, p + "downsample", inner, out, 1, stride)
            reads.append(p + "downsample")
        return self.op("Relu", self.op("Add", y, x)), reads

    def resnet(self, x):
        c, width = self.c, self.c.width
        x = self.op("Relu", self.conv_bn(x, "stem", 3, width, 7, 2))
        x = self.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        for stage in range(c.layers):
            out, stream = c.width + 4 * stage, []
            for n in range(2):
                p = f"layer{stage}.{n}."
                x, reads = self.resnet_block(x, p, width, out, 2 if stage and not n else 1, "bottleneck" in c.name)
                if n == 0 and width != out:
                    self.unit(f"stream{stage - 1}", "channel", width, *self.reads(*reads))
                else:
                    stream += reads
                width = out
            self.unit(f"stream{stage}", "channel", width, *self.reads(*stream))
        self.unit(f"stream{c.layers - 1}", "channel", width, ("classifier.weight", 1, block(0, 1)))
        return self.head(x, width)

    # -- MobileNet
    def squeeze_excite(self, x, p, channels, hidden):
        """Scales by a bottleneck on the mean of each channel."""
        y = self.conv(self.op("GlobalAveragePool", x), p + "fc1", channels, hidden, 1)
        y = self.conv(self.op("Relu", y), p + "fc2", hidden, channels, 1)
        self.unit(p + "hidden", "ffn", hidden, *self.reads(p + "fc2"))
        return self.op("Mul", self.op("HardSigmoid", y, alpha=1 / 6, beta=0.5), x)

    def inverted(self, x, p, inner, hidden, out, stride, excite):
        def act(y):
            return self.op("HardSwish", y) if excite else self.op("Clip", y, self.const(0.0), self.const(6.0))

        y = act(self.conv_bn(x, p + "expand", inner, hidden, 1))
        y = act(self.conv_bn(y, p + "depthwise", hidden, hidden, 3, stride, hidden))
        reads = [p + "project"]
        if excite:
            y = self.squeeze_excite(y, p + "se.", hidden, hidden // 4)
            reads.append(p + "se.fc1")
        y = self.conv_bn(y, p + "project", hidden, out, 1)
        self.unit(p + "mlp", "channel" if excite else "ffn", hidden, *self.reads(*reads))
        return self.op("Add", x, y) if stride == 1 and inner == out else y

    def mobilenet(self, x):
        c, width = self.c, self.c.width
        excite = c.name.endswith("v3")
        x = self.conv_bn(x, "stem", 3, width, 3, 2)
        x = self.op("HardSwish", x) if excite else self.op("Clip", x, self.const(0.0), self.const(6.0))
        for stage in range(c.layers):
            out, stream = c.width + 4 * stage, []
            for n in range(2):
                p = f"features.{stage}.{n}."
                x = self.inverted(x, p, width, 4 * width, out, 2 if stage and not n else 1, excite)
                if width != out:
                    self.unit(f"stream{stage - 1}", "channel", width, *self.reads(p + "expand"))
                else:
                    stream.append(p + "expand")
                width = out
            self.unit(f"stream{stage}", "channel", width, *self.reads(*stream))
        self.unit(f"stream{c.layers - 1}", "channel", width, *self.reads("last"))
        x = self.conv_bn(x, "last", width, 24, 1)
        x = self.op("HardSwish", x) if excite else self.op("Clip", x, self.const(0.0), self.const(6.0))
        self.unit("last.mlp", "ffn", 24, ("classifier.weight", 1, block(0, 1)))
        return self.head(x, 24)

    # -- ConvNeXt
    def channel_norm(self, x, name, channels):
        """LayerNorm over dimension 1, written out as ConvNeXt's own module is."""
        centred = self.op("Sub", x, self.mean(x, 1))
        variance = self.mean(self.op("Mul", centred, centred), 1)
        y = self.op("Div", centred, self.op("Sqrt", self.op("Add", variance, self.const(1e-6))))
        gain = self.weight(name + ".weight", self.gain(channels).reshape(-1, 1, 1))
        return self.op("Add", self.op("Mul", y, gain),
                       self.weight(name + ".bias", self.normal(channels, 1, 1, scale=0.3)))

    def convnext(self, x):
        c, width = self.c, self.c.width
        x = self.channel_norm(self.conv(x, "stem", 3, width, 4, 4, pad=0), "stem.norm", width)
        for stage in range(c.layers):
            if stage:
                x = self.channel_norm(x, f"down{stage}.norm", width)
                x = self.conv(x, f"down{stage}", width, width + 4, 2, 2, pad=0)
                width += 4
            for n in range(2):
                p = f"stages.{stage}.{n}."
                y = self.conv(x, p + "dwconv", width, width, 7, 1, width)
                y = self.norm(self.op("Transpose", y, perm=[0, 2, 3, 1]), p + "norm", width)
                y = self.mlp(y, p + "mlp", width, 4 * width, "gelu", names=("pwconv1", "pwconv2"))
                y = self.op("Mul", self.weight(p + "gamma", self.gain(width)), y)
                x = self.op("Add", x, self.op("Transpose", y, perm=[0, 3, 1, 2]))
        y = self.op("Flatten", self.op("GlobalAveragePool", x), axis=1)
        return self.gemm(self.norm(y, "norm", width), "classifier", width, c.classes)

    def write(self):
        c = self.c
        x = self.input("pixel_values", "float", ["batch", 3, c.image, c.image])
        body = next(f for k, f in (("resnet", self.resnet), ("mobilenet", self.mobilenet), ("convnext", self.convnext))
                    if c.name.startswith(k))
        self.op("Identity", body(x), to="logits")
        self.output("logits", "float", ["batch", c.classes])
        return self.model({"kind": "cnn", **asdict(c)})


def build(config):
    """(model, axes)"""
    writer = Writer(config)
    return writer.write(), writer.axes
