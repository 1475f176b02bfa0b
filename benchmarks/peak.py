"""What the machine can do at most (machine.c), for tables to stand beside."""
import json
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("TWIST_BUILD", os.path.join(ROOT, "build"))


def machine(threads, runs=7):
    """Rates of multiply-adds in registers, of reading and of a triad, on so many threads."""
    binary = os.path.join(BUILD, "machine")
    # Left alone, clang takes half the width on processors that clock lower for the whole one.
    subprocess.run(["clang-22", "-O3", "-march=native", "-mprefer-vector-width=512", "-pthread",
                    os.path.join(ROOT, "benchmarks", "machine.c"), "-o", binary], check=True)
    # The best of several: a neighbour's load on a shared machine only ever lowers a limit.
    found = [json.loads(subprocess.run([binary, str(threads)], check=True, capture_output=True, text=True).stdout)
             for _ in range(runs)]
    return {key: max(run[key] for run in found) for key in found[0]}
