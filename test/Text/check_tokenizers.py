"""twist tokenize against PyPI's tokenizers: the same ids for the same text, from both kinds of files.

    check_tokenizers.py FOLDER      works in FOLDER; $TWIST_DATA adds GPT-2's own vocabulary and real text
"""
import json
import os
import random
import subprocess
import sys

import numpy as np
import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

HEADER = np.dtype([("magic", "S8"), ("version", "<u4"), ("width", "<u4"), ("count", "<u8"), ("limit", "<u4"),
                   ("zero", "<u4"), ("hash", "S32")])
DATA = os.environ.get("TWIST_DATA", "")
SAMPLES = {
    "plain": "The quick brown fox isn't lazy; it's 12 years old.  Two  spaces,\n\n\ttabs \r\n and lines\n",
    "edges": " leading, trailing   ",
    "newlines": "\n\n\nx\n \n  y\t\t z \u00a0\u3000w\u2028v",
    "apostrophes": "I'll've'd 'S 's''t 'RE can't''' \u2019s x'llama 're",
    "scripts": "ελληνικά русский 中文字符 日本語 한국어 العربية עברית हिन्दी ไทย Ⅻ ½ ٣ ² x₂",
    "marks": "e\u0301 n\u0303 \u200d\u200b \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea a\ufe0fb",
    "symbols": "a+b=c; $5.00 — “quoted” … §§ ©®™ <|endoftext|> <pad><|endoftext|>!  <pad> x",
    "code": "for (int i = 0; i < n; ++i) {\n    x[i] += 0x1F;\n}\n",
    "empty": "",
    "space": " ",
    "long": "ab" * 3000 + " " * 500 + "é" * 700,
}


def text_of_every_character():
    """Letters, numbers and the rest before and after each other, over all planes in use."""
    codes = [c for c in (*range(1, 0x33500), *range(0xE0000, 0xE0200)) if not 0xD800 <= c < 0xE000]
    random.Random(0).shuffle(codes)
    return "".join(map(chr, codes)) + "".join("a" + chr(c) + "1" + chr(c) + " " + chr(c) for c in codes[:20000])


def trained(text, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=["<pad>", "<|endoftext|>"], show_progress=False)
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def encode(specification, text, folder):
    source, target = os.path.join(folder, "text"), os.path.join(folder, "ids.bin")
    with open(source, "w", newline="", encoding="utf-8") as file:
        file.write(text)
    subprocess.run(["twist", "tokenize", "--tokenizer", specification, "--data", source, "-o", target],
                   check=True, stdout=subprocess.DEVNULL)
    back = os.path.join(folder, "back")
    subprocess.run(["twist", "tokenize", "--tokenizer", specification, "--data", target, "--decode", "-o", back],
                   check=True)
    header = np.fromfile(target, HEADER, 1)[0]
    assert header["magic"] == b"TWISTIDS" and header["version"] == 1
    ids = np.fromfile(target, f"<u{header['width']}", offset=64)
    assert len(ids) == header["count"] and (ids < header["limit"]).all()
    return ids, open(back, encoding="utf-8", newline="").read(), target


def check(name, specification, tokenizer, texts, folder, prefix=False):
    for title, text in texts.items():
        ids, back, _ = encode(specification, text, folder)
        expected = tokenizer.encode(text, add_special_tokens=False).ids
        assert ids.tolist() == expected, f"{name}: {title}: {ids[:20]} but {expected[:20]}"
        assert prefix or back == text, f"{name}: {title} does not come back"
    print(f"{name}: {len(texts)} texts agree")


def write_pair(tokenizer, folder):
    """GPT-2's two files of a tokenizer, without its added tokens."""
    model = json.loads(tokenizer.to_str())["model"]
    vocabulary, merges = os.path.join(folder, "vocab.json"), os.path.join(folder, "merges.txt")
    json.dump(model["vocab"], open(vocabulary, "w"))
    with open(merges, "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "".join(" ".join(m) + "\n" for m in model["merges"]))
    return vocabulary, merges


def without_added(vocabulary, merges):
    tokenizer = Tokenizer(models.BPE.from_file(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def main(folder):
    few = {"all": "".join(SAMPLES.values()), **{k: SAMPLES[k] for k in ("edges", "newlines", "empty", "space")}}
    own = trained(open(os.path.abspath(__file__), encoding="utf-8").read() * 3 + "".join(SAMPLES.values()))
    path = os.path.join(folder, "tokenizer.json")
    own.save(path)
    check("tokenizer.json", path, own, dict(few, every=text_of_every_character()), folder)

    pair = write_pair(own, folder)
    check("vocab and merges", ",".join(pair), without_added(*pair), few, folder)

    spaced = Tokenizer.from_file(path)
    spaced.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.ByteLevel(add_prefix_space=True)])
    spaced.save(path)
    check("prefix space", path, spaced, few, folder, prefix=True)

    whole = json.loads(own.to_str())
    whole["model"]["ignore_merges"] = True
    whole["model"]["merges"] = whole["model"]["merges"][::2][:20] + whole["model"]["merges"][:20]
    open(path, "w").write(json.dumps(whole))
    check("whole words", path, Tokenizer.from_file(path), few, folder)

    gpt2 = os.path.join(DATA, "tokenizer", "gpt2-vocab.json"), os.path.join(DATA, "tokenizer", "gpt2-merges.txt")
    if os.path.exists(gpt2[0]):
        real = {f: open(os.path.join(DATA, "text", f), encoding="utf-8", newline="").read()
                for f in ("tinyshakespeare.txt", "wikitext-2-valid.txt")}
        check("GPT-2", ",".join(gpt2), without_added(*gpt2), real, folder)
        ids, _, _ = encode("bytes", real["tinyshakespeare.txt"], folder)
        assert ids.tobytes() == np.frombuffer(real["tinyshakespeare.txt"].encode(), "u1").astype("<u2").tobytes()
    print("tokenizers", tokenizers.__version__)


if __name__ == "__main__":
    main(sys.argv[1])
