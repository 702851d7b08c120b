"""Blocks of plans: what Dask computes chunk by chunk is, bit for bit, the rows of the whole."""

import numpy as np
import pytest

from gradkit import (
    Antisymmetric,
    Average,
    Axis,
    Curl,
    D,
    Dirichlet,
    Divergence,
    FiniteDifference,
    Gradient,
    Grid,
    Laplacian,
    Neumann,
    Robin,
    Stencil,
    Symmetric,
    operator_from_offsets,
)
from gradkit.blocks import Region
from gradkit.errors import ArgumentValueError, UnsupportedError
from gradkit.line import PLACES

ROUGH = [0.0, 1.0, 1.5, 3.0, 4.0, 4.25, 6.0, 7.0, 9.0, 9.5, 10.0, 12.0]
#: Not binary fractions, so that every product is rounded.
A = 1 + np.arange(12) / 7
B = 1 + np.arange(132).reshape(11, 12) / 9

SIDES = Axis(spacing=0.3)
RING = Axis(spacing=0.3, boundary="periodic")
TWIST = Axis(spacing=0.3, boundary="antiperiodic")
POINTS = Axis(coordinates=ROUGH)


def walls(*ends, **arguments):
    return Axis(**(arguments or {"spacing": 0.3}), boundary=ends)


PLANS = {
    "array in front": (A * D(1), Grid(TWIST, POINTS)),
    "array of a plane": (B * D(0) + B, Grid(SIDES, RING)),
    "array behind": (D(0) @ B, Grid(TWIST, SIDES)),
    "array between": (D(1) @ (A * D(1)), Grid(SIDES, POINTS)),
    "array between, wrapping": (D(0) @ (B * D(0)), Grid(RING, SIDES)),
    "array between, changing sign": (D(0) @ (B * D(0)) + D(1) @ (B * D(0)), Grid(TWIST, TWIST)),
    "two arrays": (B * (D(0) @ (A * D(1))), Grid(TWIST, RING)),
    "column": (B[:, :1] * (D(1) @ (B[:, :1] * D(0))), Grid(RING, POINTS)),
    "high orders": (D(0, 2) @ (B * D(0, 2)), Grid(TWIST, SIDES), FiniteDifference(4)),
    "walls": (Laplacian(2), Grid(walls(Dirichlet(0.7), Neumann(0.3)), SIDES)),
    "walls at samples": (
        D(0, 2) - D(0),
        Grid(walls(Dirichlet(0.7, at="sample"), Neumann(0.3, at="sample")), POINTS),
    ),
    "walls on coordinates": (
        D(1, 2) + A * D(1),
        Grid(SIDES, walls(Robin(1, 2, 0.3), Dirichlet(0.7, at="next"), coordinates=ROUGH)),
    ),
    "walls of arrays": (
        D(0) * D(1) + D(0, 2),
        Grid(walls(Dirichlet(A), Neumann(A)), walls(Neumann(A[:11]), Dirichlet(A[:11]))),
    ),
    "mixtures that vary": (D(0) + D(0, 2), Grid(walls(Robin(A, 2, A), Robin(1, A, 0.3)), SIDES)),
    "mirrors": (
        D(0, 2) + D(0) * D(1),
        Grid(walls(Symmetric(), Antisymmetric(at="sample")), walls(Antisymmetric(), "one-sided")),
    ),
    "stencils of one's own": (
        D(0, stencil=Stencil((-2, 0, 1), 1)) + operator_from_offsets([-1, 0, 2], like=D(0)),
        Grid(TWIST, None),
    ),
    "stencils in the plane": (
        operator_from_offsets({(1, 1): 1, (-1, 1): -1, (0, -2): 0.3, (0, 0): -0.3}, spacing=0.3),
        Grid(TWIST, SIDES),
    ),
    "to all faces": (D(0, to="outer"), Grid(SIDES, None)),
    "to inner faces": (D(0, to="inner") + D(0, to="inner") * D(1), Grid(SIDES, SIDES)),
    "to left faces": (D(0, 2, to="left"), Grid(TWIST, None)),
    "from all faces": (Average(1, at="outer", to="centre"), Grid(None, POINTS)),
    "from inner faces": (
        D(0, at="inner", to="centre"),
        Grid(walls(Dirichlet(0.7), Neumann(0.0)), None),
    ),
    "there and back": (
        D(1, to="centre") @ (np.arange(13) / 7 * D(1, to="outer")),
        Grid(TWIST, walls(Dirichlet(0.7), "one-sided")),
    ),
    "several inputs": (Curl(2), Grid(TWIST, POINTS)),
    "several inputs with arrays": (Divergence(2) * B, Grid(RING, SIDES)),
    "several outputs": (Gradient(2, to="inner"), Grid(SIDES, POINTS)),
    "several outputs with arrays": (B @ Gradient(2), Grid(TWIST, walls(Neumann(0.3), "one-sided"))),
    "complex": (1j * B * D(0) + (B + 1j) * D(1), Grid(TWIST, POINTS)),
}


