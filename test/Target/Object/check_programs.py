"""Programs from compile to run: numbers, artefacts, and every error of the two commands. Argument: a folder."""
import ctypes
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..", "..")
failures = []


def run(*arguments, limit=None):
    """Exit code, standard output, standard error."""
    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    done = subprocess.run(arguments, capture_output=True, text=True, preexec_fn=limited if limit else None)
    return done.returncode, done.stdout, done.stderr


def check(what, holds, more=""):
    print(("ok      " if holds else "FAILED  ") + what, more if not holds else "")
    if not holds:
        failures.append(what)


def succeeds(what, *arguments):
    code, out, err = run(*arguments)
    check(what, code == 0, f"{arguments}: {code}\n{out}{err}")
    return out


def fails(what, message, *arguments, limit=None, leaves=()):
    """Exit code 1 with this message, and none of these files."""
    code, out, err = run(*arguments, limit=limit)
    left = [name for name in os.listdir(".") if name.startswith(tuple(leaves))] if leaves else []
    check(what, code == 1 and message in err and not left, f"{arguments}: {code} {left}\n{out}{err}")


def reference(x):
    data = np.fromfile("mlp.bin", dtype=np.float32, offset=128)
    xw = x.astype(np.float64) @ data[:32].reshape(4, 8)
    return np.tanh(xw + data[32:]), xw.sum(1)


def compare(what, folder, x):
    y, s = np.load(f"{folder}/out_y.npy"), np.load(f"{folder}/s.npy")
    ry, rs = reference(x)
    check(what, y.shape == ry.shape and y.dtype == np.float32 and np.abs(y - ry).max() < 1e-6
          and np.abs(s - rs).max() < 1e-5)
    return y.tobytes() + s.tobytes()


def numbers():
    """Shared object and executable, kernels and loops, one thread and several, another processor."""
    results = set()
    for rows in (1, 5, 700):
        x = np.random.default_rng(rows).standard_normal((rows, 4)).astype(np.float32)
        np.save("x.npy", x)
        if rows == 1:
            succeeds("compile", "twist", "compile", "mlp.mlir", "-o", "mlp", "--quiet")
            succeeds("compile for loops", "twist", "compile", "mlp.mlir", "-o", "loops", "--loops", "--quiet")
            succeeds("compile for AVX2", "twist", "compile", "mlp.mlir", "-o", "haswell", "--mcpu", "haswell", "--quiet")
            succeeds("compile an executable", "twist", "compile", "mlp.mlir", "-o", "exe", "--emit=exe", "--quiet")
        same = set()
        for threads in (1, 2, 3):
            succeeds(f"run {rows} rows", "twist", "run", "mlp", "--input", "x=x.npy", "--output-dir", "out",
                     "--threads", str(threads))
            same.add(compare(f"{rows} rows, {threads} threads", "out", x))
        succeeds("run the executable", "./exe", "--input=x=x.npy", "--output-dir=out")
        same.add(compare(f"{rows} rows, executable", "out", x))
        check("the same bytes for any number of threads", len(same) == 1)
        for name in ("loops", "haswell"):
            succeeds(f"run {name}", "twist", "run", name, "--input", "x=x.npy", "--output-dir", "out")
            compare(f"{rows} rows, {name}", "out", x)
    needed = subprocess.run(["readelf", "-d", "exe"], capture_output=True, text=True).stdout
    libraries = {line.split("[")[1].rstrip("]") for line in needed.splitlines() if "NEEDED" in line}
    check("the executable needs the C library only", libraries <= {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"},
          libraries)
    check("its help lists inputs", "x: f32[batch, 4]" in succeeds("help", "./exe", "--help"))


def types():
    """Boundaries keep the model's element types and shapes."""
    succeeds("compile types", "twist", "compile", "types.mlir", "-o", "types", "--quiet")
    check("no weights, no file", not os.path.exists("types.weights"))
    kinds = ["f8", "f2", "u2", "i8", "i2", "u1", "?"]
    values = [np.arange(1, 3).astype(kind) for kind in kinds] + [np.float32(7), np.zeros((0, 3), np.int32)]
    arguments = []
    for i, value in enumerate(values):
        np.save(f"t{i}.npy", value)
        arguments += ["--input", f"arg{i}=t{i}.npy"]
    succeeds("run types", "twist", "run", "types", *arguments, "--output-dir", "types.out")
    for i, value in enumerate(values + [values[0]]):
        result = np.load(f"types.out/result{i}.npy")
        check(f"type of result {i}", result.dtype == value.dtype and result.shape == value.shape
              and result.tobytes() == value.tobytes(), result)
    np.save("short.npy", values[0][:1])
    fails("a wrong static size", "input 'arg0' has size 1 in dimension 0, the program takes 2",
          "twist", "run", "types", "--input", "arg0=short.npy", *arguments[2:])


def same_bytes():
    """Addresses, which differ from run to run, leave no trace in the files."""
    files = set()
    for _ in range(6):
        succeeds("compile products", "twist", "compile", "products.mlir", "-o", "products", "--quiet")
        files.add(tuple(open("products" + end, "rb").read() for end in (".so", ".card.json")))
    check("the same bytes each time", len(files) == 1, f"{len(files)} kinds")
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(shape, dtype=np.float32)
              for name, shape in (("x", (2, 3, 5)), ("y", (2, 5, 7)), ("z", (2, 7, 5)))}
    arguments = []
    for name, array in arrays.items():
        np.save(f"p_{name}.npy", array)
        arguments += ["--input", f"{name}=p_{name}.npy"]
    succeeds("run products", "twist", "run", "products", *arguments, "--output-dir", "products.out")
    scores = np.exp(arrays["x"] @ arrays["y"])
    want = scores / scores.sum(-1, keepdims=True) @ arrays["z"]
    check("numbers of products", np.allclose(np.load("products.out/r.npy"), want, rtol=1e-5, atol=1e-6))


