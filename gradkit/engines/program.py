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
    `divisor` is the exact number that all rows are over, those of other blocks too, if there is
    one.
    """

    axis: int
    pieces: tuple[Piece, ...]
    dtype: Any
    divisor: Fraction | None


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
    sums have the dtype `compute`.
    """

    xp: Namespace
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
            _array.device(f),
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
        sequels = tuple(map(self._sequel, chains))
        divisor = _shared_divisor(sequels)
        if divisor is None or divisor == 1:
            return Sum(shape, sequels, ())
        undivided = tuple(self._sequel(chain, is_divided=False) for chain in chains)
        return Sum(shape, undivided, self._divisors(divisor))

    def _divisors(self, value: Any) -> tuple[Any, ...]:
        real = self.precision.real
        return tuple(_array.constant(self.xp, part, real) for part in _factors(value, real))

    def _conversion(self, f: Array, split: int) -> Callable[[Array], Any] | None:
        # Real inputs of complex operators are multiplied by complex numbers as they are.
        is_real = _dtypes.kind(_dtypes.dtype_name(f.dtype)) != "complex"
        name = self.precision.real if is_real else self.precision.compute
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

    def _sequel(self, chain: Chain, is_divided: bool = True) -> Sequel:
        name = _dtypes.dtype_name(self.inputs[chain.source].dtype)
        is_time = _dtypes.kind(name) in ("datetime", "timedelta")
        # The first rule, or else the coefficient, turns ticks into the unit of time.
        tick = _dtypes.tick(name, self.plan.unit) if is_time else Fraction(1)
        factor: Any = chain.coefficient
        if not isinstance(factor, complex):
            factor = Fraction(factor)
            passes = any(isinstance(step, Along) for step in chain.steps)
            limit = _safe_exponent(self.precision.real) // 2
            if passes and factor and abs(_exponent(factor)) > limit:
                # With the divisor it may come to something that the dtype holds.
                tick, factor = tick * factor, Fraction(1)
        steps: list[Passage | Product] = []
        for step in chain.steps:
            if isinstance(step, Times):
                steps.append(Product(self._slot(step.slot, step.form), step.part))
            else:
                split = 0 if steps else self.precision.splits[chain.source]
                is_last = len(steps) == len(chain.steps) - 1
                whole = is_divided or not is_last
                steps.append(self._passage(step, Fraction(1) if steps else tick, split, whole))
                tick = tick if len(steps) > 1 else Fraction(1)
        factor = factor * (float(tick) if isinstance(factor, complex) else tick)
        # The identity is multiplied by 1, because a result must not be the input itself.
        one = factor == 1 and steps
        number = None if one else self._constant(factor)
        return Sequel(chain.source, chain.trim, tuple(steps), number)

    def _constant(self, value: Any) -> Any:
        if isinstance(value, complex):
            exact = np.asarray(value, self.precision.compute)
            self.uploads = True
            return _array.table(self.xp, exact, self.like)
        return _array.constant(self.xp, Fraction(value), self.precision.real)

    # --- rules --------------------------------------------------------------------------------

    def _passage(self, step: Along, tick: Fraction, split: int, is_divided: bool) -> Passage:
        key = (id(step.rule.rows), step.axis, repr(step.walls), tick, split, is_divided)
        if key not in self.passages:
            pieces = (self._piece(step, rows, tick, split, is_divided) for rows in step.rule.rows)
            is_complex = any(map(self._is_complex, step.walls))
            unit = step.rule.unit
            self.passages[key] = Passage(
                step.axis,
                tuple(pieces),
                self.compute if is_complex else None,
                None if unit is None else step.rule.scale / tick / unit,
            )
        return self.passages[key]

    def _piece(
        self, step: Along, rows: Rows, tick: Fraction, split: int, is_divided: bool
    ) -> Piece:
        rule = step.rule
        unit = None if is_divided else rule.unit
        weights, scale = self._numbers(rows.weights, rule.scale / tick, unit)
        real = self.precision.real
        of_tables, fit = self._weight_precision(rule, rule.scale / tick / scale)
        divisors = self._divisors(scale) if is_divided else ()
        differences: list[tuple[Any, Any, Any]] = []
        for pair, weight in zip(rows.pairs, weights, strict=True):
            upper, lower = (self._point(step, rows, point, split) for point in pair)
            if upper is lower is None:
                continue  # what is known at the wall is 0
            if isinstance(weight, Fraction):
                size = abs(weight)
                number = None if size == 1 else _array.constant(self.xp, size, real)
                differences.append((upper, lower, number) if weight > 0 else (lower, upper, number))
            else:
                number = self._column(weight, step.axis, of_tables, fit)
                differences.append((upper, lower, number))
        points = [point for high, low, _ in differences for point in (high, low)]
        is_plain = all(isinstance(point, Window) and point.is_plain for point in points)
        if differences and is_plain:
            differences = [(h.segments[0][0], low.segments[0][0], n) for h, low, n in differences]
            return Piece(tuple(differences), divisors, True, True, rows.stop - rows.start)
        is_full = any(isinstance(point, Window) for point in points)
        return Piece(tuple(differences), divisors, False, is_full, rows.stop - rows.start)

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
        segments = step.rule.segments(rows.start + point, rows.stop + point)
        ndim = len(self.plan.shape)
        return Window(
            tuple(
                (_along(step.axis, ndim, slice(begin, end)), sign) for begin, end, sign in segments
            ),
            step.axis,
        )

    def _numbers(
        self, weights: tuple[Fraction, ...] | np.ndarray, scale: Fraction, unit: Fraction | None
    ) -> tuple[Sequence[Any], Fraction]:
        """Weights and divisor with the same quotient, all of a size that the dtype can hold.

        Exact weights become integers over a power of two, so that the divisor takes the only
        rounding. Tables take in the divisor where it is a power of two within range.
        """
        if not len(weights):
            return [], Fraction(1)
        if not isinstance(weights, np.ndarray):
            unit = unit_of(weights) if unit is None else unit
            return [w / unit for w in weights], scale / unit
        if scale == 1:
            return list(weights), scale
        exponent = _exponent(scale)
        if scale != Fraction(2) ** exponent or abs(exponent) > _safe_exponent(self.precision.real):
            return list(weights), scale
        # A product with a power of two is as exact as `ldexp`, which takes one number at a time.
        return list(weights * np.ldexp(np.longdouble(1), -exponent)), Fraction(1)

    def _weight_precision(self, rule: Rule, folded: Fraction) -> tuple[str, bool]:
        """The real dtype of a table, and whether that holds all weights.

        It is float64 for weights over more decades than float32 has.
        """
        smallest, largest = (power - _exponent(folded) for power in rule.exponents)
        real = self.precision.real
        if real == "float32" and not (smallest > -125 and largest < 128):
            real = _array.default_real(self.like)
        return real, largest < np.finfo(real).maxexp

    def _column(self, weights: np.ndarray, axis: int, real: str, fit: bool) -> Array:
        """Per-row weights, shaped to multiply along an axis."""
        trailing = len(self.plan.shape) - axis - 1
        if not fit:
            # An infinite weight would turn the difference 0 into NaN.
            limit = np.finfo(real).max
            weights = np.clip(weights, -limit, limit)
        values = weights.astype(real, copy=False)
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


def _shared_divisor(sequels: Sequence[Sequel]) -> Fraction | None:
    """What the last rules of several terms are all over, if nothing comes after them."""
    shared: set[Fraction | None] = set()
    for sequel in sequels:
        last = sequel.steps[-1] if sequel.steps and sequel.coefficient is None else None
        if not isinstance(last, Passage) or last.dtype is not None:
            return None
        shared.add(last.divisor)
    return shared.pop() if len(sequels) > 1 and len(shared) == 1 else None


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
