"""Quotients by known numbers are products of the same bits, wherever they are said to be."""

from fractions import Fraction

import numpy as np
import pytest

from gradkit import Axis, D, Divergence, Grid, Laplacian
from gradkit.engines import reference
from gradkit.engines.cpu import compiled, compiling, numbers
from gradkit.engines.cpu.compiling import has_fused_products
from gradkit.engines.cpu.kernel_source import source
from gradkit.engines.cpu.quotients import reciprocal, reciprocal_in

from .conftest import same_bits
from .test_kernel_source import key_for

fused = pytest.mark.skipif(not has_fused_products(), reason="no fused products on this processor")


def rounded(value, digits):
    """A positive fraction to so many binary digits, by division with remainder."""
    unit = Fraction(1)
    while value >= unit * 2**digits:
        unit *= 2
    while value < unit * 2 ** (digits - 1):
        unit /= 2
    whole, rest = divmod(value, unit)
    up = 2 * rest > unit or (2 * rest == unit and whole % 2)
    return (whole + up) * unit


@pytest.mark.parametrize("digits", range(3, 8))
def test_all_numbers_of_few_digits_were_tried_for_every_divisor(digits):
    """The list of quotients near a middle is complete: each decision is that of trying them all."""
    given = 0
    for d in range(2 ** (digits - 1), 2**digits):
        high = Fraction(0)
        for k in range(2 ** (digits - 1), 2**digits):  # the largest number below 1 / d
            for unit in (Fraction(1, 2 ** (2 * digits - 1)), Fraction(1, 2 ** (2 * digits))):
                high = max(high, k * unit) if k * unit * d < 1 else high
        low = rounded(Fraction(1, d) - high, digits)
        is_right = all(
            rounded(x * high + rounded(x * low, digits), digits) == rounded(Fraction(x, d), digits)
            for x in range(2 ** (digits - 1), 2**digits)
        )
        assert reciprocal(float(d), digits) == ((high, low) if is_right else None)
        given += is_right
    assert given > 2 ** (digits - 1) // 2


@pytest.mark.parametrize(("d", "digits"), [(977, 10), (16448717, 24), (16308209, 24)])
def test_numbers_further_from_a_middle_were_tried_too(d, digits):
    """Up to more than five times the second part, where some x still comes out wrong."""
    assert reciprocal(float(d), digits) is None


@pytest.mark.parametrize(("dtype", "tiny"), [("float32", 4e-30), ("float64", 4e-291)])
def test_quotients_of_real_numbers_are_those_of_numpy(rng, dtype, tiny):
    """With the sum in exact fractions; numbers of all sizes, divisors of all signs."""
    least = int(np.log10(tiny))
    digits, count = np.finfo(dtype).nmant + 1, 0
    for divisor in rng.uniform(-10, 10, 60).astype(dtype):
        parts = reciprocal_in(np.dtype(dtype), divisor)
        if parts is None:
            continue
        count += 1
        high, low = map(Fraction, parts)
        for x in (rng.standard_normal(20) * 10.0 ** rng.integers(least, 20, 20)).astype(dtype):
            if abs(x / divisor) > tiny:
                exact = abs(Fraction(float(x)) * high + _as_rounded(x, low, dtype))
                assert float(rounded(exact, digits)) == abs(float(x / divisor))
    assert 40 < count <= 60


def _as_rounded(x, low, dtype):
    return Fraction(float(x * np.dtype(dtype).type(float(low))))


def test_parts_have_the_sign_of_the_divisor_and_tiny_and_huge_divisors_have_none():
    for divisor in (0.3, -0.3, 2.0, -2.0):
        high, low = reciprocal_in(np.dtype("float64"), divisor)
        assert np.sign([high, low]).tolist() == [np.sign(divisor)] * 2
    for divisor in (1e-310, -1e-310, 1e300):
        assert reciprocal_in(np.dtype("float64"), divisor) is None
    for divisor in (1e-39, 1e30):
        assert reciprocal_in(np.dtype("float32"), divisor) is None
    assert reciprocal_in(np.dtype("float32"), np.float32(2) / 3) is None  # some x comes out wrong


@fused
def test_kernels_take_products_where_all_divisors_have_parts_and_else_divide():
    float64 = np.dtype("float64")
    wrong = next(h for h in np.arange(1, 1000) / 1000 if reciprocal_in(float64, 2 * h) is None)
    for spacing, is_product in ((0.3, True), (1e-5, True), (float(wrong), False)):
        key, _ = key_for(D(1), Grid(Axis(), Axis(spacing)), (20, 30))
        assert key.has_reciprocals == is_product == ("quotient(" in source(key)), spacing


