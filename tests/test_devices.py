"""One script on a GPU node and in CI: which array module it gets, and why."""

import importlib.machinery
import re
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import gradkit
from gradkit import devices
from gradkit.errors import ArgumentValueError, DeviceError, MissingPackageError


@pytest.fixture(autouse=True)
def no_wish(monkeypatch):
    """The environment of whoever runs the tests has no say in them."""
    monkeypatch.delenv("GRADKIT_DEVICE", raising=False)


@pytest.fixture
def install_cupy(monkeypatch):
    """Put a module in the place of cupy, or nothing at all."""

    def install(available=None, zeros=np.zeros, add=np.add):
        if available is None:
            # An entry of None makes both `import cupy` and find_spec say that there is none.
            monkeypatch.setitem(sys.modules, "cupy", None)
            monkeypatch.setattr(devices, "find_spec", lambda name: None)
            return None
        cupy = ModuleType("cupy")
        cupy.__spec__ = importlib.machinery.ModuleSpec("cupy", loader=None)
        cupy.cuda = SimpleNamespace(is_available=available)
        cupy.zeros, cupy.add = zeros, add
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        monkeypatch.setattr(devices, "find_spec", lambda name: cupy.__spec__)
        return cupy

    return install


class DynamicLibNotFoundError(RuntimeError):
    """What CuPy raises where it finds no NVRTC, by its name."""


class CompileException(Exception):  # noqa: N818  CuPy calls it so
    """What CuPy raises where a kernel of its own does not compile, by its name."""


LOG = """cupy/carray.cuh(6): catastrophic error: cannot open source file "cuda_fp16.h"
  #include <cuda_fp16.h>
1 catastrophic error detected in the compilation of "kernel.cu".
"""


def raising(error):
    def fail(*args, **kwargs):
        raise error

    return fail


# --- cupy answers -------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_cupy_is_taken_where_a_gpu_answers(install_cupy, device):
    cupy = install_cupy(available=lambda: True)
    assert gradkit.array_module(device) is cupy
    assert devices.cuda_unavailable() is None


def test_default_is_auto(install_cupy):
    cupy = install_cupy(available=lambda: True)
    assert gradkit.array_module() is cupy


def test_reason_for_cupy_says_that_a_device_answers(install_cupy):
    cupy = install_cupy(available=lambda: True)
    module, reason = gradkit.array_module(explain=True)
    assert module is cupy
    assert "CUDA device answers" in reason


def test_cpu_is_numpy_even_where_a_gpu_answers(install_cupy):
    install_cupy(available=lambda: True)
    module, reason = gradkit.array_module("cpu", explain=True)
    assert module is np
    assert "device='cpu'" in reason


def test_cpu_does_not_touch_cupy(install_cupy):
    install_cupy(available=raising(AssertionError("cupy was asked")))
    assert gradkit.array_module("cpu") is np


# --- cupy does not answer -----------------------------------------------------------------------

SILENT = {
    "not installed": ({}, r"not installed: pip install 'gradkit\[cuda13\]'"),
    "no device": ({"available": lambda: False}, "no CUDA device or driver answers"),
    "raising": (
        {"available": raising(RuntimeError("cudaErrorInsufficientDriver"))},
        "RuntimeError: cudaErrorInsufficientDriver",
    ),
    "import error": (
        {"available": raising(ImportError("libnvrtc.so.13: cannot open"))},
        r"ImportError: libnvrtc\.so\.13",
    ),
    "no compiler": (
        {"available": lambda: True, "add": raising(DynamicLibNotFoundError("nvrtc"))},
        r"DynamicLibNotFoundError: nvrtc; pip install 'cupy-cuda13x\[ctk\]'",
    ),
    "no headers": (
        {"available": lambda: True, "add": raising(CompileException(LOG))},
        r"CompileException: .*\(6\): catastrophic error: .*; pip install 'cupy-cuda13x\[ctk\]'",
    ),
    "cannot allocate": (
        {"available": lambda: True, "zeros": raising(MemoryError("out of memory"))},
        "MemoryError: out of memory",
    ),
}


