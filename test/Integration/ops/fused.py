"""Ops of com.microsoft and onnxruntime's norms, decomposed to loops, against onnxruntime: sizes static and dynamic.

usage: fused.py FOLDER [--only WORD]
"""
import argparse
import re
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import emit
import run

B, S, P, HEADS, GROUPS, WIDTH, DIM = 2, 5, 3, 4, 2, 8, 32
F, I32, I64 = np.float32, np.int32, np.int64
# Dimensions of inputs that an op needs to know.
LAST, HEADED = (-1,), (1, -1)


class Case:
    """One node. Inputs by name: arrays fed at run time, with the dimensions that stay static; constants; or None."""

    def __init__(self, name, op, outputs=1, domain="com.microsoft", **attributes):
        self.name, self.op, self.outputs, self.domain, self.attributes = name, op, outputs, domain, attributes
        self.inputs, self.rng = [], np.random.default_rng(len(name))

    def data(self, *shape, static=LAST):
        return self.fed(self.rng.standard_normal(shape).astype(F), static)

    def fed(self, array, static=()):
        self.inputs.append(("fed", array, static))
        return self

    def weight(self, *shape, scale=.5):
        return self.const((self.rng.standard_normal(shape) * scale).astype(F))

    def const(self, array):
        self.inputs.append(("const", array, None))
        return self

    def none(self, count=1):
        self.inputs += [("none", None, None)] * count
        return self

    def build(self, dynamic):
        """The model and its feeds; outputs without types."""
        names, given, constants, feeds = [], [], [], {}
        for i, (kind, array, static) in enumerate(self.inputs):
            name = "" if kind == "none" else f"x{i}"
            names.append(name)
            if kind == "const":
                constants.append(numpy_helper.from_array(array, name))
            elif kind == "fed":
                kept = {d % array.ndim for d in static} if array.ndim else set()
                shape = [size if not dynamic or d in kept else f"{name}_{d}" for d, size in enumerate(array.shape)]
                given.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), shape))
                feeds[name] = array
        results = [f"y{i}" for i in range(self.outputs)] if isinstance(self.outputs, int) else self.outputs
        node = helper.make_node(self.op, names, results, name="node", domain=self.domain, **self.attributes)
        graph = helper.make_graph([node], "g", given,
                                  [helper.make_empty_tensor_value_info(r) for r in results if r[:1] not in ("", "_")],
                                  constants)
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10), feeds


def activations():
    yield Case("gelu", "Gelu").data(B, S, DIM)
    yield Case("quick_gelu", "QuickGelu", alpha=1.5).data(B, S, DIM)
    yield Case("quick_gelu_default", "QuickGelu").data(B, S, DIM)
    yield Case("bias_gelu", "BiasGelu").data(B, S, DIM).weight(DIM)
    yield Case("fast_gelu", "FastGelu").data(B, S, DIM)
    yield Case("fast_gelu_bias", "FastGelu").data(B, S, DIM).weight(DIM)


def products():
    yield Case("matmul", "FusedMatMul", alpha=.25).data(B, S, DIM).weight(DIM, 7)
    yield Case("matmul_transposed", "FusedMatMul", alpha=2., transA=1, transB=1).data(B, DIM, S, static=(1,)).weight(B, 7, DIM)
    for activation in ("Relu", "Sigmoid", "Tanh", "LeakyRelu"):
        extra = {"activation_alpha": .3} if activation == "LeakyRelu" else {}
        yield Case(f"gemm_{activation}", "FusedGemm", activation=activation, transB=1, alpha=.5, **extra).data(
            S, DIM).weight(7, DIM).weight(7)


