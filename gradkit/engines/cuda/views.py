"""One derivative of a strided array: an elementwise kernel on shifted views, without a copy.

Each run of rows is one call of a kernel that takes, per difference, the two views of the input
that are subtracted and the weight: a number, or one per row, broadcast along the axis. The slices
and weights are those of the reference (`gradkit.engines.program`), so any strides, order and
accuracy are served, uniform or on coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from gradkit import _array, _dtypes, _targets
from gradkit._array import Array
from gradkit._dtypes import Precision
from gradkit.engines.cuda.device import ElementwiseDevice
from gradkit.engines.program import Passage, Piece, program_of
from gradkit.plan import Plan

__all__ = [
    "ViewKey",
    "declaration",
    "differentiated",
    "give_up",
    "kept_passage",
    "operation",
    "passage_of",
]

#: Bytes of the arguments of a kernel, at most; CUDA's limit is 4096, CuPy adds some of its own.
MOST_BYTES = 3500
C_TYPES = {
    "float16": "float16",
    "float32": "float",
    "float64": "double",
    "complex64": "complex<float>",
    "complex128": "complex<double>",
}


class ViewKey(NamedTuple):
    """All that changes the text of an elementwise kernel.

    Attributes
    ----------
    dtype, real, compute, result : str
        Dtypes of the input, of weights, of differences and sums, and of the result.
    is_weighted : tuple of bool
        Per difference, whether it has a weight other than 1.
    divisors : int
        By how many numbers the sum is divided.
    """

    dtype: str
    real: str
    compute: str
    result: str
    is_weighted: tuple[bool, ...]
    divisors: int

    @property
    def name(self) -> str:
        """The name of the kernel, which tells the whole key."""
        weights = "".join("w" if weighted else "1" for weighted in self.is_weighted)
        dtypes = f"{self.dtype}_{self.real}_{self.compute}_{self.result}"
        return f"gradkit_views_{dtypes}_{weights}_d{self.divisors}"


def declaration(key: ViewKey) -> str:
    """The inputs of the kernel, as `cupy.ElementwiseKernel` takes them."""
    parts: list[str] = []
    for i, weighted in enumerate(key.is_weighted):
        parts += [f"{key.dtype} high{i}", f"{key.dtype} low{i}"]
        if weighted:
            parts.append(f"{key.real} weight{i}")
    parts += [f"{key.real} divisor{i}" for i in range(key.divisors)]
    return ", ".join(parts)


def operation(key: ViewKey) -> str:
    """The text of the kernel: weighted differences, added in order, over the divisors."""
    compute = C_TYPES[key.compute]
    lines: list[str] = []
    for i, weighted in enumerate(key.is_weighted):
        difference = f"(({compute})high{i} - ({compute})low{i})"
        term = f"{difference} * weight{i}" if weighted else difference
        lines.append(f"total += {term};" if i else f"{compute} total = {term};")
    lines += [f"total /= divisor{i};" for i in range(key.divisors)]
    lines.append(f"result = ({C_TYPES[key.result]})total;")
    return "\n".join(lines)


def passage_of(plan: Plan, inputs: Sequence[Array]) -> Passage | None:
    """The passage along an axis that is all a plan does; None if it is more, or the like.

    A plan with several results reads its input several times, which a copy does not.
    """
    precision = plan.precision(inputs)
    is_plain = len(inputs) == 1 and not plan.parameters
    if not is_plain or precision.splits[0] or precision.result not in C_TYPES:
        return None
    program = program_of(plan, inputs)
    terms = [term for result in program.sums for term in result.sequels]
    if len(terms) != 1 or len(program.sums) != 1 or len(terms[0].steps) != 1:
        return None
    (step,), term = terms[0].steps, terms[0]
    if term.trim is not None or term.coefficient is not None or not isinstance(step, Passage):
        return None
    is_served = all(_is_served(piece, precision.real, len(plan.shape)) for piece in step.pieces)
    return step if is_served and step.dtype is None else None


def kept_passage(plan: Plan, inputs: Sequence[Array], device: ElementwiseDevice) -> Passage | None:
    """`passage_of`, kept on the plan with its weights, which are there for any stream."""
    key = _memo_key(inputs, device)
    if key not in plan.memo:
        plan.memo[key] = passage_of(plan, inputs)
        device.settle()
    return plan.memo[key]


def give_up(plan: Plan, inputs: Sequence[Array], device: ElementwiseDevice) -> None:
    """Remember that a kernel of the passage of a plan does not compile."""
    plan.memo[_memo_key(inputs, device)] = None


def _memo_key(
    inputs: Sequence[Array], device: ElementwiseDevice
) -> tuple[str, ElementwiseDevice, tuple[str, ...]]:
    return ("views", device, tuple(_dtypes.dtype_name(f.dtype) for f in inputs))


def _is_served(piece: Piece, real: str, ndim: int) -> bool:
    arguments = sum(2 + (weight is not None) for _, _, weight in piece.differences)
    tables = [weight for _, _, weight in piece.differences if getattr(weight, "ndim", 0)]
    return (
        piece.is_plain
        and arguments * 16 * (ndim + 1) <= MOST_BYTES
        and all(_dtypes.dtype_name(table.dtype) == real for table in tables)
    )


def differentiated(
    plan: Plan, f: Array, passage: Passage, device: ElementwiseDevice, out: Sequence[Array] | None
) -> Sequence[Array]:
    """Run the passage that is all a plan does; the result has the memory layout of the input."""
    precision, shape = plan.precision([f]), plan.output_shapes[0]
    dtype = _array.native(_array.namespace(f), precision.result)
    result = device.empty_like(f, shape, dtype) if out is None else out[0]
    start = 0
    for piece in passage.pieces:
        rows = (slice(None),) * passage.axis + (slice(start, start + piece.rows),)
        _launch(piece, f, result[rows], precision, device)
        start += piece.rows
    return _targets.delivered([result] * len(plan.same), out)


def _launch(
    piece: Piece, f: Array, result: Array, precision: Precision, device: ElementwiseDevice
) -> None:
    key = ViewKey(
        _dtypes.dtype_name(f.dtype),
        precision.real,
        precision.compute,
        precision.result,
        tuple(weight is not None for _, _, weight in piece.differences),
        len(piece.divisors),
    )
    kernel = device.elementwise(declaration(key), f"{key.result} result", operation(key), key.name)
    terms = [(f[high], f[low], weight) for high, low, weight in piece.differences]
    kernel(*(part for part in chain(*terms, piece.divisors) if part is not None), result)