def made(name):
    operator, grid, *method = PLANS[name]
    return operator.on(grid, (11, 12), method=method[0] if method else None)


def as_tuple(results):
    return results if isinstance(results, tuple) else (results,)


def random_inputs(rng, plan):
    arrays = [rng.normal(size=shape) for shape in plan.input_shapes]
    return [a + 1j * rng.normal(size=a.shape) for a in arrays] if plan.is_complex else arrays


def called(plan, arrays):
    return as_tuple(plan(arrays if len(arrays) > 1 else arrays[0]))


def rows_by_hand(extent, places, shape):
    """The last cell has both faces of "outer", and none of "inner"."""
    bounds = []
    for (start, stop), at, n in zip(extent, places, shape, strict=True):
        last = n + PLACES[at].extra
        bounds.append((min(start, last), last if stop == n else stop))
    return bounds


def part_by_hand(f, plan, extent, halo, places):
    """The points of a block and its halo: wrapped where the axis wraps, else ending with it."""
    moved = {step.axis for step in plan.bound.alongs()}
    for axis, (start, stop) in enumerate(rows_by_hand(extent, places, plan.shape)):
        indices = np.arange(start, stop)
        if axis in moved:
            indices = np.arange(start - halo[axis], stop + halo[axis])
            if not plan.grid.axes[axis].wrap:
                indices = indices[(indices >= 0) & (indices < f.shape[axis])]
        f = np.take(f, indices % f.shape[axis], axis=axis)
    return f


def parameter_by_hand(parameter, plan, extent, halo):
    moved = {step.axis for step in plan.bound.alongs()}
    array = np.reshape(parameter.array, parameter.shape)
    for axis, (start, stop) in enumerate(extent):
        n = array.shape[axis]
        if n == 1:
            continue
        first, last = start, n if stop == plan.shape[axis] else stop
        if axis in moved:
            first, last = first - halo[axis], last + halo[axis]
        indices = np.arange(first, last)
        if axis in moved and not plan.grid.axes[axis].wrap:
            indices = indices[(indices >= 0) & (indices < n)]
        array = np.take(array, indices % n, axis=axis)
    return array


def random_extent(rng, plan):
    """Cells; where results lie between them, the last cell alone has no row."""
    while True:
        extent = [sorted(rng.choice(n + 1, 2, replace=False).tolist()) for n in plan.shape]
        sizes = [
            stop - start
            for places in plan.bound.outputs_at
            for start, stop in rows_by_hand(extent, places, plan.shape)
        ]
        if min(sizes) > 0:
            return [tuple(bounds) for bounds in extent]


