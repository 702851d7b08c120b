"""The complex step: the derivative of an analytic function without any difference.

``f(x + i h) = f(x) + i h f'(x) - h**2 f''(x) / 2 ...``, so the imaginary part over h is the
derivative, however small h is (Squire and Trapp 1998). It is silently wrong where f is not analytic
(abs, conj, comparisons), so a real difference of known error must agree with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from gradkit._array import Array, Namespace
from gradkit._dtypes import dtype_name, kind
from gradkit.errors import ArgumentTypeError
from gradkit.functions.evaluate import Asking
from gradkit.functions.history import NOT_ANALYTIC, Found
from gradkit.functions.steps import of_lanes
from gradkit.weights import exact_weights

__all__ = ["complex_step"]

#: Steps as parts of the first real step: so small that their squares are nothing beside 1, and with
#: different mantissas, so that their results tell how they are rounded.
PARTS = (2.0**-60, 2.0**-60 * 5 / 7, 2.0**-60 * 9 / 11)

#: Points beside x, and their unit as a part of the steps that served a real difference: over these
#: the derivative of a smooth function is a cubic, but for its rounding, which is another one at
#: each of them, because their distances have nothing in common.
BESIDE = tuple(
    Fraction(*k) for k in ((-23, 7), (-11, 5), (-12, 11), (0, 1), (10, 9), (15, 7), (40, 13))
)
NEAR = 2.0**-12

#: Weights of the fourth differences of five neighbours, which cubics have none of.
FOURTH = tuple(tuple(map(float, exact_weights(BESIDE[k : k + 5], 4))) for k in range(3))


def complex_step(
    xp: Namespace,
    x: Array,
    args: Sequence[Any],
    longest: Array,
    real: Found,
    epsilon: float,
    room: Array | None,
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
    room : Array or None
        Distances to the nearer bounds, ``(lanes,)``, None without bounds.

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
    # Steps over which real differences did not converge tell nothing of how func varies.
    is_sure = real.error <= real.limit
    near = NEAR * of_lanes(xp.where(is_sure, real.step, longest), xp.min)
    near = near if room is None else xp.minimum(near, room / len(BESIDE))
    beside = xp.stack([x + float(k) * near for k in BESIDE])
    steps = xp.stack([longest * PARTS[k % len(PARTS)] for k in range(len(BESIDE))])
    points = xp.astype(beside, complex_dtype) + 1j * xp.astype(steps, complex_dtype)
    values = yield points, args
    if kind(dtype_name(values.dtype)) != "complex":  # the function dropped the imaginary part
        values = xp.astype(values, xp.result_type(values.dtype, complex_dtype))
    with np.errstate(all="ignore"):
        slopes = [xp.imag(values[k, ...]) / steps[k, ...] for k in range(len(BESIDE))]
        value = slopes[BESIDE.index(0)]
        error = _unsmooth(xp, slopes) / 2 + 4 * epsilon * xp.abs(value)
        gap = xp.abs(value - real.value)
        contradicted = gap > 10 * real.error
        # Where the two contradict each other, either may be wrong.
        error = xp.where(contradicted, xp.maximum(error, gap), error)
    flaw = xp.where(contradicted & is_sure, xp.full_like(real.flaw, NOT_ANALYTIC), real.flaw)
    # Where neither a value nor its check is finite, there is nothing to compare.
    missing = ~(xp.isfinite(error) & xp.isfinite(real.error))
    error = xp.where(missing, xp.full_like(error, float("inf")), error)
    flaw = xp.where(missing, xp.zeros_like(flaw), flaw)
    return real._replace(
        value=value,
        error=error,
        flaw=flaw,
        evaluations=real.evaluations + len(BESIDE),
        step=longest * PARTS[0],
    )


def _unsmooth(xp: Namespace, slopes: Sequence[Array]) -> Array:
    """What func rounds, or loses to cancellation: the largest fourth difference of slopes."""
    largest = xp.zeros_like(slopes[0])
    for first, weights in enumerate(FOURTH):
        left = xp.zeros_like(largest)
        for weight, slope in zip(weights, slopes[first:], strict=False):
            left = left + weight * slope
        largest = xp.maximum(largest, xp.abs(left))
    return largest
