"""Counted mutations: runs twist-fuzz in chunks and adds what it prints to a record.

    count.py [--sanitized] [--seed 1] [--first 0] [--mutations 1000000] [--record FILE] [--crashes FOLDER] [--binary FILE]

A record is a list of runs: the driver, the hash of its file, its seeds, `--seed`, the first mutation, their number, how far
they came and how many ended the process. Chunks that follow one another, of one file, are one run, so that what is stopped goes on with
`--first` where it stood. A mutation that ends the process is a crash: its input is kept, and the count goes on behind
it. docs/tables.py makes the rows of docs/Robustness.md from the record in this folder.
"""
import argparse
import datetime
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RECORD = os.path.join(HERE, "record.json")
COUNTS = ["mutations", "read", "exported", "normalised", "lowered", "with axes", "sliced", "crashes"]
# What crosses into LLVM's libraries, which are not instrumented, is not ours to check: containers' annotations, pools.
# Who allocated what is not kept: a tenth of the time; a crash that is run again tells it.
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=0:detect_container_overflow=0:allow_user_poisoning=0:"
                              "allocator_may_return_null=1:abort_on_error=1:malloc_context_size=0",
              "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:abort_on_error=1"}


def rows(path=RECORD):
    """One row for each driver: its runs added up."""
    with open(path, encoding="utf-8") as file:
        runs = json.load(file)
    for driver in sorted({run["driver"] for run in runs}):
        own = [run for run in runs if run["driver"] == driver]
        total = {count: sum(run[count] for run in own) for count in COUNTS}
        seeds = ", ".join(str(n) for n in sorted({run["seeds"] for run in own}))
        yield driver, seeds, ", ".join(str(n) for n in sorted({run["seed"] for run in own})), total


def add(path, entry):
    """Adds counts to the run that ends where `entry` begins, or as a new one."""
    with open(path, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        runs = json.loads(text) if text else []
        for run in runs:
            same = all(run[key] == entry[key] for key in ("driver", "seeds", "seed", "binary"))
            if same and run["first"] + run["mutations"] == entry["first"]:
                for count in COUNTS:
                    run[count] += entry[count]
                run["date"] = entry["date"]
                break
        else:
            runs.append(entry)
        file.truncate(0)
        file.write("[\n" + ",\n".join("  " + json.dumps(run) for run in runs) + "\n]\n")


class Counter:
    def __init__(self, options, seeds):
        self.options, self.seeds = options, seeds
        with open(options.binary, "rb") as file:
            self.binary = hashlib.sha256(file.read()).hexdigest()[:12]
        self.env = dict(os.environ, **(SANITIZERS if options.sanitized else {}))

    def run(self, first, count):
        """(counts, crashing mutation or none, what was said)."""
        done = subprocess.run([self.options.binary, f"--mutations={count}", f"--seed={self.options.seed}",
                               f"--first={first}", *self.seeds], capture_output=True, text=True, errors="replace",
                              env=self.env)
        if done.returncode == 0:
            found = {name: int(n) for name, n in re.findall(r"([a-z]+(?: axes)?) (\d+)", done.stdout)}
            return {**found, "crashes": 0}, None, ""
        at = re.findall(r"mutation (\d+) \(", done.stderr)
        if not at:
            sys.exit(f"count: {self.options.binary} exits {done.returncode}: {done.stderr[-2000:]}")
        return None, int(at[-1]), done.stderr

    def keep(self, at, text):
        os.makedirs(self.options.crashes, exist_ok=True)
        base = os.path.join(self.options.crashes, f"{self.options.seed}.{at}")
        with open(base + ".txt", "w", encoding="utf-8") as file:
            file.write(text)
        for path in re.findall(r"kept in '(.*)'", text)[-1:]:
            for end in ("", ".so"):
                if os.path.exists(path + end):
                    shutil.copy(path + end, base + ".input" + end)
            shutil.rmtree(os.path.dirname(path))
        print(f"crash: mutation {at}, kept in {base}.input", flush=True)

    def note(self, first, counts):
        add(self.options.record, {"driver": "sanitized" if self.options.sanitized else "plain", "seeds": len(self.seeds),
                                  "seed": self.options.seed, "first": first, **{c: counts.get(c, 0) for c in COUNTS},
                                  "binary": self.binary, "date": datetime.date.today().isoformat()})

    def chunk(self, first, count):
        """Counts them all; those before and after a crash by themselves."""
        if not count:
            return 0
        counts, at, text = self.run(first, count)
        if counts:
            self.note(first, counts)
            return 0
        self.keep(at, text)
        crashes = self.chunk(first, at - first)
        self.note(at, {"mutations": 1, "crashes": 1})
        return crashes + 1 + self.chunk(at + 1, first + count - at - 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sanitized", action="store_true", help="the build of ./dev fuzz, under ASan and UBSan")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--mutations", type=int, default=1000000)
    parser.add_argument("--chunk", type=int, default=4000)
    parser.add_argument("--record", default=RECORD)
    parser.add_argument("--crashes", default=os.path.join(ROOT, "build", "fuzz", "crashes"))
    parser.add_argument("--seeds", default=os.path.join(ROOT, "build", "fuzz", "seeds"),
                        help="folder of seeds, made if it is not there")
    parser.add_argument("--binary", help="twist-fuzz")
    options = parser.parse_args()
    options.binary = options.binary or os.path.join(ROOT, "build-sanitize" if options.sanitized else "build", "bin",
                                                    "twist-fuzz")
    if not os.path.isdir(options.seeds):
        subprocess.run([sys.executable, "-m", "twist_tools.fuzz_seeds", options.seeds, "--twist",
                        os.path.join(ROOT, "build", "bin", "twist")], check=True,
                       env=dict(os.environ, PYTHONPATH=os.path.join(ROOT, "python")))
    counter = Counter(options, sorted(os.path.join(options.seeds, name) for name in os.listdir(options.seeds)))
    crashes, end = 0, options.first + options.mutations
    for first in range(options.first, end, options.chunk):
        crashes += counter.chunk(first, min(options.chunk, end - first))
    print(f"{options.mutations} mutations, {crashes} crashes, in {options.record}")
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
