"""Convolutions of ResNet-50 and MobileNet v2 (batch 1, f32): twist compile against onnxruntime.

Each is a model of its own: convolution, bias, Relu. Both engines run in one process, in turn; medians. Writes a
markdown table.
    benchmarks/conv [--cases WORD] [--threads 1,2] [--repeats 9] [--least] [-o FILE]
"""
import argparse
import os
import statistics
import subprocess
import sys

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "python"))

from twist_tools import compare, native, timing  # noqa: E402
from twist_tools.models.graph import Graph  # noqa: E402

BUILD = os.environ.get("TWIST_BUILD", os.path.join(ROOT, "build"))
# net, input channels, output channels, image, kernel, stride, groups
CASES = [
    ("resnet50", 3, 64, 224, 7, 2, 1), ("resnet50", 64, 64, 56, 1, 1, 1), ("resnet50", 64, 64, 56, 3, 1, 1),
    ("resnet50", 64, 256, 56, 1, 1, 1), ("resnet50", 128, 128, 56, 3, 2, 1), ("resnet50", 256, 512, 56, 1, 2, 1),
    ("resnet50", 128, 128, 28, 3, 1, 1), ("resnet50", 512, 128, 28, 1, 1, 1), ("resnet50", 256, 256, 14, 3, 1, 1),
    ("resnet50", 256, 1024, 14, 1, 1, 1), ("resnet50", 512, 512, 7, 3, 1, 1), ("resnet50", 2048, 512, 7, 1, 1, 1),
    ("resnext50", 128, 128, 56, 3, 1, 32),
    ("mobilenet2", 3, 32, 224, 3, 2, 1), ("mobilenet2", 32, 32, 112, 3, 1, 32), ("mobilenet2", 16, 96, 112, 1, 1, 1),
    ("mobilenet2", 96, 96, 112, 3, 2, 96), ("mobilenet2", 144, 144, 56, 3, 1, 144),
    ("mobilenet2", 144, 24, 56, 1, 1, 1), ("mobilenet2", 384, 384, 14, 3, 1, 384),
    ("mobilenet2", 960, 960, 7, 3, 1, 960), ("mobilenet2", 320, 1280, 7, 1, 1, 1),
]


def name_of(case):
    net, inner, out, image, kernel, stride, groups = case
    kind = f"{kernel}x{kernel}" + (f"/{stride}" if stride > 1 else "")
    grouped = " depthwise" if groups == inner > 1 else f" in {groups} groups" if groups > 1 else ""
    return f"{net} {inner}→{out} {kind}{grouped} at {image}"


def model(case):
    _, inner, out, image, kernel, stride, groups = case
    rng, g = np.random.default_rng(0), Graph("conv")
    fan = inner // groups * kernel * kernel
    g.input("x", "float", [1, inner, image, image])
    weight = rng.standard_normal((out, inner // groups, kernel, kernel), dtype=np.float32) / np.float32(fan**0.5)
    y = g.op("Conv", "x", g.weight("w", weight), g.weight("b", rng.standard_normal(out, dtype=np.float32)),
             strides=[stride] * 2, pads=[kernel // 2] * 4, group=groups)
    g.op("Relu", y, to="y")
    size = (image - 1) // stride + 1
    g.output("y", "float", [1, out, size, size])
    return g.model({"kind": "conv"}), 2 * out * size * size * fan


def compiled(number, case):
    import onnx
    folder = os.path.join(BUILD, "benchmarks")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"conv{number}")
    made, flops = model(case)
    onnx.save_model(made, path + ".onnx")
    subprocess.run([os.path.join(BUILD, "bin", "twist"), "compile", path + ".onnx", "-o", path], check=True)
    return path, made, flops


def measure(number, case, options):
    path, made, flops = compiled(number, case)
    feeds, rows = compare.random_inputs(made), []
    for threads in options.threads:
        session = compare.session(path + ".onnx", threads)
        with native.Program(path, threads) as program:
            outputs = program.bind(feeds)
            times = timing.interleaved({"twist": program.run, "ort": lambda s=session: s.run(None, feeds)},
                                       options.repeats, pick=min if options.least else statistics.median)
            want, got = session.run(None, feeds)[0], next(iter(outputs.values()))
            error = np.abs(got - want).max() / np.abs(want).max()
        rows.append([name_of(case), threads, f"{times['twist'] * 1e3:.3f}", f"{times['ort'] * 1e3:.3f}",
                     f"{times['twist'] / times['ort']:.2f}", f"{flops / times['twist'] / 1e9:.0f}", f"{error:.0e}"])
        print("  ".join(map(str, rows[-1])), flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="", help="only those whose name has this word")
    parser.add_argument("--threads", type=lambda t: [int(n) for n in t.split(",")], default=[1, 2])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--least", action="store_true", help="the least time, not the median: on a machine others use")
    parser.add_argument("-o", "--output", default=os.path.join(BUILD, "benchmarks", "conv.md"))
    options = parser.parse_args()
    rows = []
    for number, case in enumerate(CASES):
        if options.cases in name_of(case):
            rows += measure(number, case, options)
    text = [f"{timing.machine()}. f32, batch 1, "
            f"{'least' if options.least else 'median'} of {options.repeats}, engines in turn.", ""]
    text += [timing.table(["convolution", "threads", "twist ms", "onnxruntime ms", "twist / onnxruntime", "GFLOP/s",
                           "difference"], rows), ""]
    timing.save(text, options.output)


if __name__ == "__main__":
    main()
