"""GPT-2-small prefill (1 x 512) and a 768 x 3072 MLP in f32: twist compile against onnxruntime.

Both engines run in one process, in turn; medians. Writes a markdown table.
    benchmarks/prefill [--cases gpt2,mlp] [--threads 1,2] [--repeats 7] [-o FILE]
"""
import argparse
import os
import subprocess
import sys
import time

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "python"))

from peak import machine  # noqa: E402
from twist_tools import compare, native, timing  # noqa: E402
from twist_tools.models import gpt2  # noqa: E402
from twist_tools.models.graph import Graph  # noqa: E402

BUILD = os.environ.get("TWIST_BUILD", os.path.join(ROOT, "build"))
ROWS = 512


def mlp():
    rng, g = np.random.default_rng(0), Graph("mlp")
    g.input("x", "float", [ROWS, 768])
    w = [rng.standard_normal(s, dtype=np.float32) * 0.03 for s in ((768, 3072), (3072,), (3072, 768), (768,))]
    hidden = g.gelu_tanh(g.linear("x", g.weight("up.weight", w[0]), g.weight("up.bias", w[1])))
    g.linear(hidden, g.weight("down.weight", w[2]), g.weight("down.bias", w[3]), to="y")
    g.output("y", "float", [ROWS, 768])
    return g.model({"kind": "mlp"}), 2 * ROWS * 768 * 3072 * 2


def gpt2_small(layers):
    c = gpt2.Config(layers=layers, dim=768, heads=12, vocab=50257, context=1024, shapes="static", sequence=ROWS,
                    style="split", norm="fused")
    macs = ROWS * (12 * c.dim * c.dim + 2 * ROWS * c.dim) * layers + ROWS * c.dim * c.vocab
    return gpt2.build(c), 2 * macs


def compiled(name, model):
    """(path of the program, seconds of compiling) in build/benchmarks."""
    import onnx
    folder = os.path.join(BUILD, "benchmarks")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    onnx.save_model(model, path + ".onnx")
    start = time.perf_counter()
    subprocess.run([os.path.join(BUILD, "bin", "twist"), "compile", path + ".onnx", "-o", path], check=True)
    return path, time.perf_counter() - start


def measure(name, model, flops, options, limits):
    path, seconds = compiled(name, model)
    print(f"[{name}] compiled in {seconds:.1f} s", flush=True)
    feeds, rows = compare.random_inputs(model), []
    for threads in options.threads:
        session = compare.session(path + ".onnx", threads)
        with native.Program(path, threads) as program:
            outputs = program.bind(feeds)
            times = timing.interleaved({"twist": program.run, "ort": lambda s=session: s.run(None, feeds)},
                                       options.repeats)
            want = session.run(None, feeds)[0]
            got = next(iter(outputs.values()))
            error = np.abs(got - want).max() / np.abs(want).max()
        peak = limits[threads]["fma_gflops"]
        rate = flops / times["twist"] / 1e9
        rows.append([name, threads, f"{times['twist'] * 1e3:.1f}", f"{times['ort'] * 1e3:.1f}",
                     f"{times['ort'] / times['twist']:.2f}", f"{rate:.0f}", f"{100 * rate / peak:.0f} %",
                     f"{error:.0e}"])
        print(f"[{name}] {threads} threads: {rows[-1][2]} ms, onnxruntime {rows[-1][3]} ms", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="mlp,gpt2")
    parser.add_argument("--threads", type=lambda t: [int(n) for n in t.split(",")], default=[1, 2])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--layers", type=int, default=12, help="of the GPT-2")
    parser.add_argument("-o", "--output", default=os.path.join(BUILD, "benchmarks", "prefill.md"))
    options = parser.parse_args()
    limits = {t: machine(t) for t in options.threads}
    rows = []
    for case in options.cases.split(","):
        print(f"[{case}] writing the model", flush=True)
        model, flops = mlp() if case == "mlp" else gpt2_small(options.layers)
        rows += measure(case, model, flops, options, limits)
    text = [f"{timing.machine()}. f32, {ROWS} rows, median "
            f"of {options.repeats}, engines in turn.", ""]
    text += [f"{t} threads: multiply-add peak {m['fma_gflops']:.0f} GFLOP/s, read {m['read_gbs']:.0f} GB/s, triad "
             f"{m['triad_gbs']:.0f} GB/s" for t, m in limits.items()]
    text += ["", timing.table(["case", "threads", "twist ms", "onnxruntime ms", "speed-up", "GFLOP/s", "of peak",
                               "difference"], rows), ""]
    timing.save(text, options.output)


if __name__ == "__main__":
    main()
