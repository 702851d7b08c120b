"""Plans: an operator bound to a grid, a shape and a method, once, to be called many times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import combinations
from math import isnan, prod
from typing import Any, ClassVar

import numpy as np

from gradkit import _array, _dtypes
from gradkit._array import Array
from gradkit.errors import ArgumentTypeError, ArgumentValueError, UnsupportedError, integer, one_of
from gradkit.grid import Axis, Grid
from gradkit.methods import FiniteDifference, Method, Rule
from gradkit.operators import Operator

__all__ = ["Plan", "make_plan"]

_NAN_POLICIES = ("propagate", "raise", "adapt")
_NumberedRules = dict[tuple[int, int], Rule]


@dataclass(frozen=True)
class Plan:
    """A differential operator bound to a grid; call it with arrays.

    Make one with `Operator.on` or `make_plan`. A plan is frozen and hashable: two plans are equal
    if they were made from equal parts. It can be pickled, and called from several threads.

    Attributes
    ----------
    operator : Operator
        What is computed, axes counted from 0.
    grid : Grid
        One axis per dimension, None for batch axes.
    shape : tuple of int
        Shape of the whole grid.
    method : Method
        How derivatives along one axis are taken.
    edge_order : int or None
        Accuracy of the rows at one-sided ends; None for that of the interior.
    nan : {"propagate", "raise"}
        What a NaN in an input does.
    dtype : str or None
        Name of the dtype of the results; None for that of the inputs.
    unit : str
        Unit of time in which datetime64 and timedelta64 values are counted.
    extent : tuple of (start, stop), or None
        The rows of each axis that come out, if this plan is a `block` of a larger one.
    margin : tuple of int, or None
        The points around them that the inputs of a block hold.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import Axis, D, Grid
    >>> plan = (D(0)**2).on(Grid(Axis(spacing=0.5)), (5,))
    >>> plan(np.asarray([0.0, 0.25, 1.0, 2.25, 4.0]))
    array([2., 2., 2., 2., 2.])
    """

    operator: Operator
    grid: Grid
    shape: tuple[int, ...]
    method: Method
    edge_order: int | None = None
    nan: str = "propagate"
    dtype: str | None = None
    unit: str = "s"
    extent: tuple[tuple[int, int], ...] | None = None
    margin: tuple[int, ...] | None = None
    #: The stencils: one rule per (axis, order) in the operator.
    rules: _NumberedRules = field(default_factory=_NumberedRules, compare=False, repr=False)
    #: What engines have built for this plan (programs, uploaded weights); not part of its value.
    memo: dict[Any, Any] = field(
        default_factory=dict[Any, Any], init=False, compare=False, repr=False
    )

    #: Executes a plan. engines/, one floor up, puts its `run` here on import.
    runner: ClassVar[Callable[[Plan, Sequence[Array]], Sequence[Array]]]

    def __call__(self, f: Any, out: Any = None) -> Any:
        """Apply the operator.

        Parameters
        ----------
        f : array, or sequence of arrays
            The input, of shape `input_shape`. An operator with several inputs takes a sequence of
            arrays, or one array in which they are stacked along a new first axis.
        out : array or sequence of arrays, optional
            Where the results are written, in the form in which they would be returned: right
            shape, dtype, library and device, writeable, and apart from the inputs in memory.

        Returns
        -------
        array or tuple of arrays
            One array per output of the operator, alone if there is one; `out` where it was given.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If an argument does not fit the plan; nothing has been written then.
        """
        if self._is_plain and type(f) is np.ndarray and f.shape == self.input_shape and out is None:
            results = Plan.runner(self, (f,))
            return results[0] if len(results) == 1 else tuple(results)
        inputs = self._inputs(f)
        if out is not None:
            targets = self._targets(out, inputs)
            for target, values in zip(targets, self._run(inputs), strict=True):
                _array.write(target, values)
            return out
        results = self._run(inputs)
        return results[0] if len(results) == 1 else tuple(results)

    # --- what a plan knows of itself ----------------------------------------------------------

    @cached_property
    def halo(self) -> tuple[int, ...]:
        """Points needed beyond a block of rows, per axis: the reach of the widest stencil."""
        reach = [0] * len(self.shape)
        for (axis, _), rule in self.rules.items():
            reach[axis] = max(reach[axis], rule.reach)
        return tuple(reach)

    @cached_property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of every input: that of the grid, or of a block and its halo."""
        if self.extent is None:
            return self.shape
        sizes = [stop - start for start, stop in self.extent]
        for (axis, _), rule in self.rules.items():
            sizes[axis] = rule.last - rule.first
        return tuple(sizes)

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of every output: that of the grid, or of a block."""
        if self.extent is None:
            return self.shape
        return tuple(stop - start for start, stop in self.extent)

    @property
    def reads(self) -> int:
        """Number of arrays that a call must read at least."""
        return self.operator.inputs

    @property
    def writes(self) -> int:
        """Number of arrays that a call must write at least: those that differ."""
        return len(set(self.operator.entries))

    def minimum_bytes(self, dtype: Any = "float64") -> int:
        """Bytes that a call must move at least: each input read once, each output written once.

        Parameters
        ----------
        dtype : str or dtype, default "float64"
            Dtype of the inputs and outputs.
        """
        size = _dtypes.itemsize(_dtypes.as_dtype_name(dtype) or "float64")
        return (self.reads * prod(self.input_shape) + self.writes * prod(self.output_shape)) * size

    def block(self, extent: Sequence[tuple[int, int]], halo: Sequence[int]) -> Plan:
        """The plan of a block of rows, for inputs that hold the block and its halo.

        Parameters
        ----------
        extent : sequence of (start, stop)
            The rows of each axis that come out.
        halo : sequence of int
            Points around the block that the inputs hold, per axis. Where an axis does not wrap
            they end with the axis; a wrapping axis continues with the points of its other end.

        Returns
        -------
        Plan
            Its results are, bit for bit, those of this plan in the rows of the block.

        Raises
        ------
        ArgumentValueError
            If the rows do not exist, or the halo does not hold what they use.
        """
        if not len(extent) == len(halo) == len(self.shape):
            raise ArgumentValueError(
                f"extent={extent} and halo={halo} must have one entry per dimension of {self.shape}"
            )
        for axis, ((start, stop), size) in enumerate(zip(extent, self.shape, strict=True)):
            if not 0 <= start <= stop <= size:
                raise ArgumentValueError(
                    f"extent[{axis}]={(start, stop)} does not lie in the {size} points of its axis"
                )
        rules = {
            (axis, order): rule.block(*extent[axis], halo[axis])
            for (axis, order), rule in self.rules.items()
        }
        for (axis, _), rule in rules.items():
            if not rule.is_complete:
                raise ArgumentValueError(
                    f"a block of the rows {extent[axis]} of axis {axis} with halo={halo[axis]} "
                    "does not hold what they use: wanted at least one row, and "
                    f"halo={self.halo[axis]} for any row"
                )
        return replace(self, rules=rules, extent=tuple(extent), margin=tuple(halo))

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return tuple(getattr(self, part.name) for part in fields(self) if part.compare)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "memo": {}}

    # --- arguments of a call ------------------------------------------------------------------

    @cached_property
    def _is_plain(self) -> bool:
        """Whether a NumPy array of the right shape needs no further check."""
        return self.operator.inputs == 1 and self.nan == "propagate"

    def _inputs(self, f: Any) -> tuple[Array, ...]:
        wanted = self.operator.inputs
        if wanted == 1:
            f = _array.as_array(f, "f")
            self._check_shape("f", f.shape)
            return (f,)
        count = _array.count(f)
        if count != wanted:
            given = f"is of type {type(f).__name__}" if count is None else f"has {count} components"
            raise (ArgumentTypeError if count is None else ArgumentValueError)(
                f"f {given}: wanted {wanted} arrays, as a sequence or stacked along the first axis"
            )
        components = tuple(_array.component(f, i, "f") for i in range(wanted))
        for i, component in enumerate(components):
            self._check_shape(f"f[{i}]", component.shape)
        _array.same_place([(f"f[{i}]", c) for i, c in enumerate(components)])
        return components

    def _check_shape(self, name: str, shape: tuple[int, ...]) -> None:
        if tuple(shape) != self.input_shape:
            raise ArgumentValueError(
                f"{name} has shape {tuple(shape)}: this plan was made for shape {self.input_shape}"
            )

    def precision(self, inputs: Sequence[Array]) -> _dtypes.Precision:
        """The dtypes in which these inputs are computed with and returned."""
        names = [_dtypes.dtype_name(a.dtype) for a in inputs]
        reflected = any(rule.wrap < 0 for rule in self.rules.values())
        if reflected and any(_dtypes.kind(name) == "datetime" for name in names):
            raise ArgumentTypeError(
                "boundary='antiperiodic' continues f with its negatives, which dates do not have"
            )
        default = "float64"
        if any(_dtypes.kind(name) not in ("float", "complex") for name in names):
            default = _array.default_real(inputs[0])
        if self.dtype is not None:
            _array.check_dtype_exists(inputs[0], self.dtype)
        return _dtypes.precision(names, self.dtype, default)

    def _targets(self, out: Any, inputs: Sequence[Array]) -> list[Array]:
        """The array that each output goes to; everything is checked before a write."""
        entries = self.operator.entries
        if len(entries) == 1:
            targets, names = [out], ["out"]
        elif isinstance(out, Sequence) and len(out) == len(entries):
            targets, names = list(out), [f"out[{i}]" for i in range(len(entries))]
        else:
            raise ArgumentTypeError(f"out must be a sequence of {len(entries)} arrays")
        result = self.precision(inputs).result
        dtype = _array.result_dtype(_array.namespace(inputs[0]), inputs, result)
        for name, target in zip(names, targets, strict=True):
            _array.check_target(name, target, self.output_shape, dtype, inputs)
        for i, j in combinations(range(len(entries)), 2):
            if entries[i] != entries[j] and _array.shares_memory(targets[i], targets[j]):
                raise ArgumentValueError(f"{names[i]} and {names[j]} share memory")
        return targets

    # --- running ------------------------------------------------------------------------------

    def _run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        if self.nan == "raise":
            _refuse_nan(inputs)
        for f in inputs:
            if isinstance(f, np.ma.MaskedArray):
                return self._run_masked(inputs)
        return Plan.runner(self, inputs)

    def _run_masked(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Mask every row that uses a masked value: the rows that a NaN there would reach."""
        results = Plan.runner(self, [np.ma.getdata(f) for f in inputs])
        traces = [np.where(np.ma.getmaskarray(f), np.nan, 0.0) for f in inputs]
        reached = Plan.runner(self, traces)
        return [
            np.ma.MaskedArray(values, mask=np.isnan(trace))
            for values, trace in zip(results, reached, strict=True)
        ]


