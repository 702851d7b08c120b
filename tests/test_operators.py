"""Operators as values: the algebra, what they print, what binds them and what they refuse."""

import dataclasses
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradkit import (
    Average,
    Axis,
    D,
    Dirichlet,
    FiniteDifference,
    Grid,
    Identity,
    Operator,
    Stencil,
    operator_from_offsets,
)
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
    assert repr(D(0) / 3) == "D(0)/3"


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
    with pytest.raises(ArgumentValueError, match=r"1 outputs? and 2 inputs .*1 and 3"):
        Divergence(2) + Divergence(3)


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


# --- arrays as coefficients -----------------------------------------------------------------------

# Small integers: every sum and product below is exact, so results are compared without tolerance.
RING = Grid(Axis(boundary="periodic"))
f = np.array([3.0, -1.0, 4.0, 1.0, -5.0, 9.0])
a = np.array([2.0, 7.0, -1.0, 8.0, 2.0, -8.0])
b = np.array([1.0, -2.0, 3.0, 5.0, -7.0, 11.0])

#: What multiplies by a, differentiates once and differentiates twice on RING, typed as matrices.
A, B = np.diag(a), np.diag(b)
ONCE = (np.roll(np.eye(6), 1, axis=1) - np.roll(np.eye(6), -1, axis=1)) / 2
TWICE = np.roll(np.eye(6), 1, axis=1) - 2 * np.eye(6) + np.roll(np.eye(6), -1, axis=1)


def matrix(operator):
    """The matrix of an operator on RING, column by column from calls on unit vectors."""
    plan = operator.on(RING, (6,))
    return np.stack([plan(column) for column in np.eye(6)], axis=1)


@pytest.mark.parametrize(
    ("operator", "wanted"),
    [
        (D(0), ONCE),
        (D(0) @ D(0), TWICE),
        (a * D(0), A @ ONCE),
        (D(0) * a, A @ ONCE),
        (a @ D(0), A @ ONCE),
        (D(0) @ a, ONCE @ A),
        (D(0) @ (a * D(0)), ONCE @ A @ ONCE),
        (D(0) * (a * D(0)), A @ TWICE),
        ((a * D(0)) * (b * D(0)), A @ B @ TWICE),
        ((a * D(0)) @ (b * D(0)), A @ ONCE @ B @ ONCE),
        (D(0) @ a @ D(0) @ b, ONCE @ A @ ONCE @ B),
        (D(0, 2) @ (a * D(0, 2)), TWICE @ A @ TWICE),
        (a * (D(0) @ (b * D(0))), A @ ONCE @ B @ ONCE),
        (a + D(0), A + ONCE),
        (D(0) + a, A + ONCE),
        (a - D(0), A - ONCE),
        (D(0) - a, ONCE - A),
        (-(a * D(0)), -A @ ONCE),
        (-(D(0) @ a), -ONCE @ A),
        (2 * (D(0) @ a), 2 * ONCE @ A),
        ((D(0) @ a) / 2, ONCE @ A / 2),
        ((D(0) + a) @ (D(0) - b), TWICE - ONCE @ B + A @ ONCE - A @ B),
        ((a * D(0)) ** 2, A @ A @ TWICE),
        ((a + D(0)) ** 2, A @ A + 2 * A @ ONCE + TWICE),
        (a * D(0) + b * D(0), (A + B) @ ONCE),
        (a @ (b @ D(0)), A @ B @ ONCE),
        (Identity() * a, A),
        (a * D(0) * 0 + a, A),
    ],
    ids=lambda value: repr(value) if isinstance(value, Operator) else "",
)
def test_products_with_arrays_are_those_of_matrices(operator, wanted):
    assert isinstance(operator, Operator)
    np.testing.assert_array_equal(matrix(operator), wanted)


def test_the_conservative_form_is_not_the_product():
    conservative = D(0) @ (a * D(0))
    assert conservative != D(0) * (a * D(0)) == a * D(0, 2)
    np.testing.assert_array_equal(conservative.on(RING, (6,))(f), ONCE @ (a * (ONCE @ f)))


def test_conditions_at_walls_hold_for_the_field_and_not_for_its_product_with_an_array():
    x = np.arange(-1.0, 7)
    ends = (Dirichlet(1.0, at="next"), Dirichlet(36.0, at="next"))
    plan = (D(0, 2) @ np.full(6, 3.0)).on(Grid(Axis(boundary=ends)), (6,))
    np.testing.assert_array_equal(plan(x[1:-1] ** 2), np.full(6, 6.0))


# Where an array lies between them, two derivatives are two steps: @ is associative and linear.
steps = st.recursive(
    st.sampled_from([D(0), D(1, 2), a * D(0), D(1) @ b, Identity() * a, IDENTITY, 3 - D(0), ZERO]),
    lambda inner: (
        st.builds(lambda p, q: p @ q, inner, inner) | st.builds(lambda p, q: p + q, inner, inner)
    ),
    max_leaves=4,
)


