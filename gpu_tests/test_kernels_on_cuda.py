"""Fused kernels on the device: against the reference, without waiting, without temporaries."""

from math import prod

import numpy as np
import pytest

import gradkit
from gradkit import (
    Axis,
    Curl,
    D,
    Dirichlet,
    Divergence,
    FiniteDifference,
    Gradient,
    Grid,
    Hessian,
    Laplacian,
    Neumann,
    Robin,
)
from gradkit.bench.cases import noise
from gradkit.errors import ArgumentValueError, EngineError

pytestmark = pytest.mark.gpu

ROUGH = np.cumsum(np.random.default_rng(5).uniform(0.5, 1.5, 64))
A = np.random.default_rng(6).uniform(1, 2, (64, 64, 64))
SPACES = {
    "one-sided": [Axis(0.3), Axis(0.7), Axis(0.2)],
    "coordinates": [Axis(coordinates=ROUGH)] * 3,
    "periodic": [Axis(0.3, boundary="periodic")] * 3,
    "antiperiodic": [Axis(0.3, boundary="antiperiodic")] * 3,
    "walls": [Axis(0.3, boundary=b) for b in (Dirichlet(1.0), Neumann(2.0), Robin(1.0, 2.0, 3.0))],
}
OPERATORS = {
    "axis 0": D(0),
    "axis 1": D(1),
    "axis 2": D(2),
    "gradient": Gradient(3),
    "laplacian": Laplacian(3),
    "divergence": Divergence(3),
    "curl": Curl(3),
    "hessian": Hessian(3),
    "mixed": D(0) * D(2),
    "conservative": D(0) @ (A * D(0)) + D(2) @ (A * D(2)),
}


def both(cupy, plan, inputs):
    """What the kernel and the reference give on the device."""
    found = []
    for engine in ("cuda", "reference"):
        with gradkit.use_engine(engine):
            found.append(plan.apply(inputs))
    return found


def assert_alike(cupy, plan, inputs):
    fused, wanted = both(cupy, plan, inputs)
    with gradkit.use_engine("reference"):
        sizes = plan.magnitude.apply([abs(f.astype(wanted[0].dtype)) for f in inputs])
    for got, want, size in zip(fused, wanted, sizes, strict=True):
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        eps = np.finfo(want.dtype).eps
        assert bool((abs(got - want) <= 8 * eps * abs(size) + np.finfo(want.dtype).tiny).all())


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "complex64", "complex128", "int32", "uint8"]
)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", OPERATORS)
def test_kernels_give_what_the_reference_gives(cupy, rng, name, space, dtype):
    plan = OPERATORS[name].on(Grid(*SPACES[space]), (64, 64, 64))
    low = 0 if dtype == "uint8" else -99
    inputs = [cupy.asarray(rng.integers(low, 100, s) / 8).astype(dtype) for s in plan.input_shapes]
    assert_alike(cupy, plan, inputs)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", OPERATORS)
def test_indices_of_64_bits(cupy, rng, monkeypatch, name, space):
    monkeypatch.setattr("gradkit.engines.cuda.launch.WIDE", 0)
    # A plan of its own: what another test has prepared has indices of 32 bits.
    plan = OPERATORS[name].on(Grid(*SPACES[space]), (64, 64, 64), edge_order=1)
    assert_alike(cupy, plan, [cupy.asarray(rng.standard_normal(s)) for s in plan.input_shapes])


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("most", [3, 65535])
def test_blocks_that_walk_and_flat_grids(cupy, rng, monkeypatch, name, space, most):
    monkeypatch.setattr("gradkit.engines.cuda.layout.ENOUGH_BLOCKS", 1)
    monkeypatch.setattr("gradkit.engines.cuda.launch.MOST_BLOCKS", most)
    plan = OPERATORS[name].on(Grid(*SPACES[space]), (64, 64, 64), edge_order=1)
    assert_alike(cupy, plan, [cupy.asarray(rng.standard_normal(s)) for s in plan.input_shapes])


@pytest.mark.parametrize("shape", [(512, 512, 512), (1200, 300, 260), (4096, 4096)])
@pytest.mark.parametrize("accuracy", [2, 8])
def test_large_arrays(cupy, room, shape, accuracy):
    # The array, two results, the bound, and what the reference makes on its way.
    room(16 * 4 * prod(shape))
    f = noise(cupy, shape, "float32", seed=1)
    for operator in [D(axis) for axis in range(len(shape))] + [Laplacian(len(shape))]:
        method = FiniteDifference(accuracy)
        assert_alike(cupy, operator.on(Grid(*[Axis(0.3)] * len(shape)), shape, method=method), [f])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_plans_of_several_kernels(cupy, rng, dtype):
    space = [Axis(0.3), Axis(0.7, boundary="periodic"), Axis(0.2, boundary=Dirichlet(1.0))]
    plan = Hessian(3).on(Grid(*space), (64, 48, 64), method=FiniteDifference(8))
    f = cupy.asarray(rng.standard_normal((64, 48, 64)).astype(dtype))
    assert_alike(cupy, plan, [f])
    out = [cupy.full_like(f, cupy.nan) for _ in range(9)]
    assert plan(f, out=out) is out
    for got, again in zip(out, plan(f), strict=True):
        assert bool((got == again).all())


