"""A quarter of the tests is negative, of lit's and of GoogleTest's: negative.py

A lit test is negative if one of its lines, or the script it runs, wants an error: `not` before one of our tools,
expected-error, an exit status of 1 that is looked at. A case of GoogleTest is, if it looks at an error or a refusal.
"""
import collections
import os
import re
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
LINE = re.compile(r"\bnot (?:env \S+ )*(?:twist|%python|\S*/)|expected-error")
SCRIPT = re.compile(r"returncode\s*(?:==|!=)\s*1\b|\.returncode\b.*\(1,")
CASE = re.compile(r"^TEST(?:_F|_P)?\(.*?\)\s*\{(.*?)^\}", re.M | re.S)
LOOKS = re.compile(r"xpectError\(|takeError\(|errorOf\(|[rR]efused?\(|TWIST_ERROR_|EXPECT_TRUE\(failed|toString\(|[mM]essage|fails\(")
PRINTED = re.compile(r"<<[^;]*;")  # what a positive case tells when it fails


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def lit(path, text):
    scripts = [os.path.join(os.path.dirname(path), name) for name in re.findall(r"%S/([\w/.]+\.py)", text)]
    return bool(LINE.search(text)) or any(SCRIPT.search(read(s)) for s in scripts if os.path.exists(os.path.join(ROOT, s)))


def main():
    counts = collections.defaultdict(lambda: [0, 0])  # by kind and folder: negative, all
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "test", "unittests"], capture_output=True, text=True, check=True)
    for path in listed.stdout.split():
        text, folder = read(path), path.split("/")[1]
        if path.endswith((".test", ".mlir")) and "/Inputs/" not in path and "RUN:" in text:
            found = [("lit", lit(path, text))]
        elif path.endswith("Test.cpp"):
            found = [("GoogleTest", bool(LOOKS.search(PRINTED.sub(";", body)))) for body in CASE.findall(text)]
        else:
            continue
        for kind, negative in found:
            for key in ((kind, folder), (kind, "all")):
                counts[key][0] += negative
                counts[key][1] += 1
    for (kind, folder), (negative, number) in sorted(counts.items(), key=lambda c: (c[0][0], c[0][1] == "all", c[0][1])):
        print(f"{kind:10} {folder:14} {negative:4} of {number:4}  {100 * negative / number:3.0f} %")
    few = [kind for kind in ("lit", "GoogleTest") if 4 * counts[kind, "all"][0] < counts[kind, "all"][1]]
    print("too few: " + ", ".join(few) if few else "a quarter is negative")
    return bool(few)


sys.exit(main())
