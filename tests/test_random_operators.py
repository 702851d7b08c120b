"""200 random operators: every rendering of one operator agrees with every other.

A seed makes an operator (orders up to 4, one to three dimensions, numbers and arrays as
coefficients, compositions, systems, staggered places, complex numbers), a grid (equal spacing or
coordinates, every boundary, mixed per side) and a method. Each test below asks one question of all
200. The last tests ask whether the numbers are right: polynomials are differentiated exactly.
"""

import importlib
import os
import pickle
from dataclasses import replace
from fractions import Fraction
from functools import cache
from math import perm, prod
from typing import Any, NamedTuple

import dask
import dask.array as da
import numpy as np
import pytest

from gradkit import (
    Antisymmetric,
    Average,
    Axis,
    D,
    Dirichlet,
    FiniteDifference,
    Grid,
    Neumann,
    Operator,
    Robin,
    Stencil,
    Symmetric,
    operator_from_offsets,
)

SEEDS = range(200)

#: A result passes through at most four rules (orders add up to 4) with at most eight roundings
#: each (weight, difference, product, four sums, division), so 32 roundings of eps / 2 each,
#: relative to the largest sum of the magnitudes of all products, |A| |f|.
TOLERANCE = 16 * np.finfo(float).eps

#: Shortest axes: room for the stencil of order 4 and accuracy 4 at both ends.
SHORTEST = {1: 16, 2: 12, 3: 9}


# --- random operators -----------------------------------------------------------------------------


def pick(rng, *options):
    return options[int(rng.integers(len(options)))]


def random_number(rng):
    return pick(rng, round(float(rng.uniform(0.3, 2)), 2), 3, -1, Fraction(2, 3))


def random_coefficient(rng, shape):
    """A number, or an array that is broadcast along some axes."""
    if rng.random() < 0.5:
        return random_number(rng)
    return rng.normal(size=tuple(n if rng.random() < 0.7 else 1 for n in shape))


def random_end(rng, along, places):
    """What is known at one end of an axis; `along` is the shape of the wall."""
    value = round(float(rng.normal()), 3) if rng.random() < 0.7 else rng.normal(size=along)
    at = pick(rng, *places)
    return pick(
        rng,
        "one-sided",
        Dirichlet(value, at=at),
        Neumann(value, at=at),
        Robin(1.5, 0.5, value, at=at),
        Symmetric(at=pick(rng, "face", "sample")),
        Antisymmetric(at=pick(rng, "face", "sample", "next")),
    )


def random_axis(rng, number, shape, places=("face", "sample", "next", 0.3)):
    n, along = shape[number], shape[:number] + shape[number + 1 :]
    walls = (random_end(rng, along, places), random_end(rng, along, places))
    boundary = pick(rng, "one-sided", "periodic", "antiperiodic", walls, walls)
    kind = pick(rng, "spacing", "negative spacing", "coordinates", "decreasing", "faces")
    if "spacing" in kind:
        spacing = float(rng.uniform(0.3, 1.2))
        return Axis(spacing=spacing if kind == "spacing" else -spacing, boundary=boundary)
    # Faces and centres in turn, exact in float64, so that the period is that of the faces.
    track = np.cumsum(rng.integers(32, 65, 2 * n + 1)) / 64
    track = track[::-1] if kind == "decreasing" else track
    wraps = boundary in ("periodic", "antiperiodic")
    return Axis(
        coordinates=track[1::2],
        boundary=boundary,
        period=float(abs(track[-1] - track[0])) if wraps else None,
        faces=track[::2] if kind == "faces" else None,
    )


def random_derivative(rng, axis, order, is_uniform):
    own = rng.random()
    if own < 0.15:
        first = -int(rng.integers(0, order + 1))
        return D(axis, order, stencil=Stencil(range(first, first + order + 1), order))
    if own < 0.3 and is_uniform and order == 1:
        return operator_from_offsets([-1, 0, 2], like=D(0), axes=(axis,))
    return D(axis, order)


