"""all-MiniLM-L6-v2 cut by three tickets: is it still the same, how small, how fast?

    examples/minilm/demo.sh [--kappas .75,.5,.25] [--threads 1] [--folder build/demo]
"""
import argparse
import json
import os
import sys

import numpy as np
import onnx
import tokenizers

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "python"))
sys.path.insert(0, HERE)

import write_onnx  # noqa: E402
from twist_tools import compare, native, timing  # noqa: E402
from twist_tools.demo import parameters, say, twist  # noqa: E402
from twist_tools.models.graph import save  # noqa: E402


def encode(sentences):
    """One (ids, mask) of batch 1 per sentence, unpadded."""
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(write_onnx.package_folder(), "tokenizer.json"))
    tokenizer.no_padding()
    feeds = []
    for entry in tokenizer.encode_batch(sentences):
        feeds.append({"input_ids": np.array([entry.ids]), "attention_mask": np.array([entry.attention_mask])})
    return feeds


def embed(run, feeds):
    return np.concatenate([run(f) for f in feeds])


class Variant:
    """One model, dense or sliced, in both engines."""

    def __init__(self, name, path, feeds, threads):
        self.name, self.path = name, path
        self.native = native.Program(path.removesuffix(".onnx"), threads)
        self.session = compare.session(path, threads)
        self.feeds = feeds
        self.ours = embed(lambda f: self.native(f)["sentence_embedding"].copy(), feeds)
        self.theirs = embed(lambda f: self.session.run(None, f)[0], feeds)

    def check(self):
        """Ours against onnxruntime, errors measured in f64, on the first sentence."""
        exact = compare.run_double(onnx.load(self.path), self.feeds[0])["sentence_embedding"]
        verdict = compare.agree(self.ours[:1], self.theirs[:1], exact)
        worst = np.abs(self.ours - self.theirs).max()
        print(f"    {self.name:<10} {verdict}; all sentences: {worst:.1e}")
        return verdict.equal

    def bytes(self):
        base = self.path.removesuffix(".onnx")
        return sum(os.path.getsize(base + end) for end in (".so", ".weights") if os.path.exists(base + end))

    def run_ours(self):
        for f in self.feeds:
            self.native(f)

    def run_theirs(self):
        for f in self.feeds:
            self.session.run(None, f)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kappas", default=".75,.5,.25")
    parser.add_argument("--policy", default="magnitude")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", default=os.path.join(ROOT, "build", "demo"))
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    dense = os.path.join(options.folder, "dense.onnx")

    say("1. all-MiniLM-L6-v2 (trained, 6 layers) as ONNX")
    save(write_onnx.build(norm="fused"), dense)
    print(f"    {os.path.getsize(dense):,} bytes")
    say("2. What can be cut?")
    twist("inspect", dense, show=True)
    files = {"dense": dense}
    for kappa in options.kappas.split(","):
        say(f"3. A ticket that keeps {float(kappa):.0%} of heads and FFN units; slice, and prove sliced = masked")
        ticket = os.path.join(options.folder, f"ticket-{float(kappa)}.json")
        twist("ticket", dense, "--kappa", kappa, "--policy", options.policy, "-o", ticket)
        small = os.path.join(options.folder, f"sliced-{float(kappa)}.onnx")
        print(twist("slice", dense, "--ticket", ticket, "-o", small, "--verify").rstrip())
        files[f"kappa {float(kappa)}"] = small
    say("4. Native programs")
    for path in files.values():
        twist("compile", path, "-o", path.removesuffix(".onnx"))

    with open(os.path.join(HERE, "sentences.txt"), encoding="utf-8") as file:
        sentences = file.read().splitlines()
    feeds = encode(sentences)
    say(f"5. {len(sentences)} sentences, {sum(f['input_ids'].size for f in feeds)} tokens: ours against onnxruntime")
    variants = [Variant(name, path, feeds, options.threads) for name, path in files.items()]
    if not all([v.check() for v in variants]):
        sys.exit("error: our program and onnxruntime disagree")

    say(f"6. Time, {options.threads} thread{'s' * (options.threads > 1)}, engines in turn, median of "
        f"{options.repeats}")
    runs = {}
    for v in variants:
        runs |= {(v.name, "ours"): v.run_ours, (v.name, "theirs"): v.run_theirs}
    times = timing.interleaved(runs, options.repeats)
    rows, first = [], variants[0]
    for v in variants:
        ours, theirs = (times[v.name, who] / len(feeds) * 1e3 for who in ("ours", "theirs"))
        similar = (v.ours * first.ours).sum(1)
        rows.append([v.name, f"{similar.mean():.3f}", f"{parameters(v.path) / 1e6:.2f} M",
                     f"{os.path.getsize(v.path) / 1e6:.1f} MB", f"{v.bytes() / 1e6:.1f} MB", f"{ours:.2f}",
                     f"{theirs:.2f}", f"{theirs / ours:.2f}"])
    text = timing.table(["all-MiniLM-L6-v2", "cosine to dense", "parameters", "ONNX", "program",
                         "ours, ms/sentence", "onnxruntime, ms", "speed-up"], rows)
    print("\n" + text + "\n")
    with open(os.path.join(options.folder, "table.md"), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    with open(os.path.join(options.folder, "table.json"), "w", encoding="utf-8") as file:
        json.dump({f"{n} {w}": t / len(feeds) for (n, w), t in times.items()}, file, indent=1)
    say(f"Files are in {os.path.relpath(options.folder)}: sliced ONNX models run in any engine, each NAME.so with "
        "its NAME.weights and card runs without one.")


if __name__ == "__main__":
    main()
