"""Eleven methods on knapsacks of energy prices, trained, attacked and compared with a replication in numpy.

    benchmarks/dfl [--seeds 10] [--threads 0] [--problem knapsack|numpy|spread|paths|portfolios|stress|speed] [-o RUN]

knapsack: capacities 60, 120, 180; the table of regrets beside the replication's. numpy: the same training in numpy
alone, with the same draws, regret by regret. spread: methods whose seeds end far from each other, from 100 seeds. paths,
portfolios: generated instances. stress: lengths of training, sizes of attacks, several attacks, transfer. speed: solving
and the gradient of SPO+ against PyEPO and OR-Tools' solvers, on the same instances, one thread (installs pyepo, with
torch, and ortools into .deps/bench). A run is continued where it was cut off; its results and its report stay in RUN
(default build/benchmarks/dfl-PROBLEM).
"""
import argparse
import collections
import json
import os
import random
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("TWIST_BUILD", os.path.join(ROOT, "build"))
DATA = os.environ.get("TWIST_DATA", os.path.join(os.path.dirname(ROOT), "shared", "data"))
TWIST = os.path.join(BUILD, "bin", "twist")

# Learning rate and hyper-parameters per capacity, as tuned on this data set.
METHODS = [
    {"method": "mse", "learning_rate": [0.5, 1, 1]},
    {"method": "spo+", "learning_rate": [0.5, 1, 1]},
    {"method": "dbb", "learning_rate": [0.5, 1, 0.5], "parameters": {"lambda": [0.1, 1, 1]}},
    {"method": "imle", "learning_rate": 0.5, "parameters": {"beta": 0.1, "temperature": [0.5, 0.1, 5], "k": 5}},
    {"method": "fy", "learning_rate": [1, 1, 0.5], "parameters": {"sigma": [0.005, 0.5, 0.5]}},
    {"method": "hsd", "learning_rate": [0.5, 0.5, 1],
     "parameters": {"threshold": [0.01, 0.1, 0.01], "damping": [10, 10, 0.1]}},
    {"method": "qptl", "learning_rate": 0.5, "parameters": {"mu": [10, 1, 0.1]}},
    {"method": "map", "learning_rate": 1},
    {"method": "listwise", "learning_rate": [1, 1, 0.5], "parameters": {"tau": [0.001, 0.001, 0.0001]}},
    {"method": "pairwise", "learning_rate": 0.5, "parameters": {"margin": 10}},
    {"method": "pairwise-diff", "learning_rate": 1},
]
# The replication: clean at 60, 120, 180; at 60 under eps .25 of the losses mse, own, spo_plus. Percent.
REFERENCE = {
    "mse": (13.9, 7.8, 3.5, 19.0, 19.0, 23.7), "spo+": (11.9, 5.5, 2.6, 11.5, 18.8, 18.8),
    "dbb": (11.0, 5.5, 3.6, 18.0, 11.0, 18.6), "imle": (10.9, 5.3, 2.5, 20.3, 11.1, 18.9),
    "fy": (22.4, 14.9, 5.0, 43.9, 22.5, 34.6), "qptl": (10.9, 5.2, 3.2, 13.4, 18.9, 17.2),
    "map": (11.9, 6.1, 6.7, 14.2, 19.0, 19.4), "listwise": (24.7, 20.2, 12.5, 44.0, 28.1, 37.9),
    "pairwise": (28.8, 19.5, 9.2, 51.3, 33.8, 40.7), "pairwise-diff": (15.5, 7.8, 4.1, 23.8, 23.0, 26.2),
}
LOSSES = ["mse", "own", "spo_plus"]
# Their seeds end far from each other.
SPREAD = ["dbb", "fy", "qptl", "listwise", "pairwise"]


def knapsacks(seeds):
    energy = {"kind": "energy", "file": os.path.join(DATA, "dfl", "knapsack-energy.npz")}
    return {
        "tasks": [{"name": str(capacity), "problem": {"kind": "knapsack", "capacity": capacity}, "data": energy,
                   "split": [550, 100, 139], "shuffle": "mt19937"} for capacity in (60, 120, 180)],
        "model": "linear", "seeds": seeds, "epochs": 35, "batch": 128, "methods": METHODS,
        "attacks": [{"loss": loss, "method": "fgsm"} for loss in LOSSES], "eps": [0, 0.25], "focus": 0.25,
    }


def spread(seeds):
    spec = knapsacks(seeds)
    spec["methods"] = [method for method in METHODS if method["method"] in SPREAD]
    return spec


def without_attacks(seeds):
    spec = knapsacks(seeds)
    del spec["attacks"], spec["eps"], spec["focus"]
    return spec


