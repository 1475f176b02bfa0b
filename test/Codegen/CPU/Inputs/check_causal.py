"""Products of which a triangle is left out, and causal attention with its gradients: the same numbers as without."""
import re
import subprocess
import tempfile

import numpy as np

from check_contractions import BEFORE, NUMPY, SIZES, function
from harness import Library, has

# Rows and columns, rows or columns and k: which of k blocks, staged rows, panels and what is left of each see a bound.
SPECS = {"f32": ["bmk,bnk->bmn"], "f64": ["KM,NK->MN"], "bf16": ["KM,KN->MN"]}
PAIRS = ["mn", "nm", "mk", "km", "nk", "kn"]
OFFSETS = {"mn": 5, "nm": 260, "mk": 700, "km": 0, "nk": 3, "kn": 0}


def case_of(spec, dim):
    return dim.upper() if dim.upper() in spec else dim


def check_products(bits, march, dots):
    cases = []
    for element, specs in SPECS.items():
        if element == "bf16" and not dots:
            continue
        out = "f64" if element == "f64" else "f32"
        for spec in specs:
            cases.append((f"c{len(cases)}", spec, element, out, None))
            for pair in PAIRS:
                first, second = (case_of(spec, d) for d in pair)
                cases.append((f"c{len(cases)}", spec, element, out, (first, second, OFFSETS[pair])))
    passes = [p.replace("VECTOR", str(bits)).replace("DOTS", str(dots).lower()) for p in BEFORE]
    library = Library("".join(function(*case) for case in cases), passes=passes, march=march, level="-O1")
    plain = None
    for name, spec, element, out, triangle in cases:
        if triangle is None:
            plain = name
            continue
        rng = np.random.default_rng(3)
        x, y, z = spec.replace("->", ",").split(",")
        a, b, r = (rng.standard_normal([SIZES[d] for d in t]).astype(NUMPY[kind])
                   for t, kind in ((x, element), (y, element), (z, out)))
        first, second, offset = triangle
        hidden = lambda dims: (np.arange(SIZES[second]).reshape([-1 if d == second else 1 for d in dims]) >
                               np.arange(SIZES[first]).reshape([-1 if d == first else 1 for d in dims]) + offset)
        for t, operand in ((x, a), (y, b)):
            if first in t and second in t:
                operand[np.broadcast_to(hidden(t), operand.shape)] = 0
        want, got = np.zeros(r.shape, NUMPY[out]), np.full(r.shape, 77, NUMPY[out])
        library(plain, a, b, r, want)
        library(name, a, b, r, got)
        error = abs(want - np.einsum(spec, a.astype("d"), b.astype("d")) - r).max()
        assert error <= 4000 * np.finfo(NUMPY[out]).eps, (spec, element, error)
        if first in z and second in z:
            got = np.where(hidden(z), want, got)
        assert (got == want).all(), (spec, element, triangle, abs(got - want).max())
    return len(cases)


# Name, queries, keys, head, element, mask, whether neighbouring heads share keys.
ATTENTION = [("odd", 37, 37, 8, "f32", "where", True), ("late", 50, 83, 20, "f32", "add", False),
             ("long", 600, 600, 16, "f32", "index", True)]
BATCH, HEADS, KEY_HEADS = 2, 4, 2


