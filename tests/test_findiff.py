"""findiff 0.16: its operators are reproduced where they are right, and its mistakes are not.

The tables at the top are what findiff does silently wrong: numbers that differ from the exact ones,
and inputs that it computes with although they make no sense. The tests below them reproduce all
that it offers for arrays, stencils and matrices.
"""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from findiff import (
    Coef,
    Diff,
    FinDiff,
    Identity,
    coefficients,
)
from findiff import Curl as FindiffCurl
from findiff import Divergence as FindiffDivergence
from findiff import Gradient as FindiffGradient
from findiff import Laplacian as FindiffLaplacian
from findiff.stencils import Stencil as FindiffStencil

import gradkit
from gradkit import (
    Axis,
    Curl,
    D,
    Divergence,
    FiniteDifference,
    Gradient,
    Grid,
    Laplacian,
    Stencil,
    operator_from_offsets,
)
from gradkit.errors import ArgumentValueError

EPS = np.finfo(float).eps

N = 24
H = 0.125
X = H * np.arange(N)
WAVE = np.sin(2 * np.pi * np.arange(N) / N)
ROUGH = np.array([0, 1, 3, 4, 6, 7, 8, 11, 12, 14, 15, 17, 20, 21, 22, 24, 27, 28], float) / 8
#: Ten seconds between samples, in nanoseconds.
NANOSECONDS = 10**10 * np.arange(N)
BYTES = np.arange(0, 48, 2).astype(np.uint8)


def plan(operator, spacing=H, size=N, **options):
    """The operator on a line of one-sided ends."""
    boundary = options.pop("boundary", "one-sided")
    is_number = np.ndim(spacing) == 0
    position = {"spacing": spacing} if is_number else {"coordinates": spacing}
    grid = Grid(Axis(**position, boundary=boundary))
    return operator.on(grid, (size if is_number else len(spacing),), **options)


def changed(action):
    """The first derivative that an operator of findiff gives after something was done with it."""
    d = Diff(0, H)
    action(d)
    return d(np.exp(X))


def set_accuracy_after_a_call(f):
    d = Diff(0, H)
    d(f)
    d.set_accuracy(6)
    return d(f)


def second_estimate(d, f):
    d.estimate_error(f)
    return d.estimate_error(f).error[2:-2]


def row_by_row(bound, f):
    """What the stencils at all points of a line make of f."""
    stencils = [bound.stencil(i) for i in range(len(f))]
    return [
        sum(w * f[i + k] for (k,), w in zip(stencil.offsets, stencil.weights, strict=True))
        for i, stencil in enumerate(stencils)
    ]


d = Diff(0, H)
F32 = X.astype(np.float32)
STEP = np.array([60000, 0, -60000, 0, 60000], np.float16)
GAP = np.where(np.arange(N) == 7, np.nan, X)
MASK = (np.arange(N) > 4) & (np.arange(N) < 9)

