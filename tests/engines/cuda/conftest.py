"""Kernels without a GPU: what is shipped, compiled by g++ and run thread by thread.

`host` makes a `gradkit.engines.cuda.device.Device`: all but CuPy is the real thing. All
buffers lie between NaN and canaries, so that a read or a write beyond them shows.
"""

import ctypes
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from gradkit.engines.cuda.source import source

SHIM = Path(__file__).with_name("shim.h").read_text()
FLAGS = ["-std=c++17", "-O0", "-fPIC", "-shared", "-w", "-DGRADKIT_ON_HOST"]
FLAGS += ["-fno-exceptions", "-fno-asynchronous-unwind-tables"]
#: Bytes before and after every buffer.
MARGIN = 256
LAUNCHER = """
extern "C" void launch_{kernel}(const unsigned* grid, const unsigned* block, {parameters}) {{
  gridDim = {{grid[0], grid[1], grid[2]}};
  blockDim = {{block[0], block[1], block[2]}};
  for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
  for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
  for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x)
  for (threadIdx.y = 0; threadIdx.y < block[1]; ++threadIdx.y)
  for (threadIdx.x = 0; threadIdx.x < block[0]; ++threadIdx.x)
    {kernel}({names});
}}
"""
COMPLEX = """
#include <complex>
namespace thrust { using std::complex; }
using thrust::complex;
"""
ON_HOST = """
typedef _Float16 float16;
extern "C" void run(long n, void** arrays) {{
  for (long i = 0; i < n; ++i) {{
    {arguments}
    {operation}
  }}
}}
"""
C_TYPES = {"int32": ctypes.c_int32, "int64": ctypes.c_int64, "uint32": ctypes.c_uint32}
C_TYPES |= {"float32": ctypes.c_float, "float64": ctypes.c_double}


#: The launchers of kernels, by their text.
LAUNCHERS = {}


def build(text, folder):
    """The launcher of a kernel."""
    return launchers([text], folder)[0]


def launchers(texts, folder):
    """The launchers of several kernels; new ones are compiled together, into one library."""
    new = {text: kernel_name(text) for text in texts if text not in LAUNCHERS}
    if new:
        spaces = (f"namespace {name} {{\n{with_launcher(text)}}}\n" for text, name in new.items())
        library = ctypes.CDLL(str(built(SHIM + "".join(spaces), folder)))
        for text, name in new.items():
            LAUNCHERS[text] = getattr(library, f"launch_{name}")
    return [LAUNCHERS[text] for text in texts]


HEAD = re.compile(r"__launch_bounds__\([\d, ]+\)\n(\w+)\((.*?)\) \{", re.DOTALL)


def kernel_name(text):
    return HEAD.search(text)[1]


def with_launcher(text):
    """The text of a kernel, and of a function that runs it thread by thread."""
    kernel, parameters = HEAD.search(text).groups()
    names = ", ".join(parameter.split()[-1] for parameter in parameters.split(", "))
    return text + LAUNCHER.format(parameters=parameters, kernel=kernel, names=names)


def built(text, folder):
    """A library out of the text of a program, kept in a folder by a hash of the text."""
    stem = folder / hashlib.sha256(text.encode()).hexdigest()[:24]
    library = stem.with_suffix(".so")
    if not library.exists():
        # Another process may build the same one.
        made = stem.with_suffix(f".{os.getpid()}.so")
        command = ["g++", *FLAGS, "-x", "c++", "-", "-o", str(made)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:4000]
        made.replace(library)
    return library


