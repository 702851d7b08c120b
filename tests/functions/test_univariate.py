"""derivative: accuracy on every library, statuses, bounds, noise, arguments, calls, errors."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gradkit.functions.univariate as univariate
from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.functions import derivative

#: A polynomial of degree 4 by hand, and its derivatives: exact on every library.
COEFFICIENTS = (1.0, -2.0, 0.5, 3.0, -1.0)


def polynomial(x):
    total = 0 * x
    for c in COEFFICIENTS[::-1]:
        total = total * x + c
    return total


def exact(x, order):
    p = np.polynomial.Polynomial(COEFFICIENTS).deriv(order)
    return p(np.asarray(x, dtype=np.float64))


@pytest.fixture
def arrays(library):
    if library.kind == "dask":
        pytest.skip("functions of dask arrays are refused, see below")
    return library


POINTS = [0.0, 0.25, -1.5, 3.0, 40.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("method", ["central", "forward", "backward"])
def test_right_within_its_error_on_every_library(arrays, dtype, order, method):
    x = arrays.asarray(POINTS, dtype)
    result = derivative(polynomial, x, order=order, method=method)
    value, error = (np.asarray(arrays.to_numpy(p), float) for p in (result.value, result.error))
    assert result.value.dtype == x.dtype
    assert result.value.shape == x.shape
    assert np.all(np.abs(value - exact(POINTS, order)) <= 10 * error)
    good = method == "central" and order < 3
    assert not good or np.all(arrays.to_numpy(result.success))


def test_complex_step_on_every_library(arrays):
    x = arrays.asarray(POINTS, "float64")
    result = derivative(polynomial, x, method="complex")
    value = arrays.to_numpy(result.value)
    assert np.allclose(value, exact(POINTS, 1), rtol=1e-14, atol=0)
    assert np.all(arrays.to_numpy(result.success))


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3), (2, 0, 3)])
def test_shapes(arrays, shape):
    x = arrays.asarray(np.full(shape, 0.5), "float64")
    result = derivative(polynomial, x)
    for name in ("value", "error", "success", "code", "evaluations", "step"):
        assert tuple(getattr(result, name).shape) == shape
    assert np.shape(result.status) == shape


def test_numbers_and_integers():
    assert derivative(np.exp, 0).value == pytest.approx(1, abs=1e-11)
    assert isinstance(derivative(np.exp, 0.5).value, np.float64)
    assert derivative(lambda x: x**99, [7]).value == pytest.approx([99 * 7.0**98], rel=1e-9)


def test_arguments_are_left_as_they_were(arrays):
    x = arrays.asarray(POINTS, "float64")
    derivative(polynomial, x)
    assert arrays.to_numpy(x).tolist() == POINTS


@pytest.mark.parametrize("x", [1e-300, 1e-30, 1e-8, 1e-3, 1.0, 1e8, 1e20, 1e150])
def test_steps_scale_with_x(x):
    for func, slope in ((np.log, 1 / x), (np.sqrt, 0.5 / math.sqrt(x))):
        with np.errstate(invalid="ignore"):
            result = derivative(func, x)
        assert result.success
        assert abs(result.value / slope - 1) < 1e-8


def test_functions_that_return_a_lower_precision():
    result = derivative(lambda x: np.exp(x).astype(np.float32), np.linspace(0.1, 2, 7))
    true = np.exp(np.linspace(0.1, 2, 7))
    assert np.all(result.success)
    assert np.all(np.abs(result.value - true) <= 10 * result.error)
    assert np.all(np.abs(result.value / true - 1) < 1e-4)
    assert result.value.dtype == np.float64


def test_integers_from_the_function():
    assert derivative(lambda x: np.zeros(x.shape, dtype=int), 0.5).value == 0


def test_constants_have_a_derivative_of_exactly_0():
    for order in (1, 2, 3):
        result = derivative(lambda x: np.full_like(x, 1 / 3), [0.0, 1e-9, 0.1, 7.0], order=order)
        assert np.all(result.value == 0)
        assert np.all(result.success)


@pytest.mark.parametrize(
    ("func", "x", "order"),
    [
        (np.abs, 0.0, 1),
        (lambda x: np.abs(x) + np.exp(x), 0.0, 1),
        (lambda x: np.maximum(x, 0), 0.0, 1),
        (lambda x: np.maximum(x - 1, 0.1 * (x - 1)), 1.0, 1),
        (lambda x: np.sqrt(np.abs(x)), 0.0, 1),
        (lambda x: x * np.abs(x), 0.0, 2),
        (lambda x: x * np.abs(x) + np.sin(x), 0.0, 2),
        (lambda x: np.abs(x) ** 3, 0.0, 3),
    ],
)
def test_kinks_are_reported(func, x, order):
    result = derivative(func, x, order=order)
    assert result.status == "kink"
    assert not result.success


def test_jumps_are_no_success():
    for func in (np.sign, np.floor, np.cbrt):
        assert not derivative(func, 0.0).success


@pytest.mark.parametrize("x", [-1.0, 1.0])
def test_waves_that_fit_between_the_steps(x):
    for k in range(12):
        omega = 2 * np.pi * 2**k
        first = derivative(lambda t, w=omega: np.sin(w * t), x)
        assert abs(first.value - omega) <= 10 * first.error
        second = derivative(lambda t, w=omega: np.sin(w * t), x, order=2)
        assert abs(second.value) <= 10 * second.error


def test_long_steps_do_not_make_slopes_vanish():
    # Over long steps the difference quotients of a bounded function are small.
    result = derivative(np.tan, 1.57)
    assert result.value == pytest.approx(1 / math.cos(1.57) ** 2, rel=1e-7)


def test_rounding_within_the_function_is_seen():
    for x in (1e-17, 1e-14, 1e-12, 1e-8):
        result = derivative(lambda t: np.log(1 + t), x)
        assert abs(result.value - 1 / (1 + x)) <= 100 * result.error
        assert abs(result.value - 1 / (1 + x)) < 1e-7


def test_non_finite_values_are_reported():
    with np.errstate(all="ignore"):
        result = derivative(np.log, [-1.0, 0.0, 1.0, np.nan, np.inf])
        at_zero = derivative(lambda x: np.sin(x) / x, 0.0)
    assert result.status.tolist() == [*["non-finite"] * 2, "converged", *["non-finite"] * 2]
    assert np.isnan(result.value[[0, 1, 3, 4]]).all()
    assert np.isinf(result.error[0])
    assert at_zero.status == "non-finite"


def test_complex_values():
    x = np.array([0.3, 1.5])
    result = derivative(lambda t: np.exp((2 + 3j) * t), x)
    true = (2 + 3j) * np.exp((2 + 3j) * x)
    assert result.value.dtype == np.complex128
    assert result.error.dtype == np.float64
    assert np.all(np.abs(result.value / true - 1) < 1e-11)
    single = derivative(lambda t: np.exp(np.complex64(2 + 3j) * t), x.astype(np.float32))
    assert single.value.dtype == np.complex64
    assert np.all(np.abs(single.value / true - 1) < 1e-4)


# --- bounds -------------------------------------------------------------------------------------


def log_that_raises(x):
    assert np.all(x > 0), "evaluated outside of its domain"
    return np.log(x)


@pytest.mark.parametrize("x", [1e-12, 1e-3, 0.5, 2.0, 100.0])
def test_nothing_is_evaluated_beyond_the_bounds(x):
    result = derivative(log_that_raises, x, bounds=(0, None))
    assert result.success
    assert abs(result.value * x - 1) < 1e-8


def test_math_functions_within_bounds():
    result = derivative(math.sqrt, [1e-6, 1.0], bounds=(0, 2), vectorized=False)
    assert result.value == pytest.approx([500, 0.5], rel=1e-8)


@pytest.mark.parametrize("order", [1, 2])
def test_one_side_at_a_bound(arrays, order):
    x = arrays.asarray([0.0, 1e-9, 1.0, 2.0], "float64")

    def within(t):
        host = arrays.to_numpy(t)
        assert np.all((host >= 0) & (host <= 2))
        return polynomial(t)

    result = derivative(within, x, order=order, bounds=(0.0, 2.0))
    value, error = arrays.to_numpy(result.value), arrays.to_numpy(result.error)
    true = exact([0.0, 1e-9, 1.0, 2.0], order)
    assert np.all(np.abs(value - true) <= 10 * error)
    assert np.allclose(value, true, rtol=1e-7)


def test_all_points_at_bounds():
    result = derivative(np.exp, [0.0, 1.0], bounds=(0, 1))
    assert result.value == pytest.approx([1, math.e], rel=1e-9)


def test_bounds_per_point():
    result = derivative(np.sqrt, [1.0, 4.0], bounds=([1.0, 0.0], [9.0, 4.0]))
    assert result.value == pytest.approx([0.5, 0.25], rel=1e-9)


# --- steps, tolerances, noise -------------------------------------------------------------------


def test_a_given_step_is_the_longest_of_the_first_ladder():
    seen = []
    derivative(lambda x: seen.append(np.max(np.abs(x - 1))) or np.exp(x), 1.0, step=0.25)
    assert seen[0] == pytest.approx(0.25)
    assert derivative(np.exp, 1.0, step=0.1).step == pytest.approx(0.1)


def test_a_bad_step_is_made_good():
    for step in (1e-9, 50.0):
        assert derivative(np.sin, 1.0, step=step).value == pytest.approx(math.cos(1), rel=1e-7)


def test_looser_tolerances_take_no_more_evaluations():
    counts = [
        derivative(lambda x: np.exp(np.sin(7 * x)), 2.0, rtol=rtol).evaluations
        for rtol in (1e-12, 1e-8, 1e-3)
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_a_tolerance_that_cannot_be_met_is_no_success():
    result = derivative(np.exp, 1.0, rtol=1e-18, atol=0.0)
    assert result.status == "inaccurate"
    assert abs(result.value - math.e) < 10 * result.error < 1e-10


def test_atol():
    result = derivative(lambda x: (x - 1) ** 3, 1.0, atol=1e-12)
    assert result.success
    assert abs(result.value) < 1e-12


def test_noise_lengthens_the_steps():
    quiet, noisy = (derivative(np.sin, 1.0, noise=noise) for noise in (1e-14, 1e-5))
    assert noisy.step > quiet.step
    assert noisy.error > quiet.error


# --- calls --------------------------------------------------------------------------------------


def test_one_call_per_round_for_all_points_and_steps():
    shapes = []
    result = derivative(lambda x: shapes.append(x.shape) or np.exp(x), np.linspace(0.2, 1, 50))
    assert result.calls == len(shapes) == 1
    assert shapes == [(9, 50)]
    assert np.all(result.evaluations == 9)


def test_evaluations_are_counted():
    seen = []
    x = np.array([0.001, 1.0, 2.0])
    result = derivative(lambda t: seen.append(t.size) or np.sin(40 * t), x)
    assert result.evaluations.sum() == sum(seen)
    assert len(set(result.evaluations.tolist())) > 1  # points that are done are left out


def test_blocks_of_many_points(monkeypatch):
    monkeypatch.setattr(univariate, "BLOCK", 7)
    x, a = np.linspace(0.1, 3, 40).reshape(4, 10), np.arange(1.0, 11)
    result = derivative(lambda t, k: np.sin(k * t), x, args=(a,), bounds=(0.1, 3))
    assert np.allclose(result.value, a * np.cos(a * x), rtol=0, atol=1e-8)


def test_all_points_of_a_round_go_in_one_call(monkeypatch):
    monkeypatch.setattr(univariate, "BLOCK", 7)
    x, a, seen = np.linspace(0.1, 3, 40), np.linspace(1, 30, 40), []
    result = derivative(lambda t, k: seen.append(t.shape) or np.sin(k * t), x, args=(a,))
    assert seen[0] == (9, 40)
    assert 1 < len(seen) <= 6  # rounds, however many blocks there are
    assert result.evaluations.sum() == sum(rows * lanes for rows, lanes in seen)
    assert np.allclose(result.value, a * np.cos(a * x), rtol=0, atol=1e-8)


def test_values_may_be_memory_of_the_function():
    # A library whose lanes all go on, so that the first value at x serves to the end.
    strict = pytest.importorskip("array_api_strict")
    kept = strict.empty((9, 3), dtype=strict.float64)

    def func(t):
        rows = t.shape[0]
        kept[9 - rows :, :] = strict.sin(40 * t)
        t[...] = strict.nan
        return kept[9 - rows :, :]

    x = np.array([0.001, 1.0, 2.0])
    result = derivative(func, strict.asarray(x), order=2)
    assert result.calls > 1
    value = np.asarray(result.value)
    assert np.allclose(value, -1600 * np.sin(40 * x), rtol=0, atol=1e-3)


def test_arguments_are_taken_along():
    x, p = np.array([[1.0], [2.0]]), np.array([2, 3])
    result = derivative(lambda t, k, s: s * t**k, x + 0 * p, args=(p, 3.0))
    assert np.allclose(result.value, 3 * p * x ** (p - 1), rtol=1e-12)


def test_one_at_a_time():
    seen = []
    result = derivative(
        lambda x, k: seen.append(type(x)) or math.exp(k * x),
        [0.0, 1.0],
        args=(np.array([1.0, 2.0]),),
        vectorized=False,
    )
    assert result.value == pytest.approx([1, 2 * math.exp(2)], rel=1e-10)
    assert result.calls == result.evaluations.sum()
    assert set(seen) == {np.float64}


def test_workers():
    used = []

    def chosen(func, items):
        used.append(1)
        return [func(item) for item in items]

    result = derivative(math.sin, [0.5, 1.0], vectorized=False, workers=chosen)
    assert used
    with ThreadPoolExecutor(2) as pool:
        same = derivative(math.sin, [0.5, 1.0], vectorized=False, workers=pool)
    assert result.value.tolist() == same.value.tolist()


def test_progress():
    seen = []
    derivative(lambda x: np.sin(40 * x), [0.0, 1.0, 2.0], callback=lambda *a: seen.append(a))
    assert seen[-1] == (3, 3)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


# --- JAX ----------------------------------------------------------------------------------------


def test_under_jit(fresh_jax):
    jax, jnp = fresh_jax

    @jax.jit
    def both(x):
        result = derivative(jnp.sin, x, rounds=2)
        return result.value, result.error, result.success, result.code

    x = jnp.linspace(0.1, 2.0, 5)
    value, error, success, _ = both(x)
    assert np.all(np.abs(value - np.cos(x)) <= 10 * np.asarray(error))
    assert np.all(success)
    assert "traced" in repr_under_jit(jax, x)


def repr_under_jit(jax, x):
    seen = []
    jax.jit(lambda t: seen.append(repr(derivative(lambda s: s * s, t, rounds=1))) or t)(x)
    return seen[0]


def test_bounds_under_jit(fresh_jax):
    jax, jnp = fresh_jax
    x = jnp.asarray([0.5, 1.0, 2.0])
    found = jax.jit(lambda t: derivative(jnp.log, t, bounds=(0.5, 2.0), rounds=2).value)(x)
    assert np.allclose(found, 1 / np.asarray(x), rtol=1e-8)


@pytest.fixture
def fresh_jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax, jax.numpy


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "error", "text"),
    [
        ({"func": None}, ArgumentTypeError, "func=None is not callable"),
        ({"x": [True]}, ArgumentTypeError, "x has dtype bool"),
        ({"x": [1j]}, ArgumentTypeError, "x has dtype complex128: wanted float32, float64"),
        ({"x": "a"}, ArgumentTypeError, "x is of type str"),
        ({"x": np.float16(1)}, ArgumentTypeError, "x has dtype float16"),
        ({"order": 0}, ArgumentValueError, "order=0 is not >= 1"),
        ({"order": 1.5}, ArgumentTypeError, "order=1.5 is not an integer"),
        ({"method": "centrall"}, ArgumentValueError, "did you mean 'central'"),
        ({"method": "complex", "order": 2}, ArgumentValueError, "order=2 with method='complex'"),
        ({"step": 0}, ArgumentValueError, "step holds 0.0: wanted finite numbers > 0"),
        ({"step": [1.0, 2.0, 3.0]}, ArgumentValueError, "step has shape"),
        ({"step": "a"}, ArgumentTypeError, "step"),
        ({"noise": -1.0}, ArgumentValueError, "noise holds -1.0"),
        ({"rtol": -1}, ArgumentValueError, "rtol=-1 is not a finite number >= 0"),
        ({"atol": "a"}, ArgumentTypeError, "atol='a' is not a number >= 0"),
        ({"bounds": 3}, ArgumentTypeError, "bounds=3: wanted a pair"),
        ({"bounds": (1, 2)}, ArgumentValueError, r"x\[0\]=0.5 with bounds 1.0, 2.0"),
        ({"bounds": (0.5, 0.5)}, ArgumentValueError, "lower < upper"),
        ({"args": 3}, ArgumentTypeError, "args=3 is not a tuple"),
        ({"args": (np.ones(3),)}, ArgumentValueError, r"args\[0\] has shape \(3,\)"),
        ({"vectorized": 1}, ArgumentTypeError, "vectorized=1"),
        ({"workers": map}, ArgumentTypeError, "vectorized=False"),
        ({"workers": 3, "vectorized": False}, ArgumentTypeError, "workers=3"),
        ({"callback": 3}, ArgumentTypeError, "callback=3 is not callable"),
        ({"rounds": 0}, ArgumentValueError, "rounds=0"),
        ({"func": lambda x: 1.0}, ArgumentValueError, r"func returned shape \(\) for points"),
        ({"func": lambda x: x > 0}, ArgumentTypeError, "func returned dtype bool"),
        ({"func": lambda x: "a"}, ArgumentTypeError, "func returned"),
        ({"func": lambda x: [x], "vectorized": False}, ArgumentValueError, "wanted a number"),
    ],
)
def test_errors_name_the_argument(keywords, error, text):
    keywords = {"func": np.exp, "x": [0.5, 1.0], **keywords}
    with pytest.raises(error, match=text):
        derivative(keywords.pop("func"), keywords.pop("x"), **keywords)


def test_dask_is_refused():
    dask = pytest.importorskip("dask.array")
    with pytest.raises(ArgumentTypeError, match=r"x\.compute"):
        derivative(np.exp, dask.ones(3))


def test_what_the_function_raises_comes_through():
    def broken(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        derivative(broken, 1.0)


def test_arrays_of_another_library_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(ArgumentTypeError, match="func returned a torch array"):
        derivative(lambda x: torch.zeros(x.shape), np.ones(2))


@pytest.mark.parametrize("x", [1e-14, 1e-12])
@pytest.mark.parametrize("omega", [1e3, 1e5])
def test_small_waves_on_a_large_constant_at_tiny_x(x, omega):
    # The first steps drown in the rounding of 5, and long ones do not resolve the wave.
    result = derivative(lambda t: 5 + np.sin(omega * t) / omega, x)
    assert abs(result.value - 1) <= 10 * result.error
    assert abs(result.value - 1) < 1e-6


@pytest.mark.parametrize(
    ("func", "x", "order", "options"),
    [
        (np.exp, 1.0, 5, {"method": "forward"}),
        (np.exp, 1.0, 6, {"method": "forward"}),
        (np.exp, 1.0, 8, {"method": "forward"}),
        (np.exp, np.float32(1), 3, {"method": "forward"}),
        (np.exp, np.float32(1), 4, {}),
        (np.exp, [0.0, 0.5], 5, {"bounds": (0, None)}),
        (np.sin, 1.0, 16, {}),
        (np.sin, 1.0, 50, {}),
    ],
)
def test_large_values_far_away_excuse_no_error(func, x, order, options):
    with np.errstate(over="ignore"):  # of exp, over the longest steps
        result = derivative(func, x, order=order, **options)
    wave = np.asarray(np.sin(np.asarray(x) + order * np.pi / 2))
    true = np.exp(x) if func is np.exp else wave
    assert np.all(~result.success | (abs(result.value - true) < 0.1 * abs(true)))


@pytest.mark.parametrize(("order", "dtype"), [(2, "float32"), (3, "float32"), (5, "float64")])
def test_derivatives_that_vanish_still_converge(order, dtype):
    for func, x in ((lambda x: x * x - x if order > 2 else 3 * x, 1.0), (lambda x: 0 * x + 7, 2.0)):
        result = derivative(func, np.asarray(x, dtype), order=order)
        assert result.success
        assert abs(result.value) <= 10 * result.error
