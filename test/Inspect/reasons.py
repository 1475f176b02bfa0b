"""Why a dimension can't be cut: each reason that an operator has, in one model. Argument: a folder.

In every case units that a weight makes meet an operator in a way that bars them; `twist inspect` must say why, at the
operator's node.
"""
import json
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

UNITS = 8
MS = "com.microsoft"


class Case:
    """One operator, and what feeds it; names carry the case's number."""

    def __init__(self, model, number, why):
        self.model, self.p, self.why, self.node = model, f"c{number}.", why, None

    def weight(self, *shape, dtype=np.float32):
        name = f"{self.p}w{len(self.model.weights)}"
        rng = np.random.default_rng(len(self.model.weights))
        self.model.weights.append(numpy_helper.from_array(rng.standard_normal(shape).astype(dtype), name))
        return name

    def const(self, values, dtype=np.int64):
        name = f"{self.p}k{len(self.model.weights)}"
        self.model.weights.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def input(self, *shape, kind=TensorProto.FLOAT):
        name = f"{self.p}x{len(self.model.inputs)}"
        self.model.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def index(self, *shape):
        return self.input(*shape, kind=TensorProto.INT64)

    def plain(self, kind, *inputs, outputs=1, **attributes):
        names = [f"{self.p}v{len(self.model.nodes)}.{i}" for i in range(outputs)]
        self.model.nodes.append(helper.make_node(kind, inputs, names, name=f"{self.p}{kind}{len(self.model.nodes)}", **attributes))
        return names[0] if outputs == 1 else names

    def rows(self, *batch, size=UNITS):
        """[batch, size], the last dimension made by a weight."""
        return self.plain("MatMul", self.input(*batch, 4), self.weight(4, size))

    def image(self, size=UNITS, spatial=(4, 4)):
        """[2, size, 4, 4], channels made by a weight."""
        return self.plain("Conv", self.input(2, 3, *spatial), self.weight(size, 3, *[1] * len(spatial)))

    def spatial(self, size=4):
        """[2, 3, 4, size], the columns made by a weight."""
        return self.plain("MatMul", self.input(2, 3, 4, 5), self.weight(5, size))

    def cast(self, value, to=TensorProto.INT64):
        return self.plain("Cast", value, to=to)

    def about(self, value):
        """The case is about the operator that gives `value`."""
        self.node = next(node.name for node in self.model.nodes if value in node.output)
        return value

    def op(self, kind, *inputs, outputs=1, shape=None, dtype=TensorProto.FLOAT, use=0, **attributes):
        """The operator the case is about; result `use` becomes an output of the model."""
        names = self.plain(kind, *inputs, outputs=outputs, **attributes)
        self.node = self.node or self.model.nodes[-1].name
        result = names if outputs == 1 else names[use]
        self.model.outputs.append(helper.make_tensor_value_info(result, dtype, shape))


def square(c):
    return c.rows(UNITS)


def attention(c, domain=MS, **more):
    """A learned table of keys, whose rows are positions."""
    return c.input(2, 5, 8), c.weight(2, 6, 8), c.input(2, 6, 8)


