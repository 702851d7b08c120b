"""Plans of several kernels: which results go together, where they are written, what has none."""

from contextlib import nullcontext

import numpy as np
import pytest

from gradkit import (
    Axis,
    Curl,
    D,
    Dirichlet,
    FiniteDifference,
    Gradient,
    Grid,
    Hessian,
    Laplacian,
    Operator,
    explain_engine,
    use_engine,
)
from gradkit.engines import cuda
from gradkit.engines.cuda import parts
from gradkit.engines.cuda.parts import parts_of
from gradkit.errors import ArgumentValueError, EngineError

from .conftest import Host

SPACE = Grid(*[Axis(0.3)] * 3)
WALLED = Grid(Axis(0.3, boundary=Dirichlet(1.0)), Axis(0.2, boundary="periodic"), Axis(0.4))


class OnHost(Host):
    """A device of NumPy's own arrays."""

    compile_error = ArithmeticError
    breaks = ()

    def current(self):
        return nullcontext()

    def kernel(self, key):
        if len(key.outputs) in self.breaks:
            raise ArithmeticError("cannot be compiled")
        return super().kernel(key)


@pytest.fixture
def device(kernels, monkeypatch):
    device = OnHost(kernels)
    monkeypatch.setattr(cuda, "device_of", lambda f: device)
    return device


@pytest.fixture
def narrow(monkeypatch):
    """Kernels that read few points, so that small plans have several."""
    monkeypatch.setattr(parts, "MOST_READS", 14)


def groups(plan):
    return [numbers for numbers, _ in parts_of(plan)]


def wanted(plan, *inputs):
    with use_engine("reference"):
        return plan.apply(inputs)


