"""What an operator becomes on a grid: chains of steps, and the arrays that they multiply by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradkit import _array
from gradkit._array import Array
from gradkit._dtypes import dtype_name, kind
from gradkit.chains import Along, Chain, Parameter, Times
from gradkit.places import Places

__all__ = ["Bound"]


@dataclass(frozen=True)
class Bound:
    """What an operator becomes on a grid.

    Attributes
    ----------
    outputs : tuple of tuple of Chain
        The chains whose sum is each output.
    parameters : tuple of Parameter
        The arrays that they multiply by, or that are known along walls.
    inputs_at, outputs_at : tuple of tuple of str
        The place of each input and output along each axis.
    same_inputs, same_outputs : tuple of int
        Per input, the number of the first one that all outputs take alike; per output, the number
        of the first one that is equal to it.
    """

    outputs: tuple[tuple[Chain, ...], ...]
    parameters: tuple[Parameter, ...]
    inputs_at: tuple[Places, ...]
    outputs_at: tuple[Places, ...]
    same_inputs: tuple[int, ...]
    same_outputs: tuple[int, ...]

    def chains(self) -> Iterator[Chain]:
        """All chains of all outputs."""
        for chains in self.outputs:
            yield from chains

    def alongs(self) -> Iterator[Along]:
        """All rules along axes, with what is known at their walls."""
        for chain in self.chains():
            for step in chain.steps:
                if isinstance(step, Along):
                    yield step

    @property
    def is_complex(self) -> bool:
        """Whether real inputs have complex results."""
        names = [dtype_name(parameter.array.dtype) for parameter in self.parameters]
        numbers = [known for step in self.alongs() for known in step.walls]
        numbers += [chain.coefficient for chain in self.chains()]
        return any(kind(name) == "complex" for name in names) or any(
            isinstance(number, complex) for number in numbers
        )

    def linear(self) -> Bound:
        """The same with 0 for what is known at walls, and without the arrays of it."""
        bound = self._mapped(Chain.linear)
        used = sorted({s.slot for c in bound.chains() for s in c.steps if isinstance(s, Times)})
        numbers = {slot: number for number, slot in enumerate(used)}
        kept = tuple(self.parameters[slot] for slot in used)
        return replace(bound._mapped(lambda chain: chain.renumbered(numbers)), parameters=kept)

    def magnitude(self) -> Bound:
        """The sums of the magnitudes of all products."""
        return self._mapped(Chain.magnitude)

    def _mapped(self, change: Callable[[Chain], Chain]) -> Bound:
        outputs = tuple(tuple(map(change, chains)) for chains in self.outputs)
        return replace(self, outputs=outputs)

    def transposed(self, conjugate: bool) -> Bound:
        """What takes results back: outputs become inputs."""
        outputs: list[list[Chain]] = [[] for _ in self.inputs_at]
        for number, chains in enumerate(self.outputs):
            for chain in chains:
                outputs[chain.source].append(chain.transposed(number, conjugate))
        return replace(
            self,
            outputs=tuple(map(tuple, outputs)),
            inputs_at=self.outputs_at,
            outputs_at=self.inputs_at,
            same_inputs=self.same_outputs,
            same_outputs=self.same_inputs,
        )

    def part(self, inputs: Sequence[int], outputs: Sequence[int]) -> Bound:
        """Some outputs alone, as they are where the other inputs are 0."""
        numbers = {source: number for number, source in enumerate(inputs)}
        kept = tuple(
            tuple(
                replace(chain, source=numbers[chain.source])
                for chain in self.outputs[i]
                if chain.source in numbers
            )
            for i in outputs
        )
        return replace(
            self,
            outputs=kept,
            inputs_at=tuple(self.inputs_at[i] for i in inputs),
            outputs_at=tuple(self.outputs_at[i] for i in outputs),
            same_inputs=_same_among(self.same_inputs, inputs),
            same_outputs=_same_among(self.same_outputs, outputs),
        )

    def on_host(self) -> Bound:
        """The same with all arrays on the host; itself where they are."""
        if all(isinstance(parameter.array, np.ndarray) for parameter in self.parameters):
            return self
        hosted = tuple(p._replace(array=_array.to_host(p.array, p.name)) for p in self.parameters)
        return replace(self, parameters=hosted)

    def zero(self) -> Array:
        """A number of the library, and in the place, of the arrays; on the host if they are."""
        elsewhere = (p.array for p in self.parameters if not isinstance(p.array, np.ndarray))
        like = next(elsewhere, np.zeros(()))
        xp = _array.namespace(like)
        real = _array.native(xp, _array.default_real(like))
        return xp.zeros((), dtype=real, device=_array.device(like))

    def without_arrays(self) -> Bound:
        """The same with no parameters but their shapes: for blocks, which get parts of them."""
        nothing = np.zeros(())
        kept = tuple(parameter._replace(array=nothing) for parameter in self.parameters)
        return replace(self, parameters=kept)


def _same_among(same: Sequence[int], kept: Sequence[int]) -> tuple[int, ...]:
    """Per array that is kept, the number among these of the first one that is like it."""
    likes = [same[i] for i in kept]
    return tuple(map(likes.index, likes))
