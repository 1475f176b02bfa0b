"""Greedy decoding in onnxruntime with the key/value cache: prints token ids, one line.

    .deps/venv/bin/python examples/stories260k/generate.py stories260k.onnx --ids 1 --count 16
"""
import argparse

import numpy as np
import onnxruntime as ort


def greedy(path, ids, count):
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    past = {n.name: np.zeros([1, n.shape[1], 0, n.shape[3]], np.float32)
            for n in session.get_inputs() if n.name.startswith("past_key_values")}
    names = [n.replace("past_key_values", "present") for n in past]
    step, made = list(ids), []
    for _ in range(count):
        logits, *state = session.run(["logits", *names], {"input_ids": np.array([step]), **past})
        past = dict(zip(past, state))
        step = [int(logits[0, -1].argmax())]
        made += step
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--ids", default="1", help="comma-separated prompt")
    parser.add_argument("--count", type=int, default=16)
    options = parser.parse_args()
    print(*greedy(options.model, [int(i) for i in options.ids.split(",")], options.count))