def random_term(rng, shape, is_uniform):
    """Products and compositions of derivatives whose orders add up to at most 4."""
    left, term = int(rng.integers(1, 5)), None
    while left:
        order = int(rng.integers(1, left + 1))
        left -= order
        partial = random_derivative(rng, int(rng.integers(len(shape))), order, is_uniform)
        if left and rng.random() < 0.3:
            partial, left = partial * D(int(rng.integers(len(shape))), left), 0
        if term is None:
            term = random_coefficient(rng, shape) * partial
        elif rng.random() < 0.5:
            term = partial @ term
        else:
            term = (random_coefficient(rng, shape) * partial) @ term
    return term


def random_shape(rng, ndim):
    return tuple(int(rng.integers(SHORTEST[ndim], SHORTEST[ndim] + 4)) for _ in range(ndim))


def plain_operator(rng, ndim):
    shape = random_shape(rng, ndim)
    grid = Grid(*(random_axis(rng, i, shape) for i in range(ndim)))
    is_uniform = all(axis.uniform_spacing is not None for axis in grid.axes)
    operator = random_term(rng, shape, is_uniform)
    for _ in range(int(rng.integers(0, 3))):
        operator += random_term(rng, shape, is_uniform)
    if rng.random() < 0.4:
        operator += random_coefficient(rng, shape)
    return operator, grid, shape


def complex_operator(rng, ndim):
    operator, grid, shape = plain_operator(rng, ndim)
    array = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return 1j * operator + array * D(0) + D(ndim - 1) @ (array * D(0)), grid, shape


def system_of_operators(rng, ndim):
    shape = random_shape(rng, ndim)
    grid = Grid(*(random_axis(rng, i, shape) for i in range(ndim)))
    inputs = int(rng.integers(1, 3))
    rows = [
        [pick(rng, 0, random_number(rng), D(0), random_term(rng, shape, False)) for _ in "ab"]
        for _ in "cd"
    ]
    rows[0][0], rows[1][-1] = D(0), D(-1)  # nothing is without effect
    return Operator.matrix([row[:inputs] for row in rows] + [[D(0, 2)] * inputs]), grid, shape


def staggered_operator(rng, ndim):
    """From centres to faces, back, or there and back with a coefficient at the faces."""
    shape = random_shape(rng, ndim)
    axes = [random_axis(rng, i, shape, ("face", "next")) for i in range(ndim)]
    axis = int(rng.integers(ndim))
    kind = pick(rng, "to faces", "from faces", "there and back", "across")
    # What a mirror image leaves unknown at faces is refused; see test_line.py.
    ends = [Dirichlet(0.25) if hasattr(e, "sign") else e or "one-sided" for e in axes[axis].ends]
    if not axes[axis].wrap:
        axes[axis] = replace(axes[axis], boundary=tuple(ends))
    faces = pick(rng, "left", "right", *(() if axes[axis].wrap else ("inner", "outer")))
    extra = {"inner": -1, "outer": 1}.get(faces, 0)
    at_faces = tuple(n + extra * (i == axis) for i, n in enumerate(shape))
    up = random_coefficient(rng, at_faces) * pick(
        rng, D(axis, to=faces), D(axis, 2, to=faces), Average(axis, to=faces)
    )
    if kind == "to faces":
        operator = up - random_coefficient(rng, at_faces) * D(axis, to=faces)
    elif kind == "from faces":
        order = int(rng.integers(1, 3))
        operator = random_coefficient(rng, shape) * D(axis, order, at=faces, to="centre")
        operator += Average(axis, at=faces, to="centre")
    elif kind == "there and back":
        down = pick(rng, D(axis, to="centre"), D(axis, 2, to="centre"), Average(axis, to="centre"))
        operator = down @ up + random_coefficient(rng, shape)
    else:
        operator = up @ D((axis + 1) % ndim)
    return operator, Grid(*axes), shape


KINDS = (plain_operator, plain_operator, staggered_operator, complex_operator, system_of_operators)


class Case(NamedTuple):
    """A plan with arrays for it, all as tuples, and its matrix."""

    plan: Any
    inputs: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]
    matrix: Any


