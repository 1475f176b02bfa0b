"""Compiles functions on buffers to a shared object and calls them with numpy."""
import ctypes
import os
import subprocess
import tempfile

import numpy as np

KERNELS = ["-cpu-lower-kernels{options}", "-cpu-expand-math", "-cpu-launch-to-loops",
           "-canonicalize", "-cse", "-cpu-llvm"]


def descriptor(array):
    """A pointer to the array's memref descriptor, and what keeps it alive."""
    class Descriptor(ctypes.Structure):
        _fields_ = [("allocated", ctypes.c_void_p), ("aligned", ctypes.c_void_p),
                    ("offset", ctypes.c_int64)]
        if array.ndim:
            _fields_ += [("sizes", ctypes.c_int64 * array.ndim),
                         ("strides", ctypes.c_int64 * array.ndim)]
    value = Descriptor(array.ctypes.data, array.ctypes.data, 0)
    for d in range(array.ndim):
        value.sizes[d] = array.shape[d]
        value.strides[d] = array.strides[d] // array.itemsize
    return ctypes.byref(value), value


class Library:
    """The functions of `text`, after the kernel passes (or those given)."""

    def __init__(self, text, passes=KERNELS, options="", march="native", keep=None, level="-O3"):
        folder = keep or tempfile.mkdtemp()
        source, lowered, ir, shared = (os.path.join(folder, "k" + end)
                                       for end in (".mlir", ".llvm.mlir", ".ll", ".so"))
        with open(source, "w") as file:
            file.write(text)
        passes = [p.replace("{options}", "=" + options if options else "") for p in passes]
        subprocess.run(["twist-opt", source, "-o", lowered, *passes], check=True)
        subprocess.run(["mlir-translate", "--mlir-to-llvmir", lowered, "-o", ir], check=True)
        subprocess.run(["clang", level, f"-march={march}", "-mprefer-vector-width=512",
                        "-Wno-override-module", "-shared", "-fPIC", ir, "-o", shared, "-lm"],
                       check=True)
        self.library = ctypes.CDLL(shared)

    def bind(self, name, *arguments):
        """What calls a function that has llvm.emit_c_interface; arrays are written in place."""
        kept, pointers = [], []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                pointer, owner = descriptor(argument)
                kept.append(owner)
                pointers.append(pointer)
            elif isinstance(argument, float):
                pointers.append(ctypes.c_float(argument))
            else:
                pointers.append(ctypes.c_int64(argument))
        function = getattr(self.library, "_mlir_ciface_" + name)
        return lambda kept=kept: function(*pointers)

    def __call__(self, name, *arguments):
        self.bind(name, *arguments)()


def has(feature):
    """Whether this machine's processor has a feature, by /proc/cpuinfo's name."""
    with open("/proc/cpuinfo") as file:
        return feature in file.read().split()