def test_calls_like_one_before(cupy, rng):
    plan = Gradient(3).on(Grid(*SPACES["one-sided"]), (64, 64, 64))
    for _ in range(3):
        f = cupy.asarray(rng.standard_normal((64, 64, 64)))
        out = [cupy.full_like(f, cupy.nan) for _ in range(3)]
        assert plan(f, out=out) is out
        for got, again in zip(out, plan(f), strict=True):
            assert bool((got == again).all())
        assert_alike(cupy, plan, [f])
    assert len(plan.ready[cupy.ndarray]) == 2
    with pytest.raises(ArgumentValueError, match="share"):
        plan(f, out=[f, *out[1:]])


@pytest.mark.parametrize("size", [2, 3, 5, 31, 32, 33, 127, 128, 129, 1025])
@pytest.mark.parametrize("accuracy", [1, 2])
def test_odd_sizes(cupy, rng, size, accuracy):
    for shape, axis in (((size,), 0), ((size, 7), 0), ((size, 8), 0), ((7, size), 1)):
        axes = [None] * len(shape)
        axes[axis] = Axis(0.3)
        plan = D(axis).on(Grid(*axes), shape, edge_order=1, method=FiniteDifference(accuracy))
        assert_alike(cupy, plan, [cupy.asarray(rng.standard_normal(shape))])


def test_strided_and_misaligned_views(cupy, rng):
    whole = cupy.asarray(rng.standard_normal((33, 130)))
    plan = (D(0) + D(1)).on(Grid(Axis(0.3), Axis(0.3)), (32, 128))
    for view in (whole[1:, 1:129], whole[:0:-1, 2:], whole[1:, :128], whole.T[1:129, 1:].T):
        assert_alike(cupy, plan, [view])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "int32"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("along", [Axis(0.3), Axis(coordinates=ROUGH)])
def test_one_derivative_of_a_view_is_taken_without_a_copy(cupy, rng, dtype, axis, along):
    whole = cupy.asarray(rng.integers(-99, 100, (128, 65, 64)) / 8).astype(dtype)
    view = whole[::-2, 1:].transpose(2, 0, 1)
    axes = [None] * 3
    axes[axis] = along
    plan = D(axis).on(Grid(*axes), view.shape)
    assert_alike(cupy, plan, [view])
    whole[::2] = whole[:, 0] = 99  # what lies between and beside is not read
    with gradkit.use_engine("cuda"):
        before = plan(view)
    whole[::2] = whole[:, 0] = 55
    with gradkit.use_engine("cuda"):
        assert bool((plan(view) == before).all())
    pool = cupy.cuda.MemoryPool()
    with gradkit.use_engine("cuda"), cupy.cuda.using_allocator(pool.malloc):
        result = plan(view)
        assert pool.total_bytes() <= result.nbytes + 512


def test_calls_do_not_wait_for_the_device(cupy):
    plan = Laplacian(3).on(Grid(*SPACES["coordinates"]), (64, 64, 64))
    f = cupy.ones((64, 64, 64))
    with gradkit.use_engine("cuda"):
        plan(f)
        stream = cupy.cuda.Stream(non_blocking=True)
        with stream:
            stream.begin_capture()
            result = plan(f)
            graph = stream.end_capture()
            graph.launch()
        stream.synchronize()
    assert float(abs(result).max()) < 1e-12


def test_results_are_all_the_memory_that_a_call_takes(cupy):
    plan = Gradient(3).on(Grid(*SPACES["one-sided"]), (64, 64, 64))
    f = cupy.ones((64, 64, 64))
    pool = cupy.cuda.MemoryPool()
    with gradkit.use_engine("cuda"):
        plan(f)
        with cupy.cuda.using_allocator(pool.malloc):
            results = plan(f)
            assert pool.total_bytes() <= 3 * f.nbytes + 3 * 512
    assert len(results) == 3


def test_the_first_call_of_a_plan_within_a_capture_says_what_to_do(cupy):
    plan = D(0).on(Grid(Axis(coordinates=ROUGH), None), (64, 64))
    f = cupy.ones((64, 64))
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream, gradkit.use_engine("cuda"):
        stream.begin_capture()
        try:
            with pytest.raises(EngineError, match="call the plan once before"):
                plan(f)
        finally:
            stream.end_capture()
    with gradkit.use_engine("cuda"):
        assert not plan(f).any()


@pytest.mark.parametrize("length", [2**30 + 3, 2**30 + 8], ids=["single", "vectors"])
def test_arrays_of_more_than_2_to_the_31_elements(cupy, room, length):
    shape = (3, length)
    room(2.2 * 2 * prod(shape))
    f = cupy.zeros(shape, "float16")
    f[2, -1] = 8.0
    with gradkit.use_engine("cuda"):
        result = D(0).on(Grid(Axis(), None), shape, edge_order=1)(f)
    assert [float(result[i, -1]) for i in range(3)] == [0.0, 4.0, 8.0]
    assert float(result[2, 0]) == 0.0


def test_streams_at_once(cupy, rng):
    plan = Laplacian(3).on(Grid(*SPACES["one-sided"]), (64, 64, 64))
    inputs = [cupy.asarray(rng.standard_normal((64, 64, 64))) for _ in range(4)]
    cupy.cuda.Device().synchronize()
    results = []
    for f in inputs:
        with cupy.cuda.Stream(non_blocking=True), gradkit.use_engine("cuda"):
            results.append(plan(f))
    cupy.cuda.Device().synchronize()
    for f, result in zip(inputs, results, strict=True):
        with gradkit.use_engine("cuda"):
            assert bool((plan(f) == result).all())
