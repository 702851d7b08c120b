"""What a derivative of a function comes back as."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array
from gradkit.functions.schemes import Scheme
from gradkit.functions.search import Found

__all__ = ["STATUSES", "Result", "result"]

#: Words for the codes of `Result.status`.
STATUSES = ("converged", "inaccurate", "kink", "non-finite")


@dataclass(frozen=True, eq=False)
class Result:
    """A derivative with an estimate of its error.

    Attributes
    ----------
    value : Array
        The derivative, in ``[func] / [x]**order``; NaN where the function gave no finite values.
    error : Array
        Estimate of the absolute error of `value`; infinite where there is none.
    success : Array
        Boolean: whether the error is within the tolerances.
    code : Array
        Position in `STATUSES` of what happened, per value.
    evaluations : Array
        Points at which the function was evaluated, per lane (a point, or a variable of a gradient).
    step : Array
        The longest step of the ladder that gave `value`, in ``[x]``.
    calls : int
        Calls of the function.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit.functions import derivative
    >>> result = derivative(np.exp, 0.0)
    >>> result.status
    'converged'
    >>> bool(abs(result.value - 1) < 1e-12)
    True
    """

    value: Array
    error: Array
    success: Array
    code: Array
    evaluations: Array
    step: Array
    calls: int

    @property
    def status(self) -> Any:
        """A word, or a NumPy array of words, for what happened.

        ``"converged"``: within the tolerances. ``"inaccurate"``: `error` is an estimate still, but
        above them. ``"kink"``: the derivative jumps at the point. ``"non-finite"``: NaN or infinite values.
        """
        codes = _array.to_host(self.code, "status")
        words = np.array(STATUSES)[codes]
        return str(words) if words.ndim == 0 else words

    def __repr__(self) -> str:
        if _array.is_traced(self.value):
            return f"{type(self).__name__}(traced, shape={tuple(self.value.shape)})"
        value = _array.to_host(self.value, "value")
        error = _array.to_host(self.error, "error")
        evaluations = int(np.max(_array.to_host(self.evaluations, "evaluations"), initial=0))
        calls = f"{evaluations} evaluations, {self.calls} call{'s' * (self.calls != 1)}"
        if value.ndim == 0:
            return f"{type(self).__name__}({value[()]:.16g} ± {error[()]:.1e}, {self.status}, {calls})"
        words, counts = np.unique(self.status, return_counts=True)
        told = ", ".join(f"{n} {word}" for word, n in zip(words, counts, strict=True))
        worst = f"errors up to {np.max(error):.1e}" if error.size else "empty"
        return f"{type(self).__name__}(shape={value.shape}, {told}; {worst}; at most {calls})"


def result(
    found: Found, longest: Array, shape: tuple[int, ...], scheme: Scheme, calls: int
) -> Result:
    """A result of some shape from what a search found.

    Parameters
    ----------
    found : Found
        What the search found, ``(..., lanes)``.
    longest : Array
        Longest step of the first ladder of each lane.
    shape : tuple of int
        Shape of the result.
    scheme : Scheme
        Stencil of the search.
    calls : int
        Calls of the function.
    """
    xp = _array.namespace(found.value)
    finite = xp.isfinite(found.error)
    success = (found.error <= found.limit) & ~found.kink
    failure = xp.where(found.kink, 2, xp.where(finite, 1, 3))
    code = xp.where(success, xp.zeros_like(failure), failure)
    value = xp.where(finite, found.value, xp.full_like(found.value, nan))
    evaluations = xp.astype(found.rounds, xp.int64) * (len(scheme.points) * scheme.levels) + 1

    def shaped(part: Array) -> Array:
        part = xp.reshape(xp.broadcast_to(part, found.value.shape), shape)
        return part[()] if isinstance(part, np.ndarray) else part

    return Result(
        shaped(value),
        shaped(found.error),
        shaped(success),
        shaped(code),
        shaped(evaluations),
        shaped(longest * found.factor),
        calls,
    )
