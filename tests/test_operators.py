"""Operators as values: the algebra, what they print, what binds them and what they refuse."""

import dataclasses
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradkit import Axis, D, Grid, Operator
from gradkit.errors import ArgumentTypeError, ArgumentValueError, AxisError
from gradkit.systems import (
    Curl,
    Divergence,
    Gradient,
    Hessian,
    Jacobian,
    Laplacian,
)

IDENTITY = D(0) ** 0
ZERO = D(0) - D(0)


def table(operator):
    """The coefficients of a single operator: {((axis, order), ...): coefficient}."""
    ((polynomial,),) = operator.entries
    return {
        tuple((factor.axis, factor.order) for factor in term.factors): term.coefficient
        for term in polynomial.terms
    }


numbers = st.integers(-5, 5) | st.fractions(-3, 3, max_denominator=7)
derivatives = st.builds(D, st.integers(-2, 2), st.integers(1, 3))
operators = st.recursive(
    derivatives | st.builds(lambda c: c * IDENTITY, numbers),
    lambda inner: (
        st.builds(lambda a, b: a + b, inner, inner)
        | st.builds(lambda a, b: a * b, inner, inner)
        | st.builds(lambda a, c: c * a, inner, numbers)
    ),
    max_leaves=5,
)


# --- the algebra ----------------------------------------------------------------------------------


def test_products_of_derivatives_add_their_orders():
    assert D(0) * D(0) * D(0) == D(0) ** 3 == D(0, 3) == D(0) * D(0, 2)
    assert table(D(0) * D(1) * D(0)) == {((0, 2), (1, 1)): 1}
    assert D(0) * D(1) == D(1) * D(0)


def test_sums_collect_equal_derivatives():
    assert D(0) + D(0) == 2 * D(0)
    assert table((D(0) + D(1)) ** 2) == {((0, 2),): 1, ((0, 1), (1, 1)): 2, ((1, 2),): 1}
    assert (D(0) + D(1)) * (D(0) - D(1)) == D(0, 2) - D(1, 2)
    assert table(D(0) - D(0)) == {}


def test_a_number_stands_for_that_number_times_the_identity():
    assert table(3 - D(0)) == {(): 3, ((0, 1),): -1}
    assert table(D(0) - 3) == {(): -3, ((0, 1),): 1}
    assert table(3 + D(0)) == table(D(0) + 3)
    assert IDENTITY * D(1) == D(1)
    assert table(D(0) ** 0) == {(): 1}


def test_three_minus_a_derivative_has_the_right_sign_on_data():
    f = np.array([0.0, 1.0, 4.0, 9.0, 16.0])  # x**2, whose slope is 2 x
    plan = (3 - D(0)).on(Grid(Axis()), (5,))
    assert plan(f).tolist() == [3 * x**2 - 2 * x for x in range(5)]


@pytest.mark.parametrize("zero", [0, 0.0, Fraction(0)])
def test_terms_that_vanish_are_dropped(zero):
    assert D(0) * zero == ZERO
    assert D(0) + zero == D(0)


@settings(deadline=None, derandomize=True)
@given(operators, operators, operators)
def test_addition_and_multiplication_are_those_of_polynomials(a, b, c):
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a * b == b * a
    assert (a * b) * c == a * (b * c)
    assert a * (b + c) == a * b + a * c
    assert a - b == a + -1 * b
    assert a - a == ZERO
    negative = -a
    assert -negative == a == 0 - negative
    assert a * 1 == a == 1 * a
    assert a**3 == a * a * a


@settings(deadline=None, derandomize=True)
@given(operators, operators, numbers)
def test_equal_operators_hash_equal(a, b, number):
    assert hash(a + b) == hash(b + a)
    assert hash(number * a) == hash(a * number)
    assert pickle.loads(pickle.dumps(a)) == a


@settings(deadline=None, derandomize=True)
@given(operators, st.fractions(-3, 3, max_denominator=7).filter(bool))
def test_dividing_by_a_number_undoes_multiplying_by_it(a, number):
    assert (a * number) / number == a


@settings(deadline=None, derandomize=True)
@given(operators, st.permutations([0, 1, 2]))
def test_operators_act_on_exponentials_as_polynomials(operator, order):
    """exp(a x + b y + c z) is an eigenfunction: D(0) -> a, D(1) -> b, D(2) -> c."""
    symbols = [Fraction(2), Fraction(-1, 3), Fraction(5, 7)]

    def value(any_operator):
        total = Fraction(0)
        for orders, coefficient in table(any_operator.normalized(3)).items():
            product = Fraction(coefficient)
            for axis, power in orders:
                product *= symbols[axis] ** power
            total += product
        return total

    other = sum((k * D(axis) for k, axis in enumerate(order, 1)), start=IDENTITY)
    assert value(operator + other) == value(operator) + value(other)
    assert value(operator * other) == value(operator) * value(other)
    assert value(3 - operator) == 3 - value(operator)