def attention(name, rows, columns, head, t, mask, shared):
    """Heads beside each other in [batch, position, head, …], as a projection leaves them."""
    late, heads = columns - rows, KEY_HEADS if shared else HEADS
    q, k = f"tensor<{BATCH}x{rows}x{HEADS}x{head}x{t}>", f"tensor<{BATCH}x{columns}x{heads}x{head}x{t}>"
    s, plane = f"tensor<{BATCH}x{HEADS}x{rows}x{columns}x{t}>", f"tensor<{rows}x{columns}x{'i8' if mask != 'add' else t}>"
    y = f"tensor<{BATCH}x{HEADS}x{rows}x{head}x{t}>"
    visible = np.tri(rows, columns, late, dtype=bool)
    if mask == "index":
        cells = f"""%em = tensor.empty() : {plane}
  %late = arith.constant {late} : index
  %mask = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}} outs(%em : {plane}) {{
  ^bb0(%o: i8):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %last = arith.addi %i, %late : index
    %c = arith.cmpi sle, %j, %last : index
    %byte = arith.extui %c : i1 to i8
    linalg.yield %byte : i8
  }} -> {plane}"""
    else:
        items = np.where(visible, "1", "0") if mask == "where" else np.where(visible, "0.0", "-1.0e9")
        cells = f"%mask = arith.constant dense<[{', '.join('[' + ', '.join(row) + ']' for row in items)}]> : {plane}"
    hide = ("%r = arith.addf %scaled, %c : " + t if mask == "add" else "%bit = arith.trunci %c : i8 to i1\n    %r = arith.select %bit, %scaled, %low : " + t)
    group = HEADS // heads
    maps = lambda *m: "[" + ", ".join(f"affine_map<(b, h, i, j, d) -> ({x})>" for x in m) + "]"
    wide = f"tensor<{BATCH}x{columns}x{HEADS}x{head}x{t}>"
    repeat, names = "", ["%k", "%v"]
    if group > 1:  # each key's head for its group of queries, as exporters write it
        five = f"tensor<{BATCH}x{columns}x{heads}x{group}x{head}x{t}>"
        names = ["%kw", "%vw"]
        for source, target in zip(("%k", "%v"), names):
            repeat += f"""
  {target}e = tensor.empty() : {five}
  {target}5 = linalg.generic {{indexing_maps = [affine_map<(b, j, h, g, d) -> (b, j, h, d)>, affine_map<(b, j, h, g, d) -> (b, j, h, g, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}} ins({source} : {k}) outs({target}e : {five}) {{
  ^bb0(%x: {t}, %o: {t}):
    linalg.yield %x : {t}
  }} -> {five}
  {target} = tensor.collapse_shape {target}5 [[0], [1], [2, 3], [4]] : {five} into {wide}"""
    return f"""
func.func @{name}(%q: {q}, %k: {k}, %v: {k}) -> {y} {{
  %zero = arith.constant 0.0 : {t}
  %scale = arith.constant 0.25 : {t}
  %low = arith.constant -1.0e30 : {t}
  {cells}{repeat}
  %e = tensor.empty() : {s}
  %f = linalg.fill ins(%zero : {t}) outs(%e : {s}) -> {s}
  %s = linalg.generic {{indexing_maps = {maps("b, i, h, d", "b, j, h, d", "b, h, i, j")}, iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}}
      ins(%q, {names[0]} : {q}, {wide}) outs(%f : {s}) {{
  ^bb0(%x: {t}, %z: {t}, %o: {t}):
    %m = arith.mulf %x, %z : {t}
    %n = arith.addf %o, %m : {t}
    linalg.yield %n : {t}
  }} -> {s}
  %m = linalg.generic {{indexing_maps = [affine_map<(b, h, i, j) -> (b, h, i, j)>, affine_map<(b, h, i, j) -> (i, j)>, affine_map<(b, h, i, j) -> (b, h, i, j)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}} ins(%s, %mask : {s}, {plane}) outs(%e : {s}) {{
  ^bb0(%x: {t}, %c: {plane.split("x")[-1][:-1]}, %o: {t}):
    %scaled = arith.mulf %x, %scale : {t}
    {hide}
    linalg.yield %r : {t}
  }} -> {s}
  %p = linalg.softmax dimension(3) ins(%m : {s}) outs(%e : {s}) -> {s}
  %ye = tensor.empty() : {y}
  %yf = linalg.fill ins(%zero : {t}) outs(%ye : {y}) -> {y}
  %y = linalg.generic {{indexing_maps = {maps("b, h, i, j", "b, j, h, d", "b, h, i, d")}, iterator_types = ["parallel", "parallel", "parallel", "reduction", "parallel"]}}
      ins(%p, {names[1]} : {s}, {wide}) outs(%yf : {y}) {{
  ^bb0(%x: {t}, %z: {t}, %o: {t}):
    %m2 = arith.mulf %x, %z : {t}
    %n = arith.addf %o, %m2 : {t}
    linalg.yield %n : {t}
  }} -> {y}
  return %y : {y}
}}"""


def gradients(text, causal):
    with tempfile.NamedTemporaryFile("w", suffix=".mlir") as file:
        file.write(text)
        file.flush()
        command = ["twist-opt", file.name, "--twist-differentiate", "--canonicalize", "--cse"]
        found = subprocess.run(command + ["--nn-find-causal"] * causal, check=True, capture_output=True, text=True).stdout
    assert ("nn.causal_softmax" in found) == causal
    if causal:  # all six products of each
        assert found.count("nn.triangle") >= 6 * len(ATTENTION), found.count("nn.triangle")
    return re.sub(r"(func\.func @\w+\(.*\) -> .*) {\n", r"\1 attributes {llvm.emit_c_interface} {\n", found)


def reference(q, k, v, g, late):
    """In f64: the result and the gradients."""
    q, k, v = (x.astype("d").transpose(0, 2, 1, 3) for x in (q, k, v))
    group = q.shape[1] // k.shape[1]
    kw, vw = np.repeat(k, group, 1), np.repeat(v, group, 1)
    s = np.where(np.tri(q.shape[2], k.shape[2], late, dtype=bool), q @ kw.swapaxes(2, 3) / 4, -np.inf)
    p = np.exp(s - s.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    dp = g.astype("d") @ vw.swapaxes(2, 3)
    ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / 4
    join = lambda x: x.reshape(x.shape[0], k.shape[1], group, *x.shape[2:]).sum(2)
    back = (ds @ kw, join(ds.swapaxes(2, 3) @ q), join(p.swapaxes(2, 3) @ g.astype("d")))
    return [p @ vw] + [x.transpose(0, 2, 1, 3) for x in back]


def check_attention(bits, march):
    text = "".join(attention(*case) for case in ATTENTION)
    passes = [p.replace("VECTOR", str(bits)).replace("DOTS", "false") for p in BEFORE]
    skips, whole = (Library(gradients(text, causal), passes=passes, march=march, level="-O1") for causal in (True, False))
    for name, rows, columns, head, t, _, shared in ATTENTION:
        rng = np.random.default_rng(rows)
        make = lambda *shape: rng.standard_normal(shape).astype(NUMPY[t])
        heads = KEY_HEADS if shared else HEADS
        q, k, v = make(BATCH, rows, HEADS, head), make(BATCH, columns, heads, head), make(BATCH, columns, heads, head)
        g = make(BATCH, HEADS, rows, head)
        results = [[np.full_like(x, 77) for x in (g, q, k, v)] for _ in range(2)]
        for library, found in zip((skips, whole), results):
            library(name + "_gradient", q, k, v, g, *found)
        for one, other, want in zip(*results, reference(q, k, v, g, columns - rows)):
            assert (one == other).all(), (name, abs(one - other).max())
            assert abs(one - want).max() <= 2000 * np.finfo(NUMPY[t]).eps, (name, abs(one - want).max())


def main():
    wide = has("avx512f")
    count = check_products(512 if wide else 256, "native", has("avx512_bf16"))
    for bits, march in ((256, "haswell"), (512, "native"))[:1 + wide]:
        check_attention(bits, march)
    print(f"{count} products and {len(ATTENTION)} attentions agree")


if __name__ == "__main__":
    main()
