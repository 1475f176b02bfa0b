"""The policy fisher against differences in onnxruntime and a formula in numpy: check_fisher.py FOLDER"""
import json
import os
import re
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper
from twist_tools.models import gpt2
from twist_tools.models.graph import save
from twist_torch.masks import philox

from common import LENGTH, VOCAB, log_softmax, refused, session, twist

HEADS, FFN = 4, 128


def check_tickets(model, data, wanted, cuts, folder):
    """`cuts`: (kappa, group); `wanted`: scores per axis. Units that are nearly alike may change places."""
    ticket = os.path.join(folder, "t.json")
    for kappa, group in cuts:
        twist("ticket", model, "--policy", "fisher", "--data", data, "--kappa", kappa, "--group", group, "-o", ticket)
        axes = json.load(open(ticket))["axes"]
        assert set(axes) == set(wanted), axes.keys()
        for name, mask in axes.items():
            scores = wanted[name].reshape(-1, mask["group"]).sum(1)
            keep = np.isin(np.arange(len(scores)), mask["keep"])
            assert keep.sum() == int(np.floor(kappa * len(scores) + .5))
            assert scores[keep].min() > .99 * scores[~keep].max(), (name, kappa, scores[keep].min(), scores[~keep].max())


def cross_entropy(logits, ids):
    return -np.take_along_axis(log_softmax(logits)[:, :-1], ids[:, 1:, None], -1)[..., 0].mean(1)


def check_language_model(folder):
    """dL/dg of each unit by scaling its rows of the consumer."""
    model, data = os.path.join(folder, "lm.onnx"), os.path.join(folder, "ids.npy")
    save(gpt2.build(gpt2.Config(layers=1, dim=32, heads=HEADS, ffn=FFN), None), model)
    ids = np.random.default_rng(0).integers(0, VOCAB, (12, LENGTH))
    np.save(data, ids)
    graph, weights = onnx.load(model), {}
    for tensor in list(graph.graph.initializer):
        if tensor.name.endswith("c_proj.weight"):  # an input, so that one session serves all
            weights[tensor.name] = numpy_helper.to_array(tensor)
            graph.graph.initializer.remove(tensor)
            graph.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    runs = session(graph.SerializeToString())
    wanted = {}
    for axis, name, units in (("h.0.attn.c_attn.weight:1:c0:0", "h.0.attn.c_proj.weight", HEADS),
                              ("h.0.mlp.c_fc.weight:1", "h.0.mlp.c_proj.weight", FFN)):
        scores, size = np.zeros(units), len(weights[name]) // units
        for unit in range(units):
            losses = []
            for factor in (1.1, .9):
                changed = weights[name].copy()
                changed[unit * size:(unit + 1) * size] *= factor
                logits, = runs.run(["logits"], {"input_ids": ids, **weights, name: changed})
                losses.append(cross_entropy(logits, ids))
            scores[unit] = (((losses[0] - losses[1]) / .2)**2).mean()
        wanted[axis] = scores
    check_tickets(model, data, wanted, [(.25, 8)], folder)
    assert "the least there is" in twist("ticket", model, "--policy", "fisher", "--data", data, "--budget", "parameters=.8",
                                         "-o", os.path.join(folder, "b.json"))
    small = os.path.join(folder, "small.onnx")
    assert "gradients of 12 windows of the cross entropy" in twist(
        "prune", model, "--policy", "fisher", "--data", data, "--correct", "none", "--neighbours=false", "--verify=false",
        "-o", small)
    print("fisher: a language model's as differences have it")


def normals(window, count):
    """Draws as the header says: Box and Muller on Philox, family 100."""
    def uniform(number):
        words = philox((window, 0, 100, number), (0, 0))
        return ((words[1] << 32 | words[0]) >> 11) * 2.0**-53 + 2.0**-54
    return np.array([np.sqrt(-2 * np.log(uniform(2 * i))) * np.cos(2 * np.pi * uniform(2 * i + 1)) for i in range(count)])


