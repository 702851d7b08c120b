"""Targets that cheap looks accept at once, and those that they must leave to the full checks."""

import tracemalloc

import numpy as np
import pytest

from gradkit import Axis, D, Grid
from gradkit.errors import ArgumentTypeError, ArgumentValueError

PLAN = D(0).on(Grid(Axis(spacing=0.5)), (6,), edge_order=1)
F = np.asarray([0.0, 1.0, 4.0, 9.0, 16.0, 25.0])


def test_a_plain_target_is_written_and_returned():
    out = np.full(6, np.nan)
    assert PLAN(F, out=out) is out
    np.testing.assert_array_equal(out, np.gradient(F, 0.5))


@pytest.mark.parametrize("step", [2, -1, -2])
def test_targets_with_gaps_are_written_too(step):
    room = np.full(6 * abs(step), 7.0)
    out = room[::step]
    assert PLAN(F, out=out) is out
    np.testing.assert_array_equal(out, np.gradient(F, 0.5))
    if abs(step) == 2:
        assert (np.delete(room, range(0 if step > 0 else 1, 12, 2)) == 7).all()


def test_a_target_between_the_elements_of_the_input_is_apart_from_it():
    room = np.zeros(12)
    room[::2] = F
    out = PLAN(room[::2], out=room[1::2])
    np.testing.assert_array_equal(out, np.gradient(F, 0.5))
    np.testing.assert_array_equal(room[::2], F)


def read_only():
    out = np.zeros(6)
    out.setflags(write=False)
    return out


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.zeros(7), ArgumentValueError, "out has shape"),
        (np.zeros((6, 1)), ArgumentValueError, "out has shape"),
        (np.zeros(6, "float32"), ArgumentTypeError, "out has dtype float32"),
        (np.zeros(6, ">f8"), ArgumentTypeError, "out has dtype"),
        (read_only(), ArgumentValueError, "out is read-only"),
        (np.lib.stride_tricks.as_strided(np.zeros(1), (6,), (0,)), ArgumentValueError, "another"),
        ([0.0] * 6, ArgumentTypeError, "out is of type list"),
    ],
    ids=["length", "axes", "dtype", "byte order", "read-only", "one element", "list"],
)
def test_other_targets_are_refused_as_before(out, error, message):
    with pytest.raises(error, match=message):
        PLAN(F, out=out)


@pytest.mark.parametrize("shift", [0, 1, 5])
def test_a_target_that_overlaps_the_input_is_refused_before_anything_is_written(shift):
    room = np.arange(12.0) ** 2
    kept = room.copy()
    with pytest.raises(ArgumentValueError, match="out shares memory with an input"):
        PLAN(room[:6], out=room[shift : shift + 6])
    np.testing.assert_array_equal(room, kept)


def test_a_masked_target_of_a_plain_input_is_unmasked():
    out = np.ma.MaskedArray(np.zeros(6), mask=[True, False] * 3)
    PLAN(F, out=out)
    assert not np.ma.getmaskarray(out).any()
    np.testing.assert_array_equal(out.data, np.gradient(F, 0.5))


def test_repeated_calls_with_a_target_allocate_nothing_of_the_size_of_the_array():
    n = 2**20
    plan = D(0).on(Grid(Axis(spacing=0.5)), (n,), edge_order=1)
    f, out = np.arange(float(n)), np.empty(n)
    plan(f, out=out)
    tracemalloc.start()
    try:
        plan(f, out=out)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < f.nbytes // 4
