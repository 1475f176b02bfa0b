"""First evidence for TwIST: tickets of a GPT of 5.8 M parameters beside dense training, dropout of subnetworks, and cuts.

    benchmarks/twist-quality/run [--folder build/twist-quality] [--only "ARM;…"] [--tokens 1.0]

Resumable: each arm is a `twist train` that goes on from its last checkpoint; what is finished is not run again. --tokens
scales the budgets of all arms (1.0: 20 M to pretrain, 6.1 M an arm), to try it out. Prints a table and writes FOLDER/results.json.

Model: 6 layers, dim 256, 8 heads, FFN 1024 in 16 groups of 64, first and last layer whole, context 256, BPE 4096, tied.
Choices (learning rates) are made on the first half of books-valid; the table is WikiText-2's validation text and the second half.
"""
import argparse
import json
import lzma
import math
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TWIST = os.path.join(ROOT, "build", "bin", "twist")
DATA = os.environ.get("TWIST_DATA", os.path.join(os.path.dirname(ROOT), "shared", "data"))
MODEL = "gpt2:layers=6,dim=256,heads=8,vocab=4096,context=256,ffn=1024"
SIZES = ["--context", 256, "--local-steps", 15, "--batch", 4, "--clip", 1, "--weight-decay", 0.01]
CUTS = ["--group", 64, "--pin-layers", "1,1"]
# Arms fork from the pretrained model with its moments; the rate falls to zero in all of them.
ARMS = {
    "dense": ["--mode", "dense"],
    "dense, workers' batch": ["--mode", "dense", "--workers", 1, "--rounds-factor", 4],
    "TwIST, as the paper": ["--kappa", 0.5, "--optimiser-state", "reset"],
    "TwIST, carry": ["--kappa", 0.5],
    "TwIST, carry + gain": ["--kappa", 0.5, "--gain", "learned", "--gain-start", 0.9],
    "TwIST, carry + gain, annealed": ["--anneal", "0:0.875,15:0.75,40:0.5", "--gain", "learned", "--gain-start", 0.9],
    "subnetwork dropout": ["--mode", "subnet", "--workers", 1, "--kappa", 0.5, "--rounds-factor", 4],
}
RATES = [3e-4, 1e-3]


def twist(*arguments, quiet=False):
    arguments = [str(a) for a in arguments]
    print("$ twist " + " ".join(arguments), flush=True)
    run = subprocess.run([TWIST, *arguments], text=True, stdout=subprocess.PIPE)
    if run.returncode:
        sys.exit(f"error: twist {arguments[0]} ended with {run.returncode}\n{run.stdout}")
    if not quiet:
        print(run.stdout, flush=True)
    return run.stdout