@settings(deadline=None, derandomize=True)
@given(steps, steps, steps, numbers)
def test_composition_is_associative_and_linear(p, q, r, number):
    assert (p @ q) @ r == p @ (q @ r)
    assert p @ (q + r) == p @ q + p @ r
    assert (p + q) @ r == p @ r + q @ r
    assert (number * p) @ q == number * (p @ q) == p @ (number * q)
    assert IDENTITY @ p == p == p @ IDENTITY
    assert ZERO @ p == ZERO == p @ ZERO
    assert p @ number == number * p == number @ p
    assert -(p @ q) == (-p) @ q == p @ -q
    assert hash((p @ q) @ r) == hash(p @ (q @ r))


def test_derivatives_commute_with_each_other_but_not_with_arrays():
    assert D(0) @ (D(1) @ a) == D(1) @ (D(0) @ a) == (D(0) * D(1)) @ a
    assert D(0) @ (D(0) @ a) == D(0, 2) @ a
    assert D(0) @ a != a @ D(0)
    assert a @ (b @ D(0)) == b @ (a @ D(0))


def test_plus_and_two_minus_signs_change_nothing():
    for operator in (D(0), a * D(0), D(0) @ (a * D(0)), Gradient(2), 1j * D(0)):
        negative = -operator
        assert +operator == operator == -negative
        assert -operator != operator
        assert operator + -operator == 0 * operator


def test_complex_numbers_are_coefficients():
    for operator, factor in (
        (1j * D(0), 1j),
        (D(0) * (1 + 2j), 1 + 2j),
        (D(0) / 2j, -0.5j),
        (Fraction(1, 2) * D(0) * 1j, 0.5j),
        (np.complex64(2 - 1j) * D(0), 2 - 1j),
        (np.clongdouble(3j) * D(0), 3j),
    ):
        result = operator.on(RING, (6,))(f)
        assert result.dtype == np.complex128
        np.testing.assert_array_equal(result, factor * (ONCE @ f))
    assert (1j * D(0)) ** 2 == -D(0, 2)
    assert (D(0) + 1j * D(1)) * (D(0) - 1j * D(1)) == Laplacian(2)
    assert repr(D(0) - 2j * D(1)) == "D(0) - 2.0j*D(1)"
    assert repr((1 - 1j) * D(0)) == "(1-1j)*D(0)"


def test_complex_arrays_make_complex_results():
    plan = ((a + 1j * b) * D(0)).on(RING, (6,))
    np.testing.assert_array_equal(plan(f), (a + 1j * b) * (ONCE @ f))
    assert plan(f).dtype == np.complex128


DTYPES = [
    "int8",
    "int64",
    "uint8",
    "uint64",
    "float16",
    "float32",
    "float64",
    "longdouble",
    "complex64",
    "complex128",
]


@pytest.mark.parametrize("dtype", [*DTYPES, ">f8", ">i4"])
def test_numpy_arrays_of_every_dtype_multiply_from_the_left(dtype):
    values = np.array([2, 7, 1, 8, 2, 8], dtype)
    for operator in (values * D(0), values @ D(0), D(0) * values):
        # unsigned coefficients times negative slopes must not wrap around
        np.testing.assert_array_equal(operator.on(RING, (6,))(f), values.astype("c16") * (ONCE @ f))
    sums = (values + D(0)).on(RING, (6,))(f)
    np.testing.assert_array_equal(sums, values.astype("c16") * f + ONCE @ f)


def readonly(array):
    array.setflags(write=False)
    return array


@pytest.mark.parametrize(
    "array",
    [
        np.repeat(a, 2)[::2],
        a[::-1][::-1],
        readonly(a.copy()),
        np.frombuffer(a.tobytes()),
        np.asfortranarray(np.stack([a, b], axis=1))[:, 0],
    ],
    ids=["strided", "view", "read-only", "buffer", "column"],
)
def test_numpy_arrays_of_every_layout_multiply_from_the_left(array):
    assert array * D(0) == a * D(0)
    np.testing.assert_array_equal((array * D(0)).on(RING, (6,))(f), a * (ONCE @ f))


def test_arrays_broadcast_like_those_of_numpy():
    grid = Grid(Axis(boundary="periodic"), Axis(boundary="periodic"))
    field = np.outer(f, b)
    slope = ONCE @ field
    for array in (a, a[:, None], np.outer(b, a), np.array([[5.0]])):
        np.testing.assert_array_equal((array * D(0)).on(grid, (6, 6))(field), array * slope)


def test_arrays_of_other_shapes_are_refused_when_the_plan_is_made():
    with pytest.raises(ArgumentValueError, match=r"coefficient has shape \(5,\).*\(6,\)"):
        (a[:5] * D(0)).on(RING, (6,))
    with pytest.raises(ArgumentValueError, match=r"coefficient has shape \(1, 6\).*\(6,\)"):
        (a[None] * D(0)).on(RING, (6,))


def combined_with(array, library):
    """Operators with an array on either side, and their matrices."""
    found = {
        "D * a": (D(0) * array, A @ ONCE),
        "D @ a": (D(0) @ array, ONCE @ A),
        "D + a": (D(0) + array, A + ONCE),
        "D - a": (D(0) - array, ONCE - A),
    }
    if library.kind != "array_api_strict":  # its arrays raise before they ask what is on the right
        found |= {
            "a * D": (array * D(0), A @ ONCE),
            "a @ D": (array @ D(0), A @ ONCE),
            "a + D": (array + D(0), A + ONCE),
            "a - D": (array - D(0), A - ONCE),
        }
    return found