@cache
def case(seed):
    rng = np.random.default_rng(seed)
    operator, grid, shape = KINDS[seed % len(KINDS)](rng, 1 + seed % 3)
    method = FiniteDifference(int(rng.integers(1, 5)))
    plan = operator.on(grid, shape, method=method, edge_order=pick(rng, None, 1, 2, 3))

    def random_array(size):
        values = rng.normal(size=size)
        return values + 1j * rng.normal(size=size) if plan.is_complex else values

    inputs = tuple(map(random_array, plan.input_shapes))
    return Case(plan, inputs, tuple(map(random_array, plan.output_shapes)), plan.matrix())


def called(plan, arrays):
    results = plan(list(arrays) if len(arrays) > 1 else arrays[0])
    return results if isinstance(results, tuple) else (results,)


def flat(arrays):
    return np.concatenate([np.ravel(a) for a in arrays])


def assert_close(found, wanted, size):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE * np.max(size))


def test_the_seeds_cover_what_the_operators_are_made_of():
    plans = [case(seed).plan for seed in SEEDS]
    axes = [axis for plan in plans for axis in plan.grid.axes]
    ends = {type(end).__name__ for axis in axes for end in axis.ends}
    assert {plan.grid.ndim for plan in plans} == {1, 2, 3}
    assert {axis.boundary for axis in axes if isinstance(axis.boundary, str)} == {
        "one-sided",
        "periodic",
        "antiperiodic",
    }
    assert ends == {"NoneType", "Dirichlet", "Neumann", "Robin", "Symmetric", "Antisymmetric"}
    assert {axis.uniform_spacing is None for axis in axes} == {False, True}
    factors = {type(f).__name__ for plan in plans for f in plan.operator.factors()}
    assert factors == {"Partial", "Coefficient", "Offsets"}
    orders = {f.order for p in plans for f in p.operator.factors() if hasattr(f, "order")}
    assert orders >= {0, 1, 2, 3, 4}
    assert sum(any("Wall" in repr(s.walls) for s in p.bound.alongs()) for p in plans) > 10
    assert sum(len(p.input_shapes) == 2 for p in plans) > 10
    assert {place for p in plans for places in p.bound.outputs_at for place in places} == {
        "centre",
        "left",
        "right",
        "inner",
        "outer",
    }


# --- renderings of one operator -------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_matrix_and_the_linear_operator_do_what_the_linear_part_does(seed):
    plan, inputs, outputs, matrix = case(seed)
    f, g, result = flat(inputs), flat(outputs), flat(called(plan.linear, inputs))
    size = abs(matrix) @ abs(f)
    operator = plan.linear_operator()
    assert operator.shape == matrix.shape
    assert_close(matrix @ f, result, size)
    assert_close(operator @ f, result, size)
    assert_close(operator.rmatvec(g), matrix.conj().T @ g, abs(matrix).T @ abs(g))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_plan_is_its_linear_part_and_its_offset(seed):
    plan, inputs, _, matrix = case(seed)
    offset = plan.offset if isinstance(plan.offset, tuple) else (plan.offset,)
    size = (abs(matrix) @ abs(flat(inputs))).max() + abs(flat(offset)).max()
    found = flat(called(plan.linear, inputs)) + flat(offset)
    assert_close(found, flat(called(plan, inputs)), size)
    known = any(hasattr(end, "value") for axis in plan.grid.axes for end in axis.ends)
    assert known or not flat(offset).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_transposed_plan_has_the_transposed_matrix(seed):
    plan, inputs, outputs, matrix = case(seed)
    f, g = flat(inputs), flat(outputs)
    back = flat(called(plan.T, outputs))
    # <A f, g> = <f, A.T g>, both without conjugation.
    size = abs(g) @ (abs(matrix) @ abs(f))
    assert_close(flat(called(plan.linear, inputs)) @ g, f @ back, size)
    adjoint = flat(called(plan.H, outputs))
    assert_close(np.vdot(g, matrix @ f), np.vdot(adjoint, f), size)
    largest = abs(matrix).max()
    assert_close(abs(plan.T.matrix() - matrix.T).max(), 0, largest)
    assert_close(abs(plan.H.matrix() - matrix.conj().T).max(), 0, largest)
    assert plan.T.T == plan.H.H == plan.linear
    assert plan.T.H == plan.H.T