def stress(seeds):
    spec = knapsacks(seeds)
    apgd = [{"loss": loss, "method": "apgd", "steps": 20, "restarts": 2} for loss in ("own", "spo_plus")]
    spec.update(judge_at=[5, 15, 35], eps=[0, 0.05, 0.1, 0.25, 0.5], transfer=True)
    spec["attacks"] += [{"loss": "not_opt", "method": "fgsm"}, *apgd,
                        {"loss": "own", "method": "pgd", "steps": 20, "targeted": True}]
    return spec


def paths(seeds):
    def task(degree):
        return {"name": f"path degree {degree}", "problem": {"kind": "shortest-path", "rows": 5, "columns": 5},
                "data": {"kind": "generated", "instances": 1200, "features": 5, "degree": degree, "noise": 0.5},
                "split": [1000, 0, 200]}
    return generated([task(d) for d in (1, 2, 4, 6, 8)], seeds, [
        {"method": "hsd", "parameters": {"threshold": 0.1, "damping": 0.1}},
        {"method": "qptl", "parameters": {"mu": 0.1}}])


def portfolios(seeds):
    """They have no linear relaxation, which hsd and qptl need."""
    def task(degree):
        return {"name": f"portfolio degree {degree}", "problem": {"kind": "portfolio", "assets": 50, "gamma": 2.25},
                "data": {"kind": "generated", "instances": 500, "features": 5, "degree": degree, "noise": 1},
                "split": [300, 0, 200]}
    return generated([task(d) for d in (1, 4)], seeds, [])


def generated(tasks, seeds, more):
    methods = [dict(method, learning_rate=0.05) for method in (
        {"method": "mse"}, {"method": "spo+"}, {"method": "dbb", "parameters": {"lambda": 10}},
        {"method": "imle", "parameters": {"beta": 10, "temperature": 1}},
        {"method": "fy", "parameters": {"sigma": 0.5, "samples": 2}}, {"method": "map"},
        {"method": "listwise", "parameters": {"tau": 1}}, {"method": "pairwise", "parameters": {"margin": 0.1}},
        {"method": "pairwise-diff"}, *more)]
    return {"tasks": tasks, "model": "linear", "seeds": seeds, "epochs": 30, "batch": 32, "methods": methods,
            "attacks": [{"loss": loss, "method": "fgsm"} for loss in LOSSES], "eps": [0, 0.25], "focus": 0.25}


