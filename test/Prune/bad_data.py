"""Models and data, each wrong in one way: bad_data.py FOLDER"""
import sys

import numpy as np
import onnx
from twist_tools.models import gpt2
from twist_tools.models.graph import save

from common import language_model


def change(path, source, name, edit):
    model = onnx.load(source)
    for tensor in model.graph.initializer:
        if tensor.name == name:
            array = onnx.numpy_helper.to_array(tensor).copy()
            edit(array)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, path)


def main(folder):
    model = f"{folder}/m.onnx"
    language_model(model)
    language_model(f"{folder}/wide.onnx", ffn=1024)
    save(gpt2.build(gpt2.Config(layers=1), None), f"{folder}/gpt.onnx")
    change(f"{folder}/nan.onnx", model, "h.0.mlp.c_fc.bias", lambda a: a.__setitem__(3, np.nan))
    change(f"{folder}/constant.onnx", model, "h.0.mlp.c_fc.weight", lambda a: a.fill(0))
    change(f"{folder}/other.onnx", model, "h.0.mlp.c_fc.weight", lambda a: a.__imul__(2))
    ids = np.random.default_rng(0).integers(0, 61, (16, 16))
    np.save(f"{folder}/ids.npy", ids)
    np.save(f"{folder}/few.npy", ids[:2])
    np.save(f"{folder}/beyond.npy", ids + 50)
    np.save(f"{folder}/negative.npy", ids - 1000)
    np.save(f"{folder}/floats.npy", ids.astype(np.float32))
    np.save(f"{folder}/cube.npy", ids.reshape(4, 4, 16))
    np.save(f"{folder}/short.npy", ids[0, :5])
    open(f"{folder}/text", "w").write("text")


main(sys.argv[1])
