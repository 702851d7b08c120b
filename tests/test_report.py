"""Stencils as pictures and plans as text, against what one would write by hand."""

import textwrap
from fractions import Fraction

import numpy as np
import pytest

import gradkit
from gradkit import (
    Antisymmetric,
    Average,
    Axis,
    Curl,
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
    Symmetric,
    operator_from_offsets,
)
from gradkit.errors import ArgumentTypeError, ArgumentValueError, GradkitError, UnsupportedError

HALF = Grid(Axis(spacing=0.5))
UNIT = Grid(Axis())
PLANE = Grid(Axis(), Axis())
SPACE = Grid(Axis(), Axis(), Axis())
UNEVEN = [0.0, 0.5, 2.0, 2.25, 3.0, 5.0]
RAMP = np.arange(8.0)
NINE_POINTS = operator_from_offsets(
    {
        (0, 0): Fraction(-10, 3),
        **dict.fromkeys([(-1, 0), (1, 0), (0, -1), (0, 1)], Fraction(2, 3)),
        **dict.fromkeys([(-1, -1), (-1, 1), (1, -1), (1, 1)], Fraction(1, 6)),
    }
)


def wall(boundary, shape=(8,), spacing=0.5):
    """The second derivative between two walls, along the first of several axes."""
    batch = [None] * (len(shape) - 1)
    return D(0, 2).on(Grid(Axis(spacing=spacing, boundary=boundary), *batch), shape)


# --- pictures -----------------------------------------------------------------------------------

#: Name -> plan, index, and the picture. The weights are those of tables (Fornberg 1988), over the
#: spacing, times coefficients.
PICTURES = {
    "first derivative": (
        D(0).on(HALF, (8,)),
        3,
        """
        PointStencil at 3:
          offset -1 +1
          weight -1  1
        """,
    ),
    "at the first point": (
        D(0).on(HALF, (8,)),
        0,
        """
        PointStencil at 0:
          offset  0 +1 +2
          weight -3  4 -1
        """,
    ),
    "index from the end": (
        D(0).on(HALF, (8,)),
        -1,
        """
        PointStencil at 7:
          offset -2 -1  0
          weight  1 -4  3
        """,
    ),
    "weights of many digits": (
        D(0, 2).on(UNIT, (8,), method=FiniteDifference(4)),
        4,
        """
        PointStencil at 4:
          offset         -2         -1          0         +1         +2
          weight -0.0833333    1.33333       -2.5    1.33333 -0.0833333
        """,
    ),
    "coordinates": (
        D(0).on(Grid(Axis(coordinates=UNEVEN)), (6,)),
        1,  # between steps of 1/2 and 3/2
        """
        PointStencil at 1:
          offset       -1        0       +1
          weight     -1.5  1.33333 0.166667
        """,
    ),
    "first point of a periodic axis": (
        D(0).on(Grid(Axis(boundary="periodic")), (8,)),
        0,
        """
        PointStencil at 0:
          offset   -1   +1
          weight -0.5  0.5
        """,
    ),
    "identity": (
        Identity().on(UNIT, (8,)),
        5,
        """
        PointStencil at 5:
          offset 0
          weight 1
        """,
    ),
    "nothing": (
        (D(0) - D(0)).on(UNIT, (8,)),
        5,
        """
        PointStencil at 5:
          0
        """,
    ),
    "from centres to faces": (
        D(0, to="outer").on(HALF, (8,)),
        4,
        """
        PointStencil at 4:
          offset -1  0
          weight -2  2
        """,
    ),
    "at the last face": (
        D(0, to="outer").on(HALF, (8,)),
        -1,
        """
        PointStencil at 8:
          offset -3 -2 -1
          weight  2 -6  4
        """,
    ),
    "array in front": (
        (RAMP * D(0, 2)).on(HALF, (8,)),
        3,
        """
        PointStencil at 3:
          offset  -1   0  +1
          weight  12 -24  12
        """,
    ),
    "array between derivatives": (
        # (a[4] (f[5] - f[3]) - a[2] (f[3] - f[1])) / (4 h**2)
        (D(0) @ (RAMP * D(0))).on(HALF, (8,)),
        3,
        """
        PointStencil at 3:
          offset -2  0 +2
          weight  2 -6  4
        """,
    ),
    "complex array": (
        (1j * RAMP * D(0, 2)).on(HALF, (8,)),
        3,
        """
        PointStencil at 3:
          offset    -1     0    +1
          weight 0+12j 0-24j 0+12j
        """,
    ),
    "value known at a wall": (
        # (16 wall - 25 f[0] + 10 f[1] - f[2]) / (5 h**2)
        wall(Dirichlet(2.0)),
        0,
        """
        PointStencil at 0:
          offset    0   +1   +2
          weight  -20    8 -0.8
          + 25.6 from the walls
        """,
    ),
    "complex value known at a wall": (
        wall(Dirichlet(2 + 1j)),
        -1,
        """
        PointStencil at 7:
          offset   -2   -1    0
          weight -0.8    8  -20
          + 25.6+12.8j from the walls
        """,
    ),
    "laplacian": (
        Laplacian(2).on(Grid(Axis(0.5), Axis()), (8, 8)),
        (4, -4),
        """
        PointStencil at (4, 4):
                4
            1 -10   1
                4
        """,
    ),
    "corner of a laplacian": (
        Laplacian(2).on(PLANE, (8, 8)),
        (0, 0),
        """
        PointStencil at (0, 0):
           4 -5  4 -1
          -5
           4
          -1
        """,
    ),
    "mixed derivative": (
        (4 * D(0) * D(1)).on(PLANE, (8, 8)),
        (4, 4),
        """
        PointStencil at (4, 4):
           1    -1

          -1     1
        """,
    ),
    "nine points": (
        (6 * NINE_POINTS).on(PLANE, (8, 8)),
        (4, 4),
        """
        PointStencil at (4, 4):
            1   4   1
            4 -20   4
            1   4   1
        """,
    ),
    "three dimensions": (
        Laplacian(3).on(SPACE, (8, 8, 8)),
        (-4, 3, 4),
        """
        PointStencil at (4, 3, 4):
          (-1, 0, 0) 1
          (0, -1, 0) 1
          (0, 0, -1) 1
          (0, 0, 0)  -6
          (0, 0, 1)  1
          (0, 1, 0)  1
          (1, 0, 0)  1
        """,
    ),
}


