"""How coarse values are: where large terms were taken away again, their last digits are 0.

The rounding of a sum ``(c + s) - c`` is that of c, though its value is that of s. The value is then
a multiple of the unit in the last place of c, which is far coarser than its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradkit import _array
from gradkit._array import Array, Namespace
from gradkit._dtypes import dtype_name, epsilon

__all__ = ["grain"]

#: How many times coarser than their own rounding values must be to tell, in a few of them.
COARSE = 2**8

#: How much coarser a unit is than the one tried before.
GROWTH = 4


def grain(
    xp: Namespace, few: list[Array], every: list[Array], size: Array, precision: float
) -> Array:
    """The unit of which all values are multiples, 0 where it may be that of their own rounding.

    Values that are all the same tell nothing.

    Parameters
    ----------
    xp : namespace
        Namespace of the arrays.
    few : list of Array
        Some values ``(..., lanes)``, the first of them at the point itself.
    every : list of Array
        All values ``(levels, ..., lanes)``.
    size : Array
        The largest magnitude of the few values.
    precision : float
        Relative rounding of the values.
    """
    own = epsilon(dtype_name(size.dtype))
    unit = (COARSE * precision / own) * size
    found = xp.zeros_like(size)
    traced = _array.is_traced(size)
    coarse = _is_whole(xp, few[0], unit) & _is_whole(xp, few[-1], unit)
    if not traced and not bool(xp.any(coarse)):
        return found  # that settles it mostly
    differ = few[0] != few[-1]
    for values in few[1:-1]:
        differ = differ | (values != few[0])
        coarse = coarse & _is_whole(xp, values, unit)
    coarse = coarse & differ
    while traced or bool(xp.any(coarse)):
        found = xp.where(coarse, own * unit, found)
        if COARSE * precision >= 1:
            break
        precision, unit = GROWTH * precision, GROWTH * unit
        for values in every:
            coarse = coarse & xp.all(_is_whole(xp, values, unit), axis=0)
    return found


def _is_whole(xp: Namespace, values: Array, unit: Array) -> Array:
    """Whether values are multiples of the last place of a number that is larger than they."""
    whole = None
    for part in _real_parts(xp, values):
        same = (part + unit) - unit == part
        whole = same if whole is None else whole & same
    assert whole is not None
    return whole


def _real_parts(xp: Namespace, values: Array) -> Iterator[Array]:
    if xp.isdtype(values.dtype, "complex floating"):
        yield xp.real(values)
        yield xp.imag(values)
    else:
        yield values
