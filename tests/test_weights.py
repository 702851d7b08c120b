"""Stencils against published tables, closed forms and the conditions that define them."""

import dataclasses
import pickle
from fractions import Fraction
from itertools import accumulate
from math import comb, factorial

import numpy as np
import pytest

import gradkit
from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.weights import (
    Stencil,
    central,
    exact_weights,
    fornberg,
    half_width,
    in_differences,
    in_pairs,
    staggered_half_width,
    wall_closure,
)

HALF = Fraction(1, 2)


def fractions(text):
    """Read "-1 0 1 / 2" as the fractions -1/2, 0, 1/2."""
    numerators, _, denominator = text.partition("/")
    return tuple(Fraction(int(n), int(denominator or 1)) for n in numerators.split())


# B. Fornberg, Math. Comp. 51 (1988) 699-706, tables 1 to 4, each row over its common denominator:
# (order, accuracy) -> weights. The centred ones are continued to accuracy 8.
CENTRED = {
    (1, 2): "-1 0 1 / 2",
    (1, 4): "1 -8 0 8 -1 / 12",
    (1, 6): "-1 9 -45 0 45 -9 1 / 60",
    (1, 8): "3 -32 168 -672 0 672 -168 32 -3 / 840",
    (2, 2): "1 -2 1",
    (2, 4): "-1 16 -30 16 -1 / 12",
    (2, 6): "2 -27 270 -490 270 -27 2 / 180",
    (2, 8): "-9 128 -1008 8064 -14350 8064 -1008 128 -9 / 5040",
    (3, 2): "-1 2 0 -2 1 / 2",
    (3, 4): "1 -8 13 0 -13 8 -1 / 8",
    (3, 6): "-7 72 -338 488 0 -488 338 -72 7 / 240",
    (3, 8): "205 -2522 14607 -52428 70098 0 -70098 52428 -14607 2522 -205 / 30240",
    (4, 2): "1 -4 6 -4 1",
    (4, 4): "-1 12 -39 56 -39 12 -1 / 6",
    (4, 6): "7 -96 676 -1952 2730 -1952 676 -96 7 / 240",
    (4, 8): "-82 1261 -9738 52428 -140196 192654 -140196 52428 -9738 1261 -82 / 15120",
}

HALF_WAY = {
    (0, 2): "1 1 / 2",
    (0, 4): "-1 9 9 -1 / 16",
    (0, 6): "3 -25 150 150 -25 3 / 256",
    (0, 8): "-5 49 -245 1225 1225 -245 49 -5 / 2048",
    (1, 2): "-1 1",
    (1, 4): "1 -27 27 -1 / 24",
    (1, 6): "-9 125 -2250 2250 -125 9 / 1920",
    (1, 8): "75 -1029 8575 -128625 128625 -8575 1029 -75 / 107520",
    (2, 2): "1 -1 -1 1 / 2",
    (2, 4): "-5 39 -34 -34 39 -5 / 48",
    (2, 6): "259 -2495 11691 -9455 -9455 11691 -2495 259 / 11520",
    (2, 8): "-3229 37107 -204300 745108 -574686 -574686 745108 -204300 37107 -3229 / 645120",
    (3, 2): "-1 3 -3 1",
    (3, 4): "1 -13 34 -34 13 -1 / 8",
    (3, 6): "-37 499 -3897 9455 -9455 3897 -499 37 / 1920",
    (3, 8): "3229 -47709 367740 -2235324 5172174 -5172174 2235324 -367740 47709 -3229 / 967680",
    (4, 2): "1 -3 2 2 -3 1 / 2",
    (4, 4): "-7 59 -135 83 83 -135 59 -7 / 48",
    (4, 6): "141 -1547 7540 -14748 8614 8614 -14748 7540 -1547 141 / 3840",
}