def test_arrays_of_every_library_combine_on_either_side(library):
    array = library.asarray(a)
    found = {name: operator for name, (operator, _) in combined_with(array, library).items()}
    assert all(isinstance(operator, Operator) for operator in found.values())
    for name, same in {"a * D": "D * a", "a @ D": "D * a", "a + D": "D + a"}.items():
        assert found.get(name, found[same]) == found[same]
    assert found["D - a"] == D(0) + -1 * (Identity() * array)
    assert repr(found["D @ a"]) == "D(0) @ <6 array>"


def test_arrays_of_every_library_multiply_what_lies_on_their_right(library):
    for name, (operator, wanted) in combined_with(library.asarray(a), library).items():
        result = library.to_numpy(operator.on(RING, (6,))(library.asarray(f)))
        np.testing.assert_array_equal(result, wanted @ f, err_msg=name)


def test_dask_arrays_are_not_computed(no_compute):
    dask_array = pytest.importorskip("dask.array")
    array = dask_array.from_array(a, chunks=2)
    with no_compute():
        operator = D(0) @ (array * D(0))
        assert operator == D(0) @ (array * D(0)) != D(0) @ ((2 * array) * D(0))
        assert hash(operator) == hash(D(0) @ (array * D(0)))
        assert repr(operator) == "D(0) @ (<6 array>*D(0))"


def test_numpy_arrays_without_dimensions_are_numbers():
    for number in (np.array(2), np.array(2.0), np.array(2, "f4")):
        assert number * D(0) == D(0) * number == number @ D(0) == 2 * D(0)
        assert D(0) / number == D(0) / 2
        assert D(0) + number == 2 + D(0) == number + D(0)
        assert number - D(0) == 2 - D(0)
    with pytest.raises(ArgumentValueError, match="nan is not a finite number"):
        np.array(np.nan) * D(0)
    with pytest.raises(TypeError):
        np.array(True) * D(0)


def test_arrays_without_dimensions_multiply_everything(library):
    operator = D(0) * library.asarray(3.0)
    result = operator.on(RING, (6,))(library.asarray(f))
    np.testing.assert_array_equal(library.to_numpy(result), 3 * (ONCE @ f))


@pytest.mark.parametrize("other", ["x", None, [1.0] * 6, (1.0,), {1: 2}, True], ids=repr)
def test_what_is_neither_number_nor_array_is_not_composed(other):
    for combine in (lambda: D(0) @ other, lambda: other @ D(0), lambda: other * Gradient(2)):
        with pytest.raises(TypeError):
            combine()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([True, False]), "coefficient has dtype bool"),
        (np.array([None, 1.0]), "coefficient has dtype object"),
        (np.array(["a", "b"]), "coefficient has dtype str"),
        (np.array(["2001-01-01"], "M8[D]"), r"coefficient has dtype datetime64\[D\]"),
        (np.array([1, 2], "m8[s]"), r"coefficient has dtype timedelta64\[s\]"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_arrays_that_hold_no_known_numbers_are_refused(array, message):
    for combine in (
        lambda: array * D(0),
        lambda: D(0) * array,
        lambda: array @ D(0),
        lambda: D(0) @ array,
        lambda: array + D(0),
        lambda: D(0) - array,
        lambda: Operator.matrix([[array]]),
    ):
        with pytest.raises(ArgumentTypeError, match=message):
            combine()


def test_functions_of_numpy_do_not_take_operators_for_objects():
    for function in (np.multiply, np.matmul, np.add, np.divide, np.equal):
        with pytest.raises(TypeError, match="does not support ufuncs"):
            function(a, D(0))


def test_an_operator_is_not_divided_by_an_array():
    with pytest.raises(ArgumentTypeError, match=r"\(1 / array\) \* operator"):
        D(0) / a
    with pytest.raises(TypeError):
        a / D(0)


# --- values that do not change --------------------------------------------------------------------


def test_arrays_that_change_afterwards_do_not_change_the_operator(library):
    """A copy is kept, where the library lets anyone change an array."""
    host = a.copy()
    array = library.asarray(host)
    if library.kind in ("jax", "dask") or library.name.endswith("readonly"):
        pytest.skip("these arrays cannot be changed")
    operator, untouched = D(0) @ array, D(0) @ library.asarray(a)
    before = hash(operator), repr(operator)
    array[0] = 100.0
    assert operator == untouched
    assert (hash(operator), repr(operator)) == before
    result = operator.on(RING, (6,))(library.asarray(f))
    np.testing.assert_array_equal(library.to_numpy(result), ONCE @ (a * f))


def test_read_only_views_are_copied_because_others_may_write_to_their_data():
    host = a.copy()
    operator = readonly(host[:]) * D(0)
    host[:] = 0
    np.testing.assert_array_equal(operator.on(RING, (6,))(f), a * (ONCE @ f))


def test_plans_keep_the_arrays_of_their_operators():
    host = a.copy()
    plan = (host * D(0)).on(RING, (6,))
    host[:] = 0
    np.testing.assert_array_equal(plan(f), a * (ONCE @ f))


def test_arithmetic_leaves_its_operands_as_they_are():
    operands = [D(0), a * D(0), D(0) @ (a * D(0)), Gradient(2), 2 * D(1)]
    before = [(repr(o), hash(o), o.entries) for o in operands]
    for operator in operands:
        _ = operator + operator, operator - operator, -operator, 2 * operator, operator / 3
        _ = D(0) @ operator, operator @ D(0), a @ operator, operator.normalized(2)
        _ = operator.idealized(), operator._repr_latex_()
    assert [(repr(o), hash(o), o.entries) for o in operands] == before


def test_arrays_inside_of_operators_cannot_be_written_to():
    (coefficient,) = [x for x in (a * D(0)).factors() if not hasattr(x, "order")]
    with pytest.raises(ValueError, match="read-only"):
        coefficient.arrays[0].array[0] = 1.0


# --- equality -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (a * D(0), a.copy() * D(0)),
        (a * D(0), D(0) @ IDENTITY * a),
        (a * D(0) + b * D(0), b * D(0) + a * D(0)),
        (a * D(0) + b * D(1), b * D(1) + a * D(0)),
        (a * (b * D(0)), b * (a * D(0))),
        (a * (b * D(0)), (a * D(0)) * b),
        (a * D(0) + a.copy() * D(0), 2 * (a * D(0))),
        (a * D(0) - a.copy() * D(0), ZERO),
        (D(0) @ a + D(0) @ b, D(0) @ b + D(0) @ a),
        (D(0) @ (a * D(1)), D(0) @ a @ D(1)),
        (np.array([np.nan, 1.0]) * D(0), np.array([np.nan, 1.0]) * D(0)),
        (Operator.matrix([[a, D(0)]]), Operator.matrix([[a.copy(), D(0)]])),
    ],
    ids=repr,
)
def test_operators_with_equal_arrays_are_equal(left, right):
    assert left == right
    assert hash(left) == hash(right)
    assert len({left, right}) == 1


