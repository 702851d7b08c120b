"""The arrays of a call, before anything is computed: what is taken, and what is refused."""

import numpy as np
import pytest

from gradkit import Axis, D, Dirichlet, Divergence, Gradient, Grid, Hessian, Operator
from gradkit.calls import checked_inputs, checked_targets, refuse_nan
from gradkit.errors import ArgumentTypeError, ArgumentValueError

FLOAT = np.dtype("float64")

# --- inputs -------------------------------------------------------------------------------------


def test_single_input_is_taken_as_it_is():
    f = np.ones((3, 4))
    (taken,) = checked_inputs(f, [(3, 4)])
    assert taken is f


def test_single_input_may_be_nested_sequences():
    (taken,) = checked_inputs([[1, 2], [3, 4]], [(2, 2)])
    np.testing.assert_array_equal(taken, [[1, 2], [3, 4]])


def test_several_inputs_come_as_a_sequence_or_stacked():
    u, v = np.ones((3, 4)), np.zeros((3, 4))
    for form in ([u, v], (u, v)):
        taken = checked_inputs(form, [(3, 4)] * 2)
        assert taken[0] is u
        assert taken[1] is v
    stacked = np.stack([u, v])
    taken = checked_inputs(stacked, [(3, 4)] * 2)
    assert all(np.shares_memory(part, stacked) for part in taken)


def test_inputs_of_different_shapes_come_as_a_sequence():
    u, v = np.ones((4, 4)), np.ones((3, 5))
    taken = checked_inputs([u, v], [(4, 4), (3, 5)])
    assert [part.shape for part in taken] == [(4, 4), (3, 5)]


@pytest.mark.parametrize(
    ("f", "shapes", "error", "message"),
    [
        (
            np.ones((4, 3)),
            [(3, 4)],
            ArgumentValueError,
            r"f has shape \(4, 3\): this plan was made for shape \(3, 4\)",
        ),
        (
            [np.ones(3)],
            [(3,)] * 2,
            ArgumentValueError,
            "f has 1 components: wanted 2 arrays, as a sequence or stacked along the first axis",
        ),
        (
            np.ones((3, 4)),
            [(3,), (4,)],
            ArgumentValueError,
            "f has 3 components: wanted 2 arrays, as a sequence$",
        ),
        (1.0, [(3,)] * 2, ArgumentTypeError, "f is of type float: wanted 2 arrays, as a sequence"),
        ("uv", [(3,)] * 2, ArgumentTypeError, "f is of type str: wanted 2 arrays"),
        (np.asarray(1.0), [(3,)] * 2, ArgumentTypeError, "f is of type ndarray: wanted 2 arrays"),
        (
            [np.ones(3), np.ones(4)],
            [(3,)] * 2,
            ArgumentValueError,
            r"f\[1\] has shape \(4,\): this plan was made for shape \(3,\)",
        ),
        ([np.ones(3), "v"], [(3,)] * 2, ArgumentTypeError, r"f\[1\] is of type str"),
    ],
    ids=["shape", "too few", "too many", "number", "text", "0-d", "second shape", "second type"],
)
def test_inputs_that_do_not_fit_are_refused(f, shapes, error, message):
    with pytest.raises(error, match=message):
        checked_inputs(f, shapes)


def test_inputs_of_two_libraries_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(ArgumentTypeError, match=r"f\[1\] is a torch .*f\[0\] is a numpy"):
        checked_inputs([np.ones(3), torch.ones(3)], [(3,)] * 2)


def test_staggered_plan_names_the_shape_at_its_faces():
    plan = Divergence(2, at="outer").on(Grid(Axis(), Axis()), (3, 4))
    with pytest.raises(ArgumentValueError, match=r"f\[0\] has shape \(3, 4\).*shape \(4, 4\)"):
        plan([np.ones((3, 4)), np.ones((3, 4))])
    with pytest.raises(ArgumentValueError, match=r"as a sequence$"):
        plan(np.ones((3, 4, 4)))