ONE_SIDED = {
    (1, 1): "-1 1",
    (1, 2): "-3 4 -1 / 2",
    (1, 3): "-11 18 -9 2 / 6",
    (1, 4): "-25 48 -36 16 -3 / 12",
    (1, 5): "-137 300 -300 200 -75 12 / 60",
    (1, 6): "-147 360 -450 400 -225 72 -10 / 60",
    (1, 7): "-1089 2940 -4410 4900 -3675 1764 -490 60 / 420",
    (1, 8): "-2283 6720 -11760 15680 -14700 9408 -3920 960 -105 / 840",
    (2, 1): "1 -2 1",
    (2, 2): "2 -5 4 -1",
    (2, 3): "35 -104 114 -56 11 / 12",
    (2, 4): "45 -154 214 -156 61 -10 / 12",
    (2, 5): "812 -3132 5265 -5080 2970 -972 137 / 180",
    (2, 6): "938 -4014 7911 -9490 7380 -3618 1019 -126 / 180",
    (2, 7): "29531 -138528 312984 -448672 435330 -284256 120008 -29664 3267 / 5040",
    (3, 1): "-1 3 -3 1",
    (3, 2): "-5 18 -24 14 -3 / 2",
    (3, 3): "-17 71 -118 98 -41 7 / 4",
    (3, 4): "-49 232 -461 496 -307 104 -15 / 8",
    (3, 5): "-967 5104 -11787 15560 -12725 6432 -1849 232 / 120",
    (3, 6): "-2403 13960 -36706 57384 -58280 39128 -16830 4216 -469 / 240",
    (4, 1): "1 -4 6 -4 1",
    (4, 2): "3 -14 26 -24 11 -2",
    (4, 3): "35 -186 411 -484 321 -114 17 / 6",
    (4, 4): "56 -333 852 -1219 1056 -555 164 -21 / 6",
    (4, 5): "3207 -21056 61156 -102912 109930 -76352 33636 -8576 967 / 240",
}

ONE_SIDED_HALF_WAY = {
    (0, 1): "1",
    (0, 2): "1 1 / 2",
    (0, 3): "3 6 -1 / 8",
    (0, 4): "5 15 -5 1 / 16",
    (0, 5): "35 140 -70 28 -5 / 128",
    (0, 6): "63 315 -210 126 -45 7 / 256",
    (0, 7): "231 1386 -1155 924 -495 154 -21 / 1024",
    (0, 8): "429 3003 -3003 3003 -2145 1001 -273 33 / 2048",
    (1, 2): "-1 1 0",
    (1, 3): "-23 21 3 -1 / 24",
    (1, 4): "-22 17 9 -5 1 / 24",
    (1, 5): "-1689 1005 1430 -1110 435 -71 / 1920",
    (1, 6): "-1627 633 2360 -2350 1365 -443 62 / 1920",
    (1, 7): "-88069 14147 196063 -238105 182945 -88711 24773 -3043 / 107520",
    (2, 1): "1 -2 1",
    (2, 2): "3 -7 5 -1 / 2",
    (2, 3): "43 -112 102 -40 7 / 24",
    (2, 4): "95 -269 294 -170 59 -9 / 48",
    (2, 5): "12139 -36714 46365 -35180 18165 -5514 739 / 5760",
    (2, 6): "25333 -80813 114885 -107285 73255 -33183 8863 -1055 / 11520",
    (3, 1): "-1 3 -3 1",
    (3, 2): "-2 7 -9 5 -1",
    (3, 3): "-23 91 -142 110 -43 7 / 8",
    (3, 4): "-29 127 -232 230 -133 43 -6 / 8",
    (3, 5): "-8197 39139 -81657 98495 -75215 36297 -10099 1237 / 1920",
    (4, 1): "1 -4 6 -4 1",
    (4, 2): "5 -23 42 -38 17 -3 / 2",
    (4, 3): "101 -522 1119 -1276 819 -282 41 / 24",
    (4, 4): "287 -1639 4023 -5527 4613 -2349 677 -85 / 48",
}


@pytest.mark.parametrize(("order", "accuracy"), CENTRED)
def test_centred_weights_at_a_grid_point_are_those_published(order, accuracy):
    published = fractions(CENTRED[order, accuracy])
    reach = len(published) // 2
    assert Stencil(range(-reach, reach + 1), order).weights == published
    assert central(order, accuracy).weights == published


@pytest.mark.parametrize(("order", "accuracy"), HALF_WAY)
def test_centred_weights_half_way_are_those_published(order, accuracy):
    published = fractions(HALF_WAY[order, accuracy])
    count = len(published)
    stencil = Stencil((k - Fraction(count - 1, 2) for k in range(count)), order)
    assert stencil.weights == published
    assert stencil.accuracy == accuracy