def test_operators_with_other_arrays_are_not_equal():
    changed = a.copy()
    changed[-1] += 1e-12
    others = [
        changed * D(0),
        a[None] * D(0),
        a[:5] * D(0),
        a.astype("f4") * D(0),
        a.astype("i8") * D(0),
        a * D(1),
        a * D(0, 2),
        2 * (a * D(0)),
        a * (a * D(0)),
        D(0) @ a,
        Identity() * a,
        a * D(0) + 1,
    ]
    assert all(other != a * D(0) for other in others)
    assert len({a * D(0), *others}) == len(others) + 1
    assert a * (a * (b * D(0))) != a * (b * (b * D(0)))


def test_operators_equal_nothing_but_operators():
    assert D(0) != 0
    assert Identity() != 1
    assert (a == D(0)) is False
    assert (D(0) != a) is True


def test_arrays_of_two_libraries_are_not_equal():
    torch = pytest.importorskip("torch")
    assert torch.asarray(a.copy()) * D(0) != a * D(0)


def test_operators_with_arrays_can_be_sent(library):
    array = library.asarray(a)
    for operator in (D(0) * array, D(0) @ (D(0) * array), Operator.matrix([[array, D(1)]])):
        copy = pickle.loads(pickle.dumps(operator))
        assert copy == operator
        assert hash(copy) == hash(operator)
        assert repr(copy) == repr(operator)


# --- products that are not defined ----------------------------------------------------------------


@pytest.mark.parametrize(
    "combine",
    [
        lambda composed: composed * D(0),
        lambda composed: D(0) * composed,
        lambda composed: composed * composed,
        lambda composed: composed * a,
        lambda composed: composed**2,
        lambda composed: composed * Gradient(2),
        lambda composed: (composed + 1) * D(1),
    ],
)
@pytest.mark.parametrize("composed", [D(0) @ (a * D(0)), D(0) @ a], ids=repr)
def test_products_of_compositions_are_refused_in_favour_of_at(combine, composed):
    with pytest.raises(ArgumentValueError, match="write @, which applies one after the other"):
        combine(composed)


def test_what_stands_in_front_of_a_composition_may_be_multiplied():
    composed = D(0) @ (a * D(0))
    np.testing.assert_array_equal(matrix(b * composed), B @ ONCE @ A @ ONCE)
    assert 2 * composed == composed * 2 == composed + composed
    assert composed**1 == composed
    assert composed**0 == Identity()
    # the two derivatives that meet in the middle are one of second order
    np.testing.assert_array_equal(matrix(composed @ composed), ONCE @ A @ TWICE @ A @ ONCE)


# --- products of systems --------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [1, 2, 3, (2, 0), (-1, 0, 3)])
def test_the_divergence_of_a_gradient_is_the_laplacian(axes):
    assert Divergence(axes) @ Gradient(axes) == Laplacian(axes)


def test_second_derivatives_of_vector_calculus():
    """Identities of vector calculus, as equalities of matrices of derivatives."""
    zeros = Operator.matrix([[0], [0], [0]])
    assert Curl(3) @ Gradient(3) == zeros
    assert Curl(2) @ Gradient(2) == ZERO
    assert Divergence(3) @ Curl(3) == Operator.matrix([[0, 0, 0]])
    laplacians = Operator.matrix(
        [[Laplacian(3) if i == j else 0 for j in range(3)] for i in range(3)]
    )
    assert Curl(3) @ Curl(3) == Gradient(3) @ Divergence(3) - laplacians


