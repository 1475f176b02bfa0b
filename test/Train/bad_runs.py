"""Files for errors.test: a model, data that do and data that do not."""
import os
import sys

import onnx
from train_gpt import write_tokens
from twist_tools.models import gpt2


def main(folder):
    text = "abcdefgh " * 400
    write_tokens(os.path.join(folder, "ids.bin"), text)
    write_tokens(os.path.join(folder, "short.bin"), text[:40])
    open(os.path.join(folder, "text"), "w").write(text)
    config = gpt2.Config(layers=2, dim=16, heads=4, vocab=64, context=16, shapes="zero")
    onnx.save(gpt2.build(config), os.path.join(folder, "m.onnx"))


if __name__ == "__main__":
    main(sys.argv[1])
