"""stories260K, a trained Llama with grouped queries and a cache, through the whole pipeline."""
import os
import sys

import numpy as np
import onnx

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from pipeline import Pipeline  # noqa: E402
from twist_tools import compare, native  # noqa: E402
from twist_tools.models import llama  # noqa: E402

GREEDY = [403, 407, 261, 378, 432, 383]


def greedy(run, inputs, count):
    """Token ids after BOS; `run` maps arrays by name to outputs by name."""
    state = {name: np.zeros(shape, np.float32) for name, shape in inputs.items()}
    step, made = 1, []
    for _ in range(count):
        out = run({"input_ids": np.array([[step]]), **state})
        state = {name: out[name.replace("past_key_values", "present")].copy() for name in state}
        step = int(out["logits"][0, -1].argmax())
        made.append(step)
    return made


def check_greedy(p, path, program, want=None):
    session = compare.session(path)
    names = [o.name for o in session.get_outputs()]
    shapes = {i.name: [1, i.shape[1], 0, i.shape[3]] for i in session.get_inputs() if i.name.startswith("past")}
    theirs = greedy(lambda f: dict(zip(names, session.run(names, f))), shapes, 32)
    if want and theirs[:len(want)] != want:
        p.fail("greedy", f"onnxruntime says {theirs}")
    if program:
        with native.Program(program) as n:
            ours = greedy(n, shapes, 32)
        if ours != theirs:
            p.fail("greedy", f"{ours} is not onnxruntime's {theirs}")
    p.say("greedy", " ".join(map(str, theirs[:6])))


def main(folder, parts):
    sizes, weights = llama.load(os.path.join(os.environ["TWIST_DATA"], "models", "stories260K.bin"))
    config = llama.Config(**sizes)
    p = Pipeline(folder, "stories260k", llama.build(config, weights), batch=2, sequence=4, past=3)
    p.feeds = {n: v * np.float32(0.5) if v.dtype == np.float32 else v for n, v in p.feeds.items()}
    if "translate" in parts:
        p.round_trip()
    program = None
    if "native" in parts:
        program = p.native(p.dense, "dense")
    check_greedy(p, p.dense, program, GREEDY)
    if "slice" in parts:
        axes = p.inspect()["axes"]
        for kind, units in (("kv_group", config.kv_heads), ("ffn", config.ffn)):
            found = [a["units"] for a in axes if a["kind"] == kind]
            if found != [units] * config.layers:
                p.fail("inspect", f"{kind}: {found}")
        half = p.ticket(0.5)
        small = p.slice(half, "half")
        p.slice(p.ticket(0.75), "most")
        p.wrong(half)
        graph = onnx.load(small).graph
        caches = [v.type.tensor_type.shape.dim[1].dim_value for v in graph.input if v.name.startswith("past")]
        if caches != [config.kv_heads // 2] * (2 * config.layers):
            p.fail("slice", f"the cache's declared heads are {caches}")
        check_greedy(p, small, p.native(small, "half") if "native" in parts else None)
    print("stories260k: passed")


main(sys.argv[1], sys.argv[2:] or ["translate", "slice", "native"])
