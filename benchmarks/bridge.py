"""Widths under a budget, chosen by what a model has learned that widths lose: is decision-focused learning of use here?

`twist widths` measures what each width of each axis loses around uniform tickets of some kappas, `twist dfl widths` learns
from them (mean squared error, or SPO+). Within other budgets, parts of what the dense model costs, tickets are made with:
uniform widths of the largest kappa that fits; widths by flap's or obs' scores; by the two models; random widths, the best of
many; random units with widths as even as the budget allows, the best of many. Units are obs' (but flap's and random ones),
all are corrected by ls.

Three sets of windows that share none: to calibrate and correct with; to measure widths' losses and pick random tickets by; to
judge by. Costs: `latency`, by the table of `twist bench` (and what tickets were made is compiled and timed beside the dense
model); or `parameters`. Finished files are not made again: an interrupted run goes on.
    benchmarks/bridge [--columns stories:latency,minilm:latency,stories:parameters] [--tickets 200] [--folder DIR]
"""
import argparse
import json
import math
import os
import re
import subprocess
import sys

import numpy as np

from cuts import LENGTH, ROOT, TWIST, sampled, timing, tokenised, twist

RANDOM = {"random widths": ["--policy", "obs", "--value-model", "random"], "random units": ["--policy", "random"]}
CHUNK = 50


class Setting:
    """What a model is measured at: windows (fit, learn, judge), kappas to learn at, parts of the cost to judge at, widths."""

    def __init__(self, windows, few, train, judge, round_to, widths, dims, repeat, batch, better):
        self.windows, self.few, self.train, self.judge, self.batch = windows, few, train, judge, batch
        self.round_to, self.widths, self.dims, self.repeat, self.better = round_to, widths, dims, repeat, better


# few: of the windows to calibrate with, those to correct with. Uniform tickets of all kappas have widths that are measured.
SETTINGS = {
    "stories": Setting((64, 64, 64), 64, (.75, .5, .25), (.55, .28), 20, 9, f"batch=1,sequence={LENGTH},past=1", 1000, 16, min),
    "minilm": Setting((32, 16, 16), 16, (.75, .25), (.51,), 384, 4, f"batch=1,sequence={LENGTH}", 200, 8, max),
}


