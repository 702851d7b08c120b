"""Questions to an operator or a plan: its order, its symbol, and whether its adjoint is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from types import ModuleType
from typing import Any

import numpy as np

from gradkit import _array, _dtypes
from gradkit._array import Array
from gradkit.boundaries import WALLS, as_boundary, ends_of
from gradkit.errors import ArgumentTypeError, ArgumentValueError, AxisError, integer
from gradkit.grid import Axis, Grid
from gradkit.line import PLACES
from gradkit.methods import Method
from gradkit.operators import Operator
from gradkit.places import Places
from gradkit.plan import Plan
from gradkit.terms import Coefficient

__all__ = ["DotTest", "ObservedOrder", "dot_test", "modified_wavenumber", "observed_order"]


# --- the adjoint --------------------------------------------------------------------------------


@dataclass(frozen=True)
class DotTest:
    """The two sides of ``<A f, g> = <f, A.H g>``, for random f and g.

    Attributes
    ----------
    forward, backward : float or complex
        The two sides.
    error : float
        Their difference over the sum of the magnitudes of all products in it.
    tolerance : float
        What rounding explains.
    """

    forward: Any
    backward: Any
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the two sides agree to rounding."""
        return self.error <= self.tolerance

    def __bool__(self) -> bool:
        return self.passed


def dot_test(
    plan: Plan, *, dtype: Any = None, seed: int = 0, xp: ModuleType | None = None
) -> DotTest:
    """Test that the adjoint of a plan is one: ``<A f, g> = <f, A.H g>`` for random f and g.

    Parameters
    ----------
    plan : Plan
        What is tested; A is its linear part.
    dtype : str or dtype, optional
        Dtype of f and g; the default is float64, or float32 where the library has no other.
    seed : int, default 0
        Seed of the random numbers.
    xp : module, optional
        Array module on which to run, such as ``gradkit.array_module()``; the default is that of
        the arrays of the operator, or NumPy.

    Returns
    -------
    DotTest
        True where the two sides agree to rounding.

    Raises
    ------
    ArgumentTypeError
        If `plan` is no plan, or `dtype` cannot hold a derivative.

    Examples
    --------
    >>> from gradkit import Axis, D, Grid, dot_test
    >>> plan = (D(0)**2).on(Grid(Axis(coordinates=[0.0, 1.0, 3.0, 4.0, 6.0])), (5,))
    >>> bool(dot_test(plan))
    True
    """
    if not isinstance(plan, Plan):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentTypeError(f"plan={plan!r} is not a Plan")
    seed = integer("seed", seed, 0)
    elsewhere = [p.array for p in plan.parameters if not isinstance(p.array, np.ndarray)]
    module: Any = _array.namespace(elsewhere[0]) if elsewhere and xp is None else xp or np
    name = _dtypes.as_dtype_name(dtype) or _array.default_real(module.asarray([0.0]))
    rng = np.random.default_rng(seed)
    linear, adjoint = plan.linear, plan.H
    f = [_random(rng, shape, name, module) for shape in linear.input_shapes]
    g = [_random(rng, shape, name, module) for shape in adjoint.input_shapes]
    results = (linear.precision(f).result, adjoint.precision(g).result)
    forward = _inner(g, linear.apply(f))
    backward = _inner(adjoint.apply(g), f)
    sizes = [_array.namespace(part).abs(part) for part in f]
    bounds = linear.magnitude.apply(sizes)
    size = abs(_inner([_array.namespace(part).abs(part) for part in g], bounds))
    # A product of random numbers per point: their roundings add up like the steps of a walk.
    points = sum(int(np.prod(shape)) for shape in linear.output_shapes)
    eps = max(map(_dtypes.epsilon, results))
    error = abs(forward - backward) / size if size else abs(forward - backward)
    return DotTest(forward, backward, float(error), float(16 * eps * max(1, np.log2(points + 1))))


def _random(rng: np.random.Generator, shape: tuple[int, ...], name: str, xp: Any) -> Array:
    values = rng.standard_normal(shape)
    if _dtypes.kind(name) == "complex":
        values = values + 1j * rng.standard_normal(shape)
    array = xp.asarray(values)
    _array.check_dtype_exists(array, name)
    return _array.cast(_array.namespace(array), array, _array.native(xp, name))


