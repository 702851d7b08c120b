"""Where arrays begin, also where memory that was freed is filled at once."""

import os
import subprocess
import sys

import numpy as np
import pytest

from gradkit.engines.cpu import addresses
from gradkit.engines.cpu.addresses import address, extent

DEBUGGED = """
import numpy as np
from gradkit.engines.cpu.addresses import _told, address
arrays = [np.empty(n) for n in range(1, 200)]
for tell in (address, _told):
    assert [tell(a) for a in arrays] == [a.ctypes.data for a in arrays]
"""


@pytest.mark.parametrize("dtype", ["float16", ">f8", "complex64", "uint8"])
def test_addresses_are_those_of_numpy(dtype):
    f = np.zeros((6, 8), dtype)
    f.setflags(write=False)
    for array in (f, f[::-1], f[2:, 1::3], f.T, f[:0], np.broadcast_to(f, (3, 6, 8)), f[0, 0, ...]):
        assert address(array) == array.__array_interface__["data"][0]
        assert addresses._told(array) == address(array)
    for array in (f.view(np.matrix), np.ma.MaskedArray(f), np.empty((0, 3))):
        assert address(array) == array.__array_interface__["data"][0]


def test_extents_are_the_bounds_of_numpy():
    f = np.zeros((6, 8, 3))
    for array in (f, f[::-1], f[4:1:-2, 1::3, ::-1], f.T, f[0, 0, 0, ...], f[2:, :, ::2]):
        low, high = extent(array)
        bounds = np.lib.array_utils.byte_bounds(array)
        assert (address(array) + low, address(array) + high) == bounds
    assert extent(f[:0]) == (0, 0)


def test_addresses_are_those_of_now():
    f = np.arange(6.0)
    f.resize(10**6, refcheck=False)
    assert address(f) == f.__array_interface__["data"][0]


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="objects are no addresses")
def test_addresses_are_read_from_arrays():
    assert addresses.address is addresses._read


def test_nothing_is_read_that_was_freed():
    # The debug hooks of Python overwrite what is freed: kernels would write to 0xdddd....
    environment = {**os.environ, "PYTHONMALLOC": "debug", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", DEBUGGED], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
