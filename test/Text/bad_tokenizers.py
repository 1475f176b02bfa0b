"""Writes tokenizers, each wrong in one way: bad_tokenizers.py FOLDER; with --damage, damaged copies of ids.bin."""
import copy
import json
import os
import sys

GOOD = {
    "normalizer": None,
    "added_tokens": [],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "Ġ": 2, "Ċ": 3, "c": 4}, "merges": []},
}
BAD = {
    "good": {},
    "normalizer": {"normalizer": {"type": "NFC"}},
    "split": {"pre_tokenizer": {"type": "Whitespace"}},
    "regex": {"pre_tokenizer": {"type": "ByteLevel", "use_regex": False}},
    "sequence": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [GOOD["pre_tokenizer"]] * 2}},
    "model": {"model": {"type": "WordPiece", "vocab": {}}},
    "suffix": {"model": dict(GOOD["model"], end_of_word_suffix="</w>")},
    "merge": {"model": dict(GOOD["model"], merges=["a b"])},
    "pair": {"model": dict(GOOD["model"], merges=["ab"])},
    "strip": {"added_tokens": [{"id": 5, "content": "<mask>", "lstrip": True}]},
    "huge": {"model": dict(GOOD["model"], vocab={"a": 1 << 25})},
    "empty": {"added_tokens": [{"id": 5, "content": ""}]},
    "idless": {"model": dict(GOOD["model"], vocab={"a": -1})},
    "mergeless": {"model": {"type": "BPE", "vocab": {"a": 0}}},
    "contentless": {"added_tokens": [{"id": 5}]},
    "twice": {"model": dict(GOOD["model"], vocab={"a": 0, "b": 0})},
}


def write(folder, name, data):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def main(folder, damage):
    if damage:
        ids = open(os.path.join(folder, "ids.bin"), "rb").read()
        write(folder, "short.bin", ids[:-2])
        write(folder, "range.bin", ids[:68] + (999).to_bytes(2, "little") + ids[70:])
        write(folder, "version.bin", ids[:8] + b"\x09" + ids[9:])
        return
    for name, change in BAD.items():
        write(folder, name + ".json", json.dumps(dict(copy.deepcopy(GOOD), **change)).encode())
    write(folder, "text", b"ab cz\n")
    write(folder, "latin1", b"ab \xe9t\xe9\n")


if __name__ == "__main__":
    main(sys.argv[1], "--damage" in sys.argv)