def _inner(left: Sequence[Array], right: Sequence[Array]) -> Any:
    """The inner product, in double precision on the host."""
    pairs = [
        tuple(_array.to_host(_array.detached(part), "result").ravel() for part in pair)
        for pair in zip(left, right, strict=True)
    ]
    products = (np.vdot(a.astype(_double(a)), b.astype(_double(b))) for a, b in pairs)
    return sum(product.item() for product in products)


def _double(array: np.ndarray) -> type:
    return np.complex128 if array.dtype.kind == "c" else np.float64


# --- the order of the error ---------------------------------------------------------------------


@dataclass(frozen=True)
class ObservedOrder:
    """How the largest error falls as the grid is refined.

    Attributes
    ----------
    sizes : tuple of int
        Points along each axis.
    errors : tuple of float
        The largest error on each grid.
    orders : tuple of float
        The order between each grid and the next: the power of the spacing that the error follows.
    order : float
        The order fitted to all grids.
    """

    sizes: tuple[int, ...]
    errors: tuple[float, ...]
    orders: tuple[float, ...]
    order: float

    def __repr__(self) -> str:
        rows = [f"observed order {self.order:.2f}", "  points      error  order"]
        for i, (size, error) in enumerate(zip(self.sizes, self.errors, strict=True)):
            step = f"{self.orders[i - 1]:6.2f}" if i else ""
            rows.append(f"{size:8d} {error:10.2e} {step}".rstrip())
        return "\n".join(rows)


def observed_order(
    operator: Operator,
    f: Callable[..., Any],
    df: Callable[..., Any],
    *,
    domain: Sequence[tuple[float, float]] | tuple[float, float] = (0.0, 1.0),
    sizes: Sequence[int] = (16, 24, 32, 48, 64),
    boundary: Any = "one-sided",
    method: Method | None = None,
    edge_order: int | None = None,
    stretch: Callable[[Any], Any] | None = None,
) -> ObservedOrder:
    """Measure the order of the error of an operator on a function whose result is known.

    Parameters
    ----------
    operator : Operator
        One output and one input, without arrays as coefficients.
    f, df : callable
        The function and what the operator makes of it, of one array of coordinates per axis; real
        or complex.
    domain : (low, high), or one pair per axis, default (0, 1)
        The extent of the grid along each axis.
    sizes : sequence of int, default (16, 24, 32, 48, 64)
        Points along each axis, one after the other; at least two.
    boundary : str, value such as `Dirichlet(0)`, or pair, default "one-sided"
        As in `Axis`, for all axes. Walls lie at the ends of the domain: at faces, at samples, or
        one spacing beyond. Otherwise both ends are samples, or the first one where an axis wraps.
        A staggered operator takes f, and is compared with df, at the faces between and around.
    method : Method, optional
        How derivatives along one axis are taken; the default is ``FiniteDifference(accuracy=2)``.
    edge_order : int, optional
        Accuracy near the ends; the default is that of the interior.
    stretch : callable, optional
        An increasing function that takes [0, 1] to itself; the points are its values at equal
        steps, given as coordinates. Walls lie at faces then, or there are none.

    Returns
    -------
    ObservedOrder
        Sizes, errors and orders; prints as a table.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used, or an error is 0 or not finite.

    Notes
    -----
    The largest error over all points counts, those near the ends included. Choose sizes at which
    truncation is well above rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import D, FiniteDifference, observed_order
    >>> found = observed_order(D(0), np.sin, np.cos, method=FiniteDifference(4))
    >>> abs(found.order - 4) < 0.2
    True
    """
    if not isinstance(operator, Operator) or not operator.is_single:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentTypeError(f"operator={operator!r} is not an operator with one output")
    for name, given in (("f", f), ("df", df)):
        if not callable(given):
            raise ArgumentTypeError(f"{name}={given!r} is not a function")
    given = list(sizes) if np.iterable(sizes) else [sizes]
    counts = [integer(f"sizes[{i}]", n, 2) for i, n in enumerate(given)]
    if len(counts) < 2 or len(set(counts)) < len(counts):
        raise ArgumentValueError(f"sizes={sizes!r}: wanted at least two, all different")
    pairs = _extents(domain)
    try:
        operator = operator.normalized(len(pairs))
    except AxisError as error:
        raise ArgumentValueError(
            f"domain={domain!r}: wanted one pair (low, high) per axis, but {error}"
        ) from None
    boundary = as_boundary(boundary)
    if stretch is not None and ends_of(boundary) != (None, None) and _leads(boundary) != (0.5, 0.5):
        raise ArgumentValueError(f"boundary={boundary!r} with stretch=: wanted walls at both faces")
    errors: list[float] = []
    for size in counts:
        axes, tracks = zip(*(_axis(pair, size, boundary, stretch) for pair in pairs), strict=True)
        shape = (size,) * len(pairs)
        plan = operator.on(Grid(*axes), shape, method=method, edge_order=edge_order)
        values = _sampled("f", f, tracks, plan.bound.inputs_at[0], plan.input_shape)
        wanted = _sampled("df", df, tracks, plan.bound.outputs_at[0], plan.output_shape)
        errors.append(float(abs(plan(values) - wanted).max()))
    if not all(isfinite(error) and error > 0 for error in errors):
        raise ArgumentValueError(
            f"the errors are {errors}: an order shows only where all are finite and not 0"
        )
    steps = np.log([_step(size, boundary) for size in counts])
    falls = np.log(errors)
    orders = np.diff(falls) / np.diff(steps)
    return ObservedOrder(
        tuple(counts),
        tuple(errors),
        tuple(float(order) for order in orders),
        float(np.polyfit(steps, falls, 1)[0]),
    )


