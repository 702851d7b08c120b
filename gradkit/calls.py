"""The arrays of a call of a plan: checked before anything is computed or written."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from gradkit import _array, _dtypes, _targets
from gradkit._array import Array
from gradkit.chains import Parameter
from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.grid import Axis

__all__ = [
    "MOST_LAYOUTS",
    "check_parameters",
    "check_times",
    "checked_inputs",
    "checked_targets",
    "layout",
    "refuse_nan",
]

Shape = tuple[int, ...]

#: Layouts of arrays that a plan keeps calls for.
MOST_LAYOUTS = 64


def layout(f: Array, out: Any) -> tuple[Any, ...] | None:
    """What is alike in calls whose arrays differ in values, addresses and flags alone.

    None where there is no target, or one is not of the type of `f`, which is that of NumPy's or
    CuPy's own arrays.
    """
    if out is None:
        return (f.dtype, f.shape, f.strides)
    if type(out) is type(f):
        return (f.dtype, f.shape, f.strides, out.dtype, out.shape, out.strides)
    if not isinstance(out, list | tuple) or not out:
        return None
    if not all(type(part) is type(f) for part in out):
        return None
    parts = [(part.dtype, part.shape, part.strides) for part in out]
    return (f.dtype, f.shape, f.strides, *parts)


def checked_inputs(f: Any, shapes: Sequence[Shape]) -> tuple[Array, ...]:
    """The inputs as a tuple of arrays of one library and device, of the shapes given."""
    if len(shapes) == 1:
        f = _array.as_array(f, "f")
        _check_shape("f", f.shape, shapes[0])
        return (f,)
    count = _array.count(f)
    if count is None or count != len(shapes):
        given = f"is of type {type(f).__name__}" if count is None else f"has {count} components"
        stacked = " or stacked along the first axis" if len(set(shapes)) == 1 else ""
        raise (ArgumentTypeError if count is None else ArgumentValueError)(
            f"f {given}: wanted {len(shapes)} arrays, as a sequence{stacked}"
        )
    components = tuple(_array.component(f, i, "f") for i in range(count))
    for i, (component, shape) in enumerate(zip(components, shapes, strict=True)):
        _check_shape(f"f[{i}]", component.shape, shape)
    _array.same_place([(f"f[{i}]", c) for i, c in enumerate(components)])
    return components


def _check_shape(name: str, shape: Shape, wanted: Shape) -> None:
    if tuple(shape) != wanted:
        raise ArgumentValueError(
            f"{name} has shape {tuple(shape)}: this plan was made for shape {wanted}"
        )


def checked_targets(
    out: Any, shapes: Sequence[Shape], same: Sequence[int], dtype: Any, inputs: Sequence[Array]
) -> list[Array]:
    """The array that each output goes to.

    Parameters
    ----------
    out : array or sequence of arrays
        As the user gave it.
    shapes : sequence of tuple
        Shape of each output.
    same : sequence of int
        Per output, the number of the first one that is equal to it; equal ones may be one array.
    dtype : dtype
        That of the results.
    inputs : sequence of array
        The inputs of the call, which no target may overlap.
    """
    if len(shapes) == 1:
        _targets.check_target("out", out, shapes[0], dtype, inputs)
        return [out]
    if isinstance(out, Sequence) and len(out) == len(shapes):  # pyright: ignore[reportUnknownArgumentType]
        targets, names = list(out), [f"out[{i}]" for i in range(len(shapes))]
    else:
        raise ArgumentTypeError(f"out must be a sequence of {len(shapes)} arrays")
    for name, target, shape in zip(names, targets, shapes, strict=True):
        _targets.check_target(name, target, shape, dtype, inputs)
    for i, j in combinations(range(len(shapes)), 2):
        a, b = targets[i], targets[j]
        # Equal results in one array are written as one; in parts of it they would spoil each other.
        is_one = same[i] == same[j] and _targets.is_same_memory(a, b)
        if not is_one and _targets.shares_memory(a, b):
            raise ArgumentValueError(f"{names[i]} and {names[j]} share memory")
    return targets


def check_parameters(parameters: Sequence[Parameter], f: Array) -> None:
    """Raise unless the arrays of a plan are on the host, or where an input is."""
    for parameter in parameters:
        array = parameter.array
        if isinstance(array, np.ndarray):
            continue
        if not (_array.is_dask(f) and _array.library(array) in _array.chunked(f)):
            _array.same_place([("f", f), (f"a {parameter.name}", array)])


def check_times(names: Sequence[str], axes: Sequence[Axis | None]) -> None:
    """Raise if inputs of these dtypes are times, and an axis continues them as they cannot be."""
    kinds = {_dtypes.kind(name) for name in names}
    if not kinds & {"datetime", "timedelta"}:
        return
    if any(axis is not None and axis.ends != (None, None) for axis in axes):
        raise ArgumentTypeError(
            "conditions at walls are not served for datetime64 and timedelta64: convert f to "
            "numbers first"
        )
    if "datetime" in kinds and any(axis is not None and axis.wrap < 0 for axis in axes):
        raise ArgumentTypeError(
            "boundary='antiperiodic' continues f with its negatives, which dates do not have"
        )


def refuse_nan(inputs: Sequence[Array]) -> None:
    """Raise if an input holds NaN; the blocks of Dask arrays are checked when they are computed."""
    for i, f in enumerate(inputs):
        name = "f" if len(inputs) == 1 else f"f[{i}]"
        if _array.is_dask(f):
            return
        visible = f.compressed() if isinstance(f, np.ma.MaskedArray) else f
        found = _array.any_nan(_array.namespace(f), visible)
        try:
            holds_nan = bool(found)
        except (TypeError, RuntimeError):
            raise ArgumentTypeError(
                f"nan='raise' must look at the values of {name}, which are traced here: check them "
                "outside jit and vmap, or use nan='propagate'"
            ) from None
        if holds_nan:
            raise ArgumentValueError(f"{name} holds NaN and nan='raise' was given")
