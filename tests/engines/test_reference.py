"""The reference engine against sums written out index by index, and against calculus."""

from fractions import Fraction

import numpy as np
import pytest

from gradkit import Antisymmetric, Axis, D, Grid, Operator, hessian, operator_from_offsets
from gradkit.engines import reference

# Published one-sided and centred stencils (Fornberg 1988, tables 1 and 3), exact.
FIRST = {0: (-1.5, 2.0, -0.5), 1: (-0.5, 0.0, 0.5)}
SECOND = {0: (2.0, -5.0, 4.0, -1.0), 1: (1.0, -2.0, 1.0)}


def row_weights(order, i, n):
    """Index -> weight of row i of n, for spacing 1, second order everywhere."""
    table, sign = (FIRST, -1) if order == 1 else (SECOND, 1)
    if i == 0:
        return dict(enumerate(table[0]))
    if i == n - 1:
        return {n - 1 - k: sign * w for k, w in enumerate(table[0])}
    return dict(zip((i - 1, i, i + 1), table[1], strict=True))


def by_index(f, order, axis, h):
    """The derivative along an axis, one element after the other."""
    result = np.zeros_like(f)
    for index in np.ndindex(f.shape):
        total = 0
        for k, w in row_weights(order, index[axis], f.shape[axis]).items():
            total = total + w * f[(*index[:axis], k, *index[axis + 1 :])]
        result[index] = total / h**order
    return result


def plan_of(operator, shape, *axes, **options):
    return operator.on(Grid(*(axes or [Axis()] * len(shape))), shape, **options)


# --- against sums written out -------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_derivative_is_the_sum_written_out(order, axis, rng):
    f = rng.standard_normal((5, 6, 4))
    h = 0.7
    got = plan_of(D(axis, order), f.shape, *[Axis(h)] * 3)(f)
    # At most four products and sums of terms below 5 |f| / h**order, each rounded once.
    tolerance = 12 * np.finfo(float).eps * 5 * abs(f).max() / h**order
    np.testing.assert_allclose(got, by_index(f, order, axis, h), rtol=0, atol=tolerance)


def test_mixed_derivative_is_one_sum_after_the_other(rng):
    f = rng.standard_normal((5, 6))
    got = plan_of(D(0) * D(1), f.shape, Axis(0.5), Axis(0.25))(f)
    wanted = by_index(by_index(f, 1, 0, 0.5), 1, 1, 0.25)
    # Two sums of three terms each, weights up to 2, spacings that divide exactly.
    tolerance = 16 * np.finfo(float).eps * 4 * 4 * abs(f).max() / (0.5 * 0.25)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance)


def test_mixed_derivative_of_higher_order_is_one_sum_after_the_other(rng):
    f = rng.standard_normal((5, 6, 4))
    got = plan_of(D(0, 2) * D(2), f.shape)(f)
    wanted = by_index(by_index(f, 2, 0, 1.0), 1, 2, 1.0)
    tolerance = 16 * np.finfo(float).eps * 12 * 4 * abs(f).max()
    np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance)


def test_wrapped_derivatives_are_sums_of_rolled_arrays(rng):
    f = rng.standard_normal((6, 5))
    periodic = plan_of(D(0), f.shape, Axis(0.5, boundary="periodic"), None)(f)
    wanted = np.roll(f, -1, 0) - np.roll(f, 1, 0)  # 2 h = 1
    np.testing.assert_array_equal(periodic, wanted)
    signs = np.ones((6, 1))
    signs[0] = -1
    before = np.roll(f, 1, 0) * signs
    after = np.roll(f, -1, 0) * signs[::-1]
    antiperiodic = plan_of(D(0), f.shape, Axis(0.5, boundary="antiperiodic"), None)(f)
    np.testing.assert_array_equal(antiperiodic, after - before)


# --- against calculus ---------------------------------------------------------------------------

X, Y = np.meshgrid(np.arange(5.0), np.arange(6.0), indexing="ij")