@pytest.mark.parametrize(
    "number",
    [2, 0.5, Fraction(1, 2), np.float64(0.5), np.float32(0.5), np.int64(2), np.uint8(2)],
    ids=repr,
)
def test_numbers_of_every_kind_are_coefficients(number):
    f = np.array([0.0, 1.0, 4.0, 9.0, 16.0])
    grid = Grid(Axis())
    for operator in (number * D(0), D(0) * number):
        assert isinstance(operator, Operator)
        assert operator.on(grid, (5,))(f).tolist() == [2 * x * float(number) for x in range(5)]
    quotient = D(0) / number
    assert quotient.on(grid, (5,))(f).tolist() == [2 * x / float(number) for x in range(5)]


def test_coefficients_are_numbers_without_a_dtype():
    """NumPy scalars wrap and round in their own dtype; products of coefficients must not."""
    assert 200 * D(0) * np.uint8(2) == np.uint8(200) * D(0) * np.uint8(2) == 400 * D(0)
    assert 3 - np.uint8(2) * D(0) == 3 - 2 * D(0)
    assert np.float32(0.1) * D(0) * np.float32(0.1) == (float(np.float32(0.1)) ** 2) * D(0)
    assert repr(np.float64(0.5) * D(0)) == "0.5*D(0)"


@pytest.mark.parametrize("other", ["x", None, [1, 2], True, np.True_], ids=repr)
def test_what_is_not_a_number_does_not_combine(other):
    for combine in (
        lambda: D(0) * other,
        lambda: other * D(0),
        lambda: D(0) + other,
        lambda: other + D(0),
        lambda: D(0) - other,
        lambda: other - D(0),
        lambda: D(0) / other,
    ):
        with pytest.raises(TypeError):
            combine()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), np.float64("-inf")], ids=repr)
def test_coefficients_are_finite(number):
    for combine in (lambda: D(0) * number, lambda: number * D(0), lambda: D(0) + number):
        with pytest.raises(ArgumentValueError, match=str(number)):
            combine()


def test_arrays_never_become_arrays_of_operators():
    """NumPy would take the operator for an object and multiply element by element."""
    for combine in (
        lambda: np.arange(3.0) * D(0),
        lambda: D(0) * np.arange(3.0),
        lambda: np.arange(3.0) + D(0),
        lambda: D(0) - np.arange(3.0),
    ):
        try:
            result = combine()
        except (TypeError, NotImplementedError):
            continue
        assert isinstance(result, Operator)


def test_division_by_zero_and_by_operators_raises():
    with pytest.raises(ArgumentValueError, match="divided by 0"):
        D(0) / 0
    with pytest.raises(TypeError):
        D(0) / D(1)
    with pytest.raises(TypeError):
        1 / D(0)


@pytest.mark.parametrize("power", [0.5, 2.0, True, "2"])
def test_powers_are_integers(power):
    with pytest.raises(ArgumentTypeError, match=r"power=.* is not an integer >= 0"):
        D(0) ** power


def test_powers_start_at_0():
    with pytest.raises(ArgumentValueError, match="power=-1 is not >= 0"):
        D(0) ** -1
    assert D(0) ** np.int64(2) == D(0, 2)


def test_quotients_of_integers_stay_exact():
    assert (D(0) / 3) * 3 == D(0)
    assert repr(D(0) / 3) == "1/3*D(0)"


# --- derivatives ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((True,), ArgumentTypeError, "axis=True is not an integer"),
        ((1.0,), ArgumentTypeError, r"axis=1\.0 is not an integer"),
        (("x",), ArgumentTypeError, "axis='x' is not an integer"),
        ((None,), ArgumentTypeError, "axis=None is not an integer"),
        ((0, 0), ArgumentValueError, "order=0 is not >= 1"),
        ((0, -2), ArgumentValueError, "order=-2 is not >= 1"),
        ((0, 1.0), ArgumentTypeError, r"order=1\.0 is not an integer"),
        ((0, True), ArgumentTypeError, "order=True is not an integer"),
    ],
)
def test_what_is_not_a_derivative_raises(arguments, error, message):
    with pytest.raises(error, match=message):
        D(*arguments)


def test_numpy_integers_are_axes_and_orders():
    operator = D(np.int64(1), np.int8(2))
    assert operator == D(1, 2)
    assert repr(operator) == "D(1)**2"


def test_operators_are_frozen():
    operator = D(0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        operator.entries = ()
    copy = operator
    copy += D(1)
    assert operator == D(0)


# --- what they print ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "text"),
    [
        (D(0), "D(0)"),
        (D(-1, 2), "D(-1)**2"),
        (D(0) ** 2 + 2 * D(0) * D(1), "D(0)**2 + 2*D(0)*D(1)"),
        (D(0) - D(1), "D(0) - D(1)"),
        (-D(0), "-D(0)"),
        (3 - D(0), "3 - D(0)"),
        (0.5 * D(1) - 2, "-2 + 0.5*D(1)"),
        (D(0) * 0, "0"),
        (D(0) ** 0, "1"),
        (Laplacian((0, 1)), "D(0)**2 + D(1)**2"),
        (Gradient((0, 1)), "Operator.matrix([[D(0)], [D(1)]])"),
        (Divergence((0, 1)), "Operator.matrix([[D(0), D(1)]])"),
        (Curl((0, 1)), "Operator.matrix([[-D(1), D(0)]])"),
    ],
    ids=str,
)
def test_operators_print_as_one_writes_them(operator, text):
    assert repr(operator) == text


