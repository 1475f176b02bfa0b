"""Contractions on tensors, through cpu-form-contractions and bufferisation, against numpy's einsum."""
import ml_dtypes
import numpy as np

from harness import Library, has

BEFORE = ["-pass-pipeline=builtin.module(func.func(cpu-form-contractions{vector-bits=VECTOR bf16-dots=DOTS}),canonicalize,cse,"
          "one-shot-bufferize{bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map},"
          "canonicalize,buffer-results-to-out-params{modify-public-functions hoist-static-allocs hoist-dynamic-allocs},"
          "cpu-lower-kernels{vector-bits=VECTOR bf16-dots=DOTS},cpu-expand-math,cpu-launch-to-loops,canonicalize,cse,cpu-llvm)"]
NUMPY = {"f32": np.float32, "f64": np.float64, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "i8": np.int8, "i32": np.int32}
# Capitals are more than one block of k, one panel, or the rows of one task.
SIZES = {"b": 3, "h": 2, "m": 19, "n": 37, "k": 23, "j": 5, "u": 1, "o": 64, "K": 1037, "M": 397, "N": 150,
         "R": 70, "D": 45, "C": 270, "S": 5}
STATIC = "ouRDCS"


def tensor(dims, element):
    sizes = "".join((str(SIZES[d]) if d in STATIC else "?") + "x" for d in dims)
    return f"tensor<{sizes}{element}>"


def function(name, spec, element, out, triangle=None):
    """The einsum as a linalg.generic, with a mark nn.triangle where two dimensions and an offset are given; a residual is
    added behind it."""
    x, rest = spec.split(",")
    y, z = rest.split("->")
    loops = sorted(set(x + y))
    kinds = ", ".join('"parallel"' if d in z else '"reduction"' for d in loops)
    maps = [f"affine_map<({','.join(loops)})->({','.join(t)})>" for t in (x, y, z)]
    floating = out[-3] == "f" or out == "bf16"
    widen = "" if element == out else (f"%xw = arith.ext{'f' if floating else 'si'} %x : {element} to {out}\n"
                                       f"%yw = arith.ext{'f' if floating else 'si'} %y : {element} to {out}\n")
    a, c = ("%xw", "%yw") if widen else ("%x", "%y")
    kind = "f" if floating else "i"
    mark = ""
    if triangle:
        first, second, offset = triangle
        mark = f"attrs = {{nn.triangle = array<i64: {loops.index(first)}, {loops.index(second)}, {offset}>}} "
    sizes, lines = [], []
    for d in z:
        if d in STATIC:
            continue
        source, dims = ("%a", x) if d in x else ("%b", y)
        lines.append(f"%c{d} = arith.constant {dims.index(d)} : index\n"
                     f"%d{d} = tensor.dim {source}, %c{d} : {tensor(dims, element)}")
        sizes.append("%d" + d)
    t, identity = tensor(z, out), f"affine_map<({','.join(z)})->({','.join(z)})>"
    return f"""
func.func @{name}(%a: {tensor(x, element)}, %b: {tensor(y, element)}, %r: {t}) -> {t} attributes {{llvm.emit_c_interface}} {{
  {chr(10).join(lines)}
  %zero = arith.constant {'0.0' if floating else '0'} : {out}
  %e = tensor.empty({', '.join(sizes)}) : {t}
  %f = linalg.fill ins(%zero : {out}) outs(%e : {t}) -> {t}
  %p = linalg.generic {{indexing_maps = [{', '.join(maps)}], iterator_types = [{kinds}]}}
      ins(%a, %b : {tensor(x, element)}, {tensor(y, element)}) outs(%f : {t}) {mark}{{
  ^bb0(%x: {element}, %y: {element}, %o: {out}):
    {widen}
    %m = arith.mul{kind} {a}, {c} : {out}
    %s = arith.add{kind} %o, %m : {out}
    linalg.yield %s : {out}
  }} -> {t}
  %q = linalg.generic {{indexing_maps = [{identity}, {identity}, {identity}],
      iterator_types = [{', '.join(['"parallel"'] * len(z))}]}} ins(%p, %r : {t}, {t}) outs(%e : {t}) {{
  ^bb0(%x: {out}, %y: {out}, %o: {out}):
    %s = arith.add{kind} %x, %y : {out}
    linalg.yield %s : {out}
  }} -> {t}
  return %q : {t}
}}"""


