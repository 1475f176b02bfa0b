"""Every node test of the onnx package: read, written and upgraded."""
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import onnx

warnings.simplefilter("ignore")
from onnx.backend.test.case.node import collect_testcases  # noqa: E402

work = sys.argv[1]
os.makedirs(work, exist_ok=True)


def problem(case):
    path = f"{work}/{case.name}.onnx"
    onnx.save(case.model, path)
    done = subprocess.run(["twist-translate", path, "-o", path + ".back.onnx"],
                          capture_output=True, text=True)
    if done.returncode:
        return f"{case.name} is not read: {done.stderr}"
    back = onnx.load(path + ".back.onnx")
    if back.SerializeToString(deterministic=True) != case.model.SerializeToString(deterministic=True):
        return f"{case.name} comes back changed"
    done = subprocess.run(["twist-opt", path, "--onnx-upgrade", "-o", os.devnull],
                          capture_output=True, text=True)
    if done.returncode:
        return f"{case.name} is not upgraded: {done.stderr}"
    os.remove(path)
    os.remove(path + ".back.onnx")
    return None


cases = collect_testcases(None)
with ThreadPoolExecutor(os.cpu_count()) as pool:
    problems = [p for p in pool.map(problem, cases) if p]
print("\n".join(problems))
print(f"{len(cases)} models, {len(problems)} problems")
sys.exit(bool(problems))
