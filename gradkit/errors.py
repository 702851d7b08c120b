"""The exceptions that gradkit raises.

::

    GradkitError
    ├── ArgumentValueError (ValueError)      an argument of the right kind with an impossible value
    │   └── AxisError (numpy.exceptions.AxisError)   an axis that the array does not have
    ├── ArgumentTypeError (TypeError)        an argument of the wrong kind
    ├── UnsupportedError (NotImplementedError)   a request that gradkit does not serve yet
    ├── EngineError (RuntimeError)           an engine that cannot serve a call
    ├── DeviceError (RuntimeError)           a device named explicitly that does not answer
    ├── CheckError (AssertionError)          a claimed derivative that a check did not pass
    └── MissingPackageError (ImportError)    an optional package that is not installed

Every message names the argument, what was given and what was wanted. Because each class also
derives from the built-in exception, ``except ValueError`` catches what it catches elsewhere.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.exceptions import AxisError as _NumpyAxisError

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "AxisError",
    "CheckError",
    "DeviceError",
    "EngineError",
    "GradkitError",
    "MissingPackageError",
    "UnsupportedError",
    "integer",
    "is_index",
    "one_of",
]


class GradkitError(Exception):
    """Base class of every exception that gradkit raises on purpose."""


class ArgumentValueError(GradkitError, ValueError):
    """An argument has the right kind but a value that cannot be used."""


class AxisError(ArgumentValueError, _NumpyAxisError):
    """An axis lies outside the dimensions of the array."""

    def __init__(self, name: str, axis: int, ndim: int) -> None:
        self._text = (
            f"{name}={axis} is out of bounds for an array of {ndim} dimension"
            f"{'' if ndim == 1 else 's'}: wanted {-ndim} <= {name} < {ndim}"
        )
        _NumpyAxisError.__init__(self, axis, ndim)
        self._name = name

    def __str__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[Any, ...]:
        return AxisError, (self._name, self.axis, self.ndim)


class ArgumentTypeError(GradkitError, TypeError):
    """An argument is of a kind that cannot be used."""


class UnsupportedError(GradkitError, NotImplementedError):
    """The request is understood but not served by this version."""


class EngineError(GradkitError, RuntimeError):
    """An engine that was asked for by name, or the last one there is, cannot serve this call."""


class DeviceError(GradkitError, RuntimeError):
    """The device that was asked for by name does not answer."""


class CheckError(GradkitError, AssertionError):
    """A claimed derivative did not pass its check; the message holds the worst entries."""


class MissingPackageError(GradkitError, ImportError):
    """An optional package is needed; the message holds the command that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed: pip install 'gradkit[{extra}]'"
        )
        self._parts = (package, extra, purpose)

    def __reduce__(self) -> tuple[Any, ...]:
        return MissingPackageError, self._parts


def integer(name: str, value: object, least: int) -> int:
    """Return an integer >= `least` as an int; raise an error that names it for anything else."""
    other = isinstance(value, bool | np.bool | np.timedelta64)
    if other or not isinstance(value, int | np.integer):
        raise ArgumentTypeError(f"{name}={value!r} is not an integer >= {least}")
    if value < least:
        raise ArgumentValueError(f"{name}={value} is not >= {least}")
    return int(value)


def is_index(value: object) -> bool:
    """Whether a value is an integer of Python or of any library; truth values are none."""
    if isinstance(value, bool | np.bool):
        return False
    try:
        operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        return False  # arrays and tensors have `__index__`, whatever they hold
    return True


def one_of(name: str, given: object, choices: Iterable[str]) -> str:
    """Text of the error for a word that is not among the words allowed, nearest one first."""
    words = list(choices)
    text = f"{name}={given!r} is not one of {', '.join(map(repr, words))}"
    near = difflib.get_close_matches(str(given), words, n=1)
    return f"{text}; did you mean {near[0]!r}?" if near else text
