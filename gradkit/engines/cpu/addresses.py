"""Where the elements of NumPy arrays begin in memory.

The public ways to ask (``ctypes.data``, ``__array_interface__``) make an object first and take
longer than a small kernel. Where objects are addresses the answer is read from the array itself.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

import numpy as np

__all__ = ["Interface", "address", "extent"]


class Interface(ctypes.Structure):
    """What ``__array_struct__`` points to: the array interface of NumPy, as C sees it."""

    _fields_ = (
        ("two", ctypes.c_int),
        ("nd", ctypes.c_int),
        ("typekind", ctypes.c_char),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_int),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("descr", ctypes.c_void_p),
    )


_interface_of = ctypes.PYFUNCTYPE(ctypes.POINTER(Interface), ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def _told(array: np.ndarray) -> int:
    """The address by way of the array interface."""
    # What it points to is freed with the capsule, which must live until all is read.
    capsule = array.__array_struct__
    return _interface_of(capsule, None)[0].data or 0


#: The pointer to the elements comes right after what all objects begin with. Macros of NumPy's C
#: API read it there, so it is there for every extension that was compiled against NumPy.
_BEHIND = object.__basicsize__
_pointer_at = ctypes.c_void_p.from_address


def _read(array: np.ndarray) -> int:
    """The address from the structure of the array in memory."""
    return _pointer_at(id(array) + _BEHIND).value or 0


def _is_read() -> bool:
    """Whether what is read is what is told."""
    if sys.implementation.name != "cpython":
        return False  # objects are elsewhere than `id` says
    array = np.ones(3)
    return all(_read(part) == _told(part) for part in (array, array[1:], array[::-1]))


#: The address of the first element of an array.
address: Callable[[np.ndarray], int] = _read if _is_read() else _told


def extent(array: np.ndarray) -> tuple[int, int]:
    """The first byte of all elements, and one after the last, counted from the address."""
    if not array.size:
        return 0, 0
    far = [(n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True)]
    return sum(d for d in far if d < 0), sum(d for d in far if d > 0) + array.itemsize