@pytest.mark.parametrize("case", SILENT)
def test_auto_falls_back_to_numpy_and_says_why(install_cupy, case):
    how, why = SILENT[case]
    install_cupy(**how)
    assert gradkit.array_module() is np
    module, reason = gradkit.array_module(explain=True)
    assert module is np
    assert re.search(why, reason)


@pytest.mark.parametrize("case", SILENT)
def test_cuda_raises_and_says_why(install_cupy, case):
    how, why = SILENT[case]
    install_cupy(**how)
    error = MissingPackageError if case == "not installed" else DeviceError
    with pytest.raises(error, match=why) as caught:
        gradkit.array_module("cuda")
    assert "device='cuda' was asked for" in str(caught.value)
    assert isinstance(caught.value, ImportError if case == "not installed" else RuntimeError)


def test_interrupt_is_not_taken_for_a_missing_gpu(install_cupy):
    install_cupy(available=raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        gradkit.array_module()


def test_asking_for_a_missing_cupy_does_not_import_anything(install_cupy, monkeypatch):
    install_cupy()
    loaded = set(sys.modules)
    gradkit.array_module()
    assert set(sys.modules) == loaded


# --- the environment variable -------------------------------------------------------------------


def test_variable_decides_for_auto(install_cupy, monkeypatch):
    cupy = install_cupy(available=lambda: True)
    monkeypatch.setenv("GRADKIT_DEVICE", "cpu")
    module, reason = gradkit.array_module(explain=True)
    assert module is np
    assert reason == "GRADKIT_DEVICE=cpu is set"
    monkeypatch.setenv("GRADKIT_DEVICE", "cuda")
    module, reason = gradkit.array_module(explain=True)
    assert module is cupy
    assert reason == "GRADKIT_DEVICE=cuda is set"


def test_variable_may_be_auto_or_empty(install_cupy, monkeypatch):
    cupy = install_cupy(available=lambda: True)
    for value in ("auto", ""):
        monkeypatch.setenv("GRADKIT_DEVICE", value)
        assert gradkit.array_module() is cupy


def test_argument_comes_before_the_variable(install_cupy, monkeypatch):
    cupy = install_cupy(available=lambda: True)
    monkeypatch.setenv("GRADKIT_DEVICE", "cpu")
    assert gradkit.array_module("cuda") is cupy
    monkeypatch.setenv("GRADKIT_DEVICE", "cuda")
    assert gradkit.array_module("cpu") is np


def test_variable_is_read_at_every_call(install_cupy, monkeypatch):
    cupy = install_cupy(available=lambda: True)
    assert gradkit.array_module() is cupy
    monkeypatch.setenv("GRADKIT_DEVICE", "cpu")
    assert gradkit.array_module() is np


def test_variable_that_asks_for_a_missing_gpu_raises(install_cupy, monkeypatch):
    install_cupy(available=lambda: False)
    monkeypatch.setenv("GRADKIT_DEVICE", "cuda")
    with pytest.raises(DeviceError, match="GRADKIT_DEVICE=cuda is set, but cupy is installed"):
        gradkit.array_module()


def test_variable_with_an_unknown_word_raises(monkeypatch):
    monkeypatch.setenv("GRADKIT_DEVICE", "cudda")
    with pytest.raises(ArgumentValueError, match=r"GRADKIT_DEVICE.*'cudda'.*did you mean 'cuda'"):
        gradkit.array_module()


def test_variable_with_an_unknown_word_does_not_matter_where_it_is_not_asked(monkeypatch):
    monkeypatch.setenv("GRADKIT_DEVICE", "cudda")
    assert gradkit.array_module("cpu") is np


# --- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["gpu", "CPU", "", None, 0, "cuda:1"])
def test_unknown_word_raises_with_the_words_allowed(word):
    with pytest.raises(ArgumentValueError) as caught:
        gradkit.array_module(word)
    assert repr(word) in str(caught.value)
    for allowed in ("'auto'", "'cpu'", "'cuda'"):
        assert allowed in str(caught.value)


def test_explain_is_a_keyword():
    with pytest.raises(TypeError):
        gradkit.array_module("cpu", True)


def test_module_makes_arrays_that_gradkit_serves():
    xp = gradkit.array_module("cpu")
    np.testing.assert_array_equal(gradkit.gradient(xp.asarray([0.0, 1.0, 4.0])), [1.0, 2.0, 3.0])
