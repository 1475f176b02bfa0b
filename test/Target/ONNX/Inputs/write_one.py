"""write_one.py NAME FILE: one model for tests that look at the IR."""
import sys

import numpy as np
import onnx
from onnx import helper as h
from onnx import numpy_helper as nh

from models import model, value


def legacy():
    return model([h.make_node("MatMul", ["x", "w"], ["a"], name="product"),
                  h.make_node("ReduceSum", ["a"], ["y"], axes=[1], keepdims=1)],
                 [value("x", ["batch", 32])], [value("y", ["batch", 1])],
                 [nh.from_array(np.ones((32, 64), np.float32), "w"),
                  nh.from_array(np.float32([1, 2, 3, 4]), "b")], opset=12)


onnx.save(globals()[sys.argv[1]](), sys.argv[2])
