"""Small models, one for each feature of the ONNX format."""
import struct

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

rng = np.random.default_rng(7)


def value(name, shape, kind=T.FLOAT, **keywords):
    return h.make_tensor_value_info(name, kind, shape, **keywords)


def model(nodes, inputs, outputs, weights=(), opset=17, domains=(), name="g", **keywords):
    graph = h.make_graph(nodes, name, inputs, outputs, list(weights))
    imports = [h.make_opsetid("", opset)] + [h.make_opsetid(d, 1) for d in domains]
    return h.make_model(graph, opset_imports=imports, ir_version=9, **keywords)


def perceptron():
    """Weights in the file, constants, symbolic dimensions, documentation."""
    m = model(
        [h.make_node("MatMul", ["x", "w"], ["a"], name="mm", doc_string="a product"),
         h.make_node("Add", ["a", "b"], ["s"]),
         h.make_node("Softmax", ["s"], ["y"], name="sm", axis=-1)],
        [value("x", ["batch", 32], doc_string="the input")], [value("y", ["batch", 64])],
        [nh.from_array(rng.standard_normal((32, 64)).astype(np.float32), "w"),
         nh.from_array(rng.standard_normal(64).astype(np.float32), "b")],
        doc_string="a model", producer_name="tests", producer_version="1",
        domain="org.example", model_version=3)
    m.graph.doc_string = "a graph"
    m.graph.initializer[0].doc_string = "a weight"
    m.graph.value_info.append(value("a", ["batch", 64]))
    m.graph.value_info.append(value("s", ["batch", None]))
    return m


def metadata():
    """metadata_props everywhere, denotations, quantisation annotations."""
    m = perceptron()
    for holder in (m, m.graph, m.graph.node[0], m.graph.initializer[0], m.graph.input[0],
                   m.graph.value_info[0]):
        holder.metadata_props.add(key="where", value=type(holder).__name__)
    m.graph.input[0].type.denotation = "TENSOR"
    m.graph.input[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    annotation = m.graph.quantization_annotation.add(tensor_name="a")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="b")
    return m


def attributes():
    """Each kind of attribute, with strange numbers; attributes out of order."""
    node = h.make_node("Strange", ["x", "", "x", ""], ["y", "", "z"], domain="test.domain")
    node.attribute.append(h.make_attribute("zeta", 1))
    node.attribute.append(h.make_attribute("alpha", -(2**63)))
    node.attribute.append(h.make_attribute("f", 0.1))
    quiet = struct.unpack("<f", struct.pack("<I", 0xFFC12345))[0]
    nan = onnx.AttributeProto(name="nan", type=onnx.AttributeProto.FLOAT)
    nan.f = quiet
    node.attribute.append(nan)
    node.attribute.append(h.make_attribute("s", b"\x00bytes\xff\"\\\n"))
    node.attribute.append(h.make_attribute("floats", [1.5, float("inf"), -0.0, quiet]))
    node.attribute.append(h.make_attribute("ints", [1, -2, 2**62]))
    node.attribute.append(h.make_attribute("strings", ["a", "", "b\tc"]))
    node.attribute.append(h.make_attribute("no_ints", [], attr_type=onnx.AttributeProto.INTS))
    node.attribute.append(h.make_attribute("no_floats", [], attr_type=onnx.AttributeProto.FLOATS))
    node.attribute.append(h.make_attribute("no_strings", [], attr_type=onnx.AttributeProto.STRINGS))
    named = nh.from_array(np.arange(6, dtype=np.int64).reshape(2, 3), "named")
    named.doc_string = "a tensor"
    node.attribute.append(h.make_attribute("tensor", named, doc_string="documented"))
    node.attribute.append(h.make_attribute("big", nh.from_array(
        rng.standard_normal((64, 32)).astype(np.float32))))
    node.attribute.append(h.make_attribute("tensors", [
        nh.from_array(np.float32([1, 2])),
        nh.from_array(rng.standard_normal((64, 32)).astype(np.float32), "large")]))
    node.attribute.append(h.make_attribute("type", h.make_tensor_type_proto(T.FLOAT, ["n", 2])))
    node.attribute.append(h.make_attribute("types", [
        h.make_tensor_type_proto(T.INT8, None),
        h.make_sequence_type_proto(h.make_tensor_type_proto(T.FLOAT, [1]))]))
    sparse = h.make_sparse_tensor(nh.from_array(np.float32([1, 2])),
                                  nh.from_array(np.int64([0, 5])), [2, 3])
    node.attribute.append(h.make_attribute("sparse", sparse))
    node.attribute.append(h.make_attribute("sparses", [sparse, sparse]))
    untyped = onnx.AttributeProto(name="untyped", i=4)
    node.attribute.append(untyped)
    node.attribute.append(onnx.AttributeProto(name="implicit", type=onnx.AttributeProto.INT))
    node.attribute.append(onnx.AttributeProto(name="empty", type=onnx.AttributeProto.STRING))
    graph = h.make_graph([h.make_node("Neg", ["x"], ["t"])], "sub", [], [value("t", None)])
    node.attribute.append(h.make_attribute("graph", graph))
    node.attribute.append(h.make_attribute("graphs", [graph, graph]))
    node.attribute.append(h.make_attribute("one_graph", [graph]))
    node.attribute.append(onnx.AttributeProto(name="no_graphs",
                                              type=onnx.AttributeProto.GRAPHS))
    node.overload = "variant"
    return model([node], [value("x", [2])], [value("y", [2]), value("z", ["n"])],
                 domains=["test.domain"])