def unindented(text):
    """A text of this file without the indentation of the code around it."""
    return textwrap.dedent(text).strip()


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_the_one_drawn_by_hand(name):
    plan, index, picture = PICTURES[name]
    assert repr(plan.stencil(index)) == unindented(picture)


# --- stencils as values -------------------------------------------------------------------------


def test_offsets_and_weights_are_plain_numbers():
    found = D(0).on(Grid(Axis(spacing=0.1)), (9,)).stencil(4)
    assert (found.index, found.offsets, found.constant) == ((4,), ((-1,), (1,)), 0.0)
    # One rounding of the exact quotient, whatever the spacing.
    exact = float(1 / (2 * Fraction(0.1)))
    assert found.weights == (-exact, exact)
    assert [type(value) for value in (*found.weights, found.constant)] == [float] * 3
    assert type(found.offsets[0][0]) is int


def test_index_may_be_any_integer_and_a_sequence():
    plan = Laplacian(2).on(PLANE, (8, 8))
    wanted = plan.stencil((4, 5))
    for index in ([4, 5], (np.int64(4), np.uint8(5)), (-4, -3), (np.int32(-4), 5)):
        assert plan.stencil(index) == wanted
    line = D(0).on(UNIT, (8,))
    assert line.stencil(np.int64(-8)) == line.stencil(0) == line.stencil((0,))


def test_points_beyond_the_end_of_a_wrapping_axis_are_counted_on():
    for boundary in ("periodic", "antiperiodic"):
        plan = D(0).on(Grid(Axis(boundary=boundary)), (8,), method=FiniteDifference(4))
        assert plan.stencil(-1).offsets == ((-2,), (-1,), (1,), (2,))
        assert plan.stencil(0) == plan.stencil(-8)


def test_system_has_one_stencil_per_output_and_input():
    plan = Curl(2).on(PLANE, (8, 8))  # -D(1) of the first input, D(0) of the second
    first, second = plan.stencil((4, 4), input=0), plan.stencil((4, 4), output=0, input=1)
    assert dict(zip(first.offsets, first.weights, strict=True)) == {(0, -1): 0.5, (0, 1): -0.5}
    assert dict(zip(second.offsets, second.weights, strict=True)) == {(-1, 0): -0.5, (1, 0): 0.5}
    space = Curl(3).on(SPACE, (8, 8, 8))
    assert space.stencil((4, 4, 4), output=2, input=0).offsets == ((0, -1, 0), (0, 1, 0))
    assert space.stencil((4, 4, 4), output=2, input=2).offsets == ()


def test_outputs_of_different_shapes_have_their_own_last_index():
    plan = Gradient(2, to="outer").on(PLANE, (8, 6))
    assert plan.stencil((-1, -1), output=0).index == (8, 5)
    assert plan.stencil((-1, -1), output=1).index == (7, 6)


