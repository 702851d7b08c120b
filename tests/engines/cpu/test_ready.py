"""The short way of calls like one before: taken where it may be, and nowhere else."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gradkit
from gradkit import Axis, D, Gradient, Grid, _threads, use_engine
from gradkit.calls import MOST_LAYOUTS
from gradkit.engines import cpu, reference
from gradkit.engines.cpu import compiled
from gradkit.engines.cpu.compiled import Call
from gradkit.engines.cpu.ready import Ready
from gradkit.errors import ArgumentTypeError, ArgumentValueError

RNG = np.random.default_rng(8)
SHAPE = (6, 40)
GRID = Grid(Axis(0.3), Axis(0.7))


@pytest.fixture(autouse=True)
def _earned(monkeypatch):
    """All plans have kernels from their first call on."""
    monkeypatch.setattr(cpu, "EARNED", 0)


@pytest.fixture
def taken(monkeypatch):
    """The short ways that were taken to the end, one entry each."""
    found = []
    short = Ready.__call__

    def spied(self, f, out):
        result = short(self, f, out)
        found.extend([] if result is None else [True])
        return result

    monkeypatch.setattr(Ready, "__call__", spied)
    return found


def plan_of(axis=0, **options):
    return D(axis).on(GRID, SHAPE, edge_order=1, **options)


def slope(f, axis=0):
    return np.gradient(f, (0.3, 0.7)[axis], axis=axis)


def test_second_calls_take_it_and_have_the_same_bits(taken):
    plan = plan_of()
    for number in range(3):
        f, out = RNG.random(SHAPE), np.full(SHAPE, np.nan)
        assert plan(f, out=out) is out
        new = plan(f)
        assert new is not out
        assert new.flags.c_contiguous
        wanted = slope(f).tobytes()
        assert out.tobytes() == new.tobytes() == wanted
        assert len(taken) == 2 * number


def test_several_results_go_where_each_is_wanted(taken):
    plan = Gradient(2).on(GRID, SHAPE, edge_order=1)
    for kind in (tuple, list):
        for _ in range(2):
            f, out = RNG.random(SHAPE), kind(np.full(SHAPE, np.nan) for _ in SHAPE)
            assert plan(f, out=out) is out
            for results in (out, plan(f)):
                for axis, result in enumerate(results):
                    assert result.tobytes() == slope(f, axis).tobytes()
    assert isinstance(plan(f), tuple)
    assert len(taken) == 3 + 3 + 1


@pytest.mark.parametrize("out", [[], ()])
@pytest.mark.parametrize("operator", [D(0), Gradient(2)])
def test_no_targets_at_all_are_refused_after_a_call_without_out(operator, out):
    plan = operator.on(GRID, SHAPE, edge_order=1)
    f = RNG.random(SHAPE)
    plan(f)
    with pytest.raises(ArgumentTypeError, match="out"):
        plan(f, out=out)


def test_an_array_changed_in_place_is_read_again(taken):
    plan = plan_of()
    f, out = RNG.random(SHAPE), np.empty(SHAPE)
    for _ in range(3):
        plan(f, out=out)
        np.testing.assert_array_equal(out, slope(f))
        f[2] *= -3
    f.shape = (240,)
    with pytest.raises(ArgumentValueError, match=r"f has shape \(240,\)"):
        plan(f, out=out)
    assert len(taken) == 2


@pytest.mark.parametrize("view", [np.asfortranarray, lambda f: np.repeat(f, 2, 1)[:, ::2]])
def test_arrays_with_gaps_or_in_another_order(view, taken):
    plan = plan_of()
    for _ in range(3):
        f, out = view(RNG.random(SHAPE)), view(np.zeros(SHAPE))
        plan(f, out=out)
        np.testing.assert_array_equal(out, slope(f))
        np.testing.assert_array_equal(plan(f), slope(f))
    assert len(taken) == 2  # new results of such arrays have their order


def test_a_target_that_became_read_only_is_refused():
    plan, f, out = plan_of(), RNG.random(SHAPE), np.zeros(SHAPE)
    plan(f, out=out)
    out.setflags(write=False)
    kept = out.copy()
    with pytest.raises(ArgumentValueError, match="out is read-only"):
        plan(-f, out=out)
    np.testing.assert_array_equal(out, kept)


def test_a_target_that_overlaps_the_input_is_refused():
    plan = plan_of()
    plan(RNG.random(SHAPE), out=np.zeros(SHAPE))
    for shift in (-239, -1, 0, 1, 239):
        room = RNG.random(720)
        f, out = (room[start : start + 240].reshape(SHAPE) for start in (240, 240 + shift))
        kept = room.copy()
        with pytest.raises(ArgumentValueError, match="out shares memory with an input"):
            plan(f, out=out)
        np.testing.assert_array_equal(room, kept)


def test_a_target_that_begins_or_ends_where_the_input_does_not(taken):
    plan = plan_of()
    plan(RNG.random(SHAPE), out=np.zeros(SHAPE))
    room = RNG.random(720)
    f, kept = room[240:480].reshape(SHAPE), room[240:480].copy()
    for first in (0, 480):
        plan(f, out=room[first : first + 240].reshape(SHAPE))
    assert len(taken) == 2
    np.testing.assert_array_equal(room[240:480], kept)
    for first in (0, 480):
        np.testing.assert_array_equal(room[first : first + 240].reshape(SHAPE), slope(f))


def test_a_backward_target_that_overlaps_the_input_is_refused():
    plan = plan_of()
    plan(RNG.random(SHAPE), out=np.zeros(SHAPE)[::-1])
    for first in (1, 239):
        room = RNG.random(480)
        f, out = room[:240].reshape(SHAPE), room[first : first + 240].reshape(SHAPE)[::-1]
        kept = room.copy()
        with pytest.raises(ArgumentValueError, match="out shares memory with an input"):
            plan(f, out=out)
        np.testing.assert_array_equal(room, kept)


def test_targets_that_overlap_each_other_are_refused():
    plan = Gradient(2).on(GRID, SHAPE)
    f = RNG.random(SHAPE)
    plan(f, out=(np.zeros(SHAPE), np.zeros(SHAPE)))
    out = np.zeros(SHAPE)
    with pytest.raises(ArgumentValueError, match=r"out\[0\] and out\[1\] share memory"):
        plan(f, out=(out, out))
    with pytest.raises(ArgumentValueError, match=r"out\[1\] shares memory with an input"):
        plan(f, out=(out, f))
    assert not out.any()


def test_an_interleaved_target_is_written_the_long_way(taken):
    plan = plan_of()
    for _ in range(2):
        room = RNG.random((6, 80))
        kept = room.copy()
        plan(room[:, ::2], out=room[:, 1::2])
        np.testing.assert_array_equal(room[:, 1::2], slope(kept[:, ::2]))
        np.testing.assert_array_equal(room[:, ::2], kept[:, ::2])
    assert not taken


def misaligned(values):
    return np.frombuffer(bytearray(b"x" + values.tobytes()), np.uint8)[1:].view(values.dtype)


def test_arrays_that_are_not_aligned(taken):
    plan, f, out = plan_of(), RNG.random(SHAPE), np.zeros(SHAPE)
    plan(f, out=out)
    plan(f)
    askew = misaligned(f).reshape(SHAPE)
    room = misaligned(out).reshape(SHAPE)
    assert not askew.flags.aligned
    assert not room.flags.aligned
    np.testing.assert_array_equal(plan(askew), slope(f))
    plan(askew, out=out)
    np.testing.assert_array_equal(out, slope(f))
    plan(f, out=room)
    np.testing.assert_array_equal(room, slope(f))
    assert not taken


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.zeros((40, 6)), ArgumentValueError, "out has shape"),
        (np.zeros(SHAPE, "float32"), ArgumentTypeError, "out has dtype float32: wanted float64"),
        (np.zeros(SHAPE, ">f8"), ArgumentTypeError, "out has dtype >f8: wanted <f8"),
        ([np.zeros(SHAPE)], ArgumentTypeError, "out is of type list"),
        (
            np.lib.stride_tricks.as_strided(np.zeros(40), SHAPE, (0, 8)),
            ArgumentValueError,
            "share memory with one another",
        ),
    ],
    ids=["shape", "dtype", "byte order", "list", "overlaps itself"],
)
def test_other_targets_are_refused_as_before(out, error, message):
    plan, f = plan_of(), RNG.random(SHAPE)
    plan(f, out=np.zeros(SHAPE))
    with pytest.raises(error, match=message):
        plan(f, out=out)


@pytest.mark.parametrize("dtype", ["float32", ">f8", "int16", "complex128"])
def test_inputs_of_other_dtypes_have_their_own_results(dtype):
    plan = plan_of()
    plan(RNG.random(SHAPE))
    f = (100 * RNG.random(SHAPE)).astype(dtype)
    for _ in range(2):
        result = plan(f)
        wanted = reference.run(plan, [f])[0]
        assert result.dtype == wanted.dtype
        np.testing.assert_array_equal(result, wanted)


class Kept(np.ndarray):
    """A kind of array of one's own."""


