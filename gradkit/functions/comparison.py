"""What the checks do: claim and numeric derivative, entry by entry or along random directions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from math import isfinite, nan
from typing import Any, NamedTuple

import numpy as np

from gradkit import _array
from gradkit._array import Array
from gradkit._dtypes import dtype_name, epsilon, kind
from gradkit.errors import ArgumentTypeError, ArgumentValueError, integer
from gradkit.functions.blocks import MEMORY, indices
from gradkit.functions.check_report import Check, Sweep
from gradkit.functions.claims import claimed, for_claim
from gradkit.functions.evaluate import Along, Detached, OfSome, own
from gradkit.functions.gradients import gradient, hessian_diagonal, jacobian
from gradkit.functions.hessians import hessian
from gradkit.functions.inputs import Options, over
from gradkit.functions.results import STATUSES
from gradkit.functions.steps import USABLE, Start, start
from gradkit.functions.verdicts import MORE_DOUBT, Measured, asymmetry, hints, verdicts

__all__ = ["Keywords", "compare"]

#: Above so many variables a check takes random directions, so many, unless told otherwise.
LARGE, DIRECTIONS = 1000, 10

#: The default of both tolerances in double precision.
DOUBLE = 1e-6

#: In single precision: both tolerances, and the least absolute one as a part of the largest entry.
SINGLE = {"gradient": (1e-3, 1e-4), "jacobian": (1e-3, 1e-4), "hessian": (1e-2, 1e-2)}

_NUMERIC = {"gradient": gradient, "jacobian": jacobian, "hessian": hessian}


class Keywords(NamedTuple):
    """The keywords that all checks share; see `gradkit.functions.check_gradient`."""

    rtol: float | None
    atol: float | None
    steps: Sequence[float]
    directions: int | None
    seed: int
    args: Sequence[Any]
    vectorized: bool
    symbols: Sequence[Any] | None
    rows: int
    numeric: dict[str, Any]


class _Target(NamedTuple):
    """What is differentiated: a function of x, or of the distance from x along a direction."""

    func: Callable[..., Any]
    x: Array
    bounds: Any
    step: Any


def compare(wanted: str, func: Any, claim: Any, x: Any, keywords: Keywords) -> Check:
    """Compare a claimed derivative with a numeric one.

    Parameters
    ----------
    wanted : "gradient", "jacobian" or "hessian"
        What is claimed.
    func, claim, x
        As in `gradkit.functions.check_gradient`.
    keywords : Keywords
        The keywords of the call.
    """
    x, keywords = _checked(func, claim, x, keywords)
    plain = Detached(func)
    value, precision = _value(plain, x, keywords.args, wanted)
    count, n = keywords.directions or 0, int(x.shape[0])
    bounds, step = (keywords.numeric.get(name) for name in ("bounds", "step"))
    ways, targets = None, [_Target(plain, x, bounds, step)]
    if count:
        begin = start(x, Options(bounds=bounds, step=step), 1)
        room = _room(begin)
        ways = _random_ways(x, count, keywords.seed, room)
        longest = None if step is None else _array.to_host(begin.step, "step")
        targets = [_along_way(plain, x, way, room, longest) for way in ways]
    numeric, calls = _measured(wanted, targets, keywords, count > 0)
    values, source = claimed(claim, wanted, func, own(x), keywords.args, keywords.symbols)
    shape = {"gradient": (n,), "jacobian": (*value.shape, n), "hessian": (n, n)}[wanted]
    fitted, told = _fitted(values, shape)
    if kind(dtype_name(values.dtype)) in ("float", "complex"):
        precision = max(precision, epsilon(dtype_name(values.dtype)))
    rtol, atol = _tolerances(wanted, keywords, precision, numeric, targets)
    sweep: list[Sweep] = []
    if fitted is None:
        compared, numeric, atol = np.empty(0), _nothing(), np.empty(0)
    else:
        compared = fitted if ways is None else _claim_along(wanted, fitted, ways)
        sweep = [_swept(wanted, targets, h, keywords, compared, rtol, atol) for h in keywords.steps]
    words = verdicts(compared, numeric, rtol, atol)
    told += hints(compared, numeric, words, rtol, atol, may_turn=ways is None)
    if ways is not None:
        # What lies between the sides of a kink may hide errors in other variables.
        words = np.where(words == "kink", "undecided", words)
    if fitted is not None and wanted == "hessian":
        told += asymmetry(fitted, rtol, np.max(atol))
    return Check(
        wanted=wanted,
        function=getattr(func, "__name__", type(func).__name__),
        source=source,
        claimed=compared,
        numeric=numeric.value,
        error=numeric.error,
        left=numeric.left,
        right=numeric.right,
        verdict=words,
        rtol=rtol,
        atol=atol,
        shape=values.shape,
        fits=values.shape == shape,
        hints=told,
        directions=count,
        sweep=tuple(sweep),
        calls=calls,
        rows=keywords.rows,
    )


# --- arguments ----------------------------------------------------------------------------------


def _checked(func: Any, claim: Any, x: Any, keywords: Keywords) -> tuple[Array, Keywords]:
    """The point as an array of floating numbers, and the keywords, checked."""
    if not callable(func):
        raise ArgumentTypeError(f"func={func!r} is not callable")
    for name in ("rtol", "atol"):
        if getattr(keywords, name) is not None:
            _number(name, getattr(keywords, name), least=0.0)
    if isinstance(keywords.steps, str) or not np.iterable(keywords.steps):
        raise ArgumentTypeError(f"steps={keywords.steps!r} is not a sequence of numbers > 0")
    given = enumerate(keywords.steps)
    steps = tuple(_number(f"steps[{i}]", step, least=None) for i, step in given)
    integer("rows", keywords.rows, 1)
    integer("seed", keywords.seed, 0)
    x = _array.as_array(for_claim(claim, x), "x")
    if _array.is_dask(x):
        raise ArgumentTypeError("x is a lazy dask array: wanted values, as of x.compute()")
    x = _array.detached(x)
    if kind(dtype_name(x.dtype)) in ("int", "uint"):
        x = _array.widened(x)
    if x.ndim != 1 or not x.shape[0]:
        raise ArgumentValueError(
            f"x has shape {tuple(x.shape)}: wanted one point, (n,), n >= 1; join several arguments "
            "into one vector"
        )
    directions = keywords.directions
    if directions is None:
        directions = DIRECTIONS if x.shape[0] > LARGE else 0
    directions = integer("directions", directions, 0)
    return x, keywords._replace(steps=steps, directions=directions)


def _number(name: str, value: Any, least: float | None) -> float:
    """A finite number, above 0, or from `least`."""
    wanted = "> 0" if least is None else f">= {least:g}"
    if isinstance(value, bool | np.bool) or not isinstance(value, int | float | np.number):
        raise ArgumentTypeError(f"{name}={value!r} is not a number {wanted}")
    if not isfinite(value) or (value <= 0 if least is None else value < least):
        raise ArgumentValueError(f"{name}={value!r} is not a finite number {wanted}")
    return float(value)


def _value(
    func: Callable[..., Any], x: Array, args: Sequence[Any], wanted: str
) -> tuple[np.ndarray, float]:
    """The value at x, on the host, and the roundings of its dtype or of that of x."""
    given = func(own(x), *args)
    array = _array.as_array(given, "the value of func")
    dtype = dtype_name(array.dtype)
    if kind(dtype) not in ("int", "uint", "float", "complex"):
        raise ArgumentTypeError(f"func returned dtype {dtype}: wanted real or complex numbers")
    if wanted != "jacobian" and array.ndim:
        raise ArgumentValueError(
            f"func returned shape {tuple(array.shape)} at x: wanted one number; a vector has a "
            "jacobian, see check_jacobian"
        )
    known = [dtype_name(x.dtype)] + ([dtype] if kind(dtype) in ("float", "complex") else [])
    return _array.to_host(array, "the value of func"), max(map(epsilon, known))


def _fitted(
    values: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """A claim in the shape of the derivative if it has as many entries, and words if it had not."""
    if values.shape == shape:
        return values, ()
    told = f"claimed has shape {values.shape}, wanted {shape}"
    if len(shape) > 1 and values.shape == shape[::-1]:
        return values.T, (f"claimed looks transposed: shape {values.shape}, wanted {shape}",)
    if [k for k in values.shape if k != 1] == [k for k in shape if k != 1]:
        return values.reshape(shape), (f"{told}: axes of length 1 are too many or too few",)
    return None, (told,)


def _tolerances(
    wanted: str,
    keywords: Keywords,
    precision: float,
    numeric: Measured,
    targets: Sequence[_Target],
) -> tuple[float, np.ndarray]:
    """The tolerances of the user, or those that right derivatives keep in this precision."""
    rtol = atol = DOUBLE
    magnitude = np.where(np.isfinite(numeric.value), np.abs(numeric.value), 0.0)
    if precision > epsilon("float64"):
        least, share = SINGLE[wanted]
        rtol = max(least, 8 * precision)
        atol = max(rtol, share * np.max(magnitude, initial=0.0))
    if keywords.atol is not None:
        atol = keywords.atol
    else:
        largest = _largest(magnitude, targets, keywords)
        told = np.maximum(rtol * largest, MORE_DOUBT * numeric.error)
        # Of values that do not change at all nothing is known of what is small.
        atol = np.where(largest > 0, np.minimum(atol, told), atol)
        # Of large values the errors of small entries are large, but as small beside the largest.
        known = np.isfinite(numeric.error) & (numeric.error <= rtol * largest)
        atol = np.where(known, np.maximum(atol, numeric.error), atol)
    rtol = rtol if keywords.rtol is None else keywords.rtol
    return float(rtol), np.broadcast_to(np.asarray(atol, dtype=float), numeric.value.shape)


def _largest(magnitude: np.ndarray, targets: Sequence[_Target], keywords: Keywords) -> np.ndarray:
    """The largest change of a value where a variable moves by its size, in units of each entry."""
    points = [_array.to_host(target.x, "x").astype(float) for target in targets]
    size = np.abs(np.concatenate(points))
    size = np.where((size > 0) & np.isfinite(size), size, 1.0)
    slopes = np.concatenate([_slopes(target, keywords) for target in targets], axis=-1)
    axes: Any = -1
    with np.errstate(all="ignore"):
        change = np.max(slopes * size, axis=-1, keepdims=True)
        if magnitude.ndim > slopes.ndim:  # a hessian
            size, axes = np.outer(size, size), (-2, -1)
        return np.maximum(change, np.max(magnitude * size, axis=axes, keepdims=True)) / size


def _slopes(target: _Target, keywords: Keywords) -> np.ndarray:
    """Slopes of the values over the first step of each variable, 0 where they are not finite."""
    method = keywords.numeric.get("method")
    begin = start(target.x, Options(step=target.step, bounds=target.bounds), 1)
    x, move = (_array.to_host(part, "x") for part in (target.x, begin.step))
    side, room = (-1, begin.below) if method == "backward" else (1, begin.above)
    if room is not None:
        move = np.minimum(move, USABLE * _array.to_host(room, "bounds"))
    move = side * move
    n, count = len(x), max(1, MEMORY // (x.itemsize * len(x)))
    parts: list[np.ndarray] = []
    for some in np.split(np.arange(n), range(count, n, count)):
        points = np.repeat(x[:, None], 1 + len(some), axis=1)
        points[some, 1 + np.arange(len(some))] += move[some]
        parts.append(_values(target, points, keywords))
    with np.errstate(all="ignore"):
        changes = [abs(part[..., 1:] - part[..., :1]) for part in parts]
        slopes = np.concatenate(changes, axis=-1) / abs(move)
    return np.where(np.isfinite(slopes), slopes, 0.0)


# --- random directions --------------------------------------------------------------------------


def _room(begin: Start) -> tuple[np.ndarray, np.ndarray] | None:
    """How far each variable is from its bounds, below and above."""
    if begin.below is None:
        return None
    return _array.to_host(begin.below, "bounds[0]"), _array.to_host(begin.above, "bounds[1]")


def _random_ways(
    x: Array, count: int, seed: int, room: tuple[np.ndarray, np.ndarray] | None
) -> np.ndarray:
    """Directions in which every variable moves up or down by its own scale, (count, n).

    Those that bounds leave less on one side move to the other, by lengths that differ.
    """
    size = np.abs(_array.to_host(x, "x").astype(float))
    scale = np.where(size > 1, np.sqrt(size), np.where(size > 0, size, 1.0))
    scale = np.fmax(scale, 0.01 * np.nanmax(scale, initial=0.0))
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], (count, len(scale)))
    if room is not None:
        below, above = room
        inward = np.where(above < below, -1.0, 1.0) * rng.uniform(0.5, 1.0, signs.shape)
        signs = np.where(np.minimum(below, above) < scale, inward, signs)
        scale = np.minimum(scale, np.maximum(below, above))
    return signs * scale


def _along_way(
    func: Callable[..., Any],
    x: Array,
    way: np.ndarray,
    room: tuple[np.ndarray, np.ndarray] | None,
    longest: np.ndarray | None,
) -> _Target:
    """A function of the distance t from x along a direction, as that of a vector with one entry."""
    xp = _array.namespace(x)
    towards = xp.asarray(way.astype(dtype_name(x.dtype)), device=_array.device(x))
    bounds = None
    if room is not None:
        below, above = room
        back, forth = np.where(way > 0, below, above), np.where(way > 0, above, below)
        bounds = (-float(np.min(back / abs(way))), float(np.min(forth / abs(way))))
    step = None if longest is None else float(np.min(longest / abs(way)))
    return _Target(Along(func, x, towards), xp.zeros_like(x[:1]), bounds, step)


def _claim_along(wanted: str, values: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """What a claim says about the derivatives along directions, (..., count)."""
    if wanted == "hessian":
        return np.einsum("ki,ij,kj->k", ways, values, ways)
    return values @ ways.T


# --- the numeric derivative ---------------------------------------------------------------------


def _measured(
    wanted: str, targets: Sequence[_Target], keywords: Keywords, is_along: bool
) -> tuple[Measured, int]:
    """The numeric derivative of all targets, along the last axis, and the calls that it took."""
    differentiate: Any = _NUMERIC[wanted]
    if wanted == "hessian" and is_along:
        differentiate = hessian_diagonal
    parts: list[Measured] = []
    calls = 0
    for func, x, bounds, step in targets:
        options = {**keywords.numeric, "args": keywords.args, "vectorized": keywords.vectorized}
        options |= {"bounds": bounds, "step": step}
        if is_along:
            options.pop("sparsity", None)  # a direction moves all variables at once
        found = differentiate(func, x, **options)
        value, error = _host(found.value), _host(found.error).astype(float)
        converged = _host(found.success)
        kink = _host(found.code) == STATUSES.index("kink")
        left, right = np.full_like(value, nan), np.full_like(value, nan)
        side_error = np.zeros(value.shape)
        calls += found.calls
        if kink.any() and wanted != "hessian":
            # Others may be at a bound, where one side has no room.
            some = np.flatnonzero(kink.reshape(-1, kink.shape[-1]).any(axis=0))
            part = _of_some(_Target(func, x, bounds, step), some)
            options |= {"bounds": part.bounds, "step": part.step}
            options.pop("sparsity", None)
            sides = [
                differentiate(part.func, part.x, **{**options, "method": method})
                for method in ("backward", "forward")
            ]
            shown = kink[..., some]
            for each, side in zip((left, right), sides, strict=True):
                each[..., some] = np.where(shown, _host(side.value), nan)
            errors = np.fmax(*(_host(side.error) for side in sides))
            side_error[..., some] = np.where(shown, errors, 0.0)
            calls += sum(side.calls for side in sides)
        parts.append(Measured(value, error, converged, kink, left, right, side_error))
    joined = (np.concatenate(group, axis=-1) for group in zip(*parts, strict=True))
    return Measured(*joined), calls


def _of_some(target: _Target, some: np.ndarray) -> _Target:
    """The same as a function of some of the variables alone."""
    func, x, bounds, step = target
    if len(some) == x.shape[0]:
        return target
    xp = _array.namespace(x)
    where = indices(some, x)

    def picked(value: Any, name: str) -> Any:
        return None if value is None else xp.take(over(value, x, name), where, axis=0)

    if bounds is not None:
        bounds = tuple(picked(end, "bounds") for end in bounds)
    return _Target(OfSome(func, x, some.tolist()), picked(x, "x"), bounds, picked(step, "step"))


def _nothing() -> Measured:
    """No numeric derivative, where there is nothing to compare."""
    none, no = np.empty(0), np.empty(0, bool)
    return Measured(none, none, no, no, none, none, none)


def _host(part: Any) -> np.ndarray:
    """A part of a result on the host, also where it is sparse."""
    return _array.to_host(part.toarray() if hasattr(part, "toarray") else part, "the derivative")


# --- the sweep ----------------------------------------------------------------------------------


def _swept(
    wanted: str,
    targets: Sequence[_Target],
    step: float,
    keywords: Keywords,
    compared: np.ndarray,
    rtol: float,
    atol: np.ndarray,
) -> Sweep:
    """The comparison of a claim with central differences of one step."""
    parts = [_central(wanted, target, step, keywords) for target in targets]
    values = np.concatenate(parts, axis=-1)
    with np.errstate(all="ignore"):
        gap = abs(compared - values)
        relative = np.where(gap == 0, 0.0, gap / abs(values))
        wrong = ~(gap <= atol + rtol * abs(values))
    finite = np.isfinite(gap)
    return Sweep(
        step,
        float(np.max(gap[finite], initial=0.0)),
        float(np.max(relative[finite], initial=0.0)),
        int(np.sum(wrong)),
    )


def _central(wanted: str, target: _Target, step: float, keywords: Keywords) -> np.ndarray:
    """Central differences of one step on the host."""
    x = _array.to_host(target.x, "x")
    n = len(x)
    moves = step * np.eye(n, dtype=x.dtype)
    if wanted != "hessian":
        above, below = (_values(target, x[:, None] + way * moves, keywords) for way in (1, -1))
        return (above - below) / (2 * step)
    if keywords.directions:
        above, centre, below = (
            _values(target, x[:, None] + way * moves, keywords) for way in (1, 0, -1)
        )
        return (above - 2 * centre + below) / step**2
    corners = [
        a * b * _values(target, _corner(x, a * step, b * step), keywords)
        for a, b in itertools.product((1, -1), repeat=2)
    ]
    return sum(corners[1:], corners[0]).reshape(n, n) / (4 * step**2)


def _corner(x: np.ndarray, a: float, b: float) -> np.ndarray:
    """The points x + a e_i + b e_j for all i and j, (n, n * n)."""
    eye = np.eye(len(x), dtype=x.dtype)
    points = x[:, None, None] + a * eye[:, :, None] + b * eye[:, None, :]
    return points.reshape(len(x), -1)


def _values(target: _Target, points: np.ndarray, keywords: Keywords) -> np.ndarray:
    """Values at points (n, k) on the host, (..., k)."""
    xp = _array.namespace(target.x)
    moved = xp.asarray(points.astype(dtype_name(target.x.dtype)), device=_array.device(target.x))
    if keywords.vectorized:
        return np.asarray(_array.to_host(target.func(moved, *keywords.args), "the value of func"))
    columns = [target.func(moved[:, k], *keywords.args) for k in range(points.shape[1])]
    return np.stack([_array.to_host(value, "the value of func") for value in columns], axis=-1)
