"""Binding: what an operator becomes on a grid, and what it says where it does not go with it."""

import pickle
from math import prod

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
    Identity,
    Laplacian,
    Neumann,
    Operator,
    Robin,
    Stencil,
    Symmetric,
    operator_from_offsets,
)
from gradkit.chains import Along, Times, Wall
from gradkit.errors import ArgumentTypeError, ArgumentValueError, UnsupportedError

EPS = np.finfo(float).eps

PLANE = Grid(Axis(), Axis())
SHAPE = (5, 6)
ones = np.ones


def bound_of(operator, grid=PLANE, shape=SHAPE, **options):
    return operator.on(grid, shape, **options).bound


# --- arrays ---------------------------------------------------------------------------------------


def test_an_array_that_is_used_twice_is_one_parameter():
    a = np.arange(6.0)
    bound = bound_of(a * D(0) + D(1) @ (a.copy() * D(1)) + a)
    assert [p.shape for p in bound.parameters] == [(1, 6)]
    slots = {s.slot for chain in bound.chains() for s in chain.steps if isinstance(s, Times)}
    assert slots == {0}


def test_arrays_that_differ_in_anything_are_parameters_of_their_own():
    a = np.arange(6.0)
    bound = bound_of(a * D(0) + a[None] * D(1) + (a + 1) * D(0, 2) + a.astype("f4") * D(1, 2))
    assert len(bound.parameters) == 4


def test_an_array_along_a_wall_has_one_point_across_it():
    known = np.arange(6.0)
    grid = Grid(Axis(boundary=(Dirichlet(known), Neumann(known + 1))), Axis())
    bound = bound_of(D(0) + known * D(0), grid)
    # As a coefficient it varies along the last axis, too, and is the same parameter.
    assert [p.shape for p in bound.parameters] == [(1, 6), (1, 6)]
    assert {step.walls for step in bound.alongs()} == {(Wall(0), Wall(1))}


@pytest.mark.parametrize(
    ("number", "shape"), [(0, (6,)), (0, (1, 6)), (0, ()), (0, (1,)), (1, (5,)), (1, (5, 1))]
)
def test_walls_take_arrays_of_their_shape_with_or_without_the_axis(number, shape):
    """Against the number 7, which is what the array holds everywhere."""
    axes = [Axis(), Axis()]
    axes[number] = Axis(boundary=Dirichlet(7.0))
    numbers = D(number).on(Grid(*axes), SHAPE)
    axes[number] = Axis(boundary=Dirichlet(np.full(shape, 7.0)))
    arrays = D(number).on(Grid(*axes), SHAPE)
    f = np.arange(30.0).reshape(SHAPE)
    assert arrays(f).tolist() == numbers(f).tolist()


@pytest.mark.parametrize(
    ("operator", "grid", "expected"),
    [
        (D(0), PLANE, False),
        (2j * D(0), PLANE, True),
        ((1 + 0j) * ones(6) * D(0), PLANE, True),
        (ones(6) * D(0), PLANE, False),
        (D(0), Grid(Axis(boundary=Dirichlet(1j)), None), True),
        (D(0), Grid(Axis(boundary=Dirichlet(1j * ones(6))), None), True),
        (D(1), Grid(Axis(boundary=Dirichlet(1j)), Axis()), False),  # that wall is not met
        (D(0), Grid(Axis(boundary=Robin(1, 1j)), None), True),
    ],
)
def test_complex_numbers_anywhere_make_results_complex(operator, grid, expected):
    plan = operator.on(grid, SHAPE)
    assert plan.bound.is_complex is expected
    assert np.iscomplexobj(plan(np.ones(SHAPE))) is expected


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (
            ones((4, 6)) * D(0),
            r"shape \(4, 6\), which does not broadcast to \(5, 6\), the shape of",
        ),
        (ones(5) * D(0), r"shape \(5,\), which does not broadcast to \(5, 6\)"),
        (ones((1, 5, 6)) * D(0), r"shape \(1, 5, 6\), which does not broadcast to \(5, 6\)"),
        (D(0) @ ones((6, 6)), r"shape \(6, 6\), which does not broadcast to \(5, 6\)"),
        # At the faces there is one point more.
        (ones(SHAPE) * D(0, to="outer"), r"shape \(5, 6\), which does not broadcast to \(6, 6\)"),
        (D(0, to="outer") @ ones((6, 6)), r"shape \(6, 6\), which does not broadcast to \(5, 6\)"),
    ],
    ids=repr,
)
def test_coefficients_have_the_shape_of_what_they_multiply(operator, message):
    with pytest.raises(ArgumentValueError, match=f"a coefficient has {message}"):
        operator.on(PLANE, SHAPE)


