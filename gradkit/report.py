"""Plans as text: the stencil of one result as a picture, and the explanation of a whole plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf, lcm
from typing import TYPE_CHECKING, Any

import numpy as np

from gradkit._array import Array, as_array, namespace
from gradkit._values import nearest_float
from gradkit.boundaries import Boundary, Condition
from gradkit.chains import Along, Wall
from gradkit.errors import ArgumentTypeError, ArgumentValueError, integer, is_index
from gradkit.methods import CORRECTION, WALL, Rows, Rule, is_open

if TYPE_CHECKING:
    from gradkit.plan import Plan

__all__ = ["PointStencil", "Report", "explanation", "point_stencil"]


class Report(str):
    """Text that shows as it is where a value is displayed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


# --- the stencil of one result ------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class PointStencil:
    """With which weights one result takes the values around it.

    Attributes
    ----------
    index : tuple of int
        Index of the result.
    offsets : tuple of tuple of int
        Index of each value minus that of the result, in order; beyond the end of an axis that wraps
        stand the values of its other end.
    weights : tuple of float or complex
        The weight of each, spacing and coefficients included.
    constant : float or complex
        What the values known at walls add.
    """

    index: tuple[int, ...]
    offsets: tuple[tuple[int, ...], ...]
    weights: tuple[Any, ...]
    constant: Any = 0.0

    def __repr__(self) -> str:
        place = self.index[0] if len(self.index) == 1 else self.index
        lines = [f"PointStencil at {place}:", *(f"  {line}".rstrip() for line in self._picture())]
        if self.constant:
            lines.append(f"  + {_short(self.constant)} from the walls")
        return "\n".join(lines)

    def _picture(self) -> list[str]:
        axes = [a for a in range(len(self.index)) if len({k[a] for k in self.offsets}) > 1]
        if not self.offsets:
            return ["0"]
        if not self.index:
            return [_short(self.weights[0])]
        if len(axes) == 2:
            return self._table(*axes)
        if len(axes) > 2:
            texts = [str(offset) for offset in self.offsets]
            width = max(map(len, texts))
            pairs = zip(texts, self.weights, strict=True)
            return [f"{text:<{width}} {_short(weight)}" for text, weight in pairs]
        axis = axes[0] if axes else 0
        heads = [f"{k[axis]:+d}" if k[axis] else "0" for k in self.offsets]
        cells = [_short(weight) for weight in self.weights]
        width = max(map(len, heads + cells))
        where = f"along axis {axis}: " if axes and len(self.index) > 1 else ""
        return [
            f"{where}offset " + " ".join(f"{text:>{width}}" for text in heads),
            f"{where}weight " + " ".join(f"{text:>{width}}" for text in cells),
        ]

    def _table(self, down: int, across: int) -> list[str]:
        cells = {
            (k[down], k[across]): _short(weight)
            for k, weight in zip(self.offsets, self.weights, strict=True)
        }
        width = max(map(len, cells.values()))
        rows = range(min(i for i, _ in cells), max(i for i, _ in cells) + 1)
        columns = range(min(j for _, j in cells), max(j for _, j in cells) + 1)
        return [" ".join(f"{cells.get((i, j), ''):>{width}}" for j in columns) for i in rows]


def _short(number: Any) -> str:
    return f"{number:.6g}"


def point_stencil(plan: Plan, index: Any, output: int, input: int) -> PointStencil:
    """The stencil of one result of a plan; see `Plan.stencil`."""
    for name, number, count in (
        ("output", output, len(plan.output_shapes)),
        ("input", input, len(plan.input_shapes)),
    ):
        if integer(name, number, 0) >= count:
            raise ArgumentValueError(f"{name}={number} does not exist: the plan has {count}")
    place = _index(index, plan.output_shapes[output])
    weights: dict[tuple[int, ...], Any] = {}
    constant: Any = 0
    for chain in plan.bound.outputs[output]:
        if chain.source == input:
            found, known = chain.row(place, plan.parameters)
            for point, weight in found.items():
                weights[point] = weights.get(point, 0) + weight
            constant += known
    kept = {k: w for k, w in sorted(weights.items()) if w}
    return PointStencil(
        place,
        tuple(tuple(int(a - b) for a, b in zip(k, place, strict=True)) for k in kept),
        tuple(map(_number, kept.values())),
        _number(constant),
    )


