"""Error estimates against true errors: of analytic functions, and of exact arithmetic."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from gradkit import (
    Antisymmetric,
    Average,
    Axis,
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
    operator_from_offsets,
)
from gradkit.errors import ArgumentTypeError, ArgumentValueError, UnsupportedError
from gradkit.estimates import ErrorEstimate

N = 64
PERIOD = Grid(Axis(spacing=2 * np.pi / N, boundary="periodic"))
X = np.arange(N) * (2 * np.pi / N)


def rounding_of(size):
    """What a few roundings of numbers of some size amount to."""
    return 64 * np.spacing(float(size))


# --- truncation ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "accuracy", "better"),
    # The errors of the method two orders better on sin: Fornberg's tables, leading term.
    [(1, 2, 1 / 30), (1, 4, 1 / 140), (2, 2, 1 / 90), (2, 4, 1 / 560)],
)
def test_truncation_is_the_true_error_on_a_wave(order, accuracy, better):
    h = X[1]
    plan = D(0, order).on(PERIOD, (N,), method=FiniteDifference(accuracy))
    exact = np.cos(X) if order == 1 else -np.sin(X)
    true = abs(plan(np.sin(X)) - exact)
    got = plan.error_estimate(np.sin(X)).truncation
    # It differs from the true error by the error of the better method.
    bound = better * h ** (accuracy + 2) + rounding_of(1 / h**order)
    np.testing.assert_allclose(got, true, rtol=0, atol=bound)
    assert true.max() > 100 * bound


@pytest.mark.parametrize(("form", "factor"), [("", 1j), ("T", -1j), ("H", 1j), ("conjugate", -1j)])
def test_truncation_of_adjoints_is_that_of_their_own_result(form, factor):
    plan = (1j * D(0)).on(PERIOD, (N,))
    plan = {"": plan, "T": plan.T, "H": plan.H, "conjugate": plan.T.H}[form]
    # On a periodic axis the transposed derivative is its negative.
    true = abs(plan(np.sin(X)) - factor * np.cos(X))
    got = plan.error_estimate(np.sin(X)).truncation
    bound = X[1] ** 4 / 30 + rounding_of(1 / X[1])
    np.testing.assert_allclose(got, true, rtol=0, atol=bound)
    assert true.max() > 100 * bound


@pytest.mark.parametrize("accuracy", [2, 4])
def test_truncation_is_the_true_error_near_open_ends(accuracy):
    x = np.linspace(0, 1, 65)
    h = x[1]
    plan = D(0).on(Grid(Axis(h)), (65,), method=FiniteDifference(accuracy))
    true = abs(plan(np.exp(x)) - np.exp(x))
    got = plan.error_estimate(np.exp(x)).truncation
    # One-sided stencils of p + 1 points have the error h**p f^(p + 1) / (p + 1), at most.
    bound = np.e * h ** (accuracy + 2) / (accuracy + 3) + rounding_of(20 * np.e / h)
    np.testing.assert_allclose(got, true, rtol=0, atol=bound)
    assert true[0] > 20 * bound


#: Name -> operator, grid along x, method, f and its result on polynomials for which the better
#: method is exact and the method itself is not: then the estimate is the error itself.
ROUGH = np.asarray([0.0, 0.5, 1.5, 2.0, 3.0, 3.25, 4.5, 5.0, 6.0, 6.5])
CENTRES = (np.arange(10) + 0.5) / 2
FACES = np.arange(11) / 2
POLYNOMIALS = {
    "coordinates": (D(0), Axis(coordinates=ROUGH), ROUGH, lambda x: x**4, 4 * ROUGH**3),
    "second derivative": (D(0, 2), Axis(0.5), CENTRES, lambda x: x**5, 20 * CENTRES**3),
    "from centres to faces": (D(0, to="outer"), Axis(0.5), CENTRES, lambda x: x**4, 4 * FACES**3),
    "mean of neighbours": (
        Average(0, to="inner"),
        Axis(0.5),
        CENTRES,
        lambda x: x**3,
        FACES[1:-1] ** 3,
    ),
    "value at a wall": (
        D(0, 2),
        Axis(0.5, boundary=(Dirichlet(0), Dirichlet(5.0**4))),
        CENTRES,
        lambda x: x**4,
        12 * CENTRES**2,
    ),
    "slope at a wall": (
        D(0, 2),
        Axis(0.5, boundary=(Neumann(0), "one-sided")),
        CENTRES,
        lambda x: x**4,
        12 * CENTRES**2,
    ),
    "value and slope at a wall": (
        D(0, 2),
        Axis(0.5, boundary=("one-sided", Robin(2, 1, 2 * 5.0**4 + 4 * 5.0**3))),
        CENTRES,
        lambda x: x**4,
        12 * CENTRES**2,
    ),
    "stencil of one's own": (
        D(0, stencil=Stencil((-1, 0), order=1)),
        Axis(0.5),
        CENTRES,
        lambda x: x**2,
        2 * CENTRES,
    ),
    "neighbours of one's own": (
        operator_from_offsets([-1, 0, 1], like=D(0, 2)),
        Axis(0.5),
        CENTRES,
        lambda x: x**4,
        12 * CENTRES**2,
    ),
    "array in front": (
        (ROUGH + 1) * D(0),
        Axis(coordinates=ROUGH),
        ROUGH,
        lambda x: x**3,
        3 * (ROUGH + 1) * ROUGH**2,
    ),
}


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_truncation_is_the_error_where_the_better_method_is_exact(name):
    operator, axis, x, f, exact = POLYNOMIALS[name]
    plan = operator.on(Grid(axis), (10,))
    true = abs(plan(f(x)) - exact)
    got = plan.error_estimate(f(x)).truncation
    # Values up to 6.5**5, weights of the better method up to 30 / h**2 on the smallest step.
    atol = 30 * np.spacing(abs(f(x)).max() / 0.25**2)
    np.testing.assert_allclose(got, true, rtol=0, atol=atol)
    assert true.max() > 1e6 * atol


def test_edge_order_is_raised_with_the_accuracy():
    x = np.arange(9.0)
    plan = D(0).on(Grid(Axis()), (9,), edge_order=1)
    # Of third degree, on which closures of third order are exact: 0**3, 1**3, ...
    true = abs(plan(x**3) - 3 * x**2)
    np.testing.assert_array_equal(true, [1.0] * 8 + [23.0])
    got = plan.error_estimate(x**3).truncation
    # Closures of third order have weights with thirds: a few roundings of 512 * 3.
    np.testing.assert_allclose(got, true, rtol=0, atol=8 * np.spacing(1536.0))


def test_plan_is_left_as_it_was():
    def make():
        return Laplacian(2).on(Grid(Axis(0.5), Axis(boundary=Dirichlet(1.0))), (8, 9), edge_order=1)

    plan, untouched = make(), make()
    f = np.cos(np.arange(72.0)).reshape(8, 9)
    before = plan(f)
    plan.error_estimate(f)
    assert plan == untouched
    assert (hash(plan), repr(plan)) == (hash(untouched), repr(untouched))
    np.testing.assert_array_equal(plan(f), before)
    np.testing.assert_array_equal(f, np.cos(np.arange(72.0)).reshape(8, 9))


def test_better_method_needs_a_longer_axis():
    plan = D(0).on(Grid(Axis()), (4,))
    message = r"two orders more .*axis 0 has 4 points.*accuracy 4.*at least 5"
    with pytest.raises(ArgumentValueError, match=message):
        plan.error_estimate(np.ones(4))


# --- rounding -----------------------------------------------------------------------------------

EPS = float(np.finfo(float).eps)


def centred(f, h, order):
    """Exact results of the three-point stencils of the inner points, from fractions."""
    pairs = zip(f[:-2], f[1:-1], f[2:], strict=True)
    if order == 1:
        return [(c - a) / (2 * h) for a, _, c in pairs]
    return [(a - 2 * b + c) / h**2 for a, b, c in pairs]


def five_points(f, h, order):
    """Exact results of the five-point stencils."""
    runs = zip(f[:-4], f[1:-3], f[2:-2], f[3:-1], f[4:], strict=True)
    if order == 1:
        return [(a - 8 * b + 8 * d - e) / (12 * h) for a, b, _, d, e in runs]
    return [(-a + 16 * b - 30 * c + 16 * d - e) / (12 * h**2) for a, b, c, d, e in runs]


def exact_values(name, size):
    """Data as it would be without rounding, as fractions: of 40 digits where it has no end."""
    with mpmath.workdps(40):
        values = {
            "wave": lambda i: mpmath.sin(mpmath.mpf(i) / 7),
            "wave on a plateau": lambda i: 1000 + mpmath.sin(mpmath.mpf(i) / 7),
            "growing": lambda i: mpmath.exp(mpmath.mpf(i) / 5),
            "noise": lambda i: mpmath.frac(mpmath.sin(i) * 10**5),
        }
        numbers = [values[name](i) for i in range(size)]
        return [Fraction(*map(int, mpmath.libmp.to_rational(v._mpf_))) for v in numbers]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("data", ["wave", "wave on a plateau", "growing", "noise"])
@pytest.mark.parametrize("h", [0.1, 1e-6, 2.0**40])
@pytest.mark.parametrize(("order", "accuracy"), [(1, 2), (2, 2), (1, 4), (2, 4)])
def test_rounding_is_a_bound_and_not_a_wild_one(order, accuracy, h, data, dtype):
    size, reach = 60, accuracy // 2
    stencil = centred if accuracy == 2 else five_points
    true = exact_values(data, size)
    f = np.asarray([float(v) for v in true]).astype(dtype)
    plan = D(0, order).on(Grid(Axis(h)), (size,), method=FiniteDifference(accuracy))
    inside = slice(reach, size - reach)
    bound = plan.error_estimate(f).rounding[inside]

    def error(results, wanted):
        pairs = zip(results, wanted, strict=True)
        return np.asarray([float(abs(got - exact)) for got, exact in pairs])

    exact = stencil(true, Fraction(h), order)
    of_data = error(stencil([Fraction(v) for v in f.tolist()], Fraction(h), order), exact)
    assert (of_data <= bound).all()
    of_call = error([Fraction(v) for v in plan(f)[inside].tolist()], exact)
    # Each product meets the rounding of the data, of the difference, of the weight, of up to two
    # sums, of the divisor and of the quotient: at most 7 eps/2.
    assert (of_call <= 3.5 * bound).all()
    # Roundings are eps/4 on average and cancel in part: some factor of 10 in all.
    assert bound.max() < 100 * of_call.max()


def test_rounding_is_the_sum_of_the_magnitudes_of_all_products():
    a, f = np.asarray([2.0, -3.0, 5.0, 1.0, -4.0]), np.asarray([7.0, -1.0, 4.0, 8.0, -2.0])
    plan = (a * D(0) + 0.5 * D(0, 2) - 2).on(Grid(Axis(0.5, boundary="periodic")), (5,))
    before, after = abs(np.roll(f, 1)), abs(np.roll(f, -1))
    sums = abs(a) * (before + after) + 2 * (before + 2 * abs(f) + after) + 2 * abs(f)
    np.testing.assert_array_equal(plan.error_estimate(f).rounding, EPS * sums)


def test_rounding_of_a_composition_takes_the_magnitudes_of_both_steps():
    a, f = np.asarray([2.0, -3.0, 5.0, 1.0]), np.asarray([7.0, -1.0, 4.0, 8.0])
    faces = (a * D(0, to="left")).on(Grid(Axis(boundary="periodic")), (4,))
    flux = abs(a) * (abs(f) + abs(np.roll(f, 1)))
    np.testing.assert_array_equal(faces.error_estimate(f).rounding, EPS * flux)
    there_and_back = (D(0, to="centre") @ (a * D(0, to="left"))).on(faces.grid, (4,))
    wanted = EPS * (flux + np.roll(flux, -1))
    np.testing.assert_array_equal(there_and_back.error_estimate(f).rounding, wanted)


def test_rounding_of_the_adjoint_is_that_of_its_own_products():
    f = np.asarray([7.0, -1.0, 4.0, 8.0, -2.0])
    plan = (2j * D(0)).on(Grid(Axis(boundary="periodic")), (5,))
    wanted = EPS * (abs(np.roll(f, 1)) + abs(np.roll(f, -1)))
    for adjoint in (plan.T, plan.H):
        np.testing.assert_array_equal(adjoint.error_estimate(f).rounding, wanted)


def test_rounding_of_the_adjoint_of_a_system_has_one_array_per_input(rng):
    axes = [Axis(boundary="periodic")] * 2
    # Two rows that are equal make two columns that are not.
    plan = Operator.matrix([[D(0), D(1)], [D(0), D(1)]]).on(Grid(*axes), (5, 6))
    g = rng.standard_normal((2, 5, 6))
    both = abs(g[0]) + abs(g[1])
    for axis, got in enumerate(plan.T.error_estimate(g).rounding):
        wanted = EPS * (np.roll(both, 1, axis) + np.roll(both, -1, axis)) / 2
        # Sums of four numbers in another order.
        np.testing.assert_allclose(got, wanted, rtol=4 * EPS)
    rounding = Divergence(2).on(Grid(*axes), (5, 6)).T.error_estimate(g[0]).rounding
    assert [part.shape for part in rounding] == [(5, 6), (5, 6)]


def test_rounding_of_reflected_values():
    f = np.asarray([7.0, -1.0, 4.0])
    plan = D(0, 2).on(Grid(Axis(boundary=Antisymmetric())), (3,), method=FiniteDifference(2))
    # Rows -3 f[0] + f[1], f[0] - 2 f[1] + f[2], f[1] - 3 f[2].
    np.testing.assert_array_equal(plan.magnitude(abs(f)), [22.0, 13.0, 13.0])


@pytest.mark.parametrize(
    ("dtype", "eps"), [("float64", 2.0**-52), ("float32", 2.0**-23), ("float16", 2.0**-10)]
)
def test_rounding_is_that_of_the_dtype_of_the_result(dtype, eps):
    f = np.asarray([1.0, 2.0, 4.0, 8.0, 16.0], dtype)
    plan = D(0).on(Grid(Axis(boundary="periodic")), (5,))
    estimate = plan.error_estimate(f)
    wanted = np.asarray([9.0, 2.5, 5.0, 10.0, 4.5], dtype) * np.asarray(eps, dtype)
    np.testing.assert_array_equal(estimate.rounding, wanted, strict=True)
    assert estimate.truncation.dtype == dtype


def test_dtype_of_the_plan_counts():
    f = np.asarray([1.0, 2.0, 4.0, 8.0, 16.0])
    plan = D(0).on(Grid(Axis(boundary="periodic")), (5,), dtype="float32")
    wanted = np.asarray([9.0, 2.5, 5.0, 10.0, 4.5], "float32") * np.float32(2.0**-23)
    np.testing.assert_array_equal(plan.error_estimate(f).rounding, wanted, strict=True)


# --- kinds of input -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "uint64"])
def test_integers_are_estimated_as_the_numbers_that_they_are(dtype, rng):
    plan = D(0).on(Grid(Axis(0.5)), (12,))
    f = rng.integers(0, 100, 12)
    got, wanted = plan.error_estimate(f.astype(dtype)), plan.error_estimate(f.astype("float64"))
    np.testing.assert_array_equal(got.rounding, wanted.rounding, strict=True)
    np.testing.assert_array_equal(got.truncation, wanted.truncation, strict=True)


def test_signed_integers_count_by_magnitude():
    plan = D(0).on(Grid(Axis(boundary="periodic")), (5,))
    got = plan.error_estimate(np.asarray([-128, 127, -128, 0, 1], "int8")).rounding
    np.testing.assert_array_equal(got, EPS * np.asarray([64.0, 128.0, 63.5, 64.5, 64.0]))


def test_complex_data_has_real_estimates(rng):
    z = rng.standard_normal(12) + 1j * rng.standard_normal(12)
    plan = D(0).on(Grid(Axis(boundary="periodic")), (12,))
    estimate = plan.error_estimate(z)
    real, imaginary = (plan.error_estimate(part).truncation for part in (z.real, z.imag))
    # Each part has its own error; hypot adds one rounding to the few of each.
    wanted = np.hypot(real, imaginary)
    np.testing.assert_allclose(estimate.truncation, wanted, rtol=0, atol=16 * np.spacing(4.0))
    sums = (abs(np.roll(z, 1)) + abs(np.roll(z, -1))) / 2
    np.testing.assert_allclose(estimate.rounding, EPS * sums, rtol=4 * EPS)
    assert estimate.truncation.dtype == estimate.rounding.dtype == "float64"


def test_complex_operator_on_real_data_has_real_estimates(rng):
    f = rng.standard_normal(12)
    plan = ((3 + 4j) * D(0)).on(Grid(Axis(boundary="periodic")), (12,))
    estimate = plan.error_estimate(f)
    sums = 5 * (abs(np.roll(f, 1)) + abs(np.roll(f, -1))) / 2
    np.testing.assert_allclose(estimate.rounding, EPS * sums, rtol=4 * EPS)
    assert estimate.truncation.dtype == estimate.rounding.dtype == "float64"


def test_system_has_one_estimate_per_output(rng):
    f = rng.standard_normal((8, 9))
    plan = Gradient(2, to="outer").on(Grid(Axis(0.5), Axis(0.25)), (8, 9))
    estimate = plan.error_estimate(f)
    assert isinstance(estimate.truncation, tuple)
    assert [a.shape for a in estimate.truncation] == [(9, 9), (8, 10)]
    for axis, h in ((0, 0.5), (1, 0.25)):
        alone = D(axis, to="outer").on(plan.grid, (8, 9)).error_estimate(f)
        np.testing.assert_array_equal(estimate.truncation[axis], alone.truncation)
        inside = [slice(None)] * 2
        inside[axis] = slice(1, -1)
        low, high = (np.take(f, range(k, f.shape[axis] - 1 + k), axis) for k in (0, 1))
        wanted = EPS * (abs(low) + abs(high)) / h
        np.testing.assert_array_equal(estimate.rounding[axis][tuple(inside)], wanted)


@pytest.mark.parametrize("form", [tuple, list, np.stack])
def test_several_inputs_come_as_in_a_call(form, rng):
    v = [rng.standard_normal((8, 9)) for _ in range(2)]
    axes = [Axis(boundary="periodic")] * 2
    estimate = Divergence(2).on(Grid(*axes), (8, 9)).error_estimate(form(v))
    sums = [abs(np.roll(c, k, axis)) / 2 for axis, c in enumerate(v) for k in (1, -1)]
    # Sums of four numbers below 2, added in another order.
    np.testing.assert_allclose(estimate.rounding, EPS * sum(sums), rtol=4 * EPS)


def test_nan_stays_where_its_stencil_reaches():
    f = np.ones(12)
    f[6] = np.nan
    estimate = D(0).on(Grid(Axis()), (12,)).error_estimate(f)
    # Rounding takes the three points of the method, of which the middle one has the weight 0.
    assert np.flatnonzero(np.isnan(estimate.rounding)).tolist() == [5, 7]
    assert np.flatnonzero(np.isnan(estimate.truncation)).tolist() == [4, 5, 7, 8]


def test_every_library_has_the_estimates_of_numpy(library, rng):
    values = rng.standard_normal((9, 8))
    axes = Axis(0.3, boundary=Dirichlet(0.5)), Axis(0.7, boundary="periodic")
    plan = Laplacian(2).on(Grid(*axes), (9, 8))
    wanted = plan.error_estimate(values)
    f = library.asarray(values)
    estimate = plan.error_estimate(f)
    for name in ("truncation", "rounding"):
        got = getattr(estimate, name)
        assert type(got) is type(f)
        # A compiler may fuse products and sums: a few roundings of results below 200.
        largest = {"truncation": 200.0, "rounding": 200 * EPS}[name]
        atol = 8 * np.spacing(largest) if library.kind == "jax" else 0
        expected = getattr(wanted, name)
        np.testing.assert_allclose(library.to_numpy(got), expected, rtol=0, atol=atol)


def test_lazy_data_is_estimated_lazily(no_compute):
    da = pytest.importorskip("dask.array")
    plan = D(0).on(PERIOD, (N,))
    with no_compute():
        estimate = plan.error_estimate(da.from_array(np.sin(X), chunks=10))
    wanted = plan.error_estimate(np.sin(X))
    got = estimate.truncation.compute(scheduler="synchronous")
    np.testing.assert_array_equal(got, wanted.truncation)


def test_tensors_keep_their_dtype():
    torch = pytest.importorskip("torch")
    plan = D(0).on(Grid(Axis(boundary="periodic")), (5,))
    for dtype, eps in ((torch.float32, 2.0**-23), (torch.bfloat16, 2.0**-7)):
        estimate = plan.error_estimate(torch.asarray([1.0, 2.0, 4.0, 8.0, 16.0], dtype=dtype))
        assert estimate.rounding.dtype == dtype
        wanted = [9.0 * eps, 2.5 * eps, 5.0 * eps, 10.0 * eps, 4.5 * eps]
        assert estimate.rounding.double().tolist() == wanted


# --- what it says -------------------------------------------------------------------------------


def test_share_counts_the_points_of_all_outputs():
    small, large = np.asarray([1.0, 3.0, 1.0]), np.asarray([2.0, 2.0, 2.0])
    assert ErrorEstimate(small, large).share == 1 / 3
    # As many outputs as there are, of any shape; equal ones are no reason to refine.
    pairs = ErrorEstimate((small, np.ones((2, 2))), (large, np.zeros((2, 2))))
    assert pairs.share == 5 / 7
    assert ErrorEstimate(large, large).share == 0


def test_advice_where_truncation_dominates():
    estimate = ErrorEstimate(np.asarray([0.25, 0.5, 0.0]), np.asarray([0.0, 1e-9, 1.5e-3]))
    assert estimate.advice == (
        "truncation dominates at 67% of the points (at most 5.0e-01 against 1.5e-03): a higher "
        "accuracy or a finer grid helps"
    )
    assert repr(estimate) == f"ErrorEstimate: {estimate.advice}"


def test_advice_where_rounding_dominates():
    estimate = ErrorEstimate(np.asarray([0.0, 1e-12, 0.0, 1.0]), np.asarray([1e-3] * 4))
    assert estimate.advice == (
        "rounding dominates at 75% of the points (at most 1.0e+00 against 1.0e-03): a higher "
        "accuracy or a finer grid does not help; a wider spacing, smoother data or a wider dtype "
        "does"
    )
    assert repr(estimate) == f"ErrorEstimate: {estimate.advice}"


def test_advice_leaves_out_the_points_that_infinite_values_reach():
    f = np.sin(X)
    plan = D(0).on(PERIOD, (N,))
    advice = plan.error_estimate(f).advice
    f[20] = np.inf
    estimate = plan.error_estimate(f)
    # The better stencil reaches two points to each side, but not the centre.
    assert estimate.advice == f"{advice}; nothing is known at 4 points with infinite values"
    assert estimate.share == (N - 6) / (N - 4)
    zero = ErrorEstimate(np.asarray([np.inf, 0.0]), np.asarray([1.0, 0.0]))
    assert zero.advice.startswith("neither dominates: both are 0 at all points; nothing is known")
    infinite = ErrorEstimate(np.asarray([np.inf, np.nan]), np.asarray([np.inf, np.inf]))
    assert infinite.advice == "nothing is known: all results are infinite, NaN or masked"


@pytest.mark.parametrize(
    "f", [np.full(N, np.nan), np.ma.masked_array(np.sin(X), True)], ids=["NaN", "masked"]
)
def test_advice_on_data_that_is_not_known(f):
    estimate = D(0).on(PERIOD, (N,)).error_estimate(f)
    assert estimate.advice == "nothing is known: all results are infinite, NaN or masked"
    partly = np.ma.masked_array(np.sin(X), X < 1)
    known = D(0).on(PERIOD, (N,)).error_estimate(partly)
    assert known.advice.startswith("truncation dominates")
    empty = D(0).on(Grid(PERIOD.axes[0], None), (N, 0)).error_estimate(np.ones((N, 0)))
    assert empty.advice == "neither dominates: both are 0 at all points"


def test_advice_on_a_coarse_grid_and_on_one_that_is_too_fine():
    coarse = D(0).on(PERIOD, (N,)).error_estimate(np.sin(X))
    # Truncation is h**2/6 |cos|, rounding at most eps/h: it wins next to the zeros of cos alone.
    assert coarse.share == (N - 2) / N
    assert coarse.advice.startswith("truncation dominates at 97% of the points")
    fine = D(0).on(Grid(Axis(1e-9)), (N,)).error_estimate(np.sin(1 + np.arange(N) * 1e-9))
    assert fine.share < 0.5
    assert fine.advice.startswith("rounding dominates")


def test_advice_is_given_for_every_library(library):
    if library.kind == "dask":
        pytest.skip("lazy: its values are not known yet")
    estimate = D(0).on(PERIOD, (N,)).error_estimate(library.asarray(np.sin(X)))
    assert estimate.share == (N - 2) / N
    assert "truncation dominates at 97% of the points (at most 1.6e-03" in repr(estimate)


def test_where_there_is_no_error_rounding_is_left():
    estimate = Identity().on(Grid(Axis()), (4,)).error_estimate(np.asarray([1.0, -2.0, 0.0, 8.0]))
    np.testing.assert_array_equal(estimate.truncation, np.zeros(4))
    np.testing.assert_array_equal(estimate.rounding, [EPS, 2 * EPS, 0.0, 8 * EPS])
    assert "rounding dominates at 100%" in estimate.advice


def test_empty_data_has_empty_estimates():
    estimate = D(0).on(Grid(Axis(), None), (8, 0)).error_estimate(np.ones((8, 0)))
    assert estimate.truncation.shape == estimate.rounding.shape == (8, 0)
    assert estimate.share == 0


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (np.ones(9), ArgumentValueError, r"f has shape \(9,\).*\(64,\)"),
        (np.ones(N, bool), ArgumentTypeError, "dtype bool"),
        ("f", ArgumentTypeError, "f is of type str"),
    ],
    ids=["shape", "bool", "text"],
)
def test_input_that_does_not_fit_raises_as_in_a_call(f, error, message):
    with pytest.raises(error, match=message):
        D(0).on(PERIOD, (N,)).error_estimate(f)


def test_nan_raises_where_the_plan_says_so():
    plan = D(0).on(Grid(Axis()), (9,), nan="raise")
    with pytest.raises(ArgumentValueError, match="f holds NaN"):
        plan.error_estimate(np.full(9, np.nan))


def test_block_is_not_estimated():
    block = D(0).on(Grid(Axis()), (9,)).block([(0, 3)], [2])
    with pytest.raises(UnsupportedError, match="error_estimate of the whole plan"):
        block.error_estimate(np.ones(5))


# --- data with gradients, lazy data, masks -------------------------------------------------------


def test_estimates_of_recording_data_can_be_shown():
    torch = pytest.importorskip("torch")
    estimate = D(0).on(Grid(Axis()), (8,)).error_estimate(torch.ones(8, requires_grad=True))
    assert "rounding dominates" in repr(estimate)


def test_estimates_of_lazy_data_compute_nothing_until_they_are_asked():
    da = pytest.importorskip("dask.array")
    plan = D(0).on(Grid(Axis()), (8,))
    loaded = []
    f = da.ones(8, chunks=3)
    f = f.map_blocks(lambda block: loaded.append(1) or block, dtype=float, meta=f._meta)
    estimate = plan.error_estimate(f)
    assert repr(estimate) == "ErrorEstimate of dask arrays: .advice computes them"
    assert not loaded
    assert estimate.advice == plan.error_estimate(np.ones(8)).advice


def test_masked_points_do_not_count():
    f = np.ma.masked_array(np.arange(12.0), np.arange(12) == 5)
    f.data[5] = 1e9
    estimate = D(0).on(Grid(Axis()), (12,)).error_estimate(f)
    assert float(estimate.rounding.max()) < 1e-13
    assert "at 100% of the points" in estimate.advice
    assert "e-15)" in estimate.advice  # and not that of 1e9 under the mask


def test_rounding_counts_what_is_known_at_walls():
    plan = D(0, 2).on(Grid(Axis(0.1, boundary=Dirichlet(0.1))), (8,))
    # The parabola through 0.1 at half a cell and 0 at two centres has f'' = 8 f(wall) / (3 h^2) ...
    exact = Fraction(16) * Fraction(0.1) / (5 * Fraction(0.1) ** 2)  # ... and the cubic 16 / 5
    error = abs(Fraction(plan(np.zeros(8))[0]) - exact)
    assert 0 < float(error) <= plan.error_estimate(np.zeros(8)).rounding[0]


def test_times_are_counted_in_the_unit_of_the_plan():
    plan = D(0).on(Grid(Axis()), (5,))
    numbers = plan.error_estimate(np.arange(5.0) ** 2).rounding
    for dtype, factor in (("m8[s]", 1), ("M8[s]", 1), ("m8[ms]", 1e-3), ("M8[ms]", 1e-3)):
        found = plan.error_estimate((np.arange(5) ** 2).astype(dtype)).rounding
        np.testing.assert_allclose(found, numbers * factor, rtol=1e-12)


def test_estimates_compare_own_stencils_with_a_better_method():
    grid = Grid(Axis(spacing=X[1], boundary="periodic"))
    plan = D(0, stencil=Stencil(range(-3, 4), 1)).on(grid, (N,))
    true = abs(plan(np.sin(X)) - np.cos(X))
    np.testing.assert_allclose(
        plan.error_estimate(np.sin(X)).truncation, true, rtol=0.05, atol=1e-13
    )


def test_advice_on_results_without_any_error():
    estimate = (0 * D(0)).on(Grid(Axis()), (5,)).error_estimate(np.ones(5))
    assert estimate.advice == "neither dominates: both are 0 at all points"


def test_masked_points_have_no_share():
    x = np.linspace(0, 1, 12)
    f = np.ma.masked_array(np.exp(6 * x), np.arange(12) == 5)
    assert D(0).on(Grid(Axis(x[1])), (12,)).error_estimate(f).share == 1.0
