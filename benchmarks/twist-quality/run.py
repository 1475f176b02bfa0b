"""First evidence for TwIST: tickets of a GPT of 5.8 M parameters beside dense training, dropout of subnetworks, and cuts.

    benchmarks/twist-quality/run [--folder build/twist-quality] [--smoke]

One command, resumable: a training that was cut off goes on from its last checkpoint, what is finished is not run again.
Prints a table and the protocol of its numbers, writes FOLDER/results.json, table.md and quality.svg. --smoke tries all of it on a
model of dim 32, a little text and a few rounds, in minutes: its numbers mean nothing.

Model: 6 layers, dim 256, 8 heads, FFN 1024 in 16 groups of 64, first and last layer whole, context 256, BPE 4096, tied.
Arms fork from one pretrained model with its moments, see the same tokens, and their rate falls to zero. What is chosen
(rates, policies) is chosen on the first half of books-valid; reported are the second half and WikiText-2's validation text.
Tickets are judged on the first windows of a text, whole models and the table's last columns on all of it.
"""
import argparse
import json
import lzma
import math
import os
import subprocess
import sys

from picture import picture

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TWIST = os.path.join(ROOT, "build", "bin", "twist")
DATA = os.environ.get("TWIST_DATA", os.path.join(os.path.dirname(ROOT), "shared", "data"))
TEXTS = ("report-books", "report-wiki")
FIT = 57_000  # letters of books and of WikiText-2 that cuts are fitted on: 128 windows in all


class Sizes:
    """The pilot's, or --smoke's."""

    def __init__(self, smoke):
        self.model = "gpt2:layers=4,dim=32,heads=4,vocab=512,context=32,ffn=64" if smoke else \
            "gpt2:layers=6,dim=256,heads=8,vocab=4096,context=256,ffn=1024"
        self.vocab, self.context, self.group = (512, 32, 16) if smoke else (4096, 256, 64)
        self.text = 80_000 if smoke else None  # letters of each
        self.pretrain, self.rounds = (4, 4) if smoke else (round(20e6 / (15 * 16 * 256)), 100)
        self.anneal = "0:0.875,1:0.75,2:0.5" if smoke else "0:0.875,15:0.75,40:0.5"
        self.tickets, self.windows = (3, 16) if smoke else (32, 128)
        self.rates = [1e-3] if smoke else [3e-4, 1e-3]


