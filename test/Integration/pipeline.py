"""The main job on one model, as a user would do it; shared by the tests in this folder.

Each step prints one line "STEP: ok ..." or ends the process with the command and its messages.
"""
import json
import os
import re
import subprocess
import sys

import numpy as np
import onnx

from twist_tools import compare, masked_reference, native, tickets


class Pipeline:
    def __init__(self, folder, name, model, **dims):
        """`model`: a ModelProto of twist_tools.models; `dims`: sizes of its symbolic dimensions for test inputs."""
        self.name, self.model, self.dims = name, model, dims
        os.makedirs(folder, exist_ok=True)
        self.base = os.path.join(folder, name)
        self.dense = self.base + ".onnx"
        onnx.save_model(model, self.dense)
        self.feeds = compare.random_inputs(model, 7, **dims)
        self.cached, self.small_feeds = {}, {}

    def say(self, step, text=""):
        print(f"{self.name} {step}: ok {text}".rstrip(), flush=True)

    def fail(self, step, text):
        sys.exit(f"{self.name} {step}: FAILED {text}")

    def twist(self, *arguments):
        return command("twist", *arguments)

    # -- results by onnxruntime and in f64, once per file
    def results(self, path):
        if path not in self.cached:
            model, feeds = onnx.load(path), self.inputs(path)
            self.cached[path] = (compare.run_ort(model, feeds), compare.run_double(model, feeds))
        return self.cached[path]

    def inputs(self, path):
        """The test inputs of a model: a sliced one has smaller caches."""
        return self.small_feeds.get(path, self.feeds)

    def cut_caches(self, values, ticket):
        """Past and present keys and values by name, with only the ticket's heads (dimension 1) left."""
        kind = masked_reference.architecture(self.model)["kind"]
        kept = {}
        for name, axis in tickets.read(ticket).axes.items():
            what, layer = masked_reference.family(kind, name)
            if what in ("head", "kv_group"):
                kept[layer] = axis.kept_units()

        def cut(name, value):
            layer = re.fullmatch(r"(?:past_key_values|present)\.(\d+)\.\w+", name)
            return value[:, kept[int(layer[1])]] if layer and int(layer[1]) in kept else value

        return {name: cut(name, value) for name, value in values.items()}

    def check_equal(self, step, a, exact_a, b, exact_b):
        worst = None
        for name in exact_a:
            verdict = compare.agree(a[name], b[name], exact_a[name], exact_b[name])
            if not verdict.equal:
                self.fail(step, f"{name}: {verdict}")
            worst = verdict if worst is None or verdict.difference > worst.difference else worst
        self.say(step, f"({len(exact_a)} outputs)")
        return worst

    # -- steps
    def round_trip(self):
        """onnx -> mlir -> onnx: the same bytes out of onnxruntime with its optimisations off."""
        command("twist-translate", self.dense, "-o", self.base + ".mlir")
        command("twist-translate", self.base + ".mlir", "-o", self.base + ".back.onnx")
        a = compare.run_ort(self.model, self.feeds, False)
        b = compare.run_ort(onnx.load(self.base + ".back.onnx"), self.feeds, False)
        if list(a) != list(b) or any(a[n].tobytes() != b[n].tobytes() for n in a):
            self.fail("round trip", "outputs differ")
        self.say("round trip")

    def inspect(self):
        """Axes by kind."""
        data = json.loads(self.twist("inspect", self.dense, "--json"))
        kinds = {}
        for axis in data["axes"]:
            kinds.setdefault(axis["kind"], []).append(axis["units"])
        text = ", ".join(f"{len(units)} {kind} of {sorted(set(units))}" for kind, units in sorted(kinds.items()))
        self.say("inspect", text)
        return data

    def ticket(self, kappa, *more):
        path = f"{self.base}.{kappa}.json"
        self.twist("ticket", self.dense, f"--kappa={kappa}", "--policy=random", "--seed=3", *more, "-o", path)
        return path

    def slice(self, ticket, tag, verify=True):
        """Slices; the result in onnxruntime equals the independent masked model, and the mask did something."""
        small = f"{self.base}.{tag}.onnx"
        self.twist("slice", self.dense, "--ticket", ticket, "-o", small, *(["--verify"] if verify else []))
        masked = onnx.shape_inference.infer_shapes(masked_reference.mask(self.model, tickets.read(ticket)))
        path = f"{self.base}.{tag}.masked.onnx"
        onnx.save_model(masked, path)
        self.small_feeds[small] = self.cut_caches(self.feeds, ticket)
        (a, a64), (b, b64) = self.results(small), self.results(path)
        b, b64, dense = (self.cut_caches(v, ticket) for v in (b, b64, self.results(self.dense)[0]))
        self.check_equal(f"slice {tag} = masked", a, a64, b, b64)
        if all(np.allclose(dense[n], a[n]) for n in a):
            self.fail(f"slice {tag}", "the mask changed nothing")
        if os.path.getsize(small) >= os.path.getsize(self.dense):
            self.fail(f"slice {tag}", "the file is no smaller")
        return small

    def wrong(self, ticket):
        """A ticket cut one unit off is told from the right one."""
        right = tickets.read(ticket)
        name = next(n for n, axis in right.axes.items() if axis.removed_units())
        moved = tickets.Ticket({**right.axes, name: tickets.shifted(right.axes[name])})
        path = ticket.replace(".json", ".wrong.json")
        tickets.write(moved, path)
        small = path.replace(".json", ".onnx")
        self.twist("slice", self.dense, "--ticket", path, "-o", small)
        masked = masked_reference.mask(self.model, right)
        a = compare.run_ort(onnx.load(small), self.cut_caches(self.feeds, path))
        b, b64 = (self.cut_caches(run(masked, self.feeds), ticket) for run in (compare.run_ort, compare.run_double))
        if all(compare.agree(a[n], b[n], b64[n]).equal for n in b):
            self.fail("off by one", "went unnoticed")
        self.say("off by one is noticed")

    def native(self, path, tag, *more, threads=(1, 2)):
        """Compiles; the program equals onnxruntime by the f64 rule and gives the same bytes for any thread count."""
        out = f"{self.base}.{tag}"
        self.twist("compile", path, *more, "-o", out)
        reference, exact = self.results(path)
        runs = []
        for count in threads:
            with native.Program(out, count) as program:
                runs.append({n: a.copy() for n, a in program(self.inputs(path)).items()})
        for name, value in exact.items():
            verdict = compare.agree(runs[0][name], reference[name], value)
            if not verdict.equal:
                self.fail(f"native {tag}", f"{name}: {verdict}")
            if any(r[name].tobytes() != runs[0][name].tobytes() for r in runs):
                self.fail(f"native {tag}", f"{name}: bytes depend on the thread count")
        self.say(f"native {tag} = onnxruntime")
        return out


def command(*arguments):
    """Runs a tool of the build; its output, or the end of this process."""
    run = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    if run.returncode:
        text = [line[:300] for line in (run.stdout + run.stderr).splitlines()
                if not line.startswith(" #")]
        first = next((i for i, line in enumerate(text) if "error" in line or "Stack dump" in line), 0)
        text = "\n".join(text[max(0, first - 3):first + 12])
        sys.exit(f"FAILED ({run.returncode}): {' '.join(arguments)}\n{text}")
    return run.stdout