CASES = {
    "an Einsum with an ellipsis": [lambda c: c.op("Einsum", c.rows(6), equation="...i->...i", shape=[6, 8])],
    "an Einsum that takes a diagonal": [lambda c: c.op("Einsum", square(c), equation="ii->i", shape=[8])],
    "it reduces dimensions known at run time": [
        lambda c: c.op("ReduceSum", c.rows(6), c.index(1), keepdims=1, shape=["a", "b"])],
    "it accumulates along a dimension known at run time": [
        lambda c: c.op("CumSum", c.rows(6), c.index(), shape=[6, 8])],
    "it is sliced at bounds known at run time": [
        lambda c: c.op("Slice", c.rows(6), c.index(1), c.const([8]), c.const([1]), shape=[6, "n"])],
    "its axes are known at run time": [
        lambda c: c.op("Slice", c.rows(6), c.const([1]), c.const([5]), c.index(1), shape=["m", "n"])],
    "its padding is known at run time": [lambda c: c.op("Pad", c.rows(6), c.index(4), shape=["m", "n"])],
    "it is padded with its own values": [
        lambda c: c.op("Pad", c.rows(6), c.const([0, 1, 0, 1]), mode="reflect", shape=[6, 10]),
        lambda c: c.op("Pad", c.rows(6), c.const([0, -1, 0, 0]), shape=[6, 7])],
    "it is repeated at run time": [lambda c: c.op("Tile", c.rows(6), c.index(2), shape=["m", "n"])],
    "it holds indices": [
        lambda c: c.op("GatherND", c.input(4, 5, 6), c.cast(c.rows(3, size=2)), shape=[3, 6]),
        lambda c: c.op("ScatterND", c.input(4, 5, 6), c.cast(c.rows(3, size=2)), c.input(3, 6), shape=[4, 5, 6]),
        lambda c: c.op("EmbedLayerNormalization", c.cast(c.rows(2), TensorProto.INT32), "", c.weight(9, 6), c.weight(8, 6), "",
                       c.weight(6), c.weight(6), domain=MS, outputs=2, shape=[2, 8, 6])],
    "it is indexed at run time": [lambda c: c.op("Gather", c.rows(6), c.index(3), axis=1, shape=[6, 3])],
    "it is scattered at run time": [
        lambda c: c.op("ScatterND", c.input(9, 6), c.index(UNITS, 1), c.plain("Transpose", c.rows(6)), shape=[9, 6])],
    "it holds sizes": [
        lambda c: c.op("Add", c.cast(c.about(c.plain("Shape", c.input(2, 3, "n", "m", 2, 2, 2, 2))), TensorProto.FLOAT), c.weight(8),
                       shape=[8])],
    "a triangle depends on its indices": [lambda c: c.op("Trilu", c.rows(6), shape=[6, 8])],
    "blocks of its units have one scale": [
        lambda c: c.op("QuantizeLinear", c.rows(6), c.weight(6, 4), axis=1, block_size=2, dtype=TensorProto.UINT8, shape=[6, 8])],
    "its zeros are not 0": [
        lambda c: c.op("MatMulInteger", c.cast(c.rows(6), TensorProto.UINT8), c.input(8, 3, kind=TensorProto.UINT8),
                       dtype=TensorProto.INT32, shape=[6, 3])],
    "labels pick among its units": [
        lambda c: c.op("SoftmaxCrossEntropyLoss", c.rows(6), c.index(6), shape=[])],
    "it is written at run time": [
        lambda c: c.op("TensorScatter", c.input(2, 9, 4), c.plain("Transpose", c.rows(2, 4), perm=[0, 2, 1]), c.index(2), axis=1,
                       shape=[2, 9, 4])],
    "indices pick among its units": [
        lambda c: c.op("Mul", c.about(c.plain("OneHot", c.index(6), c.const(UNITS), c.const([0, 1], np.float32))), c.weight(8),
                       shape=[6, 8])],
    "it is reversed at run time": [
        lambda c: c.op("ReverseSequence", c.plain("Transpose", c.rows(6)), c.index(6), shape=[8, 6])],
    "it is cropped around its centre": [
        lambda c: c.op("CenterCropPad", c.rows(6), c.const([6, 4]), shape=[6, 4])],
    "its blocks overlap": [
        lambda c: c.op("Col2Im", c.plain("Transpose", c.rows(2, 9), perm=[0, 2, 1]), c.const([4, 4]), c.const([2, 2]),
                       shape=[2, 2, 4, 4])],
    "it is sampled at run time": [lambda c: c.op("GridSample", c.spatial(), c.input(2, 5, 6, 2), shape=[2, 3, 5, 6])],
    "it holds coordinates": [
        lambda c: c.op("GridSample", c.input(2, 3, 4, 4), c.rows(2, 5, 6, size=2), shape=[2, 3, 5, 6]),
        lambda c: c.op("AffineGrid", c.plain("Transpose", c.rows(2, 3, size=2), perm=[0, 2, 1]), c.const([2, 3, 4, 5]),
                       shape=[2, 4, 5, 2])],
    "what it picks depends on data": [
        lambda c: c.op("Compress", c.rows(6), c.input(8, kind=TensorProto.BOOL), axis=1, shape=[6, "n"]),
        lambda c: c.op("Compress", c.rows(6), c.input(8, kind=TensorProto.BOOL), shape=["n"])],
    "what it finds depends on data": [
        lambda c: c.op("NonZero", c.rows(6), dtype=TensorProto.INT64, shape=[2, "n"]),
        lambda c: c.op("Unique", c.rows(6), shape=["n"])],
    "a diagonal depends on its indices": [lambda c: c.op("EyeLike", c.rows(6), shape=[6, 8])],
    "it groups an unknown number": [
        lambda c: c.op("Conv", c.plain("Reshape", c.rows(2, 16), c.const([2, -1, 4, 8])), c.input("m", 2, 1, 1), group=2,
                       shape=[2, "m", 4, 8])],
    "its indices count over it": [
        lambda c: c.op("MaxPool", c.image(), kernel_shape=[2, 2], outputs=2, use=1, dtype=TensorProto.INT64, shape=[2, 8, 3, 3])],
    "it is cropped and resized": [
        lambda c: c.op("Resize", c.image(), c.const([0, 0, .1, .1, 1, 1, .9, .9], np.float32), "", c.const([2, 8, 3, 3]),
                       coordinate_transformation_mode="tf_crop_and_resize", shape=[2, 8, 3, 3])],
    "it becomes rows and columns": [lambda c: c.op("DepthToSpace", c.image(), blocksize=2, shape=[2, 2, 8, 8])],
    "it is made of rows and columns": [
        lambda c: c.op("Mul", c.about(c.plain("SpaceToDepth", c.input(2, 2, 4, 4), blocksize=2)), c.weight(8, 1, 1),
                       shape=[2, 8, 2, 2])],
    "it normalises over the batch": [
        lambda c: c.op("BatchNormalization", c.image(), c.weight(8), c.weight(8), c.weight(8), c.weight(8), training_mode=1,
                       outputs=3, shape=[2, 8, 4, 4])],
    "a window slides over it": [
        lambda c: c.op("Conv", c.spatial(), c.weight(2, 3, 1, 3), shape=[2, 2, 4, 2])],
    "its positions are attended over": [
        lambda c: c.op("MultiHeadAttention", *attention(c), num_heads=2, domain=MS, shape=[2, 5, 8]),
        lambda c: c.op("Attention", c.weight(2, 6, 8), c.weight(8, 24), c.weight(24), num_heads=2, domain=MS, shape=[2, 6, 8]),
        lambda c: c.op("MultiHeadAttention", c.input(2, 5, 8), c.input(2, 6, 8), c.input(2, 6, 8), "",
                       c.cast(c.rows(2, size=6), TensorProto.INT32), num_heads=2, domain=MS, shape=[2, 5, 8]),
        lambda c: c.op("Attention", c.input(2, 6, 8), c.weight(8, 24), c.weight(24),
                       c.cast(c.rows(2, size=6), TensorProto.INT32), num_heads=2, domain=MS, shape=[2, 6, 8])],
    "it holds positions": [
        lambda c: c.op("RotaryEmbedding", c.input(2, 2, 6, 8), c.weight(9, 4), c.weight(9, 4), c.cast(c.rows(2, size=6)),
                       shape=[2, 2, 6, 8])],
    "it is turned together with its pair": [
        lambda c: c.op("RotaryEmbedding", c.plain("Transpose", c.plain("Reshape", c.rows(2, 6), c.const([2, 6, 1, 8])),
                                                  perm=[0, 2, 1, 3]), c.weight(9, 4), c.weight(9, 4), c.index(2, 6), shape=[2, 1, 6, 8])],
    "it holds positions, tables or scales": [
        lambda c: c.op("GroupQueryAttention", c.input(2, 1, 8), c.input(2, 1, 4), c.input(2, 1, 4), c.input(2, 1, 9, 4),
                       c.input(2, 1, 9, 4), c.cast(c.rows(size=2), TensorProto.INT32), c.const(9, np.int32), num_heads=2,
                       kv_num_heads=1, domain=MS, outputs=3, shape=[2, 1, 8])],
    "queries, keys and values have one width here": [
        lambda c: c.op("GroupQueryAttention", c.rows(2, 1), c.rows(2, 1, size=4), c.rows(2, 1, size=4), c.input(2, 1, 9, 4),
                       c.input(2, 1, 9, 4), c.input(2, kind=TensorProto.INT32), c.const(9, np.int32), num_heads=2,
                       kv_num_heads=1, domain=MS, outputs=3, shape=[2, 1, 8])],
    "it holds keys and values": [
        lambda c: c.op("Attention", c.input(2, 6, 8), c.weight(8, 24), c.weight(24), "", c.weight(2, 2, 2, 3, 4), num_heads=2,
                       domain=MS, outputs=2, shape=[2, 6, 8])],
    "it is counted": [
        lambda c: c.op("RotaryEmbedding", c.weight(2, 2, 6, 8), c.index(1), c.weight(9, 4), c.weight(9, 4), domain=MS,
                       shape=[2, 2, 6, 8])],
    "its batch is transposed": [
        lambda c: c.op("FusedMatMul", c.rows(2, 3), c.input(3, 8, 5), transBatchA=1, domain=MS, shape=[3, 2, 5])],
    "each unit of a recurrent state reaches all others": [
        lambda c: c.op("RNN", c.input(5, 2, 4), c.weight(1, 8, 4), c.weight(1, 8, 8), hidden_size=8, outputs=2, shape=[5, 1, 2, 8])],
    "it declares no relations": [lambda c: c.op("Riddle", c.rows(6), domain="of.nobody", shape=[6, 8])],
    "a mask may have its heads": [
        lambda c: c.op("MultiHeadAttention", c.rows(2, 5), c.rows(2, 6), c.rows(2, 6), "", "", c.input(1, "h", 5, 6), num_heads=2,
                       domain=MS, shape=[2, 5, 8])],
    "it is picked apart by constant indices": [
        lambda c: c.op("Gather", c.rows(6), c.const([0, 0, 3, 2]), axis=1, shape=[6, 4])],
    "its segments don't fit the dimension": [
        lambda c: c.op("Slice", c.rows(6), c.const([1]), c.const([8]), c.const([1]), c.const([3]), shape=[6, 3])],
    "it is summed away in a dimension of dynamic size": [
        lambda c: c.op("MatMul", c.plain("Reshape", c.rows("n", 4), c.const([4, -1])), c.input("k", 3), shape=[4, 3])],
    "it is a segment of a dimension of dynamic size": [
        lambda c: c.op("Concat", c.rows(6), c.input(6, "n"), axis=1, shape=[6, "m"])],
}


