"""Kernels of linalg.generic, named ops and copies against numpy."""
import numpy as np

from harness import Library, has

TYPES = {"f": "f32", "d": "f64", "e": "f16", "b": "i8", "h": "i16", "i": "i32", "l": "i64"}
rng = np.random.default_rng(3)


class Case:
    """One function of a linalg.generic: operands (dims, type), the last the output; `body` yields %r."""

    def __init__(self, loops, kinds, operands, body, expect, layout=None):
        self.loops, self.kinds, self.operands, self.body, self.expect = loops, kinds, operands, body, expect
        self.layout = layout or {}

    def text(self, name):
        maps = ", ".join(f"affine_map<({','.join(self.loops)})->({dims})>" for dims, _ in self.operands)
        kinds = ", ".join('"parallel"' if k == "p" else '"reduction"' for k in self.kinds)
        types = []
        for i, (dims, t) in enumerate(self.operands):
            sizes = "?x" * (len(dims.split(",")) if dims else 0)
            types.append(f"memref<{sizes}{TYPES[t]}{self.layout.get(i, '')}>")
        names = [f"%a{i}" for i in range(len(types))]
        arguments = ", ".join(f"{n}: {t}" for n, t in zip(names, types))
        block = ", ".join(f"%x{i}: {TYPES[t]}" for i, (_, t) in enumerate(self.operands))
        return f"""
func.func @{name}({arguments}) attributes {{llvm.emit_c_interface}} {{
  linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}}
      ins({", ".join(names[:-1])} : {", ".join(types[:-1])}) outs({names[-1]} : {types[-1]}) {{
  ^bb0({block}):
    {self.body}
    linalg.yield %r : {TYPES[self.operands[-1][1]]}
  }}
  return
}}"""


def strided(array):
    """The same values in memory with gaps."""
    big = np.zeros([2 * n + 1 for n in array.shape], array.dtype)
    view = big[tuple(slice(0, 2 * n, 2) for n in array.shape)]
    view[...] = array
    return view


S2 = ", strided<[?, ?]>"
CASES = [
    Case("ij", "pp", [("i,j", "f"), ("j", "f"), ("i,j", "f")], "%r = arith.addf %x0, %x1 : f32", lambda a, b, o: a + b),
    Case("ij", "pp", [("i,j", "d"), ("i", "d"), ("i,j", "d")], "%r = arith.mulf %x0, %x1 : f64",
         lambda a, b, o: a * b[:, None]),
    Case("ij", "pp", [("j,i", "f"), ("i,j", "f")], "%r = arith.negf %x0 : f32", lambda a, o: -a.T),
    Case("ijk", "ppp", [("k,i,j", "e"), ("i,j,k", "f")], "%r = arith.extf %x0 : f16 to f32",
         lambda a, o: a.transpose(1, 2, 0).astype("f")),
    Case("ij", "pp", [("i,j", "f"), ("i,j", "f")], "%r = arith.negf %x0 : f32", lambda a, o: -a, {0: S2}),
    Case("ij", "pp", [("i,j", "i"), ("i,j", "i")], "%r = arith.addi %x0, %x1 : i32", lambda a, o: a + o, {1: S2}),
    Case("ij", "pp", [("i,j", "l"), ("j", "l"), ("i,j", "l")], "%r = arith.divsi %x0, %x1 : i64",
         lambda a, b, o: np.trunc(a / b).astype(np.int64)),
    Case("ij", "pp", [("i,j", "b"), ("i,j", "f"), ("i,j", "f")],
         "%c = arith.trunci %x0 : i8 to i1\n%r = arith.select %c, %x1, %x2 : f32", lambda a, b, o: np.where(a & 1, b, o)),
    Case("ij", "pp", [("i,j", "f"), ("i,j", "b")],
         "%z = arith.constant 0.0 : f32\n%c = arith.cmpf ogt, %x0, %z : f32\n%r = arith.extui %c : i1 to i8",
         lambda a, o: (a > 0).astype(np.int8)),
    Case("ij", "pp", [("i,j", "h"), ("i,j", "l")],
         "%i = linalg.index 0 : index\n%j = linalg.index 1 : index\n%k = arith.muli %i, %j : index\n"
         "%c = arith.index_cast %k : index to i64\n%w = arith.extsi %x0 : i16 to i64\n%r = arith.addi %c, %w : i64",
         lambda a, o: np.outer(np.arange(a.shape[0]), np.arange(a.shape[1])) + a),
    Case("ij", "pr", [("i,j", "f"), ("i", "f")], "%r = arith.addf %x0, %x1 : f32", lambda a, o: o + a.sum(1)),
    Case("ij", "rp", [("i,j", "d"), ("j", "d")], "%r = arith.addf %x0, %x1 : f64", lambda a, o: o + a.sum(0)),
    Case("ij", "rr", [("i,j", "f"), ("", "f")], "%r = arith.maximumf %x0, %x1 : f32", lambda a, o: max(o, a.max())),
    Case("ijk", "prp", [("i,j,k", "f"), ("i,k", "f")], "%r = arith.maximumf %x0, %x1 : f32",
         lambda a, o: np.maximum(o, a.max(1))),
    Case("ijk", "rpr", [("i,j,k", "i"), ("j", "i")], "%r = arith.addi %x0, %x1 : i32", lambda a, o: o + a.sum((0, 2))),
    Case("ij", "pr", [("i,j", "e"), ("i", "f")], "%w = arith.extf %x0 : f16 to f32\n%r = arith.addf %w, %x1 : f32",
         lambda a, o: o + a.astype("d").sum(1)),
    # No combiner: the order of the op must stay.
    Case("ij", "pr", [("i,j", "f"), ("i", "f")],
         "%h = arith.constant 0.5 : f32\n%m = arith.mulf %x1, %h : f32\n%r = arith.addf %m, %x0 : f32", None),
    Case("ij", "pr", [("i+j", "f"), ("j", "f"), ("i", "f")],
         "%m = arith.mulf %x0, %x1 : f32\n%r = arith.addf %m, %x2 : f32", None),
]
SHAPES = [(1, 1, 1), (3, 5, 2), (7, 16, 33), (40, 77, 3), (2, 20000, 1), (300, 70, 5)]