def test_coefficients_at_faces_have_the_shape_of_the_faces():
    assert (ones((6, 6)) * D(0, to="outer")).on(PLANE, SHAPE).output_shape == (6, 6)
    assert (D(0, to="outer") @ ones(SHAPE)).on(PLANE, SHAPE).output_shape == (6, 6)


@pytest.mark.parametrize("shape", [(5,), (5, 6), (1, 1, 6), (7,)], ids=str)
def test_arrays_along_a_wall_have_the_shape_of_the_wall(shape):
    grid = Grid(Axis(boundary=Dirichlet(ones(shape))), Axis())
    message = (
        rf"along a wall of axis 0 has shape \({shape[0]}, ?.*: wanted \(6,\), that of the wall"
    )
    with pytest.raises(ArgumentValueError, match=message):
        D(0).on(grid, SHAPE)


# --- axes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operator",
    [
        D(0),
        D(1) + D(0) * D(1),
        Laplacian(2),
        D(0, to="outer"),
        Average(0, to="inner"),
        ones(6) * D(0, 2),
        operator_from_offsets([-1, 1], like=D(0)),
        operator_from_offsets({(0, 0): 1, (1, 1): -1}),
    ],
    ids=repr,
)
def test_nothing_is_differentiated_along_a_batch_axis(operator):
    with pytest.raises(ArgumentValueError, match=r"axis 0 is a batch axis \(None\) of this grid"):
        operator.on(Grid(None, Axis()), SHAPE)


def test_batch_axes_may_be_multiplied_along(rng):
    a, f = rng.normal(size=(2, 5, 6))
    plan = (a * D(1)).on(Grid(None, Axis(boundary="periodic")), SHAPE)
    wanted = a * (np.roll(f, -1, axis=1) - np.roll(f, 1, axis=1)) / 2
    np.testing.assert_allclose(plan(f), wanted, rtol=0, atol=8 * EPS)


@pytest.mark.parametrize(
    ("grid", "operator", "message"),
    [
        (
            Grid(Axis(coordinates=[0, 1, 3, 4, 6]), None),
            operator_from_offsets([-1, 1], like=D(0)),
            r"axis 0 is not equally spaced, as the weights of Offsets\(.*\) need",
        ),
        (
            Grid(Axis(), Axis(spacing=2)),
            operator_from_offsets({(1, 1): 1, (0, 0): -2, (-1, -1): 1}),
            r"one spacing in all directions, but the grid has \[1.0, 2.0\]: give spacing=",
        ),
        (
            Grid(Axis(), None),
            operator_from_offsets([-1, 1], like=D(0), spacing=0.5),
            "made for a spacing of 0.5 along axis 0, but the grid has 1.0",
        ),
        (
            Grid(Axis(), None),
            D(0, stencil=Stencil((-0.5, 0.5), 1)),
            "offsets that lie between the samples here",
        ),
        (
            Grid(Axis(boundary="periodic"), None),
            D(0, to="outer"),
            "axis 0 is periodic, so its first and last face are one: wanted 'left' or 'right'",
        ),
        (
            Grid(Axis(coordinates=[0, 1, 3, 4]), None),
            D(0),
            "coordinates of axis 0 have 4 points, but the array has 5 along that axis",
        ),
        (
            Grid(Axis(boundary=Dirichlet(1.0)), None),
            Average(0, at="outer", to="outer"),
            None,  # a wall may lie on the points themselves
        ),
        (
            Grid(Axis(boundary=Dirichlet(1.0, at="sample")), None),
            D(0, at="outer", to="centre"),
            r"puts the wall inside of the first value, which lies at 'outer'",
        ),
    ],
)
def test_operators_and_axes_that_do_not_go_together_are_refused(grid, operator, message):
    if message is None:
        operator.on(grid, SHAPE)
        return
    with pytest.raises(ArgumentValueError, match=message):
        operator.on(grid, SHAPE)


