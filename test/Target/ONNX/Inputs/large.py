"""Gigabytes of external data (a sparse file): reading, upgrading and writing stay small."""
import os
import resource
import subprocess
import sys

import onnx
from onnx import TensorProto as T
from onnx import helper as h

from models import model, value

GIB = 1 << 30
work = sys.argv[1]
os.makedirs(work, exist_ok=True)


def external(name, rows, columns, location, offset):
    tensor = T(name=name, data_type=T.FLOAT, dims=[rows, columns], data_location=T.EXTERNAL)
    for key, text in dict(location=location, offset=offset, length=4 * rows * columns).items():
        tensor.external_data.add(key=key, value=str(text))
    return tensor


def chain(path, gigabytes):
    """Matrices of 64 MiB, multiplied one after the other."""
    side, location = 4096, os.path.basename(path) + ".bin"
    count = gigabytes * GIB // (4 * side * side)
    weights = [external(f"w{i}", side, side, location, 4 * side * side * i) for i in range(count)]
    nodes = [h.make_node("MatMul", [f"v{i}", f"w{i}"], [f"v{i + 1}"]) for i in range(count)]
    onnx.save(model(nodes, [value("v0", ["n", side])], [value(f"v{count}", ["n", side])], weights),
              path)
    with open(f"{work}/{location}", "wb") as f:
        f.truncate(gigabytes * GIB)


def peak(*command):
    """Peak resident memory of a command in MB, mapped pages included."""
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    assert status == 0, command
    return usage.ru_maxrss / 1024


chain(f"{work}/large.onnx", 4)
print(f"read: {peak('twist-translate', f'{work}/large.onnx', '-o', f'{work}/large.mlir'):.0f} MB",
      file=sys.stderr)
upgrade = peak("twist-opt", f"{work}/large.onnx", "--onnx-upgrade", "-o", f"{work}/large.up.mlir")
print(f"upgrade: {upgrade:.0f} MB", file=sys.stderr)
chain(f"{work}/half.onnx", 1)
write = peak("twist-translate", f"{work}/half.onnx", "--inline-limit=100000000", "-o",
             f"{work}/copy.onnx")
print(f"write: {write:.0f} MB", file=sys.stderr)
assert max(upgrade, write) < 300
copy = onnx.load(f"{work}/copy.onnx", load_external_data=False)
entries = {e.key: e.value for e in copy.graph.initializer[-1].external_data}
assert entries["location"] == "copy.onnx.data" and int(entries["offset"]) % 4096 == 0
assert os.path.getsize(f"{work}/copy.onnx.data") == GIB
for name in os.listdir(work):
    os.remove(f"{work}/{name}")
print("within 300 MB")
