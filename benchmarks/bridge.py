"""Widths under a budget, chosen by what a model has learned that widths lose: is decision-focused learning of use here?

`twist widths` measures what each width of each axis loses around uniform tickets of some kappas, `twist dfl widths` learns
from them (mean squared error, or SPO+), and at other kappas, with what the uniform ticket costs as the budget, tickets are
made with: uniform widths; widths by flap's or obs' scores; by the two models; and random units with widths as even as the
budget allows, the best of many. Units are obs' (but flap's and random ones), all are corrected by ls and judged on
the windows that widths were measured on, which are not those of calibration. stories260K: parameters; MiniLM: latency by the table of `twist bench`. Finished files are not made again.
    benchmarks/bridge [--models stories,minilm] [--tickets 200] [--folder build/benchmarks/bridge]
"""
import argparse
import json
import math
import os
import re

from cuts import LENGTH, ROOT, Case, timing, twist


class Bridge:
    """One model: its calibration, its costs, and tickets at a budget."""

    def __init__(self, name, options):
        self.case, self.options = Case(name, options.folder, options), options
        self.folder = options.folder
        self.cal, self.table = self.file("bridge.cal"), self.file("table.json")
        case = self.case
        self.limits = ["--min-units", 1, "--round-to", 1 if name == "stories" else 384]
        # Uniform tickets of these kappas have widths of their own among those that are measured.
        self.train, self.judge = ([.75, .5, .25], [.62, .38]) if name == "stories" else ([.75, .25], [.5])
        self.widths = 8 if name == "stories" else 4
        self.data = [*case.arguments(), "--samples", 48 if name == "stories" else 0]
        if not os.path.exists(self.cal):
            twist("calibrate", case.model, "--data", case.data, "--batch", case.batch, "-o", self.cal)
        self.latency = ["--latency", self.table] if name == "minilm" else []
        if self.latency and not os.path.exists(self.table):
            twist("bench", case.model, "--latency-table", self.table, "--dim", f"batch={case.batch},sequence={LENGTH}",
                  "--widths", self.widths, "--round-to", 384, "--repeat", options.repeat, "--threads", options.threads)

    def file(self, end):
        return os.path.join(self.folder, f"{self.case.name}-{end}")

    def values(self, kappa):
        path = self.file(f"widths-{kappa}.json")
        if not os.path.exists(path):
            _, wall, cpu = twist("widths", self.case.model, "--calibration", self.cal, "--kappa", kappa, *self.limits,
                                 "--widths", self.widths, *self.latency, *self.data, "-o", path)
            print(f"[{path}] {wall:.0f} s, {cpu:.0f} s of processor time", flush=True)
        return path

    def budget(self, kappa):
        """What the uniform ticket of a kappa costs."""
        values = json.load(open(self.values(kappa), encoding="utf-8"))
        whole = sum(axis["costs"][-1] for axis in values["axes"])
        if self.latency:
            dense = round(1e9 * json.load(open(self.table, encoding="utf-8"))["dense_seconds"])
            return f"latency={(dense - whole + values['allowed'] + 1) / 1e6:.6f}ms"
        out, *_ = twist("ticket", self.case.model, "--budget", "parameters=0.99", "-o", self.file("ticket.json"))
        dense = int(re.search(r"budget +\d+ of (\d+)", out)[1])
        return f"parameters={dense - whole + values['allowed']}"

    def quality(self, kappa, policy, model=None):
        """Of the ticket, or the best of random ones, and what it keeps of the budget."""
        count = self.options.tickets if policy == "random" else 1
        key = self.file(f"quality-{kappa}-{policy}-{os.path.basename(model or '')}-{count}.json")
        if not os.path.exists(key):
            calibration = ["--calibration", self.cal] if policy != "random" else []
            out, *_ = twist("ticket", self.case.model, "--policy", policy, *calibration, "--budget", self.budget(kappa),
                            *self.limits, *self.latency, *(["--value-model", model] if model else []), "--search", count,
                            "--correct", "ls", *self.data, "-o", self.file("ticket.json"))
            mean, least, most = map(float, re.search(r"mean (\S+), sd \S+, min (\S+), max (\S+)", out).groups())
            with open(key, "w", encoding="utf-8") as file:
                json.dump({"mean": mean, "min": least, "max": most, "budget": re.search(r"budget .*", out)[0]}, file)
            print(f"[{key}] {mean} {re.search(r'budget .*', out)[0]}", flush=True)
        found = json.load(open(key, encoding="utf-8"))
        return found["min" if self.case.measure == "perplexity" else "max"] if policy == "random" else found["mean"]

    def uniform(self, kappa):
        values = json.load(open(self.values(kappa), encoding="utf-8"))
        return math.exp(values["uniform"]) if values["measure"] == "perplexity" else 1 - values["uniform"]


def learn(method, bridges, options):
    """One model from the measured widths of all models at the kappas to train at."""
    names = "-".join(b.case.name for b in bridges)
    path = os.path.join(options.folder, f"value-{names}-{method.replace('+', 'plus')}.onnx")
    train = [b.values(k) for b in bridges for k in b.train]
    judge = [b.values(k) for b in bridges for k in b.judge]
    out, wall, _ = twist("dfl", "widths", *train, "--judge", ",".join(judge), "--method", method, "--model", options.value,
                         "--epochs", options.epochs, "-o", path)
    print(f"{method}, {wall:.0f} s\n{out}", flush=True)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="stories,minilm")
    parser.add_argument("--tickets", type=int, default=200, help="random ones")
    parser.add_argument("--windows", type=int, default=16, help="of MiniLM to calibrate; half as many to report")
    parser.add_argument("--value", default="linear", help="linear or relu:WIDTH")
    parser.add_argument("--epochs", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=0, help="of each run; 0: one per processor")
    parser.add_argument("--repeat", type=int, default=9, help="runs a program of the latency table")
    parser.add_argument("--folder", default=os.path.join(ROOT, "build", "benchmarks", "bridge"))
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    bridges = [Bridge(name, options) for name in options.models.split(",")]
    models = {method: learn(method, bridges, options) for method in ("mse", "spo+")}
    rows = []
    arms = {"uniform": lambda b, k: b.uniform(k), "flap's scores": lambda b, k: b.quality(k, "flap"),
            "obs' scores": lambda b, k: b.quality(k, "obs"),
            "learned, MSE": lambda b, k: b.quality(k, "obs", models["mse"]),
            "learned, SPO+": lambda b, k: b.quality(k, "obs", models["spo+"]),
            f"best of {options.tickets} random": lambda b, k: b.quality(k, "random")}
    columns = [(b, k) for b in bridges for k in b.judge]
    found = {name: [arm(b, k) for b, k in columns] for name, arm in arms.items()}
    for name, values in found.items():
        cells = []
        for i, ((bridge, _), value) in enumerate(zip(columns, values)):
            best = (min if bridge.case.measure == "perplexity" else max)(v[i] for v in found.values())
            cells.append(f"**{value:.4g}**" if value == best else f"{value:.4g}")
        rows.append([name, *cells])
    print(timing.table(["widths by", *(f"{b.case.name} {k:g}" for b, k in columns)], rows))


if __name__ == "__main__":
    main()