@pytest.mark.parametrize(
    ("operator", "robin"),
    [
        (D(0) * D(1), Robin(ones(6), 1, 0.0)),
        (D(0) @ (D(1) + Identity()), Robin(1, ones(6), 0.0)),
        (operator_from_offsets([-1, 1], like=D(0)), Robin(ones(6), 1, 0.0)),
        (operator_from_offsets([-1, 1], like=D(0)), Robin(1, 1j, 0.0)),
    ],
)
def test_mixtures_that_vary_along_a_wall_are_not_served_everywhere(operator, robin):
    with pytest.raises(UnsupportedError, match=r"Robin\(.*: wanted (real )?numbers a and b"):
        operator.on(Grid(Axis(boundary=robin), Axis()), SHAPE)


# --- places ---------------------------------------------------------------------------------------


def test_a_derivative_to_centres_must_know_where_its_values_lie():
    with pytest.raises(ArgumentTypeError, match=r"wanted at=, such as D\(0, at='outer', to='cen"):
        D(0, to="centre").on(PLANE, SHAPE)
    with pytest.raises(ArgumentTypeError, match=r"wanted at=, such as D\(1, at='outer', to='cen"):
        (D(0) @ Average(1, to="centre")).on(PLANE, SHAPE)
    known = (D(0, to="centre") @ D(0, to="inner")).on(PLANE, SHAPE).bound
    assert known.inputs_at == known.outputs_at == (("centre", "centre"),)


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (D(0, to="outer") + D(0), "input 0 lies at 'centre', but output 0 at 'outer'"),
        (D(0, to="outer") + 1, "input 0 lies at 'centre', but output 0 at 'outer'"),
        (
            D(0, to="outer") + D(0, to="inner"),
            r"output 0 lies at 'inner' for one term and at 'outer' for D\(0, to='outer'\)",
        ),
        (
            D(0, at="inner", to="centre") + D(0, at="outer", to="centre"),
            "input 0 lies at 'inner' for one term and at 'outer'",
        ),
        (
            D(0, at="inner", to="centre") @ D(0, to="outer"),
            "takes values at 'inner', but they lie at 'outer'",
        ),
        (D(0, to="outer") @ D(0, to="inner"), "takes values at 'centre', but they lie at 'inner'"),
        (
            Operator.matrix([[D(0, to="outer")], [D(0, at="inner", to="centre")]]),
            "input 0 lies at 'centre' for one term and at 'inner'",
        ),
    ],
    ids=repr,
)
def test_places_that_do_not_fit_together_are_refused(operator, message):
    with pytest.raises(ArgumentValueError, match=f"{message}"):
        operator.on(PLANE, SHAPE)


def test_the_axis_is_named_along_which_places_do_not_fit():
    with pytest.raises(ArgumentValueError, match="along axis 1, input 0 lies at 'centre'"):
        (D(0, to="outer") * D(1, to="outer") + D(0, to="outer")).on(PLANE, SHAPE)