class Study:
    def __init__(self, folder, scale):
        self.folder, self.scale = folder, scale
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "results.json")
        self.results = json.load(open(path)) if os.path.exists(path) else {}

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def save(self):
        with open(self.path("results.json.tmp"), "w") as file:
            json.dump(self.results, file, indent=1)
        os.replace(self.path("results.json.tmp"), self.path("results.json"))

    # -- data
    def texts(self):
        def read(name):
            path = os.path.join(DATA, "text", name)
            with (lzma.open if name.endswith(".xz") else open)(path, "rt", encoding="utf-8", newline="") as file:
                return file.read()
        valid = read("books/books-valid.txt")
        half = valid.find("\n", len(valid) // 2) + 1
        return {"books": read("books/books-train.txt.xz"), "wiki": read("wikitext-2-train.txt.xz"),
                "choose": valid[:half], "report-books": valid[half:], "report-wiki": read("wikitext-2-valid.txt")}

    def prepare(self):
        if os.path.exists(self.path("report-wiki.bin")):
            return
        for name, text in self.texts().items():
            with open(self.path(name + ".txt"), "w", encoding="utf-8", newline="") as file:
                file.write(text)
        twist("tokenizer", "--data", self.path("books.txt"), "--data", self.path("wiki.txt"), "--vocab", 4096, "-o",
              self.path("tokenizer.json"))
        for name in ("books", "wiki", "choose", "report-books", "report-wiki"):
            twist("tokenize", "--tokenizer", self.path("tokenizer.json"), "--data", self.path(name + ".txt"), "-o",
                  self.path(name + ".bin"))

    # -- training
    def train(self, name, model, rounds, options):
        run = self.path(name)
        if os.path.exists(os.path.join(run, "report.html")):
            return run
        resume = ["--resume"] if os.path.isdir(os.path.join(run, "checkpoints")) and \
            os.listdir(os.path.join(run, "checkpoints")) else []
        twist("train", model, "--data", self.path("books.bin"), "--data", self.path("wiki.bin"), *SIZES, *CUTS,
              "--rounds", rounds, *options, "--valid", self.path("choose.bin"), *resume, "-o", run)
        return run

    def pretrain(self):
        rounds = max(round(20e6 * self.scale / (15 * 16 * 256)), 1)
        return self.train("pretrained", MODEL, rounds,
                          ["--mode", "dense", "--workers", 1, "--batch", 16, "--learning-rate", 1e-3, "--warmup", 100,
                           "--schedule", "constant", "--tickets", 0])

    def arm(self, name, rate, pretrained):
        options, factor = list(ARMS[name]), 1
        if "--rounds-factor" in options:
            at = options.index("--rounds-factor")
            factor = options[at + 1]
            del options[at:at + 2]
        rounds = max(round(100 * self.scale), 2) * factor
        folder = name.replace(" ", "-").replace(",", "").replace("'", "") + f"-{rate:g}"
        checkpoint = max(os.listdir(os.path.join(pretrained, "checkpoints")))
        run = self.train(folder, os.path.join(pretrained, "dense.onnx"), rounds,
                         ["--learning-rate", rate, "--schedule", "linear", "--tickets", 32, "--start-from",
                          os.path.join(pretrained, "checkpoints", checkpoint), *options])
        return run

    # -- judging
    def judge(self, path, data):
        out = twist("eval", path, "--data", self.path(data + ".bin"), "--context", 256, "--batch", 4, quiet=True)
        words = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
        return {"perplexity": float(words["perplexity"][1]), "nats": float(words["nats"][1])}

    def judge_tickets(self, run):
        """By the training's own evaluation on books-valid's first half; the reported texts through twist eval."""
        models = json.load(open(os.path.join(run, "tickets.json")))["models"]
        return {"dense": models[0]["perplexity"], "tickets": [m["perplexity"] for m in models[1:]]}

    def cut(self, dense, policy, seed, method):
        name = f"cut-{policy}-{seed}-{method}"
        if name in self.results:
            return
        ticket, out = self.path(name + ".json"), self.path(name + ".onnx")
        more = ["--calibration", self.calibration(dense)] if policy in ("flap", "obs") else []
        twist("ticket", dense, "--kappa", 0.5, *CUTS, "--policy", policy, "--seed", seed, *more, "-o", ticket)
        if method != "none":
            corrected = self.path(name + "-corrected.json")
            twist("correct", dense, "--ticket", ticket, "--method", method, "--data", self.path("books.bin"), "--context",
                  256, "--batch", 4, "--samples", 128, "-o", corrected)
            ticket = corrected
        twist("slice", dense, "--ticket", ticket, "-o", out)
        self.results[name] = {text: self.judge(out, text) for text in ("choose", "report-books", "report-wiki")}
        self.save()

    def calibration(self, dense):
        path = self.path("calibration")
        if not os.path.exists(path):
            twist("calibrate", dense, "--data", self.path("books.bin"), "--context", 256, "--batch", 4, "--samples", 128,
                  "-o", path)
        return path

    def report(self, name, run):
        if name in self.results:
            return
        row = self.judge_tickets(run)
        row["report-dense"] = {t: self.judge(os.path.join(run, "dense.onnx"), t) for t in ("report-books", "report-wiki")}
        sliced = os.path.join(run, "sliced", "kappa0.5-0.onnx")
        if os.path.exists(sliced):
            row["report-ticket"] = {t: self.judge(sliced, t) for t in ("report-books", "report-wiki")}
        self.results[name] = row
        self.save()

    def table(self):
        print(f"\n{'':44} {'books':>8} {'WikiText-2':>11}   32 tickets on the choosing half: mean, sd/mean, best")
        for name, row in self.results.items():
            if name.startswith("cut-"):
                print(f"{name:44} {row['report-books']['perplexity']:8.2f} {row['report-wiki']['perplexity']:11.2f}")
                continue
            for key, what in (("report-dense", "whole"), ("report-ticket", "a ticket")):
                if key not in row:
                    continue
                line = (f"{name + ', ' + what:44} {row[key]['report-books']['perplexity']:8.2f} "
                        f"{row[key]['report-wiki']['perplexity']:11.2f}")
                values = row["tickets"]
                if key == "report-ticket" and len(values) > 1:
                    mean = sum(values) / len(values)
                    sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
                    line += f"   {mean:.2f}, {sd / mean:.4f}, {min(values):.2f}"
                print(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default=os.path.join(ROOT, "build", "twist-quality"))
    parser.add_argument("--only", default="")
    parser.add_argument("--tokens", type=float, default=1.0)
    options = parser.parse_args()
    study = Study(options.folder, options.tokens)
    study.prepare()
    pretrained = study.pretrain()
    only = [name.strip() for name in options.only.split(";") if name.strip()]
    for name in ARMS:
        for rate in RATES if not only or name in only else []:
            study.report(f"{name}, rate {rate:g}", study.arm(name, rate, pretrained))
    if not only or "cuts" in only:
        runs = {r: study.arm("dense", r, pretrained) for r in RATES}
        best = min(runs, key=lambda r: study.results[f"dense, rate {r:g}"]["dense"])  # chosen on the choosing half
        dense = os.path.join(runs[best], "dense.onnx")
        for method in ("none", "ls"):
            for seed in range(32 if method == "none" else 4):
                study.cut(dense, "random", seed, method)
            for policy in ("flap", "obs"):
                study.cut(dense, policy, 0, method)
    study.table()


if __name__ == "__main__":
    main()
