"""What operators are made of: how factors are ordered, joined, added up and printed."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from gradkit._values import ArrayValue
from gradkit.errors import ArgumentValueError
from gradkit.terms import (
    Coefficient,
    Offsets,
    Partial,
    Polynomial,
    Term,
    composition,
    number_text,
    polynomial_of,
    product,
)
from gradkit.weights import Stencil


def array(*values):
    return ArrayValue(np.array(values), "coefficient")


ARRAY, OTHER = array(1.0, 2.0), array(3.0, 4.0)
TIMES, TIMES_OTHER = Coefficient((ARRAY,)), Coefficient((OTHER,))
X, Y = Partial(0, 1), Partial(1, 1)
BACKWARD = Stencil((-1, 0), order=1)


def difference(*axes):
    """A stencil of one's own: the forward difference along the first of some axes."""
    origin, step = (0,) * len(axes), (1, *(0,) * (len(axes) - 1))
    weights = ((origin, Fraction(-1)), (step, Fraction(1)))
    return Offsets(axes, weights, None, 1, 1, Polynomial((Term(1, (X,)),)))


# --- derivatives ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("partial", "plain"),
    [
        (Partial(0, 1), True),
        (Partial(-1, 3), True),
        (Partial(0, 0, "centre", "left"), False),
        (Partial(0, 1, None, "centre"), False),
        (Partial(0, 1, "centre", "left"), False),
        (Partial(0, 1, stencil=BACKWARD), False),
    ],
)
def test_plain_derivatives_stay_in_place_and_leave_the_stencil_to_the_method(partial, plain):
    assert partial.is_plain is plain


@pytest.mark.parametrize(
    ("partial", "place", "text"),
    [
        (Partial(0, 1), None, "D(0)"),
        (Partial(2, 3), None, "D(2)**3"),
        (Partial(0, 1, "centre", "left"), None, "D(0, to='left')"),
        (Partial(0, 2, "centre", "left"), None, "D(0, 2, to='left')"),
        (Partial(0, 1, "left", "left"), None, "D(0, at='left', to='left')"),
        (Partial(0, 1, "left", "centre"), None, "D(0, at='left', to='centre')"),
        (Partial(0, 1, "left", "centre"), "left", "D(0, to='centre')"),
        (Partial(0, 1, "left", "centre"), "right", "D(0, at='left', to='centre')"),
        (Partial(0, 1, "centre", "centre"), None, "D(0, at='centre', to='centre')"),
        (Partial(0, 1, None, "centre"), None, "D(0, to='centre')"),
        (Partial(1, 0, "centre", "inner"), None, "Average(1, to='inner')"),
        (Partial(1, 0, "outer", "centre"), None, "Average(1, at='outer', to='centre')"),
        (Partial(0, 1, stencil=BACKWARD), None, "D(0, stencil=Stencil((-1, 0), 1))"),
        (
            Partial(0, 1, "centre", "left", Stencil((Fraction(-1, 2), Fraction(1, 2)), 1)),
            None,
            "D(0, to='left', stencil=Stencil((-1/2, 1/2), 1))",
        ),
    ],
)
def test_derivatives_print_as_they_are_made_where_their_place_is_known(partial, place, text):
    assert partial.text(place) == text
    if place is None:
        assert repr(partial) == text


def test_parts_of_operators_are_frozen():
    for value in (X, TIMES, difference(0), Term(1, (X,)), Polynomial(())):
        (name, *_) = [part.name for part in dataclasses.fields(value)]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, None)


# --- arrays ---------------------------------------------------------------------------------------


def test_arrays_multiply_in_any_order():
    both, turned = Coefficient((ARRAY, OTHER)), Coefficient((OTHER, ARRAY))
    assert both == turned
    assert hash(both) == hash(turned)
    assert repr(both) == "<2 array>*<2 array>"


def test_arrays_count_as_often_as_they_are_multiplied_by():
    once, twice = Coefficient((ARRAY, OTHER)), Coefficient((ARRAY, ARRAY, OTHER))
    assert once != twice != Coefficient((ARRAY, OTHER, OTHER)) != once
    assert Coefficient((ARRAY,)) != Coefficient((OTHER,))
    assert Coefficient((ARRAY,)) != ARRAY
    assert twice == Coefficient((array(1.0, 2.0), OTHER, ARRAY))


