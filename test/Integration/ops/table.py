"""The table of node cases: what counts as supported, the listed exceptions, the document."""
import collections
import functools
import os
import re

import emit

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 40  # cases that may be listed as exceptions
KINDS = {(False, False): "plain, sizes known", (False, True): "plain, sizes open",
         (True, False): "expansions of functions, sizes known", (True, True): "expansions of functions, sizes open"}
COLUMNS = ["passed", "exceptions", "other element types", "no tensors", "other operators"]


def supported_ops(root):
    """The op types of ONNX's own domain that have a typed op, or are rewritten into one."""
    folder = os.path.join(root, "include", "twist", "Dialect", "ONNX")
    names = {"CastLike", "Dropout", "Constant"}
    for file in sorted(os.listdir(folder)):
        if file.endswith("Ops.td"):
            with open(os.path.join(folder, file), encoding="utf-8") as ops:
                text = ops.read()
            names.update(name for pair in re.findall(r'ONNX_(\w+)Op\b(?! *:? *<)|"([A-Z]\w+)"', text) for name in pair)
    return {name for name in names if name and not name.startswith("MS")}


def variant_name(case, dynamic):
    return re.sub(r"\W", "_", case.name) + ("__dynamic" if dynamic else "__static")


def read_exceptions():
    """case → (variants, reason); a line is CASE VARIANT REASON, the variant `both`, `static` or `dynamic`."""
    listed = {}
    with open(os.path.join(HERE, "exceptions.txt"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                case, variant, reason = line.strip().split(None, 2)
                listed[case] = (("static", "dynamic") if variant == "both" else (variant,), reason)
    return listed


class Results:
    def __init__(self, ops, cases, passed, failed, refused, skipped):
        self.ops, self.passed, self.failed, self.refused, self.skipped = ops, passed, failed, refused, skipped
        self.cases = {variant_name(case, dynamic): case for case in cases for dynamic in (False, True)}
        self.listed = read_exceptions()

    @functools.lru_cache(maxsize=None)
    def column(self, name):
        """Which column a case is counted in; None: it ought to pass, and did not."""
        if name in self.passed:
            return "passed"
        graph, why = self.cases[name].model.graph, self.skipped.get(name, "")
        others = self.other_ops(graph)
        if others:
            return "other operators"
        if why.startswith("element type"):
            return "other element types"
        if why == "not a tensor":
            return "no tensors"
        return "exceptions" if self.is_listed(name) else None

    def other_ops(self, graph):
        return [n.op_type for n in graph.node if n.domain not in ("", "ai.onnx") or n.op_type not in self.ops]

    def is_listed(self, name):
        case, variant = name.rsplit("__", 1)
        return case in self.listed and variant in self.listed[case][0]

    def tried(self):
        return [n for n in self.cases if n in self.passed or n in self.failed or n in self.refused
                or (n in self.skipped and self.skipped[n] != "left out by --quick")]

    def complaints(self, everything):
        """Unlisted failures, listed cases that pass, exceptions that are no cases or too many."""
        found = []
        for name in self.tried():
            expanded = "_expanded" in name
            why = self.failed.get(name) or self.refused.get(name) or self.skipped.get(name)
            if self.is_listed(name) and name in self.passed:
                found.append(f"PASSED {name}: listed in exceptions.txt")
            elif name in self.failed and not self.is_listed(name):
                found.append(f"FAILED {name}: {why}")
            elif not expanded and self.column(name) is None:
                found.append(f"REFUSED {name}: {why}")
        known = {name.rsplit("__", 1)[0] for name in self.cases}
        found += [f"exceptions.txt: no case '{case}'" for case in self.listed if case not in known]
        if everything and len(self.listed) > LIMIT:
            found.append(f"exceptions.txt: {len(self.listed)} cases, more than {LIMIT}")
        return found

    def rows(self):
        counts = collections.defaultdict(collections.Counter)
        for name in self.tried():
            kind = KINDS["_expanded" in name, name.endswith("__dynamic")]
            counts[kind][self.column(name) or "refused"] += 1
        return counts

    def lines(self):
        """The table: a line of Markdown for each kind of case that was tried."""
        counts = self.rows()
        for kind in KINDS.values():
            if kind in counts:
                cells = [str(counts[kind][c]) for c in [*COLUMNS, "refused"]]
                yield f"| {kind} | {' | '.join(cells)} |"

    def document(self, path, write, quick):
        """Complaints about a stale document; --quick has one of its lines to compare."""
        before = ""
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                before = file.read()
        if quick:
            mine = list(self.lines())[0].split("|")
            theirs = next((line.split("|") for line in before.splitlines() if line.startswith("|" + mine[1] + "|")), [])
            return [] if theirs[2:4] == mine[2:4] else [f"stale: {path}: {mine[1:4]}, not {theirs[1:4]}"]
        text = self.text()
        if write:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return [] if write or text == before else [f"stale: {path}: run test/Integration/ops/backend.py --document --write"]

    def text(self):
        others = collections.Counter(op for name, case in self.cases.items() if "_expanded" not in name
                                     and name.endswith("__static") for op in set(self.other_ops(case.model.graph)))
        native = sorted(op for op in self.ops if op in self.seen())
        return TEXT.format(
            header=" | ".join(["cases", *COLUMNS, "refused"]), rule="|---" + "|--:" * (len(COLUMNS) + 1) + "|",
            rows="\n".join(self.lines()), types=", ".join(sorted("bool" if t == "i1" else t for t in emit.ELEMENT.values())),
            exceptions="\n".join(f"- `{case}`{'' if len(v) == 2 else f' ({v[0]})'}: {reason}"
                                 for case, (v, reason) in sorted(self.listed.items())),
            others=", ".join(f"{op} ({n})" for op, n in sorted(others.items())), ops=", ".join(native))

    def seen(self):
        return {n.op_type for case in self.cases.values() for n in case.model.graph.node} & self.ops


TEXT = """<!-- Generated by test/Integration/ops/backend.py --document; do not edit. -->
# The ONNX project's node cases

Each case of `onnx.backend.test.case.node` is lowered, compiled and compared with its stated outputs, once with the sizes
that it states and once with every size open until it runs; of an operand that says how (axes, a number of parts) both have
the constant. Floats are compared to 1e-6 (f64), 1e-5 (f32), 2e-3 (f16), 2e-2 (bf16) of their size, all else exactly.

    .deps/venv/bin/python test/Integration/ops/backend.py build/cases --document docs/Operators.md --write

| {header} |
{rule}
{rows}

Supported element types: {types}. *No tensors*: sequences and optionals. *Other operators*: not supported, the list below.
Expansions are the function bodies that ONNX states for some operators; *refused* counts those of operator sets before 13, which
are brought to a newer one when a file is read but not here, those that hold an If, and types that inference leaves open.
A case of supported operators and types that neither passes nor is an exception fails the test, and so does an
exception that passes.

## Exceptions
{exceptions}

## Operators with cases
{ops}.

## Operators without support
With how many plain cases they have: {others}.
"""
