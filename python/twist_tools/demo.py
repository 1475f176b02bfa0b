"""What the demos share: telling what happens, running `twist`, counting parameters."""
import os
import subprocess
import sys
import time

import numpy as np
import onnx

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def say(text):
    print(f"\033[1m[demo]\033[0m {text}", flush=True)


def twist(*arguments, show=False):
    """Runs one twist command, printing it and its time; ends the demo with its message if it fails."""
    arguments = [str(a) for a in arguments]
    print("  $ twist " + " ".join(os.path.relpath(a) if os.path.isabs(a) else a for a in arguments), flush=True)
    start = time.perf_counter()
    run = subprocess.run([os.path.join(ROOT, "build", "bin", "twist"), *arguments], text=True,
                         stdout=None if show else subprocess.PIPE, stderr=None if show else subprocess.STDOUT)
    if run.returncode:
        sys.exit(f"{run.stdout or ''}error: twist {arguments[0]} ended with {run.returncode}")
    print(f"    {time.perf_counter() - start:.1f} s", flush=True)
    return run.stdout


def parameters(path):
    return sum(int(np.prod(t.dims)) for t in onnx.load(path).graph.initializer)
