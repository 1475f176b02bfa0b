"""How far training moved the rows of the tied embedding, by how often their tokens occur.

    .deps/venv/bin/python benchmarks/twist-quality/drift.py FOLDER     (that of benchmarks/twist-quality/run)

A line a training: for each quarter of the vocabulary, rarest first, the mean length of a row's change and the length of the mean
change, which is what all of its rows have in common.
"""
import glob
import os
import sys

import numpy as np
import onnx
from onnx import numpy_helper

HEADER = 64  # bytes of a token file before its ids, 16 bits each


def embedding(path, vocabulary):
    """[vocabulary, dim] f32."""
    rows = [t for t in onnx.load(path).graph.initializer if vocabulary in t.dims and len(t.dims) == 2]
    array = numpy_helper.to_array(rows[0])
    return array if array.shape[0] == vocabulary else array.T


def main(folder, vocabulary=4096):
    ids = np.concatenate([np.fromfile(os.path.join(folder, name), np.uint16, offset=HEADER) for name in ("books.bin", "wiki.bin")])
    quarters = np.array_split(np.argsort(np.bincount(ids, minlength=vocabulary)), 4)
    start = embedding(os.path.join(folder, "pretrained", "dense.onnx"), vocabulary)
    print("rows of the start: mean length", *(f"{np.linalg.norm(start[q], axis=1).mean():.2f}" for q in quarters))
    for path in sorted(glob.glob(os.path.join(folder, "*", "dense.onnx"))):
        change = embedding(path, vocabulary) - start
        print(f"{os.path.basename(os.path.dirname(path)):36}", *(
            f"{np.linalg.norm(change[q], axis=1).mean():5.2f} {np.linalg.norm(change[q].mean(0)):4.2f}" for q in quarters))


if __name__ == "__main__":
    main(sys.argv[1])
