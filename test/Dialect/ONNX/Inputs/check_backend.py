"""ONNX's own node cases, their input sizes made symbolic, before and after
onnx-normalise: the same bytes in onnxruntime, and no static size that is wrong.
Usage: check_backend.py WORK_DIRECTORY
"""
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime as ort

warnings.filterwarnings("ignore")
from onnx.backend.test.case.node import collect_testcases  # noqa: E402

CASES = """concat_3d_axis_negative_2 constantofshape_float_ones constantofshape_int_shape_zero cumsum_2d_axis_1
einsum_batch_matmul einsum_inner_prod einsum_transpose expand_dim_changed expand_dim_unchanged
flatten_axis0 flatten_axis3 flatten_negative_axis2 gather_1 gather_2d_indices gather_elements_negative_indices
gather_negative_indices gemm_all_attributes gemm_transposeA
layer_normalization_3d_axis_negative_2_epsilon logsoftmax_axis_0 matmul_1d_3d matmul_4d matmul_bcast argmax_keepdims_example_select_last_index
argmin_no_keepdims_random range_int32_type_negative_delta reduce_max_do_not_keepdims_random reduce_mean_default_axes_keepdims_random
reduce_sum_empty_axes_input_noop reduce_sum_negative_axes_keepdims_random reduce_prod_keepdims_random
reshape_allowzero_reordered reshape_extended_dims reshape_negative_dim reshape_negative_extended_dims reshape_zero_and_negative_dim
reshape_zero_dim scatternd_add shape_clip_end shape_end_negative_1 shape_start_1_end_negative_1 size slice slice_default_axes
slice_end_out_of_bounds slice_neg slice_neg_steps slice_negative_axes slice_start_out_of_bounds
split_2d_uneven_split_opset18 split_equal_parts_1d_opset13 split_variable_parts_2d_opset18 split_zero_size_splits_opset18
squeeze squeeze_negative_axes tile tile_precomputed transpose_all_permutations_4 transpose_default tril_neg triu_one_row
unsqueeze_axis_2 unsqueeze_negative_axes unsqueeze_unsorted_axes where_example softmax_negative_axis""".split()


def symbolic(model):
    """Names for the sizes of what is data, none for those of results."""
    del model.graph.value_info[:]
    for port in model.graph.input:
        shape = port.type.tensor_type.shape
        # Integers of rank 1 hold sizes and axes.
        if len(shape.dim) > 1 or port.type.tensor_type.elem_type not in (6, 7):
            for index, dim in enumerate(shape.dim):
                dim.dim_param = f"{port.name}_{index}"
    for port in model.graph.output:
        port.type.tensor_type.ClearField("shape")
    return model


def freeze(model, feeds):
    """Sizes and axes as the initializers they are in models."""
    for port in list(model.graph.input):
        if port.type.tensor_type.elem_type == 7 and feeds[port.name].ndim == 1:
            model.graph.initializer.append(onnx.numpy_helper.from_array(feeds.pop(port.name), port.name))
            model.graph.input.remove(port)


def run(path, feeds):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def check(case, work):
    model = symbolic(case.model)
    feeds = {port.name: np.asarray(value) for port, value in zip(model.graph.input, case.data_sets[0][0])}
    if not case.name.startswith(("test_gather", "test_scatter")):
        freeze(model, feeds)
    source = os.path.join(work, case.name + ".onnx")
    target = os.path.join(work, case.name + ".normal.onnx")
    onnx.save(model, source)
    for command in (["twist-opt", source, "--onnx-normalise", "-o", target + ".mlir"],
                    ["twist-translate", target + ".mlir", "-o", target]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return f"{case.name}: {done.stderr.splitlines()[0]}"
    if '"onnx.node"' in open(target + ".mlir").read():
        return f"{case.name}: not typed"
    outputs = onnx.load(target).graph.output
    for port, a, b in zip(outputs, run(source, feeds), run(target, feeds), strict=True):
        dims = port.type.tensor_type.shape.dim
        if a.dtype != b.dtype or a.tobytes() != b.tobytes():
            return f"{case.name}: differs"
        if len(dims) != b.ndim or any(d.HasField("dim_value") and d.dim_value != n
                                      for d, n in zip(dims, b.shape)):
            return f"{case.name}: wrong sizes {[str(d) for d in dims]}"
    return None


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    cases = {c.name: c for c in collect_testcases(None)}
    missing = [name for name in CASES if "test_" + name not in cases]
    assert not missing, missing
    with ThreadPoolExecutor(2) as pool:
        failures = [f for f in pool.map(lambda name: check(cases["test_" + name], sys.argv[1]), CASES) if f]
    print("\n".join(failures))
    print(f"{len(CASES) - len(failures)} of {len(CASES)} agree")
    sys.exit(bool(failures))
