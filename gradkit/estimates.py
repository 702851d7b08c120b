"""Estimates of the error of a result: truncation against rounding, point by point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gradkit import _array, _dtypes
from gradkit._array import Array
from gradkit.errors import ArgumentValueError

if TYPE_CHECKING:
    from gradkit.plan import Plan

__all__ = ["ErrorEstimate", "error_estimate"]


@dataclass(frozen=True, eq=False, repr=False)
class ErrorEstimate:
    """How wrong a result may be, and why.

    Attributes
    ----------
    truncation : array, or tuple of arrays
        The difference to a method two orders more accurate, one array per output: the error that a
        finer grid or a higher accuracy would take away.
    rounding : array, or tuple of arrays
        What the rounding of the input may do: the precision of the dtype times the sum of the
        magnitudes of all products, about ``eps |f| / h**order``.
    """

    truncation: Any
    rounding: Any

    @property
    def share(self) -> float:
        """The share of the points at which truncation is the larger part; looks at the values.

        Points where a part is NaN or infinite do not count.
        """
        pairs = list(zip(_on_host(self.truncation), _on_host(self.rounding), strict=True))
        larger = sum(int(np.count_nonzero((t > r) & np.isfinite(t))) for t, r in pairs)
        known = sum(int(np.count_nonzero(np.isfinite(t) & np.isfinite(r))) for t, r in pairs)
        return larger / max(known, 1)

    @property
    def advice(self) -> str:
        """Which part dominates, and what would make the result better."""
        pairs = list(zip(_on_host(self.truncation), _on_host(self.rounding), strict=True))
        finite = [np.isfinite(t) & np.isfinite(r) for t, r in pairs]
        if any(kept.size for kept in finite) and not any(kept.any() for kept in finite):
            return "nothing is known: all results are infinite, NaN or masked"
        truncation, rounding = (
            max(
                float(pair[k][kept].max(initial=0))
                for pair, kept in zip(pairs, finite, strict=True)
            )
            for k in (0, 1)
        )
        infinite = sum(int(np.count_nonzero(np.isinf(t) | np.isinf(r))) for t, r in pairs)
        points = f"{infinite} point{'s' * (infinite > 1)}"
        beside = f"; nothing is known at {points} with infinite values" if infinite else ""
        if truncation == rounding == 0:
            return f"neither dominates: both are 0 at all points{beside}"
        sizes = f"(at most {truncation:.1e} against {rounding:.1e})"
        share = self.share
        if share > 0.5:
            return (
                f"truncation dominates at {share:.0%} of the points {sizes}: a higher accuracy or "
                f"a finer grid helps{beside}"
            )
        return (
            f"rounding dominates at {1 - share:.0%} of the points {sizes}: a higher accuracy or a "
            "finer grid does not help; a wider spacing, smoother data or a wider dtype does"
            f"{beside}"
        )

    def __repr__(self) -> str:
        if any(map(_array.is_dask, _tuple(self.truncation))):
            return "ErrorEstimate of dask arrays: .advice computes them"
        return f"ErrorEstimate: {self.advice}"


def _tuple(values: Any) -> tuple[Array, ...]:
    return values if isinstance(values, tuple) else (values,)  # pyright: ignore[reportUnknownVariableType]


def _on_host(values: Any) -> list[np.ndarray]:
    """The values, computed where they are lazy, NaN where they are masked."""
    return [
        part.filled(np.nan)
        if isinstance(part, np.ma.MaskedArray)
        else _array.to_host(_array.detached(part), "estimate")
        for part in _tuple(values)
    ]


def error_estimate(plan: Plan, f: Any) -> ErrorEstimate:
    """Estimate the error of ``plan(f)``; see `Plan.error_estimate`."""
    results = plan(f)
    try:
        refined = plan.refined
    except ArgumentValueError as error:
        raise ArgumentValueError(
            f"the estimate compares with a method two orders more accurate: {error}"
        ) from None
    better = refined(f)
    inputs = [_magnitude(part, plan.unit) for part in _inputs(f, plan.reads)]
    sums = plan.magnitude.apply(inputs)
    xp = _array.namespace(_tuple(results)[0])
    pairs = zip(_tuple(better), _tuple(results), strict=True)
    with np.errstate(invalid="ignore"):  # infinite results differ by NaN
        truncation = tuple(xp.abs(a - b) for a, b in pairs)
    eps = float(xp.finfo(_tuple(results)[0].dtype).eps)
    rounding = tuple(xp.abs(part) * eps for part in sums)
    if isinstance(results, tuple):
        return ErrorEstimate(truncation, rounding)
    return ErrorEstimate(truncation[0], rounding[0])


def _inputs(f: Any, count: int) -> list[Array]:
    if count == 1:
        return [_array.as_array(f, "f")]
    return [_array.component(f, i, "f") for i in range(count)]


def _magnitude(f: Array, unit: str) -> Array:
    """The magnitudes whose products are rounded; of times, whose differences are exact, those."""
    xp, name = _array.namespace(f), _dtypes.dtype_name(f.dtype)
    family = _dtypes.kind(name)
    if family in ("datetime", "timedelta"):
        first = f.min() if _array.is_dask(f) else np.fmin.reduce(f, axis=None)
        ticks = (f - first) / np.timedelta64(1, np.datetime_data(f.dtype))
        return ticks * float(_dtypes.tick(name, unit))
    if family not in ("float", "complex"):
        f = xp.astype(f, _array.native(xp, _array.default_real(f)))
    return xp.abs(f)
