"""The ONNX project's own cases for nodes, with static and with dynamic sizes.

usage: backend.py FOLDER [--quick] [--only WORD] [--list] [--document FILE [--write]]

--quick leaves out what is slow and says little: the static twin of each case, the
expansions of functions, and ops that have no lowering (counted, not tried).
Cases of supported ops and types pass or stand in exceptions.txt with a reason; those of
exceptions.txt must not pass. --document compares the table with FILE, or writes it there.
"""
import argparse
import collections
import copy
import os
import re
import sys
import warnings

import numpy as np
import onnx
from onnx import numpy_helper, shape_inference

import emit
import run
import table

# Operands that say how, not what: constants in models.
HOW = {"ReduceL1": [1], "ReduceL2": [1], "ReduceLogSum": [1], "ReduceLogSumExp": [1],
       "ReduceMax": [1], "ReduceMean": [1], "ReduceMin": [1], "ReduceProd": [1],
       "ReduceSum": [1], "ReduceSumSquare": [1], "Squeeze": [1], "Unsqueeze": [1],
       "Slice": [3, 4], "CumSum": [1], "CumProd": [1], "Compress": [1], "Dropout": [1, 2], "Col2Im": [2], "Pad": [3], "Split": [1], "TopK": [1], "OneHot": [1],
       "ConstantOfShape": [], "Reshape": [], "Expand": [], "Tile": [],
       "Conv": [1], "ConvTranspose": [1], "Resize": [1, 2]}
# Operands that are sizes: constants in the static variant, computed in the dynamic one.
SIZES = {"Reshape": [1], "Expand": [1], "Tile": [1], "Slice": [1, 2], "Pad": [1],
         "ConstantOfShape": [0], "Range": [0, 1, 2], "Trilu": [1], "Resize": [1, 2, 3],
         "CenterCropPad": [1], "AffineGrid": [1], "Col2Im": [1]}
# Operands whose number of dimensions or last size says how many dimensions they address.
INDICES = {"GatherND": [1], "ScatterND": [1]}
# Operands whose number of heads (of four dimensions, the second) and width (the last) a program must know.
HEADED = {"Attention": [0, 1, 2, 4, 5], "RotaryEmbedding": [0, 1, 2]}
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
OPS = table.supported_ops(ROOT)


def fixed_operands(graph, dynamic):
    names = set()
    for node in graph.node:
        for i in HOW.get(node.op_type, []) + ([] if dynamic else SIZES.get(node.op_type, [])):
            if i < len(node.input):
                names.add(node.input[i])
    return names


def variant(model, inputs, dynamic):
    """The model with some inputs as constants and inferred types; its inputs."""
    model = copy.deepcopy(model)
    graph = model.graph
    fixed, kept, dims = fixed_operands(graph, dynamic), [], 0
    sized = {n.input[i] for n in graph.node for table in (SIZES, INDICES)
             for i in table.get(n.op_type, []) if i < len(n.input)}
    headed = {n.input[i] for n in graph.node for i in HEADED.get(n.op_type, []) if i < len(n.input)}
    produced = {o for n in graph.node for o in n.output}
    for value, array in list(zip(graph.input, inputs)):
        if value.name in fixed and value.name not in produced:
            tensor = numpy_helper.from_array(np.asarray(array), value.name)
            graph.initializer.append(tensor)
            graph.input.remove(value)
            continue
        kept.append(array)
        tensor = value.type.tensor_type
        if dynamic and value.name not in sized and tensor.HasField("shape"):
            rank = len(tensor.shape.dim)
            for at, d in enumerate(tensor.shape.dim):
                if value.name in headed and (at == rank - 1 or (rank, at) == (4, 1)):
                    continue
                dims += 1
                d.dim_param = f"d{dims}"
    if dynamic:
        for value in graph.output:
            for d in value.type.tensor_type.shape.dim:
                d.ClearField("value")
    del graph.value_info[:]
    return shape_inference.infer_shapes(model, data_prop=True), kept


def lowered(model):
    """Whether the dialect has an op for each node."""
    return all(node.op_type in OPS and not node.domain for node in model.graph.node)


def as_array(value):
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if not isinstance(value, np.ndarray) and not np.isscalar(value):
        raise emit.Unsupported("not a tensor")
    return np.asarray(value)


def prepare(cases, only, quick=False):
    """name → (text, inputs, outputs), and why the others cannot be tried."""
    ready, skipped = {}, {}
    for case in cases:
        if only and not re.search(only, case.name):
            continue
        if quick and ("_expanded" in case.name or not lowered(case.model)):
            skipped[table.variant_name(case, True)] = "left out by --quick"
            continue
        for dynamic in (True,) if quick else (False, True):
            name = table.variant_name(case, dynamic)
            try:
                inputs, outputs = ([as_array(v) for v in side] for side in case.data_sets[0])
                if len(case.model.graph.input) != len(inputs):
                    raise emit.Unsupported("optional inputs")
                model, kept = variant(case.model, inputs, dynamic)
                ready[name] = (emit.function(model, name), kept, outputs)
            except emit.Unsupported as error:
                skipped[name] = str(error)
            except Exception as error:  # onnx's own inference
                skipped[name] = f"{type(error).__name__}: {str(error)[:60]}"
    return ready, skipped


def attempt(ready, folder, announce):
    """What passed, and why the others failed or were refused."""
    refused = {name: error for name, error
               in run.which_compile({n: t for n, (t, _, _) in ready.items()}).items() if error}
    texts = {n: t for n, (t, _, _) in ready.items() if n not in refused}
    library = run.build(texts, folder)
    failed = {}
    for name in texts:
        _, inputs, outputs = ready[name]
        if announce:
            print("run", name, flush=True)
        try:
            got = run.call(library, name, inputs, outputs)
        except ValueError as error:
            failed[name] = str(error)
            continue
        for i, pair in enumerate(zip(got, outputs)):
            if error := run.difference(*pair):
                failed[name] = f"output {i}: {error}"
    return texts, failed, refused


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--document")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases
    cases = collect_testcases(None)
    ready, skipped = prepare(cases, options.only, options.quick)
    texts, failed, refused = attempt(ready, options.folder, options.list)
    report(texts, failed, refused, skipped, options.list)
    results = table.Results(OPS, cases, set(texts) - set(failed), failed, refused, skipped)
    complaints = results.complaints(everything=not options.only)
    if options.document:
        complaints += results.document(options.document, options.write, options.quick)
    for complaint in complaints:
        print(complaint)
    print(f"{len(complaints)} complaints")
    return 1 if complaints else 0


def report(texts, failed, refused, skipped, everything):
    if everything:
        for title, group in (("refused", refused), ("skipped", skipped)):
            for name, why in group.items():
                print(f"{title} {name}: {why}")
        for name, why in failed.items():
            print(f"failed {name}: {why}")
    for title, group in (("refused", refused), ("skipped", skipped)):
        reasons = collections.Counter(re.sub(r"\d+", "N", why) for why in group.values())
        for why, count in reasons.most_common(None if everything else 12):
            print(f"{title} {count:4d}: {why}")
    print(f"{len(texts) - len(failed)} passed, {len(failed)} failed, {len(refused)} refused, "
          f"{len(skipped)} skipped")


if __name__ == "__main__":
    sys.exit(main())
