"""GPT-2 in every exporter style through the whole pipeline. Arguments: a folder, then parts (all by default)."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from pipeline import Pipeline  # noqa: E402
from twist_tools.models import gpt2  # noqa: E402

SIZES = dict(layers=2, dim=32, heads=4, vocab=61, context=16, ffn=64)
CASES = {
    "split-static": dict(style="split", shapes="static", sequence=9),
    "split-chain": dict(style="split", shapes="chain", opset=13),
    "split-chain-cache": dict(style="split", shapes="chain", cache=True, norm="fused"),
    "separate-zero": dict(style="separate", shapes="zero", tied=False, opset=18),
    "separate-chain-cache": dict(style="separate", shapes="chain", cache=True),
    "qkv5-static": dict(style="qkv5", shapes="static", sequence=9, norm="fused"),
    "qkv5-zero-cache": dict(style="qkv5", shapes="zero", cache=True, last=True),
    "qkv5-chain": dict(style="qkv5", shapes="chain", opset=23, norm="fused"),
}


def case(folder, name, parts):
    config = gpt2.Config(**SIZES, **CASES[name])
    p = Pipeline(folder, name, gpt2.build(config), batch=2, sequence=5, past=3)
    if "translate" in parts:
        p.round_trip()
    if "slice" in parts:
        axes = p.inspect()["axes"]
        for kind, units in (("head", config.heads), ("ffn", config.ffn)):
            found = [a["units"] for a in axes if a["kind"] == kind]
            if found != [units] * config.layers:
                p.fail("inspect", f"{kind}: {found}")
        half, quarter = p.ticket(0.5), p.ticket(0.25)
        p.slice(half, "half", verify="verify" in parts)
        p.slice(quarter, "quarter", verify=False)
        p.wrong(half)
    if "ticket" in parts:
        p.slice(p.ticket(0.5), "half", verify=True)
    if "native" in parts:
        p.native(p.dense, "dense")
        if "slice" in parts or "ticket" in parts:
            p.native(p.base + ".half.onnx", "half")


if __name__ == "__main__":
    chosen = sys.argv[2:] or ["translate", "slice", "native"]
    names = [c for c in chosen if c in CASES] or list(CASES)
    for each in names:
        case(sys.argv[1], each, [c for c in chosen if c not in CASES] or ["translate", "slice", "native"])
    print(f"gpt2: {len(names)} styles passed")