def numbers():
    """Each element type, in raw_data and in the typed fields."""
    names = ["FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "BOOL", "FLOAT16",
             "DOUBLE", "UINT32", "UINT64", "COMPLEX64", "COMPLEX128", "BFLOAT16",
             "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "UINT4", "INT4",
             "FLOAT4E2M1", "FLOAT8E8M0", "UINT2", "INT2", "FLOAT6E2M3", "FLOAT6E3M2"]
    tensors = []
    for name in names:
        kind = T.DataType.Value(name)
        bits = {"BOOL": 8, "COMPLEX64": 64, "COMPLEX128": 128}.get(name)
        if bits is None:
            digits = "".join(c if c.isdigit() else " " for c in name).split()
            bits = {"FLOAT": 32, "DOUBLE": 64, "BFLOAT16": 16}.get(name, int((digits or ["0"])[0]))
        for count in (1, 6, 3001):
            raw = rng.bytes((bits * count + 7) // 8)
            if name == "BOOL":
                raw = bytes(b & 1 for b in raw)
            if bits < 8 and bits * count % 8:
                raw = raw[:-1] + bytes([raw[-1] & ((1 << bits * count % 8) - 1)])
            shape = [count] if count != 6 else [2, 3]
            tensors.append(T(name=f"{name}_raw_{count}", data_type=kind, dims=shape, raw_data=raw))
            typed = T(name=f"{name}_typed_{count}", data_type=kind, dims=shape)
            as_numbers = {"FLOAT": ("float_data", "<f4"), "COMPLEX64": ("float_data", "<f4"),
                          "DOUBLE": ("double_data", "<f8"), "COMPLEX128": ("double_data", "<f8"),
                          "INT64": ("int64_data", "<i8"), "UINT64": ("uint64_data", "<u8"),
                          "UINT32": ("uint64_data", "<u4"), "INT32": ("int32_data", "<i4"),
                          "INT16": ("int32_data", "<i2"), "INT8": ("int32_data", "<i1"),
                          "UINT16": ("int32_data", "<u2"), "FLOAT16": ("int32_data", "<u2"),
                          "BFLOAT16": ("int32_data", "<u2")}
            field, form = as_numbers.get(name, ("int32_data", "<u1"))
            if name.startswith("FLOAT6"):
                typed.int32_data.extend(rng.integers(0, 64, count).tolist())
            else:
                getattr(typed, field).extend(np.frombuffer(raw, form).tolist())
            if "float" in field or "double" in field:  # NaN payloads change on the way through Python
                clean = np.nan_to_num(np.frombuffer(raw, form)) * 0 + np.arange(1, 1 + len(raw) // int(form[-1]))
                del getattr(typed, field)[:]
                getattr(typed, field).extend(clean.tolist())
            tensors.append(typed)
    tensors.append(h.make_tensor("strings", T.STRING, [2, 2], [b"a", b"", b"\xff\x00", b"d"]))
    tensors.append(nh.from_array(np.float32(3), "scalar"))
    tensors.append(nh.from_array(np.zeros((0, 4), np.float32), "nothing"))
    tensors.append(nh.from_array(np.ones(600, np.float32), "constant"))
    return model([h.make_node("Identity", ["x"], ["y"])], [value("x", [1])], [value("y", [1])],
                 tensors)


def control():
    """If and Loop with captured values, weights inside, equal names in branches."""
    def branch(op, weight):
        return h.make_graph(
            [h.make_node(op, ["x", "inner"], ["t"], name="node"),
             h.make_node("MatMul", ["t", "w"], ["out"])], op, [], [value("out", ["n", 40])],
            [nh.from_array(np.float32([weight]), "inner")])
    body = h.make_graph(
        [h.make_node("Add", ["acc", "y"], ["acc_out"]),
         h.make_node("Identity", ["cond"], ["cond_out"])], "body",
        [value("i", [], T.INT64), value("cond", [], T.BOOL), value("acc", None)],
        [value("cond_out", [], T.BOOL), value("acc_out", None)])
    return model(
        [h.make_node("If", ["c"], ["y"], then_branch=branch("Add", 2), else_branch=branch("Mul", 3)),
         h.make_node("Loop", ["trips", "", "y"], ["z"], body=body)],
        [value("c", [], T.BOOL), value("x", ["n", 40])], [value("z", ["n", 40])],
        [nh.from_array(rng.standard_normal((40, 40)).astype(np.float32), "w"),
         nh.from_array(np.int64(3), "trips")])


def functions():
    """Model-local functions, nested, with attribute references."""
    inner = h.make_function(
        "my", "Scale", ["a"], ["b"],
        [h.make_node("Constant", [], ["k"]), h.make_node("Mul", ["a", "k"], ["b"])],
        [h.make_opsetid("", 17)], attributes=["factor"])
    reference = inner.node[0].attribute.add(name="value_float", ref_attr_name="factor",
                                            type=onnx.AttributeProto.FLOAT)
    assert reference.ref_attr_name
    big = nh.from_array(rng.standard_normal((32, 32)).astype(np.float32))
    outer = h.make_function(
        "my", "Block", ["p"], ["q"],
        [h.make_node("Constant", [], ["m"], value=big),
         h.make_node("MatMul", ["p", "m"], ["r"]),
         h.make_node("Scale", ["r"], ["q"], domain="my", factor=2.0, name="call")],
        [h.make_opsetid("", 17), h.make_opsetid("my", 1)],
        attribute_protos=[h.make_attribute("unused", 3)], doc_string="a block")
    outer.metadata_props.add(key="k", value="v")
    m = model([h.make_node("Block", ["x"], ["y"], domain="my", name="block")],
              [value("x", ["n", 32])], [value("y", ["n", 32])], domains=["my"],
              functions=[inner, outer])
    return m


def sparse():
    """Sparse initializers, flat and by coordinates."""
    m = model([h.make_node("MatMul", ["x", "s"], ["a"]), h.make_node("Add", ["a", "t"], ["y"])],
              [value("x", ["n", 4])], [value("y", ["n", 5])])
    m.graph.sparse_initializer.append(h.make_sparse_tensor(
        nh.from_array(np.float32([1, 2, 3]), "s"), nh.from_array(np.int64([0, 7, 19])), [4, 5]))
    m.graph.sparse_initializer.append(h.make_sparse_tensor(
        nh.from_array(np.float32([5]), "t"), nh.from_array(np.int64([[3]])), [5]))
    return m


def training():
    m = perceptron()
    info = m.training_info.add()
    info.algorithm.name = "step"
    info.algorithm.node.append(h.make_node("Neg", ["w"], ["w2"]))
    info.algorithm.initializer.append(
        nh.from_array(rng.standard_normal((64, 64)).astype(np.float32), "state"))
    info.update_binding.add(key="w", value="w2")
    info.initialization.name = "begin"
    return m


def types():
    """Sequences, optionals, maps, missing types and shapes, odd dimensions."""
    m = model([h.make_node("SequenceConstruct", ["x", "x"], ["q"]),
               h.make_node("SequenceAt", ["q", "i"], ["y"]),
               h.make_node("Optional", ["x"], ["o"]),
               h.make_node("Identity", ["v"], ["u"])],
              [value("x", [2, 3]), value("i", [], T.INT64), value("v", None), value("m", [0, "d"])],
              [value("y", None), onnx.ValueInfoProto(name="u")])
    m.graph.value_info.append(h.make_value_info("q", h.make_sequence_type_proto(
        h.make_tensor_type_proto(T.FLOAT, [2, "k"]))))
    m.graph.value_info.append(h.make_value_info("o", h.make_optional_type_proto(
        h.make_tensor_type_proto(T.FLOAT, [2, 3]))))
    m.graph.input.append(h.make_value_info("map", h.make_map_type_proto(
        T.STRING, h.make_tensor_type_proto(T.INT64, []))))
    m.graph.input.append(h.make_value_info("sp", h.make_sparse_tensor_type_proto(T.FLOAT, [2])))
    odd = m.graph.input.add(name="odd")
    odd.type.tensor_type.elem_type = T.FLOAT
    odd.type.tensor_type.shape.dim.add(dim_value=-1)
    odd.type.tensor_type.shape.dim.add(dim_param="")
    odd.type.tensor_type.shape.dim.add()
    m.graph.input.add(name="untyped")
    return m


def defaults():
    """Inputs that an initializer gives a value."""
    m = model([h.make_node("MatMul", ["x", "w"], ["y"])],
              [value("w", [32, 32]), value("x", ["n", 32])], [value("y", ["n", 32])],
              [nh.from_array(rng.standard_normal((32, 32)).astype(np.float32), "w")])
    m.ir_version = 3
    return m


def passing():
    """Outputs that are inputs, weights or repeated; unused nodes; explicit empty domains."""
    m = model([h.make_node("Relu", ["x"], ["y"], domain=""), h.make_node("Neg", ["x"], ["unused"])],
              [value("x", ["n", 300])],
              [value("y", ["n", 300]), value("w", [300]), value("k", [2], T.INT64)],
              [nh.from_array(rng.standard_normal(300).astype(np.float32), "w"),
               nh.from_array(np.int64([1, 2]), "k")])
    m.graph.node[0].domain = ""
    return m


def unknown():
    """Fields and operators nobody knows."""
    m = model([h.make_node("Mystery", ["x"], ["y"], domain="com.example", a=1),
               h.make_node("Relu", ["y"], ["z"], domain="ai.onnx")],
              [value("x", ["n"])], [value("z", ["n"])], domains=["com.example"])
    extra = b"\xa2\x1f\x03abc"  # field 500, three bytes
    m.graph.node[0].MergeFromString(extra)
    m.MergeFromString(extra)
    m.graph.MergeFromString(extra)
    return m


ALL = [perceptron, metadata, attributes, numbers, control, functions, sparse, training, types,
       defaults, passing, unknown]
