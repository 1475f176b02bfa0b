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
# rule: (shapes of operands, result's shape, the function's lines with operands %x, %y, %z and result
# %r). What follows a colon tells several of one rule apart.
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
    # Pairs of a loss and a normaliser; the second target is ignored.
    "nn.cross_entropy": ([(2, 3, 5)], (2, 2, 3), """
  %t = arith.constant dense<[[4, -7, 0], [1, 1, 2]]> : tensor<2x3xi64>
  %e = tensor.empty() : tensor<2x3xf64>
  %o = tensor.empty() : tensor<2x2x3xf64>
  %l:2 = nn.cross_entropy ins(%x, %t : tensor<2x3x5xf64>, tensor<2x3xi64>) outs(%e, %e : tensor<2x3xf64>, tensor<2x3xf64>) {ignore = -7 : i64, smoothing = 0.2 : f64} -> tensor<2x3xf64>, tensor<2x3xf64>
  %p = tensor.insert_slice %l#0 into %o[0, 0, 0] [1, 2, 3] [1, 1, 1] : tensor<2x3xf64> into tensor<2x2x3xf64>
  %r = tensor.insert_slice %l#1 into %p[1, 0, 0] [1, 2, 3] [1, 1, 1] : tensor<2x3xf64> into tensor<2x2x3xf64>"""),
    "nn.cross_entropy: in place, sizes unknown": ([(3, 5), (5,)], (3,), """
  %t = arith.constant dense<[3, 0, 4]> : tensor<3xi32>
  %xd = tensor.cast %x : tensor<3x5xf64> to tensor<?x?xf64>
  %td = tensor.cast %t : tensor<3xi32> to tensor<?xi32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %xd, %c0 : tensor<?x?xf64>
  %n = tensor.dim %xd, %c1 : tensor<?x?xf64>
  %f = tensor.empty(%m, %n) : tensor<?x?xf64>
  %s = linalg.generic {indexing_maps = [#rows, #column, #rows], iterator_types = ["parallel", "parallel"]}
       ins(%xd, %y : tensor<?x?xf64>, tensor<5xf64>) outs(%f : tensor<?x?xf64>) {
  ^bb0(%a: f64, %b: f64, %c: f64):
    %q = arith.mulf %a, %b : f64
    linalg.yield %q : f64
  } -> tensor<?x?xf64>
  %e = tensor.empty(%m) : tensor<?xf64>
  %l:2 = nn.cross_entropy ins(%s, %td : tensor<?x?xf64>, tensor<?xi32>) outs(%e, %e : tensor<?xf64>, tensor<?xf64>) -> tensor<?xf64>, tensor<?xf64>
  %r = tensor.cast %l#0 : tensor<?xf64> to tensor<3xf64>"""),
    "linalg.softmax": ([(2, 3, 4)], (2, 3, 4), """
  %e = tensor.empty() : tensor<2x3x4xf64>
  %r = linalg.softmax dimension(2) ins(%x : tensor<2x3x4xf64>) outs(%e : tensor<2x3x4xf64>) -> tensor<2x3x4xf64>"""),
    "linalg.softmax: columns, sizes unknown": ([(3, 4)], (3, 4), """
  %c0 = arith.constant 0 : index
  %xd = tensor.cast %x : tensor<3x4xf64> to tensor<?x4xf64>
  %n = tensor.dim %xd, %c0 : tensor<?x4xf64>
  %e = tensor.empty(%n) : tensor<?x4xf64>
  %s = linalg.softmax dimension(0) ins(%xd : tensor<?x4xf64>) outs(%e : tensor<?x4xf64>) -> tensor<?x4xf64>
  %r = tensor.cast %s : tensor<?x4xf64> to tensor<3x4xf64>"""),
    "nn.layer_norm": ([(2, 3, 4), (4,), (4,)], (2, 3, 4), """
  %e = tensor.empty() : tensor<2x3x4xf64>
  %r = nn.layer_norm ins(%x, %y, %z : tensor<2x3x4xf64>, tensor<4xf64>, tensor<4xf64>) outs(%e : tensor<2x3x4xf64>) {epsilon = 1.0e-2 : f64} -> tensor<2x3x4xf64>"""),
    "nn.layer_norm: without bias, sizes unknown": ([(3, 4), (4,)], (3, 4), """
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %xd = tensor.cast %x : tensor<3x4xf64> to tensor<?x?xf64>
  %yd = tensor.cast %y : tensor<4xf64> to tensor<?xf64>
  %m = tensor.dim %xd, %c0 : tensor<?x?xf64>
  %n = tensor.dim %xd, %c1 : tensor<?x?xf64>
  %e = tensor.empty(%m, %n) : tensor<?x?xf64>
  %s = nn.layer_norm ins(%xd, %yd : tensor<?x?xf64>, tensor<?xf64>) outs(%e : tensor<?x?xf64>) {epsilon = 1.0e-2 : f64} -> tensor<?x?xf64>
  %r = tensor.cast %s : tensor<?x?xf64> to tensor<3x4xf64>"""),
    "nn.rms_norm": ([(3, 4), (4,)], (3, 4), """
  %e = tensor.empty() : tensor<3x4xf64>
  %r = nn.rms_norm ins(%x, %y : tensor<3x4xf64>, tensor<4xf64>) outs(%e : tensor<3x4xf64>) {epsilon = 1.0e-2 : f64} -> tensor<3x4xf64>"""),
    # Twice from %x, once at an index that repeats; the sum is over the second loop.
    "linalg.generic: picks": ([(4, 3), (2, 3)], (2,), """
  %i = arith.constant dense<[[1, 3, 1], [0, 1, 1]]> : tensor<2x3xi64>
  %z = arith.constant dense<0.0> : tensor<2xf64>
  %r = linalg.generic {indexing_maps = [#rows, #rows, #row], iterator_types = ["parallel", "reduction"]}
       ins(%i, %y : tensor<2x3xi64>, tensor<2x3xf64>) outs(%z : tensor<2xf64>) {
  ^bb0(%a: i64, %b: f64, %c: f64):
    %k = arith.index_cast %a : i64 to index
    %j = linalg.index 1 : index
    %p = tensor.extract %x[%k, %j] : tensor<4x3xf64>
    %q = tensor.extract %x[%j, %j] : tensor<4x3xf64>
    %u = arith.mulf %p, %q : f64
    %v = arith.mulf %u, %b : f64
    %w = arith.addf %c, %v : f64
    linalg.yield %w : f64
  } -> tensor<2xf64>"""),
    # State and weight of a recurrence, three times, into rows of a result.
    "scf.for": ([(2,), (2,), (3, 2)], (3, 2), """
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %e = tensor.empty() : tensor<2xf64>
  %none = arith.constant dense<0.0> : tensor<3x2xf64>
  %r, %last = scf.for %i = %c0 to %c3 step %c1 iter_args(%all = %none, %h = %x) -> (tensor<3x2xf64>, tensor<2xf64>) {
    %in = tensor.extract_slice %z[%i, 0] [1, 2] [1, 1] : tensor<3x2xf64> to tensor<2xf64>
    %n = linalg.generic {indexing_maps = [#id, #id, #id, #id], iterator_types = ["parallel"]}
         ins(%h, %y, %in : tensor<2xf64>, tensor<2xf64>, tensor<2xf64>) outs(%e : tensor<2xf64>) {
    ^bb0(%a: f64, %b: f64, %c: f64, %o: f64):
      %p = arith.mulf %a, %b : f64
      %q = arith.addf %p, %c : f64
      %t = math.tanh %q : f64
      linalg.yield %t : f64
    } -> tensor<2xf64>
    %s = tensor.insert_slice %n into %all[%i, 0] [1, 2] [1, 1] : tensor<2xf64> into tensor<3x2xf64>
    %next = bufferization.materialize_in_destination %n in %h : (tensor<2xf64>, tensor<2xf64>) -> tensor<2xf64>
    scf.yield %s, %next : tensor<3x2xf64>, tensor<2xf64>
  }"""),
    # Backwards by steps of 2 through what is not known before.
    "scf.for: sizes unknown": ([(2,), (5, 2)], (2,), """
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %yd = tensor.cast %y : tensor<5x2xf64> to tensor<?x2xf64>
  %c0 = arith.constant 0 : index
  %n = tensor.dim %yd, %c0 : tensor<?x2xf64>
  %e = tensor.empty() : tensor<2xf64>
  %r = scf.for %i = %c1 to %n step %c2 iter_args(%h = %x) -> (tensor<2xf64>) {
    %in = tensor.extract_slice %yd[%i, 0] [1, 2] [1, 1] : tensor<?x2xf64> to tensor<2xf64>
    %m = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]}
         ins(%h, %in : tensor<2xf64>, tensor<2xf64>) outs(%e : tensor<2xf64>) {
    ^bb0(%a: f64, %c: f64, %o: f64):
      %p = math.sin %a : f64
      %q = arith.mulf %p, %c : f64
      linalg.yield %q : f64
    } -> tensor<2xf64>
    %next = bufferization.materialize_in_destination %m in %h : (tensor<2xf64>, tensor<2xf64>) -> tensor<2xf64>
    scf.yield %next : tensor<2xf64>
  }"""),
    "bufferization.materialize_in_destination": ([(3,), (3,)], (3,), """
  %r = bufferization.materialize_in_destination %x in %y : (tensor<3xf64>, tensor<3xf64>) -> tensor<3xf64>"""),
    # Rows of factors with no zero, one and two: see operands().
    "linalg.generic: products": ([(3, 4), (3, 4)], (3,), """
  %o = arith.constant dense<90.0> : tensor<3xf64>
  %r = linalg.generic {indexing_maps = [#rows, #rows, #row], iterator_types = ["parallel", "reduction"]}
       ins(%x, %y : tensor<3x4xf64>, tensor<3x4xf64>) outs(%o : tensor<3xf64>) {
  ^bb0(%a: f64, %b: f64, %c: f64):
    %p = arith.mulf %a, %b : f64
    %t = arith.mulf %p, %c : f64
    linalg.yield %t : f64
  } -> tensor<3xf64>"""),
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