# --- terms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factors", "multiplication", "lead"),
    [
        ((), True, True),
        ((TIMES,), True, True),
        ((X, Y), False, True),
        ((TIMES, X, Y), False, True),
        ((X, TIMES), False, False),
        ((TIMES, X, TIMES_OTHER), False, False),
        ((difference(0),), False, True),
        ((TIMES, difference(0)), False, True),
    ],
    ids=repr,
)
def test_terms_know_where_their_arrays_stand(factors, multiplication, lead):
    term = Term(2, factors)
    assert term.is_multiplication is multiplication
    assert term.arrays_lead is lead


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (Term(3), "3"),
        (Term(1), "1"),
        (Term(-1), "-1"),
        (Term(1, (X,)), "D(0)"),
        (Term(-1, (X, Y)), "-D(0)*D(1)"),
        (Term(Fraction(1, 3), (X,)), "D(0)/3"),
        (Term(2j, (X,)), "2.0j*D(0)"),
        (Term(1, (X, TIMES)), "D(0) @ <2 array>"),
        (Term(1, (X, TIMES, Y)), "D(0) @ (<2 array>*D(1))"),
        (Term(-1, (X, TIMES, Y)), "-(D(0) @ (<2 array>*D(1)))"),
        (Term(0.5, (X, TIMES, Y)), "0.5*(D(0) @ (<2 array>*D(1)))"),
        (Term(1, (TIMES, X, TIMES_OTHER, Y)), "(<2 array>*D(0)) @ (<2 array>*D(1))"),
        (
            Term(1, (Partial(0, 1, "left", "centre"), Partial(0, 1, "centre", "left"))),
            "D(0, to='centre') @ D(0, to='left')",
        ),
        (
            Term(1, (Partial(0, 1, "left", "centre"), Partial(0, 1, "centre", "left"), Y)),
            "D(0, to='centre') @ (D(0, to='left')*D(1))",
        ),
        (Term(2, (difference(0),)), "2*Offsets(2 points: D(0) + O(h^1))"),
        (Term(1, (difference(1, 0),)), "Offsets(2 points, axes=(1, 0): D(0) + O(h^1))"),
        (Term(1, (X, difference(0))), "D(0) @ Offsets(2 points: D(0) + O(h^1))"),
        (Term(1, (difference(0), X)), "Offsets(2 points: D(0) + O(h^1)) @ D(0)"),
        (Term(1, (difference(0), Y)), "Offsets(2 points: D(0) + O(h^1))*D(1)"),
    ],
    ids=repr,
)
def test_factors_that_do_not_commute_print_with_at_between_them(term, text):
    assert repr(term) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2, "2"),
        (0.1, "0.1"),
        (1e-30, "1e-30"),
        (Fraction(-1, 3), "-1/3"),
        (2j, "2.0j"),
        (-0.5j, "-0.5j"),
        (1 + 2j, "(1+2j)"),
        (-1 - 2j, "(-1-2j)"),
        (2 + 0j, "(2+0j)"),
    ],
)
def test_numbers_print_as_one_writes_them(number, text):
    assert number_text(number) == text
    assert eval(text, {"Fraction": Fraction}) == pytest.approx(number, rel=1e-15)


# --- sums -----------------------------------------------------------------------------------------


def test_sums_print_from_low_axes_and_high_orders_on():
    terms = [Term(1, (Y,)), Term(-2, (X,)), Term(1, (Partial(0, 2),)), Term(5), Term(1, (X, Y))]
    assert repr(polynomial_of(terms)) == "5 + D(0)**2 - 2*D(0) + D(0)*D(1) + D(1)"
    assert repr(polynomial_of([Term(-1, (Y,)), Term(-1j, (X,))])) == "-1.0j*D(0) - D(1)"
    assert repr(polynomial_of([])) == "0"


