"""Files for errors.test: a model, data that do and data that do not."""
import json
import os
import subprocess
import sys

import onnx
from train_gpt import write_tokens
from twist_tools.models import gpt2


def main(folder):
    text = "abcdefgh " * 400
    write_tokens(os.path.join(folder, "ids.bin"), text)
    write_tokens(os.path.join(folder, "short.bin"), text[:40])
    write_tokens(os.path.join(folder, "foreign.bin"), text, bytes(range(32)))
    open(os.path.join(folder, "text"), "w").write(text)
    open(os.path.join(folder, "empty"), "w").close()
    subprocess.run(["twist", "tokenizer", "--data", os.path.join(folder, "text"), "--vocab", "260", "-o",
                    os.path.join(folder, "pairs.json")], check=True, stdout=subprocess.DEVNULL)
    config = gpt2.Config(layers=1, dim=16, heads=4, vocab=64, context=16, shapes="zero")
    model = os.path.join(folder, "m.onnx")
    onnx.save(gpt2.build(config), model)
    axes = json.loads(subprocess.run(["twist", "inspect", model, "--json"], check=True, capture_output=True).stdout)["axes"]
    head = next(axis for axis in axes if axis["kind"] == "head")["name"]
    for name, axis, units in (("other", "head.9", 4), ("units", head, 3)):
        with open(os.path.join(folder, name + ".json"), "w") as file:
            json.dump({"version": 1, "axes": {axis: {"units": units, "keep": [0]}}}, file)


if __name__ == "__main__":
    main(sys.argv[1])
