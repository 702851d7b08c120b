"""Programs: a plan made ready for one library, dtype and device.

Slices instead of offsets, numbers of the right precision instead of fractions, weights and
coefficients on the device. Engines that run array calls execute programs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gradkit import _array, _dtypes
from gradkit._array import Array, Namespace, Split
from gradkit._dtypes import Precision
from gradkit.chains import Along, Chain, Parameter, Times, Wall
from gradkit.methods import WALL, Rows, Rule, unit_of
from gradkit.plan import Plan

__all__ = [
    "Known",
    "Passage",
    "Piece",
    "Product",
    "Program",
    "Sequel",
    "Sum",
    "Window",
    "program_of",
    "ready_parameter",
]

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
class Known:
    """What is known at a wall: a number, or the number of an array and the part of it."""

    number: Any = None
    array: int | None = None
    part: Index | None = None


@dataclass(frozen=True, eq=False)
class Piece:
    """Consecutive rows: the weighted differences ``f[high] - f[low]``, over the divisors.

    In plain pieces high and low are an `Index`, in all others also a `Window` that reaches around
    an end, something `Known`, or None for 0. A weight of None is 1. `is_full` tells whether some
    point is one of f.
    """

    differences: tuple[tuple[Any, Any, Any], ...]
    divisors: tuple[Any, ...]
    is_plain: bool
    is_full: bool
    rows: int


@dataclass(frozen=True, eq=False)
class Passage:
    """The pieces of a rule along an axis, to be joined.

    `dtype` is that of complex numbers where such are known at a wall, else None: then all rows are
    complex, those of blocks away from the wall too, because quotients round in another way.
    """

    axis: int
    pieces: tuple[Piece, ...]
    dtype: Any


@dataclass(frozen=True, eq=False)
class Product:
    """A multiplication by an array, or by the part of it that belongs to a block."""

    array: int
    part: Index | None


@dataclass(frozen=True, eq=False)
class Sequel:
    """One term of the operator: steps from one input, times a coefficient.

    `source` is the number of the input, `trim` the slices that drop the halo that the term does not
    need (None on whole arrays), a `coefficient` of None is 1.
    """

    source: int
    trim: Index | None
    steps: tuple[Passage | Product, ...]
    coefficient: Any


class Sum(NamedTuple):
    """One result: the terms to add up, and what their sum is over."""

    shape: tuple[int, ...]
    sequels: tuple[Sequel, ...]
    divisors: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """A plan made ready.

    `conversions` has, per input, the function that makes it ready for differences (None: it is);
    `arrays` the coefficients, ready for use or as functions that make them ready in every call;
    `sums` the distinct results; `outputs` the number of the sum of each output. Differences and
    sums have the dtype `compute`, that of `precision` in the library.
    """

    xp: Namespace
    precision: Precision
    compute: Any
    conversions: tuple[Callable[[Array], Any] | None, ...]
    arrays: tuple[Any, ...]
    sums: tuple[Sum, ...]
    outputs: tuple[int, ...]
    result: Any


def program_of(plan: Plan, inputs: Sequence[Array]) -> Program:
    """The program of a plan for inputs like these, kept on the plan."""
    f = inputs[0]
    if type(f) is np.ndarray and len(inputs) == 1:
        key: Any = f.dtype
    else:
        key = (
            _array.namespace(f),
            tuple(g.dtype for g in inputs),
            _array.place(f),
            _array.default_real(f),
        )
    program = plan.memo.get(key)
    if program is None:
        compiler = _Compiler(plan, inputs)
        with _array.keeping(f):
            program = compiler.program()
        if compiler.uploads:
            _array.settle(f)
        if not _array.is_fake(f):
            plan.memo[key] = program
    return program


class _Tables(NamedTuple):
    """How tables of weights are made ready: times a factor, within a limit, in a real dtype.

    None stands for no factor and no limit. The `divisor` is what is left to divide by.
    """

    factor: Any
    divisor: Fraction
    real: str
    limit: Any


class _Compiler:
    """Turns the chains of a plan into slices and numbers for one kind of input."""

    def __init__(self, plan: Plan, inputs: Sequence[Array]) -> None:
        self.plan = plan
        self.like = inputs[0]
        self.inputs = inputs
        self.xp = _array.namespace(inputs[0])
        self.precision: Precision = plan.precision(inputs)
        self.compute = _array.native(self.xp, self.precision.compute)
        self.passages: dict[Any, Passage] = {}
        #: The arrays that are used, in which form: number of the parameter and form -> number.
        self.arrays: dict[tuple[int, str], int] = {}
        #: Whether something was made on the device.
        self.uploads = False

    def program(self) -> Program:
        plan = self.plan
        distinct = list(dict.fromkeys(plan.same))
        sums = tuple(map(self._sum, distinct))
        return Program(
            self.xp,
            self.precision,
            self.compute,
            tuple(map(self._conversion, self.inputs, self.precision.splits)),
            tuple(self._array(self.plan.parameters[slot], form) for slot, form in self.arrays),
            sums,
            tuple(map(distinct.index, plan.same)),
            _array.result_dtype(self.xp, self.inputs, self.precision.result),
        )

    def _sum(self, output: int) -> Sum:
        """The terms of an output; what all of them end by dividing by is left to their sum."""
        chains, shape = self.plan.bound.outputs[output], self.plan.output_shapes[output]
        divisor = self._shared_divisor(chains)
        is_shared = divisor is not None and divisor != 1
        sequels = tuple(self._sequel(chain, not is_shared) for chain in chains)
        return Sum(shape, sequels, self._divisors(divisor) if is_shared else ())

    def _shared_divisor(self, chains: Sequence[Chain]) -> Fraction | None:
        """What the last rules of several terms are all over, if nothing comes after them."""
        shared = set(map(self._last_divisor, chains)) if len(chains) > 1 else set()
        return shared.pop() if len(shared) == 1 else None

    def _last_divisor(self, chain: Chain) -> Fraction | None:
        tick, factor = self._shares(chain)
        last = chain.steps[-1] if chain.steps and factor == 1 else None
        if not isinstance(last, Along) or any(map(self._is_complex, last.walls)):
            return None
        return _divisor(last.rule, tick if len(chain.steps) == 1 else Fraction(1))

    def _divisors(self, value: Any) -> tuple[Any, ...]:
        real = self.precision.real
        return tuple(_array.constant(self.xp, part, real) for part in _factors(value, real))

    def _conversion(self, f: Array, split: int) -> Callable[[Array], Any] | None:
        real, name = self.precision.real, self.precision.compute
        if name != real and _dtypes.kind(_dtypes.dtype_name(f.dtype)) != "complex":
            # Real inputs of complex operators are multiplied by complex numbers as they are.
            name = real
        dtype = _array.native(self.xp, name)
        if split:
            return partial(_array.split_exactly, self.xp, compute=dtype, bits=split)
        if f.dtype == dtype:
            return None
        return partial(_array.cast, self.xp, dtype=dtype)

    def _array(self, parameter: Parameter, form: str) -> Any:
        """An array to multiply by, or a function that makes it, where it must not be kept."""
        make = partial(ready_parameter, self.xp, parameter, form, self.precision.real, self.like)
        self.uploads = True
        return make if _array.is_live(parameter.array) else make()

    def _slot(self, number: int, form: str) -> int:
        return self.arrays.setdefault((number, form), len(self.arrays))

    def _shares(self, chain: Chain) -> tuple[Fraction, Any]:
        """What the first rule of a chain takes besides its own weights, and what is in front.

        The rule, or else the coefficient, turns ticks into the unit of time.
        """
        tick = Fraction(1)
        if self.precision.splits[chain.source] == _dtypes.TIME:
            name = _dtypes.dtype_name(self.inputs[chain.source].dtype)
            tick = _dtypes.tick(name, self.plan.unit)
        factor: Any = chain.coefficient
        if not isinstance(factor, complex):
            factor = Fraction(factor)
            passes = any(isinstance(step, Along) for step in chain.steps)
            limit = _safe_exponent(self.precision.real) // 2
            if passes and factor and abs(_exponent(factor)) > limit:
                # With the divisor it may come to something that the dtype holds.
                tick, factor = tick * factor, Fraction(1)
        if chain.steps and isinstance(chain.steps[0], Along):
            return tick, factor
        return Fraction(1), factor * (float(tick) if isinstance(factor, complex) else tick)

    def _sequel(self, chain: Chain, is_divided: bool = True) -> Sequel:
        tick, factor = self._shares(chain)
        steps: list[Passage | Product] = []
        for number, step in enumerate(chain.steps):
            if isinstance(step, Times):
                steps.append(Product(self._slot(step.slot, step.form), step.part))
                continue
            split = 0 if number else self.precision.splits[chain.source]
            is_last = number == len(chain.steps) - 1
            share = Fraction(1) if number else tick
            steps.append(self._passage(step, share, split, is_divided or not is_last))
        # The identity is multiplied by 1, because a result must not be the input itself.
        one = factor == 1 and steps
        return Sequel(
            chain.source, chain.trim, tuple(steps), None if one else self._constant(factor)
        )

    def _constant(self, value: Any) -> Any:
        if isinstance(value, complex):
            exact = np.asarray(value, self.precision.compute)
            self.uploads = True
            return _array.table(self.xp, exact, self.like)
        exact = value if isinstance(value, Fraction) else Fraction(value)
        return _array.constant(self.xp, exact, self.precision.real)

    # --- rules --------------------------------------------------------------------------------

    def _passage(self, step: Along, tick: Fraction, split: int, is_divided: bool) -> Passage:
        key = (id(step.rule.rows), step.axis, repr(step.walls), tick, split, is_divided)
        found = self.passages.get(key)
        if found is None:
            rule, scale = step.rule, step.rule.scale / tick
            is_table = rule.rows[0].is_table
            over = self._tables(rule, scale) if is_table else scale
            pieces = [self._piece(step, rows, over, split, is_divided) for rows in rule.rows]
            is_complex = any(map(self._is_complex, step.walls))
            dtype = self.compute if is_complex else None
            found = self.passages[key] = Passage(step.axis, tuple(pieces), dtype)
        return found

    def _piece(
        self, step: Along, rows: Rows, over: _Tables | Fraction, split: int, is_divided: bool
    ) -> Piece:
        if isinstance(over, _Tables):
            weights: list[Any] = [self._column(table, step.axis, over) for table in rows.weights]
            divisor = over.divisor if weights else Fraction(1)
        else:
            unit = None if is_divided else step.rule.unit
            weights, divisor = _integers(tuple(rows.weights), over, unit)
        differences: list[tuple[Any, Any, Any]] = []
        for pair, weight in zip(rows.pairs, weights, strict=True):
            upper, lower = [self._point(step, rows, point, split) for point in pair]
            if upper is lower is None:
                continue  # what is known at the wall is 0
            if not isinstance(weight, Fraction):
                differences.append((upper, lower, weight))
                continue
            size = abs(weight)
            number = None if size == 1 else self._constant(size)
            is_positive = weight.numerator > 0
            differences.append((upper, lower, number) if is_positive else (lower, upper, number))
        divisors = self._divisors(divisor) if is_divided else ()
        return _piece_of(differences, divisors, rows.stop - rows.start, step.axis)

    def _split(self, value: Fraction, bits: int) -> Split:
        """A number as the parts that integers are split into, so that differences are exact."""
        high = Fraction(value // 2**bits)
        exact, real = (high, value - high * 2**bits), self.precision.real
        parts = (_array.constant(self.xp, part, real) for part in exact)
        return Split(list(zip(parts, (2.0**bits, 1.0), strict=True)))

    def _is_complex(self, known: Any) -> bool:
        if not isinstance(known, Wall):
            return isinstance(known, complex)
        dtype = self.plan.parameters[known.slot].array.dtype
        return known.form != "magnitude" and _dtypes.kind(_dtypes.dtype_name(dtype)) == "complex"

    def _point(self, step: Along, rows: Rows, point: Any, split: int) -> Any:
        if point is None:
            return None
        if point in WALL:
            known = step.walls[WALL.index(point)]
            if isinstance(known, Wall):
                return Known(array=self._slot(known.slot, known.form), part=known.part)
            if not known:
                return None
            if split > 0 and not isinstance(known, complex):
                return Known(number=self._split(Fraction(known), split))
            return Known(number=self._constant(known))
        return self._values(step, rows.start + point, rows.stop + point)

    def _values(self, step: Along, start: int, stop: int) -> Index | Window:
        """Values along an axis: where they lie in a single slice as they are, that."""
        segments = step.rule.segments(start, stop)
        before = (slice(None),) * step.axis
        after = (slice(None),) * (len(self.plan.shape) - step.axis - 1)
        runs = [((*before, slice(begin, end), *after), sign) for begin, end, sign in segments]
        window = Window(tuple(runs), step.axis)
        return runs[0][0] if window.is_plain else window

    def _tables(self, rule: Rule, scale: Fraction) -> _Tables:
        """How the tables of a rule, all over a scale, are made ready.

        They are in float64 where they hold weights over more decades than float32 has.
        """
        factor, divisor, exponent = None, scale, _exponent(scale)
        is_safe = abs(exponent) <= _safe_exponent(self.precision.real)
        if exponent and is_safe and scale == Fraction(2) ** exponent:
            # A product with a power of two is as exact as `ldexp`, which takes one number at a time
            factor, divisor = np.ldexp(np.longdouble(1), -exponent), Fraction(1)
        folded = 0 if factor is None else exponent
        smallest, largest = (power - folded for power in rule.exponents)
        real = self.precision.real
        if real == "float32" and not (smallest > -125 and largest < 128):
            real = _array.default_real(self.like)
        limits = np.finfo(real)
        return _Tables(factor, divisor, real, None if largest < limits.maxexp else limits.max)

    def _column(self, weights: Any, axis: int, tables: _Tables) -> Array:
        """Per-row weights, shaped to multiply along an axis."""
        trailing = len(self.plan.shape) - axis - 1
        if tables.factor is not None:
            weights = weights * tables.factor
        if tables.limit is not None:
            # An infinite weight would turn the difference 0 into NaN.
            weights = np.clip(weights, -tables.limit, tables.limit)
        values = weights.astype(tables.real, copy=False)
        self.uploads = True
        return _array.table(self.xp, values.reshape((-1,) + (1,) * trailing), self.like)


def ready_parameter(
    xp: Namespace, parameter: Parameter, form: str, real: str, like: Array
) -> Array:
    """A coefficient where the inputs are, in their precision."""
    array = parameter.array
    is_complex = _dtypes.kind(_dtypes.dtype_name(array.dtype)) == "complex"
    name = _dtypes.complex_of(real) if is_complex else real
    if isinstance(array, np.ndarray):
        # On the host first, so that no more than needed is uploaded.
        array = _array.table(xp, array.astype(name, copy=False), like)
    shaped = xp.reshape(array, parameter.shape)
    values = _array.cast(xp, shaped, _array.native(xp, name))
    if form == "magnitude":
        return xp.abs(values)
    return xp.conj(values) if form == "conjugate" and is_complex else values


def _divisor(rule: Rule, tick: Fraction) -> Fraction | None:
    """The exact number that all rows of a rule are over, if there is one."""
    return None if rule.unit is None else rule.scale / tick / rule.unit


def _piece_of(
    differences: Sequence[tuple[Any, Any, Any]], divisors: tuple[Any, ...], rows: int, axis: int
) -> Piece:
    points = [point for high, low, _ in differences for point in (high, low)]
    if points and all(isinstance(point, tuple) for point in points):
        return Piece(tuple(differences), divisors, True, True, rows)

    def windowed(point: Any) -> Any:
        return Window(((point, 1),), axis) if isinstance(point, tuple) else point

    taken = tuple((windowed(high), windowed(low), weight) for high, low, weight in differences)
    is_full = any(isinstance(point, tuple | Window) for point in points)
    return Piece(taken, divisors, False, is_full, rows)


def _integers(
    weights: Sequence[Fraction], scale: Fraction, unit: Fraction | None
) -> tuple[list[Fraction], Fraction]:
    """Exact weights as integers over a power of two, so that the divisor takes the only rounding.

    Their quotients with the divisor that is returned are those of the weights with the scale.
    """
    if not weights:
        return [], Fraction(1)
    unit = unit_of(weights) if unit is None else unit
    return [w / unit for w in weights], scale / unit


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
