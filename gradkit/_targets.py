"""Arrays that results are written to: what makes one fit, and what shares memory with what."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array, DType
from gradkit._dtypes import dtype_name
from gradkit.errors import ArgumentTypeError, ArgumentValueError

__all__ = ["check_target", "delivered", "is_same_memory", "shares_memory"]


def delivered(results: Sequence[Array], out: Sequence[Array] | None) -> Sequence[Array]:
    """The results themselves, or the arrays that they were to be written to, written."""
    if out is None:
        return results
    try:
        _write(results, out)
    except KeyboardInterrupt:
        _write(results, out)  # none is left half-written
        raise
    return out


def _write(results: Sequence[Array], out: Sequence[Array]) -> None:
    for target, values in zip(out, results, strict=True):
        if target is not values:
            target[...] = values


def check_target(
    name: str, out: Any, shape: tuple[int, ...], dtype: DType, inputs: Sequence[Array]
) -> None:
    """Raise unless `out` is an array that results of this shape and dtype can be written to."""
    if _is_plain_target(out, shape, dtype, inputs):
        return
    if not _array.is_array(out):
        raise ArgumentTypeError(f"{name} is of type {type(out).__name__}: wanted an array")
    _array.check_dense(out, name)
    _array.same_place([("f", inputs[0]), (name, out)])
    if _array.is_jax(out) or _array.is_dask(out):
        raise ArgumentTypeError(
            f"{name} is a {_array.library(out)} array, which cannot be written to"
        )
    if tuple(out.shape) != shape:
        raise ArgumentValueError(f"{name} has shape {tuple(out.shape)}: wanted {shape}")
    if out.dtype != dtype:
        given, wanted = dtype_name(out.dtype), dtype_name(dtype)
        if given == wanted:
            given, wanted = out.dtype.str, np.dtype(dtype).str
        raise ArgumentTypeError(
            f"{name} has dtype {given}: wanted {wanted}, the dtype of the result"
        )
    if not _array.is_writeable(out):
        raise ArgumentValueError(f"{name} is read-only")
    if _overlaps_itself(out):
        raise ArgumentValueError(f"{name} has elements that share memory with one another")
    if _array.is_torch(out):
        _check_tensor(name, out)
    _check_mask(name, out, inputs)
    if any(shares_memory(out, f) for f in inputs):
        raise ArgumentValueError(
            f"{name} shares memory with an input: wanted an array apart from it"
        )


def _is_plain_target(
    out: Any, shape: tuple[int, ...], dtype: DType, inputs: Sequence[Array]
) -> bool:
    """Whether a few cheap looks show already that results can be written to `out`."""
    if type(out) is not np.ndarray or out.shape != shape or out.dtype != dtype:
        return False
    if not out.flags.carray:  # without gaps, aligned and writeable
        return False
    # Bounds alone: what they cannot tell apart is looked at more closely.
    return all(type(f) is np.ndarray and not np.may_share_memory(out, f) for f in inputs)


def _check_tensor(name: str, out: Any) -> None:
    if out.is_inference() and not sys.modules["torch"].is_inference_mode_enabled():
        raise ArgumentValueError(f"{name} is an inference tensor: write to it in inference mode")
    if out.requires_grad:
        raise ArgumentValueError(f"{name} requires a gradient: wanted a tensor that does not")


def _check_mask(name: str, out: Any, inputs: Sequence[Array]) -> None:
    if isinstance(out, np.ma.MaskedArray):
        if out.hardmask:
            raise ArgumentValueError(f"{name} has a hard mask, under which nothing can be written")
    elif any(isinstance(f, np.ma.MaskedArray) for f in inputs):
        raise ArgumentTypeError(f"{name} cannot hold the mask of f: wanted a masked array")


def _overlaps_itself(out: Array) -> bool:
    """Whether two elements of a NumPy array or torch tensor may be the same place in memory."""
    if isinstance(out, np.ndarray):
        strides, extent = out.strides, out.itemsize
    elif _array.is_torch(out):
        strides, extent = out.stride(), 1
    else:
        return False
    for stride, size in sorted((abs(s), n) for s, n in zip(strides, out.shape, strict=True)):
        if size > 1 and stride < extent:
            return True
        extent += stride * max(size - 1, 0)
    return False


# --- memory -------------------------------------------------------------------------------------


def shares_memory(a: Array, b: Array) -> bool:
    """Whether two arrays of one library, or their masks, may overlap in memory."""
    if isinstance(a, np.ma.MaskedArray) and isinstance(b, np.ma.MaskedArray):
        masks = np.ma.getmask(a), np.ma.getmask(b)
        # One without a mask has a constant instead.
        if all(isinstance(mask, np.ndarray) for mask in masks) and shares_memory(*masks):
            return True
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        # Bounds first: they are cheap, and mostly enough.
        return np.may_share_memory(a, b) and _may_have_common_elements(a, b)
    if _array.is_cupy(a):
        return bool(sys.modules["cupy"].may_share_memory(a, b))
    if _array.is_torch(a):
        return (
            _torch_extent(a)[0] < _torch_extent(b)[1] and _torch_extent(b)[0] < _torch_extent(a)[1]
        )
    # array-api-strict wraps NumPy arrays; its slices are views of one array.
    inner = [getattr(array, "_array", None) for array in (a, b)]
    if all(isinstance(array, np.ndarray) for array in inner):
        return shares_memory(*inner)
    return a is b


def is_same_memory(a: Array, b: Array) -> bool:
    """Whether two arrays of one library, shape and dtype have each element at the same place."""
    return a is b or _layout(a) == _layout(b)


def _layout(array: Array) -> Any:
    if isinstance(array, np.ndarray):
        return array.__array_interface__["data"][0], array.strides
    if _array.is_cupy(array):
        return array.data.ptr, array.strides
    if _array.is_torch(array):
        return array.data_ptr(), array.stride(), array.is_conj(), array.is_neg()
    return id(array)


def _may_have_common_elements(a: np.ndarray, b: np.ndarray) -> bool:
    try:
        return np.shares_memory(a, b, max_work=10_000)  # pyright: ignore[reportArgumentType]
    except np.exceptions.TooHardError:
        return True


def _torch_extent(tensor: Array) -> tuple[int, int]:
    """First byte of a tensor and the byte after its last one."""
    if tensor.numel() == 0:
        return (0, 0)
    reach = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + (reach + 1) * tensor.element_size()
