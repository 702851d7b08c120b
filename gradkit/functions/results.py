"""What a derivative of a function comes back as."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array, Namespace
from gradkit.functions.history import Found
from gradkit.functions.judging import changed, number

__all__ = ["STATUSES", "Result", "result"]

#: Words for the codes of `Result.code`.
STATUSES = ("converged", "inaccurate", "kink", "non-finite", "not-analytic")


@dataclass(frozen=True, eq=False)
class Result:
    """A derivative with an estimate of its error.

    All arrays have the shape of `value` and its library and device.

    Attributes
    ----------
    value : Array
        The derivative, in ``[func] / [x]**order``; NaN where the function gave no finite values.
    error : Array
        Estimate of the absolute error of `value`; infinite where there is none.
    success : Array
        Boolean: whether the error is within the tolerances, and nothing speaks against the value.
    code : Array
        Integer: position in `STATUSES` of the word for what happened.
    evaluations : Array
        Integer: points at which the function was evaluated for this value.
    step : Array
        The longest step of the ladder that gave `value`, in ``[x]``.
    calls : int
        Calls of the function, all in all.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit.functions import derivative
    >>> result = derivative(np.exp, 0.0)
    >>> result.status, bool(result.success), result.calls
    ('converged', True, 1)
    >>> bool(abs(result.value - 1) < 10 * result.error)
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
        """A word for what happened, or a NumPy array of words.

        - ``"converged"``: the error is within the tolerances.
        - ``"inaccurate"``: it is not; `error` is still an estimate that holds.
        - ``"kink"``: the derivative of this order jumps, or is infinite, at the point.
        - ``"non-finite"``: the function gave NaN or infinite values, at the point or about it.
        - ``"not-analytic"``: the complex step contradicts a real difference.
        """
        words = np.array(STATUSES)[_array.to_host(_dense(self.code), "status")]
        return str(words) if words.ndim == 0 else words

    def __repr__(self) -> str:
        name = type(self).__name__
        if _array.is_traced(self.value):
            return f"{name}(traced, shape={tuple(self.value.shape)})"
        value, error, evaluations = (
            _array.to_host(_array.detached(_dense(part)), "value")
            for part in (self.value, self.error, self.evaluations)
        )
        most = int(np.max(evaluations, initial=0))
        work = f"{most} evaluations, {self.calls} call{'s' * (self.calls != 1)}"
        if value.ndim == 0:
            return f"{name}({value[()]:.16g} ± {error[()]:.1e}, {self.status}, {work})"
        words, counts = np.unique(self.status, return_counts=True)
        told = ", ".join(f"{n} {word}" for word, n in zip(words, counts, strict=True))
        worst = np.max(error, initial=0)
        shape = tuple(self.value.shape)
        return f"{name}(shape={shape}, {told or 'empty'}, errors up to {worst:.1e}, at most {work})"


def _dense(part: Any) -> Any:
    """The entries of an array, those stored if it is sparse."""
    return part.data if hasattr(part, "tocsr") else part


def result(found: Found, shape: tuple[int, ...], calls: int) -> Result:
    """A result of some shape from what a search found.

    Parameters
    ----------
    found : Found
        What the search found, ``(..., lanes)``.
    shape : tuple of int
        Shape of the result.
    calls : int
        Calls of the function.
    """
    xp = _array.namespace(found.value)
    sound = found.flaw == 0
    success = (found.error <= found.limit) & sound
    missing = ~xp.isfinite(found.error)
    value = changed(xp, found.value, missing, lambda: number(xp, nan, found.value))
    failed = sound & ~success
    words = (STATUSES.index(word) for word in ("non-finite", "inaccurate"))
    none, vague = (number(xp, word, found.flaw) for word in words)
    code = changed(xp, found.flaw, failed, lambda: xp.where(missing, none, vague))
    parts = (value, found.error, success, code, found.evaluations, found.step)
    return Result(*(_shaped(xp, part, value.shape, shape) for part in parts), calls=calls)


def _shaped(xp: Namespace, part: Array, full: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    part = part if part.shape == full else xp.broadcast_to(part, full)
    part = xp.reshape(part, shape)
    # Where NumPy has a scalar for a 0-d array, users expect it.
    return part[()] if isinstance(part, np.ndarray) else part