@pytest.mark.parametrize(
    ("operator", "inputs", "outputs"),
    [
        (D(0), [("centre", "centre")], [("centre", "centre")]),
        (D(0, to="left"), [("centre", "centre")], [("left", "centre")]),
        (
            Gradient(2, to="outer"),
            [("centre", "centre")],
            [("outer", "centre"), ("centre", "outer")],
        ),
        (
            Divergence(2, at="inner"),
            [("inner", "centre"), ("centre", "inner")],
            [("centre", "centre")],
        ),
        # The velocities of a staggered grid, and their vorticity at the corners.
        (
            Curl(2, to="inner"),
            [("inner", "centre"), ("centre", "inner")],
            [("inner", "inner")],
        ),
        # What no term moves lies where the other inputs and outputs say.
        (
            Operator.matrix([[1, D(0, to="outer")], [0, D(0, to="outer")]]),
            [("outer", "centre"), ("centre", "centre")],
            [("outer", "centre")] * 2,
        ),
        (
            Operator.matrix([[1, 1, 0], [0, 1, 1], [0, 0, D(0, at="inner", to="centre")]]),
            [("inner", "centre")] * 3,
            [("inner", "centre")] * 2 + [("centre", "centre")],
        ),
        (Operator.matrix([[0, 0]]), [("centre", "centre")] * 2, [("centre", "centre")]),
        (D(0) @ D(0, to="inner"), [("centre", "centre")], [("inner", "centre")]),
    ],
    ids=repr,
)
def test_places_follow_from_the_terms(operator, inputs, outputs):
    bound = bound_of(operator)
    assert bound.inputs_at == tuple(inputs)
    assert bound.outputs_at == tuple(outputs)


FLUX = D(0, to="inner") * D(1, to="outer")


@pytest.mark.parametrize(
    "operator",
    [
        FLUX - FLUX,
        0 * FLUX,
        FLUX * 0,
        -(FLUX * 0.0) / 3,
        FLUX @ np.arange(6.0) - FLUX @ np.arange(6.0),
        0 * D(-2, to="inner") * D(-1, to="outer"),
        Operator.matrix([[FLUX, 1]]) @ Operator.matrix([[1], [-FLUX]]),
        FLUX * (D(0) - D(0)),
        (D(0) - D(0)) * FLUX,
        FLUX @ (D(0) - D(0)),
        (D(0) - D(0)) @ FLUX,
        0 @ FLUX,
    ],
    ids=range(12),
)
def test_an_operator_that_is_0_keeps_the_places_of_its_results(operator):
    assert operator == 0 * D(0)
    assert repr(operator) == "0"
    plan = operator.on(PLANE, SHAPE)
    rows, columns = SHAPE
    assert plan.input_shape == SHAPE
    assert plan.output_shape == (rows - 1, columns + 1)
    np.testing.assert_array_equal(plan(np.ones(SHAPE)), np.zeros((rows - 1, columns + 1)))
    assert plan.T.output_shape == SHAPE
    assert plan.refined.output_shape == plan.output_shape


def test_identities_of_vector_calculus_give_zeros_where_the_results_lie():
    """On a Yee grid: a gradient lies on the edges between centres, its curl on the faces."""
    space = Grid(Axis(), Axis(), Axis())
    curl = (Curl(3, to="outer") @ Gradient(3, to="outer")).on(space, (4, 5, 6))
    faces = [(4, 6, 7), (5, 5, 7), (5, 6, 6)]
    assert [part.shape for part in curl(np.ones((4, 5, 6)))] == faces
    assert curl.matrix().shape == (sum(map(prod, faces)), 4 * 5 * 6)
    edges = {"at": "outer", "to": "centre"}
    divergence = (Divergence(3, **edges) @ Curl(3, **edges)).on(space, (4, 5, 6))
    assert divergence.input_shapes == tuple(faces)
    np.testing.assert_array_equal(divergence(list(map(np.ones, faces))), np.zeros((4, 5, 6)))


def test_a_system_keeps_its_places_beside_an_operator_that_is_0():
    zero, rows, columns = D(0) - D(0), *SHAPE
    for product in (zero * Gradient(2, to="outer"), Gradient(2, to="outer") @ zero):
        shapes = product.on(PLANE, SHAPE).output_shapes
        assert shapes == ((rows + 1, columns), (rows, columns + 1))