def imported(module):
    """A library that CI must have; elsewhere the test is skipped without it."""
    if module in os.environ.get("GRADKIT_REQUIRE_BACKENDS", "").split():
        return importlib.import_module(module)
    return pytest.importorskip(module)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_gradient_that_torch_finds_is_the_adjoint(seed):
    torch = imported("torch")
    plan, inputs, outputs, matrix = case(seed)
    tensors = [torch.tensor(f, requires_grad=True) for f in inputs]
    results = called(plan, tensors)
    pairs = zip(results, outputs, strict=True)
    sum((torch.tensor(g.conj()) * result).real.sum() for result, g in pairs).backward()
    size = abs(matrix).T @ abs(flat(outputs))
    assert_close(flat([t.grad.numpy() for t in tensors]), flat(called(plan.H, outputs)), size)


#: JAX compiles for a third of a second per operator: every seventh, so all kinds and dimensions.
@pytest.mark.parametrize("seed", SEEDS[::7])
def test_the_gradient_that_jax_finds_is_the_adjoint(seed):
    jax = imported("jax")
    jax.config.update("jax_enable_x64", True)
    plan, inputs, outputs, matrix = case(seed)

    def loss(arrays):
        pairs = zip(called(plan, arrays), outputs, strict=True)
        return sum((g.conj() * result).real.sum() for result, g in pairs)

    # The gradient of JAX is the conjugate of that of torch.
    gradients = jax.jit(jax.grad(loss))(list(map(jax.numpy.asarray, inputs)))
    size = abs(matrix).T @ abs(flat(outputs))
    assert_close(np.conj(flat(gradients)), flat(called(plan.H, outputs)), size)


def random_chunks(rng, shape):
    """Up to three chunks along each axis, up to two in three dimensions; some have one point."""
    most = 2 if len(shape) > 2 else 3
    cuts = [np.unique(rng.integers(1, n, int(rng.integers(0, most)))) for n in shape]
    ends = zip(cuts, shape, strict=True)
    return tuple(tuple(int(k) for k in np.diff([0, *inner, n])) for inner, n in ends)


@pytest.mark.parametrize("seed", SEEDS)
def test_dask_gives_the_same_bits_for_any_chunks(seed):
    plan, inputs, outputs, _ = case(seed)
    rng = np.random.default_rng(seed)
    # Building a graph takes most of the time: the transposed plans of half of the seeds will do.
    calls = [(plan, inputs), (plan.T, outputs)][: 1 + seed % 2]
    for either, arrays in calls:
        chunked = [da.from_array(f, chunks=random_chunks(rng, f.shape)) for f in arrays]
        results = dask.compute(*called(either, chunked), scheduler="synchronous")
        for found, wanted in zip(results, called(either, arrays), strict=True):
            assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_stencil_at_a_point_is_a_row_of_the_matrix(seed):
    plan, _, _, matrix = case(seed)
    rng = np.random.default_rng(seed)
    offset = plan.offset if isinstance(plan.offset, tuple) else (plan.offset,)
    first = 0
    for output, shape in enumerate(plan.output_shapes):
        place = tuple(int(rng.integers(n)) for n in shape)
        wanted = matrix[[first + np.ravel_multi_index(place, shape)]].toarray()
        first += prod(shape)
        found, constant = [], 0
        for number, size in enumerate(plan.input_shapes):
            stencil = plan.stencil(place, output=output, input=number)
            constant += stencil.constant
            row = np.zeros(size, matrix.dtype)
            for step, weight in zip(stencil.offsets, stencil.weights, strict=True):
                sign, point = 1, []
                for axis, (i, k, n) in enumerate(zip(place, step, size, strict=True)):
                    turns = (i + k) // n
                    # Beyond the ends are wrapped copies alone, with their sign at odd turns.
                    assert turns == 0 or plan.grid.axes[axis].wrap
                    sign *= plan.grid.axes[axis].wrap ** abs(turns) if turns else 1
                    point.append((i + k) % n)
                row[tuple(point)] += sign * weight
            found.append(row)
        assert_close(flat(found), wanted.ravel(), abs(wanted))
        # The constant is exact; coordinates leave the rounding of their weights.
        size = max(abs(offset[output]).max(), abs(wanted).max())
        assert_close(constant, offset[output][place], size)


