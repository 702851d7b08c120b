"""Questions to plans and operators, against answers from a textbook."""

import statistics
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import log

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
    Plan,
    Robin,
    Stencil,
    Symmetric,
    dot_test,
    modified_wavenumber,
    observed_order,
    operator_from_offsets,
)
from gradkit.chains import Chain
from gradkit.errors import ArgumentTypeError, ArgumentValueError, GradkitError, UnsupportedError
from gradkit.methods import Rule

UNEVEN = [0.0, 0.5, 2.0, 2.25, 3.0, 5.0, 5.5, 7.0]
PLANE = Grid(Axis(0.5), Axis(0.25))

# --- the adjoint --------------------------------------------------------------------------------

#: Name -> a plan whose adjoint is not the plan itself.
PLANS = {
    "one-sided": D(0).on(Grid(Axis(0.5)), (8,), method=FiniteDifference(4)),
    "coordinates": D(0, 2).on(Grid(Axis(coordinates=UNEVEN)), (8,)),
    "antiperiodic": (D(0, 3) + 1).on(Grid(Axis(0.5, boundary="antiperiodic")), (8,)),
    "periodic coordinates": D(0).on(
        Grid(Axis(coordinates=UNEVEN, boundary="periodic", period=8.0)), (8,)
    ),
    "walls": D(0).on(Grid(Axis(0.5, boundary=(Dirichlet(3.0), Neumann(1.0)))), (8,)),
    "reflections": D(0).on(Grid(Axis(boundary=(Symmetric(), Antisymmetric(at="next")))), (8,)),
    "mixture along a wall": D(0, 2).on(
        Grid(Axis(boundary=Robin(np.arange(1.0, 4.0), 1.0, 2.0)), None), (8, 3)
    ),
    "from centres to faces": D(0, to="outer").on(Grid(Axis(0.5)), (8,)),
    "mean of neighbours": Average(0, to="inner").on(Grid(Axis(coordinates=UNEVEN)), (8,)),
    "array between derivatives": (D(0) @ (np.arange(8.0)[:, None] * D(1))).on(PLANE, (8, 6)),
    "complex array": (1j * np.arange(8.0)[:, None] * D(0) + D(1)).on(PLANE, (8, 6)),
    "complex number": ((1 + 2j) * D(0) * D(1)).on(PLANE, (8, 6)),
    "several outputs": Gradient(2, to="outer").on(PLANE, (8, 6)),
    "several inputs": Divergence(2, at="inner").on(PLANE, (8, 6)),
    "system": Curl(3).on(Grid(Axis(0.5), Axis(0.25), Axis()), (4, 5, 6)),
    "system with arrays": Operator.matrix(
        [[D(0), np.arange(6.0)], [1j, D(1) @ (np.arange(6.0) * D(0))]]
    ).on(PLANE, (8, 6)),
    "own stencil": D(0, stencil=Stencil((-2, -1, 0), order=1)).on(Grid(Axis(0.5)), (8,)),
    "own neighbours": operator_from_offsets({(1, 0): 1, (0, 2): -3, (-1, 1): 2}).on(
        Grid(Axis(), Axis(boundary="periodic")), (8, 6)
    ),
    "several inputs, transposed": Divergence(2, at="inner").on(PLANE, (8, 6)).T,
    "system, adjoint": Operator.matrix([[D(0), D(1)], [D(0), 1j * D(1)]]).on(PLANE, (8, 6)).H,
    "transposed": D(0).on(Grid(Axis(0.5)), (8,)).T,
    "adjoint": (1j * D(0)).on(Grid(Axis(0.5)), (8,)).H,
    "conjugate": (1j * D(0)).on(Grid(Axis(0.5)), (8,)).H.T,
    "linear": D(0, 2).on(Grid(Axis(boundary=Dirichlet(3.0))), (8,)).linear,
}


@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32"])
@pytest.mark.parametrize("name", PLANS)
def test_dot_test_passes_for_right_plans(name, dtype):
    result = dot_test(PLANS[name], dtype=dtype)
    assert result.passed
    assert result
    assert result.error <= result.tolerance
    assert result.forward != 0


@pytest.mark.parametrize(
    "name", [name for name, plan in PLANS.items() if plan.input_shapes == plan.output_shapes]
)
def test_dot_test_fails_where_the_adjoint_is_the_plan_itself(name, monkeypatch):
    plan = PLANS[name]
    monkeypatch.setattr(Plan, "H", property(lambda self: self.linear))
    assert not dot_test(plan, dtype="complex128")


