"""A GPT's training step (forward, loss, backward, clipping, AdamW): twist step against PyTorch's best of {eager, torch.compile}.

Processes step in turn; the least and the median of their times, and the rate of multiply-adds as a share of what
independent ones in registers reach, before or after. Writes a markdown table.
    benchmarks/training-step [--precisions f32,bf16] [--threads 1,2] [--repeats 5] [--kappa 0.5] [--no-torch] [-o FILE]
PyTorch comes from PyPI into .deps/bench, once.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "python"))

from peak import machine  # noqa: E402
from twist_tools import timing  # noqa: E402
from twist_tools.models import gpt2  # noqa: E402
from twist_tools.models.graph import save  # noqa: E402

BUILD = os.environ.get("TWIST_BUILD", os.path.join(ROOT, "build"))
TWIST = os.path.join(BUILD, "bin", "twist")
VENV = os.path.join(ROOT, ".deps", "bench")
TORCH = "torch==2.15.0"
# In bf16 PyTorch keeps activations in half the bytes; here f32 stays beside them, so attention is computed again.
RECOMPUTE = {"f32": "nothing", "bf16": "attention"}


def install_torch():
    python = os.path.join(VENV, "bin", "python")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode:
        print(f"installing {TORCH} into {VENV}", flush=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "setuptools<82", "numpy", TORCH], check=True)
    return python


class Worker:
    """A process that makes one step for each line it gets and answers in JSON."""

    def __init__(self, command, **environment):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **environment})

    def step(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended: {self.process.args}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        rest = self.process.stdout.read()
        self.process.wait()
        return rest


def flops(c, batch, kappa=1.0):
    """Of the products of a step, three times those of the forward part; of attention what a causal mask leaves."""
    tokens = batch * c.context
    width = kappa * 8 * c.dim * c.dim // 2 + kappa * 8 * c.dim * c.dim  # q, k, v, o; up, down
    attention = kappa * (c.context + 1) * c.dim
    return 3 * 2 * tokens * (c.layers * (width + attention) + c.dim * c.vocab)


def twist(model, options, precision, threads, kappa):
    return Worker([TWIST, "step", model, "--interactive", "--context", str(options.context), "--batch",
                   str(options.batch), "--precision", precision, "--threads", str(threads), "--kappa", str(kappa),
                   "--recompute", options.recompute or RECOMPUTE[precision], "--clip", "1", "--weight-decay", "0.1"])


def torch_worker(python, options, mode, precision, threads):
    sizes = [options.layers, options.dim, options.heads, options.vocab, options.context, options.batch]
    return Worker([python, os.path.join(ROOT, "benchmarks", "training_torch.py"), mode, precision, str(threads),
                   *map(str, sizes)], OMP_NUM_THREADS=str(threads))


def measure(workers, repeats):
    """Per worker its answers after two steps to warm up, made in turn."""
    answers = {name: [] for name in workers}
    for round_ in range(repeats + 2):
        for name, worker in workers.items():
            time.sleep(0.05)
            answer = worker.step()
            if round_ >= 2:
                answers[name].append(answer)
    return answers


def case(python, model, config, options, precision, threads):
    peak = machine(threads)["fma_gflops"]
    workers = {"twist": twist(model, options, precision, threads, 1)}
    if options.kappa < 1:
        workers["twist kappa"] = twist(model, options, precision, threads, options.kappa)
    for mode in ("eager", "compile") if python else ():
        workers[mode] = torch_worker(python, options, mode, precision, threads)
    answers = measure(workers, options.repeats)
    for worker in workers.values():
        worker.close()
    peak = max(peak, machine(threads)["fma_gflops"])
    least = {name: min(a["seconds"] for a in found) for name, found in answers.items()}
    median = {name: statistics.median(a["seconds"] for a in found) for name, found in answers.items()}
    memory = {name: found[-1]["memory"] for name, found in answers.items()}
    peers = [name for name in ("eager", "compile") if name in least]
    tokens = options.batch * options.context
    whole, part = flops(config, options.batch), flops(config, options.batch, options.kappa)

    def row(name, kappa, flop):
        ratio = ""
        if peers and name == "twist":
            ratio = " / ".join(f"{min(times[peer] for peer in peers) / times[name]:.2f}" for times in (least, median))
        against = f"{least[name] / least['twist']:.2f} of {part / whole:.2f}" if kappa < 1 else ""
        return [name, precision, threads, f"{least[name] * 1e3:.0f}", f"{median[name] * 1e3:.0f}",
                f"{tokens / least[name]:.0f}", f"{flop / least[name] / 1e9:.0f}",
                f"{100 * flop / least[name] / 1e9 / peak:.0f} % of {peak:.0f}", ratio, against,
                f"{memory[name] / 1e6:.0f}"]

    rows = [row("twist", 1, whole)]
    if "twist kappa" in least:
        rows.append(row("twist kappa", options.kappa, part))
        rows[-1][0] = f"twist, kappa {options.kappa}"
    for name in peers:
        rows.append(row(name, 1, whole))
        rows[-1][0] = "PyTorch " + name
    for line in rows:
        print(*line, flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in dict(layers=6, dim=384, heads=6, vocab=8192, context=256, batch=16, repeats=5).items():
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--precisions", default="f32,bf16")
    parser.add_argument("--threads", type=lambda t: [int(n) for n in t.split(",")], default=[1, 2])
    parser.add_argument("--kappa", type=float, default=0.5)
    parser.add_argument("--recompute", help="what is computed again; f32: nothing, bf16: attention")
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("-o", "--output", default=os.path.join(BUILD, "benchmarks", "training-step.md"))
    options = parser.parse_args()
    config = gpt2.Config(layers=options.layers, dim=options.dim, heads=options.heads, vocab=options.vocab,
                         context=options.context, norm="fused")
    os.makedirs(os.path.join(BUILD, "benchmarks"), exist_ok=True)
    model = os.path.join(BUILD, "benchmarks", "training.onnx")
    save(gpt2.build(config), model)
    python = None if options.no_torch else install_torch()
    rows = []
    for precision in options.precisions.split(","):
        for threads in options.threads:
            rows += case(python, model, config, options, precision, threads)
    text = [f"{timing.machine()}. GPT of {options.layers} layers, "
            f"dim {options.dim}, {options.heads} heads, context {options.context}, vocabulary {options.vocab}, batch "
            f"{options.batch}; {options.repeats} steps of each in turn after 2.", "",
            timing.table(["engine", "precision", "threads", "least ms", "median ms", "tokens/s", "GFLOP/s",
                          "f32 peak", "speed-up (least / median)", "of the whole step", "MB"], rows), ""]
    timing.save(text, options.output)


if __name__ == "__main__":
    main()
