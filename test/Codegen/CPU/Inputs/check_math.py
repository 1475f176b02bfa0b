"""Functions on vectors: errors in ulp against a wider type, and special values."""
import math

import numpy as np

from harness import Library

# Name: lowest and highest argument, reference, error in ulp allowed for f32 and f64.
FUNCTIONS = {
    "exp": (-100, 88, np.exp, 1.1, 1), "tanh": (-12, 12, np.tanh, 4.5, 2.5),
    "erf": (-5, 5, np.vectorize(math.erf), 4.5, 1), "log": (1e-30, 1e10, np.log, 1, 1),
    "log1p": (-0.99, 10, np.log1p, 2.5, 2), "expm1": (-20, 20, np.expm1, 3, 2), "sin": (-30, 30, np.sin, 1, 1),
    "cos": (-30, 30, np.cos, 1, 1), "atan": (-10, 10, np.arctan, 1, 1), "log2": (1e-30, 1e10, np.log2, 2, 1),
    "sqrt": (0, 100, np.sqrt, 0.51, 0.51), "floor": (-9, 9, np.floor, 0, 0), "roundeven": (-9, 9, np.rint, 0, 0)}
SPECIAL = {"exp": [np.nan, np.inf, 0, 1, 1], "tanh": [np.nan, 1, -1, 0, -0.0], "log": [np.nan, np.inf, np.nan, -np.inf, -np.inf]}
TYPES = {"f": "f32", "d": "f64", "e": "f16"}


def function(name, t):
    kind = f"memref<?x{TYPES[t]}>"
    return f"""
func.func @{name}_{t}(%x: {kind}, %y: {kind}) attributes {{llvm.emit_c_interface}} {{
  linalg.generic {{indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}}
      ins(%x : {kind}) outs(%y : {kind}) {{
  ^bb0(%a: {TYPES[t]}, %o: {TYPES[t]}):
    %r = math.{name} %a : {TYPES[t]}
    linalg.yield %r : {TYPES[t]}
  }}
  return
}}"""


def power():
    body = "".join(f"""
func.func @pow{n}(%x: memref<?xf32>, %y: memref<?xf32>) attributes {{llvm.emit_c_interface}} {{
  linalg.generic {{indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}}
      ins(%x : memref<?xf32>) outs(%y : memref<?xf32>) {{
  ^bb0(%a: f32, %o: f32):
    %p = arith.constant {n}.0 : f32
    %r = math.powf %a, %p : f32
    linalg.yield %r : f32
  }}
  return
}}""" for n in (2, 3, 5))
    return body


def check(library, name, t):
    low, high, reference, single, double = FUNCTIONS[name]
    x = np.random.default_rng(0).uniform(low, high, 5001)
    if 0 < low and high / low > 1e5:
        x = np.exp(np.random.default_rng(0).uniform(np.log(low), np.log(high), 5001))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        x = x.astype(t)
        x = x[np.isfinite(x) & (np.isfinite(reference(x.astype("d"))))]
        y = np.zeros_like(x)
        library(f"{name}_{t}", x, y)
        want = reference(x.astype("d" if name == "erf" else np.longdouble))
        keep = np.isfinite(want.astype(t))
        ulp = (abs(y.astype(np.longdouble) - want) / np.spacing(abs(want).astype(t)))[keep].max()
    bound = {"f": single, "d": double, "e": 0.51}[t]
    assert ulp <= bound, (name, t, float(ulp))
    if name in SPECIAL:
        x = np.array([np.nan, np.inf, -np.inf, 0, -0.0], t)
        y = np.zeros_like(x)
        library(f"{name}_{t}", x, y)
        assert np.array_equal(y, np.array(SPECIAL[name], t), equal_nan=True), (name, t, y)


def main():
    library = Library("".join(function(name, t) for name in FUNCTIONS for t in TYPES) + power())
    for name in FUNCTIONS:
        for t in TYPES:
            check(library, name, t)
    x = np.linspace(-3, 3, 77).astype("f")
    for n in (2, 3, 5):
        y = np.zeros_like(x)
        library(f"pow{n}", x, y)
        assert np.allclose(y, x.astype("d")**n, rtol=3e-7, atol=0)
    print("functions agree")


main()
