"""all-MiniLM-L6-v2 under budgets of latency: what was asked for, what the table predicts, what is measured.

`twist bench` fills the table for this machine, `twist prune` spends the budget over all layers and measures dense and cut
model in turn. Quality: cosine to dense on WikiText-2 valid, cut on books-valid.
    benchmarks/latency-budget [--parts .8,.6] [--widths 4] [--folder build/benchmarks/cuts]
"""
import argparse
import json
import os
import re

from cuts import LENGTH, ROOT, Case, timing, twist


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="0.8,0.6", help="of the dense model's time")
    parser.add_argument("--widths", type=int, default=4, help="of an axis, in the table")
    parser.add_argument("--repeat", type=int, default=9, help="runs a program")
    parser.add_argument("--windows", type=int, default=64, help="to calibrate; half as many to report")
    parser.add_argument("--threads", type=int, default=0, help="of each run, in the table too; 0: one per processor")
    parser.add_argument("--correct", default="relative")
    parser.add_argument("--folder", default=os.path.join(ROOT, "build", "benchmarks", "cuts"))
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    case = Case("minilm", options.folder, options)
    table = os.path.join(options.folder, "minilm-latency.json")
    text, wall, _ = twist("bench", case.model, "--latency-table", table, "--dim", f"batch={case.batch},sequence={LENGTH}",
                          "--widths", options.widths, "--repeat", options.repeat, "--threads", options.threads)
    print(f"{text}table of {len(json.load(open(table, encoding='utf-8'))['axes'])} axes in {wall:.0f} s\n", flush=True)
    rows = []
    for part in options.parts.split(","):
        out, wall, _ = twist("prune", case.model, "--budget", f"latency={part}", "--latency", table, "--correct",
                             options.correct, "--min-units", 1, "--neighbours=false", "--verify=false", *case.arguments(), "-o",
                             os.path.join(options.folder, "minilm-latency.onnx"))
        allowed, dense, kept = map(float, re.search(
            r"budget +(\S+) ms of (\S+) ms latency, kept (\S+) ms by the table", out).groups())
        whole, cut = (list(map(float, re.search(rf"^{name} +(\d+) +\d+ +(\S+) +(\S+)", out, re.M).groups()))
                      for name in ("dense", r"latency=\S+"))
        rows.append([f"latency={part}", f"{allowed / dense:.3f}", f"{kept / dense:.3f}", f"{cut[1] / whole[1]:.3f}",
                     f"{whole[1]:.1f}", f"{cut[1]:.1f}", f"{cut[0]:.0f}", f"{cut[2]:.4f}"])
        print(f"[latency={part}] {wall:.0f} s", flush=True)
    print("\n" + timing.table(["budget", "asked", "by the table", "measured", "dense ms", "cut ms", "parameters",
                               "cosine to dense"], rows))


if __name__ == "__main__":
    main()
