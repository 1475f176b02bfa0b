"""Every mistake a file can hold: one error that names the place, exit 1, no output."""
import copy
import glob
import os
import resource
import shutil
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

from models import functions, model, sparse, value

work = sys.argv[1]
shutil.rmtree(work, ignore_errors=True)
os.makedirs(f"{work}/in/sub")
count = 0


def expect(message, path, *options, output=None, tool="twist-translate", **keywords):
    global count
    output = output or f"{work}/out.onnx"
    done = subprocess.run([tool, path, *options, "-o", output], capture_output=True, text=True,
                          errors="replace", **keywords)
    assert done.returncode == 1, f"{message}: exit {done.returncode}\n{done.stderr}"
    assert message in done.stderr, f"expected {message!r}, got {done.stderr!r}"
    left = glob.glob(f"{work}/*tmp") + glob.glob(f"{work}/out.*")
    assert not left, f"{message}: left {left}"
    count += 1


def good():
    return model([h.make_node("MatMul", ["x", "w"], ["y"], name="product")],
                 [value("x", ["n", 4])], [value("y", ["n", 4])],
                 [nh.from_array(np.ones((4, 4), np.float32), "w")])


def broken(message, change, **keywords):
    m = good()
    change(m)
    path = f"{work}/in/model.onnx"
    with open(path, "wb") as f:
        f.write(m if isinstance(m, bytes) else m.SerializeToString())
    expect(message, path, **keywords)


def raw(message, data):
    path = f"{work}/in/raw.onnx"
    with open(path, "wb") as f:
        f.write(data)
    expect(message, path)


# Files.
expect("cannot be read: No such file or directory", f"{work}/in/absent.onnx")
os.makedirs(f"{work}/in/folder.onnx")
expect("cannot be read: Is a directory", f"{work}/in/folder.onnx")
raw("not a whole ONNX model: the file is empty", b"")
raw("an unfinished number in ModelProto at byte 0", b"\x08\xff")
raw("an unfinished length in ModelProto at byte 0", b"\x3a\xff")
raw("no valid field tag in ModelProto at byte 0", b"\x00\x01")
raw("wire type 3 in ModelProto at byte 0", b"\x3b\x00")
raw("field 7 of 100 bytes where 3 remain in ModelProto at byte 0", b"\x3a\x64abc")
raw("field 9 of 77 bytes where 0 remain in TensorProto at byte 4", b"\x3a\x04\x2a\x02\x4a\x4d")
raw("the model has no graph", good().SerializeToString()[:2])


def varint(n):
    out = b""
    while n >= 128:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def nested(levels):
    graph = b""
    for _ in range(levels):
        attribute = b"\x0a\x01g\x32" + varint(len(graph)) + graph
        node = b"\x2a" + varint(len(attribute)) + attribute
        graph = b"\x0a" + varint(len(node)) + node
    return b"\x3a" + varint(len(graph)) + graph


raw("messages nested too deeply in", nested(60))
raw("messages nested too deeply in", nested(5000))

# Graphs.
broken("the model names no operator set", lambda m: m.ClearField("opset_import"))
broken("error: input 'nowhere' is not defined before its use",
       lambda m: m.graph.node[0].input.__setitem__(0, "nowhere"))
broken('loc("product")', lambda m: m.graph.node[0].input.__setitem__(0, "nowhere"))
broken("error: output 'nowhere' is not defined before its use",
       lambda m: setattr(m.graph.output[0], "name", "nowhere"))
broken("value 'w' is defined twice", lambda m: m.graph.node[0].output.__setitem__(0, "w"))
broken("an initializer has no name", lambda m: m.graph.initializer[0].ClearField("name"))
broken("input 1 has no name", lambda m: m.graph.input.add())
broken("output 1 has no name", lambda m: m.graph.output.add())
broken("attribute 'a' stands twice", lambda m: m.graph.node[0].attribute.extend(
    [h.make_attribute("a", 1), h.make_attribute("a", 2)]))
broken("an attribute has no name", lambda m: m.graph.node[0].attribute.extend(
    [onnx.AttributeProto(type=onnx.AttributeProto.INT)]))

