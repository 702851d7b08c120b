"""Jacobians of known sparsity: variables that no value shares are moved together.

Curtis, Powell and Reid (1974): with the columns of the pattern coloured so that no row has a
colour twice, one difference per colour gives all entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array
from gradkit._dtypes import dtype_name
from gradkit.errors import ArgumentTypeError, ArgumentValueError, MissingPackageError
from gradkit.functions import steps
from gradkit.functions.blocks import Problem, indices, sampled
from gradkit.functions.directions import along
from gradkit.functions.evaluate import Asking, answered
from gradkit.functions.judging import Values
from gradkit.functions.results import STATUSES, Result, result
from gradkit.functions.schemes import Scheme
from gradkit.functions.sides import differentiate, facing

__all__ = ["Groups", "colours", "grouped_jacobian"]


def colours(pattern: Any) -> np.ndarray:
    """A colour for each column of a sparse pattern, no row having one twice (greedy).

    Parameters
    ----------
    pattern : scipy.sparse.csr_array
        Nonzero where a value depends on a variable.
    """
    rows, columns = pattern.tocsr(), pattern.tocsc()
    found = np.full(pattern.shape[1], -1)
    for j in np.argsort(-np.diff(columns.indptr), kind="stable"):
        mine = columns.indices[columns.indptr[j] : columns.indptr[j + 1]]
        taken = {
            int(found[k])
            for row in mine
            for k in rows.indices[rows.indptr[row] : rows.indptr[row + 1]]
        }
        found[j] = next(c for c in range(len(taken) + 1) if c not in taken)
    return found


class Groups:
    """Lanes that each move all variables of one colour.

    Parameters
    ----------
    problem : Problem
        The function and its one point.
    scheme : Scheme
        Stencil.
    colour : ndarray
        The colour of each variable.
    owner : ndarray
        ``(values, colours)``: the variable of a colour that a value depends on, -1 for none.
    lanes : ndarray
        The colours that are moved.
    """

    def __init__(
        self,
        problem: Problem,
        scheme: Scheme,
        colour: np.ndarray,
        owner: np.ndarray,
        lanes: np.ndarray,
    ) -> None:
        self.problem, self.scheme = problem, scheme
        self.colour, self.owner, self.lanes = colour, owner, lanes
        self._xp, self._x = problem.evaluator.xp, problem.x[:, 0]
        begin = steps.Start(*(_first(part) for part in problem.begin))
        self._step = begin.step
        x, method = self._x, problem.options.method
        self._sides = facing(self._xp, begin, steps.broad(x), scheme, method, steps.shortest(x))
        # Variables of lanes that were dropped stay where they are.
        lane = np.full(int(colour.max(initial=-1)) + 1, -1)
        lane[lanes] = np.arange(len(lanes))
        self._lane = lane[colour]
        self.noise = problem.noise

    def _owned(self, part: Array) -> Array:
        """Numbers of variables as ``(values, lanes)``, 1 where no variable moves a value."""
        xp, owner = self._xp, self.owner[:, self.lanes]
        taken = xp.take(part, indices(np.maximum(owner, 0).reshape(-1), part), axis=0)
        taken = xp.reshape(taken, owner.shape)
        owned = indices(owner.astype(np.int64), part) >= 0
        return xp.where(owned, taken, xp.ones_like(taken))

    @property
    def longest(self) -> Array:
        """Longest step of the first ladder."""
        return self._owned(self._step)

    @property
    def widest(self) -> Array:
        """The largest factor that all variables of a colour allow."""
        xp, widest = self._xp, self._sides.widest
        own = indices(self._lane, widest)[:, None] == indices(np.arange(len(self.lanes)), widest)
        free = xp.full_like(widest, float("inf"))[:, None]
        return xp.min(xp.where(own, widest[:, None], free), axis=0)

    @property
    def cramped(self) -> Array:
        """Whether bounds leave any variable of a colour hardly any room on one side."""
        own = indices(self._lane, self._x)[:, None] == indices(np.arange(len(self.lanes)), self._x)
        return self._xp.any(own & self._sides.cramped[:, None], axis=0)

    @property
    def wide(self) -> Array:
        """Steps of about the size of the variables."""
        return self._owned(steps.broad(self._x))

    @property
    def position(self) -> Array:
        """Magnitude of the variables."""
        return self._owned(self._xp.abs(self._x))

    @property
    def epsilon(self) -> float:
        """Relative rounding of the values."""
        return self.problem.evaluator.epsilon

    def sample(self, scheme: Scheme, factor: Array) -> Asking[tuple[Values, Sequence[Array]]]:
        """Values at all levels and offsets, in one call."""
        xp, x = self._xp, self._x
        each = xp.take(factor, indices(np.maximum(self._lane, 0), x), axis=0)
        ladder = steps.ladder(x, self._step * each, scheme.ratio, scheme.levels)
        if self._sides.side is not None:
            ladder = ladder * self._sides.side
        placed = xp.concat([x + ladder * point[0] for point in scheme.points])
        placed = xp.permute_dims(placed, (1, 0))[:, :, None]
        own = indices(self._lane, x)[:, None] == indices(np.arange(len(self.lanes)), x)
        base = x[:, None, None]
        stacked = xp.where(own[:, None, :], placed, base)
        centre = self.problem.centre[None, ...]
        values = yield from sampled(self.problem, scheme, stacked, base, centre)
        return values, [xp.stack([self._owned(ladder[k, :]) for k in range(scheme.levels)])]

    def take(self, index: Array) -> Groups:
        """Some of the lanes."""
        lanes = self.lanes[_array.to_host(index, "index")]
        return Groups(self.problem, self.scheme, self.colour, self.owner, lanes)


def _first(part: Any) -> Any:
    """The column of the one point, of an array."""
    return part[:, 0] if _array.is_array(part) else part


def grouped_jacobian(problem: Problem, sparsity: Any) -> Result:
    """The jacobian on a pattern of sparsity, as sparse arrays.

    Parameters
    ----------
    problem : Problem
        The function and its one point.
    sparsity : array or sparse matrix
        Nonzero where a value depends on a variable.
    """
    try:
        from scipy import sparse
    except ImportError:
        raise MissingPackageError("scipy", "matrix", "jacobian(sparsity=)") from None
    pattern = _pattern(problem, sparsity, sparse)
    colour = colours(pattern)
    count = int(colour.max(initial=-1)) + 1
    entries = pattern.tocoo()
    row, column = entries.row, entries.col
    owner = np.full((pattern.shape[0], count), -1)
    owner[row, colour[column]] = column

    def lanes_of(scheme: Scheme) -> Groups:
        return Groups(problem, scheme, colour, owner, np.arange(count))

    options = problem.options
    search = differentiate(
        problem.evaluator.xp,
        (1,),
        options.method,
        problem.begin.below is not None,
        lanes_of,
        options.tolerances,
        options.plan(problem.x, count),
    )
    found = answered(problem.evaluator.columns, [search])[0]
    dense = result(found, owner.shape, problem.evaluator.calls)
    _check_strays(_array.to_host(dense.value, "value"), owner, colour)
    names = ("value", "error", "success", "code", "evaluations", "step")
    parts = {
        name: _array.to_host(getattr(dense, name), name)[row, colour[column]] for name in names
    }
    _compare_along(problem, parts, row, column)
    return Result(
        *(sparse.csr_array((parts[name], (row, column)), shape=pattern.shape) for name in names),
        calls=problem.evaluator.calls,
    )


def _pattern(problem: Problem, sparsity: Any, sparse: Any) -> Any:
    """The pattern as a csr_array of ones, after checks."""
    if problem.batch or problem.options.method == "complex":
        raise ArgumentTypeError(
            "sparsity= is for one point, x of shape (m,), and differences: method='central', "
            "'forward' or 'backward'"
        )
    if _array.is_traced(problem.x):
        raise ArgumentTypeError(
            "sparsity= makes a matrix of SciPy, which needs numbers, and x is traced by JAX: "
            "wanted a call outside of jax.jit, or no sparsity="
        )
    if len(problem.outputs) != 1:
        raise ArgumentValueError(
            f"func returned values of shape {problem.outputs} per point: sparsity= wants a vector"
        )
    if sparse.issparse(sparsity):
        pattern = sparse.csr_array(sparsity)
    else:
        given = _array.to_host(_array.as_array(sparsity, "sparsity"), "sparsity")
        if given.dtype.kind not in "biuf" or given.ndim != 2:
            raise ArgumentTypeError(
                f"sparsity has dtype {given.dtype} and {given.ndim} dimensions: wanted a matrix of "
                "numbers or booleans, or a sparse one"
            )
        pattern = sparse.csr_array(given)
    wanted = (problem.outputs[0], problem.variables)
    if tuple(pattern.shape) != wanted:
        raise ArgumentValueError(f"sparsity has shape {tuple(pattern.shape)}: wanted {wanted}")
    pattern = sparse.csr_array((pattern != 0).astype(np.int8))
    pattern.sum_duplicates()
    if not pattern.nnz:
        raise ArgumentValueError("sparsity holds no entry that is not 0")
    return pattern


def _check_strays(value: np.ndarray, owner: np.ndarray, colour: np.ndarray) -> None:
    """Raise if a value changed with variables on which, by the pattern, it does not depend."""
    strays = np.argwhere((owner < 0) & (value != 0))
    if len(strays):
        row, group = strays[0]
        moved = np.flatnonzero(colour == group).tolist()
        raise ArgumentValueError(
            f"sparsity says that func(x)[{row}] depends on none of the variables {moved}, but it "
            "changes with them"
        )


def _compare_along(
    problem: Problem, parts: dict[str, np.ndarray], row: np.ndarray, column: np.ndarray
) -> None:
    """Take back the success of rows that contradict the derivative along a vector.

    An entry that the pattern leaves out is added to another one of its row if they have a colour in
    common. Along a vector in which variables move in other proportions than they did, that shows.
    """
    broad = steps.broad(problem.x)
    # Proportions that have nothing to do with those of any steps: fractions of the golden ratio.
    part = np.modf(np.arange(1, problem.variables + 1) * (5**0.5 - 1) / 2)[0] / 2 + 0.5
    part = part.astype(dtype_name(broad.dtype))
    v = broad * _array.table(problem.evaluator.xp, part, broad)[:, None]
    ray = result(along(problem, v), problem.outputs, problem.evaluator.calls)
    size = _array.to_host(v, "v")[:, 0].astype(np.float64)[column]
    derivative, uncertain, is_sure = (
        _array.to_host(part, "value") for part in (ray.value, ray.error, ray.success)
    )

    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(row, values * size, len(derivative))

    value, error, success = parts["value"], parts["error"], parts["success"]
    bound = 1000 * (summed(np.where(success, error, abs(value))) + uncertain)
    beside = abs(summed(value) - derivative)
    contradicted = (is_sure & (beside > bound))[row]
    # What was added to an entry mostly shows by a tenth or more of it.
    parts["error"] = np.where(contradicted, np.maximum(error, 10 * beside[row] / size), error)
    parts["success"] = success & ~contradicted
    parts["code"] = np.where(contradicted & success, STATUSES.index("inaccurate"), parts["code"])
