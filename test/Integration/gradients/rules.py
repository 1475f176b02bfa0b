"""Every gradient rule: right against central differences, and noticed when it is wrong.

usage: rules.py FOLDER

Each rule has a small function here in which it matters; a rule without one fails the test. With a
mistake put into that rule alone, the comparison must fail.
"""
import os
import re
import subprocess
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ops"))
import run  # noqa: E402

UNIT = "between"  # values in (-1, 1)
POSITIVE = "positive"
ABOVE = "above one"
ANY = "any"

# rule: (values of the operands, the body's expression of %a and %b)
SCALARS = {
    "arith.addf": (ANY, "arith.addf %a, %b : f64"),
    "arith.subf": (ANY, "arith.subf %a, %b : f64"),
    "arith.mulf": (ANY, "arith.mulf %a, %b : f64"),
    "arith.divf": (POSITIVE, "arith.divf %a, %b : f64"),
    "arith.remf": (POSITIVE, "arith.remf %a, %b : f64"),
    "arith.negf": (ANY, "arith.negf %a : f64"),
    "arith.maximumf": (ANY, "arith.maximumf %a, %b : f64"),
    "arith.maxnumf": (ANY, "arith.maxnumf %a, %b : f64"),
    "arith.minimumf": (ANY, "arith.minimumf %a, %b : f64"),
    "arith.minnumf": (ANY, "arith.minnumf %a, %b : f64"),
    "arith.select": (ANY, "arith.select %less, %a, %b : f64"),
    "math.powf": (POSITIVE, "math.powf %a, %b : f64"),
    "math.fpowi": (POSITIVE, "math.fpowi %a, %three : f64, i32"),
    "math.copysign": (ANY, "math.copysign %a, %b : f64"),
    "math.fma": (ANY, "math.fma %a, %b, %a : f64"),
    "math.atan2": (POSITIVE, "math.atan2 %a, %b : f64"),
}
for name in ("ceil", "floor", "round", "roundeven", "trunc", "absf", "exp", "exp2", "expm1", "tanh",
             "erf", "erfc", "sin", "cos", "tan", "sinh", "cosh", "atan", "asinh"):
    SCALARS[f"math.{name}"] = (ANY, f"math.{name} %a : f64")
for name in ("sqrt", "rsqrt", "cbrt", "log", "log2", "log10", "log1p"):
    SCALARS[f"math.{name}"] = (POSITIVE, f"math.{name} %a : f64")
for name in ("asin", "acos", "atanh"):
    SCALARS[f"math.{name}"] = (UNIT, f"math.{name} %a : f64")
SCALARS["math.acosh"] = (ABOVE, "math.acosh %a : f64")

SCALAR = """
func.func @{name}(%x: tensor<5xf64>, %y: tensor<5xf64>) -> tensor<5xf64>
    attributes {{llvm.emit_c_interface, test.rule = "{rule}"}} {{
  %e = tensor.empty() : tensor<5xf64>
  %three = arith.constant 3 : i32
  %r = linalg.generic {{indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]}}
       ins(%x, %y : tensor<5xf64>, tensor<5xf64>) outs(%e : tensor<5xf64>) {{
  ^bb0(%a: f64, %b: f64, %c: f64):
    %less = arith.cmpf olt, %a, %b : f64
    %s = {body}
    linalg.yield %s : f64
  }} -> tensor<5xf64>
  return %r : tensor<5xf64>
}}
"""
# rule: (shapes of operands, result's shape, the function's lines with operands %x, %y and result %r)
TENSORS = {
    "tensor.cast": ([(3, 2)], (3, 2), """
  %u = tensor.cast %x : tensor<3x2xf64> to tensor<?x2xf64>
  %r = tensor.cast %u : tensor<?x2xf64> to tensor<3x2xf64>"""),
    "tensor.expand_shape": ([(6,)], (3, 2), """
  %r = tensor.expand_shape %x [[0, 1]] output_shape [3, 2] : tensor<6xf64> into tensor<3x2xf64>"""),
    "tensor.collapse_shape": ([(3, 2)], (6,), """
  %r = tensor.collapse_shape %x [[0, 1]] : tensor<3x2xf64> into tensor<6xf64>"""),
    "tensor.extract_slice": ([(7,)], (3,), """
  %r = tensor.extract_slice %x[1] [3] [2] : tensor<7xf64> to tensor<3xf64>"""),
    "tensor.insert_slice": ([(3,), (7,)], (7,), """
  %r = tensor.insert_slice %x into %y[1] [3] [2] : tensor<3xf64> into tensor<7xf64>"""),
    "nn.gather": ([(4, 2)], (3, 2), """
  %i = arith.constant dense<[1, 1, -1]> : tensor<3xi64>
  %e = tensor.empty() : tensor<3x2xf64>
  %r = nn.gather ins(%x, %i : tensor<4x2xf64>, tensor<3xi64>) outs(%e : tensor<3x2xf64>) axis 0 -> tensor<3x2xf64>"""),
    "nn.scatter_add": ([(3, 2), (4, 2)], (4, 2), """
  %i = arith.constant dense<[1, 1, -1]> : tensor<3xi64>
  %r = nn.scatter_add ins(%x, %i : tensor<3x2xf64>, tensor<3xi64>) outs(%y : tensor<4x2xf64>) axis 0 -> tensor<4x2xf64>"""),
    "linalg.generic": ([(3, 2), (2, 4)], (3, 4), """
  %e = tensor.empty() : tensor<3x4xf64>
  %c = arith.constant 0.0 : f64
  %z = linalg.fill ins(%c : f64) outs(%e : tensor<3x4xf64>) -> tensor<3x4xf64>
  %r = linalg.matmul ins(%x, %y : tensor<3x2xf64>, tensor<2x4xf64>) outs(%z : tensor<3x4xf64>) -> tensor<3x4xf64>"""),
}
# Through f32: the difference needs a longer step, and both of a pair are there at once.
for rule in ("arith.extf", "arith.truncf"):
    SCALARS[rule] = (ANY, "arith.truncf %a : f64 to f32\n    %s = arith.extf %narrow : f32 to f64")