def test_subclasses_go_the_long_way(taken):
    plan, f = plan_of(), RNG.random(SHAPE)
    out = np.zeros(SHAPE)
    plan(f, out=out)
    plan(f)
    masked = np.ma.MaskedArray(f, mask=f > 0.9)
    assert np.ma.getmaskarray(plan(masked)).any()
    with pytest.raises(ArgumentTypeError, match="cannot hold the mask"):
        plan(masked, out=out)
    target = np.zeros(SHAPE).view(Kept)
    assert plan(f, out=target) is target
    np.testing.assert_array_equal(np.asarray(target), slope(f))
    assert type(plan(f.view(Kept))) is type(reference.run(plan, [f.view(Kept)])[0])
    assert not taken


def test_memory_maps_go_the_long_way_and_leave_nothing_for_others(tmp_path, taken):
    plan, f = plan_of(), RNG.random(SHAPE)
    out = np.memmap(tmp_path / "out", float, "w+", shape=SHAPE)
    for _ in range(2):
        plan(f, out=out)
    np.testing.assert_array_equal(out, slope(f))
    for wrong in ([], ["a"], np.zeros(SHAPE).view(np.matrix).tolist(), "text"):
        with pytest.raises(ArgumentTypeError, match="wanted an array"):
            plan(f, out=wrong)
    assert not taken


