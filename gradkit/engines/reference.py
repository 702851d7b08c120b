"""The reference engine: the numerics, once, in array API calls alone.

It is functional (no assignment to elements, no data-dependent shape, no boolean mask), so it runs
under ``jax.jit``, ``jax.vmap``, torch autograd and array-api-strict. It is the oracle: any other
engine that disagrees with it is wrong.

A plan is first turned into a `Program` for one library, dtype and device: slices instead of
offsets, numbers of the right precision instead of fractions, weights on the device. `run` is then
nothing but differences, products and sums.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import lcm
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array, Namespace, Precision
from gradkit.methods import Rows, Rule
from gradkit.operators import Polynomial, Term
from gradkit.plan import Plan

__all__ = ["run", "supports"]

#: A floating array, or an integer one as exact floating parts ``(part, factor)`` that add up to it.
Parts = list[tuple[Array, int]]
Index = tuple[slice, ...]

#: Powers of two whose products with numbers of ordinary size stay normal numbers.
_SAFE_EXPONENT = defaultdict(lambda: 1000, float32=100)


@dataclass(frozen=True, eq=False)
class Window:
    """A run of points of an axis: slices of the input, joined in order, each with a sign."""

    segments: tuple[tuple[Index, int], ...]
    axis: int


@dataclass(frozen=True, eq=False)
class Piece:
    """Consecutive rows: the weighted differences of windows, over the divisors."""

    terms: tuple[tuple[Index | Window, Index | Window, Any], ...]
    divisors: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Chain:
    """One term of the operator: derivatives along one axis after another, times a coefficient."""

    trim: Index | None
    steps: tuple[tuple[int, tuple[Piece, ...]], ...]
    coefficient: Any


@dataclass(frozen=True, eq=False)
class Program:
    """A plan made ready for one library, dtype and device."""

    xp: Namespace
    compute: Any
    result: Any
    splits: tuple[int, ...]
    #: Per output, the chains that are added up and the input of each; the same object where two
    #: outputs are the same.
    outputs: tuple[tuple[tuple[int, Chain], ...], ...]


def supports(plan: Plan, inputs: Sequence[Array]) -> str | None:
    """None: the reference serves every array of every array API library."""
    return None


def run(plan: Plan, inputs: Sequence[Array]) -> list[Array]:
    """Apply a plan to inputs of one library; returns one array per output."""
    program = _program(plan, inputs)
    xp = program.xp
    parts = [
        _array.exact_parts(xp, f, program.compute, split)
        for f, split in zip(inputs, program.splits, strict=True)
    ]
    done: dict[int, Array] = {}
    for sources in program.outputs:
        if id(sources) not in done:
            total = _sum([_apply(xp, chain, parts[i]) for i, chain in sources])
            done[id(sources)] = _array.cast(xp, total, program.result)
    return [done[id(sources)] for sources in program.outputs]


def _apply(xp: Namespace, chain: Chain, parts: Parts) -> Array:
    if chain.trim is not None:
        parts = [(part[chain.trim], factor) for part, factor in parts]
    for axis, pieces in chain.steps:
        rows = [_evaluate(xp, piece, parts) for piece in pieces]
        parts = [(rows[0] if len(rows) == 1 else xp.concat(rows, axis=axis), 1)]
    value = _sum([part if factor == 1 else part * float(factor) for part, factor in parts])
    return value if chain.coefficient is None else value * chain.coefficient


def _evaluate(xp: Namespace, piece: Piece, parts: Parts) -> Array:
    total = None
    for high, low, weight in piece.terms:
        difference = _difference(xp, parts, high, low)
        if weight is not None:
            difference = xp.multiply(difference, weight)
        total = difference if total is None else total + difference
    for divisor in piece.divisors:
        total = total / divisor
    return total


def _difference(
    xp: Namespace, parts: Parts, high: Index | Window, low: Index | Window
) -> Array:
    """``f[high] - f[low]``, rounded once."""
    differences = [
        (
            part[high] - part[low]
            if type(high) is tuple and type(low) is tuple
            else _take(xp, part, high) - _take(xp, part, low),
            factor,
        )
        for part, factor in parts
    ]
    if len(differences) == 1:
        return differences[0][0]
    return _sum([d if factor == 1 else d * float(factor) for d, factor in differences])


def _take(xp: Namespace, array: Array, where: Index | Window) -> Array:
    if not isinstance(where, Window):
        return array[where]
    pieces = [array[index] if sign > 0 else -array[index] for index, sign in where.segments]
    return pieces[0] if len(pieces) == 1 else xp.concat(pieces, axis=where.axis)


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
            _array.default_real(_array.namespace(f)),
        )
    program = plan.memo.get(key)
    if program is None:
        program = plan.memo[key] = _Compiler(plan, inputs).program()
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
        entries = self.plan.operator.entries
        outputs = {row: self._output(row) for row in dict.fromkeys(entries)}
        return Program(
            self.xp,
            _array.native(self.xp, self.precision.compute),
            _array.result_dtype(self.xp, self.inputs, self.precision.result),
            self.precision.splits,
            tuple(outputs[row] for row in entries),
        )

    def _output(self, row: Sequence[Polynomial]) -> tuple[tuple[int, Chain], ...]:
        return tuple(
            (i, self._chain(term, i)) for i, entry in enumerate(row) for term in entry.terms
        )

    def _chain(self, term: Term, source: int) -> Chain:
        name = _array.dtype_name(self.inputs[source].dtype)
        is_time = _array.kind(name) in ("datetime", "timedelta")
        # The first step, or the coefficient of the identity, turns ticks into the unit of time.
        tick = _array.tick(name, self.plan.unit) if is_time else Fraction(1)
        steps: list[tuple[int, tuple[Piece, ...]]] = []
        for axis, order in term.orders:
            rule = self.plan.rules[axis, order]
            steps.append((axis, tuple(self._piece(rule, rows, axis, tick) for rows in rule.rows)))
            tick = Fraction(1)
        factor = Fraction(term.coefficient) * tick
        number = None if factor == 1 else _array.constant(self.xp, factor, self.precision.real)
        return Chain(self._trim({axis for axis, _ in term.orders}), tuple(steps), number)

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
        terms = [
            self._term(rule, rows, axis, pair, weight)
            for pair, weight in zip(rows.pairs, weights, strict=True)
        ]
        real = self.precision.real
        divisors = tuple(_array.constant(self.xp, part, real) for part in _factors(scale, real))
        return Piece(tuple(terms), divisors)

    def _term(
        self, rule: Rule, rows: Rows, axis: int, pair: tuple[int, int], weight: Any
    ) -> tuple[Index | Window, Index | Window, Any]:
        high, low = pair
        if isinstance(weight, Fraction):
            if weight < 0:
                high, low, weight = low, high, -weight
            exact = None if weight == 1 else _array.constant(self.xp, weight, self.precision.real)
        else:
            exact = self._column(weight, axis)
        windows = [self._window(rule, rows, axis, offset) for offset in (high, low)]
        return windows[0], windows[1], exact

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
        if scale != Fraction(2) ** exponent or abs(exponent) > _SAFE_EXPONENT[self.precision.real]:
            return list(weights), scale
        return list(np.ldexp(weights, -exponent)), Fraction(1)

    def _column(self, weights: np.ndarray, axis: int) -> Array:
        """Per-row weights, shaped to multiply along an axis."""
        trailing = len(self.plan.shape) - axis - 1
        values = weights.astype(self.precision.real).reshape((-1,) + (1,) * trailing)
        return _array.table(self.xp, values, self.like)

    def _window(self, rule: Rule, rows: Rows, axis: int, offset: int) -> Index | Window:
        lead = (slice(None),) * axis
        segments = rule.segments(rows.start + offset, rows.stop + offset)
        if len(segments) == 1 and segments[0][2] == 1:
            return (*lead, slice(*segments[0][:2]))
        return Window(
            tuple(((*lead, slice(begin, end)), sign) for begin, end, sign in segments), axis
        )


def _exponent(value: Fraction) -> int:
    """The power of two of the size of a number: exact for powers of two, else off by one at most."""
    return abs(value.numerator).bit_length() - value.denominator.bit_length()


def _factors(value: Fraction, real: str) -> list[Fraction]:
    """Factors of a divisor that the dtype can hold each; none where it is 1."""
    factors: list[Fraction] = []
    safe = _SAFE_EXPONENT[real]
    while abs(exponent := _exponent(value)) > safe:
        step = Fraction(2) ** (safe if exponent > 0 else -safe)
        factors.append(step)
        value /= step
    return factors if value == 1 else [value, *factors]