def test_sums_are_equal_in_any_order():
    terms = (Term(2, (TIMES, X)), Term(3, (TIMES_OTHER, X)), Term(1))
    forward, backward = Polynomial(terms), Polynomial(terms[::-1])
    assert forward == backward
    assert hash(forward) == hash(backward)
    assert forward != Polynomial(terms[:2])
    assert forward != terms


@pytest.mark.parametrize(
    ("factors", "canonical"),
    [
        ((Y, X), (X, Y)),
        ((X, X), (Partial(0, 2),)),
        ((Partial(0, 2), Y, X), (Partial(0, 3), Y)),
        ((TIMES, TIMES_OTHER), (Coefficient((ARRAY, OTHER)),)),
        ((X, TIMES, X), (X, TIMES, X)),
        ((Y, X, TIMES, Y, X), (X, Y, TIMES, X, Y)),
        # a stencil of one's own, and steps between places, stay what they are
        ((Partial(0, 1, stencil=BACKWARD), X), (Partial(0, 1, stencil=BACKWARD), X)),
        ((X, Partial(0, 1, stencil=BACKWARD)), (X, Partial(0, 1, stencil=BACKWARD))),
        (
            (Y, Partial(0, 1, "centre", "left"), X),
            (Partial(0, 1, "centre", "left"), X, Y),
        ),
        ((difference(0), difference(0)), (difference(0), difference(0))),
        # what is not told where it starts learns it from the step before it
        (
            (Partial(0, 1, None, "centre"), Partial(0, 1, "centre", "outer")),
            (Partial(0, 1, "outer", "centre"), Partial(0, 1, "centre", "outer")),
        ),
        (
            (Partial(0, 1, None, "centre"), TIMES, Partial(0, 1, "centre", "left")),
            (Partial(0, 1, "left", "centre"), TIMES, Partial(0, 1, "centre", "left")),
        ),
        (
            (Partial(1, 1, None, "centre"), Partial(0, 1, "centre", "left")),
            (Partial(0, 1, "centre", "left"), Partial(1, 1, None, "centre")),
        ),
    ],
    ids=repr,
)
def test_factors_that_commute_stand_by_axis_and_are_joined(factors, canonical):
    assert polynomial_of([Term(1, factors)]).terms == (Term(1, canonical),)


def test_terms_with_the_same_factors_add_up_and_vanish():
    sums = polynomial_of([Term(1, (X, Y)), Term(Fraction(1, 2), (Y, X)), Term(2), Term(-2)])
    assert sums.terms == (Term(Fraction(3, 2), (X, Y)),)
    assert polynomial_of([Term(1, (TIMES, X)), Term(-1, (Coefficient((array(1.0, 2.0),)), X))]) == (
        Polynomial(())
    )
    assert polynomial_of([Term(0, (X,)), Term(0.0), Term(0j, (Y,))]).terms == ()


# --- products -------------------------------------------------------------------------------------


def test_the_product_moves_arrays_to_the_front_and_the_composition_does_not():
    left, right = Term(2, (X,)), Term(3, (TIMES, Y))
    assert product(left, right) == Term(6, (TIMES, X, Y))
    assert composition(left, right) == Term(6, (X, TIMES, Y))
    assert product(Term(2, (TIMES,)), right) == composition(Term(2, (TIMES,)), right)
    assert product(right, Term(5)) == Term(15, (TIMES, Y))
    assert product(left, Term(1, (TIMES,))) == Term(2, (TIMES, X))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (Term(1, (X, TIMES)), Term(1, (X,))),
        (Term(1, (X,)), Term(1, (X, TIMES))),
        (Term(1, (X, TIMES, Y)), Term(1, (TIMES,))),
    ],
    ids=repr,
)
def test_the_product_of_compositions_is_refused(left, right):
    with pytest.raises(ArgumentValueError, match="an array stands between derivatives: write @"):
        product(left, right)


def test_numbers_and_arrays_in_front_of_a_composition_are_products():
    composed = Term(2, (X, TIMES, Y))
    assert product(Term(3), composed) == product(composed, Term(3)) == Term(6, (X, TIMES, Y))
    assert product(Term(1, (TIMES,)), composed) == Term(2, (TIMES, X, TIMES, Y))
