"""What gradkit must know about array libraries; the only module that imports array-api-compat.

The other modules receive arrays as `Array` (any of the libraries in `gradkit.capabilities`) and
ask here for the namespace, the device, the names of dtypes, and for the few things that the array
API standard does not cover: host copies, shared memory, writing into an existing array. No array
library but NumPy is imported here: types are tested by looking at modules already loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from typing import Any, TypeAlias

import array_api_compat
import numpy as np

from gradkit._dtypes import NARROW, TIME, complex_of, dtype_name, kind
from gradkit.errors import ArgumentTypeError, ArgumentValueError, EngineError

Array: TypeAlias = Any
Namespace: TypeAlias = Any
DType: TypeAlias = Any


def as_array(value: Any, name: str) -> Array:
    """Return `value` itself if it is an array, else a NumPy array made from it.

    Lists, tuples and numbers become NumPy arrays, and labelled arrays (pandas, xarray) the array
    that they hold; memory-mapped files are looked at as plain ones, which every engine for NumPy
    arrays takes.
    """
    if type(value) is np.memmap:
        return value.view(np.ndarray)
    if type(value) is np.ndarray:
        return value
    value = value if is_array(value) else _held(value)
    if is_array(value):
        check_dense(value, name)
        return value
    try:
        array = np.asanyarray(value)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(f"{name} cannot be made into an array: {error}") from None
    if array.ndim == 0 and array.dtype.kind in "OSU":
        raise ArgumentTypeError(f"{name} is of type {type(value).__name__}: wanted an array")
    return array


def check_dense(array: Array, name: str) -> None:
    """Raise if an array is a torch tensor that is not a block of numbers with strides."""
    if not is_torch(array):
        return
    torch = sys.modules["torch"]
    if array.is_nested or array.layout is not torch.strided:
        words = "nested" if array.is_nested else str(array.layout).removeprefix("torch.")
        dense = "torch.nested.to_padded_tensor" if array.is_nested else f"{name}.to_dense()"
        raise ArgumentTypeError(f"{name} is a {words} tensor: wanted a dense one, such as {dense}")


def unlabelled(value: Any, ndim: int | None = None) -> Any:
    """The array in an object of pandas, xarray and their like; anything else as it is.

    With `ndim`, only of objects with so many dimensions; without any, it is the number.
    """
    if is_array(value) or isinstance(value, np.generic | type):
        return value
    given = getattr(value, "ndim", None)
    if given is None or ndim not in (None, given) or not hasattr(value, "__array__"):
        return value
    held = _held(value) if given else value
    return held if is_array(held) else np.asanyarray(value)[()]


def _held(value: Any) -> Any:
    """The array of another library in a labelled one, lazy or on a GPU; else `value` itself.

    In `data`, as xarray has it. NumPy arrays come by ``__array__``, which knows masks and numbers.
    """
    held = getattr(value, "data", None) if hasattr(value, "__array__") else None
    return value if isinstance(held, np.ndarray) or not is_array(held) else held


def unmasked(value: Any, name: str) -> Any:
    """The data of a masked array in which nothing is masked; anything else as it is."""
    if not isinstance(value, np.ma.MaskedArray):
        return value
    if np.ma.is_masked(value):
        raise ArgumentValueError(f"{name} holds masked values: every one of them must be known")
    return value.data


def is_array(value: Any) -> bool:
    """Whether `value` is an array of a library that has an array API namespace.

    A NumPy scalar is not one, nor is a type of arrays.
    """
    if isinstance(value, np.ndarray | np.generic | type):
        return isinstance(value, np.ndarray)
    return array_api_compat.is_array_api_obj(value)


def count(components: Any) -> int | None:
    """How many arrays a sequence, or an array stacked along its first axis, holds; else None."""
    components = unlabelled(components)
    if is_array(components):
        return int(components.shape[0]) if components.ndim else None
    if isinstance(components, Sequence) and not isinstance(components, str | bytes):
        return len(components)  # pyright: ignore[reportUnknownArgumentType]
    return None


def component(components: Any, index: int, name: str) -> Array:
    """One array of a sequence, or of an array stacked along its first axis."""
    components = unlabelled(components)
    if is_array(components):
        check_dense(components, name)
    part = components[index, ...] if is_array(components) else components[index]
    return as_array(part, f"{name}[{index}]")


def namespace(array: Array) -> Namespace:
    """The array API namespace of an array's library."""
    if isinstance(array, np.ndarray):
        # It is one itself since 2.1; that of array-api-compat takes longer to import than NumPy.
        return np
    return array_api_compat.array_namespace(array)


