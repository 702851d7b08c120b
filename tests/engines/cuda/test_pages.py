"""No kernel reads beyond its arrays: each lies at an edge of memory that may be touched."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import ctypes, importlib.util, mmap, sys
from pathlib import Path

import numpy as np

from gradkit import Axis, Curl, D, FiniteDifference, Gradient, Grid, Laplacian
from gradkit.engines.cuda.launch import launched, prepared
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
                plan = operator.on(grid, shape, method=method, edge_order=1)
                for at_end in (True, False):
                    device = host.Host(folder)
                    device.buffers = AtTheEdge(at_end)
                    inputs = [np.ones(s, "float32") for s in plan.input_shapes]
                    cases.append((plan, inputs, prepared(plan, inputs, device), device))
widest = [made.key._replace(vector=made.vectors[0]) for _, _, made, _ in cases]
host.launchers([source(key) for key in widest], folder)
for case in cases:
    assert not any(abs(part).max() > 0 for part in launched(*case))
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mprotect is called as Linux has it")
def test_no_page_beyond_an_array_is_touched(kernels):
    conftest = str(Path(__file__).with_name("conftest.py"))
    command = [sys.executable, "-c", SCRIPT, conftest, str(kernels)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]