def test_stencil_of_the_transposed_plan_is_a_column():
    plan = D(0).on(UNIT, (8,), edge_order=1).T
    # Row j of the transposed matrix holds what the rows around j take from point j.
    assert plan.stencil(0).offsets == ((0,), (1,))
    assert plan.stencil(0).weights == (-1.0, -0.5)
    assert plan.stencil(1).weights == (1.0, -0.5)
    assert plan.stencil(4).offsets == ((-1,), (1,))
    assert plan.stencil(4).weights == (0.5, -0.5)


def test_stencil_of_the_adjoint_is_conjugated():
    plan = (1j * RAMP * D(0, 2)).on(HALF, (8,))
    # Column 3 of a[i] (f[i-1] - 2 f[i] + f[i+1]) / h**2, with 1 / h**2 = 4.
    assert plan.T.stencil(3).weights == (8j, -24j, 16j)
    assert plan.H.stencil(3).weights == (-8j, 24j, -16j)


def test_linear_part_has_no_constant():
    plan = wall((Dirichlet(2.0), Neumann(1.0)))
    assert plan.stencil(0).constant == pytest.approx(25.6, rel=1e-15)
    assert plan.linear.stencil(0).constant == 0
    assert plan.linear.stencil(0).weights == plan.stencil(0).weights


def test_values_along_a_wall_are_those_of_their_row():
    plan = wall(Dirichlet(np.asarray([1.0, 2.0, 3.0])), shape=(8, 3))
    # 16 wall / (5 h**2), with 1 / h**2 = 4
    constants = [plan.stencil((-1, column)).constant for column in range(3)]
    assert constants == pytest.approx([12.8, 25.6, 38.4], rel=1e-15)


def test_what_walls_of_two_axes_add_is_added():
    grid = Grid(Axis(0.5, boundary=Dirichlet(2.0)), Axis(boundary=Dirichlet(3.0, at="next")))
    plan = Laplacian(2).on(grid, (8, 8))
    # 16 wall / (5 h**2), and wall / h**2.
    constants = [plan.stencil(index).constant for index in ((0, 0), (0, 4), (4, 0), (4, 4))]
    assert constants == pytest.approx([25.6 + 3, 25.6, 3, 0], rel=1e-15)


def test_weights_that_cancel_are_left_out():
    plan = (D(0, 2) + 2 * Identity()).on(UNIT, (8,))  # 1, -2, 1 and 2 at the point itself
    assert plan.stencil(4).offsets == ((-1,), (1,))


def test_stencils_are_values():
    plan = D(0).on(UNIT, (8,))
    assert plan.stencil(3) == D(0).on(UNIT, (8,)).stencil(3)
    assert plan.stencil(3) != plan.stencil(4)
    assert hash(plan.stencil(3)) == hash(plan.stencil(-5))


#: Plans of every kind on dyadic numbers, so that sums of products of small integers are exact.
KINDS = {
    "one-sided": (D(0, 2) - 2 * D(1), Grid(Axis(0.5), Axis(0.25)), (7, 6)),
    "wrapping": (
        D(0) * D(1, 2) + 1,
        Grid(Axis(0.5, boundary="antiperiodic"), Axis(0.25, boundary="periodic")),
        (5, 4),
    ),
    "reflected": (
        D(0) + D(1, 2),
        Grid(Axis(0.5, boundary=Symmetric()), Axis(boundary=Antisymmetric(at="next"))),
        (5, 6),
    ),
    "composed": (
        D(0, to="centre") @ (np.arange(6.0)[:, None] * D(0, to="outer")),
        Grid(Axis(0.5), None),
        (5, 3),
    ),
    "mean of faces": (Average(1, to="outer"), Grid(None, Axis()), (2, 6)),
    "own stencil": (6 * NINE_POINTS, Grid(Axis(0.5), Axis(0.5)), (6, 5)),
    "walls beside an axis that turns the sign": (
        D(0) * D(1, 2),
        Grid(Axis(0.5, boundary="antiperiodic"), Axis(boundary=Dirichlet(3.0, at="next"))),
        (4, 5),
    ),
    "known slopes": (
        D(0, 2),
        Grid(Axis(boundary=(Neumann(np.arange(4.0), at="sample"), "one-sided")), None),
        (6, 4),
    ),
}


