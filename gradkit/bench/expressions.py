"""Derivatives as expressions of shifted views, each a text and its parts, for numexpr."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradkit._array import Array
from gradkit.bench.cases import SPACING

__all__ = ["laplacian_expression", "slope_expression"]


def slope_expression(f: Array, axis: int, x: Array | None) -> tuple[str, dict[str, Any]]:
    """What NumPy computes inside, as one expression of shifted views."""
    views = dict(zip("lmr", _shifted(f, axis), strict=True))
    if x is None:
        return "(r - l) / d", {"r": views["r"], "l": views["l"], "d": f.dtype.type(2 * SPACING)}
    before, after = np.diff(x)[:-1], np.diff(x)[1:]
    weights = {
        "a": -after / (before * (before + after)),
        "b": (after - before) / (before * after),
        "c": before / (after * (before + after)),
    }
    along = (-1,) + (1,) * (f.ndim - 1 - axis)
    return "a*l + b*m + c*r", {**views, **{k: w.reshape(along) for k, w in weights.items()}}


def laplacian_expression(f: Array) -> tuple[str, dict[str, Any]]:
    """The sum of second differences inside, as one expression of shifted views."""
    inner = (slice(1, -1),) * f.ndim
    parts = {"m": f[inner], "n": f.dtype.type(2 * f.ndim), "d": f.dtype.type(SPACING**2)}
    for axis in range(f.ndim):
        others = tuple(slice(None) if a == axis else slice(1, -1) for a in range(f.ndim))
        low, _, high = _shifted(f[others], axis)
        parts |= {f"l{axis}": low, f"r{axis}": high}
    total = " + ".join(name for name in parts if name[0] in "lr")
    return f"({total} - n*m) / d", parts


def _shifted(f: Array, axis: int) -> tuple[Array, Array, Array]:
    """The neighbours before, the points, and the neighbours after them, along an axis."""
    ends = (slice(None, -2), slice(1, -1), slice(2, None))
    before, at, after = (f[(slice(None),) * axis + (part,)] for part in ends)
    return before, at, after
