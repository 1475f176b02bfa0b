"""Runs a model in onnxruntime: run_onnx.py MODEL.onnx FOLDER [--nudge]

Reads FOLDER/in0.npy, in1.npy, … in the order of the model's inputs, writes FOLDER/out0.npy, …. With --nudge every float
of inputs and weights is off by one unit in its last place, up or down at random (scalars and constants of shapes stay):
what the outputs differ by then is what roundings do to them. `twist slice --verify` calls it; it stands alone.
"""
import os
import sys

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
except ImportError as error:
    sys.exit(f"{sys.executable}: {error}")


def nudge(array, rng):
    """Each element one unit in its last place up or down; zeros, scalars and what is not finite stay."""
    if array.dtype.kind != "f" or array.size < 2:
        return array
    toward = np.where(rng.integers(0, 2, array.shape), np.inf, -np.inf).astype(array.dtype)
    moved = np.nextafter(array, toward)
    return np.where(np.isfinite(array) & (array != 0) & np.isfinite(moved), moved, array)


def nudged_model(model, rng, folder):
    """The path of the model with nudged weights."""
    for tensor in model.graph.initializer:
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16):
            array = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(nudge(array, rng), tensor.name))
    path = os.path.join(folder, "nudged.onnx")
    onnx.save(model, path, save_as_external_data=True, location="nudged.data", size_threshold=1024)
    return path


def main(path, folder, nudged):
    rng = np.random.default_rng(0)
    inputs = [value.name for value in onnx.load(path, load_external_data=False).graph.input]
    if nudged:
        path = nudged_model(onnx.load(path), rng, folder)
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    options.use_deterministic_compute = True
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {}
    for number, name in enumerate(inputs):
        array = np.load(os.path.join(folder, f"in{number}.npy"))
        feeds[name] = nudge(array, rng) if nudged else array
    for number, output in enumerate(session.run(None, feeds)):
        np.save(os.path.join(folder, f"out{number}.npy"), np.ascontiguousarray(output))


if __name__ == "__main__":
    if sys.argv[1:] == ["--version"]:
        print(ort.__version__)
    else:
        try:
            main(sys.argv[1], sys.argv[2], "--nudge" in sys.argv)
        except Exception as error:  # pylint: disable=broad-exception-caught
            sys.exit(str(error))
