"""The reference engine: the numerics, once, in array API calls alone.

It is functional (no assignment to elements, no data-dependent shape, no boolean mask), so it runs
under ``jax.jit``, ``jax.vmap``, torch autograd and array-api-strict. It is the oracle: any other
engine that disagrees with it is wrong.

A plan is first turned into a `Program` for one library, dtype and device: slices instead of
offsets, numbers of the right precision instead of fractions, weights on the device. `run` is then
nothing but differences, products and sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial, reduce
from math import lcm
from typing import Any

import numpy as np

from gradkit import _array, _dtypes
from gradkit._array import Array, Namespace, Split
from gradkit._dtypes import Precision
from gradkit.methods import Rows, Rule
from gradkit.operators import Polynomial, Term
from gradkit.plan import Plan

__all__ = ["Chain", "Piece", "Program", "Window", "run", "supports"]

Index = tuple[slice, ...]


def _safe_exponent(real: str) -> int:
    """The power of two whose products with numbers of ordinary size stay normal numbers."""
    return 100 if real == "float32" else 1000


@dataclass(frozen=True, eq=False)
class Window:
    """A run of points of an axis that wraps: slices of the input, joined, each with a sign."""

    segments: tuple[tuple[Index, int], ...]
    axis: int

    @property
    def is_plain(self) -> bool:
        """Whether the points are a single slice of the input as it is."""
        return len(self.segments) == 1 and self.segments[0][1] > 0


@dataclass(frozen=True, eq=False)
class Piece:
    """Consecutive rows: the weighted differences ``f[high] - f[low]``, over the divisors.

    Rows that reach beyond an end of the axis (`wraps`) have a `Window` for high and low, all others
    an `Index`. A weight of None is 1.
    """

    differences: tuple[tuple[Any, Any, Any], ...]
    divisors: tuple[Any, ...]
    wraps: bool


@dataclass(frozen=True, eq=False)
class Chain:
    """One term of the operator: derivatives along one axis after another, times a coefficient.

    `source` is the number of the input, `trim` the slices that drop the halo of the axes not
    differentiated along (None on whole arrays), a `coefficient` of None is 1.
    """

    source: int
    trim: Index | None
    steps: tuple[tuple[int, tuple[Piece, ...]], ...]
    coefficient: Any


@dataclass(frozen=True, eq=False)
class Program:
    """A plan made ready for one library, dtype and device.

    `conversions` has, per input, the function that makes it ready for differences (None: it is);
    `sums` the distinct results, each a sum of chains; `outputs` the number of the sum of each
    output.
    """

    xp: Namespace
    conversions: tuple[Callable[[Array], Any] | None, ...]
    sums: tuple[tuple[Chain, ...], ...]
    outputs: tuple[int, ...]
    result: Any


def supports(plan: Plan, inputs: Sequence[Array]) -> str | None:
    """None: the reference serves every array of every array API library."""
    return None


def run(plan: Plan, inputs: Sequence[Array]) -> list[Array]:
    """Apply a plan to inputs of one library; returns one array per output."""
    program = _program(plan, inputs)
    xp = program.xp
    ready = [
        f if convert is None else convert(f)
        for f, convert in zip(inputs, program.conversions, strict=True)
    ]
    results = [
        _array.cast(
            xp, _sum([_apply(xp, chain, ready[chain.source]) for chain in chains]), program.result
        )
        if chains
        else xp.zeros(plan.output_shape, dtype=program.result, device=_array.device(inputs[0]))
        for chains in program.sums
    ]
    return [results[i] for i in program.outputs]


def _apply(xp: Namespace, chain: Chain, f: Any) -> Array:
    if chain.trim is not None:
        f = f[chain.trim]
    for axis, pieces in chain.steps:
        rows = [_evaluate(xp, piece, f) for piece in pieces]
        f = rows[0] if len(rows) == 1 else xp.concat(rows, axis=axis)
    if isinstance(f, Split):
        f = f.value()
    return f if chain.coefficient is None else xp.multiply(f, chain.coefficient)


def _evaluate(xp: Namespace, piece: Piece, f: Any) -> Array:
    total = None
    for high, low, weight in piece.differences:
        difference = _take(xp, f, high) - _take(xp, f, low) if piece.wraps else f[high] - f[low]
        if weight is not None:
            difference = xp.multiply(difference, weight)
        total = difference if total is None else total + difference
    for divisor in piece.divisors:
        total = total / divisor
    return total


def _take(xp: Namespace, f: Any, window: Window) -> Any:
    first, *others = [f[index] if sign > 0 else -f[index] for index, sign in window.segments]
    if not others:
        return first
    if isinstance(first, Split):
        return first.join(others, xp, window.axis)
    return xp.concat([first, *others], axis=window.axis)


def _sum(values: Sequence[Array]) -> Array:
    """The sum of at least one array, from the first to the last."""
    return values[0] if len(values) == 1 else reduce(lambda a, b: a + b, values)


# --- from a plan to a program -------------------------------------------------------------------


def _program(plan: Plan, inputs: Sequence[Array]) -> Program:
    f = inputs[0]
    if type(f) is np.ndarray and len(inputs) == 1:
        key: Any = f.dtype
    else:
        key = (
            _array.namespace(f),
            tuple(g.dtype for g in inputs),
            _array.device(f),
            _array.default_real(f),
        )
    program = plan.memo.get(key)
    if program is None:
        program = _Compiler(plan, inputs).program()
        if not _array.is_fake(f):
            plan.memo[key] = program
    return program


class _Compiler:
    """Turns the rules of a plan into slices and numbers for one kind of input."""

    def __init__(self, plan: Plan, inputs: Sequence[Array]) -> None:
        self.plan = plan
        self.like = inputs[0]
        self.inputs = inputs
        self.xp = _array.namespace(inputs[0])
        self.precision: Precision = plan.precision(inputs)
        self.pieces: dict[tuple[int, int, bool], tuple[Piece, ...]] = {}

    def program(self) -> Program:
        rows = self.plan.operator.entries
        distinct = list(dict.fromkeys(rows))
        return Program(
            self.xp,
            tuple(map(self._conversion, self.inputs, self.precision.splits)),
            tuple(map(self._chains, distinct)),
            tuple(distinct.index(row) for row in rows),
            _array.result_dtype(self.xp, self.inputs, self.precision.result),
        )

    def _conversion(self, f: Array, split: int) -> Callable[[Array], Any] | None:
        compute = _array.native(self.xp, self.precision.compute)
        if split:
            return partial(_array.split_exactly, self.xp, compute=compute, bits=split)
        if f.dtype == compute:
            return None
        return partial(_array.cast, self.xp, dtype=compute)

    def _chains(self, row: Sequence[Polynomial]) -> tuple[Chain, ...]:
        return tuple(
            self._chain(term, source) for source, entry in enumerate(row) for term in entry.terms
        )

    def _chain(self, term: Term, source: int) -> Chain:
        name = _dtypes.dtype_name(self.inputs[source].dtype)
        is_time = _dtypes.kind(name) in ("datetime", "timedelta")
        # The first step, or the coefficient of the identity, turns ticks into the unit of time.
        tick = _dtypes.tick(name, self.plan.unit) if is_time else Fraction(1)
        steps: list[tuple[int, tuple[Piece, ...]]] = []
        for axis, order in term.orders:
            rule = self.plan.rules[axis, order]
            steps.append((axis, tuple(self._piece(rule, rows, axis, tick) for rows in rule.rows)))
            tick = Fraction(1)
        factor = Fraction(term.coefficient) * tick
        # The identity is multiplied by 1, because a result must not be the input itself.
        one = factor == 1 and steps
        number = None if one else _array.constant(self.xp, factor, self.precision.real)
        trim = self._trim({axis for axis, _ in term.orders})
        return Chain(source, trim, tuple(steps), number)

    def _trim(self, used: set[int]) -> Index | None:
        """Slices that drop the halo of the axes that a term does not differentiate along."""
        plan = self.plan
        if plan.extent is None:
            return None
        index = [slice(None)] * len(plan.shape)
        for (axis, _), rule in plan.rules.items():
            if axis not in used:
                start, stop = plan.extent[axis]
                index[axis] = slice(start - rule.first, stop - rule.first)
        return tuple(index)

    def _piece(self, rule: Rule, rows: Rows, axis: int, tick: Fraction) -> Piece:
        weights, scale = self._numbers(rows.weights, rule.scale / tick)
        real = self.precision.real
        of_tables = self._weight_precision(rule, rule.scale / tick / scale)
        divisors = tuple(_array.constant(self.xp, part, real) for part in _factors(scale, real))
        differences: list[tuple[Window, Window, Any]] = []
        for (high, low), weight in zip(rows.pairs, weights, strict=True):
            upper, lower = (self._window(rule, rows, axis, offset) for offset in (high, low))
            if isinstance(weight, Fraction):
                size = abs(weight)
                number = None if size == 1 else _array.constant(self.xp, size, real)
                differences.append((upper, lower, number) if weight > 0 else (lower, upper, number))
            else:
                differences.append((upper, lower, self._column(weight, axis, of_tables)))
        if any(not w.is_plain for upper, lower, _ in differences for w in (upper, lower)):
            return Piece(tuple(differences), divisors, wraps=True)
        plain = tuple((high.segments[0][0], low.segments[0][0], n) for high, low, n in differences)
        return Piece(plain, divisors, wraps=False)

    def _numbers(
        self, weights: tuple[Fraction, ...] | np.ndarray, scale: Fraction
    ) -> tuple[Sequence[Any], Fraction]:
        """Weights and divisor with the same quotient, all of a size that the dtype can hold.

        Exact weights become integers over a power of two, so that the divisor takes the only
        rounding. Tables take in the divisor where it is a power of two within range.
        """
        if not isinstance(weights, np.ndarray):
            largest = max(abs(w) for w in weights)
            common = lcm(*(w.denominator for w in weights))
            unit = Fraction(1 << int(largest * common).bit_length() - 1, common)
            return [w / unit for w in weights], scale / unit
        exponent = _exponent(scale)
        if scale != Fraction(2) ** exponent or abs(exponent) > _safe_exponent(self.precision.real):
            return list(weights), scale
        return list(np.ldexp(weights, -exponent)), Fraction(1)

    def _weight_precision(self, rule: Rule, folded: Fraction) -> str:
        """The real dtype of a table: float64 for weights over more decades than float32 has."""
        smallest, largest = (power - _exponent(folded) for power in rule.exponents)
        real = self.precision.real
        if real == "float32" and not (smallest > -125 and largest < 128):
            return _array.default_real(self.like)
        return real

    def _column(self, weights: np.ndarray, axis: int, real: str) -> Array:
        """Per-row weights, shaped to multiply along an axis."""
        trailing = len(self.plan.shape) - axis - 1
        # An infinite weight would turn the difference 0 into NaN.
        limit = np.finfo(real).max
        values = np.clip(weights, -limit, limit).astype(real)
        return _array.table(self.xp, values.reshape((-1,) + (1,) * trailing), self.like)

    def _window(self, rule: Rule, rows: Rows, axis: int, offset: int) -> Window:
        segments = rule.segments(rows.start + offset, rows.stop + offset)
        ndim = len(self.plan.shape)
        return Window(
            tuple((_along(axis, ndim, slice(begin, end)), sign) for begin, end, sign in segments),
            axis,
        )


def _along(axis: int, ndim: int, run: slice) -> Index:
    """The index that takes a run of points along one axis."""
    return tuple(run if i == axis else slice(None) for i in range(ndim))


def _exponent(value: Fraction) -> int:
    """The power of two nearest in size: exact for powers of two, else off by at most one."""
    return abs(value.numerator).bit_length() - value.denominator.bit_length()


def _factors(value: Fraction, real: str) -> list[Fraction]:
    """Factors of a divisor that the dtype can hold each; none where it is 1."""
    factors: list[Fraction] = []
    safe = _safe_exponent(real)
    while abs(exponent := _exponent(value)) > safe:
        step = Fraction(2) ** (safe if exponent > 0 else -safe)
        factors.append(step)
        value /= step
    return factors if value == 1 else [value, *factors]