# Tensors.
weight = lambda **fields: lambda m: m.graph.initializer[0].MergeFrom(T(**fields))
broken("has 64 bytes of data, 'tensor<4x4x4xf32>' takes 256", weight(dims=[4]))
broken("has impossible dimensions", weight(dims=[-1]))
broken("has impossible dimensions", weight(dims=[2**40, 2**40]))
broken("has unknown data type 99", weight(data_type=99))
broken("has unknown data type 0", weight(data_type=0))
broken("has 0 strings for 16 elements", weight(data_type=T.STRING))
broken("has 4 bytes of data, 'tensor<4xf16>' takes 8",
       lambda m: m.graph.initializer[0].CopyFrom(
           T(name="w", data_type=T.FLOAT16, dims=[4], int32_data=[1, 2])))
broken("attribute t", lambda m: m.graph.node[0].attribute.append(
    h.make_attribute("t", T(data_type=T.FLOAT, dims=[3], raw_data=b"1234"))))

# External data.
with open(f"{work}/in/weights.bin", "wb") as f:
    f.write(bytes(100))
with open(f"{work}/outside.bin", "wb") as f:
    f.write(bytes(100))
os.symlink("../outside.bin", f"{work}/in/link.bin")
os.symlink("..", f"{work}/in/up")


def external(**entries):
    def change(m):
        tensor = m.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = T.EXTERNAL
        for key, text in entries.items():
            tensor.external_data.add(key=key, value=str(text))
    return change


broken("external data has no location", external(offset=0))
broken("external data '/etc/passwd' is an absolute path", external(location="/etc/passwd"))
broken("external data '../outside.bin' leaves the model's directory by '..'",
       external(location="../outside.bin"))
broken("external data 'sub/../../outside.bin' leaves the model's directory by '..'",
       external(location="sub/../../outside.bin"))
broken("external data 'link.bin' leaves the model's directory by a symbolic link",
       external(location="link.bin"))
broken("external data 'up/outside.bin' leaves the model's directory by a symbolic link",
       external(location="up/outside.bin"))
broken("external data 'absent.bin' cannot be opened: No such file or directory",
       external(location="absent.bin"))
broken("external data 'sub' cannot be read: Is a directory", external(location="sub"))
broken("external data has offset 'x', which is no number",
       external(location="weights.bin", offset="x"))
broken("external data has length '-1', which is no number",
       external(location="weights.bin", length=-1))
broken("external data starts at byte 101 of 'weights.bin', a file of 100 bytes",
       external(location="weights.bin", offset=101))
broken("external data takes 64 bytes at byte 37 of 'weights.bin', a file of 100 bytes",
       external(location="weights.bin", offset=37, length=64))
broken("external data takes 18446744073709551615 bytes at byte 37",
       external(location="weights.bin", offset=37, length=2**64 - 1))
broken("has 63 bytes of data, 'tensor<4x4xf32>' takes 64",
       external(location="weights.bin", offset=37))
broken('loc("w"): error: has 60 bytes', external(location="weights.bin", length=60))

# Modules that are no model.
modules = [
    ("has no function @main to export", "module {}"),
    ("only @main can be exported to ONNX",
     "func.func @main() { return } func.func @f() { return }"),
    ("'arith.constant' has no ONNX form and cannot be exported",
     "func.func @main() { %0 = arith.constant 1 : i32 return }"),
    ("'twist.gate' has no ONNX form and cannot be exported",
     """twist.axis @a {kind="head", index=0, units=2, sources=["w:1"]}
     func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
       %g = twist.gate %x by @a dim 0 at [#twist.place<offset=0, outer=1, units=2, inner=2>] : tensor<4xf32>
       return %g : tensor<4xf32> }"""),
    ("attribute 'a' has no ONNX form: 1 : i8",
     """func.func @main() { "onnx.node"() {op_type = "A", node_attributes = {a = 1 : i8}} : () -> () return }"""),
    ("a value of type 'tensor<4xindex>' has no ONNX form",
     "func.func @main(%x: tensor<4xindex>) { return }"),
    ("a value of type 'i32' has no ONNX form", "func.func @main(%x: i32) { return }"),
    ("'onnx.ModelProto' has no field 'nonsense'",
     "module attributes {onnx.model = {nonsense = 1 : si64}} { func.func @main() { return } }"),
    ("field 'onnx.ModelProto.ir_version' cannot be made of \"x\"",
     "module attributes {onnx.model = {ir_version = \"x\"}} { func.func @main() { return } }"),
    ("attribute 'b' needs a region of one block with a yield",
     """func.func @main() { "onnx.node"() {op_type = "If", region_names = ["b"]} : () -> () return }"""),
    ("value_info is not a list of dictionaries",
     "module attributes {onnx.model = {graph = {value_info = [1]}}} { func.func @main() { return } }"),
    ("default_inputs has no index or value_info",
     "module attributes {onnx.model = {graph = {default_inputs = [{}]}}} { func.func @main() { return } }"),
    ("field 'opset_import' is not a list",
     "module attributes {onnx.model = {opset_import = 1}} { func.func @main() { return } }"),
    ("cannot read weights from '/nowhere': No such file or directory",
     """weights.source @s from "/nowhere"
     func.func @main() -> tensor<40x40xf32> { %0 = weights.load <@s at 0 as tensor<40x40xf32>> : tensor<40x40xf32>
       return %0 : tensor<40x40xf32> }"""),
    ("weights at bytes 50 to 6450 of 's', a file of 100 bytes",
     f"""weights.source @s from "{work}/in/weights.bin"
     func.func @main() -> tensor<40x40xf32> {{ %0 = weights.load <@s at 50 as tensor<40x40xf32>> : tensor<40x40xf32>
       return %0 : tensor<40x40xf32> }}"""),
]
for message, text in modules:
    path = f"{work}/in/module.mlir"
    with open(path, "w") as f:
        f.write(text)
    expect(message, path)