def test_systems_compose_row_by_column():
    assert Gradient(2) @ Divergence(2) == Operator.matrix(
        [[D(0, 2), D(0) * D(1)], [D(0) * D(1), D(1, 2)]]
    )
    assert Jacobian(2, 2) @ Gradient(2) == Hessian(2)
    product = Operator.matrix([[a, D(0)]]) @ Operator.matrix([[D(1)], [b]])
    assert product == a * D(1) + D(0) @ b


def test_single_operators_and_arrays_apply_to_every_entry():
    assert D(2) @ Gradient(2) == Operator.matrix([[D(0) * D(2)], [D(1) * D(2)]])
    assert Divergence(2) @ D(2) == Operator.matrix([[D(0) * D(2), D(1) * D(2)]])
    assert a @ Gradient(2) == a * Gradient(2) == Operator.matrix([[a * D(0)], [a * D(1)]])
    assert Gradient(2) @ a == Operator.matrix([[D(0) @ a], [D(1) @ a]]) != Gradient(2) * a
    assert Divergence(2) @ a == Operator.matrix([[D(0) @ a, D(1) @ a]])
    assert a * Divergence(2) == Divergence(2) * a == Operator.matrix([[a * D(0), a * D(1)]])
    assert Gradient(2) / 2 == Fraction(1, 2) * Gradient(2)
    assert 3 @ Curl(2) == Curl(2) @ 3 == 3 * Curl(2)
    assert D(0) * Curl(2) == Curl(2) * D(0) == Operator.matrix([[-D(0) * D(1), D(0, 2)]])


def test_diffusion_with_a_coefficient_that_varies_is_in_conservative_form():
    grid = Grid(Axis(boundary="periodic"), Axis(boundary="periodic"))
    field, conductivity = np.outer(f, b), np.outer(a, f) + 1
    plan = (Divergence(2) @ (conductivity * Gradient(2))).on(grid, (6, 6))
    along_0 = ONCE @ (conductivity * (ONCE @ field))
    along_1 = (conductivity * (field @ ONCE.T)) @ ONCE.T
    np.testing.assert_array_equal(plan(field), along_0 + along_1)


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        (Gradient(2), Gradient(2), "1 input cannot follow one of 2 outputs"),
        (Divergence(2), Divergence(2), "2 inputs cannot follow one of 1 output"),
        (Curl(3), Gradient(2), "3 inputs cannot follow one of 2 outputs"),
        (Jacobian(2, 2), Curl(3), "2 inputs cannot follow one of 3 outputs"),
    ],
    ids=repr,
)
def test_systems_compose_only_where_inputs_are_outputs(left, right, message):
    with pytest.raises(ArgumentValueError, match=message):
        left @ right


def test_the_product_of_two_systems_is_refused_in_favour_of_at():
    for combine in (
        lambda: Divergence(2) * Gradient(2),
        lambda: Gradient(2) * Gradient(2),
        lambda: Curl(3) ** 2,
    ):
        with pytest.raises(ArgumentValueError, match="write @, which applies one after the other"):
            combine()


# --- Operator.matrix, Identity --------------------------------------------------------------------


def test_systems_are_made_of_operators_numbers_and_arrays():
    system = Operator.matrix([[D(0), 2, a], (0, Fraction(1, 2), np.float32(0.5))])
    assert (system.outputs, system.inputs) == (2, 3)
    assert not system.is_single
    assert repr(system) == "Operator.matrix([[D(0), 2, <6 array>], [0, 1/2, 0.5]])"
    inputs = [f, b, f + b]
    first, second = system.on(RING, (6,))(inputs)
    np.testing.assert_array_equal(first, ONCE @ f + 2 * b + a * (f + b))
    np.testing.assert_array_equal(second, b / 2 + (f + b) / 2)


def test_a_system_of_one_entry_is_that_entry():
    assert Operator.matrix([[D(0)]]) == D(0)
    assert Operator.matrix(((2,),)) == 2 * Identity()
    assert Operator.matrix([[D(0)]]).is_single
    assert not Gradient(2).is_single


@pytest.mark.parametrize(
    "rows", [[], [[]], [[], []], [[1], [1, 2]], [1, 2], 5, None, np.eye(2), {1: 2}], ids=repr
)
def test_rows_are_sequences_of_one_length(rows):
    with pytest.raises(ArgumentValueError, match="rows must be sequences of one length"):
        Operator.matrix(rows)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, None]], r"rows\[0\]\[1\]=None is not an operator"),
        ([[1], ["x"]], r"rows\[1\]\[0\]='x' is not an operator"),
        ([[D(0), True]], r"rows\[0\]\[1\]=True is not an operator"),
        ([[D(0)], [Gradient(2)]], r"rows\[1\]\[0\]=Operator.*one output and one input"),
        ([[[1.0, 2.0]]], r"rows\[0\]\[0\]=\[1.0, 2.0\] is not an operator"),
    ],
)
def test_entries_are_single_operators_numbers_or_arrays(rows, message):
    with pytest.raises(ArgumentTypeError, match=message):
        Operator.matrix(rows)


def test_entries_are_finite():
    with pytest.raises(ArgumentValueError, match="nan is not a finite number"):
        Operator.matrix([[float("nan")]])


