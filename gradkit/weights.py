"""Finite-difference weights, exact.

`Stencil` holds the weights of one derivative on equally spaced points as fractions, so nothing is
rounded until an engine needs a number. Weights on fractions are `exact_weights`; those on arrays of
coordinates (one column per grid row) come from the recursion of `fornberg`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate, pairwise
from math import factorial, lcm, prod
from typing import Any

import numpy as np

from gradkit.errors import ArgumentTypeError, ArgumentValueError, integer

__all__ = [
    "Stencil",
    "WallClosure",
    "central",
    "exact_weights",
    "fornberg",
    "half_width",
    "in_differences",
    "in_pairs",
    "staggered_half_width",
    "wall_closure",
    "window",
]


def fornberg(nodes: Sequence[Any], steps: Sequence[Any], order: int) -> list[Any]:
    """Weights that give the derivative of order `order` at 0 from values at `nodes`.

    Parameters
    ----------
    nodes : sequence of numbers or arrays
        Positions relative to the point of evaluation, distinct, at least ``order + 1`` of them.
        The arithmetic is that of the nodes: arrays of shape ``(rows,)`` give the weights of many
        rows at once.
    steps : sequence of numbers or arrays
        Distances from each node to the next one: they may hold more digits than the differences of
        rounded positions do.
    order : int
        Order of the derivative, at least 0.

    Returns
    -------
    list
        One weight (number or array) per node, in units of ``1 / [nodes]**order``.

    References
    ----------
    B. Fornberg, Generation of finite difference formulas on arbitrarily spaced grids,
    Math. Comp. 51 (1988) 699-706.

    Examples
    --------
    >>> fornberg([-1.0, 0.0, 1.0], [1.0, 1.0], 2)
    [1.0, -2.0, 1.0]
    """
    zero, one = nodes[0] * 0, nodes[0] * 0 + 1
    # weights[m][j]: weight of node j for the derivative of order m from the nodes met so far
    weights = [[zero] * len(nodes) for _ in range(order + 1)]
    weights[0][0] = one
    previous_product = one
    gaps: list[Any] = []
    last = len(nodes) - 1
    for i in range(1, len(nodes)):
        product = one
        # Orders that the nodes to come can still raise to the one wanted.
        highest, lowest = min(i, order), max(order - (last - i), 0)
        gaps = [*(gap + steps[i - 1] for gap in gaps), steps[i - 1]]
        for j, gap in enumerate(gaps):
            product = product * gap
            inverse = one / gap
            if j == i - 1:
                for m in range(highest, lowest - 1, -1):
                    lower = weights[m - 1][j] * m if m else zero
                    weights[m][i] = previous_product * (lower - nodes[j] * weights[m][j]) / product
            for m in range(highest, lowest - 1, -1):
                lower = weights[m - 1][j] * m if m else zero
                weights[m][j] = (nodes[i] * weights[m][j] - lower) * inverse
        previous_product = product
    return weights[order]


def exact_weights(nodes: Sequence[Fraction | int], order: int) -> list[Fraction]:
    """The same weights at fractions, by integers alone, so that no step reduces a fraction.

    Parameters
    ----------
    nodes : sequence of Fraction or int
        Positions relative to the point of evaluation, distinct, at least ``order + 1`` of them.
    order : int
        Order of the derivative, at least 0.

    Notes
    -----
    With W the product of all ``(x - node)``, the polynomial that is 1 at one node and 0 at the
    others is ``W / (x - node)`` over the product of the distances from there; its derivative at 0
    is `order` factorial times a coefficient.

    Examples
    --------
    >>> [str(w) for w in exact_weights([Fraction(-1, 2), Fraction(1, 2)], 1)]
    ['-1', '1']
    """
    common = lcm(*(Fraction(node).denominator for node in nodes))
    places = [int(node * common) for node in nodes]
    product = _lowest_coefficients(places, order + 1)
    weights: list[Fraction] = []
    for j, place in enumerate(places):
        quotient = 0  # a coefficient of W / (x - place), from the constant one upwards
        for power in range(order + 1):
            quotient = (quotient - product[power]) // place if place else product[power + 1]
        distances = prod(place - other for k, other in enumerate(places) if k != j)
        weights.append(Fraction(factorial(order) * common**order * quotient, distances))
    return weights


def half_width(order: int, accuracy: int) -> int:
    """Points on each side of a centred stencil on a uniform grid.

    An odd accuracy is served by the next even one, because symmetric stencils have no other.
    """
    return (order + 1) // 2 - 1 + (accuracy + 1) // 2


def staggered_half_width(order: int, accuracy: int) -> int:
    """Points on each side of a centred stencil for a point halfway between two samples."""
    return (accuracy + order + 1 - order % 2) // 2


def window(row: int, size: int) -> tuple[int, ...]:
    """Offsets, relative to `row`, of the first `size` points of an axis."""
    return tuple(range(-row, size - row))


def in_differences(offsets: Sequence[Any], weights: Sequence[Any]) -> list[tuple[Any, Any, Any]]:
    """Rewrite weights on values as weights on differences of neighbouring values.

    Weights of a derivative sum to zero, so ``sum w[k] f[k] = sum c[j] (f[j+1] - f[j])`` with
    ``c[j] = sum of w[k] for k > j``. In this form a constant gives exactly 0 and the rounding
    error is proportional to the differences, not to the values. Each c is summed from the end
    beyond which weights are smaller, which keeps small ones accurate where these are rounded.

    Returns
    -------
    list of (high, low, weight)
        The derivative is the sum of ``weight * (f[high] - f[low])``.
    """
    after = list(accumulate(weights[:0:-1]))[::-1]
    if after and not isinstance(after[0], Fraction | int):
        before = [-total for total in accumulate(weights[:-1])]
        sizes = list(map(np.abs, weights))
        sizes_before, sizes_after = accumulate(sizes[:-1]), list(accumulate(sizes[:0:-1]))[::-1]
        sums = zip(sizes_before, sizes_after, before, after, strict=True)
        after = [np.where(left < right, low, high) for left, right, low, high in sums]
    return [(high, low, c) for (low, high), c in zip(pairwise(offsets), after, strict=True)]


def in_pairs(weights: Mapping[int, Fraction]) -> list[tuple[int, int | None, Fraction]]:
    """Weights on values as triples ``(high, low, weight)``, in differences if they sum to zero.

    Weights that are odd about 0 take mirror pairs; ``low`` is None where a value itself is taken.
    """
    kept = dict(sorted((k, w) for k, w in weights.items() if w))
    if sum(kept.values()):
        return [(k, None, w) for k, w in kept.items()]
    if all(kept.get(-k) == -w for k, w in kept.items()):
        return [(k, -k, w) for k, w in kept.items() if k > 0]
    pairs = in_differences(list(kept), list(kept.values()))
    return [(high, low, w) for high, low, w in pairs if w]


@dataclass(frozen=True)
class WallClosure:
    """How a polynomial through samples and a condition at a wall is differentiated, exactly.

    With L the polynomial through the samples alone and W the product of (x - sample), any
    polynomial of one degree more that takes the samples is ``L + c W``. A condition
    ``a P + b P' = g`` at the wall settles c.

    Attributes
    ----------
    free : list of Fraction
        Weights of the derivative of L at the point of evaluation, one per sample.
    value, slope : list of Fraction
        Weights of L and L' at the wall.
    lead : Fraction
        The derivative of W at the point of evaluation.
    lead_value, lead_slope : Fraction
        W and W' at the wall.
    """

    free: list[Fraction]
    value: list[Fraction]
    slope: list[Fraction]
    lead: Fraction
    lead_value: Fraction
    lead_slope: Fraction

    def settled(self, a: Fraction, b: Fraction) -> tuple[list[Fraction], Fraction]:
        """Weights of the samples and of g; raises ZeroDivisionError if no polynomial obeys."""
        share = self.lead / (a * self.lead_value + b * self.lead_slope)
        parts = zip(self.free, self.value, self.slope, strict=True)
        return [free - share * (a * value + b * slope) for free, value, slope in parts], share


def wall_closure(nodes: Sequence[Fraction], order: int, wall: Fraction) -> WallClosure:
    """The closure of a derivative of order `order` at 0 from samples at `nodes` and a wall.

    Parameters
    ----------
    nodes : sequence of Fraction
        Positions of the samples relative to the point of evaluation; may be empty.
    order : int
        Order of the derivative, at least 0.
    wall : Fraction
        Position of the wall relative to the point of evaluation.
    """
    common = lcm(wall.denominator, *(node.denominator for node in nodes))
    places = [int(node * common) for node in nodes]
    product = _lowest_coefficients(places, order)
    lead_value, lead_slope = 1, 0
    for place in places:
        distance = int(wall * common) - place
        lead_value, lead_slope = lead_value * distance, lead_slope * distance + lead_value
    degree = len(nodes)
    from_wall = [node - wall for node in nodes]
    return WallClosure(
        free=exact_weights(nodes, order) if nodes else [],
        value=exact_weights(from_wall, 0) if nodes else [],
        slope=exact_weights(from_wall, 1) if nodes else [],
        lead=factorial(order) * product[order] * Fraction(common) ** (order - degree),
        lead_value=lead_value / Fraction(common) ** degree,
        lead_slope=lead_slope * Fraction(common) ** (1 - degree),
    )


def _lowest_coefficients(places: Sequence[int], power: int) -> list[int]:
    """Coefficients of the product of all ``(x - place)``, constant first, up to a power."""
    product = [1, *[0] * power]
    for place in places:
        for k in range(power, 0, -1):
            product[k] = product[k - 1] - place * product[k]
        product[0] *= -place
    return product


def _offset(offset: Any) -> Fraction:
    if isinstance(offset, np.timedelta64):
        raise TypeError(f"{offset!r} is a length of time")
    return Fraction(offset)


@dataclass(frozen=True)
class Stencil:
    """The exact weights of one derivative on equally spaced points.

    Parameters
    ----------
    offsets : iterable of int or Fraction
        Positions relative to the point of evaluation, in units of the spacing h; half-integers
        (``Fraction(1, 2)`` or ``0.5``) are allowed. Distinct, at least ``order + 1`` of them.
    order : int
        Order of the derivative, at least 0 (0 interpolates).

    Raises
    ------
    ArgumentValueError
        If an offset is repeated, or there are too few for the order.
    ArgumentTypeError
        If `order` is not an integer or an offset is not a real number.

    Notes
    -----
    ``f^(m)(x) = sum_k weights[k] f(x + offsets[k] h) / h**m + O(h**accuracy)``. The weights are
    Fornberg's [1]_; they are unique, and exact on polynomials of degree
    ``order + accuracy - 1``.

    References
    ----------
    .. [1] B. Fornberg, Generation of finite difference formulas on arbitrarily spaced grids,
       Math. Comp. 51 (1988) 699-706.

    Examples
    --------
    >>> Stencil((-2, -1, 0, 1, 2), order=1)
    Stencil: f'(x) = (f[-2] - 8 f[-1] + 8 f[1] - f[2]) / (12 h) + O(h^4)
    >>> Stencil((0, 1, 2), order=1)
    Stencil: f'(x) = (-3 f[0] + 4 f[1] - f[2]) / (2 h) + O(h^2)
    """

    offsets: tuple[Fraction, ...]
    order: int
    weights: tuple[Fraction, ...] = field(init=False, compare=False)

    def __init__(self, offsets: Iterable[int | float | Fraction], order: int) -> None:
        order = integer("order", order, 0)
        try:
            exact = tuple(map(_offset, offsets))
        except (TypeError, ValueError, OverflowError) as error:
            raise ArgumentTypeError(f"offsets must be finite real numbers: {error}") from None
        if len(set(exact)) < len(exact):
            raise ArgumentValueError(f"offsets={_listed(exact)} holds the same offset twice")
        if len(exact) <= order:
            raise ArgumentValueError(
                f"a derivative of order {order} needs at least {order + 1} offsets, got "
                f"{len(exact)} offsets"
            )
        object.__setattr__(self, "offsets", exact)
        object.__setattr__(self, "order", order)
        object.__setattr__(self, "weights", _kept_weights(exact, order))

    @property
    def accuracy(self) -> int:
        """Order of the error: the power of h that leads it.

        Where order 0 is taken at one of the offsets there is no error; the answer is then the
        number of offsets.
        """
        return self._leading_error()[0]

    @property
    def error_constant(self) -> Fraction:
        """Coefficient of ``h**accuracy * f^(order + accuracy)`` in the error."""
        return self._leading_error()[1]

    @property
    def is_symmetric(self) -> bool:
        """Whether the offsets lie symmetrically about the point of evaluation."""
        return tuple(sorted(-k for k in self.offsets)) == tuple(sorted(self.offsets))

    def differences(self) -> list[tuple[Fraction, Fraction, Fraction]]:
        """Triples ``(high, low, weight)``: the derivative is ``sum weight * (f[high] - f[low])``.

        A symmetric stencil of odd order pairs each point with its mirror image, and so never
        reads the centre. Every other stencil uses neighbouring points.
        """
        ordered = sorted(zip(self.offsets, self.weights, strict=True))
        offsets = [offset for offset, _ in ordered]
        weights = [weight for _, weight in ordered]
        if self.is_symmetric and self.order % 2:
            return [(k, -k, w) for k, w in ordered if k > 0]
        return in_differences(offsets, weights)

    def _leading_error(self) -> tuple[int, Fraction]:
        if self.order == 0 and 0 in self.offsets:
            return len(self.offsets), Fraction(0)  # the value itself: no error at all
        power = self.order + 1
        while not (moment := _moment(self, power)):
            power += 1
        return power - self.order, moment / factorial(power)

    def __repr__(self) -> str:
        name = "f" + ("'" * self.order if self.order <= 3 else f"^({self.order})")
        common = _common_denominator(self.weights)
        terms = [
            _signed(int(w * common), f"f[{k}]")
            for k, w in zip(self.offsets, self.weights, strict=True)
            if w
        ]
        total = "".join(terms).removeprefix(" + ").replace(" - ", "-", terms[0].startswith(" -"))
        spacing = {0: "", 1: " h"}.get(self.order, f" h^{self.order}")
        divisor = f"{common}{spacing}".removeprefix("1 ") if common > 1 else spacing.strip()
        body = f"({total}) / ({divisor})" if " " in divisor else f"({total}) / {divisor}"
        error = f" + O(h^{self.accuracy})" if self.error_constant else ""
        return f"Stencil: {name}(x) = {body if divisor else total}{error}"


@lru_cache(maxsize=4096)
def central(order: int, accuracy: int) -> Stencil:
    """The centred stencil of a derivative: the narrowest symmetric one of this accuracy.

    Parameters
    ----------
    order : int
        Order of the derivative, at least 1.
    accuracy : int
        Order of the error, at least 1; an odd one is served by the next even one.

    Examples
    --------
    >>> central(2, accuracy=2)
    Stencil: f''(x) = (f[-1] - 2 f[0] + f[1]) / h^2 + O(h^2)
    """
    reach = half_width(order, accuracy)
    return Stencil(range(-reach, reach + 1), order)


@lru_cache(maxsize=4096)
def _kept_weights(offsets: tuple[Fraction, ...], order: int) -> tuple[Fraction, ...]:
    return tuple(exact_weights(offsets, order))


def _moment(stencil: Stencil, power: int) -> Fraction:
    pairs = zip(stencil.offsets, stencil.weights, strict=True)
    return sum((w * k**power for k, w in pairs), Fraction(0))


def _common_denominator(weights: Iterable[Fraction]) -> int:
    return lcm(*(w.denominator for w in weights))


def _signed(coefficient: int, name: str) -> str:
    sign = "-" if coefficient < 0 else "+"
    size = "" if abs(coefficient) == 1 else f"{abs(coefficient)} "
    return f" {sign} {size}{name}"


def _listed(offsets: Sequence[Fraction]) -> str:
    return "(" + ", ".join(map(str, offsets)) + ")"
