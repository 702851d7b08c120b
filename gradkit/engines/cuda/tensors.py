"""PyTorch tensors on a CUDA device: kernels by the addresses of tensors.

Memory and streams are those of torch; CuPy compiles the kernels and launches them.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradkit import _dtypes
from gradkit._array import Array, Namespace
from gradkit.engines.cuda.device import ByAddress, ElementwiseDevice, OnCuPy

__all__ = ["OnTorch", "device_of_tensor"]


@dataclass(frozen=True)
class OnTorch(ByAddress):
    """A CUDA device, by its number, whose arrays are torch tensors."""

    @property
    def torch(self) -> Namespace:
        """PyTorch, which has been imported by whoever made a tensor."""
        return sys.modules["torch"]

    @property
    def place(self) -> Any:
        """The device as torch names it."""
        return self.torch.device("cuda", self.number)

    @contextmanager
    def current(self) -> Generator[None]:
        """A block in which CuPy launches on this device and on the current stream of torch.

        Torch is told of the device, too: it looks at one of its own where CUDA has none yet for the
        first device, and hands out tensors of the current one alone.
        """
        cuda = self.torch.cuda
        with cuda.device(self.place), self.on_stream(cuda.current_stream(self.place).cuda_stream):
            yield

    def contiguous(self, array: Array) -> Array:
        """A tensor in C order that is what its memory says, itself if it is."""
        return array.detach().resolve_conj().resolve_neg().contiguous()

    def is_contiguous(self, array: Array) -> bool:
        """Whether results can be written to a tensor as if to plain memory."""
        return array.is_contiguous() and not (array.is_conj() or array.is_neg())

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        """A new tensor on the device."""
        return self.torch.empty(shape, dtype=dtype, device=self.place)

    def upload(self, values: np.ndarray) -> Array:
        """A tensor on the device with the values of an array on the host."""
        return self.torch.tensor(values, device=self.place)

    def address(self, array: Array) -> int:
        """Where the first element lies."""
        return array.data_ptr()

    def written(self, array: Array) -> None:
        """Tell torch that a tensor was written to, so that it knows which gradients are void."""
        self.torch.autograd.graph.increment_version(array)

    # --- tensors as arrays of CuPy, for elementwise kernels ---------------------------------------

    @property
    def viewing(self) -> ElementwiseDevice:
        """The device as that of views of tensors."""
        return OnCuPy(self.number)

    def is_viewable(self, array: Array) -> bool:
        """Whether CuPy has a dtype for a tensor, and its memory is what it says."""
        is_known = _dtypes.dtype_name(array.dtype) != "bfloat16"
        return is_known and not (array.is_conj() or array.is_neg())

    def view(self, array: Array) -> Array:
        """A tensor as an array of CuPy, of the same memory, on the current stream."""
        return self.cupy.from_dlpack(array.detach())

    def empty_like(self, array: Array, shape: Sequence[int], dtype: Any) -> Array:
        """A new tensor whose axes have the order in memory of those of another one."""
        order = sorted(range(array.ndim), key=lambda axis: -array.stride(axis))
        found = self.empty([shape[axis] for axis in order], dtype)
        return found.permute([order.index(axis) for axis in range(array.ndim)])


def device_of_tensor(f: Array) -> OnTorch | str:
    """The device that a tensor lives on, or why there are no kernels for it."""
    torch = sys.modules["torch"]
    if torch.compiler.is_compiling():
        return "leaves tensors to the compiler of torch while it traces"
    if f.device.type != "cuda":
        return f"serves tensors on cuda, the input is on {f.device.type}"
    if torch.version.hip is not None:
        return "has no kernels for AMD's GPUs"
    return OnTorch(f.device.index)