def test_nan_is_still_refused():
    plan, f = plan_of(nan="raise"), RNG.random(SHAPE)
    plan(f)
    plan(f)
    f[3, 3] = np.nan
    with pytest.raises(ArgumentValueError, match="f holds NaN"):
        plan(f)


def test_another_engine_is_asked_where_it_is_wanted(monkeypatch, taken):
    plan, f = plan_of(), RNG.random(SHAPE)
    plan(f)
    asked = []
    monkeypatch.setattr(
        "gradkit.engines.TABLE",
        tuple(
            engine.__class__(
                engine.name,
                engine.serves,
                engine.supports,
                lambda *given, e=engine: asked.append(e.name) or e.run(*given),
            )
            for engine in gradkit.engines.TABLE
        ),
    )
    with use_engine("reference"):
        plan(f)
    assert asked == ["reference"]
    assert not taken
    plan(f)
    assert taken


def test_errors_are_raised_where_the_caller_wants_them(taken):
    plan, out = plan_of(), np.zeros(SHAPE)
    f = RNG.random(SHAPE)
    plan(f, out=out)
    plan(f)
    f[2], f[4] = 1.7e308, -1.7e308
    for _ in range(2):
        for call in (lambda: plan(f, out=out), lambda: plan(f)):
            with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
                call()
            with np.errstate(over="ignore"):
                call()
    assert len(taken) == 4
    told = []
    with np.errstate(over="call", call=lambda kind, _flag: told.append(kind)):
        plan(f)
    assert set(told) == {"overflow"}


