"""Chains of steps: their linear parts, magnitudes, transposed chains and single rows."""

from fractions import Fraction

import numpy as np
import pytest

from gradkit import (
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
)
from gradkit.chains import Along, Chain, Times, Wall

EPS = np.finfo(float).eps

#: Slopes on 4 points of spacing 1/2, with three-point stencils at the ends.
SLOPES = np.array([[-3.0, 4, -1, 0], [-1, 0, 1, 0], [0, -1, 0, 1], [0, 1, -4, 3]])
#: The same on a ring, and on a ring after which the sign changes.
RING = np.array([[0.0, 1, 0, -1], [-1, 0, 1, 0], [0, -1, 0, 1], [1, 0, -1, 0]])
TWIST = np.array([[0.0, 1, 0, 1], [-1, 0, 1, 0], [0, -1, 0, 1], [-1, 0, -1, 0]])
A = np.array([1.0, -2.0, 4.0, 0.5])
C = np.array([1 + 1j, -2j, 0.5, -1 + 2j])

LINE = Grid(Axis(spacing=0.5))
PERIODIC = Grid(Axis(spacing=0.5, boundary="periodic"))
ANTIPERIODIC = Grid(Axis(spacing=0.5, boundary="antiperiodic"))
PLANE = Grid(Axis(spacing=0.5), Axis(spacing=0.5, boundary="periodic"))


def only_chain(operator, grid=LINE, shape=(4,), **options):
    (chains,) = operator.on(grid, shape, **options).bound.outputs
    (chain,) = chains
    return chain


# --- what a chain is ------------------------------------------------------------------------------


def test_a_chain_has_its_steps_in_the_order_in_which_they_are_applied():
    a = np.ones((4, 4))
    chain = only_chain(3 * (a * D(0) @ (a[0] * D(1, 2))), PLANE, (4, 4))
    first, second, third, fourth = chain.steps
    assert (first.axis, first.rule.order, third.axis, third.rule.order) == (1, 2, 0, 1)
    assert isinstance(first, Along)
    assert isinstance(second, Times)
    assert isinstance(fourth, Times)
    assert second.slot != fourth.slot
    assert (chain.source, chain.coefficient, chain.trim) == (0, 3, None)


def test_the_identity_is_a_chain_without_steps():
    assert only_chain(2 * Identity()).steps == ()
    assert only_chain(2 * Identity()).reach(0) == 0


def test_every_term_is_a_chain_that_knows_its_input():
    operator = Operator.matrix([[D(0), 2], [0, 3 * D(0) - D(0, 2)]])
    bound = operator.on(LINE, (4,)).bound
    sources = [[(chain.source, chain.coefficient) for chain in row] for row in bound.outputs]
    assert sources == [[(0, 1), (1, 2)], [(1, -1), (1, 3)]]


@pytest.mark.parametrize(
    ("operator", "reach"),
    [
        (D(0), (2, 0)),
        (D(0) * D(1), (2, 1)),
        (D(0) @ (np.ones(4) * D(0)), (4, 0)),  # from the end, two points ahead, twice
        (D(1) @ (np.ones(4) * D(1)), (0, 2)),
        (D(1, 2) @ (np.ones(4) * D(1) * D(0)), (2, 2)),
    ],
)
def test_the_reach_adds_up_along_each_axis(operator, reach):
    chain = only_chain(operator, PLANE, (5, 4))
    assert (chain.reach(0), chain.reach(1)) == reach


# --- linear parts ---------------------------------------------------------------------------------


def test_the_linear_part_has_0_at_the_walls():
    """Slopes of a parabola through two samples and the value 7 half a cell outside."""
    f = np.array([1.0, 2, 4, 8])
    axis = Axis(boundary=(Dirichlet(7.0), "one-sided"))
    plan, zero = (
        D(0).on(Grid(axis), (4,)),
        D(0).on(Grid(Axis(boundary=(Dirichlet(0.0), "one-sided"))), (4,)),
    )
    assert plan.linear(f).tolist() == zero(f).tolist()
    chain = plan.bound.outputs[0][0]
    assert chain.steps[0].walls == (7.0, 0)
    assert chain.linear().steps[0].walls == (0, 0)
    # From (7, f0, f1) at (-1/2, 0, 1): -4/3 of the value at the wall, f0, and 1/3 of f1.
    assert plan.offset.tolist() == pytest.approx([-4 / 3 * 7, 0, 0, 0], rel=4e-16)


