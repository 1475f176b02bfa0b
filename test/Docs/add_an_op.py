"""Checks docs/AddAnOp.md: python add_an_op.py ROOT FOLDER

A fenced block whose first line is a comment with a file's name is a piece of that file. In a block of sh, each line after
"$" is run in ROOT, and the lines below it are in what it prints, in their order; %t is FOLDER.
"""
import os
import re
import subprocess
import sys

root, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
with open(os.path.join(root, "docs", "AddAnOp.md"), encoding="utf-8") as file:
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", file.read(), re.M | re.S)
pieces, commands, bad = 0, 0, []
for kind, text in blocks:
    first, rest = text.split("\n", 1)
    if kind == "sh":
        commands += 1
        command = first.removeprefix("$ ").replace("%t", folder)
        run = subprocess.run(command.split(), cwd=root, capture_output=True, text=True)
        at = 0
        for line in rest.splitlines():
            at = run.stdout.find(line, at)
            if run.returncode or at < 0:
                bad.append(f"{first}\n  exits {run.returncode}, prints no '{line}':\n{run.stdout[-800:]}{run.stderr[-800:]}")
                break
        continue
    pieces += 1
    name = first.lstrip("/# ")
    with open(os.path.join(root, name), encoding="utf-8") as file:
        if rest.strip("\n") not in file.read():
            bad.append(f"{name} has no\n{rest}")
print("\n".join(bad))
print(f"{pieces} pieces, {commands} commands, {len(bad)} failures")
