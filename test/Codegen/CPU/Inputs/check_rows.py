"""Softmax, the norms, gather, scatter_add, cross_entropy and gradients against numpy in f64."""
import os

import numpy as np

from harness import Library, has

rng = np.random.default_rng(4)


def softmax(x, axis):
    e = np.exp(x.astype("d") - x.max(axis, keepdims=True).astype("d"))
    return e / e.sum(axis, keepdims=True)


def close(got, want, what):
    bound = 64 * np.finfo(got.dtype).eps * max(1, abs(want).max(initial=0))
    assert abs(got.astype("d") - want).max(initial=0) <= bound, what


def check(library, m, n):
    x = 5 * rng.standard_normal((m, n))
    for name, t, axis in (("softmax", "f", 1), ("softmax0", "d", 0), ("softmax16", "e", 1)):
        y = np.zeros((m, n), t)
        library(name, x.astype(t), y)
        close(y, softmax(x.astype(t), axis), (name, m, n))
    s, b = rng.standard_normal(n), rng.standard_normal(n)
    single, y = x.astype("f"), np.zeros((m, n), "f")
    library("layer", single, s.astype("f"), b.astype("f"), y)
    centred = single.astype("d") - single.mean(1, keepdims=True, dtype="d")
    close(y, centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * s + b, ("layer", m, n))
    y = np.zeros((m, n))
    library("rms", x, s, y)
    close(y, x / np.sqrt((x * x).mean(1, keepdims=True) + 1e-5) * s, ("rms", m, n))
    # Indices beyond the data are kept inside.
    i = rng.integers(-m - 3, m + 3, (3, 7))
    y = np.zeros((3, 7, n), "f")
    library("gather", single, i, y)
    assert (y == single[np.clip(np.where(i < 0, i + m, i), 0, m - 1)]).all()
    i, bytes_ = rng.integers(-n, n, 11).astype("i"), x.astype(np.int8)
    y = np.zeros((m, 11), np.int8)
    library("gather1", bytes_, i, y)
    assert (y == bytes_[:, i]).all()


def check_losses(library, m, n):
    x = 30 * rng.standard_normal((m, n)).astype("f")
    targets = rng.integers(0, n, m)
    targets[rng.random(m) < 0.3] = -100
    losses, normalisers = np.zeros(m, "f"), np.zeros(m, "f")
    library("losses", x, targets, losses, normalisers)
    wide = x.astype("d")
    want = wide.max(1) + np.log(np.exp(wide - wide.max(1, keepdims=True)).sum(1))
    close(normalisers, want, ("normalisers", m, n))
    kept = np.take_along_axis(wide, np.maximum(targets, 0)[:, None], 1)[:, 0]
    want = np.where(targets < 0, 0, want - 0.9 * kept - 0.1 * wide.mean(1))
    close(losses, want, ("losses", m, n))
    # What is no class.
    targets[0] = n
    library("losses", x, targets, losses, normalisers)
    assert np.isnan(losses[0]) and np.isfinite(losses[1:]).all()


def check_scatter(library, m, n):
    table, i = rng.standard_normal((m, n)), rng.integers(-m - 3, m + 3, (3, 7))
    updates = rng.standard_normal((3, 7, n))
    got, want = table.astype("f"), table.astype("f")
    library("scatter0", updates.astype("f"), i, got)
    at = np.clip(np.where(i < 0, i + m, i), 0, m - 1)
    np.add.at(want, at, updates.astype("f"))
    assert (got == want).all(), ("scatter0", m, n)
    got, want = table.copy(), table.copy()
    i, updates = rng.integers(-n, n, 11).astype("i"), rng.standard_normal((m, 11))
    library("scatter1", updates, i, got)
    for k, column in enumerate(i):
        want[:, column] += updates[:, k]
    assert (got == want).all(), ("scatter1", m, n)


def check_gradients(library, m, n):
    x, g = rng.standard_normal((2, m, n))
    for name, t, axis in (("softmax_gradient", "f", 1), ("softmax_gradient0", "d", 0)):
        y, got = softmax(x, axis).astype(t), g.astype(t)
        want = y.astype("d") * (got - (y * got.astype("d")).sum(axis, keepdims=True))
        library(name, y, got)
        close(got, want, (name, m, n))
    scale = rng.standard_normal(n)
    for name, t, centred in (("layer_gradient", "f", True), ("rms_gradient", "d", False)):
        rows, s, d = x.astype(t), scale.astype(t), np.zeros((m, n), t)
        means, factors = np.full(m, 7, t), np.zeros(m, t)
        library(name, rows, s, g.astype(t), d, means, factors)
        mean = rows.mean(1, keepdims=True, dtype="d") * centred
        factor = 1 / np.sqrt(((rows - mean) ** 2).mean(1, keepdims=True) + 1e-5)
        h, u = (rows - mean) * factor, g.astype(t).astype("d") * s
        want = u - centred * u.mean(1, keepdims=True) - h * (u * h).mean(1, keepdims=True)
        close(means, mean[:, 0], (name, "means", m, n))
        close(factors, factor[:, 0], (name, "factors", m, n))
        close(d, factor * want, (name, m, n))


def main():
    with open(os.path.join(os.path.dirname(__file__), "rows.mlir")) as file:
        text = file.read()
    for bits, march in ((256, "haswell"), (512, "native")):
        if bits == 512 and not has("avx512f"):
            continue
        library = Library(text, options=f"vector-bits={bits}", march=march)
        for m, n in ((3, 5), (40, 77), (1, 1), (129, 1000), (5, 4000), (64, 16)):
            check(library, m, n)
            check_losses(library, m, n)
            check_scatter(library, m, n)
            check_gradients(library, m, n)
        # Masked rows stay finite where something is kept.
        x, y = np.array([[-np.inf, 1, -np.inf, 1]], "f"), np.zeros((1, 4), "f")
        library("softmax", x, y)
        assert (y == [[0, 0.5, 0, 0.5]]).all()
    print("rows agree")


main()