@pytest.mark.parametrize(
    "name", ["complex array", "complex number", "system with arrays", "adjoint", "conjugate"]
)
def test_dot_test_fails_where_nothing_is_conjugated(name, monkeypatch):
    monkeypatch.setattr(Plan, "H", property(lambda self: self.T))
    for dtype in ("float64", "complex128"):
        assert not dot_test(PLANS[name], dtype=dtype)


def test_dot_test_fails_where_arrays_are_not_conjugated(monkeypatch):
    turned = Chain.transposed
    monkeypatch.setattr(Chain, "transposed", lambda chain, output, _: turned(chain, output, False))
    assert not dot_test((1j * np.arange(8.0) * D(0)).on(Grid(Axis()), (8,)))


def test_dot_test_fails_where_steps_are_not_turned_around(monkeypatch):
    turned = Chain.transposed

    def unturned(chain, output, conjugate):
        found = turned(chain, output, conjugate)
        return replace(found, steps=found.steps[::-1])

    monkeypatch.setattr(Chain, "transposed", unturned)
    plan = (np.arange(8.0) * D(0)).on(Grid(Axis(boundary="periodic")), (8,))
    assert not dot_test(plan)


@pytest.mark.parametrize("row", [0, -1])
def test_dot_test_fails_where_one_weight_of_one_row_is_a_little_wrong(row, monkeypatch):
    turned = Rule.transposed

    def changed(rule):
        found = turned(rule)
        rows = list(found.rows)
        first, *others = rows[row].weights
        rows[row] = replace(rows[row], given=(first * (1 + Fraction(1, 10**9)), *others))
        return replace(found, rows=tuple(rows))

    plan = D(0).on(Grid(Axis(0.5)), (50,))
    assert dot_test(plan)
    monkeypatch.setattr(Rule, "transposed", changed)
    fresh = D(0).on(Grid(Axis(0.5)), (50,))
    assert not dot_test(fresh)
    # In float32 that is below the roundings.
    assert dot_test(D(0).on(Grid(Axis(0.5)), (50,)), dtype="float32")


def test_dot_test_leaves_out_what_is_known_at_walls():
    known, nothing = (
        D(0, 2).on(Grid(Axis(boundary=Dirichlet(value))), (8,)) for value in (1e6, 0.0)
    )
    assert dot_test(known) == dot_test(nothing)


def test_seed_chooses_the_numbers():
    plan = PLANS["one-sided"]
    assert dot_test(plan) == dot_test(plan, seed=0)
    assert dot_test(plan, seed=7) == dot_test(plan, seed=7)
    assert len({dot_test(plan, seed=seed).forward for seed in range(5)}) == 5


def test_dtype_chooses_the_kind_of_numbers():
    plan = PLANS["one-sided"]
    for dtype, kind in (("float64", float), ("float32", float), ("complex64", complex)):
        result = dot_test(plan, dtype=dtype)
        assert type(result.forward) is type(result.backward) is kind
    for dtype in (np.float32, np.dtype("float32"), "f4"):
        assert dot_test(plan, dtype=dtype) == dot_test(plan, dtype="float32")
    # Complex numbers have imaginary parts, also where the operator is real.
    assert dot_test(plan, dtype="complex128").forward.imag != 0
    # Half the digits, in the numbers and in what is asked of them.
    single, double = (dot_test(plan, dtype=name) for name in ("float32", "float64"))
    assert single.tolerance / double.tolerance == 2.0**29
    assert abs(single.forward - double.forward) < 1e-5 * abs(double.forward)


def test_sides_turn_with_the_phase_of_the_operator():
    real, turned = (
        dot_test((number * Identity()).on(Grid(None), (1,)), dtype="complex128")
        for number in (3, 3j)
    )
    # <A f, g> with f and g alike, of one number each.
    assert turned.forward == pytest.approx(1j * real.forward, rel=1e-15)
    assert turned.backward == pytest.approx(1j * real.backward, rel=1e-15)
    assert abs(real.forward) > 0.01


def test_dot_test_runs_on_every_library(library):
    if library.kind == "dask":
        pytest.skip("lazy: there are no numbers to compare")
    plan = (1j * np.arange(8.0) * D(0)).on(Grid(Axis()), (8,))
    wanted, result = dot_test(plan), dot_test(plan, xp=library.xp)
    assert result
    # The same numbers go in, and come out but for a few roundings.
    assert result.forward == pytest.approx(wanted.forward, rel=1e-13)
    assert result.backward == pytest.approx(wanted.backward, rel=1e-13)