def assert_alike(found, plan, *inputs):
    right = wanted(plan, *inputs)
    assert len(found) == len(right)
    for got, want in zip(found, right, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize(
    ("most", "found"),
    [(17, []), (16, [(0, 1), (3,)]), (13, [(0, 1), (3,)]), (12, [(0,), (1,), (3,)]), (8, [])],
)
def test_a_kernel_takes_as_many_results_as_fit(monkeypatch, most, found):
    """Second derivatives of accuracy 2 read 4 points, at ends, and mixed ones 9."""
    monkeypatch.setattr(parts, "MOST_READS", most)
    assert groups(Hessian(2).on(Grid(Axis(0.3), Axis(0.2)), (7, 8))) == found


def test_the_hessian_of_accuracy_8_has_three_kernels():
    """It would read 273 points per result, of which the mixed derivatives take 81 each."""
    plan = Hessian(3).on(SPACE, (64, 64, 64), method=FiniteDifference(8))
    assert groups(plan) == [(0, 1), (2, 4), (5, 8)]
    assert parts_of(plan) is parts_of(plan)


@pytest.mark.parametrize(
    "plan",
    [
        Hessian(3).on(SPACE, (64, 64, 64), method=FiniteDifference(4)),
        # One result alone is too much.
        (D(0, 4) * D(1, 4) * D(2, 4)).on(SPACE, (9, 9, 9)),
        Operator.matrix([[D(0)], [D(0, 4) * D(1, 4) * D(2, 4)]]).on(SPACE, (9, 9, 9)),
        Gradient((0, 1)).on(Grid(Axis(), Axis(), None), (9, 9, 0)),
    ],
    ids=["one kernel", "one result", "one of two", "empty"],
)
def test_other_plans_have_no_parts(plan):
    assert groups(plan) == []


@pytest.mark.parametrize(
    ("plan", "sizes"),
    [
        (Hessian(2).on(Grid(Axis(0.3), Axis(0.2)), (7, 8)), [2, 1]),
        (Hessian(3).on(SPACE, (7, 6, 8)), [2, 2, 2]),
        (Hessian(3).on(WALLED, (7, 6, 8)), [2, 2, 2]),
        (Curl(3).on(SPACE, (7, 6, 8)), [2, 1]),
        # The first result depends on one of two inputs.
        (
            Operator.matrix([[D(0) * D(1), 0], [0, Laplacian(2)], [D(0), D(1) * D(0)]]).on(
                Grid(Axis(0.3), Axis(0.2)), (7, 8)
            ),
            [1, 1, 1],
        ),
        (Hessian(2).on(Grid(Axis(0.3), Axis(0.2)), (7, 8), dtype="float32"), [2, 1]),
    ],
    ids=["plane", "space", "walls", "curl", "two inputs", "dtype"],
)
def test_parts_give_what_the_whole_gives(device, narrow, rng, plan, sizes):
    inputs = [rng.normal(size=shape) for shape in plan.input_shapes]
    with use_engine("cuda"):
        found = plan.apply(inputs)
    assert [len(key.outputs) for key, *_ in device.launches] == sizes
    if plan.dtype is None:
        assert_alike(found, plan, *inputs)
    else:
        for got, want in zip(found, wanted(plan, *inputs), strict=True):
            assert got.dtype == want.dtype == np.float32
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_results_are_written_where_they_are_wanted(device, narrow, rng):
    plan, f = Hessian(2).on(Grid(Axis(0.3), Axis(0.2)), (7, 8)), rng.normal(size=(7, 8))
    out = [device.empty((7, 8), "float64") for _ in range(4)]
    with use_engine("cuda"):
        for _ in range(2):
            assert plan(f, out=out) is out
            assert_alike(out, plan, f)
            for target in out:
                target[...] = np.nan
    assert len(device.launches) == 4
    # Equal results may be one array.
    one = [out[0], out[1], out[1], out[3]]
    with use_engine("cuda"):
        plan(f, out=one)
    assert_alike(one, plan, f)


def test_nothing_is_written_where_a_target_does_not_fit(device, narrow, rng):
    plan, f = Hessian(2).on(Grid(Axis(0.3), Axis(0.2)), (7, 8)), rng.normal(size=(7, 8))
    out = [np.full(shape, np.nan) for shape in [(7, 8)] * 3 + [(8, 7)]]
    with use_engine("cuda"), pytest.raises(ArgumentValueError, match=r"out\[3\] has shape"):
        plan(f, out=out)
    assert np.isnan(out[0]).all()
    assert device.launches == []


def test_complex_results_beside_real_ones_are_left_whole(narrow):
    """A part would have real results where the whole has complex ones."""
    grid = Grid(Axis(0.3), Axis(0.2))
    rows = [[D(0) * D(1)], [2j * D(0) * D(1)]]
    assert groups(Operator.matrix(rows).on(grid, (7, 8))) == []
    rows[0] = [1j * D(0) * D(1)]
    assert groups(Operator.matrix(rows).on(grid, (7, 8))) == [(0,), (1,)]


def test_blocks_whose_parts_would_hold_less_are_left_whole(device, monkeypatch, rng):
    monkeypatch.setattr(parts, "MOST_READS", 4)
    plan = Gradient(2).on(Grid(Axis(0.3), Axis(0.3)), (7, 8))
    block = plan.block([(2, 5), (0, 8)], plan.halo)
    assert groups(plan) == [(0,), (1,)]
    assert groups(block) == []
    f = rng.normal(size=block.input_shape)
    with use_engine("cuda"):
        assert_alike(block.apply([f]), block, f)


def test_values_are_looked_at_by_the_whole_alone(narrow):
    plan = Hessian(2).on(Grid(Axis(0.3), Axis(0.2)), (7, 8), nan="raise")
    assert {part.nan for _, part in parts_of(plan)} == {"propagate"}


def test_a_part_that_does_not_compile_is_a_reason(device, narrow, rng):
    plan, f = Hessian(2).on(Grid(Axis(0.3), Axis(0.2)), (7, 8)), rng.normal(size=(7, 8))
    device.breaks = (1,)
    with use_engine("cuda"):
        for _ in range(2):  # found out by the first call, known to the second
            with pytest.raises(EngineError, match="could not compile the kernel"):
                plan(f)
    reasons = dict(explain_engine(f, plan=plan).reasons)
    assert reasons["cuda"] == "could not compile the kernel: cannot be compiled"
