"""A sweep that is interrupted keeps what is done, says so, and goes on to the same bytes: SWEEP.json FOLDER."""
import json
import os
import signal
import subprocess
import sys
import time

sweep, folder = sys.argv[1:]
with open(sweep, encoding="utf-8") as file:
    spec = json.load(file)
spec["seeds"] = 5
path = os.path.join(folder, "long.json")
with open(path, "w", encoding="utf-8") as file:
    json.dump(spec, file)


def start(name):
    return subprocess.Popen(["twist", "dfl", "sweep", path, "-o", os.path.join(folder, name), "--threads", "2"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def lines(name):
    try:
        with open(os.path.join(folder, name, "results.jsonl"), encoding="utf-8") as file:
            return file.read().count("\n")
    except FileNotFoundError:
        return 0


run = start("stopped")
while lines("stopped") < 3 and run.poll() is None:
    time.sleep(0.005)
run.send_signal(signal.SIGINT)
said = run.communicate()[1]
done = lines("stopped")
assert run.returncode == 1 and "error: interrupted; what is done is kept" in said, (run.returncode, said)
assert 3 <= done < 70, done
for name in ("stopped", "whole"):
    again = start(name)
    said = again.communicate()[1]
    assert again.returncode == 0, said
with open(f"{folder}/stopped/results.jsonl", "rb") as a, open(f"{folder}/whole/results.jsonl", "rb") as b:
    assert a.read() == b.read()
print("the interrupted sweep went on")
