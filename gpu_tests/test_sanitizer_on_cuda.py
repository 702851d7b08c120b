"""Kernels under NVIDIA's compute-sanitizer, where it is installed. Never run so far."""

import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.gpu

#: Every array has memory of its own, so that a step beyond one is a step beyond its memory.
SCRIPT = """
import cupy, gradkit
from gradkit import Axis, Curl, D, FiniteDifference, Gradient, Grid, Laplacian

cupy.cuda.set_allocator(None)
for shape in ((5, 6, 7), (9, 6, 64), (33, 17, 130)):
    for edges in ("one-sided", "periodic"):
        grid = Grid(*[Axis(0.3, boundary=edges)] * 3)
        for operator in (D(0), D(1), D(2), Gradient(3), Laplacian(3), Curl(3)):
            for accuracy in (2, 4):
                method = FiniteDifference(accuracy)
                plan = operator.on(grid, shape, method=method, edge_order=1)
                for dtype in ("float16", "float32", "float64"):
                    inputs = [cupy.ones(s, dtype) for s in plan.input_shapes]
                    with gradkit.use_engine("cuda"):
                        assert not any(abs(r).max() > 0 for r in plan.apply(inputs))
"""


@pytest.mark.parametrize("tool", ["memcheck", "initcheck"])
def test_no_memory_is_touched_that_is_not_an_array(tool):
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        pytest.skip("compute-sanitizer is not installed: it comes with the CUDA toolkit")
    # Memory alone: libraries ask drivers for functions that they lack, and do without.
    options = ["--tool", tool, "--error-exitcode", "9", "--report-api-errors", "no"]
    command = [sanitizer, *options, sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