def decay(a, o):
    for j in range(a.shape[1]):
        o = o * np.float32(0.5) + a[:, j]
    return o


def window(a, b, o):
    return np.array([o[i] + (a[i:i + len(b)].astype("d") * b).sum() for i in range(len(o))])


CASES[-2].expect, CASES[-1].expect = decay, window


def make(t, shape):
    if t in "fde":
        return rng.standard_normal(shape).astype(t)
    return rng.choice([-3, -2, -1, 1, 2, 3, 5], shape).astype({"b": "i1", "h": "i2", "i": "i4", "l": "i8"}[t])


def run(library, name, case, sizes):
    extent = dict(zip("ijk", sizes))
    arrays = []
    for i, (dims, t) in enumerate(case.operands):
        shape = [sum(extent[d] for d in part.split("+")) - part.count("+") for part in dims.split(",")] if dims else []
        array = np.array(make(t, shape))
        arrays.append(strided(array) if i in case.layout else array)
    want = case.expect(*[a.copy() for a in arrays])
    library(name, *arrays)
    got = arrays[-1]
    scale = 1 if got.dtype.kind == "i" else abs(want).max() + 1
    bound = 0 if got.dtype.kind == "i" else 300 * np.finfo(got.dtype).eps * scale
    assert abs(got.astype("d") - want).max() <= bound, (name, sizes, case.body, got, want)


OTHERS = """
func.func @fill(%y: memref<?x?xf32, strided<[?, 1]>>) attributes {llvm.emit_c_interface} {
  %c = arith.constant 3.0 : f32
  linalg.fill ins(%c : f32) outs(%y : memref<?x?xf32, strided<[?, 1]>>)
  return
}
func.func @copy(%x: memref<?x?xf32, strided<[?, ?]>>, %y: memref<?x?xf32>) attributes {llvm.emit_c_interface} {
  memref.copy %x, %y : memref<?x?xf32, strided<[?, ?]>> to memref<?x?xf32>
  return
}
func.func @transpose(%x: memref<?x?x?xf64>, %y: memref<?x?x?xf64>) attributes {llvm.emit_c_interface} {
  linalg.transpose ins(%x : memref<?x?x?xf64>) outs(%y : memref<?x?x?xf64>) permutation = [2, 0, 1]
  return
}
func.func @lookup(%t: memref<?x?xf32>, %i: memref<?xi64>, %y: memref<?xf32>) attributes {llvm.emit_c_interface} {
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%i : memref<?xi64>) outs(%y : memref<?xf32>) {
  ^bb0(%a: i64, %o: f32):
    %row = arith.index_cast %a : i64 to index
    %column = linalg.index 0 : index
    %r = memref.load %t[%row, %column] : memref<?x?xf32>
    linalg.yield %r : f32
  }
  return
}"""


def others(library):
    y = np.ones((9, 40), "f")
    library("fill", y[:, 3:24])
    assert (y[:, 3:24] == 3).all() and (y[:, :3] == 1).all() and (y[:, 24:] == 1).all()
    x = rng.standard_normal((21, 80)).astype("f")
    y = np.zeros((11, 20), "f")
    library("copy", x[::2, 1::4], y)
    assert (y == x[::2, 1::4]).all()
    x = rng.standard_normal((5, 6, 33))
    y = np.zeros((33, 5, 6))
    library("transpose", x, y)
    assert (y == x.transpose(2, 0, 1)).all()
    t, i, y = rng.standard_normal((50, 37)).astype("f"), rng.integers(0, 50, 37), np.zeros(37, "f")
    library("lookup", t, i, y)
    assert (y == t[i, np.arange(37)]).all()


def main():
    names = [f"g{i}" for i in range(len(CASES))]
    text = "".join(case.text(name) for name, case in zip(names, CASES)) + OTHERS
    for bits, march in ((256, "haswell"), (512, "native")):
        if bits == 512 and not has("avx512f"):
            continue
        library = Library(text, options=f"vector-bits={bits}", march=march)
        for name, case in zip(names, CASES):
            for sizes in SHAPES:
                run(library, name, case, sizes)
        others(library)
    print(f"{len(CASES)} generic ops agree")


main()
