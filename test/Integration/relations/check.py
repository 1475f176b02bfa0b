"""What each op declares of its dimensions, against what the op does: by a reference, and by our own lowering.

One model a case: the op alone, its data as inputs. For every class of units that nothing refuses:
  carried   new values in one unit change no element of an output that lies in another unit
  permuted  two units exchanged everywhere: the outputs are the same, with theirs exchanged
  absorbed  an output without the class is, with zeros in one unit, what the op makes of the data without it
A class that an output neither has nor sums away must not matter at all.

usage: check.py FOLDER [--quick] [--only REGEX]
"""
import argparse
import collections
import os
import re
import subprocess
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import helper
from onnx.reference import ReferenceEvaluator

import cases
import emit  # found by cases
import run

PLACE = re.compile(r"(input|output) (\d+) dim (\d+): class (\d+) offset (\d+) outer (\d+) units (\d+) inner (\d+)")
BY_ONNXRUNTIME = {"GlobalLpPool", "SimplifiedLayerNormalization"}  # what onnx's evaluator lacks
# Ops whose attributes must say what of the packed weights is left: data alone is no cut of them.
CUT_BY_ATTRIBUTES = {"com.microsoft.Attention"}
# Ops that relate nothing because there is nothing: sizes, constants, and what draws numbers.
NOTHING = {"Constant", "ConstantOfShape", "Range", "Shape", "Size", "None", "node", "yield"}


class Class:
    """A class of units: where it lies, and whether something sums or refuses it."""

    def __init__(self):
        self.places, self.units, self.summed, self.refused = collections.defaultdict(list), 0, False, False

    def indices(self, side, number, shape, unit):
        """dim → the indices that are the unit's, in the order of its elements."""
        found = collections.defaultdict(list)
        for dim, offset, outer, inner in self.places[side, number]:
            for o in range(outer):
                start = offset + (o * self.units + unit) * inner
                found[dim] += range(start, start + inner)
        return found

    def mask(self, side, number, shape, unit):
        result = np.zeros(shape, bool)
        for dim, indices in self.indices(side, number, shape, unit).items():
            result[(slice(None),) * dim + (indices,)] = True
        return result

    def exchanged(self, side, number, array, a, b):
        of_a, of_b = (self.indices(side, number, array.shape, u) for u in (a, b))
        for dim in of_a:
            order = np.arange(array.shape[dim])
            order[of_a[dim]], order[of_b[dim]] = of_b[dim], of_a[dim]
            array = np.take(array, order, dim)
        return array

    def removed(self, side, number, array, unit):
        for dim, indices in self.indices(side, number, array.shape, unit).items():
            array = np.delete(array, indices, dim)
        return array


def declared(all_cases, results):
    """name → id → Class, of the cases that have typed ops; all at once."""
    texts = [text_of(case.model, case.name, case.data, results[case.name]) for case in all_cases]
    done = subprocess.run(["twist-opt", "-", "--split-input-file", "--onnx-type-nodes", "--twist-print-dimensions",
                           "-o", os.devnull], input=run.SEPARATOR.join(texts), capture_output=True, text=True)
    if done.returncode < 0:
        sys.exit(f"FAILED: twist-opt ended with {done.returncode}\n{done.stderr[-2000:]}")
    found = {}
    for section in done.stdout.split("function ")[1:]:
        name, _, text = section.partition("\n")
        classes = found[name] = collections.defaultdict(Class)
        for side, number, dim, key, offset, outer, units, inner in PLACE.findall(text):
            classes[key].units = int(units)
            classes[key].places[side, int(number)].append((int(dim), int(offset), int(outer), int(inner)))
        for key in re.findall(r"^summed class (\d+)", text, re.M):
            classes[key].summed = True
        for key in re.findall(r"^refused class (\d+)", text, re.M):
            classes[key].refused = True
    return found