def test_dot_test_takes_arrays_where_the_operator_has_them(library):
    if library.kind == "dask":
        pytest.skip("lazy: there are no numbers to compare")
    plan = (D(0) * library.asarray(np.arange(8.0))).on(Grid(Axis()), (8,))
    assert dot_test(plan, xp=library.xp)


def test_nothing_has_an_adjoint():
    zero = (D(0) - D(0)).on(Grid(Axis()), (8,))
    assert dot_test(zero) == dot_test(zero, seed=1)
    assert dot_test(zero).error == 0
    assert dot_test(D(0).on(Grid(Axis(), None), (8, 0)))


def test_nan_does_not_pass():
    assert not dot_test((np.full(8, np.nan) * D(0)).on(Grid(Axis()), (8,)))


@pytest.mark.parametrize(
    ("plan", "arguments", "error", "message"),
    [
        (D(0), {}, ArgumentTypeError, r"plan=D\(0\) is not a Plan"),
        (PLANS["one-sided"], {"dtype": "int32"}, ArgumentTypeError, "dtype='int32' cannot hold"),
        (PLANS["one-sided"], {"dtype": bool}, ArgumentTypeError, "cannot hold a derivative"),
        (
            PLANS["one-sided"].block([(0, 3)], [4]),
            {},
            UnsupportedError,
            "H is not served for a block",
        ),
    ],
    ids=["operator", "integers", "bool", "block"],
)
def test_dot_test_refuses(plan, arguments, error, message):
    with pytest.raises(error, match=message):
        dot_test(plan, **arguments)


# --- the order of the error ---------------------------------------------------------------------

SIZES = (16, 24, 32, 48, 64)
TURN = 2 * np.pi


def test_errors_of_a_periodic_wave_are_those_of_its_wavenumber():
    found = observed_order(
        D(0), lambda x: np.sin(TURN * x), lambda x: TURN * np.cos(TURN * x), boundary="periodic"
    )
    # The stencil sees sin(kh)/h in place of k, and cos(0) = 1 is on the grid.
    wanted = [TURN - n * np.sin(TURN / n) for n in SIZES]
    # Differences of sin over 2h, n = 64 at most: a few roundings of 64.
    np.testing.assert_allclose(found.errors, wanted, rtol=0, atol=4 * np.spacing(64.0))
    assert found.sizes == SIZES
    steps = [log(n) for n in SIZES]
    falls = [log(error) for error in found.errors]
    line = statistics.linear_regression(steps, falls)
    assert found.order == pytest.approx(-line.slope, rel=1e-12)
    slopes = [-(falls[i + 1] - falls[i]) / (steps[i + 1] - steps[i]) for i in range(len(SIZES) - 1)]
    assert found.orders == pytest.approx(slopes, rel=1e-12)


def test_grids_are_equally_spaced_and_hold_both_ends():
    seen = []

    def watched(x):
        seen.append(x)
        return x**3

    found = observed_order(D(0), watched, lambda x: 3 * x**2, domain=(1.0, 3.0), sizes=(5, 9))
    np.testing.assert_array_equal(seen[0], [1.0, 1.5, 2.0, 2.5, 3.0])
    np.testing.assert_array_equal(seen[1], np.arange(1, 3.25, 0.25))
    # The error of the closure is h**2 f''' / 3 = 2 h**2, that of the interior half as large, and
    # all numbers are dyadic.
    assert found.errors == (0.5, 0.125)
    assert found.orders == (pytest.approx(2, rel=1e-14),)


def test_points_are_centres_of_cells_between_walls():
    seen = []

    def watched(x):
        seen.append(x)
        return x**4

    observed_order(
        D(0, 2),
        watched,
        lambda x: 12 * x**2,
        domain=(0.0, 2.0),
        sizes=(4, 8),
        boundary=(Dirichlet(0), Dirichlet(16)),
    )
    np.testing.assert_array_equal(seen[0], [0.25, 0.75, 1.25, 1.75])


def test_points_of_a_wrapping_axis_leave_out_the_last_end():
    for boundary in ("periodic", "antiperiodic"):
        seen = []
        factor = TURN if boundary == "periodic" else TURN / 2
        observed_order(
            D(0),
            lambda x, seen=seen, k=factor: seen.append(x) or np.sin(k * x),
            lambda x, k=factor: k * np.cos(k * x),
            sizes=(8, 16),
            boundary=boundary,
        )
        np.testing.assert_array_equal(seen[0], np.arange(8) / 8)


def smooth_step(s):
    """Points that gather at both ends of [0, 1]."""
    return s + np.sin(TURN * s) / (2 * TURN)