# These also against the gradient of their decomposition.
COMPOSITES = ("nn.cross_entropy", "nn.gather", "nn.layer_norm", "nn.rms_norm", "linalg.softmax")
MAPS = """#id = affine_map<(d0) -> (d0)>
#rows = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
#column = affine_map<(d0, d1) -> (d1)>
"""


def name_of(test):
    return re.sub(r"\W+", "_", test)


def rule_of(test):
    return test.split(":")[0]


def function(rule):
    name = name_of(rule)
    if rule in SCALARS:
        text = SCALAR.format(name=name, rule=rule, body=SCALARS[rule][1])
        return text.replace("%s = arith.truncf", "%narrow = arith.truncf")
    shapes, result, lines = TENSORS[rule]
    decompose = ", test.decompose" if rule_of(rule) in COMPOSITES else ""
    arguments = ", ".join(f"%{n}: {tensor_type(s)}" for n, s in zip("xyz", shapes))
    return (f"\nfunc.func @{name}({arguments}) -> {tensor_type(result)}\n"
            f'    attributes {{llvm.emit_c_interface, test.rule = "{rule_of(rule)}"{decompose}}} {{'
            f"{lines}\n  return %r : {tensor_type(result)}\n}}\n")


def operands(rule, random):
    if rule in TENSORS:
        arrays = [random.standard_normal(s) for s in TENSORS[rule][0]]
        if "products" in rule:
            arrays[0][[1, 2, 2], [1, 0, 3]] = 0
        return arrays, np.zeros(TENSORS[rule][1])
    kind = SCALARS[rule][0]
    values = random.uniform(0.15, 0.85, (2, 5))
    if kind == ABOVE:
        values += 1.5
    if kind in (ANY, UNIT):
        values *= np.where(random.random((2, 5)) < 0.5, -1, 1)
    if kind == ANY:
        values *= 2
    return list(values), np.zeros(5)


