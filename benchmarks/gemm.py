"""Matrix kernels in f32 against numpy's OpenBLAS and the machine's multiply-add peak, on one thread.

Rates are by processor time, each the median of runs taken in turn with the others. With --step, the products of a
training step instead, against MKL (which PyPI has; 1 GB in .deps/bench).
    benchmarks/gemm [--repeats 15] [--vector-bits 512] [--step f32|bf16]
"""
import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"
import numpy as np  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test", "Codegen", "CPU", "Inputs"))
from check_gemm import function, pack  # noqa: E402
from harness import Library  # noqa: E402

# Rows, columns, k; the panel in registers (0: read in place).
SHAPES = [(512, 3072, 768, 3), (512, 768, 3072, 3), (512, 768, 768, 3), (64, 3072, 768, 3), (8, 3072, 768, 3),
          (1, 3072, 768, 3), (512, 64, 512, 0), (512, 512, 64, 3)]
PEAK = """
typedef float vec __attribute__((vector_size(4 * LANES)));
double peak(long n) {
  vec sums[CHAINS];
  vec factor = (vec){} + 0.5f;
  for (int i = 0; i < CHAINS; ++i)
    sums[i] = (vec){} + (float)i;
  for (; n > 0; --n)
#pragma clang loop unroll(full)
    for (int i = 0; i < CHAINS; ++i)
      __asm__("vfmadd231ps %1, %1, %0" : "+v"(sums[i]) : "v"(factor));
  float total = 0;
  for (int i = 0; i < CHAINS; ++i)
    total += sums[i][0];
  return total;
}
"""


def aligned(array):
    """A copy that starts on a cache line."""
    raw = np.empty(array.nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    view = raw[start:start + array.nbytes].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def peak_function(lanes):
    folder = tempfile.mkdtemp()
    source, shared = os.path.join(folder, "peak.c"), os.path.join(folder, "peak.so")
    with open(source, "w") as file:
        file.write(PEAK)
    chains = 24 if lanes == 16 else 12
    subprocess.run(["clang", "-O3", "-march=native", "-mprefer-vector-width=512", f"-DLANES={lanes}", f"-DCHAINS={chains}", "-shared", "-fPIC",
                    source, "-o", shared], check=True)
    run = ctypes.CDLL(shared).peak
    run.argtypes = [ctypes.c_long]
    steps = 4000000 // chains
    return lambda: run(steps), 2 * chains * lanes * steps


def rate(run, flops, times):
    start = time.thread_time()
    for _ in range(times):
        run()
    return flops * times / (time.thread_time() - start) / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--vector-bits", type=int, default=512)
    parser.add_argument("--step", choices=["f32", "bf16"])
    options = parser.parse_args()
    lanes = options.vector_bits // 32
    peak, peak_flops = peak_function(lanes)
    if options.step:
        import step_gemm
        return step_gemm.run(ROOT, options.step, options.vector_bits, options.repeats, aligned, rate, peak, peak_flops)
    text = "".join(function(f"g{v}", "f32", "f32", v * lanes, None, False) for v in {s[3] for s in SHAPES})
    library = Library(text, options=f"vector-bits={options.vector_bits}")
    print("| rows | columns | k | GFLOP/s | OpenBLAS | peak | of peak |\n|---:|---:|---:|---:|---:|---:|---:|")
    for m, n, k, vectors in SHAPES:
        rng = np.random.default_rng(0)
        x, w = (aligned(rng.standard_normal(s, dtype=np.float32)) for s in ((m, k), (k, n)))
        packed, y = aligned(pack(w, vectors * lanes)) if vectors else w, aligned(np.zeros((m, n), np.float32))
        flops, rates = 2 * m * n * k, []
        ours = library.bind(f"g{vectors}", x, packed, y)  # making descriptors takes as long as a small product
        times = max(1, int(3e8 / flops))
        for _ in range(options.repeats):
            rates.append((rate(ours, flops, times),
                          rate(lambda: x @ w, flops, times), rate(peak, peak_flops, 1)))
        assert np.allclose(y, x @ w, rtol=1e-4, atol=1e-3)
        mine, blas, most = np.median(rates, axis=0)
        share = np.median([a / c for a, _, c in rates])
        print(f"| {m} | {n} | {k} | {mine:.1f} | {blas:.1f} | {most:.1f} | {100 * share:.0f} % |")


main()