QUADRATIC = [
    (D(0) * D(1), 4 * X * Y),
    (D(1) * D(0), 4 * X * Y),
    (D(0, 2) * D(1), 4 * Y),
    (D(0, 2) * D(1, 2), 4 + 0 * X),
    (D(0) + D(1), 2 * X * Y**2 + 2 * X**2 * Y),
    (D(0, 2) - 3 * D(1) + 2, 2 * Y**2 - 6 * X**2 * Y + 2 * X**2 * Y**2),
    (2 * D(0) * D(1) - D(0, 2) / 2, 8 * X * Y - Y**2),
    ((D(0) + 1) * (D(1) - 1), 4 * X * Y - 2 * X * Y**2 + 2 * X**2 * Y - X**2 * Y**2),
    (-D(0), -2 * X * Y**2),
    (1 - D(0), X**2 * Y**2 - 2 * X * Y**2),
    (D(0) ** 0, X**2 * Y**2),
    (0.25 * D(-1), X**2 * Y / 2),
]


@pytest.mark.parametrize(("operator", "wanted"), QUADRATIC, ids=[repr(o) for o, _ in QUADRATIC])
def test_operator_is_exact_on_a_quadratic_of_small_integers(operator, wanted):
    # Second order is exact on quadratics, and all numbers here are small dyadic fractions.
    np.testing.assert_array_equal(plan_of(operator, (5, 6))(X**2 * Y**2), wanted)


@pytest.mark.parametrize(
    "two", [2, 2.0, Fraction(2), np.float64(2), np.float32(2), np.int64(2), np.uint8(2)], ids=repr
)
def test_coefficients_may_be_numbers_of_any_real_type(two):
    np.testing.assert_array_equal(plan_of(two * D(0), (5, 6))(X**2), 4 * X)
    np.testing.assert_array_equal(plan_of(D(0) * two + two, (5, 6))(X), 2 + 2 * X)


def test_coefficient_that_is_not_dyadic_is_rounded_once():
    f = np.asarray([0.0, 3.0, 6.0, 9.0])
    np.testing.assert_array_equal(plan_of(Fraction(1, 3) * D(0), (4,))(f), np.ones(4))
    np.testing.assert_array_equal(plan_of(0.1 * D(0) ** 0, (4,))(f), 0.1 * f)


def test_coefficients_do_not_promote_float32():
    got = plan_of(0.1 * D(0) + 0.3, (4,))(np.arange(4, dtype="float32"))
    assert got.dtype == "float32"


def test_mixed_derivative_converges_with_second_order():
    errors = []
    sizes = (20, 40, 80)
    for n in sizes:
        x = np.arange(n) / (n - 1)
        f = np.sin(2 * x)[:, None] * np.exp(x)[None, :]
        got = plan_of(D(0) * D(1), f.shape, Axis(x[1]), Axis(x[1]))(f)
        errors.append(abs(got - 2 * np.cos(2 * x)[:, None] * np.exp(x)[None, :]).max())
    steps = np.log(np.asarray(sizes) - 1)
    assert np.polyfit(steps, np.log(errors), 1)[0] == pytest.approx(-2, abs=0.1)


# --- the zero operator --------------------------------------------------------------------------

ZERO = D(0) - D(0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "int32"])
def test_zero_operator_gives_zeros_of_the_right_kind(library, dtype):
    f = library.asarray(np.arange(12).reshape(3, 4), dtype)
    got = plan_of(ZERO, (3, 4))(f)
    assert type(got) is type(f)
    host = library.to_numpy(got)
    assert host.dtype == ("float64" if dtype == "int32" else dtype)
    np.testing.assert_array_equal(host, np.zeros((3, 4)))


def test_zero_operator_needs_no_points():
    np.testing.assert_array_equal(plan_of(0 * D(0, 4), (1,))(np.ones(1)), [0.0])


