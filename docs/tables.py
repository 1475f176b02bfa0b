"""Measures and writes the tables of docs/: python docs/tables.py [--mutations 2000] [--seed 1]     (./dev tables)

    docs/Operators.md       the ONNX project's node cases, sizes known and open, and the exceptions
    docs/Architectures.md   architectures x proofs
    docs/Robustness.md      what twist-fuzz made and how far it came; how long the largest model compiles

Each of them is checked line by line in the suite, the last two lines excepted.
"""
import argparse
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("TWIST_BUILD", os.path.join(ROOT, "build"))
WORK = os.path.join(BUILD, "tables")
OPS, ARCHITECTURES = (os.path.join(ROOT, "test", "Integration", *p) for p in (("ops", "backend.py"),
                                                                              ("architectures", "run.py")))
BEGIN, END = "<!-- begin: ./dev tables -->\n", "<!-- end -->"
LARGEST = ["gpt2", "--layers", "12", "--dim", "768", "--heads", "12", "--vocab", "50257", "--context", "1024"]


def run(*command):
    print("  " + " ".join(os.path.relpath(c, ROOT) if os.path.isabs(c) else c for c in command[:6]), flush=True)
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        sys.exit(f"{done.stdout[-2000:]}{done.stderr[-2000:]}\n'{command[0]}' exits {done.returncode}")
    return done.stdout


def fuzz(mutations, seed):
    """A row: the counts that twist-fuzz prints."""
    folder = os.path.join(WORK, "seeds")
    run(sys.executable, "-m", "twist_tools.fuzz_seeds", folder)
    seeds = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    counts = {}
    for first in range(0, mutations, 20000):  # one process of a million would show nothing until its end
        text = run(os.path.join(BUILD, "bin", "twist-fuzz"), f"--mutations={min(20000, mutations - first)}",
                   f"--seed={seed}", f"--first={first}", *seeds)
        crashes = re.search(r"(\d+) crashes", text)[1]  # a crash would have ended it
        for name, count in [*re.findall(r"([a-z]+(?: axes)?) (\d+)", text), ("crashes", crashes)]:
            counts[name] = counts.get(name, 0) + int(count)
    return f"| {len(seeds)} | {seed} | " + " | ".join(f"{counts[n]:,}" for n in (
        "mutations", "read", "normalised", "lowered", "with axes", "sliced", "crashes")) + " |\n"


def compile_largest():
    """Seconds, and what for."""
    model = os.path.join(WORK, "largest.onnx")
    run(sys.executable, "-m", "twist_tools.models", *LARGEST, "-o", model)
    start = time.monotonic()
    run(os.path.join(BUILD, "bin", "twist"), "compile", model, "-o", os.path.join(WORK, "largest"), "--quiet")
    seconds = time.monotonic() - start
    if seconds > 60:
        sys.exit(f"compiling the largest model takes {seconds:.0f} s, more than 60")
    return f"GPT-2 small (12 layers, 124 M parameters, sizes open) compiles in {seconds:.1f} s on {os.cpu_count()} processors.\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.makedirs(WORK, exist_ok=True)
    os.environ["PATH"] = os.pathsep.join([os.path.join(BUILD, "bin"), os.environ["PATH"]])
    os.environ["PYTHONPATH"] = os.path.join(ROOT, "python")
    row, compiled = fuzz(options.mutations, options.seed), compile_largest()
    path = os.path.join(ROOT, "docs", "Robustness.md")
    with open(path, encoding="utf-8") as file:
        head, rest = file.read().split(BEGIN)
    title = ("| seeds | `--seed` | mutations | read | normalised | lowered | with axes | sliced | crashes |\n"
             "|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write(head + BEGIN + title + row + "\n" + compiled + END + rest.split(END, 1)[1])
    run(sys.executable, OPS, os.path.join(WORK, "ops"), "--document", os.path.join(ROOT, "docs", "Operators.md"), "--write")
    run(sys.executable, ARCHITECTURES, os.path.join(WORK, "architectures"), "--write")
    print("written: docs/Robustness.md, docs/Operators.md, docs/Architectures.md")


if __name__ == "__main__":
    main()
