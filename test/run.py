"""Runs the suite: GoogleTest binaries, then lit. ./dev test calls it; the last line counts the tests.

    test/run.py [--all] [--filter REGEX] [--workers N]
"""
import argparse
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("TWIST_BUILD", os.path.join(ROOT, "build"))
LIT = os.path.join(ROOT, ".deps", "venv", "bin", "lit")


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures, self.parts = [], []

    def add(self, part, passed, failed, skipped, names, seconds):
        self.passed, self.failed, self.skipped = self.passed + passed, self.failed + failed, self.skipped + skipped
        self.failures += names
        self.parts.append((part, passed, failed, skipped, seconds))


def gtest(binary, pattern):
    """(passed, failed, skipped, failed names) of one GoogleTest binary; a crash is one failure."""
    name = os.path.basename(binary)
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [binary, f"--gtest_output=json:{report.name}", "--gtest_brief=1"]
        python = os.path.join(os.path.dirname(LIT), "python")  # it has onnxruntime
        run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             errors="replace", env={"TWIST_PYTHON": python, "TWIST_VERIFY_PASSES": "1", **os.environ})
        try:
            with open(report.name, encoding="utf-8") as file:
                suites = json.load(file).get("testsuites", [])
        except ValueError:
            suites = None
    if run.returncode:
        print(run.stdout[-8000:])
    if suites is None:
        return 0, 1, 0, [f"{name}: ended with {run.returncode} before its report"]
    passed, skipped, failures = 0, 0, []
    for case in (case for suite in suites for case in suite["testsuite"]):
        full = f"{name}: {case['classname']}.{case['name']}"
        if pattern and not re.search(pattern, full):
            continue
        if case.get("failures"):
            failures.append(full)
        elif case.get("result") == "SKIPPED" or case.get("status") == "NOTRUN":
            skipped += 1
        else:
            passed += 1
    if run.returncode and not failures:
        failures.append(f"{name}: ended with {run.returncode}")
    return passed, len(failures), skipped, failures


def run_gtest(count, pattern):
    for binary in sorted(glob.glob(os.path.join(BUILD, "bin", "*Tests"))):
        start = time.monotonic()
        passed, failed, skipped, names = gtest(binary, pattern)
        seconds = time.monotonic() - start
        count.add("gtest " + os.path.basename(binary), passed, failed, skipped, names, seconds)
        print(f"  {os.path.basename(binary)}: {passed} passed, {failed} failed, {seconds:.1f} s", flush=True)


def run_lit(count, options):
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [LIT, "-v", f"--workers={options.workers}", f"--output={report.name}", os.path.join(ROOT, "test")]
        if options.all:
            command[1:1] = ["--param", "long=1"]
        if options.filter:
            command += ["--filter", options.filter]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   errors="replace")
        done, at, quiet, tail = 0, time.monotonic(), True, []
        for line in process.stdout:
            tail = tail[-20:] + [line]
            result = re.match(r"(PASS|FAIL|XFAIL|XPASS|UNSUPPORTED|TIMEOUT|UNRESOLVED): ", line)
            if result:
                done, quiet = done + 1, result[1] in ("PASS", "XFAIL", "UNSUPPORTED")
                if time.monotonic() - at > 5:
                    print(f"  {done} lit tests done", flush=True)
                    at = time.monotonic()
            if not quiet:
                print(line, end="")
        process.wait()
        try:
            with open(report.name, encoding="utf-8") as file:
                tests = json.load(file)["tests"]
        except ValueError:
            if not options.filter:
                print("".join(tail))
                count.add("lit", 0, 1, 0, [f"lit ended with {process.returncode} before its report"], 0)
            return
    areas = {}
    for test in tests:
        name = test["name"].split(" :: ", 1)[-1]
        area = areas.setdefault(name.split("/")[0] if "/" in name else ".", [0, 0, 0, [], 0.0])
        kind = {"PASS": 0, "XFAIL": 0, "FLAKYPASS": 0, "UNSUPPORTED": 2, "SKIPPED": 2, "EXCLUDED": None}.get(
            test["code"], 1)
        if kind is None:
            continue
        area[kind] += 1
        area[4] += test.get("elapsed") or 0
        if kind == 1:
            area[3].append(f"{name} ({test['code']})")
        elif kind == 2:
            print(f"  skipped: {name}")
    for name in sorted(areas):
        count.add("lit " + name, *areas[name])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="the long tests too")
    parser.add_argument("--filter", help="only tests whose name matches this regular expression")
    parser.add_argument("--workers", type=int, default=max(1, min(os.cpu_count() or 1, 8)))
    options = parser.parse_args()
    start, count = time.monotonic(), Count()
    print("GoogleTest", flush=True)
    run_gtest(count, options.filter)
    print("lit", flush=True)
    run_lit(count, options)
    print(f"\n{'part':<28}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for name, passed, failed, skipped, seconds in count.parts:
        print(f"{name:<28}{passed:>8}{failed:>8}{skipped:>9}{seconds:>9.1f}")
    print(f"wall time: {time.monotonic() - start:.0f} s (seconds of lit parts are summed over the workers)")
    for name in count.failures:
        print(f"FAILED {name}")
    if not count.passed and not count.failed:
        count.failed = 1
        print("FAILED no test was found: build first")
    print(f"{count.passed} passed, {count.failed} failed, {count.skipped} skipped")
    return 1 if count.failed else 0


if __name__ == "__main__":
    sys.exit(main())
