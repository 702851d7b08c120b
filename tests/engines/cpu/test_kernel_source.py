"""The text of kernels: what it depends on, and what compilers make of it."""

import ast
import re

import numpy as np
import pytest

from gradkit import Axis, D, Dirichlet, FiniteDifference, Gradient, Grid, Laplacian
from gradkit.engines.cpu.compiling import compiled_by_llvm, target_machine
from gradkit.engines.cpu.element_source import common
from gradkit.engines.cpu.kernel_source import slots, source
from gradkit.engines.cpu.numbers import key_of
from gradkit.engines.program import program_of


def key_for(operator, grid, shape, dtype="float64", accuracy=2, number=0):
    plan = operator.on(grid, shape, method=FiniteDifference(accuracy))
    inputs = [np.zeros(s, dtype) for s in plan.input_shapes]
    result = np.zeros(plan.output_shapes[number], dtype)
    return key_of(plan, program_of(plan, inputs), number, inputs, result)


def keys_for(operator, boundaries):
    return {
        key_for(operator, Grid(Axis(h, boundary=end), Axis(0.3)), shape)[0]
        for h in (0.3, -1e-3)
        for end in boundaries
        for shape in ((5, 16), (9, 16), (40, 17))
    }


def test_numbers_and_shapes_and_boundaries_across_lines_are_not_part_of_the_key():
    boundaries = ("one-sided", "periodic", "antiperiodic", Dirichlet(3))
    assert len(keys_for(2.5 * D(0), boundaries)) == 1


@pytest.mark.parametrize("boundary", ["one-sided", "periodic", "antiperiodic", Dirichlet(3)])
def test_numbers_and_shapes_are_not_part_of_the_key_of_a_sum(boundary):
    assert len(keys_for(D(0) + 2.5 * D(1), [boundary])) == 1


def test_what_differs_is_part_of_the_key():
    plain = Grid(Axis(0.3), Axis(0.3))
    rough = Grid(Axis(coordinates=np.cumsum(np.arange(1.0, 21))), Axis(0.3))
    shape = (20, 30)
    keys = [
        key_for(D(0), plain, shape),
        key_for(D(1), plain, shape),
        key_for(D(0), rough, shape),
        key_for(D(0), plain, shape, accuracy=4),
        key_for(2 * D(0), plain, shape),
        key_for(D(0), plain, shape, "float32"),
        key_for(D(0), plain, shape, "complex128"),
        key_for(Laplacian(2), plain, shape),
    ]
    assert len({key for key, _ in keys}) == len(keys)
    assert len({common(key) + source(key) for key, _ in keys}) == len(keys)


def test_every_result_of_a_gradient_has_the_kernel_of_one_derivative():
    plain, shape = Grid(Axis(0.3), Axis(0.3)), (20, 30)
    for axis in range(2):
        (of_gradient, _), (of_one, _) = (
            key_for(Gradient(2), plain, shape, number=axis),
            key_for(D(axis), plain, shape),
        )
        assert of_gradient == of_one


@pytest.mark.parametrize("past", [10**9, 0], ids=["small", "large"])
def test_texts_are_the_same_every_time_and_use_every_slot(past, monkeypatch):
    monkeypatch.setattr("gradkit.engines.cpu.numbers.PAST", past)
    key, numbers = key_for(Laplacian(3), Grid(Axis(), Axis(), Axis()), (9, 9, 9))
    text = source(key)
    assert text == source(key)
    ast.parse(common(key) + text)
    names = slots(key)
    assert len(set(names)) == len(names)
    assert set(names) <= set(numbers.slots)
    # All that is set is read, but for where the rows of an input begin that terms share.
    words = [word for word in ast.walk(ast.parse(text)) if isinstance(word, ast.Name)]
    read, stored = (
        {word.id for word in words if isinstance(word.ctx, how)} for how in (ast.Load, ast.Store)
    )
    assert set(names) <= stored
    assert all(re.fullmatch(r"t[12]_f(_\d)?", name) for name in stored - read)


@pytest.mark.parametrize("past", [10**9, 0], ids=["small", "large"])
@pytest.mark.parametrize("axis", [0, 1])
def test_loops_are_vectorised_and_large_results_written_past_the_caches(axis, past, monkeypatch):
    monkeypatch.setattr("gradkit.engines.cpu.numbers.PAST", past)
    key, _ = key_for(D(axis), Grid(Axis(0.3), Axis(0.3)), (40, 50), "float32")
    code = target_machine().emit_assembly(compiled_by_llvm(key))
    subtractions = re.findall(r"\bv?subps\b|\bfsub\.4s|fsub\s+v\d+\.4s", code)
    assert subtractions, "no vectors are subtracted"
    assert bool(re.search(r"movnt|stnp", code)) == (past == 0)


def test_large_results_are_part_of_the_key_where_lines_are_long_enough(monkeypatch):
    grid = Grid(Axis(0.3), Axis(0.3))
    for columns, differ in ((7, False), (8, True), (40, True)):
        keys: set[object] = set()
        for past in (10**9, 0):
            monkeypatch.setattr("gradkit.engines.cpu.numbers.PAST", past)
            keys.add(key_for(D(0), grid, (40, columns))[0])
        assert len(keys) == 1 + differ
