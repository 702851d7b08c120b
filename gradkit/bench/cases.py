"""What is measured: each case as a plan, and as the call of a named function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np

from gradkit._array import Array, Namespace
from gradkit.fields import curl, divergence, gradient, laplacian
from gradkit.grid import Axis, Grid
from gradkit.methods import FiniteDifference
from gradkit.operators import D
from gradkit.plan import Plan
from gradkit.planning import make_plan
from gradkit.systems import Curl, Divergence, Gradient, Laplacian

__all__ = ["FAMILIES", "SPACING", "Case", "cases_of", "coordinates", "noise"]

FAMILIES = ("derivative", "coordinates", "gradient", "laplacian", "divergence", "curl")
ACCURACIES = (2, 4, 8)
#: Distance between neighbours, along every axis.
SPACING = 0.1
#: Length of the noise before it repeats: a prime, so that no axis has it.
PERIOD = 4194301


def coordinates(n: int) -> np.ndarray:
    """Positions of `n` samples at uneven distances.

    All are multiples of 1/64, so that float32 holds them exactly, and every library computes with
    the same ones.
    """
    steps = 4 + np.arange(n - 1) * 7 % 5
    return np.concatenate([np.zeros(1), np.cumsum(steps)]) / 64


def noise(xp: Namespace, shape: Sequence[int], dtype: str, seed: int) -> Array:
    """Random numbers between 0 and 1 on the device of `xp`, without a temporary of their size."""
    array = xp.empty(shape, dtype=dtype)
    flat = array.reshape(-1)
    host = np.random.default_rng(seed).random(min(PERIOD, flat.size), dtype=np.dtype(dtype).type)
    part = xp.asarray(host)
    for start in range(0, flat.size, PERIOD):
        rest = flat[start : start + PERIOD]
        rest[...] = part[: rest.size]
    return array


@dataclass(frozen=True)
class Case:
    """One operator on one shape.

    Attributes
    ----------
    family : str
        One of `FAMILIES`; ``"coordinates"`` is a first derivative on uneven coordinates.
    shape : tuple of int
        Of each array.
    axis : int or None
        The one axis of a derivative; None for all.
    accuracy : int
        Order of the error.
    """

    family: str
    shape: tuple[int, ...]
    axis: int | None = None
    accuracy: int = 2

    @property
    def name(self) -> str:
        """The case in words, apart from its shape."""
        if self.axis is None:
            return self.family
        accuracy = f", accuracy {self.accuracy}" if self.family == "derivative" else ""
        return f"{self.family}, axis {self.axis}{accuracy}"

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes along which there are derivatives."""
        return tuple(range(len(self.shape))) if self.axis is None else (self.axis,)

    @property
    def margin(self) -> int:
        """Rows at each end that other libraries may compute in another way."""
        return self.accuracy // 2

    @cached_property
    def plan(self) -> Plan:
        """The plan that the named function makes, too."""
        operator = {
            "derivative": lambda: D(self.axes[0]),
            "coordinates": lambda: D(self.axes[0]),
            "gradient": lambda: Gradient(self.axes),
            "laplacian": lambda: Laplacian(self.axes),
            "divergence": lambda: Divergence(self.axes),
            "curl": lambda: Curl(self.axes),
        }[self.family]()
        along = [
            None
            if number not in self.axes
            else Axis(coordinates=coordinates(n))
            if self.family == "coordinates"
            else Axis(spacing=SPACING)
            for number, n in enumerate(self.shape)
        ]
        ends = 1 if self.family in ("derivative", "coordinates", "gradient") else None
        method = FiniteDifference(accuracy=self.accuracy)
        return make_plan(operator, Grid(*along), self.shape, method=method, edge_order=ends)

    def inputs(self, xp: Namespace, dtype: str) -> list[Array]:
        """New arrays of noise, one per input of the plan."""
        return [noise(xp, self.shape, dtype, seed) for seed in range(self.plan.reads)]

    def into(self, inputs: Sequence[Array], out: Sequence[Array]) -> Callable[[], Any]:
        """A call of the plan that writes to `out`."""
        plan = self.plan
        f = inputs[0] if plan.reads == 1 else list(inputs)
        target = out[0] if len(out) == 1 else list(out)
        return lambda: plan(f, out=target)

    def fresh(self, inputs: Sequence[Array]) -> Callable[[], Any]:
        """A call of the named function, whose results are new arrays."""
        f, axis, accuracy = inputs[0], self.axis, self.accuracy
        if self.family == "coordinates":
            x = coordinates(self.shape[self.axes[0]])
            return lambda: gradient(f, x, axis=axis)
        if self.family in ("derivative", "gradient"):
            return lambda: gradient(f, SPACING, axis=axis, accuracy=accuracy)
        if self.family == "laplacian":
            return lambda: laplacian(f, SPACING)
        function = divergence if self.family == "divergence" else curl
        field = list(inputs)
        return lambda: function(field, SPACING)

    def elements(self) -> int:
        """Number of elements of one array."""
        return prod(self.shape)


def cases_of(shape: tuple[int, ...], families: Sequence[str]) -> Iterator[Case]:
    """The cases of some families on a shape; those that would repeat another one are left out.

    Gradient and divergence along one axis are derivatives, and a curl needs two axes or three.
    """
    ndim = len(shape)
    for family in families:
        if family == "derivative":
            for axis, accuracy in product(range(ndim), ACCURACIES):
                yield Case(family, shape, axis, accuracy)
        elif family == "coordinates":
            yield from (Case(family, shape, axis) for axis in range(ndim))
        elif family == "laplacian" or (ndim > 1 and (family != "curl" or ndim <= 3)):
            yield Case(family, shape)
