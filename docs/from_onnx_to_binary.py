"""Writes docs/FromONNXToBinary.md: the IR of a small attention block after each step, from the tools themselves.

    .deps/venv/bin/python docs/from_onnx_to_binary.py [--check]      --check fails if the file is stale
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx

DOCS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(DOCS)
sys.path.insert(0, os.path.join(ROOT, "python"))

from twist_tools import tickets  # noqa: E402
from twist_tools.models.graph import Graph  # noqa: E402

BIN = os.path.join(os.environ.get("TWIST_BUILD", os.path.join(ROOT, "build")), "bin")
OUTPUT = os.path.join(DOCS, "FromONNXToBinary.md")
DIM, HEADS = 32, 2


def attention():
    """x [sequence, 32] -> y [sequence, 32]: packed q, k, v, two heads of 16, no mask."""
    rng, g, hd = np.random.default_rng(0), Graph("attention", 17), DIM // HEADS
    g.scope = ""
    x = g.input("x", "float", ["sequence", DIM])
    w = [g.weight(n, rng.standard_normal(s) * DIM**-0.5) for n, s in
         (("qkv.weight", (DIM, 3 * DIM)), ("out.weight", (DIM, DIM)))]
    parts = g.split(g.op("MatMul", x, w[0]), [DIM] * 3, 1)
    q, k, v = (g.reshape(p, -1, HEADS, hd) for p in parts)
    q, v = (g.op("Transpose", t, perm=[1, 0, 2]) for t in (q, v))
    scores = g.op("Mul", g.op("MatMul", q, g.op("Transpose", k, perm=[1, 2, 0])), g.const(hd**-0.5))
    y = g.op("MatMul", g.op("Softmax", scores, axis=-1), v)
    y = g.reshape(g.op("Transpose", y, perm=[1, 0, 2]), -1, DIM)
    g.op("MatMul", y, w[1], to="y")
    g.output("y", "float", ["sequence", DIM])
    return g.model({"kind": "attention"})


def tool(folder, *arguments):
    run = subprocess.run([os.path.join(BIN, arguments[0]), *arguments[1:]], cwd=folder, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"error: {' '.join(arguments)}\n{run.stdout[-1000:]}{run.stderr[-2000:]}")
    return run.stdout


def without_meta(text):
    """Drops onnx.meta dictionaries (names and metadata kept for export) and the module's, which hide the rest."""
    out, at = [], 0
    for match in re.finditer(r"(, )?\bonnx\.(?:meta|model) = \{", text):
        if match.start() < at:
            continue
        depth, end = 1, match.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        begin = match.start()
        if not match[1] and text[end:end + 2] == ", ":
            end += 2
        out.append(text[at:begin])
        at = end
    text = "".join(out) + text[at:]
    text = re.sub(r" attributes \{\}| \{\}(?= :|\n)", "", text)
    return re.sub(r'dense<"0x[0-9A-F]+">', "dense<...>", text)


def lines(text, first=None, count=60, keep=lambda line: True):
    rows = [line.rstrip() for line in without_meta(text).splitlines() if line.strip() and keep(line)]
    if first:
        start = next((i for i, row in enumerate(rows) if re.search(first, row)), None)
        if start is None:
            sys.exit(f"error: no line matches {first!r}")
        rows = rows[start:]
    cut = [row if len(row) <= 160 else row[:157] + "..." for row in rows[:count]]
    return "\n".join(cut + (["..."] if len(rows) > count else []))


def chapter(title, text, code, kind="mlir"):
    return f"## {title}\n\n{text.strip()}\n\n```{kind}\n{code.rstrip()}\n```\n"