class Buffers:
    """Makes NumPy arrays that lie between canaries."""

    def __init__(self, shift):
        self.shift = shift
        self.made = []

    def empty(self, shape, dtype):
        dtype = np.dtype(dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        raw = np.full(size + 2 * MARGIN + 16, 0xFF, np.uint8)  # 0xFF...: NaN in all formats
        start = MARGIN + -(raw.ctypes.data + MARGIN) % 16 + self.shift * dtype.itemsize
        self.made.append((raw, start, start + size))
        return raw[start : start + size].view(dtype).reshape(shape)

    def check(self):
        """Raise if anything was written beyond an array."""
        for raw, start, stop in self.made:
            assert (raw[:start] == 0xFF).all(), "written before an array"
            assert (raw[stop:] == 0xFF).all(), "written behind an array"


class Host:
    """A device whose kernels g++ has compiled; `shift` elements misalign all its arrays."""

    def __init__(self, folder, shift=0):
        self.folder = folder
        self.buffers = Buffers(shift)
        self.launches = []
        self.captures = False

    def empty(self, shape, dtype):
        return self.buffers.empty(shape, dtype)

    def is_contiguous(self, array):
        return array.flags.c_contiguous

    def contiguous(self, array):
        copy = self.empty(array.shape, array.dtype)
        copy[...] = array
        return copy

    upload = contiguous

    def is_capturing(self):
        return self.captures

    def settle(self):
        pass

    def is_current(self, array):
        return False

    def address(self, array):
        return array.ctypes.data

    def written(self, array):
        pass

    def text(self, key):
        return source(key)

    def kernel(self, key):
        launch = build(self.text(key), self.folder)

        def call(grid, block, arguments):
            self.launches.append((key, grid, block))
            values = [
                ctypes.c_void_p(a.ctypes.data)
                if isinstance(a, np.ndarray)
                else C_TYPES[a.dtype.name](a.item())
                for a in arguments
            ]
            launch((ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), *values)
            self.buffers.check()

        return call


class Hooked:
    """An argument that CuPy hands the call of an elementwise kernel over to."""

    def __init__(self, array, folder):
        self.array, self.folder = array, folder

    def __cupy_override_elementwise_kernel__(self, kernel, *arguments):
        arrays = [np.asarray(argument.array) for argument in arguments]
        declared = [parameter for parameter in kernel.params if parameter.dtype is not None]
        target = arrays[-1]
        for array, parameter in zip(arrays, declared, strict=True):
            # A scalar of the device's compiler takes any number.
            assert array.ndim == 0 or array.dtype == parameter.dtype
            assert np.broadcast_shapes(array.shape, target.shape) == target.shape
        dense = [
            np.ascontiguousarray(np.broadcast_to(a.astype(p.dtype), target.shape))
            for a, p in zip(arrays[:-1], declared[:-1], strict=True)
        ]
        dense.append(np.empty(target.shape, target.dtype))
        run_on_host(kernel, declared, dense, self.folder)
        target[...] = dense[-1]


def run_on_host(kernel, declared, arrays, folder):
    text = ON_HOST.format(
        arguments="\n    ".join(
            f"{p.ctype}& {p.name} = (({p.ctype}*)arrays[{i}])[i];" for i, p in enumerate(declared)
        ),
        operation=kernel.operation,
    )
    # Complex numbers take ten times as long to compile as the rest.
    text = SHIM + (COMPLEX if "complex" in text else "") + text
    pointers = (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
    ctypes.CDLL(str(built(text, folder))).run(ctypes.c_long(arrays[-1].size), pointers)


class OnViews(Host):
    """A device on the host whose elementwise kernels are CuPy's."""

    def __init__(self, cupy, folder):
        super().__init__(folder)
        self.cupy = cupy
        self.names = []

    def empty_like(self, array, shape, dtype):
        return np.empty_like(array, dtype=dtype, order="K", shape=shape)

    def elementwise(self, inputs, output, operation, name):
        kernel = self.cupy.ElementwiseKernel(inputs, output, operation, name)
        self.names.append(name)
        return lambda *arguments: kernel(*(Hooked(a, self.folder) for a in arguments))


class Streams:
    """What CuPy is told of devices and streams, where there are none."""

    def __init__(self):
        self.told = []
        self.cuda = self
        self.Stream = self
        self.current = self.at("the user's")

    def Device(self, number):
        self.told.append(("device", number))
        return nullcontext()

    def from_external(self, stream):
        return self.at(stream.__cuda_stream__())

    def at(self, stream):
        def use():
            self.told.append(("stream", stream))
            self.current = used

        used = SimpleNamespace(use=use)
        return used

    def get_current_stream(self):
        return self.current


def skip_or_fail(name, message):
    """Skip a test for want of something, or fail it where GRADKIT_REQUIRE_BACKENDS names that."""
    required = name in os.environ.get("GRADKIT_REQUIRE_BACKENDS", "").split()
    pytest.fail(message) if required else pytest.skip(message)


@pytest.fixture(scope="session")
def kernels(run_folder):
    """The folder in which compiled kernels are kept, one for all processes of a run."""
    if shutil.which("g++") is None:
        skip_or_fail("g++", "g++ is not installed: kernels are not executed")
    folder = run_folder / "cuda"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def cupy():
    """CuPy, which makes kernels without a GPU."""
    if importlib.util.find_spec("cupy") is None:
        skip_or_fail("elementwise", "cupy is not installed: pip install 'gradkit[cuda13]'")
    import cupy

    return cupy


def find(pattern):
    """A file of NVIDIA's wheels."""
    spec = importlib.util.find_spec("nvidia")
    folders = [] if spec is None else spec.submodule_search_locations
    found = [path for folder in folders for path in sorted(Path(folder).glob(pattern))]
    if not found:
        skip_or_fail("nvrtc", f"{pattern} is not installed: pip install 'gradkit[test]'")
    return found[0]


@pytest.fixture(scope="session")
def nvrtc():
    """NVIDIA's compiler, which needs no GPU."""
    return ctypes.CDLL(str(find("cu13/lib/libnvrtc.so.13")))


class Compiled(NamedTuple):
    """The machine code of a kernel, its registers, and bytes that a thread spills from them."""

    code: bytes
    registers: int
    spilled: int


def compiled(nvrtc, text, architecture, more=()):
    """A kernel, compiled with the options that CuPy gives."""
    program = ctypes.c_void_p()
    created = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None
    )
    assert created == 0
    options = [b"--std=c++17", b"-ftz=true", b"-arch=sm_%d" % architecture]
    options += [b"--device-as-default-execution-space", b"--ptxas-options=-v", *more]
    array = (ctypes.c_char_p * len(options))(*options)
    done = nvrtc.nvrtcCompileProgram(program, len(options), array)
    log = _answer(nvrtc, program, "ProgramLog").decode(errors="replace")
    assert done == 0, log[:3000]
    spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)
    return Compiled(
        _answer(nvrtc, program, "CUBIN"),
        int(re.search(r"Used (\d+) registers", log)[1]),
        max(map(int, spills.groups())),
    )


def _answer(nvrtc, program, what):
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    found = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, found)
    return found.raw


@pytest.fixture
def host(kernels):
    """Makes devices on the host."""
    return lambda **options: Host(kernels, **options)
