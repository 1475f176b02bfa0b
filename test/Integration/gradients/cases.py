"""Gradients of the ONNX project's cases for nodes, in f64, against central differences.

usage: cases.py FOLDER [--quick] [--only WORD] [--list]

Every case whose op has a lowering, with floats made f64 and moved away from ties, is
differentiated with respect to all its float operands; a random cotangent's product with the
derivative is compared with differences at up to 24 elements of each operand. --quick takes every
eighth case, sizes known.
"""
import argparse
import copy
import os
import re
import sys
import warnings

import numpy as np
import onnx

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ops"))
import backend  # noqa: E402
import emit  # noqa: E402
import run  # noqa: E402
from widen import widen  # noqa: E402

STAGE = run.TO_LINALG.index("--nn-decompose")
run.TO_LINALG = [*run.TO_LINALG[:STAGE], "--canonicalize", "--cse", "--twist-differentiate",
                 *run.TO_LINALG[STAGE:]]
STEP = 1e-6
# Errors of a difference: of second order in the step, and the rounding of f over the step.
TOLERANCE = 1e-6


def smooth(array, random):
    """The array in f64, moved a little so that nothing is tied or at a kink."""
    if array.dtype != np.float32:
        return array
    return array * 0.95 + random.uniform(0.002, 0.03, array.shape)


def prepare(cases, only, quick):
    ready = {}
    for case in cases[::8] if quick else cases:
        if only and not re.search(only, case.name):
            continue
        if "_expanded" in case.name or not backend.lowered(case.model):
            continue
        random = np.random.default_rng(len(case.name))
        name = re.sub(r"\W", "_", case.name)
        try:
            inputs, outputs = ([backend.as_array(v) for v in side] for side in case.data_sets[0])
            if (len(case.model.graph.input) != len(inputs)
                    or not any(a.dtype == np.float32 for a in inputs)
                    or not any(a.dtype == np.float32 for a in outputs)):
                continue
            # Scales and the like say how, not what.
            how = backend.fixed_operands(case.model.graph, False)
            inputs = [a if v.name in how else smooth(a, random)
                      for v, a in zip(case.model.graph.input, inputs)]
            wide = [o.astype(np.float64) if o.dtype == np.float32 else o for o in outputs]
            for sizes in ("static",) if quick else ("static", "dynamic"):
                model, kept = backend.variant(widen(copy.deepcopy(case.model), how), inputs,
                                              sizes == "dynamic")
                if any(a.dtype == np.float64 for a in kept):
                    full = f"{name}__{sizes}"
                    ready[full] = (emit.function(model, full), kept, wide)
        except emit.Unsupported:
            continue
        except Exception:  # onnx's own inference: backend.py lists these
            continue
    return ready


def check(library, name, inputs, outputs):
    """None, or what is wrong; "undefined" where the function itself is not finite."""
    random = np.random.default_rng(1)
    floats = [i for i, a in enumerate(inputs) if a.dtype == np.float64]
    chosen = [i for i, a in enumerate(outputs) if a.dtype == np.float64]
    with_shapes = run.call(library, name, inputs, outputs)
    cotangents = [random.standard_normal(with_shapes[i].shape) for i in chosen]
    if not all(np.isfinite(with_shapes[i]).all() for i in chosen):
        return "undefined"
    got = run.call(library, name + "_gradient", inputs + cotangents,
                   outputs + [inputs[i] for i in floats])
    for a, b in zip(with_shapes, got):
        if not np.array_equal(a, b):
            return "forward differs"

    def value(changed):
        results = run.call(library, name, changed, outputs)
        return sum(float((results[i] * c).sum()) for i, c in zip(chosen, cotangents))

    for position, i in enumerate(floats):
        gradient = got[len(outputs) + position]
        if gradient.shape != inputs[i].shape:
            return f"gradient of operand {i} has shape {gradient.shape}"
        scale = max(1.0, abs(value(inputs)), float(np.abs(gradient).max(initial=0)))
        for flat in random.permutation(inputs[i].size)[:24]:
            at = np.unravel_index(flat, inputs[i].shape)
            sides = []
            for sign in (1, -1):
                changed = list(inputs)
                changed[i] = np.array(inputs[i])
                changed[i][at] += sign * STEP
                sides.append(value(changed))
            want = (sides[0] - sides[1]) / (2 * STEP)
            if not np.isfinite(want):
                return "undefined"
            if abs(want - gradient[at]) > TOLERANCE * max(scale, abs(want)):
                return f"operand {i} at {tuple(map(int, at))}: {gradient[at]:.9g}, not {want:.9g}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases
    ready = prepare(collect_testcases(None), options.only, options.quick)
    errors = {n: e for n, e in run.which_compile({n: t for n, (t, _, _) in ready.items()}).items() if e}
    texts = {n: t for n, (t, _, _) in ready.items() if n not in errors}
    library = run.build(texts, options.folder)
    library.of.update({n + "_gradient": library.of[n] for n in texts})
    counts = {"right": 0, "undefined": 0, "wrong": 0}
    for name in texts:
        problem = check(library, name, *ready[name][1:])
        verdict = "right" if problem is None else "undefined" if problem == "undefined" else "wrong"
        counts[verdict] += 1
        if verdict == "wrong" or options.list:
            print(f"{verdict} {name}: {problem or ''}")
    for name, error in errors.items():
        print(f"refused {name}: {error}")
    print(f"{counts['right']} right, {counts['wrong']} wrong, {counts['undefined']} undefined, "
          f"{len(errors)} refused")
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