SPECS = ["mk,kn->mn", "mk,nk->mn", "km,kn->mn", "kn,mk->mn", "bmk,bkn->bmn", "bhmk,bhnk->bhmn", "bmhk,bnhk->bhmn",
         "bhmk,bnhk->bmhn", "bmk,kn->bmn", "hmk,bkn->bhmn", "bmk,bko->bmo", "mk,ko->mo", "mk,ku->mu", "uk,kn->un",
         "k,kn->n", "mk,k->m", "mjk,jkn->mn", "bmk,bmk->bm", "m,n->mn", "bhmk,hkn->bhmn",
         "KM,Kn->Mn", "mK,NK->mN", "KM,NK->MN", "bjm,bjn->mn", "bjmk,bjn->mkn",
         "KM,Ko->Mo", "SRD,DSo->SRo"]
# Halves summed to halves: the sums of blocks wait in f32.
HALVES = ["KM,Kn->Mn", "mK,NK->mN"]
# Rows that are widened once for several panels.
WIDENED = ["RD,DC->RC", "RD,CD->RC", "RD,Do->Ro"]
# Pairs of bf16 along k, odd numbers of them too.
PAIRS = ["mk,kn->mn", "km,kn->mn", "bhmk,bhnk->bhmn", "kn,mk->mn", "KM,Kn->Mn", "mK,NK->mN", "mo,no->mn", "bmk,bko->bmo"]


def main():
    kinds = [("f32", "f32"), ("f64", "f64"), ("f16", "f32"), ("i8", "i32")]
    cases = [(f"c{i}_{element}", spec, element, out) for i, spec in enumerate(SPECS)
             for element, out in (kinds if i < 3 else kinds[:1 + i % 2])]
    cases += [(f"h{i}", spec, "f16", "f16") for i, spec in enumerate(HALVES)]
    cases += [(f"w{i}_{element}_{out}", spec, element, out) for i, spec in enumerate(WIDENED)
              for element, out in (("f16", "f32"), ("f16", "f16"), ("i8", "i32"), ("bf16", "f32"))]
    pairs = [(f"p{i}", spec, "bf16", ("f32", "bf16")[i % 2]) for i, spec in enumerate(PAIRS)]
    for bits, march in ((256, "haswell"), (512, "native")):
        if bits == 512 and not has("avx512f"):
            continue
        dots = bits == 512 and has("avx512_bf16")
        run = cases + (pairs if dots else [])
        text = "".join(function(*case) for case in run)
        library = Library(text, passes=[p.replace("VECTOR", str(bits)).replace("DOTS", str(dots).lower()) for p in BEFORE],
                          march=march)
        rng = np.random.default_rng(1)
        for name, spec, element, out in run:
            x, y, z = spec.replace("->", ",").split(",")
            make = lambda t, kind: (rng.integers(-9, 9, [SIZES[d] for d in t]) if kind[0] == "i" else
                                    rng.standard_normal([SIZES[d] for d in t])).astype(NUMPY[kind])
            a, b, r = make(x, element), make(y, element), make(z, out)
            got = np.full(r.shape, 77, NUMPY[out])
            library(name, a, b, r, got)
            want = np.einsum(spec, a.astype(np.float64), b.astype(np.float64)) + r.astype(np.float64)
            if out in ("f16", "bf16"):  # one rounding of the sum, one of what is added
                bound = 2 * float(ml_dtypes.finfo(NUMPY[out]).eps) * abs(want).max()
            else:
                bound = 0 if out[0] == "i" else 2000 * np.finfo(NUMPY[out]).eps
            error = abs(got.astype(np.float64) - want).max()
            assert error <= bound, (name, spec, error, bound)
    print(f"{len(run)} contractions agree")


if __name__ == "__main__":
    main()