def test_copies_of_a_plan_begin_anew(taken):
    plan, f = plan_of(), RNG.random(SHAPE)
    plan(f)
    assert plan.ready
    for other in (pickle.loads(pickle.dumps(plan)), copy.deepcopy(plan)):
        assert other == plan
        assert not other.ready
        np.testing.assert_array_equal(other(f), slope(f))
    assert not taken


def test_plans_that_have_not_earned_kernels_have_none(monkeypatch):
    monkeypatch.setattr(cpu, "EARNED", 10**9)
    plan = plan_of()
    plan(RNG.random(SHAPE))
    assert not plan.ready


@pytest.mark.parametrize(("given", "called"), [(None, 1), ("1", 1), ("2", 2), ("5", 3)])
def test_a_thread_per_share_of_the_results_is_called(given, called, taken, monkeypatch):
    plan, f, out = plan_of(), RNG.random(SHAPE), np.empty(SHAPE)
    if given is not None:
        monkeypatch.setattr(_threads, "SHARE", f.nbytes // 3)
        monkeypatch.setenv("GRADKIT_NUM_THREADS", given)
    asked = []
    run = Call.run

    def spied(self, addresses, threads):
        asked.append(threads)
        run(self, addresses, threads)

    monkeypatch.setattr(Call, "run", spied)
    for _ in range(3):
        assert plan(f, out=out) is out
        np.testing.assert_array_equal(out, slope(f))
    assert len(taken) == 2
    assert asked == [called] * 3


def test_results_of_zero_and_equal_results_go_the_long_way():
    f = RNG.random(SHAPE)
    for operator in ((0 * D(0)), gradkit.Operator.matrix([[D(0)], [D(0)]])):
        plan = operator.on(GRID, SHAPE, edge_order=1)
        for _ in range(2):
            for ours, theirs in zip(plan.apply([f]), reference.run(plan, [f]), strict=True):
                np.testing.assert_array_equal(ours, theirs)
        assert not plan.ready


def test_many_threads_take_it_at_once(taken):
    plan = plan_of()
    inputs = [RNG.random(SHAPE) for _ in range(8)]
    plan(inputs[0])

    def work(f):
        wanted = slope(f).tobytes()
        return all(plan(f).tobytes() == wanted for _ in range(300))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, inputs))
    assert len(taken) == 8 * 300


def test_kernels_write_small_results_into_the_caches_and_large_ones_past_them(monkeypatch):
    for first in (10**9, 0):
        monkeypatch.setattr("gradkit.engines.cpu.numbers.PAST", first)
        for columns in (7, 40, 41, 3000):
            plan = D(1).on(GRID, (5, columns), edge_order=1)
            f = RNG.random((5, columns))
            for start in range(8):
                room = np.full(5 * columns + 16, np.pi)
                out = room[start : start + f.size].reshape(f.shape)
                compiled.run(plan, [f], [out], 1)
                assert out.tobytes() == slope(f, 1).tobytes()
                out[...] = np.pi
                assert (room == np.pi).all(), "something else was written to"


def test_layouts_that_are_kept_are_limited():
    plan = plan_of()
    for gap in range(MOST_LAYOUTS + 9):
        f, out = RNG.random((SHAPE[0], SHAPE[1] + gap))[:, : SHAPE[1]], np.full(SHAPE, np.nan)
        for _ in range(2):
            assert plan(f, out=out).tobytes() == slope(f).tobytes()
    assert len(plan.ready[np.ndarray]) <= MOST_LAYOUTS
    assert len(plan.memo["cpu calls"]) <= MOST_LAYOUTS


def test_nothing_else_is_kept_of_layouts():
    plan = plan_of()
    kept = []
    for gap in (2, 3, 4):
        plan(np.zeros((SHAPE[0], SHAPE[1] * gap))[:, ::gap])
        kept.append(set(plan.memo))
    assert kept[0] == kept[1] == kept[2]