@pytest.mark.parametrize("form", ["", "T"])
@pytest.mark.parametrize("name", KINDS)
def test_stencils_are_what_a_call_computes(name, form, rng):
    operator, grid, shape = KINDS[name]
    plan = operator.on(grid, shape)
    plan = plan.T if form else plan
    f = rng.integers(-9, 9, plan.input_shape).astype(float)
    result = plan(f)
    for index in np.ndindex(plan.output_shape):
        found = plan.stencil(index)
        total = found.constant
        for offset, weight in zip(found.offsets, found.weights, strict=True):
            turns, place = np.divmod(np.add(index, offset), f.shape)
            signs = [axis.wrap if axis else 1 for axis in grid.axes]
            assert all(sign for sign, turn in zip(signs, turns, strict=True) if turn)
            sign = np.prod([s**t for s, t in zip(signs, abs(turns), strict=True) if t])
            total += weight * sign * f[tuple(place)]
        # At most 18 products of numbers below 100 * 9, of which only thirds are rounded.
        assert total == pytest.approx(result[index], rel=0, abs=20 * np.spacing(900.0))


# --- what is no result --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        ((4, 8), ArgumentValueError, r"index=.*8.*axis 1"),
        ((-9, 0), ArgumentValueError, r"index=.*-9.*axis 0"),
        (4, ArgumentValueError, "index=4 has 1 entries: wanted 2"),
        ((1, 2, 3), ArgumentValueError, r"index=\(1, 2, 3\) has 3 entries: wanted 2"),
        ((), ArgumentValueError, r"index=\(\) has 0 entries: wanted 2"),
        ((1.0, 2), ArgumentTypeError, r"index=\(1.0, 2\) is not an integer or a tuple"),
        ((True, 2), ArgumentTypeError, r"index=\(True, 2\) is not an integer"),
        ("44", ArgumentTypeError, "index='44' is not an integer"),
        (None, ArgumentTypeError, "index=None is not an integer"),
        ((slice(None), 2), ArgumentTypeError, "is not an integer"),
    ],
    ids=repr,
)
def test_index_that_is_none_raises(index, error, message):
    with pytest.raises(error, match=message):
        Laplacian(2).on(PLANE, (8, 8)).stencil(index)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": 2}, "output=2 does not exist: the plan has 2"),
        ({"input": 1}, "input=1 does not exist: the plan has 1"),
        ({"output": -1}, "output=-1 is not >= 0"),
        ({"input": -1}, "input=-1 is not >= 0"),
        ({"output": True}, "output=True is not an integer"),
        ({"input": 0.0}, r"input=0\.0 is not an integer"),
    ],
    ids=repr,
)
def test_output_or_input_that_does_not_exist_raises(arguments, message):
    with pytest.raises(GradkitError, match=message):
        Gradient(2).on(PLANE, (8, 8)).stencil((4, 4), **arguments)


def test_block_has_no_stencil_of_its_own():
    with pytest.raises(UnsupportedError, match="stencil of the whole plan"):
        D(0).on(UNIT, (8,)).block([(2, 5)], [2]).stencil(1)


# --- explanations -------------------------------------------------------------------------------

ON_NUMPY = """
run by cpu
  chunked: serves dask arrays, the input is a numpy array
  cuda: serves cupy, torch and jax arrays, the input is a numpy array
  cpu: can serve this call
  reference: can serve this call"""

