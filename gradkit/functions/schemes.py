"""Difference quotients on a geometric ladder of steps, and the weights that extrapolate them.

A quotient of step h has an error ``c1 z + c2 z**2 + ...`` with ``z = h**2`` where its stencil is
symmetric and ``z = h`` where it is one-sided. The polynomial in z through the quotients of several
steps, taken at z = 0, is Richardson's extrapolation. All weights are exact fractions, rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import product

from gradkit.weights import Stencil, central, exact_weights

__all__ = ["Scheme", "Term", "central_scheme", "one_sided_scheme"]

#: Step ratio of the ladder. No power of two, nor close to one: samples of a periodic function at
#: steps that are multiples of its period would all agree.
RATIO = Fraction(9, 5)

#: ``(high, low, weight)``: offsets in units of the step.
Term = tuple[int, int, float]


@dataclass(frozen=True)
class Scheme:
    """How values around a point become an extrapolated derivative.

    Attributes
    ----------
    orders : tuple of int
        Order of the derivative in each variable that is moved.
    ratio : float
        Each step of the ladder is the one before, divided by this.
    levels : int
        Steps in a ladder.
    terms : tuple of tuple of Term
        Per variable, the differences that make up the quotient.
    points : tuple of tuple of int
        Distinct offsets that are evaluated at each level, the centre left out.
    magnitude : float
        Sum of the magnitudes of the weights of one quotient.
    extrapolations : tuple of tuple of float
        Weights of the differences of neighbouring quotients, coarse ones first, that are added to
        the finest quotient: from all levels, all but the coarsest, all but the coarsest two, and
        all but the finest ones.
    amplification : float
        How much the extrapolation magnifies the rounding of the finest quotient, at most.
    jumps : tuple of tuple of float
        Weights that estimate a jump of the derivative at the point from the part of the values that
        has the other parity; from the coarse and from the fine levels. Empty where there are none.
    symmetric : bool
        Whether points are taken on both sides.
    """

    orders: tuple[int, ...]
    ratio: float
    levels: int
    terms: tuple[tuple[Term, ...], ...]
    points: tuple[tuple[int, ...], ...]
    magnitude: float
    extrapolations: tuple[tuple[float, ...], ...]
    amplification: float
    jumps: tuple[tuple[float, ...], ...]
    symmetric: bool

    @property
    def order(self) -> int:
        """Total order of the derivative."""
        return sum(self.orders)

    @property
    def evaluations(self) -> int:
        """Points that one ladder takes."""
        return self.levels * len(self.points)

    @property
    def mixed(self) -> bool:
        """Whether this is a second derivative in two variables, from all four sides."""
        return self.symmetric and self.orders == (1, 1)

    @property
    def reach(self) -> int:
        """The largest offset, in units of the step."""
        return max(abs(k) for point in self.points for k in point)


@lru_cache(maxsize=256)
def central_scheme(orders: tuple[int, ...], levels: int = 4) -> Scheme:
    """Symmetric differences in each variable; errors in powers of the step squared."""
    stencils = [central(order, 2) for order in orders]
    jumps = _jumps(orders[0], levels) if len(orders) == 1 else ()
    return _scheme(orders, stencils, levels, RATIO, RATIO**2, jumps)


@lru_cache(maxsize=256)
def one_sided_scheme(orders: tuple[int, ...], levels: int = 8) -> Scheme:
    """Differences on one side of the point only; errors in powers of the step."""
    stencils = [Stencil(range(order + 1), order) for order in orders]
    return _scheme(orders, stencils, levels, RATIO, RATIO, ())


def _scheme(
    orders: tuple[int, ...],
    stencils: list[Stencil],
    levels: int,
    ratio: Fraction,
    z_ratio: Fraction,
    jumps: tuple[tuple[float, ...], ...],
) -> Scheme:
    terms = tuple(
        tuple((int(high), int(low), float(w)) for high, low, w in stencil.differences())
        for stencil in stencils
    )
    offsets = [sorted({k for high, low, _ in part for k in (high, low)}) for part in terms]
    magnitude = Fraction(1)
    for stencil in stencils:
        magnitude *= sum(abs(w) for w in stencil.weights)
    nodes = [1 / z_ratio**j for j in range(levels)]
    order = sum(orders)
    full = exact_weights(nodes, 0)
    finest = ratio ** (levels - 1)
    # In units of the rounding of the finest quotient, coarser ones are rounded less.
    amplification = sum(abs(w) * (ratio**j / finest) ** order for j, w in enumerate(full))
    cuts = ((0, levels), (1, levels), (2, levels), (0, max(3, levels - 2)))
    return Scheme(
        orders,
        float(ratio),
        levels,
        terms,
        tuple(point for point in product(*offsets) if any(point)),
        float(magnitude),
        tuple(_in_differences(nodes, first, last) for first, last in cuts),
        float(amplification),
        jumps,
        all(stencil.is_symmetric for stencil in stencils),
    )


def _in_differences(nodes: list[Fraction], first: int, last: int) -> tuple[float, ...]:
    """Weights c of ``finest + sum c[j] (G[j] - G[j+1])``, extrapolated from some of the levels."""
    weights = [Fraction(0)] * len(nodes)
    weights[first:last] = exact_weights(nodes[first:last], 0)
    running, found = Fraction(0), []
    for weight in weights[:-1]:
        running += weight
        found.append(float(running))
    return tuple(found)


def _jumps(order: int, levels: int) -> tuple[tuple[float, ...], ...]:
    """Weights on ``f(x+h) + (-1)**(order+1) f(x-h)`` (less 2 f(x)) that find a jump, per level set.

    Where the derivative of this order jumps at x, that part holds ``jump * h**order / order!``,
    beside the powers of the other parity that every smooth function has.
    """
    if order > 4:
        return ()
    smooth = [k for k in range(1, 2 * levels + order) if (k - order) % 2]
    used = 3
    powers = [order, *smooth[: used - 1]]
    found: list[tuple[float, ...]] = []
    for first in (0, levels - used):
        rows = [[RATIO ** (-j * power) for j in range(first, first + used)] for power in powers]
        weights = _solve(rows, [Fraction(1)] + [Fraction(0)] * (used - 1))
        padded = [Fraction(0)] * first + weights + [Fraction(0)] * (levels - used - first)
        found.append(tuple(map(float, padded)))
    return tuple(found)


def _solve(rows: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    """Solve a small linear system exactly."""
    size = len(rows)
    table = [[*row, value] for row, value in zip(rows, right, strict=True)]
    for i in range(size):
        pivot = next(k for k in range(i, size) if table[k][i])
        table[i], table[pivot] = table[pivot], table[i]
        table[i] = [value / table[i][i] for value in table[i]]
        for k in range(size):
            if k != i:
                factor = table[k][i]
                table[k] = [a - factor * b for a, b in zip(table[k], table[i], strict=True)]
    return [row[-1] for row in table]
