"""The matrix products of a GPT's training step, alone: forward, gradients of inputs and of weights, attention.

6 layers of width 384 with 6 heads, context 256, vocabulary 8192, batch 16: 4096 rows. Each is a linalg einsum on run-time
operands, so what a product copies or transposes counts; the peer is MKL (from PyPI), given the operands as they lie.
"""
import ctypes
import glob
import os
import subprocess
import sys

import ml_dtypes
import numpy as np

from harness import Library, has

ROWS, DIM, VOCAB, HEADS, CONTEXT, BATCH = 4096, 384, 8192, 6, 256, 16
PASSES = ["-pass-pipeline=builtin.module(func.func(cpu-form-contractions{OPTIONS}),canonicalize,cse,"
          "one-shot-bufferize{bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map},"
          "canonicalize,buffer-results-to-out-params{modify-public-functions hoist-static-allocs hoist-dynamic-allocs},"
          "cpu-lower-kernels{OPTIONS},cpu-expand-math,cpu-launch-to-loops,canonicalize,cse,cpu-llvm)"]
NUMPY = {"f32": np.float32, "bf16": ml_dtypes.bfloat16}
# Columns and k of the forward products, whose gradients swap roles; rows are ROWS.
LAYERS = {"qkv": (3 * DIM, DIM), "proj": (DIM, DIM), "fc": (4 * DIM, DIM), "fc2": (DIM, 4 * DIM), "head": (VOCAB, DIM)}
HEADED = dict(b=BATCH, h=HEADS, s=CONTEXT, u=CONTEXT, e=DIM // HEADS)
ATTENTION = {"q.k": "bshe,buhe->bhsu", "p.v": "bhsu,buhe->bshe", "dP": "bshe,buhe->bhsu", "dV": "bhsu,bshe->buhe",
             "dQ": "bhsu,buhe->bshe", "dK": "bhsu,bshe->buhe"}


def cases():
    """(name, einsum, sizes)."""
    for name, (n, k) in LAYERS.items():
        sizes = dict(m=ROWS, n=n, k=k)
        yield name, "mk,kn->mn", sizes
        yield name + " dX", "mn,kn->mk", sizes
        yield name + " dW", "mk,mn->kn", sizes
    for name, spec in ATTENTION.items():
        yield name, spec, HEADED


def split(spec):
    return spec.replace("->", ",").split(",")


def function(name, spec, sizes, element):
    x, y, z = split(spec)
    loops = sorted(set(x + y))
    tensor = lambda dims, kind: "tensor<" + "".join(f"{sizes[d]}x" for d in dims) + kind + ">"
    maps = ", ".join(f"affine_map<({','.join(loops)})->({','.join(dims)})>" for dims in (x, y, z))
    kinds = ", ".join('"parallel"' if d in z else '"reduction"' for d in loops)
    result, widen, a, b = tensor(z, "f32"), "", "%x", "%y"
    if element != "f32":
        a, b = "%xw", "%yw"
        widen = f"{a} = arith.extf %x : {element} to f32\n    {b} = arith.extf %y : {element} to f32"
    return f"""
func.func @{name}(%l: {tensor(x, element)}, %r: {tensor(y, element)}) -> {result} attributes {{llvm.emit_c_interface}} {{
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : {result}
  %f = linalg.fill ins(%zero : f32) outs(%e : {result}) -> {result}
  %p = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}}
      ins(%l, %r : {tensor(x, element)}, {tensor(y, element)}) outs(%f : {result}) {{
  ^bb0(%x: {element}, %y: {element}, %o: f32):
    {widen}
    %m = arith.mulf {a}, {b} : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }} -> {result}
  return %p : {result}
}}"""


def load_mkl(root):
    """MKL, in .deps/bench; it is installed there if need be."""
    folder = os.path.join(root, ".deps", "bench")
    if not glob.glob(os.path.join(folder, "lib", "libmkl_rt.so*")):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([os.path.join(folder, "bin", "pip"), "install", "-q", "mkl"], check=True)
    os.environ["MKL_NUM_THREADS"] = "1"
    return ctypes.CDLL(glob.glob(os.path.join(folder, "lib", "libmkl_rt.so*"))[0], mode=ctypes.RTLD_GLOBAL)


def peer(mkl, spec, element, x, y, z):
    """A call of MKL for the einsum; None where it has none."""
    names = list(split(spec))
    operands = [x, y]
    k = next(d for d in names[0] if d not in names[2])
    column = names[2][-1]
    if column in names[0]:
        names[:2], operands = names[1::-1], operands[::-1]
    row = next(d for d in names[2] if d in names[0] and d not in "bh" and d != column)
    strides = [dict(zip(dims, [s // array.itemsize for s in array.strides]))
               for dims, array in zip(names, operands + [z])]
    size = dict(zip(names[0], operands[0].shape)) | dict(zip(names[1], operands[1].shape))
    plain, turned = 111, 112
    ta, lda = (plain, strides[0][row]) if strides[0][k] == 1 else (turned, strides[0][k])
    tb, ldb = (plain, strides[1][k]) if strides[1][column] == 1 else (turned, strides[1][column])
    at = lambda array, step, i, j: array.ctypes.data + array.itemsize * (i * step["b"] + j * step["h"])
    one, zero = ctypes.c_float(1), ctypes.c_float(0)
    if "b" not in names[2]:
        call = mkl.cblas_sgemm if element == "f32" else mkl.cblas_gemm_bf16bf16f32
        a, b, c = (ctypes.c_void_p(array.ctypes.data) for array in operands + [z])
        arguments = (101, ta, tb, size[row], size[column], size[k], one, a, lda, b, ldb, zero, c, strides[2][row])
        return lambda: call(*arguments)
    if element != "f32":
        return None
    count = size["b"] * size["h"]
    places = [(ctypes.c_void_p * count)(*[at(array, step, i, j) for i in range(size["b"]) for j in range(size["h"])])
              for array, step in zip(operands + [z], strides)]
    ints = {v: ctypes.byref(ctypes.c_int(v)) for v in (ta, tb, size[row], size[column], size[k], lda, ldb, strides[2][row])}
    arguments = (101, ints[ta], ints[tb], ints[size[row]], ints[size[column]], ints[size[k]], ctypes.byref(one), places[0],
                 ints[lda], places[1], ints[ldb], ctypes.byref(zero), places[2], ints[strides[2][row]], 1,
                 ctypes.byref(ctypes.c_int(count)))
    return lambda: mkl.cblas_sgemm_batch(*arguments)


def run(root, element, vector_bits, repeats, aligned, rate, peak, peak_flops):
    """Prints a table; rates are medians, ratios medians of the turns' ratios."""
    mkl = load_mkl(root)
    rows = list(cases())
    options = f"vector-bits={vector_bits}"
    if element == "bf16" and has("avx512_bf16"):
        print(f"MKL multiplies pairs of bf16 with vdpbf16ps here; so does the column `pairs`, the column `{element}` widens.\n")
    text = "".join(function(f"f{i}", spec, sizes, element) for i, (_, spec, sizes) in enumerate(rows))
    make = lambda more: Library(text, passes=[p.replace("OPTIONS", options + more) for p in PASSES])
    libraries = {element: make("")}
    if element == "bf16" and has("avx512_bf16"):
        libraries["pairs"] = make(" bf16-dots=true")
    heads = [*libraries, "MKL", "peak", *(f"{name}/MKL" for name in libraries), "of peak"]
    print("| product | GFLOP | " + " | ".join(heads) + " |\n|---|---:|" + "---:|" * len(heads))
    for i, (name, spec, sizes) in enumerate(rows):
        rng, dims = np.random.default_rng(0), split(spec)
        x, y = (aligned(rng.standard_normal([sizes[d] for d in t], dtype=np.float32).astype(NUMPY[element]))
                for t in dims[:2])
        z, want = (aligned(np.zeros([sizes[d] for d in dims[2]], np.float32)) for _ in range(2))
        flops = 2 * int(np.prod([sizes[d] for d in set(dims[0] + dims[1])]))
        theirs = peer(mkl, spec, element, x, y, want)
        calls = [library.bind(f"f{i}", x, y, z) for library in libraries.values()]
        for call in calls:
            call()
            if theirs:
                theirs()
                assert np.allclose(z, want, rtol=1e-3, atol=2e-2 if element == "bf16" else 2e-3), name
        turns = []
        for _ in range(repeats):
            turns.append([rate(call, flops, 1) for call in calls] + [rate(theirs, flops, 1) if theirs else np.nan,
                                                                     rate(peak, peak_flops, 1)])
        turns = np.array(turns)
        ours = turns[:, :len(calls)]
        cells = [f"{v:.0f}" for v in np.median(turns, axis=0)]
        cells += [f"{np.median(ours[:, j] / turns[:, -2]):.2f}" for j in range(len(calls))]
        cells.append(f"{100 * np.median(ours[:, 0] / turns[:, -1]):.0f} %")
        print(f"| {name} | {flops / 1e9:.1f} | " + " | ".join(cells).replace("nan", "") + " |", flush=True)