@pytest.mark.parametrize("seed", SEEDS)
def test_pickled_plans_give_the_same_bits(seed):
    plan, inputs, outputs, _ = case(seed)
    for either, arrays in ((plan, inputs), (plan.H, outputs)):
        copy = pickle.loads(pickle.dumps(either))
        assert copy == either
        for found, wanted in zip(called(copy, arrays), called(either, arrays), strict=True):
            assert found.tobytes() == wanted.tobytes()


# --- the numbers are right ------------------------------------------------------------------------


class Poly:
    """A polynomial in several variables with exact coefficients."""

    def __init__(self, terms):
        self.terms = {powers: c for powers, c in terms.items() if c}

    @classmethod
    def random(cls, rng, ndim, degree):
        powers = np.ndindex(*(degree + 1,) * ndim)
        return cls({p: Fraction(int(rng.integers(-4, 5)), 4) for p in powers})

    def __add__(self, other):
        powers = {*self.terms, *other.terms}
        return Poly({p: self.terms.get(p, 0) + other.terms.get(p, 0) for p in powers})

    def __mul__(self, other):
        total = {}
        for p, a in self.terms.items():
            for q, b in other.terms.items():
                powers = tuple(i + j for i, j in zip(p, q, strict=True))
                total[powers] = total.get(powers, 0) + a * b
        return Poly(total)

    def derivative(self, axis, order):
        return Poly(
            {
                (*p[:axis], p[axis] - order, *p[axis + 1 :]): c * perm(p[axis], order)
                for p, c in self.terms.items()
                if p[axis] >= order
            }
        )

    def degree(self, axis):
        return max((p[axis] for p in self.terms), default=0)

    def at(self, points):
        """The values on a grid, in longdouble before they are rounded."""
        axes = np.ix_(*(np.array([float(x) for x in xs], np.longdouble) for xs in points))
        values = np.zeros(tuple(map(len, points)), np.longdouble)
        for powers, c in self.terms.items():
            values += float(c) * prod(x**k for x, k in zip(axes, powers, strict=True))
        return values.astype(float)


class Positions(NamedTuple):
    """Centres and faces of the cells of an axis, exact, and how the axis is given."""

    centres: list[Fraction]
    faces: list[Fraction]
    arguments: dict[str, Any]


def random_positions(rng, size):
    sign = pick(rng, 1, -1)
    if rng.random() < 0.5:
        h = sign * Fraction(int(rng.integers(2, 9)), 8)
        track = [Fraction(1, 4) + h * i / 2 for i in range(2 * size + 1)]
        return Positions(track[1::2], track[::2], {"spacing": float(h)})
    steps = np.concatenate([[0], rng.integers(2, 5, 2 * size)])
    track = [sign * Fraction(int(k), 8) for k in np.cumsum(steps)]
    centres = [float(x) for x in track[1::2]]
    arguments = {"coordinates": centres, "faces": [float(x) for x in track[::2]]}
    return Positions(track[1::2], track[::2], arguments)