def test_plans_of_operators_that_are_0_differ_where_their_results_do():
    inner, outer, again = ((0 * D(0, to=to)).on(PLANE, SHAPE) for to in ("inner", "outer", "inner"))
    assert inner == again
    assert hash(inner) == hash(again)
    assert inner != outer
    assert pickle.loads(pickle.dumps(outer)) == outer


def test_what_is_added_to_an_operator_that_is_0_says_where_results_lie():
    operator = FLUX - FLUX + D(0)
    assert operator == D(0)
    assert operator.on(PLANE, SHAPE).output_shape == SHAPE


def test_a_derivative_in_place_stays_at_the_faces(rng):
    """Slopes of slopes at the five faces between six cells, the second ones in place."""
    f = rng.integers(-9, 9, 6) / 4
    plan = (D(0) @ D(0, to="inner")).on(Grid(Axis()), (6,))
    slopes = np.diff(f)
    np.testing.assert_array_equal(plan(f), np.gradient(slopes, edge_order=2))


@pytest.mark.parametrize("accuracy", [2, 4])
@pytest.mark.parametrize("edge_order", [0, 1, 2])
@pytest.mark.parametrize(
    ("boundary", "phase", "loss"),
    [
        ("one-sided", 0.5, 1),
        ((Dirichlet(np.cos(0.5)), Neumann(-2 * np.pi * np.sin(0.5))), 0.5, 1),
        ("periodic", 0.5, 0),
        (Symmetric(), 0.0, 0),
    ],
    ids=["one-sided", "walls", "periodic", "mirrors"],
)
def test_compositions_lose_an_order_at_ends_as_the_guide_says(
    boundary, phase, loss, accuracy, edge_order
):
    """Of (a f')' with f = cos(t), a = 2 + cos(t), t = 2 pi x + phase."""
    errors = []
    for size in (256, 512):
        t = 2 * np.pi * (np.arange(size) + 0.5) / size + phase
        a, f = 2 + np.cos(t), np.cos(t)
        plan = (D(0) @ (a * D(0))).on(
            Grid(Axis(spacing=1 / size, boundary=boundary)),
            (size,),
            method=FiniteDifference(accuracy),
            edge_order=accuracy + edge_order,
        )
        wanted = -((2 * np.pi) ** 2) * (2 * np.cos(t) + np.cos(2 * t))
        errors.append(abs(plan(f) - wanted).max())
    assert abs(np.log2(errors[0] / errors[1]) - (accuracy - loss)) < 0.2


# --- what is known of a field after a step --------------------------------------------------------

X = np.arange(6) + 0.5  # centres of cells between walls at 0 and 6
Y = np.arange(7) / 2


def known_walls(value, slope):
    """A value at 0 and an outward slope at 6."""
    return Axis(boundary=(Dirichlet(value), Neumann(slope)))


@pytest.mark.parametrize(
    ("step", "wanted", "positions"),
    [
        (D(1), lambda x, y: 2 * x * y + 3 * x**2, Y),
        (D(1, 2), lambda x, y: 2 * x + 0 * y, Y),
        (Average(1, to="inner"), lambda x, y: 4 + x * y**2 + 3 * x**2 * y, Y[:-1] + 0.25),
        (
            operator_from_offsets({-1: -1, 1: 1}, axes=(1,)),
            lambda x, y: 2 * (2 * x * y + 3 * x**2),
            Y,
        ),
        (
            D(1) @ D(1),
            lambda x, y: 2 * x + 0 * y,
            Y,
        ),
    ],
)
def test_values_at_walls_are_acted_on_by_steps_along_them(step, wanted, positions):
    """f = 4 + x y^2 + 3 x^2 y is 4 at x = 0; its slope at x = 6 is y^2 + 36 y.

    Cubics are taken exactly in every row, by slopes along x as by the steps along y.
    """

    def f(x, y):
        return 4 + x * y**2 + 3 * x**2 * y

    x, y = X[:, None], Y[None, :]
    axes = known_walls(np.full(7, 4.0), Y**2 + 36 * Y), Axis(spacing=0.5)
    plan = (D(0) @ step).on(Grid(*axes), (6, 7), method=FiniteDifference(4))
    h = 1e-3  # a parabola in x: the central difference is exact
    exact = (wanted(x + h, positions) - wanted(x - h, positions)) / (2 * h)
    np.testing.assert_allclose(plan(f(x, y)), exact, rtol=0, atol=1e-9)