@pytest.mark.parametrize("form", ["", "T", "H", "linear", "magnitude"])
@pytest.mark.parametrize("name", PLANS)
def test_blocks_give_the_rows_of_the_whole_bit_for_bit(rng, name, form):
    plan = getattr(made(name), form) if form else made(name)
    inputs = random_inputs(rng, plan)
    whole = called(plan, inputs)
    for trial in range(12):
        extent = random_extent(rng, plan) if trial else [(0, n) for n in plan.shape]
        halo = [reach + int(rng.integers(0, 3)) for reach in plan.halo]
        parts = [
            part_by_hand(f, plan, extent, halo, places)
            for f, places in zip(inputs, plan.bound.inputs_at, strict=True)
        ]
        cut = [parameter_by_hand(p, plan, extent, halo) for p in plan.parameters]
        for block in (plan.block(extent, halo), plan.block(extent, halo, cut)):
            assert block.input_shapes == tuple(part.shape for part in parts)
            results = called(block, parts)
            for result, expected, places in zip(results, whole, plan.bound.outputs_at, strict=True):
                bounds = rows_by_hand(extent, places, plan.shape)
                rows = expected[tuple(slice(*b) for b in bounds)]
                assert result.shape == rows.shape
                assert result.tobytes() == np.ascontiguousarray(rows).tobytes()
            assert block.output_shapes == tuple(r.shape for r in results)


@pytest.mark.parametrize(
    "name", ["array between, changing sign", "walls of arrays", "there and back"]
)
def test_blocks_put_together_are_the_whole(rng, name):
    """Cells belong to one block each, the points beyond the cells to the last one."""
    plan = made(name)
    (f,) = random_inputs(rng, plan)
    cuts = [(0, 3), (3, 4), (4, 9), (9, 12)]
    parts = []
    for start, stop in cuts:
        extent = [(0, 11), (start, stop)]
        block = plan.block(extent, plan.halo)
        parts.append(block(part_by_hand(f, plan, extent, plan.halo, plan.bound.inputs_at[0])))
    assert np.concatenate(parts, axis=1).tobytes() == plan(f).tobytes()


def test_a_block_is_a_value_of_its_own(rng):
    plan = made("array between, changing sign")
    extent, halo = [(2, 6), (0, 12)], (3, 2)
    block = plan.block(extent, halo)
    assert block == plan.block(extent, halo)
    assert block != plan
    assert block != plan.block([(2, 6), (0, 12)], (4, 2))
    assert (block.extent, block.margin) == (((2, 6), (0, 12)), (3, 2))
    assert "extent=((2, 6), (0, 12)), margin=(3, 2)" in repr(block)


def test_bytes_of_a_block_count_the_arrays_of_the_block():
    plan = (A * D(1)).on(Grid(None, SIDES), (11, 12))
    block = plan.block([(3, 5), (4, 6)], (0, 2))
    # 2 x 6 values and 6 coefficients are read, 2 x 2 results written.
    assert block.minimum_bytes() == (2 * 6 + 6 + 2 * 2) * 8


@pytest.mark.parametrize(
    ("name", "rendering"),
    [
        ("T", lambda block: block.T),
        ("H", lambda block: block.H),
        ("matrix", lambda block: block.matrix()),
        ("linear_operator", lambda block: block.linear_operator()),
        ("stencil", lambda block: block.stencil(3)),
        ("error_estimate", lambda block: block.error_estimate(np.zeros(7))),
    ],
)
def test_what_needs_the_whole_is_refused_for_a_block(name, rendering):
    block = D(0).on(Grid(SIDES), (10,)).block([(3, 6)], [2])
    message = f"{name} is not served for a block of a plan: take the {name} of the whole plan"
    with pytest.raises(UnsupportedError, match=message):
        rendering(block)