#: Name -> operator, f, result, options, order. Even and odd derivatives, ends of all kinds.
ORDERS = {
    "second order": (D(0), np.sin, np.cos, {}, 2),
    "fourth order": (D(0), np.sin, np.cos, {"method": FiniteDifference(4)}, 4),
    "sixth order": (
        D(0, 2),
        lambda x: np.sin(TURN * x),
        lambda x: -(TURN**2) * np.sin(TURN * x),
        {"boundary": "periodic", "method": FiniteDifference(6)},
        6,
    ),
    "first order at the ends": (D(0), np.exp, np.exp, {"edge_order": 1}, 1),
    "antiperiodic": (
        D(0, 2),
        lambda x: np.sin(np.pi * x),
        lambda x: -(np.pi**2) * np.sin(np.pi * x),
        {"boundary": "antiperiodic", "method": FiniteDifference(4)},
        4,
    ),
    "value at walls": (
        D(0, 2),
        np.exp,
        np.exp,
        {"boundary": (Dirichlet(1.0), Dirichlet(np.e))},
        2,
    ),
    "slope at walls": (
        D(0, 2),
        np.exp,
        np.exp,
        {"boundary": (Neumann(-1.0), Neumann(np.e)), "method": FiniteDifference(4)},
        4,
    ),
    "mixture at one wall": (
        D(0, 2),
        np.exp,
        np.exp,
        {"boundary": (Robin(2.0, 1.0, 1.0), "one-sided")},
        2,
    ),
    "mirror image": (
        D(0, 2),
        lambda x: np.cos(np.pi * x),
        lambda x: -(np.pi**2) * np.cos(np.pi * x),
        {"boundary": Symmetric(), "method": FiniteDifference(4)},
        4,
    ),
    "coordinates": (D(0), np.exp, np.exp, {"stretch": smooth_step}, 2),
    "coordinates, fourth order": (
        D(0, 2),
        np.exp,
        np.exp,
        {"stretch": smooth_step, "method": FiniteDifference(4)},
        4,
    ),
    "periodic coordinates": (
        D(0),
        lambda x: np.sin(TURN * x),
        lambda x: TURN * np.cos(TURN * x),
        {"stretch": smooth_step, "boundary": "periodic"},
        2,
    ),
    "walls on coordinates": (
        D(0, 2),
        np.exp,
        np.exp,
        {"stretch": smooth_step, "boundary": (Dirichlet(1.0), Neumann(np.e))},
        2,
    ),
    "two dimensions": (
        Laplacian(2),
        lambda x, y: np.exp(x + 2 * y),
        lambda x, y: 5 * np.exp(x + 2 * y),
        {"domain": [(0.0, 1.0), (0.0, 0.5)], "method": FiniteDifference(4)},
        4,
    ),
    "mixed derivative": (
        D(0) * D(1),
        lambda x, y: np.exp(x + 2 * y),
        lambda x, y: 2 * np.exp(x + 2 * y),
        {"domain": [(0.0, 1.0), (0.0, 0.5)]},
        2,
    ),
    "stencil of one's own": (D(0, stencil=Stencil((-1, 0), order=1)), np.sin, np.cos, {}, 1),
    "neighbours of one's own": (
        operator_from_offsets([-2, -1, 0, 1], like=D(0)),
        np.sin,
        np.cos,
        {},
        3,
    ),
    "complex operator": (1j * D(0), np.sin, lambda x: 1j * np.cos(x), {}, 2),
    "decreasing axis": (D(0), np.exp, np.exp, {"domain": (1.0, 0.0)}, 2),
}


@pytest.mark.parametrize("name", ORDERS)
def test_observed_order_is_the_known_one(name):
    operator, f, df, options, order = ORDERS[name]
    found = observed_order(operator, f, df, sizes=(32, 48, 64, 96), **options)
    # An error C h**p (1 + c h) has the slope p + c h, with c of a few units and h below 1/31.
    assert abs(found.order - order) < 0.15
    assert abs(found.orders[-1] - order) < 0.1


def test_order_comes_from_the_function_not_from_the_operator():
    # A wrong result has an error that does not fall.
    found = observed_order(D(0), np.sin, lambda x: 1.1 * np.cos(x))
    assert abs(found.order) < 0.05