def card():
    card = json.load(open("mlp.card.json"))
    check("card", card["parameters"] == 40 and card["weights"]["bytes"] == os.path.getsize("mlp.weights") - 4096 and card["inputs"][0]["name"] == "x"
          and card["inputs"][0]["dims"] == ["batch", 4] and "avx2" in card["target"]["features"], card)
    report = json.loads(succeeds("bench", "twist", "bench", "mlp", "--dim", "batch=3", "--json", "--repeat=5", "--profile"))
    check("bench", report["repeat"] == 5 and report["median_seconds"] > 0 and len(report["profile"]) >= 1, report)
    made = json.loads(succeeds("compile --json", "twist", "compile", "mlp.mlir", "-o", "mlp", "--json"))
    check("compile --json", all(made[k] == card[k] for k in card)
          and {f["file"]: f["bytes"] for f in made["files"]}
          == {n: os.path.getsize(n) for n in ("mlp.so", "mlp.weights", "mlp.card.json")}
          and [s["stage"] for s in made["stages"]] == ["reading", "lowering", "weights", "machine code", "linking"]
          and abs(made["seconds"] - sum(s["seconds"] for s in made["stages"])) < 1e-9, made)
    made = succeeds("compile's table", "twist", "compile", "mlp.mlir", "-o", "mlp")
    check("compile's table", f"mlp.weights  {os.path.getsize('mlp.weights'):16,d}\n" in made and "40 parameters, f32, for" in made, made)
    go = ["twist", "run", "mlp", "--input", "x=x.npy", "--output-dir", "out", "--threads", "2"]
    ran = json.loads(succeeds("run --json", *go, "--json"))
    check("run --json", ran["outputs"] == [{"name": "out/y", "type": "f32", "dims": [700, 8], "file": "out/out_y.npy"},
                                             {"name": "s", "type": "f32", "dims": [700], "file": "out/s.npy"}]
          and ran["threads"] == 2 and ran["seconds"] > 0, ran)
    check("run's table", "out/y: f32[700, 8]  out/out_y.npy\ns:     f32[700]  out/s.npy\nran in " in succeeds("run", *go))
    succeeds("NAME.so for NAME", "twist", "compile", "mlp.mlir", "-o", "named.so", "--quiet")
    check("named", os.path.exists("named.so") and os.path.exists("named.weights"))
    succeeds("obj", "twist", "compile", "mlp.mlir", "-o", "other", "--emit=obj", "--quiet")
    succeeds("llvm", "twist", "compile", "mlp.mlir", "-o", "other", "--emit=llvm", "--quiet")
    succeeds("mlir", "twist", "compile", "mlp.mlir", "-o", "other", "--emit=mlir", "--quiet")
    check("emitted", "@twist_program_table_v" in open("other.ll").read() and "llvm.func @twist_run" in open("other.mlir").read()
          and open("other.o", "rb").read(4) == b"\x7fELF")