def check_encoder(folder):
    """y = relu(x W1) W2: the derivative by unit u is vᵀ h_u W2[u], v orthogonal to y and over its norm."""
    model, data = os.path.join(folder, "mlp.onnx"), os.path.join(folder, "x.npy")
    rng = np.random.default_rng(1)
    w1, w2 = (rng.standard_normal(s).astype(np.float32) for s in ((6, 24), (24, 5)))
    nodes = [helper.make_node("MatMul", ["x", "up"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
             helper.make_node("MatMul", ["r", "down"], ["y"])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", 1, ["batch", 6])],
                              [helper.make_tensor_value_info("y", 1, ["batch", 5])],
                              [numpy_helper.from_array(w, n) for n, w in (("up", w1), ("down", w2))])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), model)
    x = rng.standard_normal((20, 6)).astype(np.float32)
    np.save(data, x)
    h = np.maximum(x @ w1, 0)
    scores = np.zeros(24)
    for window, (row, y) in enumerate(zip(h, h @ w2)):
        v = normals(window, 5)
        v = (v - v @ y / (y @ y) * y) / np.linalg.norm(y)
        scores += (row * (w2 @ v))**2 / len(x)
    check_tickets(model, "x=" + data, {"up:1": scores}, [(.5, 1), (.25, 8)], folder)
    print("fisher: an encoder's as numpy has it")


def shared(path):
    """One weight behind two gates."""
    nodes = [helper.make_node("MatMul", ["x", "up"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
             helper.make_node("Tanh", ["h"], ["t"]), helper.make_node("MatMul", ["r", "down"], ["a"]),
             helper.make_node("MatMul", ["t", "down"], ["b"]), helper.make_node("Add", ["a", "b"], ["y"])]
    write(path, nodes, ["batch", 6], ["batch", 5], {"up": (6, 24), "down": (24, 5)})


def convolutions(path):
    """Channels that a block adds to: they run through both sides of its weight."""
    nodes = [helper.make_node("Conv", ["x", "first"], ["a"]), helper.make_node("Conv", ["a", "middle"], ["b"]),
             helper.make_node("Add", ["a", "b"], ["c"]), helper.make_node("Conv", ["c", "last"], ["y"])]
    write(path, nodes, ["batch", 3, 4, 4], ["batch", 2, 4, 4],
          {"first": (8, 3, 1, 1), "middle": (8, 8, 1, 1), "last": (2, 8, 1, 1)})


def write(path, nodes, taken, given, shapes):
    rng = np.random.default_rng(2)
    weights = [numpy_helper.from_array(rng.standard_normal(s).astype(np.float32), n) for n, s in shapes.items()]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", 1, taken)],
                              [helper.make_tensor_value_info("y", 1, given)], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)


def check_refusals(folder):
    model, data = os.path.join(folder, "mlp.onnx"), os.path.join(folder, "zeros.npy")
    np.save(data, np.zeros((4, 6), np.float32))
    rest = ["--policy", "fisher", "-o", os.path.join(folder, "x.json"), "--data"]
    ticket = ["ticket", model, *rest]
    twice, residual = (os.path.join(folder, n) for n in ("twice.onnx", "residual.onnx"))
    shared(twice)
    convolutions(residual)
    image = os.path.join(folder, "image.npy")
    np.save(image, np.zeros((2, 3, 4, 4), np.float32))
    for message, arguments in (
            ("the policy fisher needs --data FILE to take gradients on", ticket[:-1]),
            ("output 'y' has a vector that is zero or not finite, in window 0", [*ticket, "x=" + data]),
            ("the policy fisher takes no --calibration", [*ticket, "x=" + data, "--calibration", "c"]),
            ("the policy fisher does not know axis 'up:1': no weight of its own is behind each of its gates",
             ["ticket", twice, *rest, "x=" + data]),
            ("it runs through two dimensions of weight 'middle'", ["ticket", residual, *rest, "x=" + image]),
            ("': the training step has no gate for it",
             ["ticket", os.path.join(folder, "lm.onnx"), *rest, os.path.join(folder, "ids.npy"), "--axes", "head,qk"])):
        refused(re.escape(message), *arguments)
    print("fisher: refusals")


def main(folder):
    check_language_model(folder)
    check_encoder(folder)
    check_refusals(folder)


main(sys.argv[1])
