"""`gradkit info`."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec

import click
import numpy as np

import gradkit
from gradkit.capabilities import LIBRARIES
from gradkit.cli.tables import table
from gradkit.devices import cuda_unavailable
from gradkit.engines import TABLE, explain_engine
from gradkit.engines.cpu.compiling import reason_against_compiling
from gradkit.errors import GradkitError

__all__ = ["info"]


@click.command()
def info() -> None:
    """Versions, array libraries, the GPU, and which engines would run."""
    click.echo(f"gradkit {gradkit.__version__}, NumPy {np.__version__}")
    click.echo(f"Python {platform.python_version()} on {platform.platform()}")
    click.echo(table(["array library", "version"], _libraries()))
    click.echo(f"GPU: {cuda_unavailable() or 'a CUDA device answers'}")
    click.echo(f"kernels for large NumPy arrays: {reason_against_compiling() or 'made by Numba'}")
    click.echo(f"array_module(): {_chosen_module()}\n")
    click.echo(table(["engine", "serves", "for a NumPy array"], _engines()))


def _libraries() -> Iterator[list[str]]:
    """Title and version of each library, found without importing it; or how to install it."""
    distributions = packages_distributions()
    for library in LIBRARIES:
        package = library.module.partition(".")[0]
        if find_spec(package) is None:
            found = f"not installed: pip install '{library.install}'"
        else:
            names = dict.fromkeys(distributions.get(package, []))
            found = ", ".join(version(name) for name in names) or "version unknown"
        yield [library.title, found]


def _chosen_module() -> str:
    try:
        module, reason = gradkit.array_module(explain=True)
    except GradkitError as error:
        return str(error)
    return f"{module.__name__}, because {reason}"


def _engines() -> Iterator[list[str]]:
    """The engines in the order in which they are tried, and what becomes of each."""
    explained = explain_engine(np.zeros((1000, 1000)))
    for engine, (name, reason) in zip(TABLE, explained.reasons, strict=True):
        used = "used: the first that can" if name == explained.engine else "could, if asked for"
        yield [name, engine.serves, used if reason is None else f"not used: {reason}"]