@pytest.mark.parametrize(("order", "accuracy"), ONE_SIDED)
def test_one_sided_weights_are_those_published(order, accuracy):
    stencil = Stencil(range(order + accuracy), order)
    assert stencil.weights == fractions(ONE_SIDED[order, accuracy])
    assert stencil.accuracy == accuracy


@pytest.mark.parametrize(("order", "accuracy"), ONE_SIDED)
def test_backward_weights_are_the_forward_ones_mirrored(order, accuracy):
    published = fractions(ONE_SIDED[order, accuracy])
    backward = Stencil(range(-order - accuracy + 1, 1), order)
    assert backward.weights == tuple((-1) ** order * w for w in reversed(published))


@pytest.mark.parametrize(("order", "accuracy"), ONE_SIDED_HALF_WAY)
def test_one_sided_weights_half_way_are_those_published(order, accuracy):
    stencil = Stencil((k - HALF for k in range(order + accuracy)), order)
    assert stencil.weights == fractions(ONE_SIDED_HALF_WAY[order, accuracy])


def test_half_integer_offsets_may_be_floats():
    assert Stencil((-1.5, -0.5, 0.5, 1.5), 1) == Stencil((-3 * HALF, -HALF, HALF, 3 * HALF), 1)


def test_order_1_accuracy_30_is_right_to_the_last_bit():
    p = 15
    stencil = central(1, 30)
    assert stencil.offsets == tuple(range(-p, p + 1))
    for k, weight in zip(range(-p, p + 1), stencil.weights, strict=True):
        closed_form = Fraction(0)
        if k:
            sign = 1 if k % 2 else -1
            closed_form = Fraction(
                sign * factorial(p) ** 2, k * factorial(p - k) * factorial(p + k)
            )
        assert weight == closed_form


def test_order_1_accuracy_30_differentiates_a_single_point_to_its_weight_to_the_last_bit():
    p = 15
    f = np.zeros(4 * p + 1)
    f[2 * p] = 1.0
    result = gradkit.derivative(f, 1.0, accuracy=30)
    for k in range(1, p + 1):
        exact = Fraction((-1) ** (k + 1) * comb(2 * p, p - k), k * comb(2 * p, p))
        assert result[2 * p - k] == float(exact)
        assert result[2 * p + k] == -float(exact)


RANDOM_OFFSETS = [
    (0, 1, 3, 4, 8, 9),
    (-7, -3, -2, 0, 1, 5, 6, 11),
    (Fraction(-5, 3), HALF, Fraction(2, 7), 2, Fraction(31, 10)),
    (3, -1, 4, -2, 6, 5, 9),
]


@pytest.mark.parametrize("offsets", RANDOM_OFFSETS, ids=str)
def test_moments_define_the_weights(offsets):
    """Exact on every power below the number of points: n equations with one solution."""
    for order in range(len(offsets)):
        weights = Stencil(offsets, order).weights
        for power in range(len(offsets)):
            moment = sum(w * Fraction(k) ** power for k, w in zip(offsets, weights, strict=True))
            assert moment == (factorial(order) if power == order else 0)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("accuracy", [1, 2, 5, 8, 16])
