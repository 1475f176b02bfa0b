"""Fills blocks of docs/*.md with what commands print, so that they stay true.

    .deps/venv/bin/python docs/run_blocks.py [--check]      (./dev docs)

A block is the fenced text behind a line `<!-- $ COMMAND -->`; the command runs in docs/, with the
built tools in PATH. --check fails if a block is stale.
"""
import argparse
import glob
import os
import re
import subprocess
import sys

DOCS = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("TWIST_BUILD", os.path.join(os.path.dirname(DOCS), "build"))
BLOCK = re.compile(r"(<!-- \$ (.*?) -->\n```\w*\n)(.*?)(^```$)", re.M | re.S)


def output(command):
    path = os.pathsep.join([os.path.join(BUILD, "bin"), os.environ["PATH"]])
    done = subprocess.run(command, shell=True, cwd=DOCS, capture_output=True, text=True,
                          env=dict(os.environ, PATH=path))
    if done.returncode or not done.stdout.strip():
        sys.exit(f"error: {command}: {done.stderr[-2000:]}")
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines()) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    options, blocks = parser.parse_args(), 0
    for path in sorted(glob.glob(os.path.join(DOCS, "*.md"))):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        blocks += len(BLOCK.findall(text))
        filled = BLOCK.sub(lambda m: m[1] + output(m[2]) + m[4], text)
        if filled == text:
            continue
        if options.check:
            sys.exit(f"stale: {os.path.basename(path)}: run ./dev docs")
        with open(path, "w", encoding="utf-8") as file:
            file.write(filled)
    print(f"docs: {blocks} blocks up to date")


if __name__ == "__main__":
    main()
