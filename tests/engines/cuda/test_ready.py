"""Calls like one before, which are launches at once; arrays of NumPy's stand for those of CuPy."""

from contextlib import nullcontext

import numpy as np
import pytest

import gradkit
from gradkit import Axis, D, Gradient, Grid, Hessian, use_engine
from gradkit.engines import cuda
from gradkit.engines.cuda import launch
from gradkit.errors import ArgumentTypeError

from .conftest import Host

GRID = Grid(Axis(0.3), Axis(0.7))
SHAPE = (9, 16)


class Arrays(np.ndarray):
    """Arrays of a library of their own."""


class CompileError(Exception):
    """What a kernel that does not compile would raise; g++ compiles all of them here."""


class OnHost(Host):
    """A device of such arrays, which may be on another device than the current one."""

    is_elsewhere = False
    compile_error = CompileError

    def current(self):
        return nullcontext()

    def empty(self, shape, dtype):
        return super().empty(shape, dtype).view(Arrays)

    def contiguous(self, array):
        return array if array.flags.c_contiguous else super().contiguous(array)

    upload = Host.contiguous

    def is_current(self, array):
        return type(array) is Arrays and not self.is_elsewhere


@pytest.fixture
def device(kernels, monkeypatch):
    device = OnHost(kernels)
    monkeypatch.setattr(cuda, "device_of", lambda f: device)
    # Calls that go the long way are noted.
    device.long = 0
    launched = launch.launched

    def noted(*arguments):
        device.long += 1
        return launched(*arguments)

    monkeypatch.setattr(cuda, "launched", noted)
    return device


def random(device, rng, shape=SHAPE):
    f = device.empty(shape, "float64")
    f[...] = rng.normal(size=shape)
    return f


def wanted(plan, f):
    return plan.apply([np.asarray(f)])


@pytest.mark.parametrize("operator", [D(0), Gradient(2)])
def test_second_calls_are_launched_at_once(device, rng, operator):
    plan = operator.on(GRID, SHAPE, edge_order=1)
    for number in range(3):
        f = random(device, rng)
        found = plan(f)
        found = found if isinstance(found, tuple) else (found,)
        for got, want in zip(found, wanted(plan, f), strict=True):
            assert type(got) is Arrays
            np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-11)
        assert (device.long, len(device.launches)) == (1, number + 1)


@pytest.mark.parametrize("operator", [D(0), Gradient(2)])
def test_targets_are_written_at_once(device, rng, operator):
    plan = operator.on(GRID, SHAPE, edge_order=1)
    for _ in range(3):
        f = random(device, rng)
        targets = [random(device, rng) for _ in plan.output_shapes]
        out = targets if len(targets) > 1 else targets[0]
        assert plan(f, out=out) is out
        for got, want in zip(targets, wanted(plan, f), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-11)
    assert device.long == 1


@pytest.mark.parametrize("out", [[], ()])
@pytest.mark.parametrize("operator", [D(0), Gradient(2)])
def test_no_targets_at_all_are_refused_after_a_call_without_out(device, rng, operator, out):
    plan = operator.on(GRID, SHAPE, edge_order=1)
    f = random(device, rng)
    plan(f)
    with pytest.raises(ArgumentTypeError, match="out"):
        plan(f, out=out)
    assert len(device.launches) == 1


def test_arrays_of_another_layout_go_the_long_way_once(device, rng):
    plan = Gradient(2).on(GRID, SHAPE, edge_order=1)
    single = random(device, rng).astype("float32").view(Arrays)
    aside = random(device, rng, (9, 32))[:, ::2]
    for f, long in ((random(device, rng), 1), (single, 2), (single, 2), (aside, 3), (aside, 4)):
        np.testing.assert_allclose(plan(f), wanted(plan, f), rtol=1e-4, atol=1e-4)
        assert device.long == long  # strided arrays are never launched at once


def test_what_is_unusual_goes_the_long_way(device, rng, monkeypatch):
    plan = D(0).on(GRID, SHAPE, edge_order=1)
    f = random(device, rng)
    plan(f)
    room = device.empty((9 * 16 + 1,), "float64")
    moved = room[1:].reshape(SHAPE)
    moved[...] = f
    np.testing.assert_allclose(plan(moved), *wanted(plan, f), rtol=1e-11, atol=1e-11)
    assert device.long == 2
    with use_engine("reference"):
        plan(f)
    assert device.long == 2
    assert len(device.launches) == 2
    monkeypatch.setattr(device, "is_elsewhere", True)
    plan(f)
    assert device.long == 3


def test_calls_of_narrower_vectors_are_not_kept(device, rng):
    plan = D(0).on(GRID, SHAPE, edge_order=1)
    moved = device.empty((9 * 16 + 1,), "float64")[1:].reshape(SHAPE)
    moved[...] = rng.normal(size=SHAPE)
    for _ in range(2):
        np.testing.assert_allclose(plan(moved), *wanted(plan, moved), rtol=1e-11, atol=1e-11)
    assert device.long == 2
    assert not plan.ready
    assert {key.vector for key, _, _ in device.launches} == {1}


def test_the_engine_may_be_asked_for(device, rng):
    plan = D(0).on(GRID, SHAPE, edge_order=1)
    with use_engine("cuda"):
        for _ in range(3):
            plan(random(device, rng))
    assert (device.long, len(device.launches)) == (1, 3)


def test_targets_that_share_memory_are_refused(device, rng):
    plan = Gradient(2).on(GRID, SHAPE, edge_order=1)
    f, a, b = (random(device, rng) for _ in range(3))
    plan(f, out=[a, b])
    for out in ([f, b], [a, f], [a, a]):
        before = [np.array(target) for target in out]
        with pytest.raises(gradkit.errors.ArgumentValueError, match="share"):
            plan(f, out=out)
        np.testing.assert_array_equal(out, before)
    room = device.empty((10, 16), "float64")
    room[...] = np.pi
    with pytest.raises(gradkit.errors.ArgumentValueError, match="share"):
        plan(f, out=[room[:-1], room[1:]])
    assert (np.asarray(room) == np.pi).all()


def test_plans_whose_results_are_equal_or_whose_values_are_looked_at_go_the_long_way(device, rng):
    f = random(device, rng)
    for plan in (
        Hessian(2).on(GRID, SHAPE, edge_order=1),
        D(0).on(GRID, SHAPE, edge_order=1, nan="raise"),
        (D(0) * D(1)).on(GRID, SHAPE),
    ):
        device.long = 0
        for _ in range(2):
            plan(f)
        assert device.long == (1 if plan.is_plain and len(set(plan.same)) == len(plan.same) else 2)
        assert bool(plan.ready) == (device.long == 1)
