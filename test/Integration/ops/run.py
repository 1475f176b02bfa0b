"""Compiles many functions at once with plain passes and calls them with numpy arrays."""
import concurrent.futures
import ctypes
import os
import re
import subprocess

import ml_dtypes
import numpy as np

# Straight to loops: this checks the lowering, not the kernels.
TO_LINALG = ["--onnx-type-nodes", "--onnx-decompose-fused", "--convert-onnx-to-linalg", "--nn-decompose",
             "--canonicalize", "--cse"]
TO_LLVM = ["--eliminate-empty-tensors",
           "--one-shot-bufferize=bufferize-function-boundaries "
           "function-boundary-type-conversion=identity-layout-map",
           "--canonicalize", "--convert-linalg-to-loops", "--cpu-expand-reshapes",
           "--expand-strided-metadata",
           "--lower-affine", "--canonicalize", "--arith-expand", "--convert-scf-to-cf",
           "--convert-math-to-llvm", "--convert-math-to-libm", "--convert-index-to-llvm",
           "--finalize-memref-to-llvm", "--convert-func-to-llvm", "--convert-arith-to-llvm",
           "--convert-cf-to-llvm", "--convert-ub-to-llvm", "--reconcile-unrealized-casts"]
LLVM = "/usr/lib/llvm-22"
SEPARATOR = "\n// -----\n"


# Functions in a module: enough to spread a process's start, few enough that work on symbols stays linear.
PART = 256


def in_parts(work, texts):
    """`work` on parts of a dictionary, a thread for each processor; its results in order."""
    items = list(texts.items())
    parts = [dict(items[i:i + PART]) for i in range(0, len(items), PART)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, range(len(parts)), parts))


def which_compile(texts):
    """For each name → text: None, or the error that twist-opt gives."""
    return {name: error for part in in_parts(which_of_part, texts) for name, error in part.items()}


def which_of_part(_, texts):
    done = subprocess.run(["twist-opt", "-", "--split-input-file", *TO_LINALG, *TO_LLVM[:4]],
                          input=SEPARATOR.join(texts.values()), capture_output=True, text=True)
    if done.returncode < 0:
        raise RuntimeError(done.stderr[-2000:])
    compiled = set(re.findall(r"func\.func @(\w+)\(", done.stdout))
    # Locations are named CASE/NODE; what has none (the parser) is tried alone.
    errors = {}
    for name, error in re.findall(r'error: loc\(.*?"(\w+)/.*?\): (.*)$', done.stderr, re.M):
        errors.setdefault(name, error)
    return {name: None if name in compiled else errors.get(name) or error_alone(texts[name])
            for name in texts}


def error_alone(text):
    done = subprocess.run(["twist-opt", "-", *TO_LINALG, *TO_LLVM[:4]], input=text,
                          capture_output=True, text=True)
    found = re.search(r"error: (?:loc\(.*?\): )?(.*)", done.stderr)
    return found.group(1) if found else f"exit {done.returncode}: {done.stderr[-300:]}"


class Library:
    """Shared objects as one."""

    def __init__(self, parts):
        self.of = {name: library for library, names in parts for name in names}

    def function(self, name):
        return getattr(self.of[name], f"_mlir_ciface_{name}")


def build(texts, folder):
    """C functions for name → text, in shared objects in `folder`."""
    os.makedirs(folder, exist_ok=True)
    return Library(in_parts(lambda number, part: (build_part(number, part, folder), list(part)), texts))


def build_part(number, texts, folder):
    path = os.path.join(folder, f"cases{number}")
    with open(path + ".mlir", "w") as file:
        file.write("\n".join(texts.values()))
    subprocess.run(["twist-opt", path + ".mlir", *TO_LINALG, *TO_LLVM, "-o", path + ".llvm.mlir"],
                   check=True)
    subprocess.run([f"{LLVM}/bin/mlir-translate", "--mlir-to-llvmir", path + ".llvm.mlir",
                    "-o", path + ".ll"], check=True)
    # Not optimised: these arrays are small, and most of the time went there.
    subprocess.run(["clang-22", "-O0", "-fPIC", "-shared", "-Wno-override-module", "-x", "ir",
                    path + ".ll", "-o", path + ".so", f"-L{LLVM}/lib", f"-Wl,-rpath,{LLVM}/lib",
                    "-lmlir_c_runner_utils", "-lm"], check=True)
    return ctypes.CDLL(path + ".so")


def descriptor(rank):
    """MLIR's memref: two pointers, an offset, sizes, strides."""
    fields = [("base", ctypes.c_void_p), ("data", ctypes.c_void_p), ("offset", ctypes.c_int64)]
    if rank:
        fields += [("sizes", ctypes.c_int64 * rank), ("strides", ctypes.c_int64 * rank)]
    return type(f"MemRef{rank}", (ctypes.Structure,), {"_fields_": fields})


def call(library, name, inputs, outputs):
    """Runs a function; `outputs` only give ranks and element types."""
    kept, arguments = [], []
    for array in inputs:
        array = np.array(array, order="C", copy=True)
        d = descriptor(array.ndim)()
        d.base = d.data = array.ctypes.data
        for i in range(array.ndim):
            d.sizes[i] = array.shape[i]
            d.strides[i] = array.strides[i] // array.itemsize
        kept.append((array, d))
        arguments.append(ctypes.byref(d))
    fields = [(f"r{i}", descriptor(np.ndim(o))) for i, o in enumerate(outputs)]
    results = type("Results", (ctypes.Structure,), {"_fields_": fields})()
    library.function(name)(ctypes.byref(results), *arguments)
    return [to_array(getattr(results, f"r{i}"), np.asarray(o)) for i, o in enumerate(outputs)]


def to_array(d, like):
    shape = tuple(d.sizes) if like.ndim else ()
    strides = [s * like.dtype.itemsize for s in d.strides] if like.ndim else []
    if min(shape, default=0) < 0:
        raise ValueError(f"shape {shape}")
    if 0 in shape:
        return np.zeros(shape, like.dtype)
    end = like.dtype.itemsize + sum((n - 1) * s for n, s in zip(shape, strides))
    raw = (ctypes.c_char * end).from_address(d.data + d.offset * like.dtype.itemsize)
    flat = np.frombuffer(raw, np.uint8)
    return np.lib.stride_tricks.as_strided(flat.view(like.dtype) if like.dtype != bool
                                           else flat.view(bool), shape, strides).copy()


# What a result may differ by, relative to the largest magnitude beside it.
TOLERANCE = {np.dtype(np.float64): 1e-6, np.dtype(np.float32): 1e-5,
             np.dtype(np.float16): 2e-3, np.dtype(ml_dtypes.bfloat16): 2e-2}


def difference(got, want):
    """None if equal enough, else what differs."""
    want = np.asarray(want)
    if got.shape != want.shape:
        return f"shape {got.shape}, not {want.shape}"
    tolerance = TOLERANCE.get(want.dtype)
    if tolerance is None:
        return None if np.array_equal(got, want) else f"{got.ravel()[:4]}, not {want.ravel()[:4]}"
    g, w = got.astype(np.float64), want.astype(np.float64)
    if np.allclose(g, w, rtol=tolerance, atol=tolerance, equal_nan=True):
        return None
    return f"{g.ravel()[:4]}, not {w.ravel()[:4]} (off by {np.nanmax(np.abs(g - w)):.3g})"