LONG_STEP = {"arith.extf", "arith.truncf"}


def tensor_type(shape):
    return f"tensor<{''.join(f'{d}x' for d in shape)}f64>"


def function(rule):
    name = rule.replace(".", "_")
    if rule in SCALARS:
        text = SCALAR.format(name=name, rule=rule, body=SCALARS[rule][1])
        return text.replace("%s = arith.truncf", "%narrow = arith.truncf")
    shapes, result, lines = TENSORS[rule]
    arguments = ", ".join(f"%{n}: {tensor_type(s)}" for n, s in zip("xy", shapes))
    return (f"\nfunc.func @{name}({arguments}) -> {tensor_type(result)}\n"
            f'    attributes {{llvm.emit_c_interface, test.rule = "{rule}"}} {{'
            f"{lines}\n  return %r : {tensor_type(result)}\n}}\n")


def operands(rule, random):
    if rule in TENSORS:
        return [random.standard_normal(s) for s in TENSORS[rule][0]], np.zeros(TENSORS[rule][1])
    kind = SCALARS[rule][0]
    values = random.uniform(0.15, 0.85, (2, 5))
    if kind == ABOVE:
        values += 1.5
    if kind in (ANY, UNIT):
        values *= np.where(random.random((2, 5)) < 0.5, -1, 1)
    if kind == ANY:
        values *= 2
    return list(values), np.zeros(5)


def error(library, rule, gradient, inputs, like):
    """The largest difference from central differences, relative to the largest slope."""
    name = rule.replace(".", "_")
    cotangent = np.random.default_rng(7).standard_normal(like.shape)
    got = run.call(library, gradient, [*inputs, cotangent], [like, *inputs])[1:]
    step = 1e-2 if rule in LONG_STEP else 1e-6
    worst, scale = 0.0, 1.0
    for i, operand in enumerate(inputs):
        for at in np.ndindex(operand.shape):
            sides = []
            for sign in (1, -1):
                changed = [a.copy() for a in inputs]
                changed[i][at] += sign * step
                sides.append((run.call(library, name, changed, [like])[0] * cotangent).sum())
            want = (sides[0] - sides[1]) / (2 * step)
            worst, scale = max(worst, abs(want - got[i][at])), max(scale, abs(want))
    return worst / scale


def main():
    listed = subprocess.run(["twist-opt", "-", "--test-gradient-rules=list"], input="module {}",
                            capture_output=True, text=True, check=True).stdout
    rules = re.findall(r"^rule (\S+)$", listed, re.M)
    untested = [r for r in rules if r not in SCALARS and r not in TENSORS]
    run.TO_LINALG = ["--test-gradient-rules", "--nn-decompose", "--canonicalize", "--cse"]
    tested = [r for r in rules if r not in untested]
    text = "#id = affine_map<(d0) -> (d0)>\n" + "".join(map(function, tested))
    library = run.build({"rules": text}, sys.argv[1])
    only = next(iter(library.of.values()))
    for rule in tested:
        name = rule.replace(".", "_")
        library.of.update({n: only for n in (name, name + "_gradient", name + "_wrong")})
    wrong, missed = [], []
    for rule in tested:
        inputs, like = operands(rule, np.random.default_rng(len(rule)))
        name = rule.replace(".", "_")
        if not error(library, rule, name + "_gradient", inputs, like) < 1e-4:
            wrong.append(rule)
        if not error(library, rule, name + "_wrong", inputs, like) > 1e-2:
            missed.append(rule)
    for title, names in (("untested", untested), ("wrong", wrong), ("not noticed", missed)):
        for name in names:
            print(f"{title}: {name}")
    print(f"{len(rules)} rules, {len(untested)} untested, {len(wrong)} wrong, "
          f"{len(missed)} mistakes not noticed")


if __name__ == "__main__":
    main()
