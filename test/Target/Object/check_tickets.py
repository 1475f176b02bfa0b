"""twist compile with a ticket: the card, the proofs, the same numbers as slicing first. Argument: a folder."""
import json
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper


def run(*arguments, error=None):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if (done.returncode, error is None or error in done.stderr) != (0 if error is None else 1, True):
        sys.exit(f"FAILED {arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def write_model(path):
    """relu(x · up + bias) · down."""
    rng = np.random.default_rng(0)
    weights = {"up": (8, 16), "bias": (16,), "down": (16, 4)}
    nodes = [helper.make_node("MatMul", ["x", "up"], ["a"]), helper.make_node("Add", ["a", "bias"], ["b"]),
             helper.make_node("Relu", ["b"], ["c"]), helper.make_node("MatMul", ["c", "down"], ["y"])]
    graph = helper.make_graph(
        nodes, "mlp", [helper.make_tensor_value_info("x", 1, ["batch", 8])],
        [helper.make_tensor_value_info("y", 1, ["batch", 4])],
        [numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name) for name, shape in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)


def outputs(name):
    run("twist", "run", name, "--input", "x=x.npy", "--output-dir", name + ".out")
    return np.load(name + ".out/y.npy")


def main(folder):
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    write_model("mlp.onnx")
    np.save("x.npy", np.random.default_rng(1).standard_normal((3, 8)).astype(np.float32))
    run("twist", "ticket", "mlp.onnx", "--kappa=0.5", "--policy=random", "-o", "t.json")
    run("twist", "slice", "mlp.onnx", "--ticket", "t.json", "-o", "small.onnx")
    run("twist", "compile", "mlp.onnx", "-o", "dense", "--quiet")
    run("twist", "compile", "small.onnx", "-o", "small", "--quiet")
    run("twist", "compile", "mlp.onnx", "--ticket", "t.json", "--verify", "-o", "cut", "--quiet")
    run("twist", "compile", "mlp.onnx", "--ticket", "t.json", "--dim=batch=3", "--precision=f64", "-o", "double", "--quiet")
    if not np.array_equal(outputs("cut"), outputs("small")) or np.allclose(outputs("cut"), outputs("dense")):
        sys.exit("FAILED: cutting while compiling is not cutting before")
    card = json.load(open("cut.card.json"))
    assert card["parameters"] == 8 * 8 + 8 + 8 * 4 and card["dense_parameters"] == 8 * 16 + 16 + 16 * 4, card
    assert [(a["units"], a["kept"]) for a in card["axes"].values()] == [(16, 8)], card
    assert len(card["ticket"]["sha256"]) == 64 and card["precision"] == "f32"
    assert card["model"] == json.load(open("t.json"))["model"], card["model"]
    assert {p["proof"] for p in card["proofs"]} == {"poison", "equal f64", "equal f32", "acts"}, card["proofs"]
    assert all(p["holds"] for p in card["proofs"]) and card["proved_on"] == "compiled programs"
    double = json.load(open("double.card.json"))
    assert double["inputs"] == [{"name": "x", "type": "f64", "dims": [3, 8]}] and double["precision"] == "f64", double

    compile_ = ["twist", "compile", "mlp.onnx", "-o", "bad"]
    run(*compile_, "--ticket=none.json", error="none.json: error: cannot read ticket")
    run(*compile_, "--verify", error="--verify needs a ticket")
    run(*compile_, "--dim=width=3", error="width")
    run("twist", "compile", "none.onnx", "-o", "bad", error="none.onnx: error: cannot be read")
    ticket = json.load(open("t.json"))
    axis = next(iter(ticket["axes"].values()))
    axis["keep"] = [99]
    json.dump(ticket, open("wrong.json", "w"))
    run(*compile_, "--ticket=wrong.json", error="wrong.json: error:")
    left = [name for name in os.listdir(".") if name.startswith("bad")]
    assert not left, left
    print("ok")


main(sys.argv[1])
