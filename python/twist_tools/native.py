"""Runs compiled programs in this process through the runtime's C interface (include/twist/Runtime/twist.h)."""
import ctypes as c
import glob
import os

import ml_dtypes  # comes with onnx
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TYPES = {1: np.float64, 2: np.float32, 3: np.float16, 4: ml_dtypes.bfloat16, 5: np.int64, 6: np.int32, 7: np.int16, 8: np.int8,
         9: np.uint64, 10: np.uint32, 11: np.uint16, 12: np.uint8, 13: np.bool_}


class Error(c.Structure):
    _fields_ = [("message", c.c_char * 512)]


class Info(c.Structure):
    _fields_ = [("name", c.c_char_p), ("type", c.c_int32), ("rank", c.c_int32), ("dims", c.POINTER(c.c_int64)),
                ("symbols", c.POINTER(c.c_char_p))]

    def __str__(self):
        return self.name.decode()


class Buffer(c.Structure):
    _fields_ = [("data", c.c_void_p), ("bytes", c.c_uint64), ("dims", c.POINTER(c.c_int64))]


def _library():
    build = os.environ.get("TWIST_BUILD", os.path.join(ROOT, "build"))
    found = sorted(glob.glob(os.path.join(build, "lib", "libTwistRuntime*.so")))
    if not found:
        raise FileNotFoundError(f"no libTwistRuntime.so in {build}/lib")
    lib = c.CDLL(found[0])
    lib.twist_program_input.restype = lib.twist_program_output.restype = c.POINTER(Info)
    lib.twist_program_input_count.restype = lib.twist_program_output_count.restype = c.c_size_t
    for name in ("twist_program_close", "twist_session_close"):
        getattr(lib, name).restype = None
    return lib


class Program:
    """A loaded NAME.so with one session. Calling it with arrays by name gives outputs by name."""

    _lib = None

    def __init__(self, path, threads=1):
        Program._lib = Program._lib or _library()
        self.program, self.session, self.error = c.c_void_p(), c.c_void_p(), Error()
        self._check(self._lib.twist_program_load(os.fsencode(path), 0, c.byref(self.program), c.byref(self.error)))
        self._check(self._lib.twist_session_create(self.program, threads, c.byref(self.session),
                                                   c.byref(self.error)))
        self.inputs = self._infos("input")
        self.outputs = self._infos("output")

    def _check(self, status):
        if status:
            raise RuntimeError(self.error.message.decode(errors="replace"))

    def _infos(self, kind):
        count = getattr(self._lib, f"twist_program_{kind}_count")(self.program)
        get = getattr(self._lib, f"twist_program_{kind}")
        return [get(self.program, c.c_size_t(i)).contents for i in range(count)]

    def bind(self, feeds):
        """Arrays to and from which `run` computes; returns the outputs by name (filled by each run)."""
        self.feeds = []
        for info in self.inputs:
            array = np.ascontiguousarray(feeds[str(info)], TYPES[info.type])
            if array.ndim != info.rank:
                raise ValueError(f"{info}: rank {array.ndim} is not {info.rank}")
            self.feeds.append(array)
        dims = [(c.c_int64 * max(a.ndim, 1))(*a.shape) for a in self.feeds]
        out = [(c.c_int64 * max(info.rank, 1))() for info in self.outputs]
        pointers = [(c.POINTER(c.c_int64) * max(len(rows), 1))(*[c.cast(r, c.POINTER(c.c_int64)) for r in rows])
                    for rows in (dims, out)]
        self._check(self._lib.twist_program_output_dims(self.program, *pointers, c.byref(self.error)))
        self.results = [np.empty(list(row)[:info.rank], TYPES[info.type]) for row, info in zip(out, self.outputs)]
        self._dims = dims

        def buffers(arrays, shapes):
            return (Buffer * max(len(arrays), 1))(*[
                Buffer(a.ctypes.data, a.nbytes, c.cast(s, c.POINTER(c.c_int64)) if s is not None else None)
                for a, s in zip(arrays, shapes)])

        self._in, self._out = buffers(self.feeds, dims), buffers(self.results, [None] * len(self.results))
        return {str(info): array for info, array in zip(self.outputs, self.results)}

    def run(self):
        self._check(self._lib.twist_session_run(self.session, self._in, self._out, c.byref(self.error)))

    def __call__(self, feeds):
        outputs = self.bind(feeds)
        self.run()
        return outputs

    def close(self):
        if self.program:
            self._lib.twist_session_close(self.session)
            self._lib.twist_program_close(self.program)
            self.program = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