def test_the_identity_leaves_an_array_as_it_is():
    assert Identity() == D(0) ** 0 == IDENTITY
    assert repr(Identity()) == "1"
    assert Identity() @ D(0) == D(0) @ Identity() == D(0)
    assert (Identity().outputs, Identity().inputs) == (1, 1)
    for shape in ((6,), (2, 3)):
        grid = Grid(*[None] * len(shape))  # no axis is needed
        np.testing.assert_array_equal(
            Identity().on(grid, shape)(f.reshape(shape)), f.reshape(shape)
        )


# --- derivatives with a stencil, or between places ------------------------------------------------


def test_a_stencil_of_the_users_own_takes_the_place_of_the_method():
    upwind = D(0, stencil=Stencil((-1, 0), order=1))
    np.testing.assert_array_equal(upwind.on(RING, (6,))(f), f - np.roll(f, 1))
    wide = D(0, 2, stencil=Stencil((-2, 0, 2), order=2))
    np.testing.assert_array_equal(
        wide.on(RING, (6,))(f), (np.roll(f, 2) - 2 * f + np.roll(f, -2)) / 4
    )
    assert upwind != D(0) != D(0, stencil=Stencil((-1, 0, 1), order=1))


def test_stencils_of_the_users_own_are_not_joined():
    upwind = D(0, stencil=Stencil((-1, 0), order=1))
    difference = np.eye(6) - np.roll(np.eye(6), -1, axis=1)
    np.testing.assert_array_equal(matrix(upwind**2), difference @ difference)
    np.testing.assert_array_equal(matrix(D(0) * upwind), ONCE @ difference)
    assert (
        repr(upwind**2) == "D(0, stencil=Stencil((-1, 0), 1)) @ D(0, stencil=Stencil((-1, 0), 1))"
    )
    assert repr(D(1) * upwind) == "D(0, stencil=Stencil((-1, 0), 1))*D(1)"


@pytest.mark.parametrize("stencil", [(-1, 0, 1), "central", 2, D(0)], ids=repr)
def test_stencils_are_values(stencil):
    with pytest.raises(ArgumentTypeError, match=r"stencil=.* is not a Stencil"):
        D(0, stencil=stencil)


def test_stencils_are_of_the_order_of_the_derivative():
    with pytest.raises(ArgumentValueError, match="order=2, but the stencil is one of order 1"):
        D(0, 2, stencil=Stencil((-1, 0), order=1))
    with pytest.raises(ArgumentValueError, match="order=1, but the stencil is one of order 2"):
        D(0, stencil=Stencil((-1, 0, 1), order=2))


@pytest.mark.parametrize(
    ("operator", "same"),
    [
        (D(0, to="left"), D(0, at="centre", to="left")),
        (D(0, at="outer"), D(0, at="outer", to="centre")),
        (D(0, to="center", at="left"), D(0, to="centre", at="left")),
        (D(0, to="centre") @ D(0, to="outer"), D(0, at="outer") @ D(0, to="outer")),
        (
            Average(0, to="centre") @ D(0, to="inner"),
            Average(0, at="inner", to="centre") @ D(0, to="inner"),
        ),
        (D(1, to="left") * D(0, to="left"), D(0, to="left") @ D(1, to="left")),
    ],
    ids=repr,
)
def test_places_that_go_without_saying_may_be_left_out(operator, same):
    assert operator == same
    assert hash(operator) == hash(same)


def test_derivatives_between_places_are_not_joined():
    there_and_back = D(0, to="centre") @ D(0, to="left")
    assert there_and_back not in (D(0, 2), D(0, to="left") @ D(0, to="centre"))
    # one difference to the faces on the left, one back: the narrow second difference
    np.testing.assert_array_equal(matrix(there_and_back), TWICE)


def test_averages_lie_between_places():
    plan = Average(0, to="inner").on(Grid(Axis()), (6,))
    np.testing.assert_array_equal(plan(f), (f[1:] + f[:-1]) / 2)
    np.testing.assert_array_equal(
        matrix(Average(0, to="right")), np.roll(np.eye(6), 1, 1) / 2 + np.eye(6) / 2
    )
    assert Average(0, to="left") * Average(1, to="left") == Average(1, to="left") @ Average(
        0, to="left"
    )
    assert repr(2 * Average(-1, to="outer")) == "2*Average(-1, to='outer')"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: D(0, to="middle"),
            ArgumentValueError,
            "to='middle' is not one of 'centre', 'left'",
        ),
        (lambda: D(0, at="outter"), ArgumentValueError, "at='outter'.*did you mean 'outer'"),
        (lambda: D(0, to=1), ArgumentValueError, "to=1 is not one of"),
        (lambda: Average(0, to=None), ArgumentTypeError, "an average needs to know where"),
        (lambda: Average(0, to="up"), ArgumentValueError, "to='up' is not one of"),
        (lambda: Average(0, to="left", at="x"), ArgumentValueError, "at='x' is not one of"),
        (lambda: Average(True, to="left"), ArgumentTypeError, "axis=True is not an integer"),
        (lambda: Average(1.0, to="left"), ArgumentTypeError, r"axis=1\.0 is not an integer"),
        (lambda: Average(0), TypeError, "to"),
    ],
)
def test_places_have_names(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("operator", "error", "message"),
    [
        (D(0, to="centre"), ArgumentTypeError, "does not say where its values lie: wanted at="),
        (
            D(0, at="left") @ D(0, to="right"),
            ArgumentValueError,
            "values at 'left', but they lie at 'right'",
        ),
        (
            D(0, to="left") + D(0, to="right"),
            ArgumentValueError,
            "output 0 lies at 'left'.*'right'",
        ),
    ],
    ids=repr,
)
def test_places_that_do_not_meet_are_found_when_the_plan_is_made(operator, error, message):
    with pytest.raises(error, match=message):
        operator.on(RING, (6,))


