"""No kernel touches memory beyond its arrays: each lies at an edge of what may be touched."""

import subprocess
import sys

import pytest

pytest.importorskip("numba", reason="numba is not installed")

SCRIPT = """
import ctypes, mmap

import numpy as np

from gradkit import Axis, D, Dirichlet, FiniteDifference, Grid, Neumann
from gradkit.engines import reference
from gradkit.engines.cpu import compiled, numbers

numbers.has_long_vectors = lambda: True
PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
kept = []


def at_an_edge(array, is_last):
    inside = -(-array.nbytes // PAGE) * PAGE
    pages = mmap.mmap(-1, inside + 2 * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    for forbidden in (start, start + PAGE + inside):
        assert libc.mprotect(ctypes.c_void_p(forbidden), PAGE, 0) == 0
    kept.append(pages)
    first = PAGE + (inside - array.nbytes if is_last else 0)
    found = np.frombuffer(pages, array.dtype, array.size, first).reshape(array.shape)
    found[...] = array
    return found


PLAIN, WALLS = Axis(0.3), Axis(0.3, boundary=(Dirichlet(2.5), Neumann(1.0)))
for operator, axes, dtype, past in (
    (D(0), (PLAIN, PLAIN), "float64", 0),
    (D(0) + D(1), (PLAIN, PLAIN), "float32", 0),
    (D(0) + D(1), (WALLS, PLAIN), "float32", 10**9),
    (D(1), (PLAIN, WALLS), "float64", 0),
):
    numbers.PAST = past
    # Of twelve rows eight are plain: all of these may be taken together.
    for columns in (24, 35, 41):
        plan = operator.on(Grid(*axes), (12, columns), method=FiniteDifference(4))
        f = np.sin(np.arange(12 * columns, dtype=dtype)).reshape(12, columns)
        (wanted,) = reference.run(plan, [f])
        for is_last in (True, False):
            given, result = (at_an_edge(array, is_last) for array in (f, 0 * wanted))
            assert compiled.run(plan, [given], [result], 1)
            assert result.tobytes() == wanted.tobytes()
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mprotect is called as Linux has it")
def test_no_page_beyond_an_array_is_touched():
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]
