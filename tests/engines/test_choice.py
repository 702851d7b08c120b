"""Choosing an engine: `use_engine`, `explain_engine`, and who the choice holds for."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gradkit
from gradkit import Axis, D, Grid
from gradkit.engines import TABLE, choice
from gradkit.errors import ArgumentTypeError, ArgumentValueError, EngineError


def wanted_engine():
    """The engine that a call made here would be asked to run on."""
    return choice.ENGINE.get()


def chunked(values, chunks=2):
    return pytest.importorskip("dask.array").from_array(np.asarray(values), chunks=chunks)


SQUARES = np.arange(6.0) ** 2
SLOPES = [1.0, 2.0, 4.0, 6.0, 8.0, 9.0]


# --- who the choice holds for -------------------------------------------------------------------


def test_auto_is_the_choice_outside_of_a_block():
    assert wanted_engine() == "auto"


@pytest.mark.parametrize("name", ["auto", "reference"])
def test_call_in_a_block_gives_the_same_numbers(name):
    with gradkit.use_engine(name):
        assert wanted_engine() == name
        np.testing.assert_array_equal(gradkit.gradient(SQUARES), SLOPES)


def test_blocks_nest_and_are_undone_from_the_inside():
    with gradkit.use_engine("chunked"):
        with gradkit.use_engine("reference"):
            with gradkit.use_engine("auto"):
                assert wanted_engine() == "auto"
            assert wanted_engine() == "reference"
        assert wanted_engine() == "chunked"
    assert wanted_engine() == "auto"


def test_choice_is_undone_when_the_block_raises():
    with pytest.raises(ZeroDivisionError), gradkit.use_engine("reference"):
        raise ZeroDivisionError
    assert wanted_engine() == "auto"


def test_choice_is_undone_when_the_call_in_the_block_raises():
    with pytest.raises(ArgumentValueError), gradkit.use_engine("reference"):
        gradkit.gradient([1.0])
    assert wanted_engine() == "auto"


def test_block_may_be_a_decorator():
    @gradkit.use_engine("reference")
    def inside():
        return wanted_engine()

    assert [inside(), inside(), wanted_engine()] == ["reference", "reference", "auto"]


def test_threads_choose_on_their_own():
    barrier = threading.Barrier(3, timeout=30)

    def choose(name):
        with gradkit.use_engine(name):
            barrier.wait()
            seen = wanted_engine()
            barrier.wait()
        return seen, wanted_engine()

    names = ["reference", "chunked", "auto"]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(choose, names)) == [(name, "auto") for name in names]


def test_new_thread_starts_without_the_choice_of_the_old_one():
    with gradkit.use_engine("reference"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(wanted_engine).result() == "auto"


def test_asynchronous_tasks_choose_on_their_own():
    async def choose(name, mine, other):
        with gradkit.use_engine(name):
            mine.set()
            await other.wait()
            return wanted_engine()

    async def both():
        a, b = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(choose("reference", a, b), choose("chunked", b, a))

    assert asyncio.run(both()) == ["reference", "chunked"]
    assert wanted_engine() == "auto"


def test_asynchronous_task_starts_with_the_choice_of_its_maker():
    async def main():
        async def child():
            return wanted_engine()

        with gradkit.use_engine("reference"):
            task = asyncio.create_task(child())
        return await task

    assert asyncio.run(main()) == "reference"


# --- engines that cannot serve ------------------------------------------------------------------


def test_unknown_engine_names_the_nearest_one():
    with pytest.raises(ArgumentValueError, match="did you mean 'reference'") as caught:
        gradkit.use_engine("refrence").__enter__()
    for word in ("refrence", "auto", *(engine.name for engine in TABLE)):
        assert repr(word) in str(caught.value)


@pytest.mark.parametrize("name", ["", "numpy", None, 1])
def test_unknown_engine_raises_before_the_block_runs(name):
    with pytest.raises(ArgumentValueError, match="engine="), gradkit.use_engine(name):
        pytest.fail("the block ran")


@pytest.mark.parametrize(
    "call",
    [
        gradkit.gradient,
        gradkit.laplacian,
        lambda f: gradkit.divergence([f, f], axis=(0, 1)),
        D(0).on(Grid(Axis(), Axis()), (4, 4)),
    ],
    ids=["gradient", "laplacian", "divergence", "plan"],
)
def test_engine_named_for_the_wrong_arrays_raises_with_its_reason(call):
    f = np.ones((4, 4))
    call(f)
    with (
        gradkit.use_engine("chunked"),
        pytest.raises(EngineError, match=r"'chunked' cannot serve.*dask.*numpy"),
    ):
        call(f)


def test_named_engine_that_cannot_serve_writes_nothing():
    out = np.full(6, 7.0)
    with gradkit.use_engine("chunked"), pytest.raises(EngineError):
        gradkit.gradient(SQUARES, out=out)
    np.testing.assert_array_equal(out, np.full(6, 7.0))


# --- dask ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["auto", "chunked", "reference"])
def test_dask_arrays_are_served_whatever_engine_is_named(name):
    with gradkit.use_engine(name):
        lazy = gradkit.gradient(chunked(SQUARES))
        inside = lazy.compute(scheduler="synchronous")
    outside = lazy.compute(scheduler="threads")
    np.testing.assert_array_equal(inside, SLOPES)
    np.testing.assert_array_equal(outside, SLOPES)


def spy_on_blocks(monkeypatch):
    """The names of the engines that blocks are asked to run on."""
    seen = []
    whole = gradkit.Plan.runner

    def spy(plan, inputs, out):
        if isinstance(inputs[0], np.ndarray):
            seen.append(wanted_engine())
        return whole(plan, inputs, out)

    monkeypatch.setattr(gradkit.Plan, "runner", staticmethod(spy))
    return seen


def test_blocks_run_on_the_engine_of_the_call_not_of_the_computation(monkeypatch):
    seen = spy_on_blocks(monkeypatch)
    with gradkit.use_engine("reference"):
        lazy = gradkit.gradient(chunked(SQUARES))
    lazy.compute(scheduler="threads")
    assert seen == ["reference"] * 3


def test_computation_does_not_change_the_choice_around_it(monkeypatch):
    seen = spy_on_blocks(monkeypatch)
    lazy = gradkit.gradient(chunked(SQUARES))
    with gradkit.use_engine("reference"):
        lazy.compute(scheduler="synchronous")
        assert wanted_engine() == "reference"
    assert seen == ["auto"] * 3


# --- explain_engine -----------------------------------------------------------------------------


def test_explanation_lists_every_engine_in_order():
    explanation = gradkit.explain_engine(SQUARES)
    assert explanation.engine == "cpu"
    assert [name for name, _ in explanation.reasons] == [engine.name for engine in TABLE]
    assert dict(explanation.reasons)["reference"] is None
    assert "dask" in dict(explanation.reasons)["chunked"]


def test_explanation_prints_one_line_per_engine():
    lines = str(gradkit.explain_engine(SQUARES)).splitlines()
    assert lines[0] == "run by cpu"
    assert len(lines) == 1 + len(TABLE)
    assert "  chunked: serves dask arrays, the input is a numpy array" in lines
    assert "  reference: can serve this call" in lines


def test_explanation_of_dask_arrays(no_compute):
    f = chunked(SQUARES)
    with no_compute():
        explanation = gradkit.explain_engine(f)
    assert explanation.engine == "chunked"
    assert dict(explanation.reasons)["chunked"] is None


def test_explanation_names_the_library(library):
    f = library.asarray(SQUARES)
    text = str(gradkit.explain_engine(f))
    if library.name == "dask":
        assert text.startswith("run by chunked")
    else:
        assert f"the input is a {library.kind} array" in text


def test_explanation_follows_use_engine():
    with gradkit.use_engine("reference"):
        assert gradkit.explain_engine(SQUARES).engine == "reference"
        assert gradkit.explain_engine(chunked(SQUARES)).engine == "chunked"
    with gradkit.use_engine("chunked"), pytest.raises(EngineError, match="dask"):
        gradkit.explain_engine(SQUARES)


def test_explanation_agrees_with_what_runs(library, monkeypatch):
    ran = []
    spied = tuple(
        type(engine)(
            engine.name,
            engine.serves,
            engine.supports,
            lambda plan, inputs, out, e=engine: ran.append(e.name) or e.run(plan, inputs, out),
        )
        for engine in TABLE
    )
    monkeypatch.setattr("gradkit.engines.TABLE", spied)
    f = library.asarray(SQUARES)
    gradkit.gradient(f)
    assert ran[:1] == [gradkit.explain_engine(f).engine]


def test_explanation_takes_the_plan_and_all_inputs():
    plan = (D(0) * D(1)).on(Grid(Axis(), Axis()), (4, 4))
    assert gradkit.explain_engine(np.ones((4, 4)), plan=plan).engine == "cpu"


def test_explanation_needs_an_array():
    with pytest.raises(ArgumentValueError, match="at least one array"):
        gradkit.explain_engine()


def test_explanation_of_something_else_than_an_array_raises():
    with pytest.raises(ArgumentTypeError, match=r"inputs\[0\]"):
        gradkit.explain_engine([[1.0], [2.0, 3.0]])