class Column:
    """One model and kind of cost: its windows, its costs, and tickets at a budget."""

    def __init__(self, name, cost, options):
        self.name, self.cost, self.options, self.setting = name, cost, options, SETTINGS[name]
        self.model, self.cal = self.file(f"{name}.onnx"), self.file(f"{name}.cal")
        self.table = self.file(f"{name}-table.json") if cost == "latency" else None
        if not os.path.exists(self.model):
            script = {"stories": "stories260k"}.get(name, name)
            subprocess.run([sys.executable, os.path.join(ROOT, "examples", script, "write_onnx.py"), "-o", self.model],
                           check=True)
        for i, (part, count) in enumerate(zip(("fit", "learn", "judge"), self.setting.windows)):
            if os.path.exists(self.windows(part)):
                continue
            if name == "stories":
                sampled(self.model, self.windows(part), count, seed=i)
            else:
                tokenised("wikitext-2-valid.txt", self.windows(part), count, skip=600 * i)
        self.limits = ["--min-units", 1, "--round-to", self.setting.round_to]
        if not os.path.exists(self.cal):
            twist("calibrate", self.model, "--data", self.windows("fit"), "--batch", self.setting.batch, "-o", self.cal)
        if self.table and not os.path.exists(self.table):
            _, wall, cpu = twist("bench", self.model, "--latency-table", self.table, "--dim", self.setting.dims, "--widths",
                                 self.setting.widths, *self.limits, "--repeat", self.setting.repeat, "--threads", 1)
            print(f"[{self.table}] {wall:.0f} s, {cpu:.0f} s of processor time", flush=True)
        self.latency = ["--latency", self.table] if self.table else []

    def file(self, name):
        return os.path.join(self.options.folder, name)

    def windows(self, part):
        return self.file(f"{self.name}-{part}.npy")

    def data(self, part):
        return ["--data", self.windows("fit"), "--report", self.windows(part), "--batch", self.setting.batch, "--threads",
                self.options.threads, "--samples", self.setting.few, "--correct", "ls"]

    def values(self, kappa):
        """What widths lose around a uniform ticket."""
        path = self.file(f"{self.name}-{self.cost}-learn-{kappa}.json")
        if not os.path.exists(path):
            _, wall, cpu = twist("widths", self.model, "--calibration", self.cal, "--kappa", kappa, *self.limits, "--widths",
                                 self.setting.widths, *self.latency, *self.data("learn"), "-o", path)
            print(f"[{path}] {wall:.0f} s, {cpu:.0f} s of processor time", flush=True)
        return path

    def learn(self, method):
        """A model of what widths lose."""
        path = self.file(f"{self.name}-{self.cost}-{method.replace('+', 'plus')}.onnx")
        if not os.path.exists(path):
            out, wall, _ = twist("dfl", "widths", *map(self.values, self.setting.train), "--method", method, "--model",
                                 self.options.value, "--epochs", self.options.epochs, "-o", path)
            print(f"{self.name}, {self.cost}, {method}, {wall:.0f} s\n{out}", flush=True)
        return path

    def costs(self):
        """({axis: (widths, less than whole)}, of the dense model): milliseconds, or parameters."""
        if self.table:
            table = json.load(open(self.table, encoding="utf-8"))
            dense = 1e3 * table["dense_seconds"]
            return {row["axis"]: (row["widths"] + [row["units"]], [1e3 * s for s in row["saved"]] + [0])
                    for row in table["axes"]}, dense
        out, *_ = twist("ticket", self.model, "--budget", "parameters=0.99", "-o", self.file(f"ticket-{os.getpid()}.json"))
        axes = json.load(open(self.values(self.setting.train[0]), encoding="utf-8"))["axes"]
        return {a["axis"]: (a["widths"], [a["costs"][-1] - c for c in a["costs"]]) for a in axes}, int(
            re.search(r"budget +\d+ of (\d+)", out)[1])

    def uniform(self, part):
        """The largest kappa, in hundredths, whose ticket fits; linear between widths whose costs are known."""
        costs, dense = self.costs()
        path, fits, too_large = self.file(f"even-{os.getpid()}.json"), 0, 100
        while too_large - fits > 1:
            kappa = (fits + too_large) // 2
            twist("ticket", self.model, "--policy", "first", "--kappa", kappa / 100, *self.limits, "-o", path)
            axes = json.load(open(path, encoding="utf-8"))["axes"]
            cost = dense - sum(np.interp(len(axis["keep"]), *costs[name]) for name, axis in axes.items())
            fits, too_large = (kappa, too_large) if cost <= part * dense else (fits, kappa)
        return fits / 100

    def made_by(self, arm, part):
        """The policy's arguments."""
        if arm == "uniform":
            return ["--policy", "obs", "--calibration", self.cal, "--kappa", self.uniform(part), *self.limits]
        model = self.learn(arm.split(", ")[1].lower()) if arm.startswith("learned") else None
        policy = RANDOM.get(arm) or ["--policy", "flap" if arm.startswith("flap") else "obs"]
        calibration = [] if arm == "random units" else ["--calibration", self.cal]
        return [*policy, *calibration, *(["--value-model", model] if model else []), "--budget", f"{self.cost}={part}",
                *self.limits, *self.latency]

    def search(self, arm, part):
        """The best seed of random tickets by the windows to learn with, in parts that are kept."""
        found = []
        for first in range(0, self.options.tickets, CHUNK):
            path = self.file(f"{self.name}-{self.cost}-{part}-{arm.replace(' ', '-')}-{first}.json")
            count = min(CHUNK, self.options.tickets - first)
            if not os.path.exists(path):
                out, wall, cpu = twist("ticket", self.model, *self.made_by(arm, part), "--search", count, "--seed", first,
                                       *self.data("learn"), "-o", self.file(f"ticket-{os.getpid()}.json"))
                least, most = map(float, re.search(r"min (\S+), max (\S+)", out).groups())
                with open(path, "w", encoding="utf-8") as file:
                    json.dump({"quality": self.setting.better(least, most), "count": count,
                               "seed": int(re.search(r"best +seed (\d+)", out)[1])}, file)
                print(f"[{path}] {wall:.0f} s, {cpu:.0f} s of processor time", flush=True)
            found.append(json.load(open(path, encoding="utf-8")))
        return self.setting.better(found, key=lambda part: part["quality"])["seed"]

    def quality(self, arm, part):
        """On the windows to judge by: {quality, dense, ticket}."""
        path = self.file(f"{self.name}-{self.cost}-{part}-{re.sub('[^a-z0-9+]+', '-', arm.lower())}.json")
        if not os.path.exists(path):
            ticket = path.replace(".json", "-ticket.json")
            seed = ["--seed", self.search(arm, part)] if arm in RANDOM else []
            policy = self.made_by(arm, part)
            out, *_ = twist("ticket", self.model, *policy, *seed, "--search", 1, *self.data("judge"), "-o", ticket)
            found = {"quality": float(re.search(r"mean (\S+),", out)[1]), "dense": float(re.search(r"', dense (\S+)", out)[1]),
                     "ticket": ticket, "budget": f"kappa {policy[5]}" if arm == "uniform" else
                     re.search(r"budget +(.*)", out)[1]}
            with open(path, "w", encoding="utf-8") as file:
                json.dump(found, file)
            print(f"[{path}] {found['quality']} {found['budget']}", flush=True)
        return json.load(open(path, encoding="utf-8"))

    def milliseconds(self, part, tickets):
        """The least of runs of the dense and the cut programs, in turn."""
        programs = []
        for name, ticket in [("dense", None), *tickets.items()]:
            programs.append(self.file(f"{self.name}-{part}-{re.sub('[^a-z0-9+]+', '-', name.lower())}-program"))
            twist("compile", self.model, *(["--ticket", ticket] if ticket else []), "-o", programs[-1])
        best = dict.fromkeys(["dense", *tickets], math.inf)
        for _ in range(self.options.rounds):
            for name, program in zip(best, programs):
                out, *_ = twist("bench", program, "--dim", self.setting.dims, "--threads", 1, "--repeat", self.setting.repeat
                                // 10, "--json")
                best[name] = min(best[name], 1e3 * json.loads(out)["min_seconds"])
        return best


def print_table(columns, arms, found):
    cells = [(column, part) for column in columns for part in column.setting.judge]
    rows = []
    for arm in arms:
        row = []
        for column, part in cells:
            here = [found[column, part, other] for other in arms if (column, part, other) in found]
            value = found.get((column, part, arm))
            text = "" if value is None else f"{value:.4g}"
            row.append(f"**{text}**" if value is not None and value == column.setting.better(here) else text)
        rows.append([arm, *row])
    print(timing.table(["widths by", *(f"{c.name}, {c.cost} {k:g}" for c, k in cells)], rows), flush=True)


def print_times(column, part, times, tickets):
    dense = times["dense"]
    print(timing.table([f"{column.name} {part:g}", "ms", "of dense", "budget"],
                       [[name, f"{ms:.4g}", f"{ms / dense:.3f}", tickets.get(name, "")] for name, ms in times.items()]),
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", default="stories:latency,minilm:latency,stories:parameters")
    parser.add_argument("--tickets", type=int, default=200, help="random ones")
    parser.add_argument("--value", default="linear", help="linear or relu:WIDTH")
    parser.add_argument("--epochs", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=0, help="of each run; 0: one per processor")
    parser.add_argument("--rounds", type=int, default=20, help="in which tickets' programs are timed; 0: they are not")
    parser.add_argument("--folder", default=os.path.join(ROOT, "build", "benchmarks", "bridge"))
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    columns = [Column(*text.split(":"), options) for text in options.columns.split(",")]
    arms = ["uniform", "flap's scores", "obs' scores", "learned, MSE", "learned, SPO+"] + (list(RANDOM) if options.tickets else [])
    found, tickets = {}, {}
    for group in (arms[:5], *([arm] for arm in arms[5:])):
        for column in columns:
            for part in column.setting.judge:
                for arm in group:
                    cell = column.quality(arm, part)
                    found[column, part, arm] = cell["quality"]
                    tickets.setdefault((column, part), {})[arm] = cell
        print_table(columns, arms, found)
    for (column, part), cells in tickets.items():
        if column.table and options.rounds:
            times = column.milliseconds(part, {arm: cell["ticket"] for arm, cell in cells.items()})
            print_times(column, part, times, {arm: cell["budget"] for arm, cell in cells.items()})


if __name__ == "__main__":
    main()