def library(array: Array) -> str:
    """The name by which users know an array's library, such as ``"numpy"`` or ``"torch"``."""
    if isinstance(array, np.ndarray):
        return "numpy"
    if is_torch(array):
        return "torch"
    if is_dask(array):
        return "dask"
    name: str = namespace(array).__name__
    return name.removeprefix("array_api_compat.").partition(".")[0]


def is_dask(array: Array) -> bool:
    """Whether an array is a Dask array; Dask need not be installed."""
    dask_array = sys.modules.get("dask.array")
    return dask_array is not None and isinstance(array, dask_array.Array)


def chunked(array: Array) -> tuple[str, str]:
    """The libraries of the arrays that go with a Dask array: Dask, and that of its chunks."""
    return ("dask", library(array._meta))


def is_cupy(array: Array) -> bool:
    """Whether an array is a CuPy array; CuPy need not be installed."""
    return array_api_compat.is_cupy_array(array)


def is_jax(array: Array) -> bool:
    """Whether an array is a JAX array or tracer; JAX need not be installed."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(array, jax.Array)


def is_torch(array: Array) -> bool:
    """Whether an array is a torch tensor; torch need not be installed."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def is_traced(array: Array) -> bool:
    """Whether an array is a JAX tracer, which has neither values nor a device."""
    return is_jax(array) and isinstance(array, sys.modules["jax"].core.Tracer)


def device(array: Array) -> Any:
    """Where an array lives; None if the library has a single place, or while traced."""
    if isinstance(array, np.ndarray) or is_dask(array) or is_traced(array):
        return None
    return array_api_compat.device(array)


def place(array: Array) -> Any:
    """What `device` says, as a value that can be hashed: CuPy's devices cannot."""
    where = device(array)
    return where.id if is_cupy(array) else where


def on_its_device(array: Array) -> AbstractContextManager[Any]:
    """A block in which arrays are made where a CuPy array lives; others see to it themselves.

    CuPy makes arrays on the current device, whatever they are made from.
    """
    if not is_cupy(array):
        return nullcontext()
    return sys.modules["cupy"].cuda.Device(device(array).id)