def plate(n, places, is_even, x_wall, y_wall):
    """The plate 0 <= x, y <= 1 of n x n samples, walls all around, and u = (1 + x)^2 sin(3 y)."""

    def u(x, y, dx=0, dy=0):
        return ((1 + x) ** 2, 2 * (1 + x), 2 + 0 * x)[dx] * 3**dy * np.sin(3 * y + dy * np.pi / 2)

    lead = {"face": 0.5, "sample": 0.0, "next": 1.0}[places]
    s = (np.arange(n) + lead) / (n - 1 + 2 * lead)
    if not is_even:
        s = s + 0.3 * s * (1 - s) * (0.3 - s)
    steps = np.diff(s)
    gaps = (lead * steps[0], lead * steps[-1])
    ends = (s[0] - gaps[0], s[-1] + gaps[1])
    points = {"spacing": steps[0]} if is_even else {"coordinates": s}

    def known(kind, side, value, slope):
        normal = (-1, 1)[side]
        if kind == "Dirichlet":
            return Dirichlet(value, at=places)
        if kind == "Neumann":
            return Neumann(normal * slope, at=places)
        return Robin(2.0, 0.5, 2 * value + 0.5 * normal * slope, at=places)

    across = tuple(known(x_wall, i, u(w, s), u(w, s, dx=1)) for i, w in enumerate(ends))
    along = tuple(known(y_wall, i, u(s, w), u(s, w, dy=1)) for i, w in enumerate(ends))
    grid = Grid(Axis(**points, boundary=across), Axis(**points, boundary=along))
    return grid, np.meshgrid(s, s, indexing="ij"), u


@pytest.mark.parametrize("places", ["face", "sample", "next"])
@pytest.mark.parametrize("is_even", [True, False])
@pytest.mark.parametrize(
    ("x_wall", "y_wall"),
    [("Dirichlet", "Dirichlet"), ("Dirichlet", "Neumann"), ("Neumann", "Dirichlet"),
     ("Robin", "Dirichlet"), ("Neumann", "Robin")],
)  # fmt: skip
def test_mixed_derivatives_keep_their_order_where_walls_meet(places, is_even, x_wall, y_wall):
    """Rows of a wall near its ends err as those of the samples beside it, of order 2 at least.

    Without the conditions of the walls that it meets, u_xxy is wrong by as much on every grid.
    """
    errors = []
    for n in (20, 40):
        grid, (x, y), u = plate(n, places, is_even, x_wall, y_wall)
        plan = (D(0) ** 2 * D(1)).on(grid, (n, n), method=FiniteDifference(4), edge_order=2)
        errors.append(abs(plan(u(x, y)) - u(x, y, 2, 1))[:, [0, 1, -2, -1]].max())
    assert errors[1] < 0.05  # of values up to 6
    assert errors[0] > 3 * errors[1]


