"""Claimed derivatives: arrays, functions, automatic differentiation, symbolic expressions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array
from gradkit._dtypes import dtype_name, kind
from gradkit.errors import ArgumentTypeError, ArgumentValueError, MissingPackageError, one_of

__all__ = ["AUTOMATIC", "claimed", "for_claim"]

#: The claims that are words: libraries that differentiate `func` themselves.
AUTOMATIC = ("torch", "jax")

#: What differentiates in `torch.func` and in `jax`, per derivative.
_TORCH = {"gradient": "grad", "jacobian": "jacrev", "hessian": "hessian"}
_JAX = {"gradient": "grad", "jacobian": "jacfwd", "hessian": "hessian"}


def for_claim(claim: Any, x: Any) -> Any:
    """Where to compare: x, as a tensor of the library that is to differentiate, if one is."""
    if not isinstance(claim, str):
        return x
    if claim not in AUTOMATIC:
        raise ArgumentValueError(one_of("claim", claim, AUTOMATIC))
    if claim == "torch":
        torch = _torch()
        return x if _array.is_torch(x) else torch.as_tensor(_array.to_host(x, "x"))
    return x if _array.is_jax(x) else _jax().numpy.asarray(_array.to_host(x, "x"))


def claimed(
    claim: Any,
    wanted: str,
    func: Callable[..., Any],
    x: Array,
    args: Sequence[Any] = (),
    symbols: Sequence[Any] | None = None,
) -> tuple[np.ndarray, str]:
    """The claimed derivative at x, on the host, and words for where it comes from.

    Parameters
    ----------
    claim : array_like, callable, sympy expressions, "torch" or "jax"
        The claim, as in `gradkit.functions.check_gradient`.
    wanted : "gradient", "jacobian" or "hessian"
        What is claimed.
    func : callable
        The function itself.
    x : Array
        Where.
    args : sequence
        Further arguments of `func`, and of a claim that is a function.
    symbols : sequence of sympy.Symbol, optional
        The symbols that stand for the variables, in order.
    """
    if isinstance(claim, str):
        if x.ndim != 1:
            raise ArgumentValueError(
                f"x has shape {tuple(x.shape)}: wanted one point, (n,), for claim={claim!r}"
            )
        names, module = (_TORCH, _torch().func) if claim == "torch" else (_JAX, _jax())
        differentiate = getattr(module, names[wanted])

        def of_x(point: Array) -> Any:
            return func(point, *args)

        return _numbers(differentiate(of_x)(x)), f"{module.__name__}.{names[wanted]}"
    if _is_symbolic(claim):
        return _symbolic(claim, wanted, x, symbols), "sympy"
    if callable(claim):
        name = getattr(claim, "__name__", type(claim).__name__)
        return _numbers(claim(x, *args)), f"{name}(x)"
    return _numbers(claim), "an array"


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise MissingPackageError("torch", "backends", "claim='torch'") from None
    return torch


def _jax() -> Any:
    try:
        import jax
    except ImportError:
        raise MissingPackageError("jax", "backends", "claim='jax'") from None
    return jax


def _numbers(value: Any) -> np.ndarray:
    """Numbers of any library, nested sequences and sparse matrices included, on the host."""
    if value is None:
        raise ArgumentTypeError("the claimed derivative is None: wanted real or complex numbers")
    host = _on_host(value)
    if kind(dtype_name(host.dtype)) not in ("int", "uint", "float", "complex"):
        raise ArgumentTypeError(
            f"the claimed derivative has dtype {host.dtype}: wanted real or complex numbers"
        )
    return host


def _on_host(value: Any) -> np.ndarray:
    if hasattr(value, "toarray"):  # a sparse matrix
        value = value.toarray()
    if _array.is_array(value):
        return _array.to_host(_array.detached(value), "the claimed derivative")
    if isinstance(value, list | tuple):
        parts = [_on_host(part) for part in value]  # pyright: ignore[reportUnknownArgumentType]
        if any(part.shape != parts[0].shape for part in parts):
            shapes = ", ".join(str(part.shape) for part in parts)
            raise ArgumentTypeError(
                f"the claimed derivative has parts of shapes {shapes}: wanted one array; join "
                "them as the variables of x are joined"
            )
        return np.array(parts)
    return np.asarray(value)


def _is_symbolic(claim: Any) -> bool:
    sympy = sys.modules.get("sympy")
    if sympy is None:
        return False
    if isinstance(claim, list | tuple):
        return any(_is_symbolic(part) for part in claim)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(claim, np.ndarray):
        return claim.dtype.kind == "O" and any(_is_symbolic(part) for part in claim.flat)
    return isinstance(claim, sympy.Basic | sympy.MatrixBase | sympy.NDimArray)


def _symbolic(claim: Any, wanted: str, x: Array, symbols: Sequence[Any] | None) -> np.ndarray:
    """Values of sympy expressions at one point."""
    sympy = sys.modules["sympy"]
    entries = np.array(claim, dtype=object)
    if isinstance(claim, sympy.MatrixBase) and wanted == "gradient" and 1 in entries.shape:
        entries = entries.ravel()
    elif entries.ndim == 0 and wanted == "gradient":
        entries = entries.reshape(1)
    if x.ndim != 1:
        raise ArgumentValueError(
            f"x has shape {tuple(x.shape)}: wanted one point, (n,), for a sympy claim"
        )
    if symbols is None:
        raise ArgumentTypeError(
            "symbols=None: wanted the symbols that stand for the variables, in order, such as "
            f"symbols=sympy.symbols('x:{x.shape[0]}')"
        )
    given = list(symbols)
    if len(given) != x.shape[0]:
        raise ArgumentValueError(
            f"symbols={symbols!r} are {len(given)}, but x has {x.shape[0]} variables"
        )
    expressions = [sympy.sympify(entry) for entry in entries.flat]
    free: set[Any] = set().union(*(expression.free_symbols for expression in expressions))
    unknown = sorted(str(symbol) for symbol in free - set(given))
    if unknown:
        raise ArgumentValueError(
            f"claim depends on {', '.join(unknown)}, not among symbols={symbols!r}"
        )
    evaluate = sympy.lambdify(given, expressions, "numpy")
    with np.errstate(all="ignore"):
        values = evaluate(*_array.to_host(x, "x"))
    return _numbers([np.asarray(value) for value in values]).reshape(entries.shape)