def test_the_linear_part_of_a_linear_plan_is_the_plan_itself():
    for operator in (D(0), D(0) @ (A * D(0)), 1j * D(0)):
        plan = operator.on(LINE, (4,))
        assert plan.linear is plan


@pytest.mark.parametrize("known", [7.0, np.array([7.0, 0, -1, 2])], ids=["number", "array"])
def test_the_linear_part_of_a_composition_is_linear(rng, known):
    axes = Axis(boundary=(Dirichlet(known), Neumann(known))), Axis(boundary="periodic")
    plan = (D(0) @ (A * D(0)) + D(0) * D(1) + D(0)).on(Grid(*axes), (6, 4))
    f, g = rng.integers(-9, 9, (2, 6, 4)) / 4
    linear = plan.linear
    assert not linear(np.zeros((6, 4))).any()
    np.testing.assert_allclose(linear(2 * f - g), 2 * linear(f) - linear(g), rtol=0, atol=1e-13)
    np.testing.assert_allclose(plan(f) - plan(g), linear(f - g), rtol=0, atol=1e-13)
    assert plan.offset.any()
    assert not linear.offset.any()
    assert linear.linear is linear


# --- magnitudes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "grid", "wanted"),
    [
        (D(0), LINE, abs(SLOPES)),
        (-3 * D(0), LINE, 3 * abs(SLOPES)),
        ((3 - 4j) * D(0), PERIODIC, 5 * abs(RING)),
        (A * D(0), LINE, abs(A)[:, None] * abs(SLOPES)),
        (C * D(0), PERIODIC, abs(C)[:, None] * abs(RING)),
        (D(0) @ (A * D(0)), LINE, abs(SLOPES) @ np.diag(abs(A)) @ abs(SLOPES)),
        (D(0) - 2, PERIODIC, abs(RING) + 2 * np.eye(4)),
        (D(0) - A * D(0), PERIODIC, abs(RING) + abs(A)[:, None] * abs(RING)),
    ],
    ids=repr,
)
def test_magnitudes_are_products_of_the_magnitudes_of_all_steps(rng, operator, grid, wanted):
    """Not those of the matrix, in which products may cancel before they are seen."""
    plan = operator.on(grid, (4,))
    sizes = abs(rng.normal(size=4))
    np.testing.assert_allclose(plan.magnitude(sizes), wanted @ sizes, rtol=1e-14)
    found = plan.magnitude.matrix("array")
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


@pytest.mark.parametrize("value", [-7.0, np.array(-7.0), 7j], ids=["number", "array", "complex"])
def test_magnitudes_count_what_is_known_at_walls(value):
    plan = D(0, 2).on(Grid(Axis(boundary=Dirichlet(value, at="next"))), (3,))
    assert plan.magnitude(np.ones(3)).tolist() == [10, 4, 10]
    assert plan.linear.magnitude(np.ones(3)).tolist() == [3, 4, 3]
    assert plan.magnitude.stencil(0).constant == 7


def test_magnitudes_of_a_twisted_ring_are_positive():
    plan = D(0).on(ANTIPERIODIC, (4,))
    assert plan.magnitude(np.ones(4)).tolist() == abs(TWIST).sum(axis=1).tolist()


def test_magnitudes_on_a_decreasing_axis_are_positive():
    plan = D(0).on(Grid(Axis(spacing=-0.5)), (4,))
    assert plan.magnitude(np.ones(4)).tolist() == abs(SLOPES).sum(axis=1).tolist()


# --- transposed chains ----------------------------------------------------------------------------


