"""Forms that can't be compiled or read say so at their node, and leave no file.

usage: refused.py FOLDER
"""
import os
import subprocess
import sys

import onnx
from onnx import helper
from twist_tools.models import fused

# form, op, attribute, command, part of the message
CASES = [
    ("gqa", "GroupQueryAttention", {"smooth_softmax": 1}, "compile", "smooth_softmax is not supported in compiled programs"),
    ("gqa", "GroupQueryAttention", {"k_quant_type": "PER_TENSOR"}, "compile", "a quantised cache is not supported"),
    ("gpt", "Attention", {"past_present_share_buffer": 1}, "compile", "past_present_share_buffer is not supported"),
    ("mha_rotary", "RotaryEmbedding", {"is_packed_batching": 1}, "compile", "is_packed_batching is not supported"),
    ("mha", "MultiHeadAttention", {"num_heads": 5}, "compile", "a width of 64 is not divided by 5 heads"),
    ("mha", "MultiHeadAttention", {"heads": 4}, "inspect", "MultiHeadAttention has no attribute 'heads'"),
    ("attention3", "Attention", {"kv_num_heads": 3}, "compile", "a width of 40 is not divided by 3 heads"),
    ("bert", "Attention", {"num_heads": "four"}, "inspect", "Attention: Invalid attribute `num_heads`"),
]


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for number, (form, op, attributes, command, message) in enumerate(CASES):
        path, out = (os.path.join(folder, f"{number}{end}") for end in (".onnx", ".out"))
        model = fused.build(form)[0]
        node = next(n for n in model.graph.node if n.op_type == op)
        for name, value in attributes.items():
            for old in [a for a in node.attribute if a.name == name]:
                node.attribute.remove(old)
            node.attribute.append(helper.make_attribute(name, value))
        onnx.save(model, path)
        done = subprocess.run(["twist", command, path, *(["-o", out] if command == "compile" else [])],
                              capture_output=True, text=True)
        left = [f for f in os.listdir(folder) if f.startswith(os.path.basename(out))]
        if done.returncode != 1 or message not in done.stderr or node.name not in done.stderr or left:
            sys.exit(f"FAILED {form} {attributes}: {done.returncode} {left}\n{done.stderr}")
    print(f"{len(CASES)} forms refused")


if __name__ == "__main__":
    main(sys.argv[1])