@pytest.mark.parametrize(
    ("extent", "halo", "message"),
    [
        ([(3, 6), (0, 12)], [0, 0], r"rows \(3, 6\) of axis 0 with halo=0 .* halo=4 for any row"),
        ([(3, 6), (0, 12)], [1, 0], "halo=1 does not hold what they use"),
        # Row 0 takes the slopes at 0, 1 and 2, the last of which takes point 3.
        ([(0, 1), (0, 12)], [2, 0], "halo=2 does not hold what they use"),
        ([(3, 13), (0, 12)], [4, 0], r"extent\[0\]=\(3, 13\) does not lie in the 11 points"),
        ([(-1, 3), (0, 12)], [4, 0], r"extent\[0\]=\(-1, 3\)"),
        ([(6, 3), (0, 12)], [4, 0], r"extent\[0\]=\(6, 3\)"),
        ([(4, 4), (0, 12)], [4, 0], "wanted at least one row"),
        ([(3, 6), (0, 13)], [4, 0], r"extent\[1\]=\(0, 13\)"),
        ([(3, 6)], [4, 0], "one entry per dimension"),
        ([(3, 6), (0, 12)], [4], "one entry per dimension"),
    ],
)
def test_blocks_that_cannot_be_computed_are_refused(extent, halo, message):
    plan = (D(0) @ (B * D(0))).on(Grid(SIDES, None), (11, 12))
    assert plan.halo == (4, 0)  # two points ahead at the end, twice
    with pytest.raises(ArgumentValueError, match=message):
        plan.block(extent, halo)


def test_the_last_cell_alone_has_no_face_between_cells():
    plan = D(0, to="inner").on(Grid(SIDES), (6,))
    assert plan.block([(4, 6)], plan.halo).output_shape == (1,)
    with pytest.raises(ArgumentValueError, match="wanted at least one row"):
        plan.block([(5, 6)], plan.halo)


def test_batch_axes_need_no_halo_and_may_be_empty():
    plan = D(1).on(Grid(None, SIDES), (4, 9))
    block = plan.block([(1, 1), (0, 9)], (5, 2))
    assert block.input_shape == block.output_shape == (0, 9)


# --- regions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extent", "at", "rows", "held"),
    [
        ((2, 5), "centre", (2, 5), (0, 7)),
        ((2, 5), "left", (2, 5), (0, 7)),
        ((2, 5), "outer", (2, 5), (0, 7)),
        ((2, 5), "inner", (2, 5), (0, 7)),
        ((7, 10), "centre", (7, 10), (5, 10)),
        ((7, 10), "outer", (7, 11), (5, 11)),
        ((7, 10), "inner", (7, 9), (5, 9)),
        ((9, 10), "inner", (9, 9), (7, 9)),
        ((0, 10), "outer", (0, 11), (0, 11)),
    ],
)
def test_regions_know_which_points_belong_to_their_cells(extent, at, rows, held):
    """Of ten cells, with two points around the block as far as the axis goes."""
    region = Region((10,), (SIDES,), (extent,), (2,))
    assert region.rows((at,)) == (rows,)
    assert region.held((at,)) == (held,)


def test_regions_go_around_the_ends_of_axes_that_wrap():
    region = Region((10,), (RING,), ((8, 10),), (3,))
    assert region.held(("centre",)) == ((5, 13),)
    assert region.held_of((10,)) == ((5, 13),)


def test_axes_along_which_nothing_goes_have_no_halo():
    region = Region((10, 4), (SIDES, None), ((2, 5), (1, 3)), (2, 2))
    assert region.held(("centre", "centre")) == ((0, 7), (1, 3))


def test_parameters_are_held_where_they_are_not_broadcast():
    region = Region((10, 4), (SIDES, RING), ((7, 10), (1, 3)), (2, 1))
    assert region.held_of((10, 4)) == ((5, 10), (0, 4))
    assert region.held_of((11, 1)) == ((5, 11), None)
    assert region.held_of((1, 4)) == (None, (0, 4))
    # An axis of one cell: one point is all there is of it.
    assert Region((1,), (None,), ((0, 1),), (0,)).held_of((1,)) == (None,)