def document(folder):
    onnx.save_model(attention(), os.path.join(folder, "attention.onnx"))
    tickets.write(tickets.Ticket({"qkv.weight:1:c0:0": tickets.Axis(2, [1])}), os.path.join(folder, "ticket.json"))
    steps = {"import": tool(folder, "twist-opt", "attention.onnx")}

    def opt(name, source, *passes):
        steps[name] = tool(folder, "twist-opt", source, *passes)
        with open(os.path.join(folder, name + ".mlir"), "w", encoding="utf-8") as file:
            file.write(steps[name])

    opt("normal", "attention.onnx", "--onnx-normalise")
    opt("axes", "normal.mlir", "--twist-discover-axes")
    opt("applied", "axes.mlir", "--twist-apply-subnetwork=ticket=ticket.json")
    opt("sliced", "applied.mlir", "--twist-slice")
    opt("linalg", "sliced.mlir", "--convert-onnx-to-linalg")
    opt("tensor", "linalg.mlir", "--cpu-tensor")
    opt("buffer", "tensor.mlir", "--cpu-buffer")
    opt("kernel", "buffer.mlir", "--cpu-kernel")
    opt("program", "kernel.mlir", "--cpu-program")
    tool(folder, "twist", "slice", "attention.onnx", "--ticket", "ticket.json", "-o", "small.onnx")
    tool(folder, "twist", "compile", "small.onnx", "-o", "small")

    def body(line):
        return not re.search(r"^#|onnx\.Constant|weights\.source|^module|^}", line)

    return "\n".join([
        "# From ONNX to binary\n\nOne attention block (packed q, k, v; two heads of 16; any number of rows) on its way "
        "through the compiler. The listings are made by `docs/from_onnx_to_binary.py` from the tools' own output, and a "
        "test fails when they are stale. Names and other metadata that ops carry for export (`onnx.meta`) and constants "
        "are left out.\n",
        chapter("Import", "Every node becomes an `onnx.node` that keeps all of it; a weight is a view of the file, "
                "not a value.\n\n    twist-opt attention.onnx", lines(steps["import"], r"func\.func", 40, body)),
        chapter("Normalise", "Functions are inlined, the operator set is raised to one version, ops get their types "
                "and shapes; shape arithmetic is folded.\n\n    twist-opt attention.onnx --onnx-normalise",
                lines(steps["normal"], r"func\.func", 40, body)),
        chapter("Find axes", "Dimensions are followed from where weights make them to where they are summed away. Gates "
                "stand on both operands of each op that absorbs an axis.\n\n    twist-opt ... --twist-discover-axes",
                lines(steps["axes"], None, 60, lambda line: re.search(r"twist\.|MatMul|Split", line))),
        chapter("Apply a ticket", "`{\"qkv.weight:1:c0:0\": {\"units\": 2, \"keep\": [1]}}` keeps the second head.\n\n"
                "    twist-opt ... --twist-apply-subnetwork=ticket=ticket.json",
                lines(steps["applied"], None, 20, lambda line: "twist.subnetwork" in line)),
        chapter("Slice", "Views select the kept rows and columns; operands of shape and attributes shrink; gates go. "
                "Export of this is the small ONNX model.\n\n    twist-opt ... --twist-slice",
                lines(steps["sliced"], r"func\.func", 40, body)),
        chapter("Lower", "Each op's mathematics in linalg; a weight is still a view.\n\n"
                "    twist-opt ... --convert-onnx-to-linalg", lines(steps["linalg"], r"func\.func", 70, body)),
        chapter("Contractions", "Contractions become `cpu.gemm`, weights get their place and packing in the weights "
                "file.\n\n    twist-opt ... --cpu-tensor", lines(steps["tensor"], r"func\.func", 60, body)),
        chapter("Kernels", "Buffers instead of tensors; every computation is a vectorised function of a task number, "
                "called by a launch. Tasks depend on sizes alone, so any number of threads gives the same bytes.\n\n"
                "    twist-opt ... --cpu-buffer --cpu-kernel", lines(steps["kernel"], r"func\.func.*@main", 70, body)),
        chapter("Program", "One arena planned by lifetimes, sizes as expressions of the inputs'.\n\n"
                "    twist-opt ... --cpu-program", lines(steps["program"], r"func\.func.*@main", 50, body)),
        chapter("Binary", "`twist compile` makes `small.so`, `small.weights` and a card. The hot loop of a contraction: "
                "a block of results stays in registers.\n\n    objdump -d small.so", hot_loop(folder), "asm"),
    ])


def hot_loop(folder):
    """The longest run of multiply-adds in the program, with what is between them."""
    text = tool(folder, "/usr/lib/llvm-22/bin/llvm-objdump", "-d", "--no-show-raw-insn", "--no-leading-addr",
                "small.so")
    rows = [re.sub(r"\s+", " ", row).strip() for row in text.splitlines()]
    is_fma = [bool(re.match(r"vfmadd", row)) for row in rows]
    best = max(range(len(rows)), key=lambda i: sum(is_fma[i:i + 16]))
    return "\n".join(rows[best:best + 16])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = document(folder)
    old = ""
    if os.path.exists(OUTPUT):
        with open(OUTPUT, encoding="utf-8") as file:
            old = file.read()

    def portable(document):  # kernels and machine code differ between processors
        return document.split("## Contractions")[0]

    if options.check and portable(old) != portable(text):
        sys.exit("stale: docs/FromONNXToBinary.md: run ./dev docs")
    if not options.check:
        with open(OUTPUT, "w", encoding="utf-8") as file:
            file.write(text)
    print("docs/FromONNXToBinary.md: " + ("up to date" if options.check else f"{len(text.splitlines())} lines"))


if __name__ == "__main__":
    main()
