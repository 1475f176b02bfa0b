"""What `twist weights` and `twist slice` read: safetensors files, tickets. Without packages beside torch."""
import ctypes
import hashlib
import json
import os
import struct

import torch

NAMES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def bytes_of(tensor):
    tensor = tensor.detach().cpu().contiguous()
    return ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size())


def content(tensor):
    """SHA-256 of the values as f32, row-major."""
    return hashlib.sha256(bytes_of(tensor.detach().float())).hexdigest()


def write_whole(path, parts):
    """Under another name until it is whole."""
    with open(path + ".tmp", "wb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".tmp", path)


def write_safetensors(path, tensors, origins):
    """`origins`: content() of each tensor before training, by which `twist weights` finds what has another name."""
    header, at = {"__metadata__": {"twist_origins": json.dumps(origins)}}, 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    write_whole(path, [struct.pack("<Q", len(text)), text, *map(bytes_of, tensors.values())])


def write_ticket(path, structure, axes, provenance):
    """`axes`: name -> (units, group, kept groups)."""
    ticket = {"version": 1, "model": {"structure_sha256": structure},
              "axes": {name: {"units": units, "group": group, "keep": keep} for name, (units, group, keep) in axes.items()},
              "correction": {"kind": "none"}, "provenance": provenance}
    write_whole(path, [json.dumps(ticket, indent=2).encode(), b"\n"])
