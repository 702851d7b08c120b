"""Arrays of CuPy's own type over memory of the host: what is asked of them without a GPU."""

import ctypes
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest

import gradkit
from gradkit import Axis, D, Gradient, Grid, Laplacian, _array
from gradkit.differences import _asarray_like
from gradkit.engines import cuda, reference
from gradkit.engines.cuda.device import OnCuPy
from gradkit.engines.cuda.source import source
from gradkit.engines.program import program_of
from gradkit.errors import ArgumentTypeError, ArgumentValueError

from .conftest import C_TYPES, build


@pytest.fixture
def looked_at(cupy):
    """Makes CuPy arrays of the memory of NumPy arrays; kernels cannot be launched on them."""
    memory = cupy.cuda.memory

    def array_of(values, device=0):
        owned = memory.UnownedMemory(values.ctypes.data, values.nbytes, values, device)
        pointer = memory.MemoryPointer(owned, 0)
        return cupy.ndarray(values.shape, values.dtype, pointer, strides=values.strides)

    return array_of


def test_programs_are_kept_per_device(looked_at):
    plan = Laplacian(2).on(Grid(Axis(0.5), Axis(0.3)), (7, 8))
    first, again, other = (looked_at(np.zeros((7, 8)), device) for device in (0, 0, 1))
    assert program_of(plan, [first]) is program_of(plan, [again])
    assert program_of(plan, [first]) is not program_of(plan, [other])


def test_the_reference_makes_arrays_where_the_input_is(looked_at, cupy, monkeypatch):
    current = [0]

    @contextmanager
    def on(number):
        current.append(number)
        yield
        current.pop()

    monkeypatch.setattr(cupy.cuda, "Device", on)
    f = looked_at(np.zeros(3), 1)
    # CuPy itself makes arrays on the current device, whatever `device=` says.
    xp = _array.namespace(f)
    monkeypatch.setattr(xp, "zeros", lambda *args, **options: looked_at(np.zeros(3), current[-1]))
    (found,) = reference.run((D(0) - D(0)).on(Grid(Axis()), (3,)), [f])
    assert int(found.device) == 1
    assert current == [0]


def test_numbers_of_cupy_are_arrays_that_numpy_does_not_read(looked_at, monkeypatch):
    a, number = looked_at(np.ones(3)), looked_at(np.asarray(16.0))
    monkeypatch.setattr(_array.namespace(a), "asarray", lambda value, dtype, device: value)
    assert _asarray_like(number, a, "append") is number


class OverHost(OnCuPy):
    """A device whose arrays are CuPy's, in the memory of the host, with kernels made by g++."""

    def __init__(self, number, looked_at, folder):
        super().__init__(number)
        object.__setattr__(self, "looked_at", looked_at)
        object.__setattr__(self, "folder", folder)

    def current(self):
        return nullcontext()

    def is_current(self, array):
        return array.data.device_id == self.number

    def is_capturing(self):
        return False

    def settle(self):
        pass

    def empty(self, shape, dtype):
        return self.looked_at(np.full(shape, np.nan).astype(dtype), self.number)

    def contiguous(self, array):
        return array if array.flags.c_contiguous else self.upload(on_host(array))

    def upload(self, values):
        return self.looked_at(np.ascontiguousarray(values), self.number)

    def kernel(self, key):
        launch = build(source(key), self.folder)

        def call(grid, block, arguments):
            values = [
                C_TYPES[a.dtype.name](a)
                if isinstance(a, np.generic)
                else ctypes.c_void_p(a.data.ptr)
                for a in arguments
            ]
            launch((ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), *values)

        return call


def on_host(array):
    """The numbers of such an array."""
    steps = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
    low, high = (sum(pick(step, 0) for step in steps) for pick in (min, max))
    memory = (ctypes.c_char * (high - low + array.itemsize)).from_address(array.data.ptr + low)
    return np.ndarray(array.shape, array.dtype, memory, -low, array.strides).copy("K")


@pytest.fixture
def device(looked_at, kernels, monkeypatch):
    made = OverHost(1, looked_at, kernels)
    monkeypatch.setattr(cuda, "OnCuPy", lambda number: made)
    monkeypatch.setattr(cuda, "_without_a_copy", lambda *args: None)
    return made


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "uint8", "int64"])
def test_named_functions_take_arrays_of_cupy(device, looked_at, rng, dtype):
    values = (rng.normal(size=(9, 16)) * 50).astype(dtype)
    for view in (values, values[::-1, ::2], values.T):
        f = looked_at(view, 1)
        for _ in range(3):
            found = gradkit.gradient(f, 0.5, 0.3)
            wanted = gradkit.gradient(view, 0.5, 0.3)
            for got, want in zip(found, wanted, strict=True):
                assert got.device.id == 1
                assert got.dtype == want.dtype
                eps = np.finfo(want.dtype).eps
                np.testing.assert_allclose(on_host(got), want, rtol=4 * eps, atol=400 * eps)


def test_calls_like_one_before_take_arrays_of_cupy(device, looked_at, rng, cupy):
    plan = Gradient(2).on(Grid(Axis(0.5), Axis(0.3)), (9, 16))
    for _ in range(3):
        values = rng.normal(size=(9, 16))
        f, wanted = looked_at(values, 1), plan(values)
        out = [device.empty((9, 16), "float64") for _ in range(2)]
        assert plan(f, out=out) is out
        for got, again, want in zip(out, plan(f), wanted, strict=True):
            np.testing.assert_array_equal(on_host(got), on_host(again))
            np.testing.assert_allclose(on_host(got), want, rtol=1e-13, atol=1e-13)
    assert len(plan.ready[cupy.ndarray]) == 2
    with pytest.raises(ArgumentValueError, match="shares memory"):
        plan(f, out=[f, out[1]])
    with pytest.raises(ArgumentTypeError, match=r"CUDA Device 0.*CUDA Device 1"):
        plan(f, out=[looked_at(values, 0), out[1]])
    kept = next(iter(plan.ready[cupy.ndarray].values()))
    assert kept(looked_at(values, 0), None) is None  # not on the device that is current