def test_functions_may_return_numbers_and_take_coordinates_that_broadcast():
    shapes = []

    def f(x, y):
        shapes.append((x.shape, y.shape))
        return x**3

    found = observed_order(
        D(0), f, lambda x, y: 3 * x**2, domain=[(0, 1), (0, 1)], sizes=(5, 9), edge_order=2
    )
    assert shapes == [((5, 1), (1, 5)), ((9, 1), (1, 9))]
    assert found.errors == (2 / 16, 2 / 64)
    constant = observed_order(D(0) + 1, lambda x: 2.0, lambda x: 2.0 + x[0] + 1, sizes=(4, 8))
    assert constant.errors == (1.0, 1.0)
    assert constant.order == pytest.approx(0, abs=1e-15)


def test_observed_order_prints_as_a_table():
    found = observed_order(
        D(0), lambda x: x**3, lambda x: 3 * x**2, domain=(0.0, 8.0), sizes=(5, 9, 17)
    )
    # 2 h**2 for h = 2, 1, 1/2.
    assert repr(found).splitlines()[1:] == [
        "  points      error  order",
        "       5   8.00e+00",
        "       9   2.00e+00   2.00",
        "      17   5.00e-01   2.00",
    ]
    assert repr(found).splitlines()[0] == f"observed order {found.order:.2f}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operator": Gradient(2)}, "is not an operator with one output"),
        ({"operator": "D(0)"}, "operator='D.0.' is not an operator"),
        ({"sizes": (16,)}, r"sizes=\(16,\): wanted at least two"),
        ({"sizes": (16, 16)}, "all different"),
        ({"sizes": 16}, "sizes=16: wanted at least two"),
        ({"sizes": (16, 17.5)}, r"sizes\[1\]=17.5 is not an integer"),
        ({"sizes": (1, 16)}, r"sizes\[0\]=1 is not >= 2"),
        ({"operator": D(1)}, r"domain=\(0.0, 1.0\): wanted one pair .* axis=1 is out of bounds"),
        ({"domain": (1.0, 1.0)}, r"domain=\(1.0, 1.0\): wanted .* different"),
        ({"domain": [(0.0, 1.0), (2.0, 2.0)]}, "domain=.*: wanted .* different"),
        ({"domain": (0.0, np.inf)}, r"domain=\(0.0, inf\): wanted .* finite"),
        ({"domain": "ab"}, "domain='ab': wanted"),
        ({"boundary": "reflecting"}, "boundary='reflecting' is not one of"),
        ({"sizes": (3, 4), "method": FiniteDifference(4)}, "axis 0 has 3 points"),
        ({"df": lambda x: np.full_like(x, np.nan)}, r"the errors are \[nan.*not 0"),
        ({"f": lambda x: 0 * x, "df": lambda x: 0 * x}, r"the errors are \[0.0, 0.0.*not 0"),
        ({"f": lambda x: x + np.inf}, "the errors are"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_observed_order_refuses(arguments, message):
    given = {"operator": D(0), "f": np.sin, "df": np.cos, **arguments}
    with pytest.raises(GradkitError, match=message):
        observed_order(given.pop("operator"), given.pop("f"), given.pop("df"), **given)


# --- the symbol ---------------------------------------------------------------------------------

H = 0.5
K = np.linspace(-6.0, 6.0, 25)
PERIODIC = Grid(Axis(H, boundary="periodic"))
ATOL = 8 * np.spacing(4 / H**2)  # sums of up to five products of weights up to 4 / h**2


def symbol_of(operator, grid=PERIODIC, shape=(16,), k=K, index=None, **options):
    return modified_wavenumber(operator.on(grid, shape, **options), k, index=index)


def half_wave(k, h):
    """The symbol of a difference over one spacing, between the points."""
    return 2 * np.sin(k * h / 2) / h


@pytest.mark.parametrize(
    ("operator", "accuracy", "wanted"),
    [
        (D(0), 2, np.sin(K * H) / H),
        (D(0), 4, (8 * np.sin(K * H) - np.sin(2 * K * H)) / (6 * H)),
        (D(0, 2), 2, 4 * np.sin(K * H / 2) ** 2 / H**2),
        (D(0, 2), 4, (30 - 32 * np.cos(K * H) + 2 * np.cos(2 * K * H)) / (12 * H**2)),
        (D(0, 3), 2, (2 * np.sin(K * H) - np.sin(2 * K * H)) / H**3),
        (3 * D(0), 2, 3 * np.sin(K * H) / H),
        (2j * D(0), 2, 2j * np.sin(K * H) / H),
        (Identity(), 2, np.ones_like(K)),
        (D(0) @ D(0, stencil=Stencil((-1, 1), 1)), 2, (np.sin(K * H) / H) ** 2),
        (operator_from_offsets([-1, 0, 1], like=D(0, 2)), 2, half_wave(K, H) ** 2),
        (
            D(0, stencil=Stencil((-1, 0), order=1)),
            2,
            np.sin(K * H) / H - 1j * (1 - np.cos(K * H)) / H,
        ),
    ],
    ids=repr,
)
def test_symbol_is_the_closed_form(operator, accuracy, wanted):
    got = symbol_of(operator, method=FiniteDifference(accuracy))
    assert got.dtype == "complex128"
    np.testing.assert_allclose(got, wanted, rtol=0, atol=ATOL * max(1, 1 / H))


@pytest.mark.parametrize("place", ["left", "right", "inner", "outer"])
def test_symbol_of_a_staggered_derivative_is_real(place):
    grid = Grid(Axis(H))
    for operator in (D(0, to=place), D(0, at=place, to="centre")):
        got = symbol_of(operator, grid)
        np.testing.assert_allclose(got, half_wave(K, H), rtol=0, atol=ATOL)
    got = symbol_of(Average(0, to=place), grid)
    np.testing.assert_allclose(got, np.cos(K * H / 2), rtol=0, atol=ATOL)
    got = symbol_of(D(0, to="centre") @ D(0, to=place), grid)
    np.testing.assert_allclose(got, half_wave(K, H) ** 2, rtol=0, atol=ATOL)


def test_symbol_of_a_wide_staggered_derivative():
    got = symbol_of(D(0, to="outer"), Grid(Axis(H)), method=FiniteDifference(4))
    # (f[-3/2] - 27 f[-1/2] + 27 f[1/2] - f[3/2]) / (24 h)
    wanted = (27 * np.sin(K * H / 2) - np.sin(3 * K * H / 2)) / (12 * H)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=ATOL)