@settings(deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.integers(-9, 9) | st.floats(-3, 3, allow_subnormal=False),
            st.lists(st.tuples(st.integers(-2, 2), st.integers(1, 4)), max_size=3),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_printed_reads_back_as_the_same_operator(terms):
    operator = ZERO
    for coefficient, factors in terms:
        product = IDENTITY * coefficient
        for axis, order in factors:
            product = product * D(axis, order)
        operator = operator + product
    assert eval(repr(operator), {"D": D}) * IDENTITY == operator


# --- systems --------------------------------------------------------------------------------------


def test_named_operators_are_matrices_of_derivatives():
    assert Gradient((0, 2)).entries == (*D(0).entries, *D(2).entries)
    assert Divergence((1, 0)).entries == ((D(1).entries[0][0], D(0).entries[0][0]),)
    assert Laplacian((0, 1, 2)) == D(0, 2) + D(1, 2) + D(2, 2)
    hessian = Hessian((0, 1))
    wanted = (D(0, 2), D(0) * D(1), D(1) * D(0), D(1, 2))
    assert hessian.entries == tuple(row for d in wanted for row in d.entries)


@pytest.mark.parametrize(
    ("operator", "outputs", "inputs"),
    [
        (D(0) * D(1), 1, 1),
        (Gradient((0, 1, 2)), 3, 1),
        (Divergence((0, 1, 2)), 1, 3),
        (Hessian((0, 1, 2)), 9, 1),
        (Jacobian((0, 1), 3), 6, 3),
        (Curl((0, 1)), 1, 2),
        (Curl((0, 1, 2)), 3, 3),
    ],
)
def test_outputs_and_inputs_are_rows_and_columns(operator, outputs, inputs):
    assert (operator.outputs, operator.inputs) == (outputs, inputs)


def test_curl_of_a_gradient_and_divergence_of_a_curl_vanish_as_operators():
    gradient = [table_row[0] for table_row in Gradient((0, 1, 2)).entries]
    curl = Curl((0, 1, 2)).entries
    for row in curl:
        total = ZERO
        for entry, component in zip(row, gradient, strict=True):
            total = total + Operator(((entry,),)) * Operator(((component,),))
        assert total == ZERO
    for column in range(3):
        total = ZERO
        for axis in range(3):
            total = total + D(axis) * Operator(((curl[axis][column],),))
        assert total == ZERO


def test_systems_add_where_their_shapes_agree():
    twice = Gradient((0, 1)) + Gradient((0, 1))
    assert twice == 2 * Gradient((0, 1))
    with pytest.raises(ArgumentValueError, match=r"2 outputs and 1 inputs .*1 and 2"):
        Gradient((0, 1)) + Divergence((0, 1))
    with pytest.raises(ArgumentValueError, match="cannot be added"):
        Gradient((0, 1)) + 1


def test_systems_multiply_by_single_operators_alone():
    assert (D(2) * Gradient((0, 1))).entries == (
        *(D(0) * D(2)).entries,
        *(D(1) * D(2)).entries,
    )
    assert Gradient((0, 1)) * D(2) == D(2) * Gradient((0, 1))
    with pytest.raises(ArgumentValueError, match="multiply by a single operator"):
        Divergence((0, 1)) * Gradient((0, 1))


# --- axes -----------------------------------------------------------------------------------------


def test_normalized_counts_axes_from_0():
    assert D(-1).normalized(3) == D(2)
    assert (D(0) * D(-1)).normalized(2) == D(0) * D(1)
    assert (D(0) + D(-2)).normalized(2) == 2 * D(0)
    assert (D(0) * D(-2, 2)).normalized(2) == D(0, 3)
    assert (D(1) - D(-1)).normalized(2) == ZERO


@pytest.mark.parametrize(("axis", "ndim"), [(2, 2), (-3, 2), (0, 0)])
def test_normalized_refuses_axes_that_do_not_exist(axis, ndim):
    with pytest.raises(AxisError, match=rf"axis={axis} is out of bounds.*{ndim} dimension"):
        D(axis).normalized(ndim)
    with pytest.raises(np.exceptions.AxisError):
        D(axis).normalized(ndim)


def test_on_binds_to_a_grid():
    plan = D(-1).on(Grid(None, Axis(spacing=0.5)), (2, 4), edge_order=1, nan="raise")
    assert plan.operator == D(1)
    assert (plan.shape, plan.edge_order, plan.nan) == ((2, 4), 1, "raise")
    assert plan(np.array([[0.0, 1, 2, 3], [0, 3, 6, 9]])).tolist() == [[2.0] * 4, [6.0] * 4]