def gradients(library, test, kind, inputs, like):
    """What the function NAME_kind gives for the operands."""
    cotangent = np.random.default_rng(7).standard_normal(like.shape)
    return run.call(library, f"{name_of(test)}_{kind}", [*inputs, cotangent], [like, *inputs])[1:]


def differences(library, test, inputs, like):
    """Central differences of the result's product with the same cotangent."""
    cotangent = np.random.default_rng(7).standard_normal(like.shape)
    step = 1e-2 if test in LONG_STEP else 1e-6
    slopes = []
    for i, operand in enumerate(inputs):
        slopes.append(np.zeros(operand.shape))
        for at in np.ndindex(operand.shape):
            sides = []
            for sign in (1, -1):
                changed = [a.copy() for a in inputs]
                changed[i][at] += sign * step
                sides.append((run.call(library, name_of(test), changed, [like])[0] * cotangent).sum())
            slopes[-1][at] = (sides[0] - sides[1]) / (2 * step)
    return slopes


def error(got, want):
    """The largest difference, relative to the largest slope."""
    worst = max(abs(a - b).max() for a, b in zip(got, want))
    return worst / max(1.0, *(abs(b).max() for b in want))


def main():
    listed = subprocess.run(["twist-opt", "-", "--test-gradient-rules=list"], input="module {}",
                            capture_output=True, text=True, check=True).stdout
    rules = re.findall(r"^rule (\S+)$", listed, re.M)
    tests = [t for t in [*SCALARS, *TENSORS] if rule_of(t) in rules]
    untested = set(rules) - set(map(rule_of, tests))
    run.TO_LINALG = ["--test-gradient-rules", "--nn-decompose", "--canonicalize", "--cse"]
    library = run.build({"rules": MAPS + "".join(map(function, tests))}, sys.argv[1])
    only = next(iter(library.of.values()))
    for test in tests:
        library.of.update({name_of(test) + kind: only
                           for kind in ("", "_gradient", "_wrong", "_decomposed")})
    faults = {"untested": untested, "wrong": [], "not noticed": [], "not as decomposed": []}
    for test in tests:
        inputs, like = operands(test, np.random.default_rng(len(test)))
        want = differences(library, test, inputs, like)
        got = gradients(library, test, "gradient", inputs, like)
        if not error(got, want) < 1e-4:
            faults["wrong"].append(test)
        if not error(gradients(library, test, "wrong", inputs, like), want) > 1e-2:
            faults["not noticed"].append(test)
        if rule_of(test) in COMPOSITES:
            decomposed = gradients(library, test, "decomposed", inputs, like)
            if not error(got, decomposed) < 1e-12:
                faults["not as decomposed"].append(test)
    for title, names in faults.items():
        for name in names:
            print(f"{title}: {name}")
    print(f"{len(rules)} rules, {len(untested)} untested, {len(faults['wrong'])} wrong, "
          f"{len(faults['not noticed'])} mistakes not noticed, "
          f"{len(faults['not as decomposed'])} unlike their decomposition")


if __name__ == "__main__":
    main()