#: Name -> plan, and the explanation but for the engine. Bytes: 8 per number read and written.
EXPLANATIONS = {
    "one-sided": (
        D(0, 2).on(HALF, (9,), method=FiniteDifference(4), edge_order=1),
        """
        D(0)**2 on 9 points, FiniteDifference(accuracy=4)
        axis 0: spacing=0.5
          second derivative
            row 0: f''(x) = (f[0] - 2 f[1] + f[2]) / h^2 + O(h^1)
            row 1: f''(x) = (f[-1] - 2 f[0] + f[1]) / h^2 + O(h^2)
            rows 2 to 6: f''(x) = (-f[-2] + 16 f[-1] - 30 f[0] + 16 f[1] - f[2]) / (12 h^2) + O(h^4)
            row 7: f''(x) = (f[-1] - 2 f[0] + f[1]) / h^2 + O(h^2)
            row 8: f''(x) = (f[-2] - 2 f[-1] + f[0]) / h^2 + O(h^1)
        halo (2,), at least 144 bytes in float64 (1 array read, 1 written)
        """,
    ),
    "periodic": (
        D(0).on(Grid(Axis(spacing=0.5, boundary="periodic")), (100,)),
        """
        D(0) on 100 points, FiniteDifference(accuracy=2)
        axis 0: spacing=0.5, boundary='periodic'
          first derivative
            rows 0 to 99: f'(x) = (-f[-1] + f[1]) / (2 h) + O(h^2)
        halo (1,), at least 1600 bytes in float64 (1 array read, 1 written)
        """,
    ),
    "coordinates": (
        D(0).on(Grid(Axis(coordinates=UNEVEN)), (6,)),
        """
        D(0) on 6 points, FiniteDifference(accuracy=2)
        axis 0: coordinates=6 points from 0.0 to 5.0
          first derivative
            row 0: f'(x) = f[0], f[1], f[2], weights by position + O(h^2)
            rows 1 to 4: f'(x) = f[-1], f[0], f[1], weights by position + O(h^2)
            row 5: f'(x) = f[-2], f[-1], f[0], weights by position + O(h^2)
        halo (2,), at least 96 bytes in float64 (1 array read, 1 written)
        """,
    ),
    "walls": (
        wall((Dirichlet(1.5), Symmetric())),
        """
        D(0)**2 on 8 points, FiniteDifference(accuracy=2)
        axis 0: spacing=0.5, boundary=(Dirichlet(1.5), Symmetric())
          second derivative
            row 0: f''(x) = (16 wall - 25 f[0] + 10 f[1] - f[2]) / (5 h^2) + O(h^2), known at the first wall: 1.5
            rows 1 to 6: f''(x) = (f[-1] - 2 f[0] + f[1]) / h^2 + O(h^2)
            row 7: f''(x) = (f[-1] - f[0]) / h^2 + O(h^2)
        halo (2,), at least 128 bytes in float64 (1 array read, 1 written)
        """,  # noqa: E501
    ),
    "array along a wall": (
        wall(("one-sided", Dirichlet(np.ones(3), at="next")), shape=(6, 3)),
        """
        D(0)**2 on 6 x 3 points, FiniteDifference(accuracy=2)
        axis 0: spacing=0.5, boundary=('one-sided', Dirichlet(<3 array>, at='next'))
          second derivative
            row 0: f''(x) = (2 f[0] - 5 f[1] + 4 f[2] - f[3]) / h^2 + O(h^2)
            rows 1 to 4: f''(x) = (f[-1] - 2 f[0] + f[1]) / h^2 + O(h^2)
            row 5: f''(x) = (f[-1] - 2 f[0] + wall) / h^2 + O(h^2), known at the last wall: an array
        arrays multiplied by, or known along walls: 1 x 3
        halo (3, 0), at least 312 bytes in float64 (1 array read, 1 written)
        """,
    ),
    "walls on coordinates": (
        D(0).on(Grid(Axis(coordinates=UNEVEN, boundary=Dirichlet(1.5))), (6,)),
        """
        D(0) on 6 points, FiniteDifference(accuracy=2)
        axis 0: coordinates=6 points from 0.0 to 5.0, boundary=Dirichlet(1.5)
          first derivative
            row 0: f'(x) = wall, f[0], f[1], weights by position + O(h^2), known at the first wall: 1.5
            rows 1 to 4: f'(x) = f[-1], f[0], f[1], weights by position + O(h^2)
            row 5: f'(x) = f[-1], f[0], wall, weights by position + O(h^2), known at the last wall: 1.5
        halo (1,), at least 96 bytes in float64 (1 array read, 1 written)
        """,  # noqa: E501
    ),
    "there and back, with arrays": (
        (D(0, to="centre") @ (np.ones((7, 1)) * D(0, to="outer"))).on(
            Grid(Axis(spacing=0.5), None), (6, 2), edge_order=1
        ),
        """
        D(0, to='centre') @ (<7 x 1 array>*D(0, to='outer')) on 6 x 2 points, FiniteDifference(accuracy=2)
        axis 0: spacing=0.5
          first derivative from 'centre' to 'outer'
            row 0: f'(x) = (-f[0] + f[1]) / h + O(h^1)
            rows 1 to 5: f'(x) = (-f[-1] + f[0]) / h + O(h^2)
            row 6: f'(x) = (-f[-2] + f[-1]) / h + O(h^1)
          first derivative from 'outer' to 'centre'
            rows 0 to 5: f'(x) = (-f[0] + f[1]) / h + O(h^2)
        arrays multiplied by, or known along walls: 7 x 1
        halo (3, 0), at least 248 bytes in float64 (1 array read, 1 written)
        """,  # noqa: E501
    ),
    "mean of neighbours": (
        Average(0, to="inner").on(HALF, (6,)),
        """
        Average(0, to='inner') on 6 points, FiniteDifference(accuracy=2)
        axis 0: spacing=0.5
          average from 'centre' to 'inner'
            rows 0 to 4: (f[0] + f[1]) / 2
        halo (1,), at least 88 bytes in float64 (1 array read, 1 written)
        """,
    ),
    "several outputs of different shapes, and a batch axis": (
        Gradient((0, 2), to="inner").on(Grid(Axis(), None, Axis(boundary=Dirichlet(0))), (3, 5, 4)),
        """
        Operator.matrix([[D(0, to='inner')], [D(2, to='inner')]]) on 3 x 5 x 4 points, FiniteDifference(accuracy=2)
        axis 0: spacing=1
          first derivative from 'centre' to 'inner'
            rows 0 to 1: f'(x) = (-f[0] + f[1]) / h + O(h^2)
        axis 2: spacing=1, boundary=Dirichlet(0)
          first derivative from 'centre' to 'inner'
            rows 0 to 2: f'(x) = (-f[0] + f[1]) / h + O(h^2)
        halo (1, 0, 1), at least 1160 bytes in float64 (1 array read, 2 written)
        """,  # noqa: E501
    ),
    "several inputs": (
        Divergence(2).on(Grid(*[Axis(boundary="periodic")] * 2), (4, 5)),
        """
        Operator.matrix([[D(0), D(1)]]) on 4 x 5 points, FiniteDifference(accuracy=2)
        axis 0: spacing=1, boundary='periodic'
          first derivative
            rows 0 to 3: f'(x) = (-f[-1] + f[1]) / (2 h) + O(h^2)
        axis 1: spacing=1, boundary='periodic'
          first derivative
            rows 0 to 4: f'(x) = (-f[-1] + f[1]) / (2 h) + O(h^2)
        halo (1, 1), at least 480 bytes in float64 (2 arrays read, 1 written)
        """,
    ),
    "two orders along one axis": (
        (D(0, 4) + D(0)).on(Grid(Axis(boundary="periodic")), (9,)),
        """
        D(0)**4 + D(0) on 9 points, FiniteDifference(accuracy=2)
        axis 0: spacing=1, boundary='periodic'
          derivative of order 4
            rows 0 to 8: (f[-2] - 4 f[-1] + 6 f[0] - 4 f[1] + f[2]) / h^4 + O(h^2)
          first derivative
            rows 0 to 8: f'(x) = (-f[-1] + f[1]) / (2 h) + O(h^2)
        halo (2,), at least 144 bytes in float64 (1 array read, 1 written)
        """,
    ),
    "own stencil": (
        D(0, stencil=Stencil((-1, 0), order=1)).on(HALF, (8,)),
        """
        D(0, stencil=Stencil((-1, 0), 1)) on 8 points, FiniteDifference(accuracy=2)
        axis 0: spacing=0.5
          first derivative
            row 0: f'(x) = (-f[0] + f[1]) / h + O(h^1)
            rows 1 to 7: f'(x) = (-f[-1] + f[0]) / h + O(h^1)
        halo (1,), at least 128 bytes in float64 (1 array read, 1 written)
        """,
    ),
    "own stencil of neighbours": (
        operator_from_offsets([-1, 0, 1], like=D(0, 2)).on(
            Grid(Axis(0.5, boundary="periodic")), (8,)
        ),
        """
        Offsets(3 points: D(0)**2 + O(h^2)) on 8 points, FiniteDifference(accuracy=2)
        axis 0: spacing=0.5, boundary='periodic'
          weighted sum of 3 points
            rows 0 to 7: (f[-1] - 2 f[0] + f[1]) / 0.25
        halo (1,), at least 128 bytes in float64 (1 array read, 1 written)
        """,
    ),
    "no derivative at all": (
        (2 * Identity()).on(Grid(Axis(), None), (3, 4)),
        """
        2 on 3 x 4 points, FiniteDifference(accuracy=2)
        halo (0, 0), at least 192 bytes in float64 (1 array read, 1 written)
        """,
    ),
}


