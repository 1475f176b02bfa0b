"""A step with products of bf16 compiled for other processors and run here.

    python bf16.py FOLDER
"""
import json
import os
import subprocess
import sys

import numpy as np

from twist_tools.models import gpt2
from twist_tools.models.graph import save


def run(model, cpu, *options):
    command = ["twist", "step", model, "--context", "24", "--batch", "2", "--steps", "8", "--learning-rate", "3e-3", "--clip", "1",
               "--mcpu", cpu, *options]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stderr}")
    return result.stdout


def main(folder):
    os.makedirs(folder, exist_ok=True)
    model = os.path.join(folder, "gpt2.onnx")
    save(gpt2.build(gpt2.Config(layers=1, dim=32, heads=4, vocab=61, context=24, norm="fused")), model)
    of = lambda cpu, precision="bf16": json.loads(run(model, cpu, "--json", "--precision", precision))[0]
    here, haswell, exact = of("native"), of("haswell"), of("haswell", "f32")
    print(f"haswell: {haswell['bf16']}")
    difference = np.abs(np.array(haswell["losses"]) - here["losses"]).max()
    rounding = np.abs(np.array(here["losses"]) - exact["losses"]).max()
    print(f"haswell: losses differ by {difference:.1e} from this processor's, those from f32's by {rounding:.1e}")
    # Sums of other orders move what is rounded across a tie now and then.
    assert 1e-5 < rounding < 0.1 and difference < rounding, (difference, rounding)
    assert exact["bf16"] == "", exact["bf16"]

    with open("/proc/cpuinfo", encoding="utf-8") as file:
        if "avx512_bf16" not in file.read().split() or "pairs" in here["bf16"]:
            print("no AVX512-BF16 here, or one that is used otherwise")
            return
    assert here["bf16"].endswith("rounded by the processor"), here["bf16"]
    skylake = of("skylake-avx512")
    assert skylake["bf16"].startswith("emulated") and skylake["losses"] == here["losses"], (skylake["losses"], here["losses"])
    assert skylake["sha256"] == here["sha256"]
    print("the same bytes with and without instructions that round")


if __name__ == "__main__":
    main(sys.argv[1])
