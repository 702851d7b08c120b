"""Which programs there are Numba kernels for, and why there are none for others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gradkit import _dtypes
from gradkit._array import Split
from gradkit._dtypes import Precision
from gradkit.engines.cpu.key import DTYPES
from gradkit.engines.program import Known, Passage, Piece, Product, Program, Sequel
from gradkit.plan import Plan

__all__ = ["reasons_against"]

#: Differences per row, at most, that are written out; compilers take seconds for more.
MOST_PAIRS = 64


def reasons_against(plan: Plan, program: Program, inputs: Sequence[np.ndarray]) -> Iterator[str]:
    """Why no kernel is made of a program for inputs of these dtypes; none if one is."""
    precision = plan.precision(inputs)
    names = [_dtypes.dtype_name(f.dtype) for f in inputs]
    unknown = [name for name in (*names, precision.result) if name not in DTYPES]
    if unknown:
        yield f"has no kernels for {unknown[0]}"
    if not all(f.dtype.isnative for f in inputs):
        yield "has no kernels for bytes in the order of another machine"
    if precision.real not in ("float32", "float64"):
        yield f"has no kernels that compute in {precision.real}"
    is_complex = _dtypes.kind(precision.compute) == "complex"
    if is_complex and any(_dtypes.kind(name) != "complex" for name in names):
        yield "has no kernels for real inputs with complex results"
    if not is_complex and _dtypes.kind(precision.result) == "complex":
        yield "has no kernels that turn real results into complex numbers"
    if (precision.real, precision.result) == ("float64", "float16"):
        yield "has no kernels that round float64 to float16: they would round to float32 first"
    if not plan.shape:
        yield "has no kernels for arrays without dimensions"
    for result in program.sums:
        for sequel in result.sequels:
            yield from _reasons_against_steps(sequel, program, precision)
            yield from _reasons_against_walls(sequel, is_complex)


def _reasons_against_steps(sequel: Sequel, program: Program, precision: Precision) -> Iterator[str]:
    if any(isinstance(step, Passage) for step in sequel.steps[1:]):
        yield "has no kernels for derivatives of products and of derivatives"
    if np.iscomplexobj(sequel.coefficient):
        yield "has no kernels for complex coefficients"
    used = [step.array for step in sequel.steps if isinstance(step, Product)]
    used += [point.array for point in _known(sequel) if point.array is not None]
    for array in (program.arrays[number] for number in used):
        if not isinstance(array, np.ndarray):
            yield "has no kernels for arrays that may change from call to call"
        elif array.dtype.name != precision.real:
            yield "has no kernels for complex arrays as coefficients"
    for piece in _pieces(sequel):
        count = len(piece.differences)
        if count > MOST_PAIRS:
            yield f"has no kernels for {count} differences per row: at most {MOST_PAIRS}"
        if any(w is not None and w.dtype.name != precision.real for *_, w in piece.differences):
            yield f"takes no weights beyond the range of {precision.real}"


def _reasons_against_walls(sequel: Sequel, is_complex: bool) -> Iterator[str]:
    known = list(_known(sequel))
    numbers = [point.number for point in known if point.array is None]
    if known and (is_complex or any(np.iscomplexobj(number) for number in numbers)):
        yield "has no kernels for complex numbers with what is known at walls"
    if any(isinstance(number, Split) for number in numbers):
        yield "has no kernels for wide integers with what is known at walls"


def _pieces(sequel: Sequel) -> Iterator[Piece]:
    if sequel.steps and isinstance(sequel.steps[0], Passage):
        yield from sequel.steps[0].pieces


def _known(sequel: Sequel) -> Iterator[Known]:
    for piece in _pieces(sequel):
        for high, low, _ in piece.differences:
            yield from (point for point in (high, low) if isinstance(point, Known))
