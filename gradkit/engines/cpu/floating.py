"""Floating-point errors: what the caller wants of them, and those of many tiles, reported once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

__all__ = ["Recorder", "wants_errors"]

#: Where NumPy keeps what `numpy.errstate` sets: a new object each time. None if it moves elsewhere.
_setting: ContextVar[Any] | None = getattr(
    sys.modules.get("numpy._core.umath"), "_extobj_contextvar", None
)
#: The last such object that was looked into, and the answer: one pair, for threads to replace.
_seen: list[tuple[Any, bool]] = [(None, False)]

#: What NumPy calls each error, and an operation that has it.
_EXAMPLES: dict[str, Callable[[], Any]] = {
    "divide by zero": lambda: np.divide(np.ones(1), np.zeros(1)),
    "overflow": lambda: np.multiply(np.full(1, 1e300), 1e300),
    "underflow": lambda: np.multiply(np.full(1, 1e-300), 1e-300),
    "invalid value": lambda: np.subtract(np.full(1, np.inf), np.inf),
}


def wants_errors() -> bool:
    """Whether the caller asked NumPy for more than warnings: kernels say nothing of overflows."""
    # `numpy.geterr` takes as long as a small kernel, so an object is looked into once.
    setting = None if _setting is None else _setting.get()
    known, answer = _seen[0]
    if setting is None or setting is not known:
        answer = not {"ignore", "warn"}.issuperset(np.geterr().values())
        _seen[0] = setting, answer
    return answer


class Recorder:
    """Notes the errors in blocks of code, in any number of threads.

    What the caller ignores (see `numpy.errstate`) is not noted. `report` does with all the rest
    what the caller wants done with it. Called when all results are there, it leaves none
    half-written.
    """

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.modes: dict[str, Any] = {
            name: "ignore" if mode == "ignore" else "call" for name, mode in np.geterr().items()
        }

    def noting(self) -> AbstractContextManager[Any]:
        """A block whose errors are noted."""
        return self._collecting(self.found)

    @contextmanager
    def apart(self) -> Generator[set[str]]:
        """A block whose errors are collected in the set that it yields, and not noted."""
        found: set[str] = set()
        with self._collecting(found):
            yield found

    def _collecting(self, found: set[str]) -> AbstractContextManager[Any]:
        return np.errstate(call=lambda kind, _flag: found.add(kind), **self.modes)

    def report(self) -> None:
        """Do with each kind of error what `numpy.errstate` says, once."""
        for kind in sorted(self.found):
            _EXAMPLES[kind]()