class Model:
    def __init__(self):
        self.nodes, self.weights, self.inputs, self.outputs = [], [], [], []
        self.cases = []

    def add(self, why, build):
        case = Case(self, len(self.cases), why)
        self.cases.append(case)
        build(case)

    def save(self, path):
        graph = helper.make_graph(self.nodes, "reasons", self.inputs, self.outputs, self.weights)
        imports = [helper.make_opsetid("", 24), helper.make_opsetid(MS, 1), helper.make_opsetid("of.nobody", 1)]
        onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=11), path)


def main(folder):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "reasons.onnx")
    model = Model()
    for why, builders in CASES.items():
        for build in builders:
            model.add(why, build)
    model.save(path)
    done = subprocess.run(["twist", "inspect", path, "--json"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found = {}  # case -> {(node, why)}
    for refused in json.loads(done.stdout)["refused"]:
        for source in refused["sources"]:
            found.setdefault(source.split(".")[0] + ".", set()).update((r["node"], r["why"]) for r in refused["reasons"])
    bad = 0
    for case in model.cases:
        if (case.node, case.why) not in found.get(case.p, ()):
            print(f"FAILED {case.node}: no '{case.why}' among {sorted(found.get(case.p, ()))}")
            bad += 1
    print(f"{len(model.cases)} cases, {bad} failed")
    return bad > 0


sys.exit(main(sys.argv[1]))
