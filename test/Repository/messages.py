"""Every message for users has a test that provokes it: messages.py [--list]

Collects the string literals of each statement in lib/, include/ and tools/ that reports something, and looks in test/ and
unittests/ for a part of them that no other message has. What no test provokes stands in messages-untested.txt, with the
reason why; a line there that is needless fails too. --list shows all that is found.
"""
import fnmatch
import os
import re
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
EXCEPTIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "messages-untested.txt")
# What reports: MLIR's, LLVM's and the runtime's own, and helpers of single files.
REPORTS = re.compile(
    r"\b(?:emitError|emitOpError|emitWarning|createStringError|twist_fail|inFile|attempt|obstacle|unsupported|differs|"
    r"fail|refuse|refused|report|error|barrier|barrierAll|needSize|whyNot)\(|"
    r"\b(?:why|error|text) = |\bbarriers\.push_back\(|\bAssertOp::create\(|errs\(\) << |\bfprintf\(\s*stderr,|\bdie\(")
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
SIZES = range(3, 9)  # words of a part


def files(*folders):
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", *folders], capture_output=True, text=True, check=True)
    return listed.stdout.split()


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def without_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
    return re.sub(r'^((?:[^"/\n]|"(?:[^"\\\n]|\\.)*"|/(?!/))*)//.*$', r"\1", text, flags=re.M)


def statement(text, start):
    """From `start` to the end of its statement: a semicolon outside strings and parentheses."""
    depth, at = 0, start
    while at < len(text):
        c = text[at]
        if c == '"':
            at = LITERAL.match(text, at).end()
            continue
        if c == "'" and text[at + 1:at + 4] in ("\"'", ):
            at += 2
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth < 0:
                break
        elif c == ";" and depth <= 0:
            break
        at += 1
    return text[start:at]


def words(text):
    return re.sub(r"\s+", " ", text.replace("\\n", " ").replace('\\"', '"')).strip()


def pieces(literal):
    """What stands between the places where printf or formatv put values."""
    return [words(piece) for piece in re.split(r"%[-0-9.]*(?:ll|l|z)?[a-z]|\{\d[^}]*\}", literal)]


def messages():
    """(file, line, [literals])"""
    found = []
    for path in files("lib", "include", "tools"):
        if not path.endswith((".cpp", ".h", ".c")) or path.startswith("tools/twist-fuzz/"):
            continue
        text, end = without_comments(read(path)), 0
        for match in REPORTS.finditer(text):
            if match.start() < end:
                continue
            piece = statement(text, match.start())
            end = match.start() + len(piece)
            piece = re.sub(r'"\s*\n?\s*"', "", piece)  # adjacent literals are one
            literals = [part for m in LITERAL.finditer(piece) for part in pieces(m[1])]
            literals = [t for t in literals if len(t) > 3 and re.search("[a-z]{3}", t)]
            if literals:
                found.append((path, text.count("\n", 0, match.start()) + 1, literals))
    return found


def parts(literals):
    for text in literals:
        split = text.split(" ")
        if len(split) <= SIZES[0]:
            yield text
        for size in SIZES:
            for at in range(len(split) - size + 1):
                yield " ".join(split[at:at + size])


def exceptions():
    """[(pattern of a file's path, part of the text)]"""
    with open(EXCEPTIONS, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file]
    return [tuple(re.split(": ?", line, maxsplit=1)) for line in lines[1:] if line and not line.startswith("#")]


def untested(found):
    users = {}
    for _, _, literals in found:
        for part in set(parts(literals)):
            users.setdefault(part, set()).add(" | ".join(literals))
    tests = []
    for path in files("test", "unittests"):
        if not path.startswith("test/Repository/"):
            tests.append(re.sub(r'"\s*\n\s*[fr]?"', "", read(path)).replace('\\"', '"'))
    tested = re.sub(r"\s+", " ", "\n".join(tests))
    for path, line, literals in found:
        own = [p for p in parts(literals) if len(users[p]) == 1]
        if not any(p in tested for p in own or literals):
            yield path, line, literals


def main():
    found = messages()
    excepted, needless, bad = exceptions(), set(exceptions()), 0
    for path, line, literals in untested(found):
        fits = [e for e in excepted if fnmatch.fnmatch(path, e[0]) and any(e[1] in text for text in literals)]
        needless -= set(fits)
        if not fits:
            print(f"{path}:{line}: no test provokes: " + " | ".join(literals))
            bad += 1
    for path, text in sorted(needless):
        print(f"messages-untested.txt: needless: {path}: {text}")
    if "--list" in sys.argv:
        print("\n".join(f"{path}:{line}: " + " | ".join(literals) for path, line, literals in found))
    print(f"{len(found)} messages, {bad} untested, {len(needless)} needless exceptions")
    return bad or needless


sys.exit(1 if main() else 0)