@pytest.mark.parametrize("index", [None, 0, 15, (3,)])
@pytest.mark.parametrize("boundary", ["periodic", "antiperiodic"])
def test_every_row_of_a_wrapping_axis_has_the_same_symbol(boundary, index):
    got = symbol_of(D(0), Grid(Axis(H, boundary=boundary)), index=index)
    np.testing.assert_allclose(got, np.sin(K * H) / H, rtol=0, atol=ATOL)


def test_rows_at_an_end_damp_or_amplify_waves():
    got = symbol_of(D(0), Grid(Axis(H)), index=0)
    wanted = (-3 + 4 * np.exp(1j * K * H) - np.exp(2j * K * H)) / (2j * H)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=ATOL)
    assert abs(got.imag).max() > 1
    last = symbol_of(D(0), Grid(Axis(H)), index=-1)
    np.testing.assert_allclose(last, wanted.conj(), rtol=0, atol=ATOL)
    middle = symbol_of(D(0), Grid(Axis(H)))
    np.testing.assert_array_equal(middle.imag, np.zeros_like(K))


def test_symbol_of_a_row_at_a_wall_is_that_of_its_linear_part():
    # (16 wall - 25 f[0] + 10 f[1] - f[2]) / (5 h**2)
    got = symbol_of(D(0, 2), Grid(Axis(H, boundary=Dirichlet(7.0))), index=0)
    wanted = -(-25 + 10 * np.exp(1j * K * H) - np.exp(2j * K * H)) / (5 * H**2)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=ATOL)


@pytest.mark.parametrize("spacing", [H, -H])
def test_waves_are_measured_along_the_axis_not_along_the_points(spacing):
    got = symbol_of(D(0), Grid(Axis(spacing, boundary="periodic")))
    np.testing.assert_allclose(got, np.sin(K * H) / H, rtol=0, atol=ATOL)
    got = symbol_of(D(0, to="outer"), Grid(Axis(spacing)))
    np.testing.assert_allclose(got, half_wave(K, H), rtol=0, atol=ATOL)


def test_equally_spaced_coordinates_have_plane_waves():
    got = symbol_of(D(0), Grid(Axis(coordinates=np.arange(16) * H)))
    np.testing.assert_allclose(got, np.sin(K * H) / H, rtol=0, atol=ATOL)


PAIRS = np.stack([K, 0.3 * K[::-1] + 1], axis=-1)
TWO = Grid(Axis(H, boundary="periodic"), Axis(0.25, boundary="periodic"))