@pytest.mark.parametrize("name", EXPLANATIONS)
def test_explanation_is_the_one_written_by_hand(name):
    plan, text = EXPLANATIONS[name]
    assert plan.explain() == unindented(text) + ON_NUMPY


def test_explanation_shows_as_it_prints():
    text = D(0).on(HALF, (8,)).explain()
    assert isinstance(text, str)
    assert repr(text) == str(text)
    assert "\n" in repr(text)


def test_robin_wall_weighs_value_and_slope():
    # The parabola c0 + c1 x + c2 x**2, x from the face: c0 - 2 c1 = 3 because the normal points
    # against x, and it takes the samples at 1/2 and 3/2. Its second derivative is 2 c2.
    plan = D(0, 2).on(Grid(Axis(boundary=(Robin(1, 2, 3), "one-sided"))), (8,), edge_order=1)
    system = np.asarray([[1, -2, 0], [1, 0.5, 0.25], [1, 1.5, 2.25]])
    share = np.linalg.solve(system.T, [0.0, 0.0, 2.0])  # of 3, f[0], f[1]
    found = plan.stencil(0)
    np.testing.assert_allclose(found.weights, share[1:], rtol=1e-14)
    assert found.constant == pytest.approx(3 * share[0], rel=1e-14)
    assert ", 1 f + 2 df/dn known at the first wall: 3\n" in plan.explain()