def test_a_transposed_chain_runs_backwards():
    chain = only_chain(3j * (A * D(0)) @ (C * D(0)))
    turned = chain.transposed(output=2, conjugate=False)
    assert [type(s) for s in turned.steps] == [Times, Along, Times, Along]
    assert [s.slot for s in turned.steps if isinstance(s, Times)] == [
        s.slot for s in chain.steps[::-1] if isinstance(s, Times)
    ]
    assert (turned.source, turned.coefficient) == (2, 3j)
    assert {s.form for s in turned.steps if isinstance(s, Times)} == {"plain"}


def test_conjugation_turns_numbers_and_arrays():
    chain = only_chain(3j * (A * D(0)) @ (C * D(0)))
    adjoint = chain.transposed(output=0, conjugate=True)
    assert adjoint.coefficient == -3j
    assert [s.form for s in adjoint.steps if isinstance(s, Times)] == ["conjugate"] * 2
    again = adjoint.transposed(output=0, conjugate=True)
    assert again.coefficient == 3j
    assert [s.form for s in again.steps if isinstance(s, Times)] == ["plain"] * 2
    assert Chain(0, Fraction(1, 3)).transposed(0, True).coefficient == Fraction(1, 3)


FORMS = {
    "real": (D(0) @ (A * D(0)) - 2, LINE, SLOPES @ np.diag(A) @ SLOPES - 2 * np.eye(4)),
    "number": ((1 + 2j) * D(0), PERIODIC, (1 + 2j) * RING),
    "array": (C * D(0) + D(0) @ C, ANTIPERIODIC, np.diag(C) @ TWIST + TWIST @ np.diag(C)),
    "both": (1j * (D(0) @ (C * D(0))), LINE, 1j * SLOPES @ np.diag(C) @ SLOPES),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_are_what_matrices_make_of_them(rng, name):
    operator, grid, matrix = FORMS[name]
    plan = operator.on(grid, (4,))
    f = rng.normal(size=4) + 1j * rng.normal(size=4)
    # Rows and columns of |SLOPES| add up to 8 at most, |A| and |C| are at most 4: no sum of
    # magnitudes exceeds 8 * 4 * 8 |f|, and no product has more than 16 roundings of eps / 2.
    error = 8 * EPS * 256 * abs(f).max()
    for found, wanted in (
        (plan, matrix),
        (plan.T, matrix.T),
        (plan.H, matrix.conj().T),
        (plan.T.T, matrix),
        (plan.H.H, matrix),
        (plan.T.H, matrix.conj()),
        (plan.H.T, matrix.conj()),
        (plan.T.H.T, matrix.conj().T),
        (plan.T.H.H, matrix.T),
        (plan.T.H.linear, matrix.conj()),
    ):
        np.testing.assert_allclose(found(f), wanted @ f, rtol=0, atol=error)
        np.testing.assert_allclose(found.matrix("array"), wanted, rtol=0, atol=8 * EPS * 256)


def test_forms_are_values_that_compose():
    plan = (C * D(0)).on(PERIODIC, (4,))
    forms = {"": plan, "T": plan.T, "H": plan.H, "conjugate": plan.T.H}
    assert {name: form.form for name, form in forms.items()} == {name: name for name in forms}
    assert len(set(forms.values())) == 4
    assert plan.T.T == plan.H.H == plan.T.H.T.H == plan
    assert plan.T.H == plan.H.T
    assert plan.T.H.T == plan.H
    assert "form='T'" in repr(plan.T)


def test_the_transposed_plan_is_of_the_linear_part(rng):
    """Values known at walls are no part of it, so that its twice transposed one is `linear`."""
    plan = D(0, 2).on(Grid(Axis(boundary=Dirichlet(7.0, at="next"))), (4,))
    twice = plan.T.T
    assert twice == plan.linear
    assert twice != plan
    f = rng.normal(size=4)
    laplace = np.diag([-2.0] * 4) + np.diag([1.0] * 3, 1) + np.diag([1.0] * 3, -1)
    np.testing.assert_allclose(plan.T(f), laplace @ f, rtol=0, atol=16 * EPS)


def test_transposed_systems_exchange_inputs_and_outputs(rng):
    grid = Grid(Axis(boundary="periodic"), Axis(boundary="antiperiodic"))
    f, g = rng.normal(size=(2, 4, 5))
    gradient = Gradient(2).on(grid, (4, 5))
    divergence = Divergence(2).on(grid, (4, 5))
    # Integration by parts on a ring: the transposed gradient is minus the divergence.
    np.testing.assert_allclose(gradient.T([f, g]), -divergence([f, g]), rtol=0, atol=16 * EPS)
    for found, wanted in zip(divergence.T(f), gradient(f), strict=True):
        np.testing.assert_allclose(found, -wanted, rtol=0, atol=16 * EPS)
    assert (gradient.T.reads, gradient.T.writes) == (2, 1)
    curl = Curl(2).on(grid, (4, 5))
    along_x, along_y = curl.T(f)
    np.testing.assert_allclose(along_x, gradient(f)[1], rtol=0, atol=16 * EPS)
    np.testing.assert_allclose(along_y, -gradient(f)[0], rtol=0, atol=16 * EPS)


def test_transposed_staggered_plans_exchange_places(rng):
    plan = D(0, to="inner").on(LINE, (4,))
    assert (plan.T.input_shape, plan.T.output_shape) == ((3,), (4,))
    assert plan.T(np.array([1.0, 10, 100])).tolist() == [-2, -18, -180, 200]
    assert plan.T.bound.inputs_at == (("inner",),)
    assert plan.T.bound.outputs_at == (("centre",),)


# --- single rows ----------------------------------------------------------------------------------


def test_a_row_is_exact():
    weights, constant = only_chain(D(0) / 3, method=FiniteDifference(4), shape=(9,)).row((4,), ())
    twelfth = Fraction(1, 12) / Fraction(1, 2) / 3
    assert weights == {(-2 + 4,): twelfth, (3,): -8 * twelfth, (5,): 8 * twelfth, (6,): -twelfth}
    assert constant == 0


def test_a_row_of_a_composition_has_the_arrays_at_the_points_between():
    """Row 2 takes the slopes at 1 and 3, which are those of row 1 and of the last one."""
    plan = (D(0) @ (A * D(0))).on(LINE, (4,))
    (chain,) = plan.bound.outputs[0]
    weights, _ = chain.row((2,), plan.parameters)
    # -a[1] (f[2] - f[0]) + a[3] (f[1] - 4 f[2] + 3 f[3])
    assert {k: float(w) for (k,), w in weights.items()} == {0: -2, 1: 0.5, 2: 0, 3: 1.5}
    assert all(isinstance(w, Fraction) for w in weights.values())


@pytest.mark.parametrize(
    ("form", "number", "value"),
    [("", 2j, 1 + 1j), ("conjugate", -2j, 1 - 1j)],
)
def test_a_row_of_complex_numbers_is_conjugated_with_its_plan(form, number, value):
    plan = (2j * C * D(0)).on(PERIODIC, (4,))
    plan = plan.T.H if form else plan
    (chain,) = plan.bound.outputs[0]
    weights, _ = chain.row((0,), plan.parameters)
    assert weights == {(1,): number * value, (-1,): -number * value}


def test_a_row_of_magnitudes_has_no_signs():
    plan = (2j * C * D(0)).on(PERIODIC, (4,)).magnitude
    (chain,) = plan.bound.outputs[0]
    weights, _ = chain.row((3,), plan.parameters)
    assert weights == {(2,): 2 * 5**0.5, (4,): 2 * 5**0.5}


def test_rows_go_on_beyond_the_ends_of_axes_that_wrap():
    """Each copy has the weight that the rule gives it; its sign is in the copy."""
    plan = (D(0) @ (A * D(0))).on(ANTIPERIODIC, (4,))
    (chain,) = plan.bound.outputs[0]
    weights, _ = chain.row((0,), plan.parameters)
    # (a f')[1] - (a f')[-1], with f'[1] = f[2] - f[0] and f'[-1] = f[0] - f[-2], a[-1] = a[3]
    assert weights == {(2,): A[1], (0,): -A[1] - A[3], (-2,): A[3]}


def test_rows_know_what_walls_add():
    axis = Axis(boundary=(Dirichlet(7.0, at="next"), Neumann(3.0)))
    chain = only_chain(5 * D(0, 2), Grid(axis), (4,))
    weights, constant = chain.row((0,), ())
    assert weights == {(0,): -10, (1,): 5}
    assert constant == 35
    assert chain.row((1,), ())[1] == 0


def test_rows_know_what_arrays_along_walls_add():
    known = np.array([7.0, 0, -1, 2])
    grid = Grid(Axis(boundary=Dirichlet(known, at="next")), Axis(boundary="periodic"))
    plan = D(0, 2).on(grid, (5, 4))
    (chain,) = plan.bound.outputs[0]
    assert chain.steps[0].walls == (Wall(0), Wall(0))
    assert [chain.row((0, j), plan.parameters)[1] for j in range(4)] == known.tolist()
    assert [chain.row((2, j), plan.parameters)[1] for j in range(4)] == [0] * 4


def test_rows_of_mixed_derivatives_take_the_slope_along_the_wall():
    """The values at a wall are differentiated along it, on a ring here."""
    known = np.array([7.0, 0, -1, 2])
    grid = Grid(Axis(boundary=Dirichlet(known, at="next")), Axis(spacing=0.5, boundary="periodic"))
    plan = (D(0, 2) * D(1)).on(grid, (5, 4))
    (chain,) = plan.bound.outputs[0]
    slopes = [0 - 2, -1 - 7, 2 - 0, 7 + 1]
    assert [chain.row((0, j), plan.parameters)[1] for j in range(4)] == slopes
    assert plan.offset[0].tolist() == slopes


def test_rows_at_antiperiodic_copies_of_a_wall_change_their_sign():
    """The slope along axis 1 at row 0 takes what is known at the wall beyond the other end."""
    grid = Grid(
        Axis(boundary=(Dirichlet(7.0, at="next"), "one-sided")),
        Axis(spacing=0.5, boundary="antiperiodic"),
    )
    plan = (D(1) @ (np.ones((5, 4)) * D(0, 2))).on(grid, (5, 4))
    (chain,) = plan.bound.outputs[0]
    found = [chain.row((0, j), plan.parameters)[1] for j in range(4)]
    # f'' at the wall adds 7 at every point; TWIST makes 14, 0, 0, -14 of it.
    assert found == [14, 0, 0, -14]
    assert plan.offset[0].tolist() == found


def test_a_plan_adds_up_the_rows_of_its_chains():
    plan = (Laplacian(2) + 3).on(Grid(Axis(), Axis(boundary="periodic")), (6, 6))
    stencil = plan.stencil((2, 0))
    assert dict(zip(stencil.offsets, stencil.weights, strict=True)) == {
        (-1, 0): 1,
        (0, -1): 1,
        (0, 0): -1,
        (0, 1): 1,
        (1, 0): 1,
    }


def test_mixtures_that_vary_along_a_wall_add_up_to_one_row(rng):
    """a f + b f' = g at the face, f = c + d x: three chains, which take lines exactly."""
    a, b = rng.uniform(1, 2, (2, 5))
    c, d = rng.normal(size=(2, 5))
    x = np.arange(6) + 0.5
    f = c + d * x[:, None]
    first, last = a * c - b * d, a * (c + 6 * d) + b * d
    axis = Axis(boundary=(Robin(a, b, first), Robin(a, b, last)))
    plan = D(0).on(Grid(axis, None), (6, 5))
    np.testing.assert_allclose(plan(f), np.broadcast_to(d, (6, 5)), rtol=0, atol=1e-14)
    for i, j in ((0, 0), (0, 3), (5, 2), (2, 1)):
        stencil = plan.stencil((i, j))
        points = [f[i + k, j + m] for k, m in stencil.offsets]
        found = np.dot(points, stencil.weights) + stencil.constant
        assert found == pytest.approx(d[j], abs=1e-14)