def wrong_compilations():
    compile_ = ["twist", "compile", "mlp.mlir", "-o", "bad", "--quiet"]
    fails("unknown processor", "unknown processor 'abacus'", *compile_, "--mcpu=abacus", leaves=["bad"])
    fails("no AVX2", "has no AVX2 and FMA", *compile_, "--mcpu=x86-64", leaves=["bad"])
    fails("precision", "--precision is f64, f32, f16 or bf16, not 'f8'", *compile_, "--precision=f8", leaves=["bad"])
    fails("dim", "'--dim batch=0' is not NAME=SIZE", *compile_, "--dim=batch=0", leaves=["bad"])
    fails("no model", "nothing.mlir", "twist", "compile", "nothing.mlir", "-o", "bad", leaves=["bad"])
    fails("a ticket without a model", "a ticket needs an ONNX model", *compile_, "--ticket=t.json", leaves=["bad"])
    fails("unwritable output", "cannot create", "twist", "compile", "mlp.mlir", "-o", "nowhere/bad", "--quiet")
    os.makedirs("folder.so")
    fails("a folder in the way", "cannot create 'folder.so': it is there and no regular file", "twist", "compile",
          "mlp.mlir", "-o", "folder", "--quiet")
    fails("full disk, weights", "cannot write 'bad.weights'", *compile_, limit=4096, leaves=["bad"])
    fails("full disk, code", "program.o: cannot be written: File too large", "twist", "compile", "types.mlir", "-o", "bad", "--quiet", limit=1024,
          leaves=["bad"])
    twist = shutil.which("twist")
    os.makedirs("fake")
    open("fake/ld.lld-22", "w").write("#!/bin/sh\necho broken\nexit 1\n")
    os.chmod("fake/ld.lld-22", 0o755)
    here = [twist, *compile_[1:]]
    fails("a linker that fails", "linking failed: broken", "env", "PATH=" + os.path.abspath("fake") + ":/bin", *here, leaves=["bad"])
    fails("no temporary folder", "cannot create a temporary folder", "env", "TMPDIR=/nowhere", *here, leaves=["bad"])
    os.makedirs("moved/bin")
    shutil.copy(twist, "moved/bin/twist")
    fails("half an installation", "the installation is incomplete: there is no '", "moved/bin/twist", *compile_[1:], "--emit=exe",
          leaves=["bad"])
    os.rename("mlp.bin", "away.bin")
    fails("weights gone", "mlp.bin", *compile_, leaves=["bad"])
    open("mlp.bin", "wb").write(open("away.bin", "rb").read()[:200])
    fails("weights short", "a file of 200 bytes", *compile_, leaves=["bad"])
    os.replace("away.bin", "mlp.bin")
    fails("unknown command", "unknown command 'bake'", "twist", "bake")


def reproducer():
    """A pass that fails leaves its input, which fails again."""
    open("value.mlir", "w").write("""
func.func @main(%n: tensor<i64>) -> tensor<?xf32> {
  %v = tensor.extract %n[] : tensor<i64>
  %i = arith.index_cast %v : i64 to index
  %e = tensor.empty(%i) : tensor<?xf32>
  return %e : tensor<?xf32>
}""")
    message = "the size of an output depends on values computed here"
    fails("value-dependent size", message, "twist", "compile", "value.mlir", "-o", "bad", "--reproducer=again.mlir",
          leaves=["bad"])
    fails("reproducer", message, "twist-opt", "--run-reproducer", "again.mlir")


