"""No partial output: commands on a full disk, without a place to write, interrupted and killed. Argument: a folder."""
import fcntl
import filecmp
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

from twist_tools.models import gpt2
from twist_tools.models.graph import save

# Of each command: its arguments but for the output, and the files it writes for -o out.
COMMANDS = {
    "ticket": (["twist", "ticket", "m.onnx", "--kappa=0.5", "-o", "out"], ["out"]),
    "slice": (["twist", "slice", "m.onnx", "--ticket", "t.json", "-o", "out", "--masked", "out.masked"], ["out", "out.masked"]),
    "compile": (["twist", "compile", "m.onnx", "--ticket", "t.json", "--quiet", "-o", "out"],
                ["out.so", "out.weights", "out.card.json"]),
    "executable": (["twist", "compile", "m.onnx", "--quiet", "--emit=exe", "-o", "out"], ["out", "out.weights", "out.card.json"]),
    "IR": (["twist", "compile", "m.onnx", "--quiet", "--emit=mlir", "-o", "out"], ["out.mlir"]),
    "to MLIR": (["twist-translate", "m.onnx", "-o", "out.mlir"], ["out.mlir"]),
    "to ONNX": (["twist-translate", "m.mlir", "-o", "out.onnx"], ["out.onnx"]),
}
failures = []


def check(what, holds, more=""):
    print(("ok      " if holds else "FAILED  ") + what, "" if holds else more)
    if not holds:
        failures.append(what)


def start(arguments, folder, limit=None):
    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return subprocess.Popen([a.replace("out", os.path.join(folder, "out"), 1) if a.startswith("out") else a for a in arguments],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limited if limit else None)


def old_files(folder, names):
    """An artefact of an earlier run, which no failure may touch."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for name in names:
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write("old " + name)


def untouched(folder, names):
    return sorted(os.listdir(folder)) == sorted(names) and all(
        open(os.path.join(folder, n), encoding="utf-8", errors="replace").read() == "old " + n for n in names)


def full_disk(name, arguments, names, size):
    """No room for the first byte, nor for half of the largest file."""
    for limit in (1, size // 2):
        old_files("full", names)
        process = start(arguments, "full", limit)
        _, messages = process.communicate()
        check(f"{name}, room for {limit} bytes", process.returncode == 1 and "File too large" in messages and "error" in messages
              and untouched("full", names), f"{process.returncode} {messages} {os.listdir('full')}")


def unwritable(name, arguments):
    process = start(arguments, "nowhere")
    _, messages = process.communicate()
    check(f"{name}, no such folder", process.returncode == 1 and "No such file or directory" in messages
          and not os.path.exists("nowhere"), messages)


def stopped(name, arguments, names, with_signal):
    """Ends it as soon as a file appears: what bears a name of the output is old or whole."""
    old_files("stopped", names)
    process = start(arguments, "stopped")
    while process.poll() is None and len(os.listdir("stopped")) == len(names):
        time.sleep(0.0002)
    if with_signal == signal.SIGINT:
        time.sleep(0.02)  # a file is made first, then noted as one to remove
    process.send_signal(with_signal)
    process.communicate()
    for file in names:
        path = os.path.join("stopped", file)
        old = open(path, "rb").read() == b"old " + file.encode()
        check(f"{name}, {with_signal.name}: {file} is {'old' if old else 'whole'}",
              old or filecmp.cmp(path, os.path.join("whole." + name, file), shallow=False))
    rest = set(os.listdir("stopped")) - set(names)
    if with_signal == signal.SIGINT:
        check(f"{name}: Ctrl-C leaves no temporary file", not rest, str(rest))
        return
    check(f"{name}: what kill -9 leaves tells what it is", rest <= {n + ".twist-tmp" for n in names}, str(rest))
    for file in names:  # as if it had been stopped in the middle of each
        with open(os.path.join("stopped", file + ".twist-tmp"), "w", encoding="utf-8") as stale:
            stale.write("half of " + file)
    process = start(arguments, "stopped")
    _, messages = process.communicate()
    check(f"{name}: the next run takes it away", process.returncode == 0 and sorted(os.listdir("stopped")) == sorted(names)
          and all(filecmp.cmp(os.path.join("stopped", n), os.path.join("whole." + name, n), shallow=False) for n in names),
          f"{messages} {os.listdir('stopped')}")


def written_elsewhere(name, arguments, names):
    """Another process has the lock of the first file: an error, and its file stays."""
    old_files("locked", names)
    path = os.path.join("locked", names[0] + ".twist-tmp")
    with open(path, "w", encoding="utf-8") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write("theirs")
        other.flush()
        process = start(arguments, "locked")
        _, messages = process.communicate()
        check(f"{name}, written by another process", process.returncode == 1 and "another process is writing it" in messages
              and open(path, encoding="utf-8").read() == "theirs", messages)
    os.remove(path)
    check(f"{name}, written by another process: nothing else is touched", untouched("locked", names), str(os.listdir("locked")))


def main(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    os.chdir(folder)
    save(gpt2.build(gpt2.Config(layers=1, dim=64, vocab=2000)), "m.onnx", False)
    for command in (["twist", "ticket", "m.onnx", "-o", "t.json"], ["twist-translate", "m.onnx", "-o", "m.mlir"]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for name, (arguments, names) in COMMANDS.items():
        os.makedirs("whole." + name)
        process = start(arguments, "whole." + name)
        _, messages = process.communicate()
        written = sorted(os.listdir("whole." + name))
        check(f"{name} works", process.returncode == 0 and written == sorted(names), f"{messages} {written}")
        full_disk(name, arguments, names, max(os.path.getsize(os.path.join("whole." + name, n)) for n in names))
        unwritable(name, arguments)
        written_elsewhere(name, arguments, names)
        for with_signal in (signal.SIGKILL, signal.SIGINT):
            stopped(name, arguments, names, with_signal)
    if failures:
        sys.exit(f"{len(failures)} failed: {failures}")
    print("all whole")


main(sys.argv[1])
