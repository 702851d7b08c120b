"""Arrays of CuPy's own type over memory of the host: what is asked of them without a GPU."""

from contextlib import contextmanager

import numpy as np
import pytest

from gradkit import Axis, D, Grid, Laplacian, _array
from gradkit.engines import reference
from gradkit.engines.program import program_of


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