@pytest.mark.parametrize(
    ("operator", "wanted"),
    [
        (Laplacian(2), half_wave(PAIRS[:, 0], H) ** 2 + half_wave(PAIRS[:, 1], 0.25) ** 2),
        (D(1), np.sin(0.25 * PAIRS[:, 1]) / 0.25),
        (D(0) * D(1), np.sin(H * PAIRS[:, 0]) / H * np.sin(0.25 * PAIRS[:, 1]) / 0.25),
        (D(0) - 2 * D(1), np.sin(H * PAIRS[:, 0]) / H - 8 * np.sin(0.25 * PAIRS[:, 1])),
    ],
    ids=repr,
)
def test_symbol_in_two_dimensions(operator, wanted):
    got = symbol_of(operator, TWO, (8, 8), PAIRS)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=8 * np.spacing(8 / 0.25**2))


def test_batch_axes_have_a_wavenumber_that_does_not_matter():
    got = symbol_of(D(0), Grid(Axis(H), None), (8, 3), PAIRS)
    np.testing.assert_allclose(got, np.sin(H * PAIRS[:, 0]) / H, rtol=0, atol=ATOL)


def test_symbol_of_an_array_is_that_of_its_value_there():
    a = np.arange(16.0)
    for index in (3, 8):
        got = symbol_of(a * D(0), index=index)
        np.testing.assert_allclose(got, index * np.sin(K * H) / H, rtol=0, atol=16 * ATOL)


def test_symbol_of_the_adjoint_is_conjugated():
    upwind = D(0, stencil=Stencil((-1, 0), order=1)).on(PERIODIC, (16,))
    # exp(i k x) gets the factor (1 - exp(-i k h)) / h, and from the adjoint its conjugate.
    wanted = (1 - np.exp(1j * K * H)) / H / 1j
    got = modified_wavenumber(upwind.H, K)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=ATOL)


def test_shape_of_the_symbol_is_that_of_the_wavenumbers():
    assert symbol_of(D(0), k=1.0).shape == ()
    assert symbol_of(D(0), k=[1, 2]).shape == (2,)
    assert symbol_of(D(0), k=np.ones((2, 3), "float32")).shape == (2, 3)
    assert symbol_of(D(0), TWO, (8, 8), (1.0, 2.0)).shape == ()
    assert symbol_of(D(0), TWO, (8, 8), np.ones((3, 4, 2))).shape == (3, 4)


@pytest.mark.parametrize(
    ("plan", "k", "error", "message"),
    [
        (D(0), K, ArgumentTypeError, r"plan=D\(0\) is not a Plan"),
        (Gradient(2).on(TWO, (8, 8)), PAIRS, ArgumentValueError, "system"),
        ((D(0) + 1).on(PERIODIC, (16,)), K, ArgumentValueError, r"orders \[0, 1\]: wanted one"),
        ((D(0) - D(0)).on(PERIODIC, (16,)), K, ArgumentValueError, "wanted one"),
        (
            D(0).on(Grid(Axis(coordinates=UNEVEN)), (8,)),
            K,
            ArgumentValueError,
            "axis 0 is not equally spaced",
        ),
        (
            Laplacian(2).on(TWO, (8, 8)),
            K,
            ArgumentValueError,
            r"k has shape \(25,\): wanted \(\.\.\., 2\)",
        ),
        (Laplacian(2).on(TWO, (8, 8)), 1.0, ArgumentValueError, r"k has shape \(\)"),
        (D(0).on(PERIODIC, (16,)).block([(3, 6)], [1]), K, UnsupportedError, "block"),
    ],
    ids=["operator", "system", "orders", "nothing", "coordinates", "shape", "number", "block"],
)
def test_symbol_is_refused(plan, k, error, message):
    with pytest.raises(error, match=message):
        modified_wavenumber(plan, k)


def test_symbol_of_a_row_that_does_not_exist_is_refused():
    with pytest.raises(ArgumentValueError, match="index=16"):
        symbol_of(D(0), index=16)


# --- precision of a dot test ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
def test_dot_test_in_any_precision_of_torch(dtype):
    torch = pytest.importorskip("torch")
    found = dot_test(D(0, 2).on(Grid(Axis()), (50,)), dtype=dtype, xp=torch)
    assert found
    assert found.error > np.finfo(float).eps


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
def test_dot_test_of_a_plan_whose_results_are_narrower(dtype):
    found = dot_test(D(0, 2).on(Grid(Axis(0.3)), (50,), dtype=dtype))
    assert found
    assert found.error > np.finfo(float).eps


def test_dot_test_refuses_a_dtype_that_the_library_has_not():
    xp = pytest.importorskip("array_api_strict")
    with pytest.raises(ArgumentTypeError, match="dtype='float16' does not exist on array_api"):
        dot_test(D(0).on(Grid(Axis()), (5,)), dtype="float16", xp=xp)