# --- outputs ------------------------------------------------------------------------------------


def test_single_target_is_the_array_itself():
    out = np.zeros((3, 4))
    (target,) = checked_targets(out, [(3, 4)], (0,), FLOAT, [np.ones((3, 4))])
    assert target is out


def test_equal_outputs_may_be_one_array_and_others_may_not():
    out = np.zeros(3)
    assert checked_targets([out, out[:]], [(3,)] * 2, (0, 0), FLOAT, [np.ones(3)])
    with pytest.raises(ArgumentValueError, match=r"out\[0\] and out\[1\] share memory"):
        checked_targets([out, out], [(3,)] * 2, (0, 1), FLOAT, [np.ones(3)])


def test_targets_whose_mask_is_that_of_an_input_or_of_another_one_are_refused():
    plan = Gradient(2).on(Grid(Axis(), Axis()), (4, 5))
    f = np.ma.MaskedArray(np.arange(20.0).reshape(4, 5), mask=False)
    f[1, 2] = np.ma.masked
    kept = f.mask.copy()

    def target(mask):
        return np.ma.MaskedArray(np.full((4, 5), 7.0), mask=mask)

    with pytest.raises(ArgumentValueError, match=r"out\[1\] shares memory with an input"):
        plan(f, (target(False), target(f.mask)))
    one = target(False)
    with pytest.raises(ArgumentValueError, match=r"out\[0\] and out\[1\] share memory"):
        plan(f, (one, target(one.mask)))
    np.testing.assert_array_equal(f.mask, kept)
    out = (target(np.ma.nomask), target(np.ma.nomask))
    for written, expected in zip(plan(f, out), plan(f), strict=True):
        np.testing.assert_array_equal(written.mask, expected.mask)


@pytest.mark.parametrize("part", ["shifted", "transposed"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_equal_outputs_in_parts_of_one_array_are_refused_before_anything_is_written(library, part):
    xp = pytest.importorskip(library)
    plan = Hessian(2).on(Grid(Axis(), Axis()), (5, 5))
    room = xp.full((50,), 7.0, dtype=xp.float64)
    one = room[:25].reshape(5, 5)
    other = room[3:28].reshape(5, 5) if part == "shifted" else one.T
    apart = [xp.zeros((5, 5), dtype=xp.float64) for _ in range(2)]
    f = xp.asarray(np.arange(25.0).reshape(5, 5) ** 2)
    with pytest.raises(ArgumentValueError, match=r"out\[1\] and out\[2\] share memory"):
        plan(f, (apart[0], one, other, apart[1]))
    assert (room == 7).all()
    # Two views of the same elements are one array.
    again = room[:25].reshape(5, 5)
    plan(f, (apart[0], one, again, apart[1]))
    np.testing.assert_array_equal(np.asarray(one), np.asarray(plan(f)[1]))


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.zeros((2, 3)), ArgumentTypeError, "out must be a sequence of 2 arrays"),
        ([np.zeros(3)], ArgumentTypeError, "out must be a sequence of 2 arrays"),
        ([np.zeros(3)] * 3, ArgumentTypeError, "out must be a sequence of 2 arrays"),
        ("uv", ArgumentTypeError, r"out\[0\] is of type str: wanted an array"),
        ([np.zeros(3), None], ArgumentTypeError, r"out\[1\] is of type NoneType"),
        ([np.zeros(3), np.zeros(3)], ArgumentValueError, r"out\[1\] has shape \(3,\): .*\(4,\)"),
        ([np.zeros(3), np.zeros(4, "f4")], ArgumentTypeError, r"out\[1\] has dtype float32"),
    ],
    ids=["stacked", "too few", "too many", "text", "none", "shape", "dtype"],
)
def test_targets_that_do_not_fit_are_refused(out, error, message):
    with pytest.raises(error, match=message):
        checked_targets(out, [(3,), (4,)], (0, 1), FLOAT, [np.ones(3)])


