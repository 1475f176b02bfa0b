"""Measures and writes the tables of docs/: python docs/tables.py     (./dev tables)

    docs/Operators.md       the ONNX project's node cases, sizes known and open, and the exceptions
    docs/Architectures.md   architectures x proofs
    docs/Robustness.md      how far hostile files came, as test/Fuzz/record.json has it; how long the largest model compiles

Each of the first two is checked line by line in the suite. Counting mutations takes hours: `./dev fuzz count` does it, and
adds to the record.
"""
import argparse
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("TWIST_BUILD", os.path.join(ROOT, "build"))
WORK = os.path.join(BUILD, "tables")
sys.path.insert(0, os.path.join(ROOT, "test", "Fuzz"))

import count  # noqa: E402

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


def fuzzed():
    """A row for each driver of the record."""
    title = ("| build | seeds | `--seed` | mutations | read | written again | normalised | lowered | with axes | sliced | crashes |\n"
             "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
    return title + "".join(f"| {driver} | {seeds} | {seed} | " + " | ".join(f"{total[c]:,}" for c in count.COUNTS) + " |\n"
                           for driver, seeds, seed, total in count.rows())


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
    parser.add_argument("--check", action="store_true", help="only whether the record's rows stand in docs/Robustness.md")
    options = parser.parse_args()
    path = os.path.join(ROOT, "docs", "Robustness.md")
    with open(path, encoding="utf-8") as file:
        head, rest = file.read().split(BEGIN)
    if options.check:
        if not rest.startswith(fuzzed()):
            sys.exit("docs/Robustness.md does not say what test/Fuzz/record.json says: ./dev tables")
        return
    os.makedirs(WORK, exist_ok=True)
    os.environ["PATH"] = os.pathsep.join([os.path.join(BUILD, "bin"), os.environ["PATH"]])
    os.environ["PYTHONPATH"] = os.path.join(ROOT, "python")
    compiled = compile_largest()
    with open(path, "w", encoding="utf-8") as file:
        file.write(head + BEGIN + fuzzed() + "\n" + compiled + END + rest.split(END, 1)[1])
    run(sys.executable, OPS, os.path.join(WORK, "ops"), "--document", os.path.join(ROOT, "docs", "Operators.md"), "--write")
    run(sys.executable, ARCHITECTURES, os.path.join(WORK, "architectures"), "--write")
    print("written: docs/Robustness.md, docs/Operators.md, docs/Architectures.md")


if __name__ == "__main__":
    main()
