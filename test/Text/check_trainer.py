"""twist tokenizer against PyPI's trainer: the same vocabulary and merges, and the same ids by both readers.

    check_trainer.py FOLDER      works in FOLDER
"""
import json
import os
import subprocess
import sys

from check_tokenizers import SAMPLES, check
from tokenizers import Tokenizer, models, pre_tokenizers, trainers


def main(folder):
    here = os.path.dirname(os.path.abspath(__file__))
    text = "".join(open(os.path.join(here, name), encoding="utf-8").read() * 2
                   for name in sorted(os.listdir(here)) if name.endswith((".py", ".test"))) + "".join(SAMPLES.values())
    source, target = os.path.join(folder, "corpus"), os.path.join(folder, "own.json")
    with open(source, "w", newline="", encoding="utf-8") as file:
        file.write(text)
    special = ["<pad>", "<|endoftext|>"]
    subprocess.run(["twist", "tokenizer", "--data", source, "--vocab", "900", "--special", ",".join(special),
                    "-o", target], check=True)

    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.train_from_iterator([text], trainers.BpeTrainer(
        vocab_size=900, min_frequency=2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=special,
        show_progress=False))
    expected, ours = json.loads(theirs.to_str())["model"], json.load(open(target, encoding="utf-8"))["model"]
    assert ours["vocab"] == expected["vocab"], "vocabularies differ"
    assert ours["merges"] == [list(m) for m in expected["merges"]], "merges differ"
    assert len(ours["vocab"]) == 900
    check("trained", target, Tokenizer.from_file(target), {"all": "".join(SAMPLES.values())}, folder)


if __name__ == "__main__":
    main(sys.argv[1])
