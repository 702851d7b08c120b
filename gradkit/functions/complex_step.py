"""The complex step: the derivative of an analytic function without any difference.

``f(x + i h) = f(x) + i h f'(x) - h**2 f''(x) / 2 ...``, so the imaginary part over h is the
derivative, however small h is (Squire and Trapp 1998). It is silently wrong where f is not analytic
(abs, conj, comparisons), so a real difference of known error must agree with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradkit._array import Array, Namespace
from gradkit._dtypes import dtype_name, kind
from gradkit.errors import ArgumentTypeError
from gradkit.functions.evaluate import Asking
from gradkit.functions.history import NOT_ANALYTIC, Found

__all__ = ["complex_step"]

#: Steps as parts of the first real step: so small that their squares are nothing beside 1, and with
#: different mantissas, so that their results tell how they are rounded.
PARTS = (2.0**-60, 2.0**-60 * 5 / 7, 2.0**-60 * 9 / 11)


def complex_step(
    xp: Namespace,
    x: Array,
    args: Sequence[Any],
    longest: Array,
    real: Found,
    epsilon: float,
) -> Asking[Found]:
    """The derivative by complex steps, with the verdict of a real difference.

    Parameters
    ----------
    xp : namespace
        Namespace of the arrays.
    x : Array
        Points, ``(lanes,)``.
    args : sequence
        Arguments of the function that go with the points.
    longest : Array
        First real steps, ``(lanes,)``.
    real : Found
        What real differences found.
    epsilon : float
        Relative rounding of the values.

    Raises
    ------
    ArgumentTypeError
        If the function is not real at real points.
    """
    if kind(dtype_name(real.value.dtype)) == "complex":
        raise ArgumentTypeError(
            "func returns complex values at real points: method='complex' needs real ones there"
        )
    complex_dtype = xp.result_type(x.dtype, xp.complex64)
    steps = xp.stack([longest * part for part in PARTS])
    points = xp.astype(x + xp.zeros_like(steps), complex_dtype) + 1j * xp.astype(
        steps, complex_dtype
    )
    values = yield points, args
    if kind(dtype_name(values.dtype)) != "complex":  # the function dropped the imaginary part
        values = xp.astype(values, xp.result_type(values.dtype, complex_dtype))
    slopes = [xp.imag(values[k, ...]) / steps[k, ...] for k in range(len(PARTS))]
    value = slopes[0]
    spread = xp.maximum(xp.abs(slopes[1] - value), xp.abs(slopes[2] - value))
    error = 2 * spread + 4 * epsilon * xp.abs(value)
    contradicted = xp.abs(value - real.value) > 10 * real.error
    flaw = xp.where(contradicted, xp.full_like(real.flaw, NOT_ANALYTIC), real.flaw)
    # Where neither a value nor its check is finite, there is nothing to compare.
    missing = ~(xp.isfinite(error) & xp.isfinite(real.error))
    error = xp.where(missing, xp.full_like(error, float("inf")), error)
    flaw = xp.where(missing, xp.zeros_like(flaw), flaw)
    return real._replace(
        value=value,
        error=error,
        flaw=flaw,
        evaluations=real.evaluations + len(PARTS),
        step=longest * PARTS[0],
    )