# Outputs.
big = good()
big.graph.initializer[0].CopyFrom(nh.from_array(np.ones((300, 300), np.float32), "w"))
big.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 300
path = f"{work}/in/big.onnx"
onnx.save(big, path)
expect("out.onnx\":0:0): error: cannot be written: No such file or directory", path,
       output=f"{work}/no/out.onnx")
os.makedirs(f"{work}/taken.onnx")
expect("cannot be written: it is there and no regular file", path, output=f"{work}/taken.onnx")
expect("more than a model file can hold (1000)", path, "--inline-limit=1000",
       "--external-data=never")
full = dict(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000)))
expect("cannot be written: File too large", path, **full)
expect("cannot be written: File too large", path, "--external-data=always", **full)


# Upgrades.
def upgrade(message, m):
    target = f"{work}/in/upgrade.onnx"
    onnx.save(m, target)
    expect(message, target, "--onnx-upgrade", tool="twist-opt", output=f"{work}/out.mlir")


def changed(m, change):
    m = copy.deepcopy(m)
    change(m)
    return m


upgrade("operator 'Unheard' is unknown in operator set 17",
        changed(good(), lambda m: setattr(m.graph.node[0], "op_type", "Unheard")))
upgrade('loc("product")',
        changed(good(), lambda m: setattr(m.graph.node[0], "op_type", "Unheard")))
upgrade("is declared as 'tensor<?x5xf32>', but its node gives 'tensor<?x4xf32>'",
        changed(good(), lambda m: setattr(m.graph.output[0].type.tensor_type.shape.dim[1],
                                          "dim_value", 5)))
upgrade("is declared as 'tensor<?x4xi64>', but its node gives 'tensor<?x4xf32>'",
        changed(good(), lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", T.INT64)))
upgrade("has an index outside its dimensions",
        changed(sparse(), lambda m: m.graph.sparse_initializer[1].indices.CopyFrom(
            nh.from_array(np.int64([[5]])))))
upgrade("has an index outside its dimensions",  # though the element it would be is inside
        changed(sparse(), lambda m: m.graph.sparse_initializer[0].indices.CopyFrom(
            nh.from_array(np.int64([[0, 7], [1, 1], [2, 2]])))))
upgrade("has impossible dimensions",
        changed(sparse(), lambda m: m.graph.sparse_initializer[1].dims.append(2**62)))
upgrade("is a sparse tensor of",
        changed(sparse(), lambda m: m.graph.sparse_initializer[1].dims.append(2**40)))
upgrade("has 3 indices for 1 values",
        changed(sparse(), lambda m: m.graph.sparse_initializer[1].indices.CopyFrom(
            nh.from_array(np.int64([1, 2, 3])))))
upgrade("a sparse tensor of this type is not supported",
        changed(sparse(), lambda m: m.graph.sparse_initializer[1].indices.CopyFrom(
            nh.from_array(np.int32([3])))))
upgrade("cannot be inlined", changed(functions(), lambda m: m.functions[0].node.append(
    h.make_node("Scale", ["b"], ["c"], domain="my"))))
print(f"{count} errors")
