"""JAX arrays on a CUDA device: a kernel is a step of a program of XLA, on XLA's own stream.

JAX allocates and frees memory on a stream that it does not show, so a kernel that it does not
know of could read what has been freed. `jax.experimental.buffer_callback` makes the launch a part
of a compiled program: XLA hands out its stream and the addresses of operands and results, holds
them until the kernel has run, and makes whoever takes the results wait. The host waits for nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradkit import _array, _dtypes
from gradkit._array import Array, Namespace
from gradkit.engines.cuda.device import ByAddress, Kernel
from gradkit.engines.cuda.key import Key
from gradkit.engines.cuda.launch import Prepared, launch_of, start
from gradkit.plan import Plan

__all__ = ["OnJax", "called", "device_of_array", "reason_against_array"]

#: How JAX and DLPack name a CUDA device.
_PLATFORM, _CUDA = "gpu", 2
#: What JAX has while ``jax_enable_x64`` is on. Such arrays outlive that, but weights that are made
#: later have 32 bits where kernels would read 64.
_OF_64_BITS = {"float64", "complex128", "int64", "uint64"}


@dataclass(frozen=True)
class OnJax(ByAddress):
    """A CUDA device, by its number, whose arrays are JAX's.

    Attributes
    ----------
    place : jax.Device
        The device as JAX names it.
    default_real : str
        What integers become: it depends on ``jax_enable_x64``, which may change between calls.
    """

    place: Any
    default_real: str

    @property
    def jax(self) -> Namespace:
        """JAX, which has been imported by whoever made an array."""
        return sys.modules["jax"]

    @contextmanager
    def current(self) -> Generator[None]:
        """A block in which arrays are made at once, also where JAX traces, and CuPy compiles."""
        with self.jax.ensure_compile_time_eval(), self.cupy.cuda.Device(self.number):
            yield

    def during(self, context: Any) -> AbstractContextManager[Any]:
        """A block within a program of XLA, in which CuPy launches on the stream of it."""
        return self.on_stream(context.stream)

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        """Results are made by XLA alone."""
        raise NotImplementedError

    def is_contiguous(self, array: Array) -> bool:
        """True: XLA hands out nothing else."""
        return True

    def contiguous(self, array: Array) -> Array:
        """An array of the operator on this device."""
        return self.jax.device_put(array, self.place)

    def upload(self, values: np.ndarray) -> Array:
        """An array on the device with the values of one on the host."""
        return self.jax.device_put(values, self.place)

    def is_capturing(self) -> bool:
        """False: XLA makes graphs of its own steps alone."""
        return False

    def settle(self) -> None:
        """Nothing: XLA knows when an array is there."""

    def address(self, array: Array) -> int:
        """Where the first element lies, of an array or of a buffer within a program."""
        if _array.is_jax(array):
            return array.unsafe_buffer_pointer()
        return array.__cuda_array_interface__["data"][0]

    def written(self, array: Array) -> None:
        """Nothing: results are written once, by XLA's leave."""

    def kernel(self, key: Key) -> Kernel:
        """The kernel of a key, compiled now: within a program it is too late for an error."""
        self.compiled(key).compile()
        return super().kernel(key)


def device_of_array(f: Array) -> OnJax | str:
    """The device that an array lives on, or why there are no kernels for it."""
    if _array.is_traced(f):
        return "leaves traced arrays to XLA"
    if f.is_deleted():
        return "serves arrays with values, the input has been deleted"
    places = f.devices()
    if len(places) > 1 or not f.is_fully_addressable:
        return f"serves arrays on one device, the input is on {len(places)}"
    (place,) = places
    if place.platform != _PLATFORM:
        return f"serves arrays on cuda, the input is on {place.platform}"
    kind, number = f.__dlpack_device__()
    if kind != _CUDA:
        return f"serves arrays on cuda, the input is on {place} (kind {int(kind)} in DLPack)"
    return OnJax(int(number), place, _array.default_real(f))


def reason_against_array(plan: Plan, inputs: Sequence[Array]) -> str | None:
    """Why kernels do not serve a plan for arrays of JAX; None if they do."""
    if any(map(_array.is_traced, inputs)):
        return "leaves traced arrays to XLA"
    if any(_array.is_traced(parameter.array) for parameter in plan.parameters):
        return "has no derivatives with respect to the arrays of an operator"
    wide = sorted(_OF_64_BITS & {_dtypes.dtype_name(f.dtype) for f in inputs})
    if wide and _array.default_real(inputs[0]) != "float64":
        return f"serves {wide[0]} while jax_enable_x64 is on, it is off"
    try:
        from jax.experimental.buffer_callback import buffer_callback as _  # noqa: F401
    except ImportError:
        version = sys.modules["jax"].__version__
        return f"needs jax.experimental.buffer_callback, which jax {version} does not have"
    return None


def called(plan: Plan, inputs: Sequence[Array], made: Prepared, device: OnJax) -> Sequence[Array]:
    """Run a prepared plan as a program of XLA; returns one array per output."""
    key = ("program of XLA", device, tuple(_dtypes.dtype_name(f.dtype) for f in inputs))
    program = plan.memo.get(key)
    if program is None:
        # Results are aligned in XLA; only inputs from elsewhere may need narrower vectors.
        launch_of(made, made.vectors[0], device)
        program = plan.memo[key] = _program(plan, made, device)
    results = program(*inputs, *made.arrays, made.edges, *made.tables)
    by_number = dict(zip(dict.fromkeys(plan.same), results, strict=True))
    return [by_number[i] for i in plan.same]


def _program(plan: Plan, made: Prepared, device: OnJax) -> Callable[..., Sequence[Array]]:
    from jax import ShapeDtypeStruct, jit
    from jax.experimental.buffer_callback import buffer_callback

    xp = device.jax.numpy
    dtype = _array.native(xp, made.key.result)
    shapes = [plan.output_shapes[i] for i in dict.fromkeys(plan.same)]
    stored = xp.uint16 if made.key.result == "bfloat16" else dtype

    def launch(context: Any, results: Sequence[Any], *operands: Any) -> None:
        with device.during(context):
            start(made, operands, results, device)

    step = buffer_callback(launch, [ShapeDtypeStruct(shape, stored) for shape in shapes])

    def program(*operands: Array) -> list[Array]:
        found = step(*(_bits(device.jax, f) for f in operands))
        if stored is dtype:
            return found
        return [device.jax.lax.bitcast_convert_type(v, dtype) for v in found]

    return jit(program)


def _bits(jax: Namespace, f: Array) -> Array:
    """An array whose addresses buffers tell: those of bfloat16 do not."""
    if _dtypes.dtype_name(f.dtype) != "bfloat16":
        return f
    return jax.lax.bitcast_convert_type(f, jax.numpy.uint16)
