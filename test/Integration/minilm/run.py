"""all-MiniLM-L6-v2, trained, through the whole pipeline."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "examples", "minilm"))

import write_onnx  # noqa: E402
from pipeline import Pipeline  # noqa: E402


def main(folder, parts):
    p = Pipeline(folder, "minilm", write_onnx.build(norm="fused"), batch=2, sequence=7)
    p.feeds["attention_mask"][1, 5:] = 0
    if "translate" in parts:
        p.round_trip()
    if "slice" in parts:
        axes = p.inspect()["axes"]
        for kind, units in (("head", 12), ("ffn", 1536)):
            found = [a["units"] for a in axes if a["kind"] == kind]
            if found != [units] * 6:
                p.fail("inspect", f"{kind}: {found}")
        for kappa in (0.75, 0.5, 0.25):
            p.slice(p.ticket(kappa), str(kappa), verify=kappa == 0.5)
        p.wrong(p.base + ".0.5.json")
    if "native" in parts:
        p.native(p.dense, "dense")
        if "slice" in parts:
            p.native(p.base + ".0.5.onnx", "0.5")
    print("minilm: passed")


main(sys.argv[1], sys.argv[2:] or ["translate", "slice", "native"])
