"""Writes lib/Text/UnicodeRanges.inc: the letters and numbers of GPT-2's pattern.

    .deps/venv/bin/python lib/Text/unicode_ranges.py
They are what PyPI's `tokenizers` (whose ids ours must equal) takes for \\p{L} and \\p{N}, asked code point by
code point: a letter joins a letter before it in one piece, a number a number. test/Text compares them again.
"""
import os

import tokenizers


def ranges(joins):
    found = []
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000 or not joins(chr(code)):
            continue
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def classes():
    split = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True).pre_tokenize_str
    return {"letterRanges": ranges(lambda c: len(split("a" + c)) == 1), "numberRanges": ranges(lambda c: len(split("1" + c)) == 1)}


if __name__ == "__main__":
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "UnicodeRanges.inc")
    with open(path, "w") as file:
        file.write("// Written by unicode_ranges.py: first and last code points, ascending.\n")
        for name, found in classes().items():
            file.write(f"static constexpr Range {name}[] = {{\n")
            for i in range(0, len(found), 5):
                file.write("    " + " ".join(f"{{{a:#x}, {b:#x}}}," for a, b in found[i:i + 5]) + "\n")
            file.write("};\n")