def test_target_may_not_overlap_any_input():
    inputs = [np.ones(3), np.ones(3)]
    with pytest.raises(ArgumentValueError, match="out shares memory with an input"):
        checked_targets(inputs[1][:], [(3,)], (0,), FLOAT, inputs)


def test_outputs_of_different_shapes_are_written(rng):
    f = rng.standard_normal((3, 4))
    plan = Gradient(2, to="inner").on(Grid(Axis(0.5), Axis(0.25)), (3, 4))
    out = (np.full((2, 4), np.nan), np.full((3, 3), np.nan))
    assert plan(f, out=out) is out
    np.testing.assert_array_equal(out[0], np.diff(f, axis=0) / 0.5)
    np.testing.assert_array_equal(out[1], np.diff(f, axis=1) / 0.25)


def test_out_of_a_complex_operator_is_complex(rng):
    f = rng.standard_normal(5).astype("float32")
    plan = (1j * D(0)).on(Grid(Axis()), (5,), edge_order=1)
    with pytest.raises(ArgumentTypeError, match="out has dtype float32: wanted complex64"):
        plan(f, out=np.zeros(5, "float32"))
    out = np.zeros(5, "complex64")
    assert plan(f, out=out) is out
    np.testing.assert_array_equal(out, 1j * np.gradient(f))


def test_nothing_is_written_where_a_later_array_does_not_fit(rng):
    system = Operator.matrix([[D(0)], [np.ones(4) * D(0)]])
    plan = system.on(Grid(Axis(boundary=Dirichlet(1.0))), (4,))
    first = np.full(4, 7.0)
    with pytest.raises(ArgumentValueError, match=r"out\[1\] has shape"):
        plan(rng.standard_normal(4), out=(first, np.zeros(5)))
    np.testing.assert_array_equal(first, [7.0] * 4)


# --- NaN ----------------------------------------------------------------------------------------


def test_nan_is_refused_with_the_name_of_its_array():
    good, bad = np.ones(3), np.asarray([1.0, np.nan, 1.0])
    refuse_nan([good])
    refuse_nan([good, good])
    with pytest.raises(ArgumentValueError, match=r"^f holds NaN"):
        refuse_nan([bad])
    with pytest.raises(ArgumentValueError, match=r"^f\[1\] holds NaN"):
        refuse_nan([good, bad])
    with pytest.raises(ArgumentValueError, match=r"^f holds NaN"):
        refuse_nan([np.asarray([1.0, complex(0, np.nan)])])
    with pytest.raises(ArgumentValueError, match=r"^f holds NaN"):
        refuse_nan([np.asarray(["NaT", "2026-01-01"], "M8[D]")])


def test_integers_and_masked_values_are_no_nan():
    refuse_nan([np.asarray([1, 2])])
    refuse_nan([np.ma.masked_invalid([1.0, np.nan])])
    with pytest.raises(ArgumentValueError, match="f holds NaN"):
        refuse_nan([np.ma.masked_array([np.nan, 1.0], [False, True])])


def test_infinity_is_no_nan():
    refuse_nan([np.asarray([np.inf, -np.inf])])


def test_blocks_that_are_not_computed_yet_are_left_alone(no_compute):
    da = pytest.importorskip("dask.array")
    with no_compute():
        refuse_nan([da.full(3, np.nan, chunks=1)])


def test_values_that_are_traced_cannot_be_looked_at():
    jax = pytest.importorskip("jax")
    with pytest.raises(ArgumentTypeError, match="nan='raise' must look at the values of f,"):
        jax.jit(lambda f: refuse_nan([f]))(jax.numpy.ones(3))


def test_out_may_be_an_array_that_the_operator_was_made_with(rng):
    a, f = rng.standard_normal((2, 5))
    plan, wanted = (a * D(0)).on(Grid(Axis()), (5,), edge_order=1), a * np.gradient(f)
    plan(f, out=a)
    np.testing.assert_array_equal(a, wanted)
    # The plan has a copy of its own.
    np.testing.assert_array_equal(plan(f), wanted)
