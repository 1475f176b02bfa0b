"""Writes a GPT-2 of the small model's shape (124 M parameters, random weights) as ONNX.

    .deps/venv/bin/python examples/gpt2/write_onnx.py --style split -o gpt2.onnx
Any other shape: python -m twist_tools.models gpt2 --help
"""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "python"))

from twist_tools.models.__main__ import main  # noqa: E402

SMALL = ["--layers", "12", "--dim", "768", "--heads", "12", "--vocab", "50257", "--context", "1024"]

if __name__ == "__main__":
    main(["gpt2", *SMALL, *sys.argv[1:]])
