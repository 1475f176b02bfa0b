"""Writes an ONNX model as one function of `onnx.node` ops in MLIR's text form."""
import numpy as np
import onnx
from onnx import TensorProto as T, numpy_helper

ELEMENT = {T.FLOAT: "f32", T.DOUBLE: "f64", T.FLOAT16: "f16", T.BFLOAT16: "bf16",
           T.INT8: "i8", T.INT16: "i16", T.INT32: "i32", T.INT64: "i64",
           T.UINT8: "ui8", T.UINT16: "ui16", T.UINT32: "ui32", T.UINT64: "ui64",
           T.BOOL: "i1"}


class Unsupported(Exception):
    """The model has something no tensor program can have (the message says what)."""


def tensor_type(element, dims):
    if element not in ELEMENT:
        raise Unsupported(f"element type {T.DataType.Name(element)}")
    shape = "".join(("?" if d is None else str(d)) + "x" for d in dims)
    return f"tensor<{shape}{ELEMENT[element]}>"


def type_of(value):
    """The MLIR type of a ValueInfoProto; a dimension without a value is `?`."""
    if not value.type.HasField("tensor_type"):
        raise Unsupported("not a tensor")
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        raise Unsupported("no rank")
    dims = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
    return tensor_type(tensor.elem_type, dims)


def dense(tensor):
    """A TensorProto as a dense elements attribute."""
    type_ = tensor_type(tensor.data_type, tensor.dims)
    array = numpy_helper.to_array(tensor)
    if array.size == 0:
        return f"dense<> : {type_}"
    if tensor.data_type == T.BOOL:
        if array.size == 1:
            return f"dense<{str(bool(array.reshape(-1)[0])).lower()}> : {type_}"
        return f"dense<{str(array.tolist()).lower()}> : {type_}"
    return f'dense<"0x{np.ascontiguousarray(array).tobytes().hex()}"> : {type_}'


def attribute(a):
    kinds = onnx.AttributeProto
    if a.type == kinds.INT:
        return f"{a.i} : si64"
    if a.type == kinds.FLOAT:
        return f"0x{np.float32(a.f).view(np.uint32):08X} : f32"
    if a.type == kinds.STRING:
        return f'"{a.s.decode()}"'
    if a.type == kinds.INTS:
        return "array<i64: " + ", ".join(map(str, a.ints)) + ">" if a.ints else "array<i64>"
    if a.type == kinds.FLOATS:
        return "array<f32: " + ", ".join(f"0x{np.float32(f).view(np.uint32):08X}" for f in a.floats) + ">"
    if a.type == kinds.TENSOR:
        return dense(a.t)
    raise Unsupported(f"attribute {a.name} of kind {kinds.AttributeType.Name(a.type)}")


class Function:
    """The text of one function, built node by node."""

    def __init__(self, model, name):
        self.graph, self.name = model.graph, name
        self.values, self.types, self.lines = {}, {}, []
        known = [*self.graph.input, *self.graph.value_info, *self.graph.output]
        self.known = {v.name: v for v in known}

    def type(self, name):
        if name not in self.types:
            if name not in self.known:
                raise Unsupported("no inferred type")
            self.types[name] = type_of(self.known[name])
        return self.types[name]

    def operand(self, name):
        if name:
            return self.values[name], self.type(name)
        if "" not in self.values:
            self.values[""] = "%none"
            self.lines.append('  %none = "onnx.None"() <{value}> : () -> none')
        return "%none", "none"

    def constant(self, tensor):
        value = f"%w{len(self.values)}"
        self.values[tensor.name] = value
        self.types[tensor.name] = tensor_type(tensor.data_type, tensor.dims)
        text = dense(tensor)
        self.lines.append(f'  {value} = "onnx.Constant"() <{{value = {text}}}> : '
                          f"() -> {self.types[tensor.name]}")

    def node(self, node):
        if node.domain not in ("", "ai.onnx", "com.microsoft"):
            raise Unsupported(f"domain {node.domain}")
        domain = f', domain = "{node.domain}"' if node.domain == "com.microsoft" else ""
        operands = [self.operand(i) for i in node.input]
        attributes = ", ".join(f"{a.name} = {attribute(a)}" for a in node.attribute)
        results, types = [], []
        for name in node.output:
            self.values[name] = f"%v{len(self.values)}"
            results.append(self.values[name] if name else f"%u{len(self.lines)}_{len(results)}")
            types.append(self.type(name) if name else "none")
        self.lines.append(
            f'  {", ".join(results)} = "onnx.node"({", ".join(v for v, _ in operands)}) '
            f'<{{op_type = "{node.op_type}", node_attributes = {{{attributes}}}{domain}}}> : '
            f'({", ".join(t for _, t in operands)}) -> ({", ".join(types)}) '
            f'loc("{self.name}/{node.name or node.op_type}")')

    def text(self):
        initialisers = {t.name for t in self.graph.initializer}
        inputs = [i for i in self.graph.input if i.name not in initialisers]
        arguments = []
        for i, value in enumerate(inputs):
            self.values[value.name] = f"%a{i}"
            dims = [d.dim_param for d in value.type.tensor_type.shape.dim]
            names = ", ".join(f'"{d}"' for d in dims)
            arguments.append(f"%a{i}: {self.type(value.name)} {{onnx.dims = [{names}]}}")
        for tensor in self.graph.initializer:
            self.constant(tensor)
        for node in self.graph.node:
            self.node(node)
        outputs = [o.name for o in self.graph.output]
        types = ", ".join(self.type(o) for o in outputs)
        return "\n".join(
            [f"func.func @{self.name}({', '.join(arguments)}) -> ({types}) "
             "attributes {llvm.emit_c_interface} {", *self.lines,
             f"  return {', '.join(self.values[o] for o in outputs)} : {types}", "}"])


def function(model, name):
    """`model`, its types inferred, as the text of `func.func @name`."""
    return Function(model, name).text()