# Arm: options, factor of rounds (one worker in place of four), the arm whose best rate it takes (else all are tried).
GAIN = ["--gain", "learned", "--gain-start", "s*"]
ARMS = {
    "dense": (["--mode", "dense"], 1, None),
    "dense, the workers' batch": (["--mode", "dense", "--workers", 1], 4, "dense"),
    "TwIST, carry + gain": (["--kappa", 0.5, *GAIN], 1, None),
    "TwIST, as the paper": (["--kappa", 0.5, "--optimiser-state", "reset"], 1, None),
    "subnetwork dropout": (["--mode", "subnet", "--workers", 1, "--kappa", 0.5], 4, "TwIST, carry + gain"),
}
# After the table of the above; each that is done is in the next table.
MORE = {
    "TwIST, carry": (["--kappa", 0.5], 1, "TwIST, carry + gain"),
    "TwIST, carry + gain, annealed": (["--anneal", None, *GAIN], 1, "TwIST, carry + gain"),
    "dense, dropout 0.1": (["--mode", "dense", "--dropout", 0.1], 1, "dense"),
}
DENSE = [name for name in {**ARMS, **MORE} if name.startswith("dense")]

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
    def __init__(self, folder, sizes):
        self.folder, self.sizes = folder, sizes
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "results.json")
        self.results = json.load(open(path)) if os.path.exists(path) else {}
        self.chosen = {}  # arm: (rate, score, folder)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def once(self, name, make):
        """The result of that name, made once."""
        if name not in self.results:
            self.results[name] = make()
            with open(self.path("results.json.tmp"), "w") as file:
                json.dump(self.results, file, indent=1)
            os.replace(self.path("results.json.tmp"), self.path("results.json"))
        return self.results[name]

    # -- data
    def texts(self):
        def read(name):
            path = os.path.join(DATA, "text", name)
            with (lzma.open if name.endswith(".xz") else open)(path, "rt", encoding="utf-8", newline="") as file:
                return file.read()
        valid = read("books/books-valid.txt")
        half = valid.find("\n", len(valid) // 2) + 1
        books, wiki = read("books/books-train.txt.xz"), read("wikitext-2-train.txt.xz")
        return {"books": books, "wiki": wiki, "fit": books[:FIT] + wiki[:FIT],
                "choose": valid[:half], "report-books": valid[half:], "report-wiki": read("wikitext-2-valid.txt")}

    def prepare(self):
        if os.path.exists(self.path("prepared")):
            return
        for name, text in self.texts().items():
            with open(self.path(name + ".txt"), "w", encoding="utf-8", newline="") as file:
                file.write(text[:self.sizes.text])
        twist("tokenizer", "--data", self.path("books.txt"), "--data", self.path("wiki.txt"), "--vocab", self.sizes.vocab, "-o",
              self.path("tokenizer.json"))
        for name in ("books", "wiki", "fit", "choose", *TEXTS):
            twist("tokenize", "--tokenizer", self.path("tokenizer.json"), "--data", self.path(name + ".txt"), "-o",
                  self.path(name + ".bin"))
        open(self.path("prepared"), "w").close()

    def windows(self):
        return ["--context", self.sizes.context, "--batch", 4]

    def cuts(self):
        return ["--group", self.sizes.group, "--pin-layers", "1,1"]

    # -- training
    def train(self, run, model, options):
        """A training, gone on with where it was cut off; its folder."""
        arguments = [model, "--data", self.path("books.bin"), "--data", self.path("wiki.bin"), "--context", self.sizes.context,
                     *self.cuts(), "--local-steps", 15, "--clip", 1, "--weight-decay", 0.01, *options, "-o", run]
        if "--workers" in options:  # one: it has the machine
            arguments += ["--threads", os.cpu_count()]
        with_checkpoints = os.path.isdir(os.path.join(run, "checkpoints")) and os.listdir(os.path.join(run, "checkpoints"))
        twist("train", *arguments, *(["--resume"] if with_checkpoints else []))
        return run

    def seconds(self, run):
        rounds = [json.loads(line) for line in open(os.path.join(run, "metrics.jsonl"))]
        return {"seconds": sum(r["seconds"] for r in rounds), "tokens": sum(r["tokens"] for r in rounds)}

    def pretrain(self):
        run = self.path("pretrained")
        self.once("pretrained", lambda: self.seconds(self.train(
            run, self.sizes.model, ["--rounds", self.sizes.pretrain, "--mode", "dense", "--workers", 1, "--batch", 16,
                                    "--learning-rate", 1e-3, "--warmup", 100, "--schedule", "constant", "--tickets", 0])))
        return run

    def arm(self, name, rate, pretrained, options, factor, tickets):
        """Trained and judged: {seconds, tokens, choose: {dense, tickets}, …}."""
        run = self.path(name.replace(" ", "-").replace(",", "").replace("'", "").replace("+", "") + f"-{rate:g}")
        options = [self.sizes.anneal if o is None else o for o in options]
        if "s*" in options:
            options += ["--calibration", self.calibration(pretrained, "pretrained", "books")]
        checkpoint = max(os.listdir(os.path.join(pretrained, "checkpoints")))
        options = ["--rounds", self.sizes.rounds * factor, "--batch", 4, "--learning-rate", rate, "--schedule", "linear",
                   "--tickets", tickets, "--start-from", os.path.join(pretrained, "checkpoints", checkpoint), *options]

        def judged(text):
            """A finished training judges again without training."""
            self.train(run, os.path.join(pretrained, "dense.onnx"),
                       [*options, "--valid", self.path(text + ".bin"), "--valid-batches", self.sizes.windows // 4])
            models = json.load(open(os.path.join(run, "tickets.json")))["models"]
            return {"dense": models[0]["perplexity"], "tickets": [m["perplexity"] for m in models[1:]]}

        self.once(f"{name}, rate {rate:g}", lambda: {"choose": judged("choose"), **self.seconds(run)})
        return run, judged

    def arms(self, pretrained, arms):
        """These arms at their rates; reported is the rate that did best on the choosing half."""
        for name, (options, factor, like) in arms.items():
            tickets = 0 if name in DENSE else self.sizes.tickets
            tried = []
            for rate in [self.chosen[like][0]] if like else self.sizes.rates:
                run, judged = self.arm(name, rate, pretrained, options, factor, tickets)
                scores = self.results[f"{name}, rate {rate:g}"]["choose"]
                values = scores["tickets"] or [scores["dense"]]
                tried.append((sum(values) / len(values), rate, run, judged))
            score, rate, run, judged = min(tried, key=lambda t: t[:2])
            self.chosen[name] = rate, score, run
            self.once(f"{name}: reported", lambda: {
                "rate": rate, "whole": self.judge(os.path.join(run, "dense.onnx")),
                "first": self.judge(os.path.join(run, "dense.onnx"), TEXTS, self.sizes.windows),
                **({"ticket": self.judge(os.path.join(run, "sliced", "kappa0.5-0.onnx")), **{text: judged(text) for text in TEXTS}}
                   if tickets else {})})

    def cuts_of_dense(self):
        """Cuts of the best dense model, without training after them."""
        dense = min((name for name in self.chosen if name in DENSE), key=lambda name: self.chosen[name][1])
        for policy in ("random", "flap", "obs"):
            for method in ("none", "ls"):
                self.cut(self.chosen[dense][2], dense, policy, method)

    # -- judging
    def judge(self, path, texts=TEXTS, samples=0):
        """Perplexity and bits per byte on all of each text (or its first windows)."""
        result = {}
        for text in texts:
            out = twist("eval", path, "--data", self.path(text + ".bin"), "--tokenizer", self.path("tokenizer.json"),
                        *self.windows(), "--samples", samples, quiet=True)
            words = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
            result[text] = {"perplexity": float(words["perplexity"][1]), "bits per byte": float(words["bits/byte"][1]),
                            "tokens": int(words["tokens"][1])}
        return result

    def calibration(self, run, name, text):
        path = self.path(f"calibration-{name}-{text}")
        self.once(f"calibration of {name} on {text}", lambda: {"said": twist(
            "calibrate", os.path.join(run, "dense.onnx"), "--data", self.path(text + ".bin"), *self.windows(), "--samples",
            self.sizes.windows, "-o", path)})
        return path

    def cut(self, dense, name, policy, method):
        """Tickets of a policy on the dense model, corrected or not, measured on each text: all of random's, one of the others'."""
        count = self.sizes.tickets if policy == "random" else 1
        more = ["--calibration", self.calibration(dense, name, "fit")] if policy in ("flap", "obs") else []

        def measured(text):
            out = twist("ticket", os.path.join(dense, "dense.onnx"), "--kappa", 0.5, *self.cuts(), "--policy", policy, *more,
                        "--search", count, "--correct", method, "--data", self.path("fit.bin"), *self.windows(), "--samples",
                        self.sizes.windows, "--report", self.path(text + ".bin"), "-o", self.path("searched.json"))
            line = next(line for line in out.splitlines() if line.startswith("tickets"))
            words = line.replace(",", "").split()
            return {words[i]: float(words[i + 1]) for i in range(2, len(words), 2)}

        return self.once(f"cut of {name}: {policy}, {method}", lambda: {t: measured(t) for t in ("choose", *TEXTS)})

    def tuned_cuts(self, pretrained):
        """The best cut of the pretrained model by a policy, and a random one, trained on: one mask for all rounds, the dense
        model's rate."""
        scores = {p: self.cut(pretrained, "pretrained", p, "none")["choose"]["mean"] for p in ("flap", "obs")}
        best = min(scores, key=scores.get)
        rate = self.chosen["dense"][0]
        for policy in (best, "random"):
            ticket = self.path(f"fixed-{policy}.json")
            more = [] if policy == "random" else ["--calibration", self.calibration(pretrained, "pretrained", "fit")]
            twist("ticket", os.path.join(pretrained, "dense.onnx"), "--kappa", 0.5, *self.cuts(), "--policy", policy, *more, "-o",
                  ticket)
            name = f"{policy} cut, trained on"
            run, _ = self.arm(name, rate, pretrained, ["--mode", "fixed", "--ticket", ticket], 1, 0)
            small = os.path.join(run, "small.onnx")
            twist("slice", os.path.join(run, "dense.onnx"), "--ticket", ticket, "--any-weights", "-o", small)
            self.once(f"{name}: reported", lambda: {"rate": rate, "ticket": self.judge(small),
                                                    "first": self.judge(small, TEXTS, self.sizes.windows)})

    # -- the table
    def rows(self):
        for name, row in self.results.items():
            if name.endswith(": reported"):
                label = f"{name.removesuffix(': reported')} (rate {row['rate']:g})"
                first = [spread([row["first"][t]["perplexity"]]) for t in TEXTS]
                if "whole" in row:
                    yield label + ", whole", first, [row["whole"][t] for t in TEXTS]
                if "ticket" in row:
                    tickets = [spread(row[t]["tickets"]) for t in TEXTS] if "whole" in row else first
                    yield label + ", kappa 0.5", tickets, [row["ticket"][t] for t in TEXTS]
            elif name.startswith("cut of"):
                yield name, [(row[t]["mean"], row[t]["sd"] / row[t]["mean"], row[t]["min"], row[t]["max"]) for t in TEXTS], [None] * 2

    def verdict(self):
        """What tickets without training after the cut have over cuts without it, both chosen on the choosing half."""
        arm = min((name for name in self.chosen if name.startswith("TwIST")), key=lambda name: self.chosen[name][1])
        cut = min((name for name in self.results if name.startswith("cut of dense")),
                  key=lambda name: self.results[name]["choose"]["mean"])
        ratios = [spread(self.results[f"{arm}: reported"][t]["tickets"])[0] / self.results[cut][t]["mean"] for t in TEXTS]
        return f"Tickets of '{arm}' have {ratios[0]:.3f} (books), {ratios[1]:.3f} (WikiText-2) of the perplexity of '{cut}'"

    def table(self):
        def cells(value, what):
            if value is None:
                return ""
            return what(value)
        mean = (lambda s: f"{s[0]:.2f} ± {100 * s[1]:.1f} % ({s[2]:.2f} to {s[3]:.2f})" if s[2] < s[3] else f"{s[0]:.2f}")
        all_ = (lambda s: f"{s['perplexity']:.2f} ({s['bits per byte']:.4f})")
        lines = ["| | books, first windows: mean ± sd/mean (min to max) | WikiText-2, the same | books, all (bits/byte) | "
                 "WikiText-2, all (bits/byte) |", "|---|---|---|---|---|"]
        for label, spreads, wholes in self.rows():
            lines.append("| " + " | ".join([label, *(cells(s, mean) for s in spreads), *(cells(w, all_) for w in wholes)]) + " |")
        attempts = [n for n in self.results if ", rate " in n]
        lines += ["", "Every attempt, on the choosing half: dense model, mean of its tickets; tokens/s"]
        for name in attempts:
            row = self.results[name]
            tickets = row["choose"]["tickets"]
            more = f", tickets {sum(tickets) / len(tickets):.2f}" if tickets else ""
            lines.append(f"- {name}: {row['choose']['dense']:.2f}{more}; {row['tokens'] / row['seconds']:.0f}")
        trained = [r for r in self.results.values() if "seconds" in r]
        hours = sum(r["seconds"] for r in trained) / 3600
        lines += ["", self.verdict()]
        lines += ["", f"{sum(r['tokens'] for r in trained) / 1e6:.1f} M tokens trained on in {hours:.2f} machine-hours"]
        text = "\n".join(lines) + "\n"
        with open(self.path("table.md"), "w", encoding="utf-8") as file:
            file.write(text)
        with open(self.path("quality.svg"), "w", encoding="utf-8") as file:
            file.write(picture("Perplexity on the held-out half of books-valid, first windows (line: least to most ticket)",
                               [(label, first[0]) for label, first, _ in self.rows()]))
        print("\n" + text)


def spread(values):
    mean = sum(values) / len(values)
    sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else 0
    return mean, sd / mean, min(values), max(values)


def estimate(study, pretrained):
    """Machine-hours, from the pace of the pretraining: what a ticket's training saves is not counted."""
    pace = study.results["pretrained"]["tokens"] / study.results["pretrained"]["seconds"]
    arm, rates = study.sizes.rounds * 4 * 15 * 4 * study.sizes.context, len(study.sizes.rates)
    count = sum(1 if like else rates for _, _, like in {**ARMS, **MORE}.values()) + 2  # and the cuts that are trained on
    total = study.results["pretrained"]["tokens"] + arm * count
    print(f"{pace:.0f} tokens/s: all trainings, {total / 1e6:.1f} M tokens, take at most {total / pace / 3600:.2f} machine-hours",
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    folder = options.folder or os.path.join(ROOT, "build", "twist-quality" + ("-smoke" if options.smoke else ""))
    study = Study(folder, Sizes(options.smoke))
    study.prepare()
    pretrained = study.pretrain()
    estimate(study, pretrained)
    study.arms(pretrained, ARMS)
    study.cuts_of_dense()
    study.tuned_cuts(pretrained)
    study.table()
    for name, arm in MORE.items():
        study.arms(pretrained, {name: arm})
        study.table()


if __name__ == "__main__":
    main()
