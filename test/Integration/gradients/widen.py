"""Models in f64."""
import numpy as np
from onnx import TensorProto as T, numpy_helper


def widen(message, kept):
    """Every f32 of a model as f64, but for the operands `kept`: types of values, constants, casts."""
    graph = message.graph
    for value in [*graph.input, *graph.output, *graph.value_info]:
        tensor = value.type.tensor_type
        if tensor.elem_type == T.FLOAT and value.name not in kept:
            tensor.elem_type = T.DOUBLE
    constants = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                constants.append(attribute.t)
            if attribute.name in ("to", "dtype") and attribute.i == T.FLOAT:
                attribute.i = T.DOUBLE
    for tensor in constants:
        if tensor.data_type == T.FLOAT:
            array = numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return message