def norms():
    yield Case("simplified", "SimplifiedLayerNormalization", domain="", epsilon=1e-4).data(B, S, DIM).weight(DIM)
    yield Case("skip", "SkipLayerNormalization", epsilon=1e-3).data(B, S, DIM).data(B, S, DIM).weight(DIM).weight(DIM)
    yield Case("skip_sum", "SkipLayerNormalization", ["y", "", "", "sum"]).data(B, S, DIM).data(B, S, DIM).weight(
        DIM).weight(DIM).weight(DIM)
    yield Case("skip_broadcast", "SkipLayerNormalization").data(B, S, DIM).weight(1, S, DIM).weight(DIM)
    yield Case("skip_simplified", "SkipSimplifiedLayerNormalization", ["y", "", "", "sum"], epsilon=1e-5).data(
        B, S, DIM).data(B, S, DIM).weight(DIM)
    ids = np.array([[3, 0, 7, 1, 2], [1, 1, 0, 5, 4]], I32)
    kinds = np.array([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0]], I32)
    yield Case("embed", "EmbedLayerNormalization", ["y", "index", "sum"], epsilon=1e-5).fed(ids).fed(kinds).weight(
        8, DIM).weight(6, DIM).weight(2, DIM).weight(DIM).weight(DIM).fed(np.array([[1] * 5, [1, 1, 1, 0, 0]], I32))
    yield Case("embed_positions", "EmbedLayerNormalization", ["y", "_index"]).fed(ids).none().weight(8, DIM).weight(
        6, DIM).none().weight(DIM).weight(DIM).none().fed(ids % 6)


def tables(rows, half):
    angle = np.outer(np.arange(rows), 100. ** (-np.arange(half) / half))
    return np.cos(angle).astype(F), np.sin(angle).astype(F)


