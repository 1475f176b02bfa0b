"""Every model of models.py through twist-translate: the same fields, the same numbers."""
import os
import subprocess
import sys

import onnx

import models
from roundtrip_tools import outputs


def run(*command):
    subprocess.run(command, check=True)


def difference(a, b):
    """First line in which two messages differ."""
    for x, y in zip(str(a).splitlines(), str(b).splitlines()):
        if x != y:
            return f"{x!r} became {y!r}"
    return "length"


work = sys.argv[1]
os.makedirs(work, exist_ok=True)
runnable = {"perceptron", "metadata", "control", "functions", "sparse", "defaults", "passing"}
for make in models.ALL:
    name = make.__name__
    original = make()
    path = f"{work}/{name}.onnx"
    onnx.save(original, path)
    run("twist-translate", path, "-o", f"{work}/{name}.direct.onnx")
    run("twist-translate", path, "-o", f"{work}/{name}.mlir")
    run("twist-translate", f"{work}/{name}.mlir", "-o", f"{work}/{name}.text.onnx")
    run("twist-translate", path, "--external-data=always", "-o", f"{work}/{name}.ext.onnx")
    for form in ("direct", "text", "ext"):
        back = onnx.load(f"{work}/{name}.{form}.onnx")
        if form == "ext":
            for tensor in back.graph.initializer:
                tensor.ClearField("data_location")
            # Data comes back as raw data, whatever field it was in.
            for t, o in zip(back.graph.initializer, original.graph.initializer):
                if o.float_data or o.double_data:
                    o.CopyFrom(t)
        same = back.SerializeToString(deterministic=True) == original.SerializeToString(deterministic=True)
        assert same, f"{name} ({form}): {difference(original, back)}"
        if name in runnable:
            for a, b in zip(outputs(path), outputs(f"{work}/{name}.{form}.onnx"), strict=True):
                assert a.tobytes() == b.tobytes(), f"{name} ({form}) computes something else"
    print(f"{name}: same")