@pytest.mark.parametrize(("form", "name"), [("T", "T"), ("H", "H")])
def test_adjoint_says_that_it_is_one(form, name):
    plan = (2j * D(0)).on(HALF, (8,), edge_order=1)
    lines = getattr(plan, form).explain().splitlines()
    assert lines[0] == f"2.0j*D(0) on 8 points, FiniteDifference(accuracy=2), {name}"
    assert lines[1] == "axis 0: spacing=0.5"
    assert lines[2] == "  first derivative, transposed"
    # The columns of the matrix: -1, 1 in the end rows, -1/2, 0, 1/2 in all others.
    sums = ["(-2 f[0] - f[1])", "(2 f[-1] - f[1])", "(f[-1] - f[1])", "(f[-1] - 2 f[1])"]
    sums.append("(f[-1] + 2 f[0])")
    rows = ["row 0:", "row 1:", "rows 2 to 5:", "row 6:", "row 7:"]
    for line, where, total in zip(lines[3:8], rows, sums, strict=True):
        assert line.startswith(f"    {where} ")
        assert f"{total} / (2 h)" in line
    assert lines[8] == "halo (1,), at least 128 bytes in float64 (1 array read, 1 written)"


def test_twice_transposed_plan_is_explained_as_it_was():
    plan = D(0).on(HALF, (8,))
    first, second = plan.explain().splitlines(), plan.T.T.explain().splitlines()
    assert first[0] == second[0]
    assert first[3:] == second[3:]


def test_linear_part_knows_nothing_at_the_walls():
    text = wall(Dirichlet(1.5)).linear.explain()
    assert "boundary=Dirichlet(0.0)" in text
    assert "(-25 f[0] + 10 f[1] - f[2]) / (5 h^2)" in text
    assert "known at" not in text
    assert "wall" not in text.split("second derivative")[1]


def test_outputs_that_are_equal_are_written_once():
    plan = Operator.matrix([[D(0)], [D(1)], [D(0)]]).on(PLANE, (4, 5))
    # One array read and two that differ, of 20 numbers of 8 bytes.
    assert "at least 480 bytes in float64 (1 array read, 2 written)" in plan.explain()


# --- which engine -------------------------------------------------------------------------------


def test_inputs_choose_the_engine(library):
    plan = D(0).on(HALF, (8,))
    text = plan.explain(library.asarray(RAMP))
    served = {"dask": "chunked", "cupy": "cuda"}.get(library.kind, "cpu")
    if library.kind == "array_api_strict":
        served = "reference"
    given = f"the input is a {library.kind} array"
    reasons = {
        "chunked": f"serves dask arrays, {given}",
        "cuda": f"serves cupy, torch and jax arrays, {given}",
        "cpu": f"serves numpy, torch and jax arrays, {given}",
    }
    if library.kind in ("torch", "jax"):
        arrays = {"torch": "tensors", "jax": "arrays"}[library.kind]
        reasons["cuda"] = f"serves {arrays} on cuda, the input is on cpu"
    reasons[served] = reasons["reference"] = "can serve this call"
    lines = [f"  {engine}: {reasons[engine]}" for engine in ("chunked", "cuda", "cpu", "reference")]
    wanted = "\n".join([f"run by {served}", *lines])
    assert text.endswith(f"written)\n{wanted}")


def test_explanation_computes_nothing(no_compute):
    da = pytest.importorskip("dask.array")
    with no_compute():
        text = Laplacian(2).on(PLANE, (8, 8)).explain(da.ones((8, 8), chunks=2))
    assert "run by chunked" in text


def test_explanation_takes_no_memory_for_huge_grids():
    size = 10**6  # 8 TB if it were made
    text = Laplacian(2).on(PLANE, (size, size)).explain()
    assert f"at least {16 * size**2} bytes" in text


def test_engine_asked_for_is_the_one_that_is_named():
    plan = D(0).on(HALF, (8,))
    with gradkit.use_engine("reference"):
        assert "run by reference" in plan.explain(RAMP)
    with (
        gradkit.use_engine("chunked"),
        pytest.raises(GradkitError, match="cannot serve this call"),
    ):
        plan.explain(RAMP)


def test_what_is_no_array_cannot_be_explained():
    with pytest.raises(ArgumentTypeError, match=r"inputs\[1\] is of type str"):
        Divergence(2).on(PLANE, (4, 4)).explain(np.ones((4, 4)), "f")


