"""twist weights on a net of a few matrices: by name, by content, turned round, copies; and what it refuses.

    weights.py FOLDER
"""
import hashlib
import json
import os
import struct
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

RANDOM = np.random.default_rng(0)


def save(path, tensors, origins=None, metadata=None, types=None):
    header, data = {}, b""
    if origins is not None or metadata is not None:
        header["__metadata__"] = {"twist_origins": json.dumps(origins) if metadata is None else metadata}
    for name, value in tensors.items():
        raw = np.ascontiguousarray(value).tobytes()
        kind = (types or {}).get(name) or {"float32": "F32", "float64": "F64", "float16": "F16", "int64": "I64"}[str(value.dtype)]
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def content(value):
    return hashlib.sha256(np.ascontiguousarray(value, np.float32).tobytes()).hexdigest()


def build(path):
    """y = ((x W + b) S + c) V, z = y Wᵀ-as-its-own-copy: names as exporters give them."""
    w, s, v = (RANDOM.standard_normal(shape).astype("f4") for shape in ((4, 6), (6, 6), (6, 6)))
    values = {"fc.weight": w, "fc.bias": np.zeros(6, "f4"), "onnx::MatMul_7": s, "mid.bias": np.zeros(6, "f4"),
              "onnx::MatMul_9": v, "tied.weight": np.ascontiguousarray(w.T), "axes": np.array([1], "i8")}
    node = helper.make_node
    nodes = [node("MatMul", ["x", "fc.weight"], ["a"]), node("Add", ["a", "fc.bias"], ["b"]), node("Relu", ["b"], ["r"]),
             node("MatMul", ["r", "onnx::MatMul_7"], ["c"]), node("Add", ["c", "mid.bias"], ["d"]),
             node("MatMul", ["d", "onnx::MatMul_9"], ["e"]), node("MatMul", ["e", "tied.weight"], ["f"]),
             node("Squeeze", ["f", "axes"], ["z"])]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, [2, 1, 4])], [value("z", TensorProto.FLOAT, [2, 4])],
                              [numpy_helper.from_array(v, n) for n, v in values.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return {name: value for name, value in values.items() if name != "axes"}


def run(folder, source, *options, fails=False):
    words = ["twist", "weights", os.path.join(folder, "m.onnx"), "--from", os.path.join(folder, source), "-o",
             os.path.join(folder, "new.onnx"), "--list", *options]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


def made(folder):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(os.path.join(folder, "new.onnx")).graph.initializer}


def same(folder, wanted):
    got = made(folder)
    for name, value in wanted.items():
        assert got[name].dtype == np.float32 and np.array_equal(got[name], value.astype("f4")), name
    assert list(got["axes"]) == [1]


def main(folder):
    old = build(os.path.join(folder, "m.onnx"))
    new = {name: RANDOM.standard_normal(value.shape).astype("f4") for name, value in old.items()}
    save(os.path.join(folder, "names.safetensors"), new)
    print(run(folder, "names.safetensors"))
    same(folder, new)

    del new["tied.weight"]
    save(os.path.join(folder, "untied.safetensors"), new)
    print(run(folder, "untied.safetensors"))
    same(folder, {**new, "tied.weight": new["fc.weight"].T})

    # As PyTorch has them: out × in, one tensor for what is tied, other names, a prefix, f64 and f16.
    new["tied.weight"] = np.ascontiguousarray(new["fc.weight"].T)
    new["mid.bias"] = new["mid.bias"].astype("f2").astype("f4")
    torch = {"net.fc.weight": new["fc.weight"].T, "net.fc.bias": new["fc.bias"].astype("f8"), "net.s.weight": new["onnx::MatMul_7"].T,
             "net.mid.bias": new["mid.bias"].astype("f2"), "net.v.weight": new["onnx::MatMul_9"]}
    origins = {"net.fc.weight": content(old["fc.weight"].T), "net.s.weight": content(old["onnx::MatMul_7"].T),
               "net.v.weight": content(old["onnx::MatMul_9"])}
    save(os.path.join(folder, "torch.safetensors"), torch, origins)
    print(run(folder, "torch.safetensors"))
    same(folder, new)
    session = onnxruntime.InferenceSession(os.path.join(folder, "new.onnx"), providers=["CPUExecutionProvider"])
    x = RANDOM.standard_normal((2, 1, 4)).astype("f4")
    hidden = np.maximum(x @ new["fc.weight"] + new["fc.bias"], 0) @ new["onnx::MatMul_7"] + new["mid.bias"]
    want = (hidden @ new["onnx::MatMul_9"] @ new["fc.weight"].T)[:, 0]
    assert np.allclose(session.run(None, {"x": x})[0], want, atol=1e-4)

    # Untouched ones are told by what they are.
    kept = {"other": old["onnx::MatMul_7"].T, **{n: v for n, v in old.items() if n not in ("onnx::MatMul_7", "tied.weight")}}
    save(os.path.join(folder, "kept.safetensors"), kept)
    print(run(folder, "kept.safetensors"))
    same(folder, old)

    os.remove(os.path.join(folder, "new.onnx"))
    bad = {
        "missing": (lambda: save(p, {"fc.weight": old["fc.weight"], "x": old["mid.bias"][:3]}),
                    "no tensor, or more than one, for 'fc.bias', 'onnx::MatMul_7', 'mid.bias', 'onnx::MatMul_9'; not used: 'x' "
                    "(--keep-missing leaves such weights as they are)"),
        "rest": (lambda: save(p, {**old, "step": np.zeros(1, "f4")}), "no weight for 'step' (--ignore-rest leaves them out)"),
        "shape": (lambda: save(p, {**old, "fc.bias": np.zeros(5, "f4")}), "tensor 'fc.bias' is [5], weight 'fc.bias' [6]"),
        "type": (lambda: save(p, {**old, "fc.bias": np.zeros(6, "i8")}),
                 "tensor 'fc.bias' holds no floating-point numbers, weight 'fc.bias' [6]"),
        "bytes": (lambda: save(p, old, types={"fc.bias": "F64"}),
                  "tensor 'fc.bias' has not as many bytes as its shape says"),
        "origins": (lambda: save(p, old, metadata="[1]"), "its metadata 'twist_origins' are no JSON object"),
        "nothing": (lambda: save(p, {"a": np.zeros(1, "f4")}), "nothing in it is a weight of the model"),
        "text": (lambda: open(p, "w").write("no"), "is no safetensors file"),
    }
    for name, (write, said) in bad.items():
        p = os.path.join(folder, name)
        write()
        options = ["--keep-missing", "--ignore-rest"] if name == "nothing" else []
        message = run(folder, name, *options, fails=True)
        assert said in message, message
        assert not os.path.exists(os.path.join(folder, "new.onnx"))
    run(folder, "missing", "--keep-missing", "--ignore-rest")
    same(folder, old)
    run(folder, "rest", "--ignore-rest")

    bare = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g",
                             [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
                             [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])])
    onnx.save(helper.make_model(bare, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), os.path.join(folder, "m.onnx"))
    assert "the model has no floating-point weights" in run(folder, "names.safetensors", fails=True)
    print("what does not fit is refused")


if __name__ == "__main__":
    main(sys.argv[1])
