"""Plans as sparse matrices and as linear operators of SciPy, or of CuPy on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from itertools import accumulate, pairwise
from math import prod
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from gradkit._array import Array, library, namespace, to_host, widened
from gradkit._dtypes import as_dtype_name, complex_of, kind
from gradkit.chains import Along, Chain, Parameter
from gradkit.errors import ArgumentTypeError, ArgumentValueError, MissingPackageError, one_of
from gradkit.methods import Rule

if TYPE_CHECKING:
    from gradkit.plan import Plan

__all__ = ["linear_operator", "matrix"]

FORMATS = ("csr", "csc", "coo", "bsr", "dia", "dok", "lil", "array")
DTYPES = ("float32", "float64", "complex64", "complex128")
ON_DEVICE = ("csr", "csc", "coo", "dia", "array")

Shape = tuple[int, ...]


def matrix(plan: Plan, format: str, dtype: Any, xp: ModuleType | None) -> Any:
    """The linear part of a plan as a sparse matrix; see `Plan.matrix`."""
    on_device = _is_for_cupy(plan, xp)
    formats = ON_DEVICE if on_device else FORMATS
    if not isinstance(format, str) or format not in formats:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentValueError(one_of("format", format, formats))
    sparse = _scipy_sparse()
    entries = _checked_dtype(plan, dtype)
    blocks = [
        [
            _sum(sparse, [c for c in chains if c.source == j], (rows, columns), plan, entries)
            for j, columns in enumerate(plan.input_shapes)
        ]
        for rows, chains in zip(plan.output_shapes, plan.bound.outputs, strict=True)
    ]
    single = len(blocks) == len(blocks[0]) == 1
    whole = blocks[0][0] if single else sparse.block_array(blocks, format="csr")
    if on_device:
        return _on_device(sparse.csr_matrix(whole), format)
    return whole.toarray() if format == "array" else whole.asformat(format)


def _checked_dtype(plan: Plan, dtype: Any, default: str = "float64") -> np.dtype[Any]:
    """The dtype of entries: one that holds them, of those that sparse matrices have."""
    if plan.is_complex and default in ("float32", "float64"):
        default = complex_of(default)
    name = as_dtype_name(dtype) or default
    if name not in DTYPES:
        raise ArgumentTypeError(one_of("dtype", name, DTYPES))
    if plan.is_complex and kind(name) != "complex":
        raise ArgumentTypeError(f"dtype={name!r} cannot hold the complex entries of this operator")
    return np.dtype(name)


def _scipy_sparse() -> Any:
    if find_spec("scipy") is None:
        raise MissingPackageError("scipy", "matrix", "a sparse matrix")
    import scipy.sparse

    return scipy.sparse


def _is_for_cupy(plan: Plan, xp: ModuleType | None) -> bool:
    """Whether CuPy is asked for, or the plan holds arrays that live there."""
    if xp is None:
        return any(library(parameter.array) == "cupy" for parameter in plan.parameters)
    if xp.__name__ in ("numpy", "cupy"):
        return xp.__name__ == "cupy"
    raise ArgumentTypeError(
        f"xp={xp.__name__} has no sparse matrices here: wanted numpy (for SciPy) or cupy, such as "
        "gradkit.array_module()"
    )


def _on_device(whole: Any, format: str) -> Any:
    import cupyx.scipy.sparse  # pyright: ignore[reportMissingImports, reportMissingTypeStubs]

    device = cupyx.scipy.sparse.csr_matrix(whole)
    return device.toarray() if format == "array" else device.asformat(format)


def _sum(
    sparse: Any, chains: Sequence[Chain], shapes: tuple[Shape, Shape], plan: Plan, dtype: Any
) -> Any:
    """The sum of the matrices of chains from one input to one output."""
    outputs, inputs = map(prod, shapes)
    total = None
    for chain in chains:
        term = _of_chain(sparse, chain, shapes[1], plan.parameters)
        total = term if total is None else total + term
    if total is None:
        return sparse.csr_array((outputs, inputs), dtype=dtype)
    total.sort_indices()
    return total.astype(dtype)


def _of_chain(sparse: Any, chain: Chain, shape: Shape, parameters: Sequence[Parameter]) -> Any:
    product: Any = None
    scale: Any = 1  # what rows are multiplied by, and have not been yet
    for step in chain.steps:
        if isinstance(step, Along):
            following = _along(sparse, step.rule, step.axis, shape)
            if product is None:
                product = (
                    following if _is_one(scale) else following @ _diagonal(sparse, scale, shape)
                )
            else:
                product = following @ _with_rows_scaled(product, scale, shape)
            scale = 1
            shape = (*shape[: step.axis], step.rule.targets, *shape[step.axis + 1 :])
        else:
            array, full, name = parameters[step.slot]
            values = widened(to_host(array, name)).reshape(full)
            forms = {"conjugate": np.conj, "magnitude": np.abs}
            scale = scale * forms.get(step.form, np.asarray)(values)
    number = chain.coefficient
    scale = scale * (complex(number) if isinstance(number, complex) else float(number))
    if product is None:
        return _diagonal(sparse, scale, shape)
    return _with_rows_scaled(product, scale, shape)


def _is_one(scale: Any) -> bool:
    return np.ndim(scale) == 0 and scale == 1


def _diagonal(sparse: Any, scale: Any, shape: Shape) -> Any:
    values = np.broadcast_to(np.asarray(scale), shape).ravel()
    return sparse.dia_array((values[None, :], [0]), shape=(len(values),) * 2).tocsr()


def _with_rows_scaled(product: Any, scale: Any, shape: Shape) -> Any:
    if _is_one(scale):
        return product
    factors: Any = scale
    if np.ndim(scale):
        factors = np.repeat(np.broadcast_to(scale, shape).ravel(), np.diff(product.indptr))
    data = product.data * factors
    return type(product)((data, product.indices, product.indptr), shape=product.shape)


def _along(sparse: Any, rule: Rule, axis: int, shape: Shape) -> Any:
    """The matrix of a rule along one axis of a grid, row by row without any product."""
    before, after = prod(shape[:axis]), prod(shape[axis + 1 :])
    rows, columns = before * rule.targets * after, before * rule.size * after
    tables = list(rule.tables())
    entries = before * after * sum(c.size for c, _ in tables)
    index = np.int32 if max(entries, columns) < 2**31 else np.int64
    inner = np.arange(after, dtype=index)[:, None]
    # One repetition: for each row along the axis, the same entries at each of the points after it.
    indices = [(c.astype(index)[:, None, :] * after + inner).ravel() for c, _ in tables]
    data = [np.repeat(v[:, None, :], after, axis=1).ravel() for _, v in tables]
    counts = [np.full(len(c) * after, c.shape[1], index) for c, _ in tables]
    shifts = np.arange(before, dtype=index)[:, None] * index(rule.size * after)
    pointers = np.zeros(rows + 1, index)
    np.cumsum(np.tile(np.concatenate(counts), before), out=pointers[1:])
    return sparse.csr_array(
        (
            np.tile(np.concatenate(data), before),
            (shifts + np.concatenate(indices)).ravel(),
            pointers,
        ),
        shape=(rows, columns),
    )


# --- linear operators ---------------------------------------------------------------------------


def linear_operator(plan: Plan, dtype: Any, xp: ModuleType | None) -> Any:
    """The linear part of a plan as a linear operator; see `Plan.linear_operator`."""
    linalg: Any
    on_device = _is_for_cupy(plan, xp)
    if on_device:
        from cupyx.scipy.sparse import linalg  # pyright: ignore[reportMissingImports, reportMissingTypeStubs]
    else:
        _scipy_sparse()
        from scipy.sparse import linalg
    own = plan.dtype if plan.dtype in DTYPES else "float64"
    entries = _checked_dtype(plan, dtype, own)
    forward, backward = plan.linear, plan.H
    if not on_device:
        # Solvers of SciPy have NumPy vectors, wherever the arrays of the plan are.
        forward, backward = forward.on_host(), backward.on_host()
    sizes = [sum(map(prod, p.output_shapes)) for p in (forward, backward)]
    return linalg.LinearOperator(
        tuple(sizes),
        matvec=partial(_on_vector, forward),
        rmatvec=partial(_on_vector, backward),
        matmat=partial(_on_columns, forward),
        rmatmat=partial(_on_columns, backward),
        dtype=entries,
    )


def _on_vector(plan: Plan, vector: Array) -> Array:
    shapes, xp = plan.input_shapes, namespace(vector)
    flat = xp.reshape(vector, (-1,))
    bounds = pairwise(accumulate(map(prod, shapes), initial=0))
    parts = [
        xp.reshape(flat[start:stop], shape)
        for (start, stop), shape in zip(bounds, shapes, strict=True)
    ]
    flattened = [xp.reshape(result, (-1,)) for result in plan.apply(parts)]
    return flattened[0] if len(flattened) == 1 else xp.concat(flattened)


def _on_columns(plan: Plan, columns: Array) -> Array:
    xp = namespace(columns)
    if not columns.shape[1]:
        return xp.zeros((sum(map(prod, plan.output_shapes)), 0), dtype=columns.dtype)
    return xp.stack([_on_vector(plan, columns[:, i]) for i in range(columns.shape[1])], axis=1)