#: What is asked; findiff's answer; what that is instead; gradkit's answer; the exact one.
WRONG_NUMBERS = {
    "d*d*d of x^3": (
        lambda: (d * d * d)(X**3),
        6 * X,  # the second derivative
        lambda: plan(D(0) * D(0) * D(0))(X**3),
        np.full(N, 6.0),
    ),
    "d**2*d of x^3": (
        lambda: (d**2 * d)(X**3),
        6 * X,
        lambda: plan(D(0) ** 2 * D(0))(X**3),
        np.full(N, 6.0),
    ),
    "d**2*d**2 of x^4": (
        lambda: (d**2 * d**2)(X**4),
        24 * X,  # the third derivative
        lambda: plan(D(0) ** 2 * D(0) ** 2)(X**4),
        np.full(N, 24.0),
    ),
    "the matrix of d**2*d, on x^3": (
        lambda: (d**2 * d).matrix((N,)) @ X**3,
        6 * X,
        lambda: plan(D(0) ** 2 * D(0)).matrix() @ X**3,
        np.full(N, 6.0),
    ),
    "3 - d of x": (lambda: (3 - d)(X), 1 - 3 * X, lambda: plan(3 - D(0))(X), 3 * X - 1),
    "2 - 1 of x": (
        lambda: (2 - Identity())(X),
        -X,
        lambda: plan(2 - gradkit.Identity())(X),
        X,
    ),
    "an array - d of x": (lambda: (X - d)(X), 1 - X**2, lambda: plan(X - D(0))(X), X**2 - 1),
    "a periodic gradient": (
        lambda: FindiffGradient(h=[H], periodic=True)(WAVE)[0],
        Diff(0, H)(WAVE),  # one-sided at the ends
        lambda: plan(Gradient(1), boundary="periodic")(WAVE),
        (np.roll(WAVE, -1) - np.roll(WAVE, 1)) / (2 * H),
    ),
    "d of exp after one call with acc=8": (
        lambda: changed(lambda d: d(X, acc=8)),
        Diff(0, H, acc=8)(np.exp(X)),  # d has changed for good
        lambda: plan(D(0))(np.exp(X)),
        np.gradient(np.exp(X), H, edge_order=2),
    ),
    "d of exp after an estimate of the error": (
        lambda: changed(lambda d: d.estimate_error(X)),
        Diff(0, H, acc=4)(np.exp(X)),
        lambda: plan(D(0))(np.exp(X)),
        np.gradient(np.exp(X), H, edge_order=2),
    ),
    "a second estimate of the error on x^3": (
        lambda: second_estimate(Diff(0, H), X**3),
        np.zeros(N - 4),
        lambda: plan(D(0)).error_estimate(X**3).truncation[2:-2],
        np.full(N - 4, H**2),  # ((x + h)^3 - (x - h)^3) / 2h = 3 x^2 + h^2
    ),
    "accuracy 6 of x^5, set after a call": (
        lambda: set_accuracy_after_a_call(X**5),
        Diff(0, H, acc=2)(X**5),  # what was set is not used
        lambda: plan(D(0), method=FiniteDifference(6))(X**5),
        5 * X**4,
    ),
    "uint64 near 2**60": (
        lambda: Diff(0, 1.0)(2**60 + np.arange(N, dtype=np.uint64)),
        np.zeros(N),
        lambda: plan(D(0), 1)(2**60 + np.arange(N, dtype=np.uint64)),
        np.ones(N),
    ),
    "coordinates of one byte, x^2": (
        lambda: Diff(0, BYTES)(BYTES.astype(float) ** 2),
        None,  # distances to the left wrap around to 254
        lambda: plan(D(0), BYTES)(BYTES.astype(float) ** 2),
        2.0 * BYTES,
    ),
    "coordinates in integer nanoseconds, t^2": (
        lambda: Diff(0, NANOSECONDS)(NANOSECONDS.astype(float) ** 2),
        None,  # the squares of distances overflow
        lambda: plan(D(0), NANOSECONDS)(NANOSECONDS.astype(float) ** 2),
        2.0 * NANOSECONDS,
    ),
    "float16": (
        lambda: Diff(0, 1.0)(STEP)[0],
        -np.inf,  # 3/2 of 60000 is too much for float16
        lambda: plan(D(0), 1, 5)(STEP)[0],
        -60000.0,
    ),
    "the point of a NaN, which its own derivative does not use": (
        lambda: Diff(0, H)(GAP)[7],
        np.nan,
        lambda: plan(D(0))(GAP)[7],
        1.0,
    ),
    "stencil set of x d, on x": (
        lambda: (Coef(X) * Diff(0, H)).stencil((N,)).apply_all(X),
        np.concatenate([X[:1], np.full(N - 2, X[N // 2]), X[-1:]]),  # the middle one everywhere
        lambda: row_by_row(plan(X * D(0)), X),
        X,
    ),
    "stencil set on coordinates, of x": (
        lambda: Diff(0, ROUGH).stencil((len(ROUGH),)).apply_all(ROUGH),
        None,
        lambda: row_by_row(plan(D(0), ROUGH), ROUGH),
        np.ones(len(ROUGH)),
    ),
    "stencil set of accuracy 4 at the second point, of x^2": (
        lambda: Diff(0, H, acc=4).stencil((N,)).apply(X**2, 1),
        2 * X[1] + (X[-1] ** 2 - H**2) / (12 * H),  # f[-1] is the last point, not (-h)^2
        lambda: row_by_row(plan(D(0), method=FiniteDifference(4)), X**2)[1],
        2 * X[1],
    ),
    "the slope of x^2 on a mask": (
        lambda: FindiffStencil([-1, 0, 1], {(1,): 1}, spacings=H)(X**2, on=MASK)[MASK],
        -2 * X[MASK],  # f[i - k] for f[i + k]
        lambda: plan(operator_from_offsets([-1, 0, 1], like=D(0)))(X**2)[MASK],
        2 * X[MASK],
    ),
    "stencil set on integers": (
        lambda: Diff(0, 2.0).stencil((N,)).apply_all(np.arange(N)),
        np.zeros(N),
        lambda: row_by_row(plan(D(0), 2), np.arange(N)),
        np.full(N, 0.5),
    ),
}

#: What is asked; findiff, which answers; gradkit, which does not; what it says.
REFUSED = {
    "coordinates shorter than the array": (
        lambda: Diff(0, X[:-1])(X),
        lambda: plan(D(0), X[:-1])(X),
        r"f has shape \(24,\): this plan was made for .*\(23,\)",
    ),
    "coordinates out of order": (
        lambda: Diff(0, np.array([0.0, 1, 3, 2, 4, 5]))(np.arange(6.0)),
        lambda: plan(D(0), np.array([0.0, 1, 3, 2, 4, 5])),
        r"coordinates\[3\]=2.0 <= coordinates\[2\]=3.0",
    ),
    "a coordinate that is not known": (
        lambda: Diff(0, np.array([0.0, 1, np.nan, 3, 4, 5]))(np.arange(6.0)),
        lambda: plan(D(0), np.array([0.0, 1, np.nan, 3, 4, 5])),
        r"coordinates\[2\]=nan is not finite",
    ),
    "an infinite spacing": (
        lambda: Diff(0, np.inf)(X),
        lambda: plan(D(0), np.inf),
        "spacing=inf is not a finite number",
    ),
    "an unknown spacing": (
        lambda: Diff(0, np.nan)(X),
        lambda: plan(D(0), np.nan),
        "spacing=nan is not a finite number",
    ),
    "a divergence in two dimensions of three components": (
        lambda: FindiffDivergence(h=[H, H])(np.ones((3, N, N))),
        lambda: Divergence(2).on(Grid(Axis(), Axis()), (N, N))(np.ones((3, N, N))),
        "f has 3 components: wanted 2 arrays",
    ),
    "the matrix of a periodic axis shorter than the stencil": (
        lambda: Diff(0, H, periodic=True, acc=4).matrix((4,)),
        lambda: plan(D(0), H, 4, boundary="periodic", method=FiniteDifference(4)).matrix(),
        "axis 0 has 4 points, .* needs at least 5",
    ),
}


@pytest.mark.parametrize("name", WRONG_NUMBERS)
def test_findiff_is_wrong_where_gradkit_is_exact(name):
    theirs, instead, ours, exact = WRONG_NUMBERS[name]
    with np.errstate(over="ignore", invalid="ignore"):  # float16 overflows in findiff
        found = theirs()
    size = np.abs(np.asarray(exact, float)).max()
    assert not np.allclose(found, exact, rtol=0, atol=1e-3 * size)
    if instead is not None:
        np.testing.assert_allclose(found, instead, rtol=1e-9, atol=1e-9)
    # H and X are binary fractions, so most is exact; the sums over stencils have a few roundings of
    # terms that are up to 20 times as large as the result.
    np.testing.assert_allclose(ours(), exact, rtol=0, atol=64 * EPS * size)


@pytest.mark.parametrize("name", REFUSED)
def test_findiff_answers_what_gradkit_refuses(name):
    theirs, ours, message = REFUSED[name]
    theirs()
    with pytest.raises(ArgumentValueError, match=message):
        ours()


def test_what_findiff_answers_there_makes_no_sense():
    assert Diff(0, X[:-1])(X)[-1] == 0  # the slope of x is 1
    assert not Diff(0, np.inf)(X).any()
    assert np.isnan(Diff(0, np.nan)(X)).all()
    rows = np.stack([X, X, np.full(N, 1e6)])[:, :, None] + np.zeros(N)
    found = FindiffDivergence(h=[H, H])(rows)
    np.testing.assert_allclose(found, 1, rtol=0, atol=1e-12)  # the third component is not looked at
    short = Diff(0, H, periodic=True, acc=4)
    f = np.array([1.0, 2.0, 4.0, 7.0])
    assert abs(short.matrix((4,)) @ f - short(f)).max() > 1  # one of the two is wrong


def test_differences_of_int64_are_exact():
    f = 2**53 + np.arange(N)
    assert plan(D(0), 1)(f).tolist() == [1.0] * N
    assert set(Diff(0, 1.0)(f).tolist()) > {1.0}


def test_constants_have_no_derivative_at_all():
    f = np.full(N, 0.1)
    assert Diff(0, 0.1, acc=4)(f).any()
    for accuracy in (2, 4, 6):
        for order in (1, 2, 3, 4):
            for spacing in (0.1, ROUGH[:18]):
                options = {"method": FiniteDifference(accuracy)}
                size = np.size(spacing) if np.size(spacing) > 1 else N
                assert not plan(D(0, order), spacing, N, **options)(f[:size]).any()


def test_float32_stays_float32_whatever_the_type_of_the_spacing():
    spacing = np.float64(H)
    assert Diff(0, spacing)(F32).dtype == np.float64
    assert plan(D(0), spacing)(F32).dtype == np.float32


def test_weights_of_high_accuracy_are_exact():
    """In closed form: (-1)^(k+1) (p!)^2 / (k (p-k)! (p+k)!), Fornberg 1988."""
    p = 15
    exact = {
        k: Fraction((-1) ** (k + 1) * comb(2 * p, p - k), k * comb(2 * p, p))
        for k in range(1, p + 1)
    }
    stencil = Stencil(range(-p, p + 1), order=1)
    found = dict(zip(stencil.offsets, stencil.weights, strict=True))
    assert {k: found[k] for k in exact} == exact
    theirs = coefficients(1, acc=2 * p)["center"]["coefficients"][p + 1 :]
    wrong = [abs(float(exact[k]) - w) for k, w in zip(exact, theirs, strict=True)]
    assert max(wrong) > 1e-3


# --- derivatives along equally spaced axes --------------------------------------------------------

ORDERS = [1, 2, 3, 4]
ACCURACIES = [2, 4, 6]
every_stencil = pytest.mark.parametrize(
    ("order", "accuracy"), [(m, p) for m in ORDERS for p in ACCURACIES]
)


def condition(offsets):
    """The condition of the linear system that findiff finds its weights from."""
    return np.linalg.cond(np.vander(np.asarray(offsets, float), increasing=True))


def assert_same(found, wanted, sizes, offsets=(0, 1, 2, 3)):
    """Equal up to the rounding of findiff's weights, relative to the largest |A| |f|."""
    error = EPS * condition(offsets) * np.max(sizes)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=error)


def end_rows(order, accuracy):
    """The number of rows at each end that the centred stencil does not fit."""
    return (order + 1) // 2 - 1 + accuracy // 2


@every_stencil
def test_interior_rows_are_those_of_findiff(rng, order, accuracy):
    f = rng.normal(size=N)
    ours = plan(D(0, order), method=FiniteDifference(accuracy))
    rows = end_rows(order, accuracy)
    inside, offsets = slice(rows, N - rows), range(-rows, rows + 1)
    theirs = Diff(0, H, acc=accuracy) ** order
    sizes = abs(ours.matrix()) @ abs(f)
    assert_same(ours(f)[inside], theirs(f)[inside], sizes, offsets)
    found, wanted = ours.matrix("array")[inside], theirs.matrix((N,)).toarray()[inside]
    assert_same(found, wanted, abs(found), offsets)


@every_stencil
def test_end_rows_of_findiff_are_stencils_that_move_along(rng, order, accuracy):
    """Each row looks ahead from where it is; the choice of gradkit looks from the end."""
    f = rng.normal(size=N)
    rows, width = end_rows(order, accuracy), order + accuracy
    theirs = (Diff(0, H, acc=accuracy) ** order)(f)
    for offsets, part in ((range(width), slice(rows)), (range(1 - width, 1), slice(-rows, None))):
        ours = plan(D(0, order, stencil=Stencil(offsets, order)))
        assert_same(ours(f)[part], theirs[part], abs(ours.matrix()) @ abs(f), offsets)


def slopes_at_the_end(order, accuracy):
    """The power of h that the largest error of the end rows follows on exp(-x), in both."""
    spacings = 0.85 ** np.arange(5) / (order + accuracy)
    errors = []
    for h in spacings:
        x = h * np.arange(N)
        f, exact = np.exp(-x), (-1) ** order * np.exp(-x)
        ours = plan(D(0, order), h, method=FiniteDifference(accuracy))(f)
        theirs = (Diff(0, h, acc=accuracy) ** order)(f)
        rows = end_rows(order, accuracy)
        errors.append([abs(found - exact)[:rows].max() for found in (ours, theirs)])
    return np.polyfit(np.log(spacings), np.log(errors), 1)[0]


@every_stencil
def test_end_rows_of_both_have_the_order_that_they_state(order, accuracy):
    """The stencil is up to one unit long, so that higher powers of h take a quarter off."""
    ours, theirs = slopes_at_the_end(order, accuracy)
    assert ours == pytest.approx(accuracy - 0.25, abs=0.1 if accuracy < 6 else 0.3)
    # Of ten points, findiff's weights are so inexact that only their error is left.
    assert theirs == pytest.approx(ours, abs=0.2) or (order, accuracy, theirs < 2) == (4, 6, True)


@every_stencil
def test_centred_ends_are_rows_of_lower_accuracy(rng, order, accuracy):
    f = rng.normal(size=N)
    theirs = (Diff(0, H, acc=accuracy, boundary="centered") ** order)(f)
    ours = plan(D(0, order), method=FiniteDifference(accuracy), edge_order=2)
    # The rows that the narrowest centred stencil does not fit have stencils of their own.
    first, rows = (order + 1) // 2, end_rows(order, accuracy)
    sizes = abs(ours.matrix()) @ abs(f)
    assert_same(ours(f)[first:-first], theirs[first:-first], sizes, range(-rows, rows + 1))


@every_stencil
def test_periodic_axes_are_those_of_findiff(rng, order, accuracy):
    f = rng.normal(size=(N, 5))
    grid = Grid(Axis(spacing=H, boundary="periodic"), None)
    ours = D(0, order).on(grid, (N, 5), method=FiniteDifference(accuracy))
    theirs = Diff(0, H, periodic=True, acc=accuracy) ** order
    offsets = range(-end_rows(order, accuracy), end_rows(order, accuracy) + 1)
    found, wanted = ours.matrix("array"), theirs.matrix((N, 5)).toarray()
    assert_same(ours(f), theirs(f), abs(found) @ abs(f).ravel(), offsets)
    assert_same(found, wanted, abs(found), offsets)


def test_the_old_interface_is_served_too(rng):
    f = rng.normal(size=(N, N))
    with pytest.warns(DeprecationWarning, match="FinDiff is deprecated"):
        theirs = FinDiff((0, H, 2), (1, H, 1))
    ours = (D(0) ** 2 * D(1)).on(Grid(Axis(spacing=H), Axis(spacing=H)), (N, N))
    assert_same(ours(f), theirs(f), abs(ours.matrix()) @ abs(f).ravel())


# --- coordinates ----------------------------------------------------------------------------------


#: Distances from the end, in mean steps: the end rows are those of the worst condition.
NEAREST = ROUGH / np.diff(ROUGH).mean()


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_odd_derivatives_on_coordinates_are_those_of_findiff_in_every_row(rng, order, accuracy):
    f = rng.normal(size=(len(ROUGH), 3))
    grid = Grid(Axis(coordinates=ROUGH), None)
    ours = D(0, order).on(grid, f.shape, method=FiniteDifference(accuracy))
    theirs = Diff(0, ROUGH, acc=accuracy) ** order
    nearest = NEAREST[: order + accuracy]
    found, wanted = ours.matrix("array"), theirs.matrix(f.shape).toarray()
    assert_same(ours(f), theirs(f), abs(found) @ abs(f).ravel(), nearest)
    assert_same(found, wanted, abs(found), nearest)


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_even_derivatives_on_coordinates_take_one_point_more_in_findiff(rng, order, accuracy):
    """The centred stencil of the accuracy on any grid; gradkit's mean of two is as accurate."""
    f = rng.normal(size=len(ROUGH))
    reach = (order + accuracy) // 2
    own = D(0, order, stencil=Stencil(range(-reach, reach + 1), order))
    ours = plan(own, ROUGH, edge_order=accuracy)
    theirs = Diff(0, ROUGH, acc=accuracy) ** order
    nearest = NEAREST[: order + accuracy]
    assert_same(ours(f), theirs(f), abs(ours.matrix()) @ abs(f), nearest)
    # Both are exact on the polynomials that the accuracy stands for.
    degree = order + accuracy - 1
    y = (ROUGH - ROUGH.mean()) / ROUGH.mean()
    power = np.polynomial.Polynomial.basis(degree)
    exact = power.deriv(order)(y) / ROUGH.mean() ** order
    ours = plan(D(0, order), ROUGH, method=FiniteDifference(accuracy))
    for found in (ours(power(y)), theirs(power(y))):
        assert_same(found, exact, abs(ours.matrix()) @ abs(power(y)), nearest)


def test_coordinates_that_wrap_are_served_where_findiff_has_none():
    """sin on [0, 2 pi), as accurate as on a uniform axis."""
    size = 200
    x = 2 * np.pi * (np.arange(size) + 0.3 * np.sin(np.arange(size))) / size
    with pytest.raises(NotImplementedError, match="Periodic nonuniform"):
        Diff(0, x, periodic=True)(np.sin(x))
    axis = Axis(coordinates=x, boundary="periodic", period=2 * np.pi)
    found = D(0).on(Grid(axis), (size,), method=FiniteDifference(4))(np.sin(x))
    widest = np.diff(x).max()
    # The error of a five-point stencil: the product of four distances times f^(5) / 5!.
    np.testing.assert_allclose(found, np.cos(x), rtol=0, atol=(2 * widest) ** 4 / 120)


# --- fields ---------------------------------------------------------------------------------------

SHAPE = (9, 10, 11)
SPACING = [0.125, 0.25, 0.5]
SPACE = Grid(*(Axis(spacing=h) for h in SPACING))
LINES = [ROUGH[:9], ROUGH[:10] + 1, ROUGH[:11] * 2]
ROUGH_SPACE = Grid(*(Axis(coordinates=x) for x in LINES))


def assert_fields_agree(ours, theirs, size):
    ours = ours if isinstance(ours, tuple) else (ours,)
    theirs = theirs if len(ours) > 1 else [theirs]
    for found, wanted in zip(ours, theirs, strict=True):
        assert_same(found, wanted, size)


@pytest.mark.parametrize(
    ("grid", "arguments"),
    [(SPACE, {"h": SPACING}), (ROUGH_SPACE, {"coords": LINES})],
    ids=["spacing", "coordinates"],
)
def test_vector_calculus_is_that_of_findiff(rng, grid, arguments):
    """With accuracy 2 one row at each end has a stencil of its own, the same in both."""
    f, v = rng.normal(size=SHAPE), rng.normal(size=(3, *SHAPE))
    size = 10 / min(SPACING)
    assert_fields_agree(Gradient(3).on(grid, SHAPE)(f), FindiffGradient(**arguments)(f), size)
    assert_fields_agree(Divergence(3).on(grid, SHAPE)(v), FindiffDivergence(**arguments)(v), size)
    assert_fields_agree(Curl(3).on(grid, SHAPE)(v), FindiffCurl(**arguments)(v), size)


@pytest.mark.parametrize("accuracy", [2, 4])
def test_vector_calculus_of_higher_accuracy_agrees_in_the_interior(rng, accuracy):
    f, v = rng.normal(size=SHAPE), rng.normal(size=(3, *SHAPE))
    method = FiniteDifference(accuracy)
    rows = accuracy // 2
    inside = (Ellipsis, *(slice(rows, -rows),) * 3)
    arguments = {"h": SPACING, "acc": accuracy}
    for operator, theirs, inputs in (
        (Gradient(3), FindiffGradient, f),
        (Divergence(3), FindiffDivergence, v),
        (Curl(3), FindiffCurl, v),
        (Laplacian(3), FindiffLaplacian, f),
    ):
        ours = np.asarray(operator.on(SPACE, SHAPE, method=method)(inputs))
        found = theirs(**arguments)(inputs)
        assert_same(ours[inside], found[inside], 10 / min(SPACING) ** 2)


def test_the_curl_in_the_plane_has_one_component(rng):
    v = rng.normal(size=(2, 9, 10))
    grid = Grid(*SPACE.axes[:2])
    ours = Curl(2).on(grid, (9, 10))(v)
    assert_same(ours, FindiffCurl(h=SPACING[:2])(v), 10 / min(SPACING))


def test_the_laplacian_is_that_of_findiff(rng):
    f = rng.normal(size=SHAPE)
    ours = Laplacian(3).on(SPACE, SHAPE)
    assert_same(ours(f), FindiffLaplacian(h=SPACING)(f), abs(ours.matrix()) @ abs(f).ravel())


# --- algebra --------------------------------------------------------------------------------------

PLANE = Grid(Axis(spacing=0.125), Axis(spacing=0.25))
d0, d1 = Diff(0, 0.125), Diff(1, 0.25)
A = 1 + np.arange(99.0).reshape(9, 11) / 50

#: Operators of findiff and of gradkit; findiff's * is gradkit's @, one after the other.
ALGEBRA = {
    "sum": (d0 + d1, D(0) + D(1)),
    "difference": (d0 - d1, D(0) - D(1)),
    "numbers": (3 * d0**2 - 0.5 * d1, 3 * D(0) ** 2 - 0.5 * D(1)),
    "mixed derivative": (d0 * d1, D(0) * D(1)),
    "mixed derivative of higher order": (d0**2 * d1, D(0) ** 2 * D(1)),
    "array in front": (Coef(A) * d0, A * D(0)),
    "array without a wrapper": (A * d0, A * D(0)),
    "array behind": (d0 * A, D(0) @ A),
    "array between": (d0 * (Coef(A) * d0), D(0) @ (A * D(0))),
    "identity": (Identity() + d0, gradkit.Identity() + D(0)),
    "number of the identity": (2 * Identity() - d1, 2 - D(1)),
    "Helmholtz": (d0**2 + d1**2 + Coef(A), Laplacian(2) + A),
    "number added": (d0 + 3, D(0) + 3),
    "product of sums": ((d0 + d1) * (A * d1), (D(0) + D(1)) @ (A * D(1))),
}


@pytest.mark.parametrize("name", ALGEBRA)
def test_operators_of_findiff_are_operators_here(rng, name):
    theirs, operator = ALGEBRA[name]
    f = rng.normal(size=(9, 11))
    ours = operator.on(PLANE, (9, 11))
    assert_same(ours(f), theirs(f), abs(ours.matrix()) @ abs(f).ravel())


@pytest.mark.parametrize("name", ALGEBRA)
def test_matrices_of_findiff_are_matrices_here(name):
    theirs, operator = ALGEBRA[name]
    ours = operator.on(PLANE, (9, 11)).matrix("array")
    assert_same(ours, theirs.matrix((9, 11)).toarray(), abs(ours).max())


# --- stencils -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "offsets"),
    [
        (1, [0, 1]),
        (1, [-1, 0, 1]),
        (1, [-2, 0, 1, 4]),
        (1, [-0.5, 0.5]),
        (2, [-1, 0, 1]),
        (2, [0, 1, 2]),
        (3, [-1.5, -0.5, 0.5, 1.5]),
        (4, [-2, -1, 0, 1, 2]),
    ],
)
def test_coefficients_and_their_accuracy_are_those_of_findiff(order, offsets):
    theirs = coefficients(order, offsets=offsets)
    ours = Stencil(offsets, order)
    weights = np.array(list(map(float, ours.weights)))
    assert_same(weights, theirs["coefficients"], abs(weights), offsets)
    assert ours.accuracy == theirs["accuracy"]


@every_stencil
def test_coefficients_of_an_accuracy_are_those_of_findiff(order, accuracy):
    theirs = coefficients(order, acc=accuracy)
    for name in ("center", "forward", "backward"):
        ours = Stencil(theirs[name]["offsets"].tolist(), order)
        weights = np.array(list(map(float, ours.weights)))
        assert_same(weights, theirs[name]["coefficients"], abs(weights), theirs[name]["offsets"])
        assert ours.accuracy == theirs[name]["accuracy"] == accuracy


CORNERS = [(0, 0), (1, 1), (-1, -1), (1, -1), (-1, 1)]
CROSS = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]


@pytest.mark.parametrize(
    ("offsets", "partials", "like"),
    [
        (CROSS, {(2, 0): 1, (0, 2): 1}, D(0) ** 2 + D(1) ** 2),
        (CORNERS, {(2, 0): 1, (0, 2): 1}, D(0) ** 2 + D(1) ** 2),
        (CORNERS, {(1, 1): 1}, D(0) * D(1)),
        ([-1, 0, 1], {(1,): 1}, D(0)),
        ([0, 1, 2], {(2,): 3}, 3 * D(0) ** 2),
        ([-2, 0, 1], {(1,): 2}, 2 * D(0)),
    ],
)
def test_stencils_of_findiff_are_operators_from_offsets(rng, offsets, partials, like):
    spacing = 0.25
    theirs = FindiffStencil(offsets, partials, spacings=spacing)
    operator = operator_from_offsets(offsets, like=like)
    ndim = len(next(iter(partials)))
    f = rng.normal(size=(9,) * ndim)
    ours = operator.on(Grid(*(Axis(spacing=spacing),) * ndim), f.shape)
    middle = (4,) * ndim
    found = dict(zip(ours.stencil(middle).offsets, ours.stencil(middle).weights, strict=True))
    wanted = {k: float(w) for k, w in theirs.values.items() if abs(w) > 1e-12}
    assert found == pytest.approx(wanted, rel=1e-12)
    size = sum(map(abs, wanted.values())) * abs(f).max()
    assert_same(ours(f)[middle], theirs(f, at=middle), size)
    inside = (slice(2, -2),) * ndim
    assert_same(ours(f)[inside], theirs(f, on=inside)[inside], size)
    # On masks findiff takes the mirror image of a stencil: see the table above.
    if all(wanted.get(tuple(-i for i in k)) == w for k, w in wanted.items()):
        mask = np.zeros(f.shape, bool)
        mask[inside] = True
        assert_same(ours(f)[mask], theirs(f, on=mask)[mask], size)


def test_the_accuracy_of_a_stencil_is_stated_in_its_text():
    theirs = FindiffStencil(CROSS, {(2, 0): 1, (0, 2): 1})
    ours = operator_from_offsets(CROSS, like=D(0) ** 2 + D(1) ** 2)
    assert repr(ours) == "Offsets(5 points: D(0)**2 + D(1)**2 + O(h^2))"
    assert theirs.accuracy == 2


def test_stencil_sets_are_the_stencils_at_nine_points():
    shape = (9, 11)
    theirs = (d0**2 + 3 * d0 * d1).stencil(shape).data
    ours = (D(0) ** 2 + 3 * D(0) * D(1)).on(PLANE, shape)
    for name, wanted in theirs.items():
        place = tuple(
            {"L": 0, "C": n // 2, "H": n - 1}[c] for c, n in zip(name, shape, strict=True)
        )
        stencil = ours.stencil(place)
        found = dict(zip(stencil.offsets, stencil.weights, strict=True))
        kept = {tuple(map(int, k)): float(w) for k, w in wanted.items() if abs(w) > 1e-12}
        assert found == pytest.approx(kept, rel=1e-12)


def test_estimates_of_the_error_are_those_of_findiff():
    """The first one of an operator; the table above has the second."""
    f = np.exp(X)
    theirs = Diff(0, H).estimate_error(f)
    ours = plan(D(0)).error_estimate(f)
    assert_same(ours.truncation[2:-2], theirs.error[2:-2], 20 * abs(f).max() / H)
