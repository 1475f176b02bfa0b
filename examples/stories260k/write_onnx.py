"""Writes stories260K, a trained Llama of 260,032 parameters, as ONNX with a key/value cache.

    .deps/venv/bin/python examples/stories260k/write_onnx.py -o stories260k.onnx
The weights are models/stories260K.bin in $TWIST_DATA (default: shared/data beside the checkout).
"""
import argparse
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "python"))

from twist_tools.models import llama  # noqa: E402
from twist_tools.models.graph import save  # noqa: E402

DATA = os.environ.get("TWIST_DATA", os.path.join(os.path.dirname(ROOT), "shared", "data"))
WEIGHTS = os.path.join(DATA, "models", "stories260K.bin")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default=WEIGHTS)
    parser.add_argument("--opset", type=int, default=17)
    parser.add_argument("--rope", choices=["pairs", "strided"], default="pairs")
    parser.add_argument("--norm", choices=["decomposed", "fused"], default="decomposed")
    parser.add_argument("--cache", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    if not os.path.exists(options.weights):
        sys.exit(f"error: no weights at {options.weights}: set TWIST_DATA or pass --weights")
    sizes, weights = llama.load(options.weights)
    config = llama.Config(**sizes, opset=options.opset, rope=options.rope, norm=options.norm, cache=options.cache)
    save(llama.build(config, weights), options.output)
    print(f"{options.output}: {os.path.getsize(options.output):,} bytes")
