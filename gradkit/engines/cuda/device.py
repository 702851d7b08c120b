"""Where kernels run: what they need of a device, and CUDA devices through CuPy.

Kernels are compiled here and nowhere else. The tests have another `Device`, which runs the same
launches on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gradkit._array import Array, Namespace
from gradkit.engines.cuda.key import Key
from gradkit.engines.cuda.names import name as kernel_name
from gradkit.engines.cuda.source import source

__all__ = ["ByAddress", "Device", "Elementwise", "ElementwiseDevice", "Kernel", "OnCuPy"]

Kernel = Callable[[tuple[int, int, int], tuple[int, int, int], tuple[Any, ...]], None]
Elementwise = Callable[..., Any]


class Device(Protocol):
    """Where arrays live and kernels run."""

    @property
    def compile_error(self) -> type[Exception]:
        """What a kernel that does not compile raises."""
        ...

    def current(self) -> AbstractContextManager[Any]:
        """A block in which kernels are launched here."""
        ...

    def is_current(self, array: Array) -> bool:
        """Whether a kernel that is launched now, as it is, runs where an array lives."""
        ...

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        """A new array of the device."""
        ...

    def is_contiguous(self, array: Array) -> bool:
        """Whether an array is in C order."""
        ...

    def contiguous(self, array: Array) -> Array:
        """An array in C order, itself if it is."""
        ...

    def upload(self, values: np.ndarray) -> Array:
        """An array of the device with the values of one on the host."""
        ...

    def is_capturing(self) -> bool:
        """Whether what is launched now becomes part of a graph, and runs later."""
        ...

    def settle(self) -> None:
        """Wait until all that was uploaded is there."""
        ...

    def address(self, array: Array) -> int:
        """Where the first element lies."""
        ...

    def written(self, array: Array) -> None:
        """Note that a kernel has written to an array of the user's."""
        ...

    def kernel(self, key: Key) -> Kernel:
        """The compiled kernel of a key, kept for the next call."""
        ...


class ElementwiseDevice(Device, Protocol):
    """A device that runs elementwise kernels on views of its arrays, too."""

    def empty_like(self, array: Array, shape: Sequence[int], dtype: Any) -> Array:
        """A new array whose axes have the order in memory of those of another one."""
        ...

    def elementwise(self, inputs: str, output: str, operation: str, name: str) -> Elementwise:
        """An elementwise kernel, whose name tells all the rest, kept for the next call."""
        ...


#: Kernels by the number of the device and the key.
_KERNELS: dict[tuple[int, Key], Any] = {}
#: Elementwise kernels by name.
_ELEMENTWISE: dict[str, Any] = {}


@dataclass(frozen=True)
class _Stream:
    """A stream by its address, in the form that CuPy takes."""

    address: int

    def __cuda_stream__(self) -> tuple[int, int]:
        """Version of the protocol, and the address."""
        return (0, self.address)


@dataclass(frozen=True)
class _Compiler:
    """CuPy, on a CUDA device given by its number: compiles and launches."""

    number: int

    @property
    def cupy(self) -> Namespace:
        """CuPy itself."""
        import cupy  # pyright: ignore[reportMissingImports]

        return cupy

    @property
    def compile_error(self) -> type[Exception]:
        """What a kernel that does not compile raises."""
        return self.cupy.cuda.compiler.CompileException

    def is_capturing(self) -> bool:
        """Whether the current stream is being captured into a CUDA graph."""
        return self.cupy.cuda.get_current_stream().is_capturing()

    def settle(self) -> None:
        """Wait for the current stream, unless it is being captured."""
        if not self.is_capturing():
            self.cupy.cuda.get_current_stream().synchronize()

    def compiled(self, key: Key) -> Any:
        """CuPy's kernel of a key, kept for the next call."""
        found = _KERNELS.get((self.number, key))
        if found is None:
            found = self.cupy.RawKernel(source(key), kernel_name(key), options=("--std=c++17",))
            _KERNELS[self.number, key] = found
        return found


@dataclass(frozen=True)
class ByAddress(_Compiler):
    """A CUDA device with the arrays of a library other than CuPy, which kernels take by address."""

    def is_current(self, array: Array) -> bool:
        """False: streams and gradients of other libraries are looked at in each call."""
        return False

    def address(self, array: Array) -> int:
        """Where the first element lies."""
        raise NotImplementedError

    @contextmanager
    def on_stream(self, address: int) -> Generator[None]:
        """A block in which CuPy launches on this device and on the stream at an address."""
        cuda = self.cupy.cuda
        with cuda.Device(self.number):
            before = cuda.get_current_stream()
            # Leaving a `with` block of a stream forgets what its user has chosen by `use`.
            cuda.Stream.from_external(_Stream(address)).use()
            try:
                yield
            finally:
                before.use()

    def kernel(self, key: Key) -> Kernel:
        """The compiled kernel of a key, for arrays of that library instead of CuPy's."""
        compiled = self.compiled(key)

        def launch(grid: Any, block: Any, arguments: Sequence[Any]) -> None:
            compiled(grid, block, tuple(map(self._as_argument, arguments)))

        return launch

    def _as_argument(self, argument: Any) -> Any:
        is_number = isinstance(argument, np.generic)
        return argument if is_number else np.uintp(self.address(argument))


@dataclass(frozen=True)
class OnCuPy(_Compiler):
    """A CUDA device with arrays of CuPy."""

    def current(self) -> AbstractContextManager[Any]:
        """A block in which this is the current device."""
        return self.cupy.cuda.Device(self.number)

    def is_current(self, array: Array) -> bool:
        """Whether an array lives on the current device, and that is this one."""
        return array.data.device_id == self.number == self.cupy.cuda.runtime.getDevice()

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        """A new array of the device."""
        return self.cupy.empty(shape, dtype=dtype)

    def empty_like(self, array: Array, shape: Sequence[int], dtype: Any) -> Array:
        """A new array whose axes have the order in memory of those of another one."""
        return self.cupy.empty_like(array, dtype=dtype, order="K", shape=shape)

    def is_contiguous(self, array: Array) -> bool:
        """Whether an array is in C order."""
        return array.flags.c_contiguous

    def contiguous(self, array: Array) -> Array:
        """An array in C order, itself if it is."""
        return self.cupy.ascontiguousarray(array)

    def upload(self, values: np.ndarray) -> Array:
        """An array of the device with the values of one on the host."""
        return self.cupy.asarray(values)

    def address(self, array: Array) -> int:
        """Where the first element lies."""
        return array.data.ptr

    def written(self, array: Array) -> None:
        """Nothing: CuPy keeps no record of writes."""

    def kernel(self, key: Key) -> Kernel:
        """The compiled kernel of a key, kept for the next call."""
        return self.compiled(key)

    def elementwise(self, inputs: str, output: str, operation: str, name: str) -> Elementwise:
        """An elementwise kernel, whose name tells all the rest, kept for the next call."""
        found = _ELEMENTWISE.get(name)
        if found is None:
            found = self.cupy.ElementwiseKernel(inputs, output, operation, name)
            _ELEMENTWISE[name] = found
        return found