def _refuse_nan(inputs: Sequence[Array]) -> None:
    for i, f in enumerate(inputs):
        name = "f" if len(inputs) == 1 else f"f[{i}]"
        if _array.is_dask(f):
            return  # each block is checked when it is computed
        visible = f.compressed() if isinstance(f, np.ma.MaskedArray) else f
        found = _array.any_nan(_array.namespace(f), visible)
        try:
            holds_nan = bool(found)
        except (TypeError, RuntimeError):
            raise ArgumentTypeError(
                f"nan='raise' must look at the values of {name}, which are traced here: check them "
                "outside jit and vmap, or use nan='propagate'"
            ) from None
        if holds_nan:
            raise ArgumentValueError(f"{name} holds NaN and nan='raise' was given")


def make_plan(
    operator: Operator,
    grid: Grid,
    shape: Sequence[int],
    *,
    method: Method | None = None,
    edge_order: int | None = None,
    nan: str = "propagate",
    dtype: Any = None,
    unit: str = "s",
) -> Plan:
    """Bind an operator to a grid; `Operator.on` is the same.

    Parameters
    ----------
    operator : Operator
        What to compute.
    grid : Grid
        One entry per dimension of the arrays; None for batch axes.
    shape : sequence of int
        Shape of the arrays.
    method : Method, optional
        How derivatives along one axis are taken; the default is ``FiniteDifference(accuracy=2)``.
    edge_order : int, optional
        Accuracy of the rows at one-sided ends; the default is that of the interior.
    nan : {"propagate", "raise"}, default "propagate"
        What a NaN does: it makes exactly those results NaN whose stencil holds it, or it raises.
    dtype : str or dtype, optional
        Dtype of the results; the default is that of the inputs, float64 for integers.
    unit : str, default "s"
        Unit of time in which datetime64 and timedelta64 values are counted.

    Returns
    -------
    Plan

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, UnsupportedError
        If an argument cannot be used; the message names it.

    Examples
    --------
    >>> from gradkit import Axis, D, Grid, make_plan
    >>> plan = make_plan(D(0), Grid(Axis(spacing=0.1)), (100,))
    >>> plan.halo
    (2,)
    """
    if nan not in _NAN_POLICIES:
        raise ArgumentValueError(one_of("nan", nan, _NAN_POLICIES))
    if nan == "adapt":
        raise UnsupportedError("nan='adapt' is not available yet: use nan='propagate' or 'raise'")
    _check_kinds(operator=(operator, Operator), grid=(grid, Grid), shape=(shape, Sequence))
    method = FiniteDifference() if method is None else method
    if isinstance(method, type) or not callable(getattr(method, "rule", None)):
        raise ArgumentTypeError(f"method={method!r} is not a method such as FiniteDifference(4)")
    if edge_order is not None:
        edge_order = integer("edge_order", edge_order, 1)
    shape = tuple(shape)
    if any(isinstance(size, float) and isnan(size) for size in shape):
        raise ArgumentValueError(
            f"shape={shape} is not known: call f.compute_chunk_sizes() on the dask array first"
        )
    shape = tuple(integer(f"shape[{i}]", size, 0) for i, size in enumerate(shape))
    if grid.ndim != len(shape):
        raise ArgumentValueError(
            f"grid has {grid.ndim} axes, but shape={shape} has {len(shape)}: wanted one entry per "
            "dimension, None for batch axes"
        )
    operator = operator.normalized(len(shape))
    rules: _NumberedRules = {}
    for number, order in sorted(operator.derivatives()):
        axis = _checked_axis(grid, number, shape[number])
        rules[number, order] = method.rule(order, axis, shape[number], edge_order, f"axis {number}")
    return Plan(
        operator,
        grid,
        shape,
        method,
        edge_order,
        nan,
        _dtypes.as_dtype_name(dtype),
        _dtypes.check_unit(unit),
        rules=rules,
    )


def _check_kinds(**arguments: tuple[object, type]) -> None:
    for name, (value, kind) in arguments.items():
        if not isinstance(value, kind):
            wanted = kind.__name__
            raise ArgumentTypeError(f"{name}={value!r} ({type(value).__name__}) is not a {wanted}")


def _checked_axis(grid: Grid, number: int, size: int) -> Axis:
    axis = grid.axes[number]
    if axis is None:
        raise ArgumentValueError(
            f"axis {number} is a batch axis (None) of this grid, but the operator differentiates "
            "along it"
        )
    if axis.coordinates is not None and len(axis.coordinates) != size:
        raise ArgumentValueError(
            f"coordinates of axis {number} have {len(axis.coordinates)} points, but the array has "
            f"{size} along that axis; a spacing is a number, not an array"
        )
    return axis


Operator.binder = make_plan
