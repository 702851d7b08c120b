"""What is supported on each array library: one table for tests, docs and `gradkit info`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LIBRARIES", "Library", "as_markdown"]


@dataclass(frozen=True)
class Library:
    """An array library and what gradkit supports on it.

    Attributes
    ----------
    name : str
        The name of the library as gradkit reports it.
    module : str
        The module that users import.
    install : str
        What pip installs.
    title : str
        The name as people write it.
    out : bool
        Whether ``out=`` can be written to.
    complex : bool
        Whether complex arrays are differentiated.
    integers : str
        Integer dtypes whose differences are exact.
    half : str
        Dtypes narrower than float32 that are computed in float32.
    autodiff : str
        What differentiates through gradkit.
    compiled : str
        Compilers and transformations that accept gradkit calls.
    lazy : bool
        Whether a call computes nothing until it is asked to.
    """

    name: str
    module: str
    install: str
    title: str
    out: bool
    complex: bool
    integers: str
    half: str
    autodiff: str = "-"
    compiled: str = "-"
    lazy: bool = False


LIBRARIES = (
    Library("numpy", "numpy", "numpy", "NumPy", True, True, "all", "float16"),
    Library("cupy", "cupy", "gradkit[cuda13]", "CuPy", True, True, "all", "float16"),
    Library(
        "torch",
        "torch",
        "torch",
        "PyTorch",
        True,
        True,
        "all",
        "float16, bfloat16",
        autodiff="autograd, forward mode",
        compiled="torch.func.vmap",
    ),
    Library(
        "jax",
        "jax",
        "jax",
        "JAX",
        False,
        True,
        "all",
        "float16, bfloat16",
        autodiff="grad, jvp, vjp",
        compiled="jit, vmap",
    ),
    Library(
        "dask", "dask.array", "gradkit[dask]", "Dask", False, True, "all", "float16", lazy=True
    ),
    Library(
        "array_api_strict",
        "array_api_strict",
        "array-api-strict",
        "array-api-strict",
        True,
        True,
        "all",
        "-",
    ),
)


def as_markdown() -> str:
    """The table of the README."""
    header = (
        "Library",
        "`out=`",
        "complex",
        "exact integers",
        "computed in float32",
        "automatic differentiation through it",
        "transformations",
        "lazy",
    )
    rows = [
        (
            lib.title,
            _yes(lib.out),
            _yes(lib.complex),
            lib.integers,
            lib.half,
            lib.autodiff,
            lib.compiled,
            _yes(lib.lazy),
        )
        for lib in LIBRARIES
    ]
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _yes(value: bool) -> str:
    return "yes" if value else "-"