def rotary():
    places = np.array([[4, 3, 2, 1, 0], [1, 5, 9, 2, 6]], I64)
    for interleaved in (0, 1):
        full, part = tables(12, WIDTH // 2), tables(12, 2)
        mark = dict(interleaved=interleaved)
        yield Case(f"rotary3_{interleaved}", "RotaryEmbedding", **mark).data(B, S, DIM).fed(places).const(full[0]).const(full[1])
        yield Case(f"rotary3_heads_{interleaved}", "RotaryEmbedding", num_heads=HEADS, rotary_embedding_dim=4, **mark).data(
            B, S, DIM).fed(places).const(part[0]).const(part[1])
        yield Case(f"rotary4_{interleaved}", "RotaryEmbedding", **mark).data(B, HEADS, S, WIDTH, static=HEADED).fed(
            np.array([4], I64), static=(0,)).const(full[0]).const(full[1])


def cross(name, **attributes):
    return Case(name, "MultiHeadAttention", num_heads=HEADS, **attributes).data(B, S, DIM)


def heads():
    """MultiHeadAttention and Attention."""
    keys = np.array([[1, 1, 1, 0, 0, 0, 0], [1, 1, 0, 1, 1, 1, 1]], I32)
    yield cross("mha").data(B, 7, DIM).data(B, 7, DIM)
    yield cross("mha_scale", scale=.3).data(B, 7, DIM).data(B, 7, 24)
    yield cross("mha_bias").data(B, 7, DIM).data(B, 7, 24).weight(88)
    yield cross("mha_causal", unidirectional=1).data(B, S, DIM).data(B, S, DIM).weight(96)
    yield cross("mha_mask").data(B, 7, DIM).data(B, 7, DIM).none().fed(keys)
    yield cross("mha_mask_value", mask_filter_value=-3.).data(B, 7, DIM).data(B, 7, DIM).none().fed(keys)
    yield cross("mha_attention_bias").data(B, 7, DIM).data(B, 7, DIM).none(2).data(1, HEADS, S, 7, static=(0, 1))
    yield cross("mha_keys4").data(B, HEADS, 7, WIDTH, static=HEADED).data(B, HEADS, 7, WIDTH, static=HEADED)
    past = cross("mha_past", unidirectional=1)
    past.outputs = 3
    yield past.data(B, S, DIM).data(B, S, DIM).none(3).data(B, HEADS, P, WIDTH, static=HEADED).data(
        B, HEADS, P, WIDTH, static=HEADED)
    for name, extra in (("", {}), ("_causal", {"unidirectional": 1}), ("_scale", {"scale": .2})):
        yield Case("attention" + name, "Attention", num_heads=HEADS, **extra).data(B, S, DIM).weight(DIM, 96).weight(96)
    yield Case("attention_sizes", "Attention", num_heads=HEADS, qkv_hidden_sizes=[16, 16, 24]).data(B, S, DIM).weight(
        DIM, 56).weight(56)
    yield Case("attention_mask2", "Attention", num_heads=HEADS).data(B, S, DIM).weight(DIM, 96).weight(96).fed(
        keys[:, 1:6].copy())
    mask3 = np.tril(np.ones((B, S, S), I32))
    yield Case("attention_mask3", "Attention", num_heads=HEADS).data(B, S, DIM).weight(DIM, 96).weight(96).fed(mask3)
    yield Case("attention_mask2_causal", "Attention", num_heads=HEADS, unidirectional=1).data(B, S, DIM).weight(
        DIM, 96).weight(96).fed(keys[:, 1:6].copy())
    yield Case("attention_past", "Attention", 2, num_heads=HEADS, unidirectional=1).data(B, S, DIM).weight(DIM, 96).weight(
        96).none().data(2, B, HEADS, P, WIDTH, static=(0, 2, 4))
    yield Case("attention_bias", "Attention", num_heads=HEADS).data(B, S, DIM).weight(DIM, 96).none(3).data(
        B, HEADS, S, S, static=(1,))


def groups():
    """GroupQueryAttention: a prompt, and a step with a cache."""
    width = 16  # what onnxruntime wants where it turns
    cos, sin = tables(16, width // 2)
    q, kv = HEADS * width, GROUPS * width

    def case(name, past, packed=False, rotary=False, sequence=S, batch=B, **extra):
        sizes = dict(num_heads=HEADS, kv_num_heads=GROUPS)
        c = Case(name, "GroupQueryAttention", 3, do_rotary=int(rotary), **sizes, **extra)
        if packed:
            c.data(batch, sequence, q + 2 * kv).none(2)
        else:
            c.data(batch, sequence, q).data(batch, sequence, kv).data(batch, sequence, kv)
        if past:
            c.data(batch, GROUPS, past, width, static=HEADED).data(batch, GROUPS, past, width, static=HEADED)
        else:
            c.none(2)
        lengths = np.full(batch, past + sequence - 1, I32)
        c.fed(lengths).fed(np.array(past + sequence, I32))
        if rotary:
            c.const(cos).const(sin)
        return c

    yield case("gqa_prompt", 0)
    yield case("gqa_packed", 0, packed=True)
    yield case("gqa_rotary", 0, rotary=True)
    yield case("gqa_rotary_neighbours", 0, rotary=True, rotary_interleaved=1)
    yield case("gqa_step", P, sequence=1)
    yield case("gqa_step_rotary", P, rotary=True, packed=True, sequence=1)
    yield case("gqa_more", P, rotary=True, batch=1)
    yield case("gqa_window", 0, local_window_size=2)
    yield case("gqa_window_step", 6, local_window_size=3, sequence=1)
    yield case("gqa_softcap", 0, softcap=1.5)
    yield case("gqa_scale", 0, scale=.4)


def cases():
    for group in (activations, products, norms, rotary, heads, groups):
        yield from group()


def typed(model, arrays):
    """Element types and ranks of outputs, as onnxruntime gives them, sizes open."""
    for value, array in zip(model.graph.output, arrays):
        value.CopyFrom(helper.make_tensor_value_info(
            value.name, helper.np_dtype_to_tensor_dtype(array.dtype), [f"{value.name}_{d}" for d in range(array.ndim)]))
    for name in model.graph.node[0].output:
        if name.startswith("_"):
            model.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.INT32, [name]))
    return model


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    texts, wanted = {}, {}
    for case in cases():
        if not re.search(options.only, case.name):
            continue
        for dynamic in (False, True):
            model, feeds = case.build(dynamic)
            session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            outputs = session.run(None, feeds)
            name = f"{case.name}_{'dynamic' if dynamic else 'static'}"
            texts[name] = emit.function(typed(model, outputs), name)
            wanted[name] = list(feeds.values()), outputs
    failed = {n: f"refused: {e}" for n, e in run.which_compile(texts).items() if e}
    library = run.build({n: t for n, t in texts.items() if n not in failed}, options.folder)
    for name, (inputs, outputs) in wanted.items():
        if name in failed:
            continue
        for i, pair in enumerate(zip(run.call(library, name, inputs, outputs), outputs)):
            if error := run.difference(*pair):
                failed[name] = f"output {i}: {error}"
    for name, why in failed.items():
        print(f"FAILED {name}: {why}")
    print(f"{len(texts) - len(failed)} passed, {len(failed)} failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
