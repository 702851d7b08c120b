"""Derivatives of series against numpy.polynomial and exact rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.polynomial import chebyshev, hermite, hermite_e, laguerre, legendre, polynomial

from gradkit.errors import ArgumentTypeError, ArgumentValueError, AxisError
from gradkit.functions.polynomial import BASES, derivative

NUMPY = {
    "power": polynomial.polyder,
    "chebyshev": chebyshev.chebder,
    "legendre": legendre.legder,
    "hermite": hermite.hermder,
    "hermite_e": hermite_e.hermeder,
    "laguerre": laguerre.lagder,
}

TO_POWERS = {
    "power": lambda c: c,
    "chebyshev": chebyshev.cheb2poly,
    "legendre": legendre.leg2poly,
    "hermite": hermite.herm2poly,
    "hermite_e": hermite_e.herme2poly,
    "laguerre": laguerre.lag2poly,
}


def exact(coefficients, basis):
    """The derivative in rational arithmetic, by the recursions of numpy.polynomial."""
    c = [Fraction(float(value)) for value in coefficients]
    n = len(c) - 1
    der = [Fraction(0)] * n
    for j in range(n, 0, -1):
        if basis == "chebyshev":
            der[j - 1] = (2 * j if j > 1 else 1) * c[j]
            if j > 2:
                c[j - 2] += j * c[j] / (j - 2)
        elif basis == "legendre":
            der[j - 1] = (2 * j - 1) * c[j]
            if j > 2:
                c[j - 2] += c[j]
        elif basis == "laguerre":
            der[j - 1] = -c[j]
            c[j - 1] += c[j]
        else:
            der[j - 1] = (2 if basis == "hermite" else 1) * j * c[j]
    return der


def test_every_basis_of_numpy_is_there():
    assert set(BASES) == set(NUMPY)


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 12])
@pytest.mark.parametrize("order", [0, 1, 2, 3, 6, 13])
@pytest.mark.parametrize("scale", [1, -2.5])
def test_derivative_is_that_of_numpy(basis, n, order, scale, rng):
    c = rng.standard_normal((3, n, 2))
    # One series after the other: hermeder loses the axis where no coefficient is left.
    wanted = np.apply_along_axis(lambda one: NUMPY[basis](one, order, scale), 1, c)
    found = derivative(c, basis, order=order, axis=1, scale=scale)
    assert found.shape == wanted.shape
    assert found.dtype == np.float64
    largest = np.abs(NUMPY[basis](np.full(n, 10.0), order, abs(scale))).max()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-14 * largest)


@pytest.mark.parametrize("basis", BASES)
def test_values_are_slopes_of_the_polynomial(basis):
    # Through powers of x, in integers that double precision holds exactly.
    c = np.array([3.0, -1.0, 4.0, 2.0, -5.0])
    powers = TO_POWERS[basis](c)
    wanted = np.arange(1, 5) * powers[1:]
    np.testing.assert_allclose(TO_POWERS[basis](derivative(c, basis)), wanted, rtol=1e-14)


@pytest.mark.parametrize("basis", BASES)
def test_high_degrees_are_no_less_accurate_than_numpy(basis, rng):
    mine, theirs = [], []
    for c in rng.standard_normal((5, 400)):
        wanted = exact(c, basis)
        sizes = exact(np.abs(c), basis)
        for errors, found in ((mine, derivative(c, basis)), (theirs, NUMPY[basis](c))):
            triples = zip(found, wanted, sizes, strict=True)
            errors.extend(float((Fraction(float(a)) - b) / s) for a, b, s in triples)
    assert np.std(mine) <= np.std(theirs)
    # Two products, and as many roundings of sums as there are later terms.
    assert np.max(np.abs(mine)) <= 200 * np.finfo(float).eps / 2


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("order", [1, 3])
def test_many_series_are_each_what_they_are_alone(basis, axis, order, rng):
    # Rows of many series are summed in another way than those of few; with the same roundings.
    c = rng.standard_normal((600, 9) if axis else (9, 600))
    before = c.copy()
    found = derivative(c, basis, axis=axis, order=order)
    alone = [derivative(one, basis, order=order) for one in np.moveaxis(c, axis, 1)]
    np.testing.assert_array_equal(np.moveaxis(found, axis, 1), alone)
    wanted = NUMPY[basis](c, order, axis=axis)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-14 * np.abs(wanted).max())
    np.testing.assert_array_equal(c, before)


@pytest.mark.parametrize("basis", ["power", "hermite", "hermite_e"])
def test_all_orders_of_products_are_rounded_once(basis, rng):
    c = rng.standard_normal(60)
    wanted = c
    for _ in range(20):
        wanted = (
            exact(wanted, basis)
            if wanted is c
            else [
                value * (k + 1) * (2 if basis == "hermite" else 1)
                for k, value in enumerate(wanted[1:])
            ]
        )
    found = derivative(c, basis, order=20)
    errors = [abs(Fraction(float(a)) / b - 1) for a, b in zip(found, wanted, strict=True)]
    assert max(errors) <= Fraction(np.finfo(float).eps)


def test_factors_beyond_the_range_are_taken_one_by_one():
    # 200! is above the largest double, but times 1e-300 it is not.
    c = np.zeros(201)
    c[200] = 1e-300
    wanted = float(Fraction(1e-300) * Fraction(np.prod(np.arange(1, 201).astype(object))))
    np.testing.assert_allclose(derivative(c, order=200), [wanted], rtol=1e-13)
    small = np.zeros(41, np.float32)
    small[40] = 1e-30
    found = derivative(small, order=40)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, polynomial.polyder(small, 40), rtol=1e-5)


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128", "int32"])
def test_every_library(basis, dtype, library, rng):
    values = 8 * rng.standard_normal((6, 2))
    if dtype.startswith("complex"):
        values = values + 1j * rng.standard_normal((6, 2))
    values = values.astype(dtype)
    found = derivative(library.asarray(values), basis, order=2)
    assert type(found) is type(library.asarray(values))
    host = library.to_numpy(found)
    assert host.dtype == (np.float64 if dtype == "int32" else dtype)
    wanted = NUMPY[basis](values.astype("complex128" if "complex" in dtype else float), 2)
    rtol = 1e-5 if dtype in ("float32", "complex64") else 1e-13
    np.testing.assert_allclose(host, wanted, rtol=0, atol=rtol * np.abs(wanted).max())


@pytest.mark.parametrize("basis", BASES)
def test_traced_by_jax(basis, rng):
    jax = pytest.importorskip("jax")
    c = rng.standard_normal((2, 7)).astype(np.float32)
    run = jax.jit(lambda c: derivative(c, basis, axis=1, order=2))
    wanted = NUMPY[basis](c.astype(float), 2, axis=1)
    np.testing.assert_allclose(run(c), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    slope = jax.grad(lambda c: derivative(c, basis)[0])(jax.numpy.ones(4))
    unit = [NUMPY[basis](row)[0] for row in np.eye(4)]
    np.testing.assert_allclose(slope, unit)


@pytest.mark.parametrize("basis", BASES)
def test_gradients_of_torch(basis):
    torch = pytest.importorskip("torch")
    c = torch.ones(5, dtype=torch.float64, requires_grad=True)
    derivative(c, basis)[0].backward()
    np.testing.assert_allclose(c.grad, [NUMPY[basis](row)[0] for row in np.eye(5)])


def test_half_precision_is_computed_in_single():
    c = np.array([0, 1, 2047, 1, 0.5], np.float16)
    found = derivative(c, "chebyshev")
    assert found.dtype == np.float16
    # 1 + 3 + ... in one precision; the sums of float16 would round 3 + 1 * 1024 differently.
    np.testing.assert_array_equal(found, chebyshev.chebder(c.astype(float)).astype(np.float16))


@pytest.mark.parametrize("name", ["torch", "jax.numpy"])
def test_bfloat16_is_computed_in_single(name):
    xp = pytest.importorskip(name)
    c = xp.asarray([0.0, 1.0, 129.0, 1.0, 0.5], dtype=xp.bfloat16)
    found = derivative(c, "chebyshev")
    assert found.dtype == xp.bfloat16
    # 258 * 2 + ... lies between two bfloat16: rounded once, not at every sum.
    wanted = xp.asarray(chebyshev.chebder([0.0, 1.0, 129.0, 1.0, 0.5]), dtype=xp.bfloat16)
    assert found.tolist() == wanted.tolist()


def test_complex_scale():
    c = np.array([1.0, 2.0, 3.0], np.float32)
    found = derivative(c, "legendre", scale=2j, order=1)
    assert found.dtype == np.complex64
    np.testing.assert_allclose(found, legendre.legder(c.astype(complex), scl=2j), rtol=1e-6)


def test_scale_may_be_a_fraction_and_a_numpy_number():
    assert derivative([0.0, 3.0], scale=Fraction(1, 3)) == [1.0]
    assert derivative(np.ones(3, np.float32), scale=np.float64(2)).dtype == np.float32


def test_longdouble_is_kept():
    c = np.array([0, 1, 1], np.longdouble) / 3
    found = derivative(c, "chebyshev", scale=Fraction(1, 3))
    assert found.dtype == np.longdouble
    np.testing.assert_array_equal(found, np.array([1, 4], np.longdouble) / 3 / 3)


def test_result_is_a_new_array_and_input_is_kept():
    c = np.arange(4.0)
    for order in (0, 1, 4):
        for basis in BASES:
            assert not np.shares_memory(derivative(c, basis, order=order), c)
    np.testing.assert_array_equal(c, np.arange(4.0))


def test_nothing_left_is_one_zero_even_of_a_nan():
    np.testing.assert_array_equal(derivative([np.nan, 1.0], order=2), [0.0])
    np.testing.assert_array_equal(derivative(np.ones((2, 3)), axis=1, order=3), [[0.0], [0.0]])


def test_nan_reaches_the_coefficients_that_depend_on_it():
    c = np.ones(6)
    c[4] = np.nan
    for basis in BASES:
        np.testing.assert_array_equal(np.isnan(derivative(c, basis)), np.isnan(NUMPY[basis](c)))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: derivative([1.0], "legendr"), ArgumentValueError, "did you mean 'legendre'"),
        (lambda: derivative([1.0], 3), ArgumentValueError, "basis=3"),
        (lambda: derivative(1.0), AxisError, "axis=0 is out of bounds"),
        (lambda: derivative([1.0], axis=1), AxisError, "axis=1"),
        (lambda: derivative([1.0], axis=0.5), ArgumentTypeError, "axis=0.5"),
        (lambda: derivative([]), ArgumentValueError, r"shape \(0,\) has none along axis 0"),
        (lambda: derivative([True]), ArgumentTypeError, "dtype bool"),
        (lambda: derivative(np.array(["a"])), ArgumentTypeError, "dtype str"),
        (lambda: derivative(np.array([1], "m8[s]")), ArgumentTypeError, "dtype timedelta64"),
        (lambda: derivative(np.ma.array([1.0, 2.0])), ArgumentTypeError, "masked"),
        (lambda: derivative([1.0], order=-1), ArgumentValueError, "order=-1"),
        (lambda: derivative([1.0], order=1.0), ArgumentTypeError, "order=1.0"),
        (lambda: derivative([1.0], scale="2"), ArgumentTypeError, "scale='2'"),
        (lambda: derivative([1.0], scale=np.inf), ArgumentValueError, "scale inf"),
    ],
)
def test_bad_arguments(call, error, words):
    with pytest.raises(error, match=words):
        call()
