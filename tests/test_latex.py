"""Operators in LaTeX, as notebooks show them."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradkit import Average, Curl, D, Divergence, Gradient, Identity, Operator, Stencil
from gradkit import operator_from_offsets as from_offsets
from gradkit.latex import of_system

a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0])

X, Y = r"\frac{\partial}{\partial x_{0}}", r"\frac{\partial}{\partial x_{1}}"
XX, YY = r"\frac{\partial^{2}}{\partial x_{0}^{2}}", r"\frac{\partial^{2}}{\partial x_{1}^{2}}"
CROSS = from_offsets({(0, 0): -2, **{(i, j): Fraction(1, 2) for i in (-1, 1) for j in (-1, 1)}})


@pytest.mark.parametrize(
    ("operator", "text"),
    [
        (D(0), X),
        (D(1, 2), YY),
        (D(-1), r"\frac{\partial}{\partial x_{-1}}"),
        (D(0, 12), r"\frac{\partial^{12}}{\partial x_{0}^{12}}"),
        (D(0) * D(1), rf"{X} \, {Y}"),
        (D(0) + D(1), f"{X} + {Y}"),
        (D(0) - D(1), f"{X} - {Y}"),
        (-D(0), f"-{X}"),
        (2 * D(0) - 3, rf"-3 + 2 \, {X}"),
        (D(0) - D(0), "0"),
        (Identity(), "1"),
        (-Identity(), "-1"),
        # numbers
        (D(0) / 3, rf"\frac{{1}}{{3}} \, {X}"),
        (D(0) - Fraction(2, 7) * D(1), rf"{X} - \frac{{2}}{{7}} \, {Y}"),
        (Fraction(4, 2) * D(0), rf"2 \, {X}"),
        (0.5 * D(0), rf"0.5 \, {X}"),
        (1e-10 * D(0), rf"1 \cdot 10^{{-10}} \, {X}"),
        (-2.5e20 * D(0), rf"-2.5 \cdot 10^{{20}} \, {X}"),
        (1j * D(0), rf"1.0 \mathrm{{i}} \, {X}"),
        (D(0) - 2j * D(1), rf"{X} - 2.0 \mathrm{{i}} \, {Y}"),
        ((1 - 2j) * D(0), rf"\left(1.0 - 2.0 \mathrm{{i}}\right) \, {X}"),
        # arrays, in the order in which they act
        (a * D(0), rf"c_{{1}} \, {X}"),
        (D(0) @ a, rf"{X} \, c_{{1}}"),
        (D(0) @ (a * D(1)), rf"{X} \, c_{{1}} \, {Y}"),
        (a - D(0), f"c_{{1}} - {X}"),
        (a * (b * D(0)), rf"c_{{1}} \, c_{{2}} \, {X}"),
        (a * D(0) + b * D(1), rf"c_{{1}} \, {X} + c_{{2}} \, {Y}"),
        # stencils of one's own, and places
        (CROSS, rf"\left[{XX} + {YY}\right]_h"),
        (2 * CROSS @ D(0), rf"2 \, \left[{XX} + {YY}\right]_h \, {X}"),
        (D(0, stencil=Stencil((-1, 0), order=1)), X),
        (D(0, to="inner"), rf"\left[{X}\right]^{{\text{{centre → inner}}}}"),
        (D(0, 2, at="left"), rf"\left[{XX}\right]^{{\text{{left → centre}}}}"),
        (D(0, to="centre"), rf"\left[{X}\right]^{{\text{{ → centre}}}}"),
        (Average(1, to="left"), r"\mu_{1}^{\text{centre → left}}"),
        # systems
        (Gradient(2), rf"\begin{{pmatrix}} {X} \\ {Y} \end{{pmatrix}}"),
        (Divergence(2), rf"\begin{{pmatrix}} {X} & {Y} \end{{pmatrix}}"),
        (Curl(2), rf"\begin{{pmatrix}} -{Y} & {X} \end{{pmatrix}}"),
        (
            Operator.matrix([[a, 0], [1, b * D(0)]]),
            rf"\begin{{pmatrix}} c_{{1}} & 0 \\ 1 & c_{{2}} \, {X} \end{{pmatrix}}",
        ),
    ],
    ids=repr,
)
def test_operators_are_typeset_as_one_writes_them(operator, text):
    assert of_system(operator.entries) == text
    assert operator._repr_latex_() == rf"$\displaystyle {text}$"


def test_one_array_has_one_name():
    same = a * Gradient(2)
    assert of_system(same.entries) == (
        rf"\begin{{pmatrix}} c_{{1}} \, {X} \\ c_{{1}} \, {Y} \end{{pmatrix}}"
    )


def depth(text):
    """Depth of the braces at the end of a text; raises where one is closed too early."""
    found = 0
    for character in text.replace(r"\\", ""):
        found += {"{": 1, "}": -1}.get(character, 0)
        assert found >= 0
    return found


@settings(deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.integers(-9, 9)
            | st.fractions(-3, 3, max_denominator=9)
            | st.floats(-1e30, 1e30, allow_subnormal=False)
            | st.complex_numbers(max_magnitude=9, allow_nan=False, allow_infinity=False),
            st.lists(st.tuples(st.integers(-2, 2), st.integers(1, 12)), max_size=3),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_braces_are_closed_and_signs_are_single(terms):
    operator = Identity() * 0
    for number, factors in terms:
        product = Identity() * number
        for axis, order in factors:
            product = product * D(axis, order)
        operator = operator + product
    text = of_system(operator.entries)
    assert depth(text) == 0
    assert "+ -" not in text
    assert "--" not in text


def test_one_array_has_one_name_however_often_it_is_written():
    a = np.array([1.0, 2.0])
    assert (a * D(0) + a * D(1))._repr_latex_().count("c_{1}") == 2


def test_exponents_of_complex_numbers_are_typeset():
    assert "e-10" not in (1e-10j * D(0))._repr_latex_()