def text_of(model, name, data, outputs):
    """The model, with types as its data and outputs have, as a function in MLIR's text."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for values, arrays in ((copy.graph.input, data.values()), (copy.graph.output, outputs)):
        for value, array in zip(values, arrays):
            element = value.type.tensor_type.elem_type or helper.np_dtype_to_tensor_dtype(array.dtype)
            value.CopyFrom(helper.make_tensor_value_info(value.name, element, array.shape))
    return emit.function(copy, name)


class Reference:
    """onnx's evaluator, or onnxruntime for ops of its own domain."""

    def __init__(self, model):
        self.model, self.sessions = model, {}
        self.evaluator = None
        if not any(node.domain or node.op_type in BY_ONNXRUNTIME for node in model.graph.node):
            self.evaluator = ReferenceEvaluator(model)

    def session(self, data):
        shapes = tuple(a.shape for a in data.values())
        if shapes not in self.sessions:
            copy = onnx.ModelProto()
            copy.CopyFrom(self.model)
            for value, shape in zip(copy.graph.input, shapes):
                element = value.type.tensor_type.elem_type
                value.CopyFrom(helper.make_tensor_value_info(value.name, element, shape))
            for value in copy.graph.output:
                value.ClearField("type")
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4  # errors are exceptions
            self.sessions[shapes] = onnxruntime.InferenceSession(copy.SerializeToString(), options)
        return self.sessions[shapes]

    def __call__(self, data):
        with np.errstate(all="ignore"):
            return [np.asarray(a) for a in (self.evaluator or self.session(data)).run(None, data)]


def other_values(value, rng):
    """As different as the type allows without leaving what the op accepts: integers stay among those that are there."""
    if value.dtype == bool:
        return ~value
    if np.issubdtype(value.dtype, np.integer):
        return rng.permutation(value.ravel()).reshape(value.shape)
    return rng.uniform(3, 4, value.shape).astype(value.dtype)


class Trial:
    """One unit of a class, or two, and the data changed in them."""

    def __init__(self, case, key, units, unit):
        self.key, self.units, self.unit = key, units, unit
        self.other = 0 if unit else units.units - 1
        rng = np.random.default_rng(11)
        self.poisoned, self.zeroed, self.exchanged, self.removed = {}, {}, {}, {}
        self.touched = False
        for number, (name, value) in enumerate(case.data.items()):
            mask = units.mask("input", number, value.shape, unit)
            self.poisoned[name] = np.where(mask, other_values(value, rng), value)
            self.zeroed[name] = np.where(mask, np.zeros((), value.dtype), value)
            self.exchanged[name] = units.exchanged("input", number, value, unit, self.other)
            self.removed[name] = units.removed("input", number, value, unit)
            self.touched |= mask.any()
        # A place that the op sums away, and an exchange that no constant of floats could tell apart.
        self.absorbs = units.summed and units.units > 1 and not case.ops & CUT_BY_ATTRIBUTES
        self.permutes = not case.constant_data

    def variants(self):
        wanted = [("poisoned", self.poisoned)]
        if self.permutes:
            wanted.append(("exchanged", self.exchanged))
        if self.absorbs:
            wanted += [("zeroed", self.zeroed), ("removed", self.removed)]
        return wanted

    def judge(self, base, got):
        """What is wrong, or None."""
        where = f"class {self.key} unit {self.unit}"
        for number, before in enumerate(base):
            mask = self.units.mask("output", number, before.shape, self.unit)
            after = got["poisoned"][number]
            if before.shape != after.shape:
                return f"{where}: output {number} has another shape with other values in it"
            changed = (before != after) & ~((before != before) & (after != after))
            if mask.any() and (changed & ~mask).any():
                return f"{where}: output {number} changes in other units"
            if not mask.any() and not self.units.summed and changed.any():
                return f"{where}: output {number} changes, but has and sums it nowhere"
            if "exchanged" in got and not close(
                    got["exchanged"][number],
                    self.units.exchanged("output", number, before, self.unit, self.other)):
                return f"{where} exchanged with {self.other}: output {number} is not as if"
            if self.absorbs and not mask.any() and not close(got["zeroed"][number], got["removed"][number]):
                return f"{where}: zeros in output {number} are not as if removed"
        return None


def close(a, b):
    return a.shape == b.shape and run.difference(a, b) is None


class Native:
    """Our lowering, a function for each case and its sizes, compiled together."""

    def __init__(self, folder):
        self.folder, self.texts, self.names = folder, {}, {}

    def add(self, case, data, outputs):
        shapes = (case.name, *(a.shape for a in data.values()))
        if shapes not in self.names and all(0 not in a.shape for a in data.values()):
            self.names[shapes] = f"{case.name}__{len(self.names)}"
            self.texts[self.names[shapes]] = text_of(case.model, self.names[shapes], data, outputs)

    def compile(self):
        self.errors = {n: e for n, e in run.which_compile(self.texts).items() if e}
        self.library = run.build({n: t for n, t in self.texts.items() if n not in self.errors}, self.folder)

    def runs(self, case, data):
        name = self.names.get((case.name, *(a.shape for a in data.values())))
        return name and name not in self.errors

    def __call__(self, case, data, like):
        name = self.names[(case.name, *(a.shape for a in data.values()))]
        return run.call(self.library, name, list(data.values()), like)


