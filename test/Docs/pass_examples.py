"""The examples in a file of passes do what they say: pass_examples.py PASSES.td FOLDER

An example is a fenced block of mlir: what there is, `// becomes`, and ops that the pass then prints, in this order, by
other names; `// with TICKET adds` in the same place gives a ticket. Values that nothing makes are arguments, those that
nothing reads are results.
"""
import os
import re
import subprocess
import sys

PASS = re.compile(r'def \w+ : Pass<"([\w-]+)".*?^}\n', re.M | re.S)
BLOCK = re.compile(r"^ *```mlir\n(.*?)^ *```", re.M | re.S)
MIDDLE = re.compile(r"^ *// (?:becomes|with (\{.*\}) adds)$", re.M)
NAME = re.compile(r"%\w+")


def lines(text):
    """One op a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def types(line):
    """{operand: type} and the result's type."""
    head, _, after = line.rpartition(" : ")
    head = head.split(" = ", 1)[-1]
    operands = NAME.findall(re.sub(r"\{.*\}", "", head))
    if "->" not in after:
        return dict.fromkeys(operands, after), after
    inputs, result = after.rsplit(" -> ", 1)
    return dict(zip(operands, re.findall(r"tensor<[^>]*>", inputs))), result


def module(before):
    top = [line for line in before if line.startswith("twist.")]
    body = [line for line in before if line not in top]
    made, read, arguments = {}, set(), {}
    for line in body:
        operands, result = types(line)
        arguments |= {name: of for name, of in operands.items() if name not in made}
        read |= set(operands)
        made[line.split(" = ")[0].strip()] = result
    results = {name: of for name, of in made.items() if name not in read}
    return "\n".join([*(['weights.source @m from "weights.bin"'] if "@m" in "".join(body) else []), *top,
                      f"func.func @main({', '.join(f'{n}: {t}' for n, t in arguments.items())}) -> ({', '.join(results.values())}) {{",
                      *body, f"return {', '.join(results)} : {', '.join(results.values())}" if results else "return", "}"])


def is_same(want, found, names):
    """Whether two ops are one but for the values' names, which stay what they were called first."""
    if NAME.sub("%", want) != NAME.sub("%", found):
        return False
    pairs = list(zip(NAME.findall(want), NAME.findall(found)))
    if any(names.get(a, b) != b for a, b in pairs):
        return False
    names |= dict(pairs)
    return True


def check(name, block):
    middle = MIDDLE.search(block)
    before, after = lines(block[:middle.start()]), lines(block[middle.end():])
    with open("example.mlir", "w", encoding="utf-8") as file:
        file.write(module(before))
    option = ""
    if middle[1]:
        with open("ticket.json", "w", encoding="utf-8") as file:
            file.write(middle[1])
        option = "=ticket=ticket.json"
    done = subprocess.run(["twist-opt", "example.mlir", f"--{name}{option}"], capture_output=True, text=True)
    if done.returncode:
        return f"{name}: {done.stderr}\n{module(before)}"
    printed, names = [line.strip() for line in done.stdout.splitlines()], {}
    at = 0
    for want in after:
        found = next((i for i in range(at, len(printed)) if is_same(want, printed[i], names)), None)
        if found is None:
            return f"{name}: does not print\n  {want}\nbut\n{done.stdout}"
        at = found + 1
    return ""


def main(path, folder):
    os.makedirs(folder, exist_ok=True)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    os.chdir(folder)
    with open("weights.bin", "wb") as file:
        file.write(bytes(4096))
    names = []
    for found in PASS.finditer(text):
        for block in BLOCK.findall(found[0]):
            if not MIDDLE.search(block):
                continue
            wrong = check(found[1], block)
            if wrong:
                sys.exit("FAILED " + wrong)
            names.append(found[1])
    print("\n".join(names))


main(*sys.argv[1:])