def _extents(domain: Any) -> list[tuple[float, float]]:
    """The extent of every axis."""
    try:
        extents = np.asarray(domain, dtype=float)
    except (TypeError, ValueError):
        extents = np.empty(0)
    is_shaped = extents.ndim in (1, 2) and extents.shape[-1:] == (2,) and extents.size > 0
    # A length of 0 or none that is finite has no spacing.
    if not is_shaped or not (np.isfinite(extents).all() and np.diff(extents).all()):
        raise ArgumentValueError(
            f"domain={domain!r}: wanted (low, high), finite and different, or one such pair per "
            "axis"
        )
    return [(float(low), float(high)) for low, high in extents.reshape(-1, 2)]


def _axis(
    extent: tuple[float, float], size: int, boundary: Any, stretch: Callable[[Any], Any] | None
) -> tuple[Axis, np.ndarray]:
    """An axis of `size` centres, and the positions of its faces and centres in turn."""
    low, length = extent[0], extent[1] - extent[0]
    (before, _), step = _leads(boundary), _step(size, boundary)

    def place(share: np.ndarray) -> np.ndarray:
        return low + length * np.asarray(share if stretch is None else stretch(share))

    centres = place((np.arange(size) + before) * step)
    if stretch is None:
        axis = Axis(spacing=length * step, boundary=boundary)
        halves = np.full(2 * size, length * step / 2)
    else:
        faces = place(np.arange(size + 1) * step) if _leads(boundary) == (0.5, 0.5) else None
        period = length if boundary in ("periodic", "antiperiodic") else None
        axis = Axis(coordinates=centres, boundary=boundary, period=period, faces=faces)
        halves = axis.half_steps()
    track = centres[0] - halves[0] + np.concatenate([[0], np.cumsum(halves)])
    track[1::2] = centres
    return axis, track.astype(np.float64)


def _leads(boundary: Any) -> tuple[float, float]:
    """Distance of the first and the last centre from the ends of the domain, in spacings."""
    if boundary in ("periodic", "antiperiodic"):
        return 0.0, 1.0
    ends = ends_of(boundary)
    places = [None if end is None else end.at for end in ends]
    if any(not isinstance(at, str) for at in places if at is not None):
        raise ArgumentValueError(
            f"boundary={boundary!r}: wanted walls at 'face', 'sample' or 'next', so that they lie "
            "at the ends of the domain"
        )
    first, last = (0.0 if at is None else WALLS[at] / 2 for at in places)
    return first, last


def _step(size: int, boundary: Any) -> float:
    """The distance between centres, as a share of the domain."""
    return 1 / (size - 1 + sum(_leads(boundary)))