def wrong_runs():
    np.save("x.npy", np.zeros((2, 4), np.float32))
    np.save("double.npy", np.zeros((2, 4)))
    np.save("flat.npy", np.zeros(8, np.float32))
    np.save("wide.npy", np.zeros((2, 5), np.float32))
    open("text.npy", "w").write("no array")
    go = ["twist", "run", "mlp"]
    fails("no input", "input 'x' is missing: --input x=FILE.npy", *go)
    fails("unknown input", "'--input z=x.npy' names no input of the program", *go, "--input", "z=x.npy")
    fails("twice", "input 'x' is given twice", *go, "--input", "x=x.npy", "--input", "x=x.npy")
    fails("wrong type", "input 'x' takes f32, 'double.npy' holds f64", *go, "--input", "x=double.npy")
    fails("wrong rank", "input 'x' takes 2 dimensions, 'flat.npy' has 1", *go, "--input", "x=flat.npy")
    fails("wrong size", "input 'x' has size 5 in dimension 1, the program takes 4", *go, "--input", "x=wide.npy")
    fails("no array", "is not a NumPy array file", *go, "--input", "x=text.npy")
    fails("no file", "cannot open 'none.npy'", *go, "--input", "x=none.npy")
    fails("threads", "'many' is no number of threads", *go, "--input", "x=x.npy", "--threads", "many")
    fails("argument", "unknown argument '--fast'", *go, "--fast")
    fails("unwritable folder", "cannot create 'nowhere/out'", *go, "--input", "x=x.npy", "--output-dir", "nowhere/out")
    fails("full disk", "cannot write", *go, "--input", "x=x.npy", "--output-dir", "full", limit=100)
    check("nothing left on a full disk", os.listdir("full") == [])
    fails("open size", "the size of 'batch' is open: --dim batch=N", "twist", "bench", "mlp")
    fails("no program", "cannot open './none.so'", "twist", "run", "none")