def trials(case, classes):
    for key, units in classes.items():
        if not units.refused and units.units:
            for unit in sorted({0, units.units // 2, units.units - 1}):
                trial = Trial(case, key, units, unit)
                if trial.touched:
                    yield trial


def known_ops():
    """The typed ops of the dialect, by ONNX's names."""
    path = os.path.join(os.environ.get("TWIST_BUILD", os.path.join(cases.backend.ROOT, "build")),
                        "include", "twist", "Dialect", "ONNX", "ONNXOps.h.inc")
    with open(path, encoding="utf-8") as file:
        return set(re.findall(r'StringLiteral\("onnx\.([\w.]+)"\)', file.read())) - NOTHING


class Outcome:
    def __init__(self):
        self.failures, self.checked, self.lowered, self.silent, self.covered = [], 0, 0, 0, set()

    def fail(self, name, why):
        self.failures.append(f"FAILED {name}: {why}")


def by_reference(all_cases, outcome):
    """name → (case, base outputs, trials with the reference's outputs)."""
    references, bases = {}, {}
    for case in all_cases:
        try:
            references[case.name] = Reference(case.model)
            bases[case.name] = references[case.name](case.data)
        except Exception as error:  # what the reference lacks is no statement about us
            print(f"no reference for {case.name}: {str(error)[:100]}")
    able = [case for case in all_cases if case.name in bases]
    classes = declared(able, bases)
    found = {}
    for case in able:
        if case.name not in classes:
            continue
        outcome.covered |= case.ops
        tried = found[case.name] = (case, bases[case.name], [])
        for trial in trials(case, classes[case.name]):
            got = {}
            try:
                for kind, data in trial.variants():
                    got[kind] = references[case.name](data)
            except Exception as error:
                outcome.fail(case.name, f"class {trial.key}: the reference refuses {kind} data: {str(error)[:200]}")
                continue
            tried[2].append((trial, got))
            if complaint := trial.judge(tried[1], got):
                outcome.fail(case.name, complaint)
            outcome.checked += 1
        outcome.silent += not tried[2]
    return found


def by_lowering(found, folder, outcome):
    native = Native(folder)
    for case, base, tried in found.values():
        native.add(case, case.data, base)
        for trial, got in tried:
            for kind, data in trial.variants():
                native.add(case, data, got[kind])
    native.compile()
    lowered = set()
    for case, base, tried in found.values():
        if not native.runs(case, case.data):
            continue
        lowered |= case.ops
        ours = native(case, case.data, base)
        for trial, likes in tried:
            if not all(native.runs(case, data) for _, data in trial.variants()):
                continue
            got = {kind: native(case, data, likes[kind]) for kind, data in trial.variants()}
            if complaint := trial.judge(ours, got):
                outcome.fail(case.name, "by our lowering: " + complaint)
            outcome.lowered += 1
    return lowered


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--quick", action="store_true", help="two node tests an op")
    parser.add_argument("--only", help="cases whose name matches")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    known = known_ops()
    all_cases = cases.written() + cases.node_tests(known, 2 if options.quick else 1000)
    if options.only:
        all_cases = [case for case in all_cases if re.search(options.only, case.name)]
    outcome = Outcome()
    found = by_reference(all_cases, outcome)
    lowered = by_lowering(found, options.folder, outcome)
    if not options.only:
        for op in sorted(known - outcome.covered):
            outcome.fail(op, "declared in ONNXOps.td, but no case tries its relations: write one in cases.py")
    print("\n".join(outcome.failures))
    print("without a lowering:", *sorted(outcome.covered - lowered))
    print(f"{len(found)} cases of {len(outcome.covered)} ops, {outcome.checked} units checked by the reference, "
          f"{outcome.lowered} by our lowering; {outcome.silent} cases refuse all; {len(outcome.failures)} failures")
    return bool(outcome.failures)


if __name__ == "__main__":
    sys.exit(main())