@pytest.mark.parametrize("dtype", ["datetime64[s]", "timedelta64[s]"])
def test_zero_operator_on_times_gives_floats(dtype):
    got = plan_of(ZERO, (4,))(np.arange(4).astype(dtype))
    assert got.dtype == "float64"
    np.testing.assert_array_equal(got, np.zeros(4))


def test_zero_entries_in_a_system():
    system = Operator((*D(0).entries, *ZERO.entries, *D(1).entries, *ZERO.entries))
    first, zero, second, other = plan_of(system, (5, 6))(X + 3 * Y)
    np.testing.assert_array_equal(first, np.ones((5, 6)))
    np.testing.assert_array_equal(second, 3 * np.ones((5, 6)))
    for got in (zero, other):
        assert got.dtype == "float64"
        np.testing.assert_array_equal(got, np.zeros((5, 6)))


# --- the identity -------------------------------------------------------------------------------

IDENTITY = D(0) ** 0


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
def test_identity_of_integers_is_their_nearest_float(library, dtype):
    limits = np.iinfo(dtype)
    values = [limits.min, limits.max, limits.max // 2, 0, 3, limits.max // 3 * 2]
    got = library.to_numpy(plan_of(IDENTITY, (6,))(library.asarray(values, dtype)))
    np.testing.assert_array_equal(got, [float(v) for v in values], strict=True)


def test_identity_beside_a_derivative_of_large_integers():
    f = np.asarray([2**60, 2**60 + 2, 2**60 + 4], dtype="int64")
    np.testing.assert_array_equal(plan_of(D(0) + 0 * IDENTITY, (3,))(f), [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(plan_of(2**8 * D(0) + 1, (3,))(f), [2.0**60 + 512] * 3)


def test_identity_of_times_counts_in_the_unit():
    spans = np.asarray([0, 90, -30], dtype="timedelta64[s]")
    np.testing.assert_array_equal(plan_of(IDENTITY, (3,), unit="m")(spans), [0.0, 1.5, -0.5])
    np.testing.assert_array_equal(plan_of(3 * IDENTITY, (3,))(spans), [0.0, 270.0, -90.0])
    days = np.asarray(["1970-01-03", "1969-12-31", "NaT"], dtype="datetime64[D]")
    np.testing.assert_array_equal(plan_of(IDENTITY, (3,), unit="h")(days), [48.0, -24.0, np.nan])


def test_identity_of_a_multiple_of_a_unit():
    quarters = np.asarray([0, 1, 4], dtype="timedelta64[15m]")
    np.testing.assert_array_equal(plan_of(IDENTITY, (3,), unit="h")(quarters), [0.0, 0.25, 1.0])


def test_identity_beside_a_derivative_of_times():
    spans = np.asarray([0, 60, 240], dtype="timedelta64[s]")
    got = plan_of(D(0) + 1, (3,), unit="m", edge_order=1)(spans)
    np.testing.assert_array_equal(got, [1.0 + 0.0, 2.0 + 1.0, 3.0 + 4.0])


def test_rows_that_take_no_value_are_zero_for_integers_too():
    line = Grid(Axis(boundary=Antisymmetric(at="sample")))
    np.testing.assert_array_equal(
        D(0, 2).on(line, (5,))(np.array([0, 3, 5, 3, 0])), [0, -1, -4, -1, 0]
    )
    shift = operator_from_offsets({1: 1}).on(Grid(Axis(boundary=Antisymmetric(at="next"))), (3,))
    np.testing.assert_array_equal(shift(np.array([1, 2, 3])), [2, 3, 0])


def test_identity_does_not_spread_nan():
    f = np.asarray([1.0, np.nan, 3.0])
    np.testing.assert_array_equal(plan_of(IDENTITY, (3,))(f), f)


# --- what a run leaves as it was ----------------------------------------------------------------


@pytest.mark.parametrize("operator", [D(0), D(0) * D(1) + 2, IDENTITY, ZERO], ids=repr)
def test_input_is_not_written_to(library, operator):
    values = np.arange(20.0).reshape(4, 5) ** 2
    f = library.asarray(values)
    plan_of(operator, (4, 5))(f)
    np.testing.assert_array_equal(library.to_numpy(f), values)


@pytest.mark.parametrize("operator", [D(0), D(0) * D(1) + 2, D(1, 2)], ids=repr)
@pytest.mark.parametrize("boundary", ["one-sided", "periodic", "antiperiodic"])
def test_read_only_input_gives_the_same_writeable_result(operator, boundary, rng):
    f = rng.standard_normal((5, 6))
    axes = [Axis(0.5, boundary=boundary)] * 2
    wanted = plan_of(operator, f.shape, *axes)(f)
    f.setflags(write=False)
    got = plan_of(operator, f.shape, *axes)(f)
    np.testing.assert_array_equal(got, wanted)
    assert got.flags.writeable


def test_identity_does_not_hand_out_the_input(rng):
    f = rng.standard_normal(4)
    assert not np.shares_memory(plan_of(IDENTITY, (4,))(f), f)


def test_equal_outputs_are_computed_once(rng):
    rows = hessian(rng.standard_normal((5, 6)))
    assert rows[0][1] is rows[1][0]
    assert rows[0][0] is not rows[1][1]


# --- one plan, many kinds of input --------------------------------------------------------------


def test_plan_forgets_nothing_between_kinds_of_input(rng):
    x = [0.0, 1.0, 2.5, 3.0, 5.0, 5.5]
    plan = plan_of(D(0, 2) + D(0), (6,), Axis(coordinates=x))
    values = rng.integers(-9, 9, 6)
    for dtype in ("float32", "float64", "complex64", "int8", "complex128", "uint64", "float32"):
        f = abs(values).astype(dtype)
        got = plan(f)
        alone = plan_of(D(0, 2) + D(0), (6,), Axis(coordinates=x))(f)
        np.testing.assert_array_equal(got, alone, strict=True)


def test_plan_serves_all_libraries_in_turn(library, rng):
    plan = plan_of(D(0, 2), (6, 4), Axis(coordinates=[0.0, 1.0, 2.5, 3.0, 5.0, 5.5]), None)
    f = rng.standard_normal((6, 4))
    wanted = plan(f)
    for _ in range(2):
        # A compiler may fuse a product and a sum: one rounding less in each of four.
        got = library.to_numpy(plan(library.asarray(f)))
        np.testing.assert_allclose(got, wanted, rtol=0, atol=4 * np.spacing(abs(wanted).max()))
        np.testing.assert_array_equal(plan(f), wanted)


def test_weights_are_uploaded_once(monkeypatch):
    torch = pytest.importorskip("torch")
    plan = plan_of(D(0, 2), (5,), Axis(coordinates=[0.0, 1.0, 2.5, 3.0, 5.0]))
    f = torch.arange(5.0)
    wanted = plan(f)

    def refuse(*args, **kwargs):
        raise AssertionError("uploaded again")

    monkeypatch.setattr(torch, "asarray", refuse)
    monkeypatch.setattr(torch, "tensor", refuse)
    assert torch.equal(plan(f), wanted)


def test_reference_serves_everything(library):
    plan = plan_of(D(0), (4,))
    assert reference.supports(plan, [library.asarray([1.0, 2.0, 4.0, 8.0])]) is None


def test_run_returns_one_array_per_output(rng):
    f = rng.standard_normal((4, 5))
    system = Operator((*D(0).entries, *D(1).entries, *D(0).entries))
    results = reference.run(plan_of(system, (4, 5)), [f])
    assert len(results) == 3
    assert results[0] is results[2]
    # NumPy rounds the three terms of its edge rows in another order: a few roundings of 8 |f|.
    wanted = np.gradient(f, axis=1, edge_order=2)
    np.testing.assert_allclose(results[1], wanted, rtol=0, atol=4 * np.spacing(8 * abs(f).max()))