@pytest.mark.parametrize("known", [7.0, np.full(9, 7.0), np.full(9, 7, np.uint8), np.full(1, 7.0)])
@pytest.mark.parametrize("number", [Dirichlet, lambda v: Robin(2.0, 3.0, 2 * v)])
def test_flat_fields_stay_flat_where_walls_meet(known, number):
    profile = Axis(spacing=0.3, boundary=number(np.full(9, 7.0)))
    other = Axis(coordinates=np.linspace(0, 2, 9) ** 2, boundary=(Dirichlet(known), "one-sided"))
    for operator in (D(0) * D(1), D(0) ** 2 * D(1) ** 2):
        plan = operator.on(Grid(profile, other), (9, 9), method=FiniteDifference(4))
        assert plan(np.full((9, 9), 7.0)).tolist() == np.zeros((9, 9)).tolist()


@pytest.mark.parametrize("to", ["left", "right", "inner", "outer"])
def test_steps_to_faces_along_a_wall_keep_their_order_where_it_ends(to):
    errors = []
    for n in (20, 40):
        grid, (x, y), u = plate(n, "face", True, "Dirichlet", "Dirichlet")
        at = (np.arange(n + 1) / n)[{"left": slice(-1), "right": slice(1, None),
                                     "inner": slice(1, -1), "outer": slice(None)}[to]]  # fmt: skip
        plan = (D(0) @ D(1, to=to)).on(grid, (n, n))
        errors.append(abs(plan(u(x, y)) - u(x[:, :1], at[None, :], 1, 1)).max())
    assert errors[0] > 3 * errors[1]


def test_corners_know_the_values_of_faces_that_a_component_lies_at():
    """A velocity at the faces of x, along walls of y; its profile at the first face of x."""
    errors = []
    for n in (20, 40):
        grid, (x, y), u = plate(n, "face", True, "Dirichlet", "Dirichlet")
        faces = (np.arange(n + 1) / n)[:, None]
        along = tuple(Dirichlet(u(faces[:, 0], w)) for w in (0.0, 1.0))
        grid = Grid(grid.axes[0], Axis(spacing=1 / n, boundary=along))
        plan = (D(0, at="outer", to="centre") @ D(1)).on(grid, (n, n))
        errors.append(abs(plan(u(faces, y[:1])) - u(x, y, 1, 1)).max())
    assert errors[0] > 3 * errors[1]


def test_numbers_at_walls_become_0_under_derivatives_along_them(rng):
    """The value is the same all along the wall: its slope there is 0, that of Dirichlet(0)."""
    f = rng.normal(size=(6, 7))
    known = (D(0) * D(1)).on(Grid(known_walls(4.0, 2.0), Axis()), (6, 7))
    zero = (D(0) * D(1)).on(Grid(known_walls(0.0, 0.0), Axis()), (6, 7))
    assert known(f).tolist() == zero(f).tolist()
    # An average leaves it as it is.
    kept = (D(0) @ Average(1, to="inner")).on(Grid(known_walls(4.0, 2.0), Axis()), (6, 7))
    constant = np.full((6, 7), 4.0)
    assert kept(constant)[0].tolist() == [0.0] * 6


def test_after_a_derivative_nothing_is_known_along_its_axis():
    """The second of two slopes takes the end rows of a line without walls."""
    chain = bound_of(D(0) @ (X * D(0)), Grid(known_walls(4.0, 2.0)), (6,)).outputs[0][0]
    first, _, second = chain.steps
    assert first.walls == (4.0, 2.0)
    assert second.walls == (0, 0)
    assert second.rule.row(0) == {0: -1.5, 1: 2, 2: -0.5}


def test_after_a_multiplication_values_are_not_known_any_more():
    """At the wall x = 0, a f is not what f is."""
    chain = bound_of(D(0) @ X, Grid(known_walls(4.0, 2.0)), (6,)).outputs[0][0]
    times, along = chain.steps
    assert isinstance(times, Times)
    assert along.walls == (0, 0)
    assert along.rule.row(0) == {0: -1.5, 1: 2, 2: -0.5}


def with_image(values, end, sign, at_the_wall):
    """The values with their mirror image in front of them, and where they begin."""
    image = sign * values[::-1]
    if end.at == "sample":
        image = image[:-1]
    if end.at == "next":
        image = np.append(image, at_the_wall)
    return np.concatenate([image, values]), len(image)


