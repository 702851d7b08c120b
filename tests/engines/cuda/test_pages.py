"""No kernel reads beyond its arrays: each lies at an edge of memory that may be touched."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import ctypes, importlib.util, mmap, sys
from pathlib import Path

import numpy as np

from gradkit import Average, Axis, Curl, D, Dirichlet, FiniteDifference, Gradient, Grid, Hessian
from gradkit import Laplacian, Stencil, operator_from_offsets
from gradkit.engines.cuda.launch import launched, prepared
from gradkit.engines.cuda.loops import has_middle
from gradkit.engines.cuda.source import source

spec = importlib.util.spec_from_file_location("host", sys.argv[1])
host = importlib.util.module_from_spec(spec)
spec.loader.exec_module(host)
PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
kept = []


class AtTheEdge(host.Buffers):
    def __init__(self, at_end):
        self.at_end, self.made = at_end, []

    def empty(self, shape, dtype):
        dtype = np.dtype(dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        inside = -(-size // PAGE) * PAGE
        pages = mmap.mmap(-1, inside + 2 * PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        for forbidden in (start, start + PAGE + inside):
            assert libc.mprotect(ctypes.c_void_p(forbidden), PAGE, 0) == 0
        kept.append(pages)
        first = PAGE + (inside - size if self.at_end else 0)
        return np.frombuffer(pages, dtype, int(np.prod(shape)), first).reshape(shape)


folder = Path(sys.argv[2])
cases = []


def add(plan, dtype="float32"):
    for at_end in (True, False):
        device = host.Host(folder)
        device.buffers = AtTheEdge(at_end)
        inputs = [np.sin(np.arange(np.prod(s), dtype=dtype)).reshape(s) for s in plan.input_shapes]
        cases.append((plan, inputs, prepared(plan, inputs, device), device))


ROUGH = Axis(coordinates=np.arange(32.0) ** 1.5)
for shape in ((32,), (9, 32), (6, 7, 32), (5, 6, 9)):
    for along in (Axis(0.3), Axis(0.3, boundary="periodic"), ROUGH):
        if along is ROUGH and set(shape) != {32}:
            continue
        grid, n = Grid(*[along] * len(shape)), len(shape)
        several = [Gradient(n), Laplacian(n)] + ([Curl(n)] if n > 1 else [])
        for operator in [D(axis) for axis in range(n)] + several:
            for accuracy in (2, 4):
                method = FiniteDifference(accuracy)
                add(operator.on(grid, shape, method=method, edge_order=1))
# Vectors beside those of a row: of rows as long as one vector, over several rows, where the axis
# before has no ends, in blocks, and where something else is done before.
LINE, LOOP, NONE = Axis(0.3), Axis(0.3, boundary="periodic"), None
RING = Axis(coordinates=np.arange(13.0) ** 1.5, boundary="periodic", period=50.0)
A = np.arange(1.0, 9)
for axes, shape, operator, accuracy, dtype in (
    ((NONE, LINE), (9, 4), D(1), 2, "float32"),
    ((LOOP, LINE), (10, 4), D(0) + D(1), 2, "float32"),
    ((LOOP, LINE), (13, 10), D(1) + D(0), 8, "float64"),
    ((NONE, LINE), (11, 10), D(1), 8, "float64"),
    ((RING, LINE), (13, 8), D(0), 2, "float32"),
    ((RING, LINE), (13, 8), D(0) @ D(1), 4, "float64"),
    ((NONE, LINE), (9, 12), D(1), 8, "float32"),
    ((LOOP, LOOP, LINE), (10, 6, 8), Laplacian(3), 4, "float64"),
    ((NONE, LOOP, LINE), (2, 13, 8), D(1) * D(2), 4, "float32"),
    ((LINE, LINE, LINE), (10, 6, 8), Hessian(3), 2, "float64"),
    ((LOOP, LINE), (13, 8), D(0) @ (2 * D(1)) + D(1) @ (A * D(1)), 2, "float32"),
    ((LINE, LINE), (13, 8), D(0, to="outer") + D(1) * Average(0, to="outer"), 2, "float32"),
    ((LINE, LINE), (13, 8), D(0, at="outer", to="centre") @ D(0, to="outer") + D(1), 2, "float64"),
):
    plan = operator.on(Grid(*axes), shape, method=FiniteDifference(accuracy), edge_order=1)
    add(plan, dtype)
    made = cases[-1][2]
    assert made.vectors[0] == 16 // np.dtype(dtype).itemsize
    assert has_middle(made.key._replace(vector=made.vectors[0]))
# Differences that all lie on one side, of what takes others at the ends.
for offsets in ((-5, -4), (4, 5)):
    operator = D(1, stencil=Stencil(offsets, 1)) @ D(1)
    add(operator.on(Grid(LINE, LINE), (5, 32), edge_order=1))
    assert cases[-1][2].vectors[0] == 4
# Threads of two rows, of which the last has one; no rows take others at the last end.
operator = D(0, stencil=Stencil(range(-15, 1), 1)) + D(1, stencil=Stencil(range(-8, 9), 1))
add(operator.on(Grid(LINE, LINE), (33, 40)), "float64")
assert cases[-1][2].key.march == 2
# An axis so short that its middle takes a wall, before neighbours along the last axis are taken.
wall = Axis(0.3, boundary=Dirichlet(np.arange(8.0).reshape(1, 8)))
corner = operator_from_offsets({(0, -1): -1, (1, -1): 1}, axes=(2, 0))
for operator in (corner + D(1, 4), corner + D(2) + D(1, 4)):
    add(operator.on(Grid(wall, LINE, LINE), (2, 10, 8)))
    assert has_middle(cases[-1][2].key._replace(vector=4))
add((D(1) @ D(1) + D(0)).on(Grid(LOOP, LINE), (13, 8)))
blocks = Laplacian(2).on(Grid(LOOP, LINE), (39, 8), edge_order=1)
for start in (0, 13, 26):
    add(blocks.block([(start, start + 13), (0, 8)], (1, 0)))
widest = [made.key._replace(vector=made.vectors[0]) for _, _, made, _ in cases]
host.launchers([source(key) for key in widest], folder)
for case in cases:
    found, wanted = launched(*case), case[0].apply(case[1])
    assert all(abs(f - w).max() < 1e-3 for f, w in zip(found, wanted, strict=True))
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mprotect is called as Linux has it")
def test_no_page_beyond_an_array_is_touched(kernels):
    conftest = str(Path(__file__).with_name("conftest.py"))
    command = [sys.executable, "-c", SCRIPT, conftest, str(kernels)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]