# --- normalized, idealized ------------------------------------------------------------------------


def test_normalized_reaches_factors_of_every_kind():
    stencil = Stencil((-1, 0), order=1)
    given = (
        D(-1, 2, to="left")
        + Average(-1, to="left") * 3
        + D(-1, to="left", stencil=stencil)
        + D(-1, to="left") @ (a * D(-2))
    )
    wanted = (
        D(2, 2, to="left")
        + Average(2, to="left") * 3
        + D(2, to="left", stencil=stencil)
        + D(2, to="left") @ (a * D(1))
    )
    assert given.normalized(3) == wanted
    assert Gradient((-1, -2)).normalized(2) == Gradient((1, 0))
    own = operator_from_offsets({-1: -1, 0: 1}, axes=(-1,))
    assert own.normalized(3) == operator_from_offsets({-1: -1, 0: 1}, axes=(2,))
    with pytest.raises(AxisError, match="axis=3 is out of bounds"):
        operator_from_offsets({-1: -1, 0: 1}, axes=(3,)).normalized(3)


def test_idealized_operators_hold_derivatives_alone():
    upwind = D(0, stencil=Stencil((-1, 0), order=1))
    corners = {(i, j): Fraction(1, 2) for i in (-1, 1) for j in (-1, 1)}
    cross = operator_from_offsets({(0, 0): -2, **corners}, axes=(1, -1))
    assert upwind.idealized() == D(0)
    assert (upwind**2).idealized() == D(0, 2)
    assert cross.idealized() == D(1, 2) + D(-1, 2)
    assert (3 * cross @ upwind).idealized() == 3 * D(0) * (D(1, 2) + D(-1, 2))
    assert (upwind @ (a * upwind)).idealized() == D(0) @ (a * D(0))
    assert Operator.matrix([[upwind, 1], [a, cross]]).idealized() == Operator.matrix(
        [[D(0), 1], [a, D(1, 2) + D(-1, 2)]]
    )
    moved = D(0, 2, to="left", at="left", stencil=Stencil((-1, 0, 1), order=2))
    assert moved.idealized() == D(0, 2, to="left", at="left")
    shift = operator_from_offsets({2: 5})
    assert shift.idealized() == 5 * Identity()


@settings(deadline=None, derandomize=True)
@given(operators)
def test_what_is_ideal_already_stays_as_it_is(operator):
    assert operator.idealized() == operator


# --- what they print, with arrays and compositions ------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "text"),
    [
        (a * D(0), "<6 array>*D(0)"),
        (np.ones((2, 3)) * D(0) - 1, "-1 + <2 x 3 array>*D(0)"),
        (a - D(0), "<6 array> - D(0)"),
        (-2 * (a * D(0)), "-2*<6 array>*D(0)"),
        (D(0) @ a, "D(0) @ <6 array>"),
        (D(0) @ (a * D(0)), "D(0) @ (<6 array>*D(0))"),
        (-(D(0) @ (a * D(0))), "-(D(0) @ (<6 array>*D(0)))"),
        (2 * (D(0) @ a), "2*(D(0) @ <6 array>)"),
        (D(0) - D(1) @ a, "D(0) - (D(1) @ <6 array>)"),
        (D(0, 2) @ (a * D(1)), "(D(0)**2) @ (<6 array>*D(1))"),
        (a * (D(0) @ (b * D(1))), "(<6 array>*D(0)) @ (<6 array>*D(1))"),
        (D(0, to="centre") @ D(0, to="outer"), "D(0, to='centre') @ D(0, to='outer')"),
        (D(0, 2, at="left"), "D(0, 2, at='left', to='centre')"),
        (D(0, to="left", at="left"), "D(0, at='left', to='left')"),
        (D(0, 3, to="left"), "D(0, 3, to='left')"),
        (D(0, 2, stencil=Stencil((-1, 0, 1), 2)), "D(0, 2, stencil=Stencil((-1, 0, 1), 2))"),
        (D(0, stencil=Stencil((0, Fraction(1, 2)), 1)), "D(0, stencil=Stencil((0, 1/2), 1))"),
        (D(1) * D(0, to="left"), "D(0, to='left')*D(1)"),
        (a @ Divergence(2), "Operator.matrix([[<6 array>*D(0), <6 array>*D(1)]])"),
    ],
    ids=str,
)
def test_operators_with_arrays_print_as_one_writes_them(operator, text):
    assert repr(operator) == text
    assert str(operator) == text