def test_centred_stencils_of_any_order_satisfy_the_moments(order, accuracy):
    stencil = central(order, accuracy)
    assert len(stencil.offsets) == 2 * ((order + 1) // 2) - 1 + accuracy + accuracy % 2
    for power in range(order + accuracy):
        pairs = zip(stencil.offsets, stencil.weights, strict=True)
        moment = sum(w * k**power for k, w in pairs)
        assert moment == (factorial(order) if power == order else 0)


def test_accuracy_and_error_constant_are_the_leading_error():
    # f'(x) = (f[1] - f[-1]) / 2h + e h^2 f''': f = x^3 gives 0 = 1 - 6 e' and so on, by hand.
    assert (central(1, 2).accuracy, central(1, 2).error_constant) == (2, Fraction(1, 6))
    assert (central(1, 4).accuracy, central(1, 4).error_constant) == (4, Fraction(-1, 30))
    assert (central(2, 2).accuracy, central(2, 2).error_constant) == (2, Fraction(1, 12))
    assert (central(2, 4).accuracy, central(2, 4).error_constant) == (4, Fraction(-1, 90))
    forward = Stencil((0, 1), 1)
    assert (forward.accuracy, forward.error_constant) == (1, HALF)


def test_interpolation_at_a_point_of_the_stencil_can_be_described(fresh_python):
    """Order 0 at a grid point, the first row of Fornberg's tables, has no error at all."""
    # In a process of its own, with a time limit: the search for an error must come to an end.
    code = """
import faulthandler
faulthandler.dump_traceback_later(10, exit=True)
from gradkit import Stencil
print([int(w) for w in Stencil((-1, 0, 1), 0).weights])
print(Stencil((0,), 0))
print(Stencil((-1, 0, 1), 0))
"""
    weights, *described = fresh_python(code).splitlines()
    assert weights == "[0, 1, 0]"
    assert len(described) == 2
    assert all(text.startswith("Stencil: f(x) = f[0]") for text in described)


@pytest.mark.parametrize(
    ("offsets", "order"),
    [(range(-2, 3), 1), (range(-3, 4), 2), (range(5), 1), (range(-1, 5), 3), ((-HALF, HALF), 1)],
)
def test_differences_are_the_weights_on_values(offsets, order):
    stencil = Stencil(offsets, order)
    on_values = dict.fromkeys(stencil.offsets, Fraction(0))
    for high, low, weight in stencil.differences():
        on_values[high] += weight
        on_values[low] -= weight
    assert tuple(on_values.values()) == stencil.weights


@pytest.mark.parametrize(("order", "reads_centre"), [(1, False), (2, True), (3, False), (4, True)])
def test_centred_stencils_of_odd_order_never_read_their_centre(order, reads_centre):
    used = {k for high, low, _ in central(order, 4).differences() for k in (high, low)}
    assert (0 in used) == reads_centre


def test_differences_do_not_depend_on_the_order_of_the_offsets():
    assert Stencil((2, 0, 1, -1), 2).differences() == Stencil((-1, 0, 1, 2), 2).differences()


def test_tails_of_rounded_weights_keep_their_relative_accuracy():
    """A tail summed from the far end would leave 2**-60 as the rounding error of 1."""
    tiny = 2.0**-60
    weights = [tiny, -1.0, 1.0 - tiny, 0.0]
    tails = [weight for _, _, weight in in_differences([0, 1, 2, 3], weights)]
    assert tails[0] == -tiny


def test_tails_of_rounded_weights_are_summed_from_the_smaller_ones():
    """The first two are nearer to an end than the small ones that they leave."""
    tiny = 2.0**-80
    weights = [-1.0, 1.0, tiny, tiny]
    assert [float(c) for _, _, c in in_differences([0, 1, 2, 3], weights)] == [1.0, 2 * tiny, tiny]


def test_fornberg_takes_distances_that_positions_no_longer_tell():
    nodes = [1.0, 1.0, 2.0]  # the second is 1 + 2**-80
    steps = [2.0**-80, 1.0]
    # At 0: the derivative of the polynomials that are 1 at one node and 0 at the others.
    assert fornberg(nodes, steps, 1) == [-3 * 2.0**80, 3 * 2.0**80, -2.0]


@pytest.mark.parametrize("reach", [1, 8, 50])
def test_long_centred_stencils_have_the_weights_of_the_closed_form(reach):
    """B. Fornberg, Calculation of weights in finite difference formulas, SIAM Rev. 40 (1998)."""
    top = factorial(reach) ** 2
    wanted = {
        k: Fraction((-1) ** (abs(k) + 1) * top, k * factorial(reach - k) * factorial(reach + k))
        for k in range(-reach, reach + 1)
        if k
    }
    stencil = central(1, 2 * reach)
    found = dict(zip(stencil.offsets, stencil.weights, strict=True))
    assert {k: w for k, w in found.items() if w} == wanted


def test_exact_weights_are_those_of_the_recursion(rng):
    for count in range(1, 8):
        steps = [Fraction(int(n), 6) for n in rng.integers(1, 12, count)]
        nodes = [total - 1 for total in accumulate(steps)]
        for order in range(count):
            assert exact_weights(nodes, order) == fornberg(nodes, steps[1:], order)


def test_fornberg_works_column_by_column_on_arrays(rng):
    columns = np.sort(rng.uniform(-3, 3, (5, 7)), axis=0)
    together = fornberg(list(columns), list(np.diff(columns, axis=0)), 2)
    for row in range(7):
        alone = exact_weights([Fraction(x) for x in columns[:, row]], 2)
        scale = max(abs(float(w)) for w in alone)
        for computed, exact in zip(together, alone, strict=True):
            # A recursion of 4 steps with 5 roundings each, on gaps that are rounded differences.
            assert abs(Fraction(computed[row]) - exact) <= 20 * np.finfo(float).eps * scale


@pytest.mark.parametrize(
    ("stencil", "text"),
    [
        (central(1, 2), "f'(x) = (-f[-1] + f[1]) / (2 h) + O(h^2)"),
        (central(1, 4), "f'(x) = (f[-2] - 8 f[-1] + 8 f[1] - f[2]) / (12 h) + O(h^4)"),
        (central(2, 2), "f''(x) = (f[-1] - 2 f[0] + f[1]) / h^2 + O(h^2)"),
        (central(3, 2), "f'''(x) = (-f[-2] + 2 f[-1] - 2 f[1] + f[2]) / (2 h^3) + O(h^2)"),
        (
            central(4, 2),
            "f^(4)(x) = (f[-2] - 4 f[-1] + 6 f[0] - 4 f[1] + f[2]) / h^4 + O(h^2)",
        ),
        (Stencil((0, 1, 2), 1), "f'(x) = (-3 f[0] + 4 f[1] - f[2]) / (2 h) + O(h^2)"),
        (Stencil((-HALF, HALF), 1), "f'(x) = (-f[-1/2] + f[1/2]) / h + O(h^2)"),
        (Stencil((-HALF, HALF), 0), "f(x) = (f[-1/2] + f[1/2]) / 2 + O(h^2)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_repr_is_the_formula_as_one_writes_it(stencil, text):
    assert repr(stencil) == f"Stencil: {text}"


def test_repr_writes_the_terms_in_the_order_of_the_offsets():
    assert repr(Stencil((1, -1), 1)) == "Stencil: f'(x) = (f[1] - f[-1]) / (2 h) + O(h^2)"


def test_stencils_are_frozen_values():
    stencil = Stencil((0, 1, 2), 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        stencil.order = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        stencil.weights = ()
    assert isinstance(stencil.weights, tuple)
    assert stencil == Stencil([0, 1.0, Fraction(2)], order=1)
    assert hash(stencil) == hash(Stencil([0, 1.0, Fraction(2)], order=1))
    assert stencil != Stencil((0, 1, 2), 2)
    assert stencil != Stencil((0, 1, 3), 1)
    assert pickle.loads(pickle.dumps(stencil)).weights == stencil.weights


@pytest.mark.parametrize(
    ("offsets", "order", "error", "message"),
    [
        ((0, 1, 1), 1, ArgumentValueError, r"offsets=\(0, 1, 1\) holds the same offset twice"),
        ((0, 0.5, HALF), 1, ArgumentValueError, "same offset twice"),
        ((0, 1), 2, ArgumentValueError, "order 2 needs at least 3 offsets.*got 2"),
        ((), 0, ArgumentValueError, "at least 1 offsets.*got 0"),
        ((0, 1), -1, ArgumentValueError, "order=-1 is not >= 0"),
        ((0, 1), 1.0, ArgumentTypeError, "order=1.0 is not an integer"),
        ((0, 1), True, ArgumentTypeError, "order=True is not an integer"),
        ((0, 1), "1", ArgumentTypeError, "order='1' is not an integer"),
        ((0, "a"), 1, ArgumentTypeError, "offsets must be finite real numbers"),
        ((0, float("nan")), 1, ArgumentTypeError, "offsets must be finite real numbers"),
        ((0, float("inf")), 1, ArgumentTypeError, "offsets must be finite real numbers"),
        ((0, 1j), 1, ArgumentTypeError, "offsets must be finite real numbers"),
        (3, 1, ArgumentTypeError, "offsets"),
    ],
)
def test_what_is_not_a_stencil_raises(offsets, order, error, message):
    with pytest.raises(error, match=message):
        Stencil(offsets, order)


# --- widths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("order", "accuracy"), CENTRED)
def test_the_half_width_is_that_of_the_published_stencil(order, accuracy):
    reach = len(fractions(CENTRED[order, accuracy])) // 2
    assert half_width(order, accuracy) == reach
    # an odd accuracy is served by the next even one
    assert half_width(order, accuracy - 1) == reach


@pytest.mark.parametrize(("order", "accuracy"), HALF_WAY)
def test_the_staggered_half_width_is_that_of_the_published_stencil(order, accuracy):
    reach = len(fractions(HALF_WAY[order, accuracy])) // 2
    assert staggered_half_width(order, accuracy) == reach
    assert staggered_half_width(order, accuracy - 1) == reach


# --- weights in pairs -----------------------------------------------------------------------------


def on_values(pairs):
    """The weight of every value that pairs take."""
    found = {}
    for high, low, weight in pairs:
        found[high] = found.get(high, 0) + weight
        if low is not None:
            found[low] = found.get(low, 0) - weight
    return {k: w for k, w in sorted(found.items()) if w}


@pytest.mark.parametrize(
    ("weights", "pairs"),
    [
        # a sum that is not zero: values as they are
        ({0: 1}, [(0, None, 1)]),
        ({-1: HALF, 1: HALF}, [(-1, None, HALF), (1, None, HALF)]),
        ({2: 3, -1: 0, 0: -1}, [(0, None, -1), (2, None, 3)]),
        # odd about 0: mirror pairs
        ({-1: -HALF, 0: 0, 1: HALF}, [(1, -1, HALF)]),
        ({-2: 1, -1: -8, 1: 8, 2: -1}, [(1, -1, 8), (2, -2, -1)]),
        # else differences of neighbours among those that are used
        ({-1: 1, 0: -2, 1: 1}, [(0, -1, -1), (1, 0, 1)]),
        ({0: -1, 3: 1}, [(3, 0, 1)]),
        ({3: 1, 0: -1, 1: 0}, [(3, 0, 1)]),
        ({0: -1, 1: 1, 2: -1, 3: 1}, [(1, 0, 1), (3, 2, 1)]),
        ({}, []),
        ({0: 0}, []),
    ],
    ids=str,
)
def test_pairs_are_differences_where_weights_sum_to_zero(weights, pairs):
    exact = {k: Fraction(w) for k, w in weights.items()}
    assert in_pairs(exact) == pairs


def test_pairs_are_the_weights_on_values(rng):
    for _ in range(50):
        offsets = rng.choice(np.arange(-6, 7), 5, replace=False).tolist()
        weights = {k: Fraction(int(rng.integers(-5, 6)), int(rng.integers(1, 7))) for k in offsets}
        settled = {**weights, offsets[0]: weights[offsets[0]] - sum(weights.values())}
        for given in (weights, settled):
            pairs = in_pairs(given)
            assert on_values(pairs) == {k: w for k, w in sorted(given.items()) if w}
            assert all(low is not None for _, low, _ in pairs) == (sum(given.values()) == 0)


# --- conditions at walls --------------------------------------------------------------------------
#
# Textbook closures for samples at 0, h, 2h, ... or half a spacing from the wall: each from Taylor
# series by hand, with h = 1 and g the right-hand side. The first wall lies at the lower end, so
# that the outward normal points down and df/dn = -f'.

DIRICHLET, NEUMANN = (1, 0), (0, 1)
CLOSURES = [
    # f''(0) with f(-1/2) = g: 8/3 g - 4 f0 + 4/3 f1
    ((0, 1), 2, -HALF, DIRICHLET, "-12 4 / 3", "8 / 3"),
    # one sample more: 16/5 g - 5 f0 + 2 f1 - 1/5 f2
    ((0, 1, 2), 2, -HALF, DIRICHLET, "-25 10 -1 / 5", "16 / 5"),
    # f'(0) with f(-1/2) = g: -4/3 g + f0 + 1/3 f1; with one sample 2 (f0 - g)
    ((0, 1), 1, -HALF, DIRICHLET, "3 1 / 3", "-4 / 3"),
    ((0,), 1, -HALF, DIRICHLET, "2", "-2"),
    # f''(0) with f(-1) = g: the ordinary stencil, the wall is a point of it
    ((0, 1), 2, Fraction(-1), DIRICHLET, "-2 1", "1"),
    # f'(0) with f(0) = g: the ordinary one-sided stencil without the sample on the wall
    ((1, 2), 1, Fraction(0), DIRICHLET, "4 -1 / 2", "-3 / 2"),
    # the flux through a wall half a spacing from a sample
    ((HALF,), 1, Fraction(0), DIRICHLET, "2", "-2"),
    # f''(0) with df/dn(0) = g on the sample: 2 (f1 - f0) + 2 g
    ((0, 1), 2, Fraction(0), NEUMANN, "-2 2", "2"),
    # one sample more: (-7 f0 + 8 f1 - f2) / 2 + 3 g
    ((0, 1, 2), 2, Fraction(0), NEUMANN, "-7 8 -1 / 2", "3"),
    # f'(0) = -g, whatever the samples
    ((0, 1), 1, Fraction(0), NEUMANN, "0 0", "-1"),
    # f''(0) with df/dn(-1/2) = g: what comes through the wall and what leaves, f1 - f0 + g
    ((0, 1), 2, -HALF, NEUMANN, "-1 1", "1"),
    # f at the wall half a spacing below: f0 + g/2, and 9/8 f0 - 1/8 f1 + 3/8 g
    ((HALF,), 0, Fraction(0), NEUMANN, "1", "1 / 2"),
    ((HALF, 3 * HALF), 0, Fraction(0), NEUMANN, "9 -1 / 8", "3 / 8"),
    # the flux f' where 2 f + 1/2 df/dn = g: 2 (f0 - f'/2) - f'/2 = g, so f' = (4 f0 - 2 g) / 3
    ((HALF,), 1, Fraction(0), (2, HALF), "4 / 3", "-2 / 3"),
    # the value there: f0 - f'/2
    ((HALF,), 0, Fraction(0), (2, HALF), "1 / 3", "1 / 3"),
]


@pytest.mark.parametrize(("nodes", "order", "wall", "condition", "weights", "known"), CLOSURES)
def test_settled_closures_are_those_of_textbooks(nodes, order, wall, condition, weights, known):
    a, b = condition
    closure = wall_closure([Fraction(x) for x in nodes], order, wall)
    settled, share = closure.settled(Fraction(a), Fraction(-b))
    assert tuple(settled) == fractions(weights)
    assert share == fractions(known)[0]
    # at the upper end all positions and odd derivatives change their sign, and df/dn = +f'
    mirrored = wall_closure([-Fraction(x) for x in nodes], order, -wall)
    settled, share = mirrored.settled(Fraction(a), Fraction(b))
    assert tuple(settled) == tuple((-1) ** order * w for w in fractions(weights))
    assert share == (-1) ** order * fractions(known)[0]


def test_a_wall_alone_settles_a_constant():
    """No sample: f is g everywhere, and its derivatives are 0."""
    settled, share = wall_closure([], 0, Fraction(3)).settled(Fraction(2), Fraction(0))
    assert (settled, share) == ([], HALF)
    settled, share = wall_closure([], 1, Fraction(3)).settled(Fraction(1), Fraction(0))
    assert (settled, share) == ([], 0)


@pytest.mark.parametrize("condition", [(1, 0), (0, 1), (2, HALF), (-3, Fraction(7, 3))], ids=str)
@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_closures_are_exact_on_all_polynomials_that_obey_the_condition(rng, order, condition):
    """As many powers as there are samples and a condition, which is as many as settle them."""
    a, b = condition
    for count in (order + 1, order + 4):
        ticks = rng.choice(np.arange(-20, 21), count + 1, replace=False)
        wall, *nodes = (Fraction(int(k), 3) for k in ticks)
        weights, share = wall_closure(nodes, order, wall).settled(Fraction(a), Fraction(b))
        for power in range(count + 1):
            slope = power * wall ** (power - 1) if power else 0
            known = a * wall**power + b * slope
            total = sum(w * x**power for w, x in zip(weights, nodes, strict=True)) + share * known
            assert total == (factorial(order) if power == order else 0)


@pytest.mark.parametrize(
    ("nodes", "wall", "condition"),
    [
        ((0, 1), HALF, (0, 1)),  # all parabolas through two values have one slope midway
        ((0, 1), 0, (1, 0)),  # the wall lies on a sample
        ((HALF,), 0, (2, 1)),  # 2 f + f' is 2 f0 for all straight lines through f0
    ],
)
def test_a_condition_that_no_sample_needs_does_not_settle_anything(nodes, wall, condition):
    closure = wall_closure([Fraction(x) for x in nodes], 1, Fraction(wall))
    with pytest.raises(ZeroDivisionError):
        closure.settled(*map(Fraction, condition))