def _number(value: Any) -> Any:
    return value if isinstance(value, complex) else nearest_float(Fraction(value))


def _index(index: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(index, np.ndarray):
        index = index.tolist()
    parts = tuple(index) if isinstance(index, Sequence) else (index,)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if not all(map(is_index, parts)):
        raise ArgumentTypeError(f"index={index!r} is not an integer or a tuple of integers")
    if len(parts) != len(shape):
        raise ArgumentValueError(f"index={index!r} has {len(parts)} entries: wanted {len(shape)}")
    for axis, (i, n) in enumerate(zip(parts, shape, strict=True)):
        if not -n <= i < n:
            raise ArgumentValueError(
                f"index={index!r} does not exist: axis {axis} has {n} results, so {-n} to {n - 1}"
            )
    return tuple(int(i) % n for i, n in zip(parts, shape, strict=True))


# --- the explanation of a plan ------------------------------------------------------------------


def explanation(plan: Plan, inputs: Sequence[Any]) -> Report:
    """What a call of a plan does; see `Plan.explain`."""
    size = " x ".join(map(str, plan.shape)) or "()"
    form = f", {plan.form}" if plan.form else ""
    lines = [f"{plan.operator!r} on {size} points, {plan.method!r}{form}"]
    steps = list(plan.bound.alongs())
    for number, axis in enumerate(plan.grid.axes):
        along = {id(step.rule.rows): step for step in steps if step.axis == number}
        if not along:
            continue
        lines.append(f"axis {number}: {repr(axis).removeprefix('Axis(').removesuffix(')')}")
        for step in along.values():
            if step.rule.label == CORRECTION:
                continue
            magnitudes = ", magnitudes" if step.rule.is_magnitude else ""
            transposed = ", transposed" if step.rule.is_transposed else ""
            lines.append(f"  {step.rule.label}{magnitudes}{transposed}")
            lines.extend(f"    {text}" for text in _rows_text(step, axis.ends if axis else ()))
    if plan.parameters:
        shapes = ", ".join(" x ".join(map(str, p.shape)) for p in plan.parameters)
        lines.append(f"arrays multiplied by, or known along walls: {shapes}")
    lines.append(
        f"halo {plan.halo}, at least {plan.minimum_bytes()} bytes in float64 "
        f"({plan.reads} array{'s' * (plan.reads > 1)} read, {plan.writes} written)"
    )
    arrays: list[Array] = [as_array(f, f"inputs[{i}]") for i, f in enumerate(inputs)]
    if not arrays:
        # No memory is taken: only the library and the dtype matter.
        zero = plan.bound.zero()
        arrays = [namespace(zero).broadcast_to(zero, shape) for shape in plan.input_shapes]
    lines.append(type(plan).engine_report(plan, arrays))
    return Report("\n".join(lines))


def _rows_text(step: Along, ends: Sequence[Boundary | None]) -> Iterator[str]:
    for rows in _merged(step.rule):
        last = rows.stop - 1
        where = f"row {last}" if rows.start == last else f"rows {rows.start} to {last}"
        used = {
            name: end
            for name, end in zip(WALL, ends, strict=True)
            if isinstance(end, Condition) and any(name in pair for pair in rows.pairs)
        }
        unsettled = [f"{end!r} at the {name}" for name, end in used.items() if is_open(end)]
        if unsettled:
            yield f"{where}: settled point by point by {' and '.join(unsettled)}"
            continue
        texts = [f"{where}: {_formula(rows, step.rule, used)}"]
        for name, end in used.items():
            texts.append(f"{_stated(end)}known at the {name}: {_value(step, name, end)}")
        yield ", ".join(texts)


def _stated(end: Condition) -> str:
    """What a condition states beside a plain value."""
    if not end.b:
        return ""
    return f"{end.a} f + {end.b} df/dn " if end.a else "outward slope "


def _value(step: Along, name: str, end: Condition) -> str:
    """What is known, as it was stated: rules hold it over the factor of f."""
    known = step.walls[WALL.index(name)]
    if isinstance(known, Wall):
        return "an array"
    return f"{known * end.a if end.a and end.b else known}"


def _merged(rule: Rule) -> list[Rows]:
    """The rows of a rule, those that take the same weights one after the other as one."""
    found: list[Rows] = []
    for rows in rule.rows:
        last = found[-1] if found else None
        alike = last is not None and last.pairs == rows.pairs
        if last is not None and alike and _alike(last.weights, rows.weights):
            weights = rows.weights
            if isinstance(weights, np.ndarray):
                weights = np.concatenate([np.asarray(last.weights), weights], axis=1)
            found[-1] = Rows(last.start, rows.stop, rows.pairs, weights, rows.accuracy)
        else:
            found.append(rows)
    return found


def _alike(a: Any, b: Any) -> bool:
    return isinstance(a, np.ndarray) or a == b


def _formula(rows: Rows, rule: Rule, used: Mapping[str, Condition]) -> str:
    weights = {k: w for k, w in rows.collected().items() if np.any(w)}
    names = {
        k: f"f[{k}]" if isinstance(k, int) else f"{k}" if len(used) > 1 else "wall" for k in weights
    }
    is_derivative = rule.order > 0 and not (rule.is_transposed or rule.is_magnitude)
    error = f" + O(h^{rows.accuracy})" if is_derivative else ""
    left = f"f{chr(39) * rule.order}(x) = " if is_derivative and rule.order < 4 else ""
    if not weights:
        return f"{left}0"
    ordered = sorted(weights, key=_position)
    if isinstance(rows.weights, np.ndarray):
        points = ", ".join(names[k] for k in ordered)
        return f"{left}{points}, weights by position{error}"
    if any(end.b for end in used.values()):
        # Slopes come with the spacing, so that no symbol stands for it.
        shares = {k: w / rule.scale for k, w in weights.items()}
        for name, end in used.items():
            shares[name] = shares.get(name, Fraction(0)) / Fraction(end.a or 1)
        terms = [_signed(Fraction(float(f"{float(shares[k]):.6g}")), names[k]) for k in ordered]
        return f"{left}{_sum_of(terms)}{error}"
    common = lcm(*(w.denominator for w in weights.values()))
    common = common if common <= 10**6 else 1
    terms = [_signed(weights[k] * common, names[k]) for k in ordered]
    total = _sum_of(terms)
    divisor = _divisor(common, rule)
    if not divisor:
        return f"{left}{total}{error}"
    return f"{left}{f'({total})' if len(terms) > 1 else total} / {divisor}{error}"


def _sum_of(terms: Sequence[str]) -> str:
    total = "".join(terms).removeprefix(" + ")
    return f"-{total.removeprefix(' - ')}" if total.startswith(" - ") else total


def _position(point: Any) -> float:
    return point if isinstance(point, int) else -inf if point == WALL[0] else inf


def _signed(weight: Fraction, name: str) -> str:
    size = abs(weight)
    text = f"{size}" if size.denominator == 1 else f"{float(size):.6g}"
    return f" {'-' if weight < 0 else '+'} {'' if size == 1 else f'{text} '}{name}"


def _divisor(common: int, rule: Rule) -> str:
    spacing = {0: "", 1: "h"}.get(rule.order, f"h^{rule.order}")
    if not rule.order and rule.scale != 1:
        spacing = f"{float(rule.scale):.6g}"
    parts = ([str(common)] if common != 1 else []) + ([spacing] if spacing else [])
    return f"({' '.join(parts)})" if len(parts) > 1 else "".join(parts)
