"""Where the elements of NumPy arrays begin in memory.

``__array_interface__`` tells it, too, after it has made a dictionary; this takes half the time.
"""

from __future__ import annotations

import ctypes

import numpy as np

__all__ = ["Interface", "address"]


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


def address(array: np.ndarray) -> int:
    """The address of the first element of an array."""
    # What it points to is freed with the capsule, which must live until all is read.
    capsule = array.__array_struct__
    return _interface_of(capsule, None)[0].data or 0