def run_sweep(spec, folder, threads):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(os.path.dirname(folder), os.path.basename(folder) + ".json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(spec, file, indent=1)
    start, before = time.time(), os.times()
    subprocess.run([TWIST, "dfl", "sweep", path, "-o", folder, "--threads", str(threads)], check=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"{time.time() - start:.0f} s, {used:.0f} s of CPU (less where a run was continued)\n")
    with open(os.path.join(folder, "results.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def regrets(lines):
    """{(task, method, attack or "clean"): relative regrets in percent, one a seed} at the last point and the focus."""
    found = collections.defaultdict(list)
    for line in lines:
        if "points" not in line:
            continue
        point, key = line["points"][-1], (line["task"], line["method"])
        found[*key, "clean"].append(100 * point["clean"]["relative_regret"])
        for attack in point["attacks"]:
            if attack["eps"] == 0.25:
                found[*key, attack["attack"]].append(100 * attack["relative_regret"])
    return found


def cell(values, want=None):
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0
    mean = statistics.mean(values)
    return f"{mean:.1f} ± {error:.1f}" + (f" ({want})" if want is not None else ""), mean, error


def knapsack_table(lines):
    found, rows, far = regrets(lines), [], []
    for method in (m["method"] for m in METHODS):
        want = REFERENCE.get(method, [None] * 6)
        keys = [(task, method, "clean") for task in ("60", "120", "180")]
        keys += [("60", method, f"{loss}/fgsm/inf") for loss in LOSSES]
        cells = []
        for key, reference, bound in zip(keys, want, [0.7] * 3 + [2] * 3):
            text, mean, error = cell(found[key], reference)
            cells.append(text)
            if reference is not None and abs(mean - reference) > bound:
                far.append(f"{method} {key[0]} {key[2]}: {mean - reference:+.2f}, {abs(mean - reference) / error:.1f} "
                           "standard errors of ours")
        rows.append([method, *cells])
    header = ["method", "60", "120", "180", "60 PF", "60 DF own", "60 SPO+"]
    print_table(header, rows)
    print("\nFarther from the replication than 0.7 points (clean) or 2 points (attacked):")
    print("\n".join(far) or "none")


def spread_table(lines):
    """How far means of ten seeds lie from each other, and where among them the replication's lies."""
    found, rows = regrets(lines), []
    draw = random.Random(0)
    for method in SPREAD:
        keys = [(task, method, "clean") for task in ("60", "120", "180")]
        keys += [("60", method, f"{loss}/fgsm/inf") for loss in LOSSES]
        for key, reference, bound in zip(keys, REFERENCE[method], [0.7] * 3 + [2] * 3):
            values = found[key]
            means = sorted(statistics.mean(draw.sample(values, 10)) for _ in range(10000))
            apart = sum(abs(a - b) > bound for a, b in zip(draw.sample(means, 10000), draw.sample(means, 10000)))
            below = sum(mean < reference for mean in means) / 100
            rows.append([method, key[0], key[2], cell(values)[0], f"{statistics.stdev(values):.1f}",
                         f"{means[250]:.1f} to {means[9750]:.1f}", f"{reference}", f"{below:.0f} %",
                         f"{apart / 100:.0f} %"])
    print_table(["method", "capacity", "attack", f"mean of {len(values)}", "deviation", "95 % of means of ten",
                 "replication", "means below it", "two means farther apart than allowed"], rows)


def stress_table(lines):
    """Of capacity 60: the strongest attacks, and how much of the own loss's gradient is exactly 0."""
    found, zeros = regrets(lines), collections.defaultdict(list)
    for line in lines:
        for attack in line["points"][-1]["attacks"] if line.get("points") and line["task"] == "60" else []:
            if attack["eps"] == 0.25 and attack["attack"] == "own/fgsm/inf":
                zeros[line["method"]].append(attack["zero_gradients"])
    columns = {"clean": "clean", "own, fgsm": "own/fgsm/inf", "own, apgd": "own/apgd/inf/2 restarts",
               "SPO+, fgsm": "spo_plus/fgsm/inf", "SPO+, apgd": "spo_plus/apgd/inf/2 restarts",
               "own, pgd, targeted": "own/pgd/inf/targeted", "noise": "random/fgsm/inf"}
    print_table(["method", *columns, "zeros"],
                [[method["method"], *(f"{statistics.mean(found['60', method['method'], key]):.1f}"
                                      for key in columns.values()),
                  f"{statistics.mean(zeros[method['method']]):.2f}"] for method in METHODS])


def numpy_table(lines):
    """Regrets of each seed; and where numpy ends from first parameters that are larger by 1e-15."""
    import dfl_numpy
    data, rows = dfl_numpy.load(os.path.join(DATA, "dfl", "knapsack-energy.npz")), []
    for method in METHODS:
        name = method["method"]
        if name not in dfl_numpy.METHODS:
            continue
        for place, task in enumerate(("60", "120", "180")):
            def value(given):
                return given[place] if isinstance(given, list) else given
            parameters = {key: value(given) for key, given in method.get("parameters", {}).items()}
            ours = {line["seed"]: line["points"][-1]["clean"]["relative_regret"] for line in lines
                    if (line["task"], line["method"]) == (task, name)}
            rate = value(method["learning_rate"])
            found = [[ours[seed], *(dfl_numpy.train(data, name, parameters, rate, int(task), seed, nudge)
                                    for nudge in (0, 1e-15))] for seed in sorted(ours)]
            rows.append([name, task, *("; ".join(f"{100 * values[i]:.4f}" for values in found) for i in range(3)),
                         f"{100 * max(abs(values[0] - values[1]) for values in found):.1e}"])
    print_table(["method", "capacity", "twist, %", "numpy, %", "numpy, nudged, %", "twist - numpy"], rows)


def other_table(lines):
    found = regrets(lines)
    tasks = list(dict.fromkeys(line["task"] for line in lines))
    attacks = ["clean"] + [f"{loss}/fgsm/inf" for loss in LOSSES]
    for attack in attacks:
        print(f"\n{attack}, eps {0 if attack == 'clean' else 0.25}\n")
        methods = list(dict.fromkeys(line["method"] for line in lines))
        print_table(["method", *tasks],
                    [[m, *(cell(found[t, m, attack])[0] for t in tasks)] for m in methods])


def print_table(header, rows):
    print("| " + " | ".join(header) + " |\n|" + " --- |" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")


# Run in .deps/bench: SPO+ gradients by PyEPO, and with nothing but numpy around OR-Tools' solvers of knapsacks.
PEER = """
import sys, time
import numpy as np
import pyepo
import torch
from ortools.algorithms.python import knapsack_solver as k
from pyepo.model.ort import knapsackModel
torch.set_num_threads(1)
f = np.load(sys.argv[1])
y = f["y_train"].reshape(-1, 48)[:550]
weights, capacity, scale = f["weights"].tolist(), int(sys.argv[2]), 1000
wrong = np.roll(y, -1, axis=0)
model = knapsackModel(weights=np.array([weights], float), capacity=np.array([capacity], float))
def optimum(costs):
    model.setObj(costs)
    return model.solve()
optima = [optimum(row) for row in y]
y_t, s_t, z_t = (torch.tensor(np.array(v, float), dtype=torch.float64) for v in
                 (y, [s for s, _ in optima], [[z] for _, z in optima]))
spo, best = pyepo.func.SPOPlus(model, processes=1, reduction="sum"), 1e9
for _ in range(3):
    predicted = torch.tensor(wrong, requires_grad=True)
    start = time.process_time()
    spo(predicted, y_t, s_t, z_t).backward()
    best = min(best, time.process_time() - start)
print(f"PyEPO\\t{best / 550 * 1e6:.1f}", flush=True)
theirs = predicted.grad.numpy()
solvers = {"dynamic programme": k.SolverType.KNAPSACK_DYNAMIC_PROGRAMMING_SOLVER,
           "branch and bound": k.SolverType.KNAPSACK_MULTIDIMENSION_BRANCH_AND_BOUND_SOLVER,
           "64 items": k.SolverType.KNAPSACK_64ITEMS_SOLVER}
for name, kind in solvers.items():
    solver, best = k.KnapsackSolver(kind, "k"), 1e9
    def solve(gains):
        profits = np.maximum(gains * scale, 0).astype(np.int64).tolist()
        solver.init(profits, [weights], [capacity])
        solver.solve()
        return np.array([solver.best_solution_contains(i) and profits[i] > 0 for i in range(48)], float)
    s = [solve(row) for row in y]
    for _ in range(3):
        start = time.process_time()
        gradient = [solve(2 * wrong[i] - y[i]) - s[i] for i in range(550)]
        best = min(best, time.process_time() - start)
    # Twice as long there; what was solved is worth the same, up to the rounding of profits.
    gains = 2 * wrong - y
    assert np.allclose((gains * (theirs / 2 + s_t.numpy())).sum(1), (gains * (np.array(gradient) + s)).sum(1)), name
    print(f"{name}\t{best / 550 * 1e6:.1f}", flush=True)
"""


def speed():
    bench, rows = os.path.join(ROOT, ".deps", "bench"), []
    if not os.path.exists(os.path.join(bench, "bin", "python")):
        subprocess.run(["/usr/bin/python3", "-m", "venv", bench], check=True)
    subprocess.run([os.path.join(bench, "bin", "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check",
                    "pyepo", "ortools", "numpy"], check=True)
    folder = os.path.join(BUILD, "benchmarks")
    os.makedirs(folder, exist_ok=True)
    for task in knapsacks(1)["tasks"]:
        path = os.path.join(folder, f"dfl-{task['name']}.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(task, file)
        ours = subprocess.run([TWIST, "dfl", "bench", path, "--method", "spo+"], check=True, capture_output=True,
                              text=True).stdout
        least = float(ours.splitlines()[-1].split()[1])
        peers = subprocess.run([os.path.join(bench, "bin", "python"), "-c", PEER, task["data"]["file"], task["name"]],
                               check=True, capture_output=True, text=True).stdout
        for line in peers.splitlines():
            name, theirs = line.split("\t")
            rows.append([task["name"], f"{least:.2f}", name, theirs, f"{float(theirs) / least:.0f}"])
    print_table(["capacity", "twist, us", "against", "us", "times"], rows)


# What is run, how it is shown, and from how many seeds.
SWEEPS = {"knapsack": (knapsacks, knapsack_table, 10), "numpy": (without_attacks, numpy_table, 2),
          "spread": (spread, spread_table, 100),
          "stress": (stress, stress_table, 10), "paths": (paths, other_table, 3),
          "portfolios": (portfolios, other_table, 3)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", default="knapsack", choices=[*SWEEPS, "speed"])
    parser.add_argument("--seeds", type=int, help="default 10; numpy 2, spread 100, paths and portfolios 3")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("-o", dest="run")
    options = parser.parse_args()
    if options.problem == "speed":
        return speed()
    folder = options.run or os.path.join(BUILD, "benchmarks", f"dfl-{options.problem}")
    make, table, seeds = SWEEPS[options.problem]
    table(run_sweep(make(options.seeds or seeds), folder, options.threads))
    sys.stdout.flush()
    subprocess.run([TWIST, "dfl", "report", folder], check=True)


if __name__ == "__main__":
    main()
