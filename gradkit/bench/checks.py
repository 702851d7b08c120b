"""Numbers before times: what is timed must be right, block by block, so that it takes no memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite, prod

from gradkit import _array, _dtypes
from gradkit._array import Array
from gradkit.engines import use_engine
from gradkit.plan import Plan

__all__ = ["difference_from", "difference_from_reference"]

#: Elements of a block.
BLOCK = 2**22
#: By how many roundings of the largest result two engines may differ: they sum in another order.
ENGINE_ROUNDINGS = 16
#: The same for another library, which may weight values where gradkit weights differences. The
#: weights of findiff, solved for in float64, are off by some at accuracy 8: 125 were seen.
PEER_ROUNDINGS = 512


def difference_from_reference(
    plan: Plan, inputs: Sequence[Array], results: Sequence[Array]
) -> str | None:
    """How the results of a plan differ from those of the reference engine; None if they do not.

    Parameters
    ----------
    plan : Plan
        What was called.
    inputs, results : sequence of array
        Of the call.
    """
    shape, halo = plan.shape, plan.halo
    for start, stop in _blocks(shape):
        block = plan.block([(start, stop), *((0, n) for n in shape[1:])], halo)
        held = slice(max(0, start - halo[0]), min(shape[0], stop + halo[0]))
        with use_engine("reference"):
            wanted = block.apply([f[held] for f in inputs])
        for i, (found, right) in enumerate(zip(results, wanted, strict=True)):
            problem = _difference(found[start:stop], right, ENGINE_ROUNDINGS)
            if problem is not None:
                return f"result {i}, rows {start} to {stop}: {problem} of the reference engine"
    return None


def difference_from(
    found: Sequence[Array], wanted: Sequence[Array], margin: int, axes: Sequence[int], factor: float
) -> str | None:
    """How the results of another library differ from gradkit's; None if they do not.

    Parameters
    ----------
    found, wanted : sequence of array
        Of the other library, and of gradkit. Those of the other one may be of the inside alone.
    margin : int
        Rows at each end that are not compared.
    axes : sequence of int
        The axes at whose ends they are.
    factor : float
        By which the other results are to be multiplied.
    """
    if len(found) != len(wanted):
        return f"{len(found)} results instead of {len(wanted)}"
    for i, (theirs, ours) in enumerate(zip(found, wanted, strict=True)):
        pairs = [
            _inside(m, n, margin if axis in axes else 0)
            for axis, (m, n) in enumerate(zip(theirs.shape, ours.shape, strict=True))
        ]
        compared = theirs[tuple(pair[0] for pair in pairs)]
        right = ours[tuple(pair[1] for pair in pairs)]
        if tuple(compared.shape) != tuple(right.shape):
            return f"result {i} has shape {tuple(theirs.shape)} instead of {tuple(ours.shape)}"
        if prod(right.shape) == 0:
            continue
        for start, stop in _blocks(right.shape):
            part = compared[start:stop] * factor
            problem = _difference(part, right[start:stop], PEER_ROUNDINGS)
            if problem is not None:
                return f"result {i}: {problem} of gradkit"
    return None


def _inside(theirs: int, ours: int, margin: int) -> tuple[slice, slice]:
    """The rows to compare along one axis: of results of the whole axis, or of the inside alone."""
    inside = slice(margin, max(margin, ours - margin))
    return (inside if theirs == ours else slice(None)), inside


def _blocks(shape: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Runs of rows along the first axis."""
    rows = max(1, BLOCK // max(1, prod(shape[1:])))
    return ((start, min(start + rows, shape[0])) for start in range(0, shape[0], rows))


def _difference(found: Array, wanted: Array, roundings: int) -> str | None:
    xp = _array.namespace(wanted)
    error = float(xp.max(xp.abs(found - wanted)))
    scale = float(xp.max(xp.abs(wanted)))
    bound = roundings * _dtypes.epsilon(_dtypes.dtype_name(wanted.dtype)) * scale
    # NaN and infinity are right of no noise.
    if isfinite(scale) and error <= bound:
        return None
    return f"off by {error:.2e}, where the largest is {scale:.2e}, from that"
