"""Which engine the user asked for: a word kept per thread and per asynchronous task."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["AUTO", "ENGINE", "prefer"]

#: The first engine that serves a call runs it.
AUTO = "auto"

ENGINE: ContextVar[str] = ContextVar("gradkit engine", default=AUTO)


@contextmanager
def prefer(name: str) -> Generator[None]:
    """Run the calls in this block on one engine, or raise where it cannot serve them."""
    token = ENGINE.set(name)
    try:
        yield
    finally:
        ENGINE.reset(token)
