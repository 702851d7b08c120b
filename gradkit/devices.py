"""Choosing NumPy or CuPy, so that one script runs on a GPU node and in CI."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple, overload

import numpy as np

from gradkit.errors import ArgumentValueError, DeviceError, MissingPackageError, one_of

__all__ = ["Choice", "array_module", "cuda_unavailable"]

DEVICES = ("auto", "cpu", "cuda")
VARIABLE = "GRADKIT_DEVICE"


#: What to do where CuPy finds no compiler.
_TOOLKIT = "pip install 'cupy-cuda13x[ctk]' (or 'cupy-cuda12x[ctk]') brings CUDA's libraries"


class Choice(NamedTuple):
    """An array module and why it was chosen."""

    module: Any
    reason: str


@overload
def array_module(device: str = "auto", *, explain: Literal[False] = False) -> Any: ...


@overload
def array_module(device: str = "auto", *, explain: Literal[True]) -> Choice: ...


def array_module(device: str = "auto", *, explain: bool = False) -> Any:
    """NumPy or CuPy: the module in which a script should make its arrays.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}, default "auto"
        ``"cpu"`` is NumPy; ``"cuda"`` is CuPy, and raises where no GPU answers; ``"auto"`` is CuPy
        where a GPU answers, else NumPy, unless the environment variable ``GRADKIT_DEVICE`` holds
        one of the other two.
    explain : bool, default False
        Whether to return the reason too.

    Returns
    -------
    module, or Choice
        The module `numpy` or `cupy`; with ``explain=True`` the pair ``(module, reason)``.

    Raises
    ------
    ArgumentValueError
        If `device`, or the environment variable, is none of the three words.
    MissingPackageError, DeviceError
        If ``"cuda"`` was asked for and CuPy is not installed, or no GPU answers; the message says
        why.

    Examples
    --------
    >>> xp = array_module("cpu")
    >>> xp.__name__
    'numpy'
    """
    if device not in DEVICES:
        raise ArgumentValueError(one_of("device", device, DEVICES))
    asked = f"device={device!r} was asked for"
    if device == "auto":
        device = os.environ.get(VARIABLE) or "auto"
        asked = f"{VARIABLE}={device} is set"
        if device not in DEVICES:
            raise ArgumentValueError(one_of(f"environment variable {VARIABLE}", device, DEVICES))
    choice = Choice(np, asked) if device == "cpu" else _cuda_or_reason(device, asked)
    return choice if explain else choice.module


def _cuda_or_reason(device: str, asked: str) -> Choice:
    if device == "cuda" and find_spec("cupy") is None:
        raise MissingPackageError("cupy", "cuda13", f"{asked}, which")
    problem = cuda_unavailable()
    if problem is None:
        import cupy  # pyright: ignore[reportMissingImports, reportMissingTypeStubs]

        return Choice(cupy, asked if device == "cuda" else "a CUDA device answers")
    if device == "cuda":
        raise DeviceError(f"{asked}, but {problem}")
    return Choice(np, problem)


def cuda_unavailable() -> str | None:
    """Why CuPy cannot be used on a GPU here, or None where it can."""
    if find_spec("cupy") is None:
        return (
            "cupy is not installed: pip install 'gradkit[cuda13]' (or 'gradkit[cuda12]' for a "
            "CUDA 12 driver)"
        )
    try:
        import cupy  # pyright: ignore[reportMissingImports, reportMissingTypeStubs]

        if cupy.cuda.is_available():
            # What fills memory needs no compiler; all else does, and headers of CUDA, and wheels of
            # CuPy have neither.
            cupy.add(cupy.zeros(1), 1)
            return None
    except Exception as error:  # noqa: BLE001  a broken driver or CUDA installation can raise anything
        first = str(error).strip().partition("\n")[0]
        problem = f"cupy cannot use a GPU: {type(error).__name__}: {first}"
        is_compiler = type(error).__name__ in ("DynamicLibNotFoundError", "CompileException")
        return f"{problem}; {_TOOLKIT}" if is_compiler else problem
    return "cupy is installed, but no CUDA device or driver answers"
