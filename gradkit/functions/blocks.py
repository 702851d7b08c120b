"""Lanes that move one or more variables of a function of a vector, block by block.

All points of a round are stacked into one array and go to the function in one call, unless that array
would take more than the memory allowed: then the lanes are cut into blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array
from gradkit._dtypes import dtype_name, itemsize
from gradkit.functions import steps
from gradkit.functions.evaluate import Evaluator
from gradkit.functions.judging import Tolerances
from gradkit.functions.schemes import Scheme
from gradkit.functions.search import Found, Rounds, search

__all__ = ["MEMORY", "Moves", "Setting", "joined"]

#: Bytes that the points of one call may take.
MEMORY = 2**24


class Setting:
    """What all lanes of a function of a vector share.

    Parameters
    ----------
    evaluator : Evaluator
        The function.
    x : Array
        Points, ``(variables, points)``.
    args : sequence
        Further arguments of the function.
    step : Array
        Longest step of the first ladder, ``(variables, points)``.
    room : Array
        Largest step that the bounds allow, ``(variables, points)``.
    side : Array or None
        -1 or 1 where differences are one-sided, ``(variables, points)``.
    noise : Array or float
        Absolute error of the values, ``(points,)``.
    centre : Array
        Values of the function at x, ``(..., points)``.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        x: Array,
        args: Sequence[Any],
        step: Array,
        room: Array,
        side: Array | None,
        noise: Array | float,
        centre: Array,
    ) -> None:
        self.evaluator, self.x, self.args = evaluator, x, args
        self.step, self.room, self.side = step, room, side
        self.noise, self.centre = noise, centre


class Moves:
    """Lanes that each move the same number of variables of one point.

    Parameters
    ----------
    setting : Setting
        What all lanes share.
    orders : tuple of int
        Order of the derivative in each variable that is moved.
    variables : sequence of ndarray
        Per variable that is moved, its position in x for each lane.
    point : ndarray
        The point of each lane.
    """

    def __init__(
        self,
        setting: Setting,
        orders: tuple[int, ...],
        variables: Sequence[np.ndarray],
        point: np.ndarray,
    ) -> None:
        self.setting, self.orders = setting, orders
        self.variables, self.point = variables, point
        xp = self.xp = setting.evaluator.xp
        like = setting.x
        self._point = _indices(point, like)
        self._rows = [_indices(v, like) for v in variables]
        flat = [_indices(v * like.shape[1] + point, like) for v in variables]

        def picked(part: Array) -> list[Array]:
            return [xp.take(xp.reshape(part, (-1,)), i, axis=0) for i in flat]

        self._moved, self._steps = picked(setting.x), picked(setting.step)
        self._sides = None if setting.side is None else picked(setting.side)
        self.widest = _least(xp, [r / s for r, s in zip(picked(setting.room), self._steps)])
        self.noise = setting.noise
        if _array.is_array(setting.noise):
            self.noise = xp.take(setting.noise, self._point, axis=0)
        self._centre = xp.take(setting.centre, self._point, axis=setting.centre.ndim - 1)[None, ...]

    @property
    def wide(self) -> Array:
        """Steps about as long as the variables are large, to the power of their orders."""
        xp, product = self.xp, None
        for order, moved in zip(self.orders, self._moved, strict=True):
            part = (steps.SHARE * xp.maximum(xp.abs(moved), xp.ones_like(moved))) ** order
            product = part if product is None else product * part
        return product

    @property
    def position(self) -> Array:
        """Magnitude of the largest variable that is moved."""
        position = self.xp.abs(self._moved[0])
        for moved in self._moved[1:]:
            position = self.xp.maximum(position, self.xp.abs(moved))
        return position

    def sample(
        self, scheme: Scheme, factor: Array
    ) -> tuple[Mapping[tuple[int, ...], Array], Sequence[Array]]:
        """Values at all levels and offsets, in one call."""
        xp, x = self.xp, self.setting.x
        ladders: list[Array] = []
        for d, (moved, step) in enumerate(zip(self._moved, self._steps, strict=True)):
            longest = step * factor
            ladder = xp.stack([longest / scheme.ratio**j for j in range(scheme.levels)])
            ladder = steps.representable(moved, ladder)
            ladders.append(ladder if self._sides is None else ladder * self._sides[d])
        total = scheme.levels * len(scheme.points)
        base = xp.take(x, self._point, axis=1)[:, None, :]
        stacked = xp.broadcast_to(base, (x.shape[0], total, base.shape[-1]))
        row = xp.reshape(_indices(np.arange(x.shape[0]), x), (-1, 1, 1))
        for d, (moved, ladder) in enumerate(zip(self._moved, ladders, strict=True)):
            placed = xp.concat([moved + point[d] * ladder for point in scheme.points])
            stacked = xp.where(row == self._rows[d], placed, stacked)
        values = self.setting.evaluator.columns(
            xp.reshape(stacked, (x.shape[0], -1)), self.setting.args
        )
        values = xp.reshape(values, (*values.shape[:-1], total, base.shape[-1]))
        values = xp.moveaxis(values, -2, 0)
        count = scheme.levels
        found = {
            point: values[i * count : (i + 1) * count, ...] for i, point in enumerate(scheme.points)
        }
        found[(0,) * len(self.orders)] = self._centre
        return found, ladders

    def take(self, index: Array) -> Moves:
        """Some of the lanes."""
        host = _array.to_host(index, "index")
        return Moves(self.setting, self.orders, [v[host] for v in self.variables], self.point[host])

    @property
    def longest(self) -> Array:
        """The longest step of the first ladder, of the first variable."""
        return self._steps[0]


def joined(
    setting: Setting,
    scheme: Scheme,
    variables: Sequence[np.ndarray],
    point: np.ndarray,
    tolerances: Tolerances,
    plan: Rounds,
    memory: int,
) -> tuple[Found, Array]:
    """Search in all lanes, block by block: what was found, and the longest first steps."""
    xp, x = setting.evaluator.xp, setting.x
    each = x.shape[0] * scheme.levels * len(scheme.points) * itemsize(dtype_name(x.dtype))
    size = max(1, memory // each)
    founds: list[Found] = []
    longest: list[Array] = []
    for start in range(0, len(point), size):
        part = slice(start, start + size)
        lanes = Moves(setting, scheme.orders, [v[part] for v in variables], point[part])
        founds.append(search(xp, scheme, lanes, tolerances, plan))
        longest.append(lanes.longest)
    if len(founds) == 1:
        return founds[0], longest[0]
    columns = zip(*founds, strict=True)
    return Found(*(xp.concat(part, axis=-1) for part in columns)), xp.concat(longest)


def _least(xp: Any, parts: Sequence[Array]) -> Array:
    least = parts[0]
    for part in parts[1:]:
        least = xp.minimum(least, part)
    return least


def _indices(values: np.ndarray, like: Array) -> Array:
    """Integers on the device of an array."""
    return _array.namespace(like).asarray(values.astype(np.int64), device=_array.device(like))
