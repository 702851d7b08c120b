"""Blocks of plans on kernels, as Dask runs them: bit for bit what the kernel of the whole gives."""

from contextlib import nullcontext

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
    Symmetric,
)
from gradkit.engines import cuda
from gradkit.engines.cuda.from_plan import key_of
from gradkit.engines.cuda.launch import prepared
from gradkit.engines.cuda.names import name as name_of

da = pytest.importorskip("dask.array")

SHAPE = (24, 12)
ROUGH = np.cumsum(np.random.default_rng(3).uniform(0.5, 1.5, 24))
A = np.arange(288.0).reshape(SHAPE) % 7 + 1
#: Chunks of the axis that most operators differentiate along.
ROWS = ((8, 8, 8), (12,))
LOOP, TURN = Axis(0.3, boundary="periodic"), Axis(0.3, boundary="antiperiodic")
OPEN = Grid(Axis(0.3), Axis(0.7))
FOUR = {"method": FiniteDifference(4)}


@pytest.fixture
def device(host, monkeypatch):
    """A device on the host that NumPy arrays count as living on."""
    device = host()
    monkeypatch.setattr(device, "current", nullcontext, raising=False)
    monkeypatch.setattr(device, "compile_error", ArithmeticError, raising=False)
    monkeypatch.setattr(cuda, "device_of", lambda f: device)
    # Arrays of the host are in no other order here.
    monkeypatch.setattr(device, "is_contiguous", lambda array: True)
    return device


def computed(plan, inputs, chunks=None):
    """What kernels give: of whole arrays, or of the blocks of Dask arrays."""
    with gradkit.use_engine("cuda"):
        if chunks is None:
            return plan.apply(inputs)
        lazy = [da.from_array(f, chunks=chunks) for f in inputs]
        return da.compute(*plan.apply(lazy), scheduler="synchronous")


def assert_same_bits(plan, device, chunks, rng, dtype="float64"):
    inputs = [abs(rng.normal(scale=9, size=s)).astype(dtype) for s in plan.input_shapes]
    wanted = computed(plan, inputs)
    assert len(device.launches) == 1
    for got, want in zip(computed(plan, inputs, chunks), wanted, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)
    assert len(device.launches) > 2, "the chunks have been merged into one"
    return {key for key, _, _ in device.launches[1:]}


PLANS = {
    "axis 0": D(0).on(OPEN, SHAPE),
    "axis 1 beside it": D(1).on(OPEN, SHAPE),
    "wide": D(0, 2).on(OPEN, SHAPE, **FOUR),
    "gradient": Gradient(2).on(OPEN, SHAPE, edge_order=1),
    "laplacian": Laplacian(2).on(OPEN, SHAPE, **FOUR),
    "hessian": Hessian(2).on(OPEN, SHAPE),
    "divergence": Divergence(2).on(OPEN, SHAPE),
    "curl": Curl(2).on(Grid(LOOP, Axis(0.7)), SHAPE),
    "coordinates": D(0).on(Grid(Axis(coordinates=ROUGH), Axis(0.7)), SHAPE),
    "periodic": D(0, 2).on(Grid(LOOP, None), SHAPE, **FOUR),
    "periodic coordinates": (D(0) @ (A * D(0))).on(
        Grid(Axis(coordinates=ROUGH, boundary="periodic", period=30.0), None), SHAPE
    ),
    "antiperiodic": D(0, 3).on(Grid(TURN, LOOP), SHAPE),
    "antiperiodic, twice": (D(0) @ (A * D(0)) + D(1)).on(Grid(TURN, Axis()), SHAPE),
    "antiperiodic adjoint": D(0).on(Grid(TURN, None), SHAPE, **FOUR).T,
    "mixed": (D(0) * D(1)).on(OPEN, SHAPE),
    "array in front": (A * D(0) + D(1)).on(OPEN, SHAPE),
    "conservative": (D(0) @ (A * D(0)) + D(1) @ (A[0] * D(1))).on(OPEN, SHAPE),
    "complex": (1j * D(0) + (A * 2j) * D(1)).on(OPEN, SHAPE),
    "walls": Laplacian(2).on(
        Grid(Axis(0.3, boundary=(Dirichlet(2.0), Neumann(1.5))), Axis(boundary=Symmetric())),
        SHAPE,
    ),
    "arrays along walls": D(0, 2).on(
        Grid(Axis(0.3, boundary=Dirichlet(np.arange(12.0) + 1)), None), SHAPE
    ),
    "to inner faces": D(0, to="inner").on(OPEN, SHAPE),
    "to all faces": Gradient(2, to="outer").on(OPEN, SHAPE),
    "flux": (D(0, to="centre") @ D(0, to="outer") + D(1)).on(OPEN, SHAPE),
    "adjoint": D(0).on(OPEN, SHAPE).T,
}