# --- observed order of staggered operators, of complex functions ---------------------------------


@pytest.mark.parametrize(
    ("to", "boundary"),
    [
        *product(("left", "right", "inner", "outer"), ("one-sided", Symmetric())),
        *product(("left", "right"), ("periodic",)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("stretch", [None, lambda x: x + 0.05 * np.sin(TURN * x)])
def test_observed_order_at_faces(to, boundary, stretch):
    # cos(2 pi x) is symmetric about both ends, and repeats.
    f, df = (lambda x: np.cos(TURN * x)), (lambda x: -TURN * np.sin(TURN * x))
    found = observed_order(
        D(0, to=to),
        *((np.exp, np.exp) if boundary == "one-sided" else (f, df)),
        boundary=boundary,
        method=FiniteDifference(4),
        stretch=stretch,
        sizes=(32, 48, 64, 96),
    )
    assert abs(found.order - 4) < 0.3


def test_observed_order_from_faces_to_centres():
    found = observed_order(D(0, at="outer", to="centre"), np.sin, np.cos)
    assert abs(found.order - 2) < 0.1


def test_observed_order_of_complex_functions():
    found = observed_order(D(0), lambda x: np.exp(1j * x), lambda x: 1j * np.exp(1j * x))
    assert abs(found.order - 2) < 0.1


def test_pair_of_equal_words_is_that_word():
    word = observed_order(D(0), np.sin, np.cos)
    assert observed_order(D(0), np.sin, np.cos, boundary=("one-sided", "one-sided")) == word


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"domain": ()}, "domain="),
        ({"domain": (0, 1, 2)}, "domain="),
        ({"sizes": (16, 16, 32)}, "all different"),
        ({"sizes": (16,)}, "at least two"),
    ],
    ids=["no axis", "three numbers", "equal sizes", "one size"],
)
def test_observed_order_refuses_what_it_cannot_use(arguments, message):
    with pytest.raises(ArgumentValueError, match=message):
        observed_order(D(0), np.sin, np.cos, **arguments)


@pytest.mark.parametrize("at", ["face", "sample", "next"])
def test_walls_lie_at_the_ends_of_the_domain(at):
    found = observed_order(
        D(0, 2),
        lambda x: np.exp(np.sin(x)),
        lambda x: np.exp(np.sin(x)) * (np.cos(x) ** 2 - np.sin(x)),
        domain=(0, 2),
        boundary=(Dirichlet(1.0, at=at), Neumann(float(np.exp(np.sin(2)) * np.cos(2)), at=at)),
        sizes=(32, 48, 64, 96),
    )
    assert abs(found.order - 2) < 0.2


def test_walls_whose_place_the_domain_does_not_tell_are_refused():
    for options in ({"boundary": Dirichlet(0.0, at=0.3)}, {"boundary": Dirichlet(0.0, at="next")}):
        if options["boundary"].at == "next":
            options["stretch"] = lambda x: x**2
        with pytest.raises(ArgumentValueError, match="wanted walls at"):
            observed_order(D(0), np.sin, np.cos, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: observed_order(D(0), 3, np.cos), "f=3 is not a function"),
        (lambda: observed_order(D(0), np.sin, "x"), "df='x' is not a function"),
        (lambda: observed_order(D(0), lambda x: "x", np.cos), "f returns values of dtype"),
        (lambda: modified_wavenumber(D(0).on(Grid(Axis()), (6,)), "x"), "k='x'"),
        (lambda: dot_test(D(0).on(Grid(Axis()), (6,)), seed="x"), "seed='x'"),
    ],
    ids=["f", "df", "values", "k", "seed"],
)
def test_questions_name_the_argument_that_is_wrong(call, message):
    with pytest.raises(ArgumentTypeError, match=message):
        call()


def test_functions_that_return_another_shape_are_named():
    with pytest.raises(ArgumentValueError, match=r"df returns an array of shape \(3,\)"):
        observed_order(D(0), np.sin, lambda x: np.ones(3))


@pytest.mark.parametrize("module", ["torch", "jax.numpy"])
def test_dot_test_runs_where_the_arrays_of_the_plan_are(module):
    xp = pytest.importorskip(module)
    assert dot_test((xp.ones(6) * D(0)).on(Grid(Axis()), (6,)))


def test_dot_test_computes_lazy_arrays_and_needs_no_gradients(library):
    coefficient = library.asarray(np.arange(1.0, 10.0), "float64")
    if library.kind == "torch":
        coefficient.requires_grad_()
    assert dot_test((D(0) * coefficient).on(Grid(Axis()), (9,)))