def end_that_holds(rng, f, axis, side, positions, kinds):
    """A condition of a random kind that the polynomial f obeys at one end of an axis."""
    centres, faces, _ = positions[axis]
    step = centres[1 - 3 * side] - centres[-side]
    at, wall = pick(
        rng,
        ("face", faces[-side]),
        ("sample", centres[-side]),
        (0.25, centres[-side] - (1 if step > 0 else -1) * Fraction(1, 4)),
    )
    points = [[wall] if i == axis else p.centres for i, p in enumerate(positions)]
    outwards = -1 if step > 0 else 1
    value = f.at(points).squeeze(axis)
    slope = outwards * f.derivative(axis, 1).at(points).squeeze(axis)
    if value.ndim == 0:
        value, slope = float(value), float(slope)
    kind = pick(rng, "one-sided", *kinds)
    if kind == "Dirichlet":
        return Dirichlet(value, at=at)
    if kind == "Neumann":
        return Neumann(slope, at=at)
    if kind == "Robin":
        return Robin(1.5, 0.5, 1.5 * value + 0.5 * slope, at=at)
    if kind == "Robin of arrays":
        a, b = rng.uniform(1, 2, (2, *np.shape(value)))
        return Robin(a, b, a * value + b * slope, at=at)
    return "one-sided"


def derivative_of(rng, f, positions, axis, order):
    """A random operator of one derivative, maybe with a coefficient, and what it makes of f."""
    partial, result = D(axis, order), f.derivative(axis, order)
    if rng.random() < 0.2:
        # Five points beyond the order are exact as far as the method is.
        first = -int(rng.integers(0, 4))
        partial = D(axis, order, stencil=Stencil(range(first, first + order + 4), order))
    if rng.random() < 0.5:
        coefficient = Poly.random(rng, len(positions), 1)
        values = coefficient.at([p.centres for p in positions])
        return values * partial, coefficient * result
    number = pick(rng, Fraction(3, 2), Fraction(-2))
    return number * partial, Poly({(0,) * len(positions): number}) * result


@pytest.mark.parametrize("seed", range(100))
def test_random_operators_are_exact_on_polynomials(seed):
    """Stencils of accuracy 4 take derivatives of order m of degree m + 3 without an error.

    So do conditions at walls that the polynomial obeys.
    """
    rng = np.random.default_rng(seed)
    ndim = 1 + seed % 3
    shape = random_shape(rng, ndim)
    positions = [random_positions(rng, n) for n in shape]
    f = Poly.random(rng, ndim, int(rng.integers(1, 4)))
    kinds = ("Dirichlet", "Neumann", "Robin")
    axes = [
        Axis(
            **positions[i].arguments,
            boundary=tuple(end_that_holds(rng, f, i, side, positions, kinds) for side in (0, 1)),
        )
        for i in range(ndim)
    ]
    operator, wanted = 0, Poly({})
    for _ in range(int(rng.integers(1, 3))):
        term, result = Fraction(1), f
        for _ in range(int(rng.integers(1, 4))):
            axis, order = int(rng.integers(ndim)), int(rng.integers(1, 3))
            if result.degree(axis) <= order + 3:
                partial, result = derivative_of(rng, result, positions, axis, order)
                term = partial @ term if isinstance(term, Operator) else partial
        operator, wanted = operator + term, wanted + result
    plan = operator.on(Grid(*axes), shape, method=FiniteDifference(4))
    centres = [p.centres for p in positions]
    values = f.at(centres)
    size = (abs(plan.matrix()) @ abs(values).ravel()).max() + abs(plan.offset).max()
    assert_close(plan(values), wanted.at(centres), size)


@pytest.mark.parametrize("seed", range(30))
def test_conditions_that_vary_along_a_wall_are_exact_on_polynomials(seed):
    rng = np.random.default_rng(seed)
    shape = random_shape(rng, 2)
    positions = [random_positions(rng, n) for n in shape]
    f = Poly.random(rng, 2, 3)
    kinds = ("Robin of arrays",)
    axes = [
        Axis(
            **positions[i].arguments,
            boundary=tuple(end_that_holds(rng, f, i, side, positions, kinds) for side in (0, 1)),
        )
        for i in range(2)
    ]
    a, b = (derivative_of(rng, f, positions, axis, 1 + seed % 2) for axis in (0, 1))
    plan = (a[0] + b[0]).on(Grid(*axes), shape, method=FiniteDifference(4))
    centres = [p.centres for p in positions]
    values = f.at(centres)
    size = (abs(plan.matrix()) @ abs(values).ravel()).max() + abs(plan.offset).max()
    assert_close(plan(values), (a[1] + b[1]).at(centres), size)
