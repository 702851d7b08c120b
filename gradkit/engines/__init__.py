"""Engines run plans. The table below is tried in order: the first that serves a call runs it.

An engine is a module with two functions: ``supports(plan, inputs)`` answers None or the reason why
not, and ``run(plan, inputs, out)`` returns one array per output: those in `out` if that is not
None, which the plan has checked and of which none shares memory with an input. A new engine is a
line in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array
from gradkit.calls import check_parameters
from gradkit.engines import choice, chunked, cpu, cuda, reference
from gradkit.engines.choice import AUTO
from gradkit.errors import ArgumentTypeError, ArgumentValueError, EngineError, one_of
from gradkit.grid import Axis, Grid
from gradkit.plan import Plan
from gradkit.planning import make_plan
from gradkit.systems import Gradient

__all__ = ["TABLE", "Engine", "Explanation", "explain_engine", "run", "use_engine"]


@dataclass(frozen=True)
class Engine:
    """A way to run plans.

    Attributes
    ----------
    name : str
        The word that `use_engine` takes.
    serves : str
        What it is for, in a few words.
    supports : callable
        ``supports(plan, inputs)`` is None, or the reason why this engine cannot serve the call.
    run : callable
        ``run(plan, inputs, out)`` returns one array per output, those in `out` if there are any.
    takes_numpy : bool
        Whether it serves some NumPy arrays: small ones do not wait for answers that are known.
    """

    name: str
    serves: str
    supports: Callable[[Plan, Sequence[Array]], str | None]
    run: Callable[[Plan, Sequence[Array], Sequence[Array] | None], Sequence[Array]]
    takes_numpy: bool = True


CHUNKED = Engine(
    "chunked",
    "dask arrays, block by block",
    chunked.supports,
    chunked.run,
    takes_numpy=False,
)
TABLE = (
    CHUNKED,
    Engine(
        "cuda",
        "cupy, torch and jax arrays on a GPU, in fused kernels",
        cuda.supports,
        cuda.run,
        takes_numpy=False,
    ),
    Engine(
        "cpu",
        "numpy, torch and jax arrays in the caches of all cores",
        cpu.supports,
        cpu.run,
    ),
    Engine("reference", "every array API library", reference.supports, reference.run),
)


def run(plan: Plan, inputs: Sequence[Array], out: Sequence[Array] | None) -> Sequence[Array]:
    """Run a plan on the engine asked for, or on the first in the table that serves it."""
    wanted = choice.ENGINE.get()
    is_numpy = wanted == AUTO and type(inputs[0]) is np.ndarray
    for engine in TABLE:
        if is_numpy and not engine.takes_numpy:
            continue
        # The blocks of a dask array are run by the engine asked for; see chunked.run.
        if wanted in (AUTO, engine.name) or engine is CHUNKED:
            reason = engine.supports(plan, inputs)
            if reason is None:
                return engine.run(plan, inputs, out)
            if wanted == engine.name:
                raise EngineError(f"engine {wanted!r} cannot serve this call: it {reason}")
    raise AssertionError("the reference engine serves every call")


Plan.runner = run


@contextmanager
def use_engine(name: str) -> Generator[None]:
    """Run the calls in this block on one engine.

    Parameters
    ----------
    name : str
        ``"auto"`` (the default everywhere) takes the first engine that serves a call; the name of
        an engine takes that one, and raises `EngineError` where it cannot serve a call. The blocks
        of a Dask array are run by the engine named.

    Returns
    -------
    context manager
        For a ``with`` statement.

    Raises
    ------
    ArgumentValueError
        If no engine has that name.

    Notes
    -----
    The choice holds for the current thread or asynchronous task alone.

    Examples
    --------
    >>> import gradkit
    >>> with gradkit.use_engine("reference"):
    ...     gradkit.gradient([1.0, 2.0, 4.0])
    array([1. , 1.5, 2. ])
    """
    names = [AUTO, *(engine.name for engine in TABLE)]
    if name not in names:
        raise ArgumentValueError(one_of("engine", name, names))
    with choice.prefer(name):
        yield


@dataclass(frozen=True)
class Explanation:
    """Which engine runs a call, and why the others do not.

    Attributes
    ----------
    engine : str
        Name of the engine that runs the call.
    reasons : tuple of (name, reason)
        Per engine, in the order of the table: None if it could serve the call, else why not.
    """

    engine: str
    reasons: tuple[tuple[str, str | None], ...]

    def __str__(self) -> str:
        lines = [f"run by {self.engine}"]
        for name, reason in self.reasons:
            lines.append(f"  {name}: {'can serve this call' if reason is None else reason}")
        return "\n".join(lines)


def explain_engine(*inputs: Any, plan: Plan | None = None) -> Explanation:
    """Say which engine would run a call, and why the others would not.

    Parameters
    ----------
    *inputs : array
        The arrays of the call.
    plan : Plan, optional
        What is called; the default is the gradient along all axes.

    Returns
    -------
    Explanation
        Prints as a short list.

    Raises
    ------
    EngineError
        If an engine was named with `use_engine` that cannot serve the call.

    Examples
    --------
    >>> import numpy as np
    >>> print(explain_engine(np.zeros(5)))
    run by cpu
      chunked: serves dask arrays, the input is a numpy array
      cuda: serves cupy, torch and jax arrays, the input is a numpy array
      cpu: can serve this call
      reference: can serve this call
    """
    arrays = [_array.as_array(f, f"inputs[{i}]") for i, f in enumerate(inputs)]
    if not arrays:
        raise ArgumentValueError("explain_engine needs at least one array")
    if plan is None:
        if len(arrays) > 1:
            raise ArgumentTypeError("explain_engine needs plan= for a call with several arrays")
        # Long enough for a gradient, also where the array is too short or of unknown size.
        shape = tuple(2 if isnan(size) else max(int(size), 2) for size in arrays[0].shape)
        grid = Grid(*(Axis() for _ in shape))
        plan = make_plan(Gradient(len(shape)), grid, shape, edge_order=1)
    for f in arrays:
        check_parameters(plan.parameters, f)
    reasons = tuple((engine.name, engine.supports(plan, arrays)) for engine in TABLE)
    wanted = choice.ENGINE.get()
    able = [name for name, reason in reasons if reason is None]
    if wanted == AUTO or able[0] == CHUNKED.name:
        return Explanation(able[0], reasons)
    if wanted not in able:
        raise EngineError(f"engine {wanted!r} cannot serve this call: it {dict(reasons)[wanted]}")
    return Explanation(wanted, reasons)


def _report(plan: Plan, inputs: Sequence[Array]) -> str:
    return str(explain_engine(*inputs, plan=plan))


Plan.engine_report = _report