def wrong_artefacts():
    """Each copy of the artefact is damaged in one way."""
    data = open("mlp.weights", "rb").read()
    for suffix in (".so", ".weights"):
        shutil.copy("mlp" + suffix, "broken" + suffix)
    go = ["twist", "run", "broken", "--input", "x=x.npy"]

    def weights(what, message, content):
        open("broken.weights", "wb").write(content)
        fails(what, message, *go)
    weights("truncated weights", "'./broken.weights' is truncated", data[:-1])
    weights("no header", "no room for its header", data[:10])
    weights("bad magic", "bad magic", b"X" + data[1:])
    weights("format of weights", "has weights format 2", data[:8] + b"\2" + data[9:])
    weights("other weights", "holds the weights of another program", data[:40] + bytes([data[40] ^ 1]) + data[41:])
    os.remove("broken.weights")
    fails("no weights", "cannot open './broken.weights'", *go)
    shutil.copy("mlp.weights", "broken.weights")
    code = open("mlp.so", "rb").read()
    # The table starts with its magic, then the ABI's version.
    magic = (0x5453495754).to_bytes(8, "little")
    at = code.index(magic)

    def seal(content):
        """With the hash of what is before it."""
        open("broken.so", "wb").write(content + b"TWISTSO1" + len(content).to_bytes(8, "little")
                                      + hashlib.sha256(content).digest())
    check("the seal's bytes", code[-48:] == b"TWISTSO1" + (len(code) - 48).to_bytes(8, "little")
          + hashlib.sha256(code[:-48]).digest())
    content = code[:-48]
    subprocess.run(["clang-22", "-shared", "-x", "c", "/dev/null", "-o", "empty.so"], check=True)
    seal(open("empty.so", "rb").read())
    fails("a library of another kind", "'./broken.so' is not a compiled program: it has no 'twist_program_table_v'", *go)
    seal(content[:at + 8] + b"\7" + content[at + 9:])
    fails("stale ABI", "was compiled for ABI version 7", *go)
    seal(content[:at] + b"\0" + content[at + 1:])
    fails("no program's magic", "is not a compiled program: bad magic", *go)
    seal(content[:200])
    fails("no code behind its header", "cannot load './broken.so'", *go)

    def damaged(what, message, bytes):
        open("broken.so", "wb").write(bytes)
        fails(what, message, *go)
    os.remove("broken.so")
    os.makedirs("broken.so")
    fails("a folder for code", "cannot read './broken.so'", *go)
    os.rmdir("broken.so")
    damaged("empty code", "'./broken.so' is not a compiled program: no machine code", b"")
    damaged("text for code", "no machine code", b"#!/bin/sh\n")
    damaged("only a header's start", "is truncated: no room for its header", code[:20])
    damaged("code for another machine", "is for another kind of machine (number 183 of ELF)",
            code[:18] + (183).to_bytes(2, "little") + code[20:])
    for length in (100, len(code) // 2, len(code) - 1):
        damaged(f"code cut to {length} bytes", "'./broken.so' is truncated or not a compiled program", code[:length])
    for place in range(64, len(code) - 48, len(code) // 20):
        damaged(f"byte {place} of the code altered", "'./broken.so' is damaged: it does not have the hash",
                code[:place] + bytes([code[place] ^ 0x10]) + code[place + 1:])
    damaged("another length in the seal", "is damaged", code[:-40] + bytes([code[-40] ^ 1]) + code[-39:])
    succeeds("compile for another machine", "twist", "compile", "mlp.mlir", "-o", "broken", "--mcpu=bdver4", "--quiet")
    fails("missing instructions", "needs 'fma4': this machine has no such instructions", *go)


def compile_c(source, name):
    library = os.path.dirname(shutil.which("twist")) + "/../lib"
    succeeds(f"compile {name}.c", "clang-22", "-I", f"{ROOT}/include", source, "-L", library, "-lTwistRuntime",
             f"-Wl,-rpath,{library}", "-o", name)


def c_program():
    """The example in C, on a program with its interface."""
    shutil.copy(os.path.join(HERE, "Inputs", "tokens.mlir"), ".")
    succeeds("compile tokens", "twist", "compile", "tokens.mlir", "-o", "tokens", "--quiet")
    compile_c(f"{ROOT}/examples/c/embed.c", "embed")
    out = succeeds("run the C program", "./embed", "tokens", "3", "4", "5")
    check("its output", out.startswith("4 numbers: 12.000000 15.000000 12.000000"), out)


def allocations():
    """A run whose shapes were seen before asks for no memory."""
    compile_c(os.path.join(HERE, "Inputs", "allocations.c"), "allocations")
    out = succeeds("count allocations", "./allocations", "mlp")
    before, since = (int(part.split()[0]) for part in out.split(", "))
    check("a run allocates nothing", before > 10 and since == 0, out)


def symbols():
    """A shared object exports its table and nothing else; the table is where twist.h says."""
    out = subprocess.run(["nm", "-D", "--defined-only", "mlp.so"], capture_output=True, text=True).stdout
    check("exports", [line.split()[-1] for line in out.splitlines()] == ["twist_program_table_v"], out)
    table = ctypes.c_uint64.in_dll(ctypes.CDLL("./mlp.so"), "twist_program_table_v")
    check("table", table.value == 0x5453495754)


def main(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    os.chdir(folder)
    for name in ("mlp.mlir", "types.mlir", "products.mlir"):
        shutil.copy(os.path.join(HERE, "Inputs", name), ".")
    data = np.random.default_rng(0).standard_normal(72).astype(np.float32)
    data.tofile("mlp.bin")
    for part in (numbers, types, same_bytes, card, symbols, wrong_compilations, reproducer, wrong_runs, wrong_artefacts, c_program, allocations):
        part()
    if failures:
        sys.exit(f"{len(failures)} failed: {failures}")


if __name__ == "__main__":
    main(sys.argv[1])
