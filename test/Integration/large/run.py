"""4.3 GB of external data (a sparse file): inspect, translate, slice and compile within the architecture's memory figure.

Private memory (RssAnon) stays below 300 MB + 2 x the largest tensor; mapped pages do not count.
"""
import os
import subprocess
import sys
import time

import onnx
from onnx import TensorProto, helper

LAYERS, DIM, FFN = 16, 4096, 8192
LARGEST = DIM * FFN * 4
LIMIT = 300e6 + 2 * LARGEST


def write(folder):
    nodes, weights, offset = [], [], 0
    for n in range(LAYERS):
        for name, shape in ((f"{n}.up.weight", [DIM, FFN]), (f"{n}.down.weight", [FFN, DIM])):
            t = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape,
                            data_location=TensorProto.EXTERNAL)
            for key, value in (("location", "large.data"), ("offset", offset), ("length", LARGEST)):
                t.external_data.add(key=key, value=str(value))
            weights.append(t)
            offset += LARGEST
        x = "x" if n == 0 else f"{n - 1}.y"
        nodes += [helper.make_node("MatMul", [x, f"{n}.up.weight"], [f"{n}.h"], f"/{n}/up"),
                  helper.make_node("Relu", [f"{n}.h"], [f"{n}.a"], f"/{n}/relu"),
                  helper.make_node("MatMul", [f"{n}.a", f"{n}.down.weight"], [f"{n}.z"], f"/{n}/down"),
                  helper.make_node("Add", [x, f"{n}.z"], [f"{n}.y"], f"/{n}/add")]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", DIM])
              for name in ("x", f"{LAYERS - 1}.y")]
    graph = helper.make_graph(nodes, "large", values[:1], values[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with open(os.path.join(folder, "large.onnx"), "wb") as file:
        file.write(model.SerializeToString())
    with open(os.path.join(folder, "large.data"), "wb") as file:
        file.truncate(offset)
    return offset


def private_peak(*command):
    """Runs the command; the peak of its private memory in bytes."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
                peak = max([peak] + [int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon")])
        except OSError:
            pass
        time.sleep(0.002)
    if process.returncode:
        sys.exit(f"FAILED ({process.returncode}): {' '.join(command)}")
    return peak


def main(folder):
    os.makedirs(folder, exist_ok=True)
    size = write(folder)
    model, ticket = os.path.join(folder, "large.onnx"), os.path.join(folder, "t.json")
    small = os.path.join(folder, "small.onnx")
    steps = {"inspect": ("twist", "inspect", model),
             "translate": ("twist-translate", model, "-o", os.path.join(folder, "large.mlir")),
             "ticket": ("twist", "ticket", model, "--kappa=0.75", "--policy=first", "-o", ticket),
             "slice": ("twist", "slice", model, "--ticket", ticket, "-o", small),
             "compile": ("twist", "compile", small, "--quiet", "-o", os.path.join(folder, "program"))}
    for step, command in steps.items():
        start, peak = time.monotonic(), private_peak(*command)
        print(f"{step}: {peak / 1e6:.0f} MB private of {LIMIT / 1e6:.0f} allowed, {time.monotonic() - start:.1f} s")
        if step != "ticket" and peak > LIMIT:
            sys.exit(f"FAILED {step}: too much private memory")
    skeleton = onnx.load(small, load_external_data=False)
    inline = sum(len(t.raw_data) for t in skeleton.graph.initializer)
    if inline > 1 << 20:
        sys.exit("FAILED: an output above 2 GB keeps its weights inline")
    print(f"large: {size:,} bytes passed")


main(sys.argv[1])
