"""python/twist_torch/masks.py against `twist train --dry-run`: the same masks.

    check_masks.py FOLDER
"""
import json
import os
import subprocess
import sys

from train_gpt import corpus, write_tokens
from twist_torch import masks


def main(folder):
    write_tokens(os.path.join(folder, "ids.bin"), corpus()[:4000])
    for number, (assignment, workers, kappa, seed) in enumerate(
            [("balanced", 4, 0.5, 0), ("balanced", 3, 0.6, 2**40 + 7), ("random", 3, 0.7, 1), ("rolling", 4, 0.3, 5)]):
        run = os.path.join(folder, f"run{number}")
        subprocess.run(["twist", "train", "gpt2:layers=2,dim=40,heads=10,vocab=64,context=16,ffn=72", "--dry-run",
                        "--data", os.path.join(folder, "ids.bin"), "--context", "16", "--group", "8", "--rounds", "12",
                        "--workers", str(workers), "--kappa", str(kappa), "--seed", str(seed), "--assignment",
                        assignment, "-o", run], check=True, stdout=subprocess.DEVNULL)
        drawn = json.load(open(os.path.join(run, "masks.json")))
        for round_, axes in enumerate(drawn["masks"]):
            for axis, ours in zip(drawn["axes"], axes):
                theirs = masks.deal(seed, round_, axis["index"], axis["kind"], axis["groups"], workers, kappa, assignment)
                assert ours == theirs, (assignment, round_, axis, ours, theirs)
        print(f"{assignment}: {len(drawn['masks'])} rounds of {len(drawn['axes'])} axes agree")


if __name__ == "__main__":
    main(sys.argv[1])
