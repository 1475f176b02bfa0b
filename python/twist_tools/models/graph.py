"""A thin layer over onnx.helper: names, initialisers, and operators whose form depends on the opset."""
import json

import numpy as np
import onnx
from onnx import helper, numpy_helper

FLOAT = {"f16": np.float16, "f32": np.float32, "f64": np.float64}


class Graph:
    """Collects nodes; every method that adds a node returns the name of its first output.

    `scope` is put before node names ("/h.0/attn/"), as torch does. `opset` chooses between attribute and
    input forms of axes (Split and Unsqueeze changed at 13, ReduceMean and ReduceL2 at 18).
    """

    def __init__(self, name, opset=17, dtype=np.float32):
        self.name, self.opset, self.dtype = name, opset, np.dtype(dtype)
        self.nodes, self.initialisers, self.inputs, self.outputs = [], [], [], []
        self.scope, self.counts, self.shared = "/", {}, {}

    # -- values
    def input(self, name, elem, shape):
        self.inputs.append(helper.make_tensor_value_info(name, self._elem(elem), shape))
        return name

    def output(self, name, elem, shape):
        self.outputs.append(helper.make_tensor_value_info(name, self._elem(elem), shape))

    def _elem(self, elem):
        return helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype if elem == "float" else elem))

    def weight(self, name, array):
        """An initialiser by this name, once; floats are stored in the graph's element type."""
        array = np.asarray(array)
        if array.dtype.kind == "f":
            array = array.astype(self.dtype)
        if name not in self.shared:
            self.shared[name] = True
            self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def const(self, value, dtype=None):
        """A Constant node, as torch writes scalars and shapes."""
        array = np.asarray(value)
        array = array.astype(dtype or (self.dtype if array.dtype.kind == "f" else np.int64))
        return self.op("Constant", value=numpy_helper.from_array(array))

    # -- nodes
    def op(self, kind, *inputs, outputs=1, to=None, domain=None, **attributes):
        index = self.counts.get(kind, 0)
        self.counts[kind] = index + 1
        name = f"{self.scope}{kind}_{index}"
        if to is not None:
            names = [to] if isinstance(to, str) else list(to)
        else:
            names = [f"{name}_output_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=name, domain=domain, **attributes))
        return names[0] if len(names) == 1 else names

    def cast(self, x, elem="float"):
        """x in the graph's float type, or another."""
        index = self.counts.get("Cast", 0)
        self.counts["Cast"] = index + 1
        name = f"{self.scope}Cast_{index}"
        self.nodes.append(helper.make_node("Cast", [x], [name + "_output_0"], name=name, to=self._elem(elem)))
        return name + "_output_0"

    def unsqueeze(self, x, axes):
        if self.opset < 13:
            return self.op("Unsqueeze", x, axes=axes)
        return self.op("Unsqueeze", x, self.const(axes))

    def squeeze(self, x, axes):
        if self.opset < 13:
            return self.op("Squeeze", x, axes=axes)
        return self.op("Squeeze", x, self.const(axes))

    def split(self, x, sizes, axis):
        if self.opset < 13:
            return self.op("Split", x, outputs=len(sizes), split=sizes, axis=axis)
        return self.op("Split", x, self.const(sizes), outputs=len(sizes), axis=axis)

    def mean(self, x, axis=-1):
        if self.opset < 18:
            return self.op("ReduceMean", x, axes=[axis], keepdims=1)
        return self.op("ReduceMean", x, self.const([axis]), keepdims=1)

    def sum(self, x, axis, keepdims=0):
        if self.opset < 13:
            return self.op("ReduceSum", x, axes=[axis], keepdims=keepdims)
        return self.op("ReduceSum", x, self.const([axis]), keepdims=keepdims)

    def norm2(self, x, axis):
        if self.opset < 18:
            return self.op("ReduceL2", x, axes=[axis], keepdims=1)
        return self.op("ReduceL2", x, self.const([axis]), keepdims=1)

    def size(self, x, dim):
        """Dimension `dim` of x as an int64 scalar: the Shape, Gather chain of torch's exporter."""
        return self.op("Gather", self.op("Shape", x), self.const(dim), axis=0)

    def shape(self, *entries):
        """A shape tensor; integers are constants, strings are int64 scalars (Unsqueeze, Concat)."""
        if all(isinstance(e, int) for e in entries):
            return self.const(list(entries))
        parts = [self.const([e]) if isinstance(e, int) else self.unsqueeze(e, [0]) for e in entries]
        return self.op("Concat", *parts, axis=0)

    def reshape(self, x, *entries):
        return self.op("Reshape", x, self.shape(*entries))

    def linear(self, x, weight, bias=None, to=None):
        """x @ weight (+ bias); weight is [in, out]."""
        if bias is None:
            return self.op("MatMul", x, weight, to=to)
        return self.op("Add", self.op("MatMul", x, weight), bias, to=to)

    def layer_norm(self, x, gain, bias, eps, fused):
        if fused and self.opset >= 17:
            return self.op("LayerNormalization", x, gain, bias, axis=-1, epsilon=eps)
        centred = self.op("Sub", x, self.mean(x))
        variance = self.mean(self.op("Pow", centred, self.const(2.0)))
        deviation = self.op("Sqrt", self.op("Add", variance, self.const(eps)))
        scaled = self.op("Mul", self.op("Div", centred, deviation), gain)
        return self.op("Add", scaled, bias)

    def rms_norm(self, x, gain, eps, fused):
        if fused and self.opset >= 23:
            return self.op("RMSNormalization", x, gain, axis=-1, epsilon=eps)
        square = self.mean(self.op("Pow", x, self.const(2.0)))
        inverse = self.op("Div", self.const(1.0), self.op("Sqrt", self.op("Add", square, self.const(eps))))
        return self.op("Mul", self.op("Mul", x, inverse), gain)

    def gelu_tanh(self, x):
        cube = self.op("Mul", self.op("Pow", x, self.const(3.0)), self.const(0.044715))
        inner = self.op("Mul", self.op("Add", x, cube), self.const(float(np.sqrt(2 / np.pi))))
        gate = self.op("Add", self.op("Tanh", inner), self.const(1.0))
        return self.op("Mul", self.op("Mul", x, self.const(0.5)), gate)

    def gelu_erf(self, x):
        erf = self.op("Erf", self.op("Div", x, self.const(float(np.sqrt(2)))))
        return self.op("Mul", self.op("Mul", x, self.op("Add", erf, self.const(1.0))), self.const(0.5))

    def causal_mask(self, past, length, window=0):
        """[length, past + length] booleans, true where a query may look; both are int64 scalars (names).

        With `window` a query sees so many keys, its own the last of them.
        """
        total = self.op("Add", past, length)
        one = self.const(1)
        rows = self.unsqueeze(self.op("Range", past, total, one), [1])
        columns = self.unsqueeze(self.op("Range", self.const(0), total, one), [0])
        seen = self.op("LessOrEqual", columns, rows)
        if window:
            seen = self.op("And", seen, self.op("Less", self.op("Sub", rows, columns), self.const(window)))
        return seen

    # -- the file
    def model(self, architecture):
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.initialisers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)],
                                  producer_name="twist_tools")
        model.ir_version = 8 if self.opset < 19 else 10
        entry = model.metadata_props.add()
        entry.key, entry.value = "architecture", json.dumps(architecture)
        return model


def save(model, path, external=False):
    """Checks and writes `model`; with `external` every tensor above 1 KiB goes to PATH.data."""
    if model.ByteSize() < (1 << 31) - (1 << 20):
        onnx.checker.check_model(model)
    else:
        external = True
    if external:
        name = str(path).rsplit("/", 1)[-1] + ".data"
        onnx.save_model(model, path, save_as_external_data=True, location=name, size_threshold=1024)
    else:
        onnx.save_model(model, path)


def architecture(model):
    """The settings a writer noted in the model's metadata, or None."""
    for entry in model.metadata_props:
        if entry.key == "architecture":
            return json.loads(entry.value)
    return None


