"""Arguments that cannot be used, each reported in one line."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import click

from gradkit.errors import GradkitError

__all__ = ["InputError", "reported"]


class InputError(click.ClickException):
    """An argument that cannot be used: one line on stderr, exit code 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


@contextmanager
def reported(what: str) -> Generator[None]:
    """Turn errors that gradkit raises on purpose into one line that names `what`."""
    try:
        yield
    except GradkitError as error:
        raise InputError(f"{what}: {error}") from error
    except MemoryError as error:
        raise InputError(f"{what}: not enough memory: {error}") from error