def _sampled(
    name: str,
    f: Callable[..., Any],
    tracks: Sequence[np.ndarray],
    places: Places,
    shape: tuple[int, ...],
) -> np.ndarray:
    """A function at the points of a grid that lie at some places."""
    points: list[np.ndarray] = []
    for axis, (track, place, count) in enumerate(zip(tracks, places, shape, strict=True)):
        x = track[1 + PLACES[place].shift :: 2][:count]
        points.append(x.reshape([-1 if number == axis else 1 for number in range(len(shape))]))
    values = np.asarray(f(*points))
    if values.dtype.kind not in "iufc":
        raise ArgumentTypeError(f"{name} returns values of dtype {values.dtype}: wanted numbers")
    try:
        whole = np.broadcast_to(values, shape)
    except ValueError:
        raise ArgumentValueError(
            f"{name} returns an array of shape {values.shape} for coordinates of shape {shape}"
        ) from None
    return np.array(whole, np.complex128 if values.dtype.kind == "c" else np.float64)


# --- the symbol ---------------------------------------------------------------------------------


def modified_wavenumber(plan: Plan, k: Any, *, index: Any = None) -> np.ndarray:
    """What a plan makes of plane waves: the wavenumber that it sees in place of the true one.

    Parameters
    ----------
    plan : Plan
        One output and one input, on equally spaced axes; all terms of one order m.
    k : array_like, shape (...) on one axis, or (..., axes)
        Wavenumbers, in radians per unit of the coordinates; one entry per axis of the grid.
    index : int or tuple of int, optional
        The result to look at; the default is the middle of the grid, away from the ends.

    Returns
    -------
    ndarray, shape (...), complex128
        The factor by which ``exp(i k x)`` is multiplied, over ``i**m``. Without an error it is
        ``k**m``: k for a first derivative, minus the symbol for a laplacian. Its imaginary part
        damps or amplifies waves of an odd derivative.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If the plan is a system, holds derivatives of several orders or coordinates, or `k` does not
        fit the grid.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import Axis, D, Grid, modified_wavenumber
    >>> plan = D(0).on(Grid(Axis(spacing=0.1, boundary="periodic")), (16,))
    >>> k = np.asarray([1.0, 5.0, 10.0])
    >>> bool(np.allclose(modified_wavenumber(plan, k), np.sin(0.1 * k) / 0.1))
    True
    """
    if not isinstance(plan, Plan):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentTypeError(f"plan={plan!r} is not a Plan")
    order = _order_of(plan)
    spacing = _spacing_of(plan)
    ndim = len(plan.shape)
    numbers = np.asarray(k)
    if numbers.dtype.kind not in "iufc":
        raise ArgumentTypeError(f"k={k!r}: wanted wavenumbers")
    numbers = numbers[..., None] if ndim == 1 else numbers
    if numbers.shape[-1:] != (ndim,):
        raise ArgumentValueError(
            f"k has shape {np.shape(k)}: wanted (..., {ndim}), one entry per axis of the grid"
        )
    place = tuple(n // 2 for n in plan.output_shape) if index is None else index
    stencil = plan.stencil(place)
    # The values may lie at other places than the results: half a spacing apart.
    places = zip(plan.bound.inputs_at[0], plan.bound.outputs_at[0], strict=True)
    shift = [_shift(at, to) for at, to in places]
    offsets = (np.asarray(stencil.offsets, float).reshape(-1, ndim) + shift) * spacing
    waves = np.exp(1j * (numbers[..., None, :] * offsets).sum(axis=-1))
    return (waves * np.asarray(stencil.weights)).sum(axis=-1) / 1j**order


def _order_of(plan: Plan) -> int:
    """The order of the derivatives of all terms."""
    if not plan.operator.is_single:
        raise ArgumentValueError("plan is that of a system: wanted one output and one input")
    orders = {
        sum(0 if isinstance(factor, Coefficient) else factor.order for factor in term.factors)
        for term in plan.operator.entries[0][0].terms
    }
    if len(orders) != 1:
        raise ArgumentValueError(
            f"{plan.operator!r} holds derivatives of the orders {sorted(orders)}: wanted one"
        )
    return orders.pop()


def _spacing_of(plan: Plan) -> np.ndarray:
    """The spacing of every axis; that of a batch axis does not matter."""
    for number, axis in enumerate(plan.grid.axes):
        if axis is not None and axis.uniform_spacing is None:
            raise ArgumentValueError(f"axis {number} is not equally spaced: it has no plane waves")
    return np.asarray(
        [0.0 if axis is None else float(axis.uniform_spacing or 0) for axis in plan.grid.axes]
    )


def _shift(at: str, to: str) -> float:
    return (PLACES[at].shift - PLACES[to].shift) / 2