@pytest.mark.parametrize("orders", [(1, 1), (2, 1), (1, 2), (2, 2), (1, 3)])
@pytest.mark.parametrize("coefficient", [False, True])
@pytest.mark.parametrize(
    "end",
    [Symmetric(), Antisymmetric(), Symmetric(at="sample"), Antisymmetric(at="next")],
    ids=repr,
)
def test_mirror_images_go_on_through_derivatives_and_coefficients(rng, end, orders, coefficient):
    """Against the same steps on the array with its mirror image in front of it."""
    f, a = rng.integers(-9, 9, (2, 12)) / 4
    a = a if coefficient else np.ones(12)
    first, second = (D(0, order) for order in orders)
    plan = (second @ (a * first)).on(Grid(Axis(boundary=(end, "one-sided"))), (12,))
    longer, start = with_image(f, end, end.sign, 0.0)
    both, _ = with_image(a, end, 1, 1.0)
    whole = (second @ (both * first)).on(Grid(Axis()), (len(longer),))
    # Rows near the other end are those of a line without walls in both.
    found, wanted = plan(f)[:6], whole(longer)[start : start + 6]
    if end.at == "next" and orders[0] % 2:
        # The slope on the wall itself is that of no sample: the next rows look inwards.
        reach = 2 if orders[1] == 3 else 1
        assert (found[:reach] != wanted[:reach]).all()
        found, wanted = found[reach:], wanted[reach:]
    np.testing.assert_array_equal(found, wanted)


def test_a_slope_that_is_not_known_on_a_wall_is_taken_from_inside():
    """Odd derivatives of an odd field are even, and no sample says how large at the wall."""
    grid = Grid(Axis(boundary=(Antisymmetric(at="next"), "one-sided")))
    chain = bound_of(D(0) @ (X * D(0)), grid, (6,)).outputs[0][0]
    assert chain.steps[0].rule.row(0) == {1: 0.5}
    assert chain.steps[2].rule.row(0) == {0: -1.5, 1: 2, 2: -0.5}
    even = bound_of(D(0) @ (X * D(0, 2)), grid, (6,)).outputs[0][0]
    assert even.steps[2].rule.row(0) == {1: 0.5}


# --- what binding makes once ----------------------------------------------------------------------


def test_derivatives_that_are_the_same_share_their_rule():
    bound = bound_of(D(0) + np.ones(6) * D(0) + D(0) * D(1))
    rules = {id(s.rule.rows) for s in bound.alongs() if (s.axis, s.rule.order) == (0, 1)}
    assert len(rules) == 1


def test_the_chains_of_a_mixture_that_varies_are_a_main_one_and_its_corrections():
    robin = Axis(boundary=(Robin(ones(6), 1, 0.0), "one-sided"))
    chains = bound_of(D(0), Grid(robin, None)).outputs[0]
    assert [[type(s) for s in chain.steps] for chain in chains] == [
        [Along],
        [Along, Times],
        [Along, Times],
    ]
    numbers = Axis(boundary=(Robin(1j, 1, 0.0), "one-sided"))
    chains = bound_of(D(0), Grid(numbers, None)).outputs[0]
    assert [[type(s) for s in chain.steps] for chain in chains] == [[Along]] * 3
    assert any(isinstance(chain.coefficient, complex) for chain in chains)


@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (1, 5)])
def test_values_along_a_wall_may_be_broadcast_where_those_that_it_meets_are_not(shape):
    """Both walls have the values of 1, so that mixed derivatives are 0."""
    walls = [Dirichlet(np.ones(shape)), Dirichlet(np.ones((5, 5)))]
    grid = Grid(*(Axis(1.0, boundary=wall) for wall in walls), Axis(1.0))
    plan = (D(0) * D(1)).on(grid, (5, 5, 5))
    np.testing.assert_array_equal(plan(np.ones((5, 5, 5))), 0)