@fused
@pytest.mark.parametrize("operator", [Laplacian(2), Divergence(2)])
def test_sums_that_are_divided_once_take_a_product_too(operator):
    key, _ = key_for(operator, Grid(Axis(0.3), Axis(0.3)), (20, 30))
    assert (key.divisors, [term.divisors for term in key.terms]) == (1, [0, 0])
    assert key.has_reciprocals


def test_complex_numbers_are_never_divided_by_products():
    key, _ = key_for(D(1), Grid(Axis(), Axis(0.3)), (20, 30), "complex64")
    assert not key.has_reciprocals


@pytest.mark.parametrize(
    ("features", "is_fused"),
    [("", False), ("+sse2,+fma,+avx", True), ("+fma4,-fma,+avx512f", False)],
)
def test_processors_tell_whether_they_have_fused_products(monkeypatch, features, is_fused):
    monkeypatch.setattr(compiling, "_is_arm", lambda: False)
    monkeypatch.setattr(compiling, "processor", lambda: ("some", features))
    assert has_fused_products.__wrapped__() == is_fused


def test_processors_without_fused_products_divide(monkeypatch):
    monkeypatch.setattr(numbers, "has_fused_products", lambda: False)
    key, _ = key_for(D(1), Grid(Axis(0.3), Axis(0.3)), (20, 30))
    assert not key.has_reciprocals
    assert "quotient(" not in source(key)


def by_kernel(plan, f):
    out = np.full(plan.output_shapes[0], 7, f.dtype)
    assert compiled.run(plan, [f], [out], 1)
    return out


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("operator", [D(1), Laplacian(2)])
def test_results_have_the_bits_of_division_for_many_spacings(rng, dtype, operator):
    f = (rng.standard_normal((12, 70)) * 10.0 ** rng.integers(-9, 9, (12, 70))).astype(dtype)
    for spacing in (*rng.uniform(0.001, 3, 40), -0.1, 0.5, 1.0, -0.25, 1 / 3):
        plan = operator.on(Grid(Axis(spacing), Axis(spacing)), f.shape)
        (want,) = reference.run(plan, [f])
        assert same_bits(by_kernel(plan, f), want), spacing


def test_one_divisor_without_parts_lets_all_divide(rng):
    float64 = np.dtype("float64")
    wrong = next(h for h in np.arange(1, 1000) / 1000 if reciprocal_in(float64, h * h) is None)
    f = rng.standard_normal((12, 70))
    for spacings in ((0.3, float(wrong)), (float(wrong), 0.3)):
        grid = Grid(*map(Axis, spacings))
        assert not key_for(Laplacian(2), grid, f.shape)[0].has_reciprocals
        plan = Laplacian(2).on(grid, f.shape)
        assert same_bits(by_kernel(plan, f), *reference.run(plan, [f]))


@pytest.mark.parametrize("spacing", [0.3, -0.3, 0.5])
def test_zeros_keep_their_signs_and_infinities_and_nans_their_places(rng, spacing):
    f = rng.standard_normal((6, 90))
    f[0, 10:40], f[1, 20:50] = 0.0, -0.0
    f[2, 30], f[2, 50], f[3, 33], f[4, 12:15] = np.inf, -np.inf, np.nan, 1e308
    plan = D(1).on(Grid(Axis(), Axis(spacing)), f.shape)
    with np.errstate(all="ignore"):
        (want,) = reference.run(plan, [f])
    got = by_kernel(plan, f)
    assert np.isinf(want).any()
    assert np.isnan(want).any()
    np.testing.assert_array_equal(got, want)
    is_number = ~np.isnan(want)
    assert (np.signbit(got) == np.signbit(want))[is_number].all()


@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e-37), ("float64", 1e-307)])
def test_tiny_results_are_within_a_unit_of_the_last_place(rng, dtype, size):
    """Down to numbers that have fewer digits than others."""
    f = (size * rng.standard_normal((10, 200)) * 10.0 ** rng.integers(-6, 1, (10, 200))).astype(
        dtype
    )
    plan = D(1).on(Grid(Axis(), Axis(0.3)), f.shape)
    (want,) = reference.run(plan, [f])
    assert (np.abs(want) > 0).any()
    assert np.abs(want).min() < np.finfo(dtype).tiny
    assert (np.abs(by_kernel(plan, f) - want) <= np.spacing(np.abs(want))).all()


def test_lines_ask_a_page_ahead_and_others_for_the_next_line():
    """What is asked for never changes a result, so the distances are all that can be looked at."""
    grid = Grid(Axis(0.3), Axis(0.3))
    (_, along), (_, across) = (key_for(D(axis), grid, (20, 32)) for axis in (1, 0))
    assert along.slots["t0_ahead"] == 4096
    assert across.slots["t0_ahead"] == 2 * 32 * 8  # the first row that the next one adds


def test_divisors_are_taken_as_kernels_store_them():
    single = np.dtype("float32")
    assert reciprocal_in(single, 0.2) == reciprocal_in(single, np.float32(0.2)) is not None
