"""The table of node cases notices what it has to: with results made up, each kind of complaint."""
import os
import sys
import tempfile

from onnx import TensorProto, helper

import table


class Case:
    def __init__(self, name, op, domain=""):
        value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
        node = helper.make_node(op, ["x"], ["y"], domain=domain)
        self.name, self.model = name, helper.make_model(helper.make_graph([node], "g", [value], []))


def results(passed=(), failed=(), refused=(), listed=(), op="Abs"):
    both = lambda names: {f"{n}__{v}": "why" for n in names for v in ("static", "dynamic")}  # noqa: E731
    made = table.Results({"Abs"}, [Case("test_a", op), Case("test_a_expanded", op)], set(both(passed)), both(failed),
                         both(refused), {})
    made.listed = {case: (("static", "dynamic"), "a reason") for case in listed}
    return made


def expect(what, complaints, *words):
    if len(complaints) != len(words) or any(w not in c for w, c in zip(words, complaints)):
        sys.exit(f"{what}: {complaints}, not {words}")


def main():
    expect("pass", results(passed=["test_a"]).complaints(True))
    expect("failure", results(failed=["test_a"]).complaints(True), "FAILED test_a__static", "FAILED test_a__dynamic")
    expect("refusal", results(refused=["test_a"]).complaints(True), "REFUSED test_a__static", "REFUSED test_a__dynamic")
    expect("exception", results(refused=["test_a"], listed=["test_a"]).complaints(True))
    expect("unexpected pass", results(passed=["test_a"], listed=["test_a"]).complaints(True), "PASSED", "PASSED")
    expect("unknown exception", results(listed=["test_b"]).complaints(True), "no case 'test_b'")
    expect("another op", results(refused=["test_a"], op="Blur").complaints(True))
    expect("an expansion", results(refused=["test_a_expanded"]).complaints(True))
    expect("a wrong expansion", results(failed=["test_a_expanded"]).complaints(True), "FAILED", "FAILED")
    many = results()
    many.cases = {f"test_{i}__static": None for i in range(table.LIMIT + 1)}
    many.listed = {f"test_{i}": (("dynamic",), "a reason") for i in range(table.LIMIT + 1)}
    expect("too many", many.complaints(True), "more than 40")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "table.md")
        passed = results(passed=["test_a"])
        expect("no document", passed.document(path, write=False, quick=False), "stale")
        expect("written", passed.document(path, write=True, quick=False))
        expect("the same", passed.document(path, write=False, quick=False))
        expect("a line of it", passed.document(path, write=False, quick=True))
        expect("another", results(refused=["test_a"]).document(path, write=False, quick=True), "stale")


if __name__ == "__main__":
    main()
