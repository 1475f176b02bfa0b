"""Reads what `twist calibrate` writes (docs/Cuts.md), with numpy alone."""
import json
import struct

import numpy as np


class Site:
    """One gate: `gram` is centred, [width, width]; `weight` [width, columns]; `axes` as in the file."""

    def __init__(self, header, arrays):
        self.node, self.axes, self.count = header["node"], header["axes"], header["count"]
        width = header["width"]
        self.weight = arrays(width * header["columns"]).reshape(width, -1)
        shift, total, triangle = arrays(width), arrays(width), arrays(width * (width + 1) // 2)
        self.mean = shift + total / self.count
        gram = np.zeros((width, width))
        gram[np.tril_indices(width)] = triangle
        gram += np.tril(gram, -1).T
        self.gram = gram - np.outer(total, total) / self.count

    def features(self, axis, unit):
        """Ascending features of a unit of self.axes[axis]."""
        return sorted(offset + (o * units + unit) * inner + i
                      for offset, outer, units, inner in self.axes[axis]["places"]
                      for o in range(outer) for i in range(inner))


def split(data):
    """(header, bytes of numbers) of a file's bytes."""
    magic, version, size = struct.unpack("<8sII", data[:16])
    if magic != b"TWISTCAL" or version != 1:
        raise ValueError("no calibration of version 1")
    return json.loads(data[16:16 + size]), data[16 + size:]


def join(header, numbers):
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 16) % 64)
    return struct.pack("<8sII", b"TWISTCAL", 1, len(text)) + text + numbers


def read(path):
    """(header, [Site])"""
    with open(path, "rb") as file:
        header, numbers = split(file.read())
    data, at = np.frombuffer(numbers, "<f8"), 0

    def arrays(count):
        nonlocal at
        at += count
        return data[at - count:at].copy()
    return header, [Site(site, arrays) for site in header["sites"]]
