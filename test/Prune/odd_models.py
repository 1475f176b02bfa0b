"""Programs that no measure fits, and data that fit no program: odd_models.py FOLDER. Each must be refused with its reason."""
import os
import subprocess
import sys

import numpy as np

# One function each; weights are none, so that a program is made in no time.
PROGRAMS = {
    "two_logits": """
func.func @main(%ids: tensor<?x?xi64> {onnx.name = "ids"}) ->
    (tensor<?x?x7xf32> {onnx.name = "a"}, tensor<?x?x7xf32> {onnx.name = "b"}) { SIZES
  %x = tensor.empty(%d0, %d1) : tensor<?x?x7xf32>
  %c = arith.constant 1.0 : f32
  %y = linalg.fill ins(%c : f32) outs(%x : tensor<?x?x7xf32>) -> tensor<?x?x7xf32>
  return %y, %y : tensor<?x?x7xf32>, tensor<?x?x7xf32>
}""",
    "zeros": """
func.func @main(%ids: tensor<?x?xi64> {onnx.name = "ids"}) -> (tensor<?x?x7xf32> {onnx.name = "a"}) { SIZES
  %x = tensor.empty(%d0, %d1) : tensor<?x?x7xf32>
  %c = arith.constant 0.0 : f32
  %y = linalg.fill ins(%c : f32) outs(%x : tensor<?x?x7xf32>) -> tensor<?x?x7xf32>
  return %y : tensor<?x?x7xf32>
}""",
    "integers": """
func.func @main(%ids: tensor<?x?xi64> {onnx.name = "ids"}) -> (tensor<?x?xi64> {onnx.name = "a"}) {
  return %ids : tensor<?x?xi64>
}""",
    "arrays": """
func.func @main(%x: tensor<?x3xf32> {onnx.name = "x"}, %y: tensor<?x3xf32> {onnx.name = "y"}) -> (tensor<?x3xf32> {onnx.name = "a"}) {
  return %x : tensor<?x3xf32>
}""",
    "mixed": """
func.func @main(%x: tensor<?x3xf32> {onnx.name = "x"}, %ids: tensor<?x?xi64> {onnx.name = "ids"}) -> (tensor<?x3xf32> {onnx.name = "a"}) {
  return %x : tensor<?x3xf32>
}""",
    "flat": """
func.func @main(%ids: tensor<?xi64> {onnx.name = "ids"}) -> (tensor<?xi64> {onnx.name = "a"}) {
  return %ids : tensor<?xi64>
}""",
    "fixed": """
func.func @main(%ids: tensor<1x4xi64> {onnx.name = "ids"}) -> (tensor<1x4xi64> {onnx.name = "a"}) {
  return %ids : tensor<1x4xi64>
}""",
}
SIZES = """
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %d0 = tensor.dim %ids, %0 : tensor<?x?xi64>
  %d1 = tensor.dim %ids, %1 : tensor<?x?xi64>"""
# Program, further arguments, what must be said.
EVAL = [
    ("two_logits", ["--data", "ids.npy"], "outputs 'a' and 'b' may be the logits: --output NAME"),
    ("integers", ["--data", "ids.npy"], "no output can be logits: floating-point numbers, [batch, sequence, tokens]"),
    ("integers", ["--data", "ids.npy", "--output", "a"], "output 'a' holds no floating-point numbers"),
    ("zeros", ["--data", "one.npy", "--context", "1"], "windows of one token tell none"),
    ("integers", ["--data", "ids.npy", "--reference", "zeros"], "the model has no output of floating-point numbers"),
    ("zeros", ["--data", "ids.npy", "--reference", "integers"], "the reference: output 'a' holds no floating-point numbers"),
    ("zeros", ["--data", "ids.npy", "--reference", "two_logits"], "output 'a' has a vector that is zero or not finite"),
    ("arrays", ["--data", "x=three.npy", "--data", "y=four.npy"], "the arrays of --data have 3 and 4 rows"),
    ("mixed", ["--data", "x=three.npy", "--data", "ids.npy"], "--data are ids or arrays for named inputs, not both"),
    ("flat", ["--data", "ids.npy"], "ids go into an input of shape [batch, sequence]; 'ids' has another"),
    ("fixed", ["--data", "ids.npy", "--context", "5"], "the model takes windows of 4 tokens, not 5"),
    ("arrays", ["--data", "ids.npy"], "input 'x' needs data: --data x=FILE.npy"),
    ("fixed", ["--data", "ids.npy", "--input", "ids=zeros"], "no input takes the data"),
]


def run(*arguments):
    return subprocess.run(arguments, capture_output=True, text=True)


def main(folder):
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    rng = np.random.default_rng(0)
    np.save("ids.npy", rng.integers(0, 7, (4, 16)))
    np.save("one.npy", rng.integers(0, 7, (4, 1)))
    for name, rows in (("three", 3), ("four", 4)):
        np.save(name + ".npy", rng.standard_normal((rows, 3)).astype(np.float32))
    for name, text in PROGRAMS.items():
        open(name + ".mlir", "w", encoding="utf-8").write(text.replace("SIZES", SIZES))
        done = run("twist", "compile", name + ".mlir", "-o", name, "--quiet")
        if done.returncode:
            sys.exit(f"FAILED {name}: {done.stderr}")
    bad = 0
    for name, more, message in EVAL:
        done = run("twist", "eval", name, *more)
        if done.returncode != 1 or message not in done.stderr:
            print(f"FAILED {name} {more}: {done.returncode} {done.stderr.strip()!r}, not {message!r}")
            bad += 1
    print(f"{len(EVAL)} refusals, {bad} failed")
    return bad > 0


sys.exit(main(sys.argv[1]))
