"""cpu.gemm on buffers against numpy: types, panels, epilogues, odd sizes."""
import itertools

import ml_dtypes
import numpy as np

from harness import Library

NAMES = {"f32": np.float32, "f64": np.float64, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "i32": np.int32,
         "i8": np.int8, "u8": np.uint8}
LONG = """%0 = arith.addf %acc, %bb : {0}
      %1 = math.tanh %0 : {0}
      %2 = arith.addf %1, %rr : {0}"""
SHORT = """%0 = arith.addf %acc, %bb : {0}
      %2 = arith.addf %0, %rr : {0}"""


def function(name, element, accumulator, panel, epilogue, unsigned, group=1):
    """(m, k) x packed or plain (k, n), all sizes open."""
    element = element.replace("u", "i")
    lhs, out = f"memref<?x?x{element}>", f"memref<?x?x{accumulator}>"
    rhs = f"memref<?x?x{panel * group}x{element}>" if panel else lhs
    maps = ["(m,n,k)->(m,k)", "(m,n,k)->(n,k)" if panel else "(m,n,k)->(k,n)"]
    extras, types, arguments, body = "", "", "", f"^bb0(%acc: {accumulator}):\n      cpu.yield %acc : {accumulator}"
    if epilogue:
        maps += ["(m,n,k)->(n)", "(m,n,k)->(m,n)"]
        extras, types = ", %b, %r", f", memref<?x{accumulator}>, {out}"
        arguments = f", %b: memref<?x{accumulator}>, %r: {out}"
        body = (f"^bb0(%acc: {accumulator}, %bb: {accumulator}, %rr: {accumulator}):\n      "
                f"{epilogue.format(accumulator)}\n      cpu.yield %2 : {accumulator}")
    maps.append("(m,n,k)->(m,n)")
    attributes = f"panel = {panel} : i64, " if panel else ""
    attributes += "lhs_unsigned, rhs_unsigned, " if unsigned else ""
    return f"""
func.func @{name}(%x: {lhs}, %w: {rhs}{arguments}, %y: {out}) attributes {{llvm.emit_c_interface}} {{
  cpu.gemm(%x, %w{extras}) into %y {{indexing_maps = [{", ".join(f"affine_map<{m}>" for m in maps)}],
    batch = 0 : i64, rows = 1 : i64, {attributes}accumulator = {accumulator}}}
    : ({lhs}, {rhs}{types}, {out}) -> () {{
    {body}
  }}
  return
}}"""


def pack(matrix, panel, group=1):
    k, n = matrix.shape
    panels, groups = -(-n // panel), -(-k // group)
    padded = np.zeros((groups * group, panels * panel), matrix.dtype)
    padded[:k, :n] = matrix
    turned = padded.reshape(groups, group, panels, panel).transpose(2, 0, 3, 1)
    return np.ascontiguousarray(turned).reshape(panels, groups, panel * group)


def check(library, name, element, accumulator, panel, epilogue, group, m, n, k):
    rng = np.random.default_rng(m * 10007 + n * 101 + k)
    make = lambda shape: (rng.integers(0, 9, shape) if element[0] in "iu" else rng.standard_normal(shape))
    x, w = make((m, k)).astype(NAMES[element]), make((k, n)).astype(NAMES[element])
    out = NAMES[accumulator]
    b, r = make(n).astype(out), make((m, n)).astype(out)
    y = np.full((m, n), 77, out)
    want = x.astype(np.float64) @ w.astype(np.float64)
    if epilogue:
        want = (np.tanh(want + b) if epilogue is LONG else want + b) + r
    library(name, x, pack(w, panel, group) if panel else w, *((b, r) if epilogue else ()), y)
    bound = 0 if element[0] in "iu" else (k + 8) * 16 * np.finfo(out).eps
    error = abs(y - want).max(initial=0)
    assert error <= bound, (name, m, n, k, error, bound)


def main(vector_bits, march, group=1):
    lanes = vector_bits // 32
    kinds = [("f32", "f32", 3 * lanes, LONG), ("f32", "f32", 4 * lanes, None), ("f32", "f32", 0, SHORT),
             ("f64", "f64", lanes, SHORT), ("f64", "f64", 0, LONG), ("f16", "f32", 2 * lanes, None),
             ("bf16", "f32", lanes, None), ("i8", "i32", 3 * lanes, None), ("u8", "i32", 0, None)]
    if group == 2:  # pairs along k, where the processor multiplies them
        kinds = [("bf16", "f32", 3 * lanes, LONG), ("bf16", "f32", 4 * lanes, None)]
    names = [f"g{i}" for i in range(len(kinds))]
    text = "".join(function(name, *kind, kind[0] == "u8", group) for name, kind in zip(names, kinds))
    options = f"vector-bits={vector_bits} bf16-dots={str(group == 2).lower()}"
    library = Library(text, options=options, march=march)
    sizes = list(itertools.product((1, 3, 5, 8, 12, 21), (1, 16, 50, 130), (1, 34))) + [(200, 100, 7), (0, 5, 5)]
    for name, kind in zip(names, kinds):
        for size in sizes:
            check(library, name, *kind, group, *size)
    print(f"{len(names)} kernels of {vector_bits} bits agree")


if __name__ == "__main__":
    from harness import has
    main(256, "haswell")
    if has("avx512f"):
        main(512, "skylake-avx512")
    if has("avx512_bf16"):
        main(512, "cooperlake", group=2)