def is_fake(array: Array) -> bool:
    """Whether a torch tensor has no values of its own: nothing made for it may be kept."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(array, torch.Tensor):
        return False
    return type(array) not in (torch.Tensor, torch.nn.Parameter)


def is_comparable(array: Array) -> bool:
    """Whether an array has values that may stand for those of another one, equal to them."""
    if not is_torch(array):
        return not is_traced(array)
    torch = sys.modules["torch"]
    # Within torch.func, tensors look plain but may stand for many values, or have derivatives.
    within = getattr(getattr(torch._C, "_functorch", None), "peek_interpreter_stack", lambda: None)
    if within() is not None or array.requires_grad or is_fake(array) or array.is_meta:
        return False
    return torch.autograd.forward_ad.unpack_dual(array).tangent is None


def is_live(array: Array) -> bool:
    """Whether what is computed from an array must not be kept for the next call.

    JAX may be tracing, even where the array itself is not traced, and torch may be recording.
    """
    return is_jax(array) or (is_torch(array) and (array.requires_grad or is_fake(array)))


def is_on_host(array: Array) -> bool:
    """Whether an array lives in the memory of the host."""
    if isinstance(array, np.ndarray):
        return True
    if is_cupy(array):
        return False
    if is_torch(array):
        return array.device.type == "cpu"
    if is_jax(array):
        return is_traced(array) or all(place.platform == "cpu" for place in array.devices())
    return device(array) in (None, namespace(array).__array_namespace_info__().default_device())


def is_writeable(array: Array) -> bool:
    """Whether values can be assigned to elements of an array."""
    if isinstance(array, np.ndarray):
        return array.flags.writeable
    return array_api_compat.is_writeable_array(array)


def same_place(arrays: Sequence[tuple[str, Array]]) -> None:
    """Raise unless all named arrays belong to one library and one device."""
    first_name, first = arrays[0]
    for name, array in arrays[1:]:
        apart = None not in (device(array), device(first)) and device(array) != device(first)
        if apart or library(array) != library(first):
            raise ArgumentTypeError(
                f"{name} is a {describe_place(array)} array but {first_name} is a "
                f"{describe_place(first)} array: all arrays of one call must share a library and a "
                "device"
            )


def describe_place(array: Array) -> str:
    """Words for the library and device of an array, for messages."""
    where = device(array)
    return library(array) if where is None else f"{library(array)} ({where})"


# --- dtype objects ------------------------------------------------------------------------------


def default_real(array: Array) -> str:
    """The real dtype that integers become: float64 where the library and device have it."""
    if isinstance(array, np.ndarray) or is_dask(array):
        return "float64"
    info = namespace(array).__array_namespace_info__()
    return "float64" if "float64" in info.dtypes(device=device(array)) else "float32"


def check_dtype_exists(array: Array, name: str) -> None:
    """Raise unless the library and device of an array have the dtype that the user asked for."""
    if isinstance(array, np.ndarray) or is_dask(array) or is_cupy(array):
        try:
            np.dtype(name)
            return
        except TypeError:
            exists = False
    else:
        info = namespace(array).__array_namespace_info__()
        standard = ("float32", "float64", "complex64", "complex128")
        exists = hasattr(namespace(array), name)
        exists &= name not in standard or name in info.dtypes(device=device(array))
    if not exists:
        raise ArgumentTypeError(f"dtype={name!r} does not exist on {describe_place(array)} arrays")


def native(xp: Namespace, name: str) -> DType:
    """The dtype object of a name in a library."""
    found = getattr(xp, name, None)
    return np.dtype(name) if found is None else found


def result_dtype(xp: Namespace, inputs: Sequence[Array], name: str) -> DType:
    """The dtype object of a name: that of the first input, byte order included, if it has it."""
    dtype = inputs[0].dtype
    return dtype if dtype_name(dtype) == name else native(xp, name)


def cast(xp: Namespace, array: Array, dtype: DType) -> Array:
    """Array converted to a dtype, or itself where it has that dtype already."""
    return array if array.dtype == dtype else xp.astype(array, dtype)


def widened(array: Array) -> Array:
    """An array in double precision, where its library and device have that, or in its own."""
    xp, name = namespace(array), dtype_name(array.dtype)
    if kind(name) in ("float", "complex") and name not in NARROW:
        return array
    real = default_real(array)
    return cast(xp, array, native(xp, complex_of(real) if kind(name) == "complex" else real))


# --- exact integers and times -------------------------------------------------------------------


class Split:
    """Integers or times as exact floating parts ``sum factor * part``, each difference exact.

    It stands in for an array where differences are taken: slicing gives a `Split`, the difference
    of two is the true difference rounded once. Nothing wraps around, nothing is lost above 2**53.
    """

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[tuple[Array, float]]) -> None:
        self.parts = parts

    def __getitem__(self, index: Any) -> Split:
        return Split([(part[index], factor) for part, factor in self.parts])

    def __neg__(self) -> Split:
        return Split([(-part, factor) for part, factor in self.parts])

    def __sub__(self, other: Split) -> Array:
        pairs = zip(self.parts, other.parts, strict=True)
        (high, factor), (low, _) = [(a - b, factor) for (a, factor), (b, _) in pairs]
        return high * factor + low

    def join(self, others: Sequence[Split], xp: Namespace, axis: int) -> Split:
        """Join this one and others along an axis."""
        runs = zip(self.parts, *(other.parts for other in others), strict=True)
        return Split([(xp.concat([p for p, _ in run], axis=axis), run[0][1]) for run in runs])

    def value(self) -> Array:
        """The numbers themselves, rounded once."""
        (high, factor), (low, _) = self.parts
        return high * factor + low


def split_exactly(xp: Namespace, array: Array, compute: DType, bits: int) -> Split:
    """Split integers into their `bits` low bits and the rest; times into ticks, NaT into NaN."""
    if bits == TIME:
        ticks = array.astype(array.dtype.newbyteorder("="), copy=False).view(np.int64)
        high = np.where(np.isnat(array), np.nan, (ticks >> 32).astype(compute))
        return Split([(high, 2.0**32), ((ticks & 0xFFFFFFFF).astype(compute), 1.0)])
    offset = 0.0
    if dtype_name(array.dtype) == "uint64":
        # Every library can shift an int64, so that one holds the number minus 2**63 meanwhile.
        array = xp.astype(array, xp.int64) ^ -(2**63)
        offset = 2.0 ** (63 - bits)
    high = xp.astype(array >> bits, compute) + offset
    low = xp.astype(array & ((1 << bits) - 1), compute)
    return Split([(high, 2.0**bits), (low, 1.0)])


# --- to and from the host -----------------------------------------------------------------------


def to_host(value: Any, name: str) -> np.ndarray:
    """A NumPy copy of spacings, coordinates and others whose values must be known.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If the values are lazy, traced, or record gradients, or some are masked.
    """
    value = unmasked(value, name)
    if is_dask(value):
        computed = f"{name}.compute()" if name.isidentifier() else "what its .compute() returns"
        raise ArgumentTypeError(f"{name} is a lazy dask array: pass {computed}")
    if is_torch(value):
        check_dense(value, name)
        if value.requires_grad:
            raise ArgumentTypeError(
                f"{name} requires a gradient, but its values must be known here, as constants: "
                "pass it without one, by .detach()"
            )
        value = value.double() if dtype_name(value.dtype) == "bfloat16" else value
        try:
            value = value.numpy(force=True)
        except RuntimeError as error:
            raise ArgumentTypeError(f"{name} has no values to look at: {error}") from None
    if is_traced(value):
        raise ArgumentTypeError(
            f"{name} is traced by JAX, but must be known when the plan is made: make it a constant "
            "or a static argument"
        )
    if is_array(value) and not isinstance(value, np.ndarray):
        value = _on_the_host(value)
    try:
        host = np.array(value)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(f"{name} cannot be made into an array: {error}") from None
    # The bfloat16 of ml_dtypes, which JAX uses, is no floating dtype to NumPy.
    narrow = host.dtype.kind == "V" and kind(dtype_name(host.dtype)) == "float"
    return host.astype(np.float64) if narrow else host


def detached(array: Array) -> Array:
    """The values of an array alone: computed where it is lazy, without a record of gradients."""
    if is_dask(array):
        return array.compute()
    return array.detach() if is_torch(array) else array


def _on_the_host(array: Array) -> Any:
    """An array of a library other than torch, where NumPy can read it."""
    if is_cupy(array):
        return array.get()
    if is_jax(array):
        return array
    info = namespace(array).__array_namespace_info__()
    return array_api_compat.to_device(array, info.default_device())


def constant(xp: Namespace, value: Fraction, real: str) -> Any:
    """A scalar that multiplies or divides arrays of precision `real` without promoting them."""
    if real == "float32":
        number: Any = np.float32(_to_float(value))
    elif real == "float64":
        number = _to_float(value)
    else:
        number = np.dtype(real).type(value.numerator) / np.dtype(real).type(value.denominator)
    # NumPy divides by a 0-d array faster than by a Python float, with the same bits.
    return np.asarray(number) if xp is np else float(number)


def _to_float(value: Fraction) -> float:
    return value.numerator / value.denominator


def table(xp: Namespace, values: np.ndarray, like: Array) -> Array:
    """Weights on the device of `like`; NumPy arrays stay as they are for NumPy and JAX."""
    if xp is np or is_jax(like):
        return values
    if is_torch(like):
        # Torch warns where it is given memory that it must not write to.
        values = values if values.flags.writeable else values.copy()
        with keeping(like):
            return xp.asarray(values, device=like.device)
    return xp.asarray(values, device=device(like))


def settle(like: Array) -> None:
    """Wait until what was uploaded for a CuPy array is there, for calls on other streams.

    Other libraries see to it themselves.

    Raises
    ------
    EngineError
        If the stream is being captured: what was uploaded would be there once the graph has run.
    """
    if not is_cupy(like):
        return
    cuda = sys.modules["cupy"].cuda
    with on_its_device(like):
        stream = cuda.get_current_stream()
        if stream.is_capturing():
            raise EngineError(
                "weights and arrays cannot be uploaded while a CUDA graph is captured: call the "
                "plan once before"
            )
        stream.synchronize()


def keeping(like: Array) -> AbstractContextManager[Any]:
    """Where tensors are made that are kept: usable with gradients, even if this call is without."""
    if is_torch(like) and sys.modules["torch"].is_inference_mode_enabled():
        return sys.modules["torch"].inference_mode(False)
    return nullcontext()


def any_nan(xp: Namespace, array: Array) -> Array:
    """0-d boolean array: whether an array holds a NaN (or a NaT)."""
    name = dtype_name(array.dtype)
    if kind(name) in ("datetime", "timedelta"):
        return np.isnat(array).any()
    if kind(name) in ("float", "complex"):
        return xp.any(xp.isnan(array))
    return xp.asarray(False)
