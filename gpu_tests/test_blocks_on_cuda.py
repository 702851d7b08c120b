"""Dask arrays with CuPy chunks on the device: kernels per block. Never run so far."""

import numpy as np
import pytest

import gradkit
from gradkit import Axis, Curl, D, Dirichlet, Divergence, Gradient, Grid, Hessian, Laplacian

da = pytest.importorskip("dask.array")
pytestmark = pytest.mark.gpu

ROUGH = np.cumsum(np.random.default_rng(5).uniform(0.5, 1.5, 24))
SPACES = {
    "one-sided": [Axis(0.3), Axis(0.7), Axis(0.2)],
    "coordinates": [Axis(coordinates=ROUGH)] * 3,
    "periodic": [Axis(0.3, boundary="periodic")] * 3,
    "antiperiodic": [Axis(0.3, boundary="antiperiodic")] * 3,
    "walls": [Axis(0.3, boundary=Dirichlet(1.0))] * 3,
}
A = np.random.default_rng(6).uniform(1, 2, (24, 24, 24))
OPERATORS = {
    "axis 0": D(0),
    "gradient": Gradient(3),
    "laplacian": Laplacian(3),
    "divergence": Divergence(3),
    "curl": Curl(3),
    "hessian": Hessian(3),
    "conservative": D(0) @ (A * D(0)) + D(2) @ (A * D(2)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("chunks", [(8, 24, 24), (8, 12, 24), (7, 9, 11)])
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", OPERATORS)
def test_blocks_give_what_the_whole_gives(cupy, rng, name, space, chunks, dtype):
    plan = OPERATORS[name].on(Grid(*SPACES[space]), (24, 24, 24))
    inputs = [cupy.asarray(rng.standard_normal(s)).astype(dtype) for s in plan.input_shapes]
    with gradkit.use_engine("cuda"):
        wanted = plan.apply(inputs)
        lazy = plan.apply([da.from_array(f, chunks=chunks, asarray=False) for f in inputs])
        found = da.compute(*lazy, scheduler="synchronous")
    sizes = plan.magnitude.apply([abs(f) for f in inputs])
    for got, want, size in zip(found, wanted, sizes, strict=True):
        assert isinstance(got, cupy.ndarray)
        # Compilers may fuse other products with sums in the kernel of a block.
        assert bool((abs(got - want) <= 4 * np.finfo(dtype).eps * abs(size)).all())