def test_index_of_a_stencil_may_be_an_array():
    plan = D(0).on(UNIT, (8,))
    assert plan.stencil(np.asarray([4])) == plan.stencil(np.asarray(4)) == plan.stencil(4)
    with pytest.raises(ArgumentTypeError, match="index="):
        plan.stencil(np.asarray([4.0]))


def test_pictures_of_two_directions_differ():
    first, second = (repr(D(axis).on(PLANE, (8, 8)).stencil((4, 4))) for axis in (0, 1))
    assert first.splitlines()[1] == "  along axis 0: offset   -1   +1"
    assert second.splitlines()[2] == "  along axis 1: weight -0.5  0.5"


@pytest.mark.parametrize("form", ["T", "magnitude"])
def test_other_forms_do_not_claim_to_be_the_derivative(form):
    text = getattr(D(0).on(UNIT, (8,)), form).explain()
    assert "f'(x)" not in text
    assert "O(h" not in text
    assert {"T": "first derivative, transposed", "magnitude": "first derivative, magnitudes"}[
        form
    ] in text


def test_constants_add_exactly_nothing_where_differences_are_taken():
    coordinates = np.arange(13.0) ** 1.3 + 1
    grid = Grid(Axis(coordinates=coordinates), Axis(boundary=(Dirichlet(0.7), "one-sided")))
    plan = (D(0) ** 2 * D(1) ** 2).on(grid, (13, 9))
    assert [plan.stencil((i, 0)).constant for i in range(13)] == [0.0] * 13


def test_walls_in_formulas_say_what_they_stand_for():
    def text(boundary, shape=(8,), **options):
        batch = [None] * (len(shape) - 1)
        grid = Grid(Axis(0.25, boundary=boundary), *batch)
        return D(0, 2).on(grid, shape, **options).explain()

    slope = text((Neumann(0.5), "one-sided"), edge_order=1)
    # The parabola through two samples with a slope of -s at the face: f'' = 2 (f1 - f0 + h s) / h^2
    # over 2 / h^2 * ..., in numbers: c2 = (f1 - f0) / (2 h^2) + s / (2 h).
    assert "f''(x) = 4 wall - 16 f[0] + 16 f[1] + O(h^1), outward slope known at" in slope
    both = text((Dirichlet(1.0, at="next"), Dirichlet(2.0, at="next")), shape=(1,))
    assert "row 0: f''(x) = (first wall - 2 f[0] + last wall) / h^2" in both
    assert "known at the first wall: 1.0, known at the last wall: 2.0" in both
    mixed = text(Robin(np.ones(3), 1.0, 2.0), shape=(8, 3))
    assert "row 0: settled point by point by Robin(<3 array>, 1.0, 2.0) at the first wall" in mixed
    assert mixed.count("second derivative") == 1
    assert "f''(x) = 0" not in mixed


def test_rows_on_coordinates_name_all_points_that_any_of_them_takes():
    faces, centres = np.arange(6.0), [0.3, 1.5, 2.5, 3.5, 4.5]
    axis = Axis(coordinates=centres, faces=faces, boundary="periodic", period=5.0)
    text = D(0, at="left", to="centre").on(Grid(axis), (5,)).explain()
    assert "rows 0 to 4: f'(x) = f[-1], f[0], f[1], f[2], weights by position" in text


def test_results_without_dimensions_have_pictures_too():
    plan = (2 * Identity()).on(Grid(), ())
    assert repr(plan.stencil(())) == "PointStencil at ():\n  2"
    assert plan.explain().startswith("2 on () points")


def test_what_walls_add_to_a_corner_is_the_sum_of_both():
    axis = Axis(boundary=Dirichlet(3.0, at="next"))
    plan = Laplacian(2).on(Grid(axis, axis), (4, 4))
    assert [plan.stencil(place).constant for place in ((0, 0), (0, 1), (1, 1))] == [6.0, 3.0, 0.0]


def test_plans_with_arrays_of_any_library_are_explained(library):
    coefficient = library.asarray(np.arange(1.0, 10.0), "float64")
    axis = Axis(boundary=(Dirichlet(coefficient), "one-sided"))
    plan = (D(0) ** 2 * coefficient).on(Grid(axis, Axis()), (5, 9))
    text = plan.explain()
    assert "arrays multiplied by, or known along walls: 1 x 9" in text
    assert "run by" in text
    if library.kind not in ("numpy", "dask"):
        for call in (plan.explain, lambda f: gradkit.explain_engine(f, plan=plan)):
            with pytest.raises(ArgumentTypeError, match="a coefficient is a"):
                call(np.ones((5, 9)))