places = st.sampled_from([None, "centre", "left", "right", "inner", "outer"])
atoms = (
    st.builds(D, st.integers(-2, 2), st.integers(1, 3))
    | st.builds(
        lambda *x: D(x[0], x[1], to=x[2], at=x[3]),
        st.integers(-1, 1),
        st.integers(1, 2),
        places,
        places,
    )
    | st.builds(
        lambda *x: Average(x[0], to=x[1], at=x[2]), st.integers(-1, 1), places.filter(bool), places
    )
    | st.builds(
        lambda c: c * IDENTITY,
        st.integers(-9, 9)
        | st.floats(-3, 3, allow_subnormal=False)
        | st.complex_numbers(
            max_magnitude=9, allow_nan=False, allow_infinity=False, allow_subnormal=False
        ),
    )
)
printed = st.recursive(
    atoms,
    lambda inner: (
        st.builds(lambda p, q: p @ q, inner, inner)
        | st.builds(lambda p, q: p + q, inner, inner)
        | st.builds(lambda p, q: p * q, inner, inner)
        | st.builds(lambda p: -p, inner)
    ),
    max_leaves=5,
)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(printed)
def test_what_is_printed_of_compositions_and_places_reads_back(operator):
    names = {"D": D, "Average": Average}
    assert eval(repr(operator), names) * IDENTITY == operator


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(printed, printed), min_size=1, max_size=3))
def test_what_is_printed_of_systems_reads_back(rows):
    operator = Operator.matrix(rows)
    names = {"D": D, "Average": Average, "Operator": Operator}
    assert eval(repr(operator), names) == operator


def test_notebooks_show_mathematics():
    assert D(0, 2)._repr_latex_() == (r"$\displaystyle \frac{\partial^{2}}{\partial x_{0}^{2}}$")
    assert (D(0) @ (a * D(1)))._repr_latex_() == (
        r"$\displaystyle \frac{\partial}{\partial x_{0}} \, c_{1} \, "
        r"\frac{\partial}{\partial x_{1}}$"
    )
    assert Gradient(1)._repr_latex_() == r"$\displaystyle \frac{\partial}{\partial x_{0}}$"


# --- what an earlier version got wrong ------------------------------------------------------------


@pytest.mark.parametrize(
    "combine",
    [
        lambda: D(0) * 1e300 * 1e300,
        lambda: D(0) / 1e-320,
        lambda: (1e300 * D(0)) ** 2,
        lambda: (1e308 + D(0)) * 2,
    ],
)
def test_coefficients_stay_finite(combine):
    with pytest.raises(ArgumentValueError, match="not a finite number"):
        combine()


def test_complex_coefficients_without_imaginary_part_are_real():
    plan = ((1j * D(0)) ** 2).on(Grid(Axis(boundary="periodic")), (6,))
    assert plan(np.arange(6.0)).dtype == "float64"


def test_fractions_and_stencils_read_back():
    assert eval(repr(D(0) / 3)) == D(0) / 3
    assert eval(repr(-2 * D(0, 2) / 3)) == -2 * D(0, 2) / 3
    upwind = D(0, stencil=Stencil((-1, 0), order=1))
    assert eval(repr(upwind)) == upwind


def test_stencils_of_ones_own_commute_with_derivatives_along_other_axes():
    upwind = operator_from_offsets({-1: -1, 0: 1})
    assert D(1) * upwind == upwind * D(1)
    # Axis -1 may be axis 0, so what stands along it keeps its place.
    assert (D(0, to="centre") @ D(-1, to="inner")).on(Grid(Axis()), (6,)).output_shape == (6,)


def test_systems_have_no_power():
    with pytest.raises(ArgumentValueError, match="power of a system"):
        Gradient(2) ** 0


def test_own_stencils_commute_with_derivatives_in_products():
    upwind = D(0, stencil=Stencil((-1, 0), 1))
    assert upwind == D(0, stencil=Stencil((0, -1), 1))
    assert upwind * D(0) == D(0) * upwind
    assert upwind * D(0) * upwind == upwind * upwind * D(0)


def test_long_sums_of_arrays_do_not_compare_them_all(monkeypatch):
    """Arrays of different content hash differently, so that none is looked at twice."""
    monkeypatch.setattr("gradkit._values._same_values", lambda a, b: pytest.fail("compared"))
    total = sum((np.full(6, float(k)) * D(0) for k in range(50)), start=0 * D(0))
    np.testing.assert_array_equal(
        total.on(Grid(Axis()), (6,))(np.arange(6.0)), np.full(6, 49 * 50 / 2)
    )


@pytest.mark.parametrize(
    "action",
    [
        lambda t: D(0, t),
        FiniteDifference,
        lambda t: Stencil([t, 0], 1),
        lambda t: operator_from_offsets({0: t}),
        Dirichlet,
    ],
)
def test_lengths_of_time_are_no_numbers(action):
    with pytest.raises(ArgumentTypeError, match=r"timedelta64\("):
        action(np.timedelta64(1, "s"))


def test_options_that_do_not_exist_are_named():
    with pytest.raises(ArgumentTypeError, match=r"no argument 'accuracy': wanted method=Finite"):
        D(0).on(Grid(Axis()), (5,), accuracy=4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_coefficients_and_spacings_out_of_range_may_cancel(dtype):
    f = (np.arange(9.0) ** 4).astype(dtype)
    for coefficient, spacing in ((1e-40, 1e-10), (1e-100, 1e-25), (1e40, 1e10)):
        plan = (coefficient * D(0) ** 4).on(Grid(Axis(spacing=spacing)), (9,))
        np.testing.assert_allclose(plan(f), 24, rtol=64 * np.finfo(dtype).eps)