@pytest.mark.parametrize("name", PLANS)
def test_blocks_give_the_bits_of_the_whole(device, rng, name):
    assert_same_bits(PLANS[name], device, ROWS, rng)


@pytest.mark.parametrize("name", ["gradient", "antiperiodic, twice", "conservative"])
@pytest.mark.parametrize(
    "chunks", [((7, 8, 9), (6, 6)), ((24,), (5, 3, 4)), ((1,) * 24, (1,) * 12)]
)
def test_any_chunks(device, rng, name, chunks):
    assert_same_bits(PLANS[name], device, chunks, rng)


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64", "int8", "int64", "uint16"])
def test_every_kind_of_number(device, rng, dtype):
    assert_same_bits(PLANS["laplacian"], device, ROWS, rng, dtype)


def test_large_integers_stay_exact(device):
    f = 2**60 + 3 * np.arange(288).reshape(SHAPE)
    (found,) = computed(D(1).on(Grid(None, Axis()), SHAPE), [f], ((8, 16), (3, 9)))
    np.testing.assert_array_equal(found, np.full(SHAPE, 3.0))


def test_blocks_of_a_chunking_share_few_kernels(device, rng):
    plan = D(0).on(Grid(Axis(0.3), None), (60, 8))
    keys = assert_same_bits(plan, device, ((5,) * 12, (8,)), rng)
    assert len(device.launches) == 1 + 12
    assert len(keys) == 3  # the first, those in the middle, the last
    periodic = D(0).on(Grid(LOOP, None), (60, 8))
    device.launches.clear()
    assert len(assert_same_bits(periodic, device, ((5,) * 12, (8,)), rng)) == 1


def test_blocks_keep_the_vectors_of_the_axis_that_is_whole(device, rng):
    keys = assert_same_bits(PLANS["gradient"], device, ((8, 16), (12,)), rng, "float32")
    assert {key.vector for key in keys} == {4}


def test_names_tell_where_a_term_begins_and_what_is_turned():
    plan = PLANS["antiperiodic"]
    f = np.zeros(SHAPE)
    key, _ = key_of(plan, ["float64"], plan.precision([f]))
    (rule,), (output,) = key.rules, key.outputs
    (chain,) = output.chains
    keys = {key}
    for turned in ((1, 0), (0, 1), (2, 3)):
        keys.add(key._replace(rules=(rule._replace(turned=turned),)))
    for first in ((1, 0), (0, 1), (11, 0)):
        moved = output._replace(chains=(chain._replace(first=first),))
        keys.add(key._replace(outputs=(moved,)))
    assert len(keys) == 7
    assert len({name_of(key) for key in keys}) == 7
    assert all(name_of(key).isidentifier() for key in keys)


def test_equal_derivatives_in_a_block_are_one_rule(host):
    plan = Hessian(3).on(Grid(*[Axis(0.3)] * 3), (9, 9, 9))
    block = plan.block([(3, 6), (0, 9), (0, 9)], (2, 0, 0))
    f = np.zeros(block.input_shape)
    whole = prepared(plan, [np.zeros((9, 9, 9))], host())
    assert len(prepared(block, [f], host()).key.rules) == len(whole.key.rules)


def test_nan_stays_where_it_is_used(device, rng):
    f = rng.normal(size=SHAPE)
    f[8, 3] = np.nan
    plan = PLANS["laplacian"]
    (found,) = computed(plan, [f], ROWS)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(computed(plan, [f])[0]))


def test_halo_that_holds_an_axis_several_times_has_a_reason(host):
    a = np.arange(1.0, 4.0)
    plan = (D(0) @ (a * D(0)) @ (a * D(0)) @ (a * D(0))).on(Grid(TURN), (3,))
    block = plan.block([(0, 2)], (4,))
    reason = prepared(block, [np.zeros(block.input_shape)], host())
    assert reason == "has no kernels for blocks that hold an axis several times"
