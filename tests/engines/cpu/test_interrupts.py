"""Calls that are interrupted: targets are written whole, or not at all."""

import threading

import numpy as np
import pytest

from gradkit import Axis, D, Gradient, Grid, _threads, use_engine
from gradkit._targets import delivered
from gradkit.engines import cpu
from gradkit.engines.cpu import blocked, compiled, stretches
from gradkit.methods import coordinates

RNG = np.random.default_rng(12)
SHAPE = (12, 90)
GRID = Grid(Axis(0.3), Axis(0.7))


class Interrupts:
    """Replaces a function: one of its calls in the main thread is interrupted, once it is done.

    Calls in other threads wait for that.
    """

    def __init__(self, function, which=2):
        self.function, self.which, self.calls = function, which, 0
        self.interrupted = threading.Event()

    def __call__(self, *arguments):
        result = self.function(*arguments)
        if threading.current_thread() is not threading.main_thread():
            assert self.interrupted.wait(60)
            return result
        self.calls += 1
        if self.calls == self.which:
            self.interrupted.set()
            raise KeyboardInterrupt
        return result


@pytest.fixture
def in_boxes(monkeypatch):
    """Kernels serve from the first call on, a line at a time, in two threads."""
    monkeypatch.setattr(cpu, "COMPILED", 0)
    monkeypatch.setattr(_threads, "SHARE", 1)
    monkeypatch.setattr(compiled, "BOX", 1)
    monkeypatch.setattr(compiled, "SHARED", 1)
    monkeypatch.setenv("GRADKIT_NUM_THREADS", "2")


@pytest.fixture
def in_tiles(monkeypatch):
    """NumPy serves, a few points at a time, in one thread."""
    monkeypatch.setattr(cpu, "SMALL", 0)
    monkeypatch.setattr(cpu, "WHOLE", 0)
    monkeypatch.setattr(cpu, "KEPT", 2**60)
    monkeypatch.setattr(blocked, "TILE", 512)
    monkeypatch.setenv("GRADKIT_NUM_THREADS", "1")


def interrupted(plan, f, shape=SHAPE):
    """What is in two targets after a call that was interrupted."""
    out = tuple(np.full(shape, np.nan) for _ in range(2))
    with pytest.raises(KeyboardInterrupt):
        plan(f, out=out)
    return out


def gradient_of(f):
    return np.gradient(f, 0.3, 0.7)


def test_kernels_in_boxes(in_boxes, monkeypatch):
    plan, f = Gradient(2).on(GRID, SHAPE, edge_order=1), RNG.random(SHAPE)
    monkeypatch.setattr(compiled, "_run_boxes", Interrupts(compiled._run_boxes, 1))
    np.testing.assert_array_equal(interrupted(plan, f), gradient_of(f))


def test_tiles(in_tiles, monkeypatch):
    plan, f = Gradient(2).on(GRID, SHAPE, edge_order=1), RNG.random(SHAPE)
    interrupts = Interrupts(blocked._Worker.tile)

    def tile(worker, task):
        interrupts(worker, task)

    monkeypatch.setattr(blocked._Worker, "tile", tile)
    np.testing.assert_array_equal(interrupted(plan, f), gradient_of(f))


def test_kernels_are_not_compiled_for_a_call_that_is_over(in_boxes, monkeypatch):
    monkeypatch.setattr(cpu, "KEPT", 0)
    plan, f = Gradient(2).on(GRID, SHAPE, edge_order=1), RNG.random(SHAPE)
    asked = []

    def loaded(key, compiles):
        asked.append(compiles)
        raise KeyboardInterrupt if compiles else compiled.KernelError("is not there")

    monkeypatch.setattr(compiled, "loaded", loaded)
    np.testing.assert_array_equal(interrupted(plan, f), gradient_of(f))
    assert asked == [True, False]


def test_parts_of_a_long_axis(in_tiles, monkeypatch):
    x = np.cumsum(RNG.uniform(0.5, 1.5, 600))
    monkeypatch.setattr(coordinates, "LONG", 100)
    monkeypatch.setattr(stretches, "ROOM", 0)
    monkeypatch.setattr(stretches, "SHORTEST", 64)
    plan = Gradient(2).on(Grid(Axis(0.3), Axis(coordinates=x)), (3, 600), edge_order=1)
    f = RNG.random((3, 600))
    monkeypatch.setattr(cpu, "_serve", Interrupts(cpu._serve))
    targets = interrupted(plan, f, (3, 600))
    np.testing.assert_allclose(targets, np.gradient(f, 0.3, x), rtol=1e-11, atol=1e-14)


def test_calls_like_one_before(monkeypatch):
    monkeypatch.setattr(cpu, "EARNED", 0)
    monkeypatch.setattr(compiled, "SHARED", 1)
    plan = Gradient(2).on(GRID, SHAPE, edge_order=1)
    plan(RNG.random(SHAPE), out=tuple(np.zeros(SHAPE) for _ in range(2)))
    (calls,) = plan.ready.values()
    (ready,) = calls.values()
    stopped = []

    class Once(list):
        """The boxes of a call, the first time but for those after the second one."""

        def __iter__(self):
            for number, box in enumerate(list.__iter__(self)):
                if number == 2 and not stopped:
                    stopped.append(box)
                    raise KeyboardInterrupt
                yield box

    (batch,) = ready.call.batches
    call = ready.call._replace(batches=(batch._replace(boxes=Once(batch.boxes)),))
    calls[next(iter(calls))] = ready._replace(call=call)
    f = RNG.random(SHAPE)
    np.testing.assert_array_equal(interrupted(plan, f), gradient_of(f))
    assert stopped


def test_results_of_the_reference():
    class Target(np.ndarray):
        """An array that is written to, and then interrupted, the first time."""

        is_new = True

        def __setitem__(self, index, values):
            np.ndarray.__setitem__(self, index, values)
            if Target.is_new:
                Target.is_new = False
                raise KeyboardInterrupt

    f = RNG.random(SHAPE)
    with use_engine("reference"):
        results = Gradient(2).on(GRID, SHAPE, edge_order=1)(f)
    out = [np.zeros(SHAPE).view(Target), np.zeros(SHAPE)]
    with pytest.raises(KeyboardInterrupt):
        delivered(results, out)
    np.testing.assert_array_equal(out, results)


def test_new_results_are_dropped_at_once(in_tiles, monkeypatch):
    plan, f = D(0).on(GRID, SHAPE), RNG.random(SHAPE)
    written = Interrupts(cpu._serve)
    monkeypatch.setattr(cpu, "_serve", written)
    plan(f)
    with pytest.raises(KeyboardInterrupt):
        plan(f)
    assert written.calls == 2
