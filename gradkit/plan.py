"""Plans: an operator bound to a grid, a shape and a method, once, to be called many times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, reduce
from math import prod
from typing import Any, ClassVar

import numpy as np

from gradkit import _array, _dtypes, _targets
from gradkit._array import Array
from gradkit.blocks import Region
from gradkit.bound import Bound
from gradkit.calls import (
    MOST_LAYOUTS,
    check_parameters,
    check_times,
    checked_inputs,
    checked_targets,
    layout,
    refuse_nan,
)
from gradkit.chains import Extent, Parameter
from gradkit.grid import Axis, Grid
from gradkit.line import PLACES
from gradkit.methods import Method
from gradkit.operators import Operator
from gradkit.places import Places
from gradkit.renderings import Renderings

__all__ = ["Plan"]

#: What becomes of each form of a plan when it is transposed, and transposed and conjugated.
_TRANSPOSED = {
    "": "T",
    "T": "",
    "H": "conjugate",
    "conjugate": "H",
    "magnitude": "magnitude of T",
    "magnitude of T": "magnitude",
}
_ADJOINT = {**_TRANSPOSED, "": "H", "H": "", "T": "conjugate", "conjugate": "T"}
#: The properties that make each form of the plan as it was made.
_PROPERTIES = {
    "": (),
    "T": ("T",),
    "H": ("H",),
    "conjugate": ("T", "H"),
    "magnitude": ("magnitude",),
    "magnitude of T": ("T", "magnitude"),
}


@dataclass(frozen=True)
class Plan(Renderings):
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
        Shape of the whole grid: the number of samples (centres of cells) along each axis.
    method : Method
        How derivatives along one axis are taken.
    edge_order : int or None
        Accuracy of the rows near the ends; None for that of the interior.
    nan : {"propagate", "raise"}
        What a NaN in an input does.
    dtype : str or None
        Name of the dtype of the results; None for that of the inputs.
    unit : str
        Unit of time in which datetime64 and timedelta64 values are counted.
    form : {"", "T", "H", "conjugate", "magnitude", "magnitude of T"}
        Whether this is the plan as it was made, or what `T`, `H` and `magnitude` made of it.
    extent : tuple of (start, stop), or None
        The cells of each axis whose rows come out, if this plan is a `block` of a larger one.
    margin : tuple of int, or None
        The points around them that the inputs of a block hold.

    Notes
    -----
    A plan computes ``A f + b``. ``b``, the `offset`, is 0 unless a condition at a wall states
    another value than 0; `linear`, `T`, `matrix` and `linear_operator` are of A alone.

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
    form: str = ""
    extent: Extent | None = None
    margin: tuple[int, ...] | None = None
    #: The chains of steps that engines execute.
    bound: Bound = field(
        default_factory=lambda: Bound((), (), (), (), (), ()), compare=False, repr=False
    )
    #: Where inputs and results lie; operators that are 0 are equal wherever theirs do.
    places: tuple[Any, ...] = field(init=False, repr=False)
    #: What engines have built for this plan (programs, uploaded weights); not part of its value.
    memo: dict[Any, Any] = field(
        default_factory=dict[Any, Any], init=False, compare=False, repr=False
    )
    #: What an engine does with an array of some type, and targets, of a `layout` that it has served
    #: before: it returns the results, or None if this call must be checked again.
    ready: dict[type, dict[Any, Callable[[Any, Any], Any]]] = field(
        default_factory=dict[Any, Any], init=False, compare=False, repr=False
    )

    #: Executes a plan. engines/, one floor up, puts its `run` here on import.
    runner: ClassVar[Callable[[Plan, Sequence[Array], Sequence[Array] | None], Sequence[Array]]]
    #: Says which engine would run a call, and why. engines/ puts its function here, too.
    engine_report: ClassVar[Callable[[Plan, Sequence[Array]], str]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", (self.bound.inputs_at, self.bound.outputs_at))

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
        calls = self.ready.get(type(f))
        if calls is not None:
            call = calls.get(layout(f, out))
            result = None if call is None else call(f, out)
            if result is not None:
                return result
        run = self._run
        if self.is_plain and type(f) is np.ndarray and f.shape == self.input_shape:
            inputs: tuple[Array, ...] = (f,)
            run = self._run_plain
        else:
            inputs = checked_inputs(f, self.input_shapes)
            check_parameters(self.parameters, inputs[0])
        if out is not None:
            dtype = self._target_dtype(inputs)
            run(inputs, checked_targets(out, self.output_shapes, self.same, dtype, inputs))
            return out
        results = run(inputs, None)
        return results[0] if len(results) == 1 else tuple(results)

    def apply(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """The results of a call as a tuple, from its inputs as a sequence, of one or of several.

        Parameters
        ----------
        inputs : sequence of arrays
            One per input.
        """
        results = self(inputs if len(inputs) > 1 else inputs[0])
        return results if isinstance(results, tuple) else (results,)

    # --- what a plan knows of itself ----------------------------------------------------------

    @cached_property
    def halo(self) -> tuple[int, ...]:
        """Points needed beyond a block of rows, per axis: the reach of the widest stencil."""
        chains = list(self.bound.chains())
        return tuple(
            max((chain.reach(axis) for chain in chains), default=0)
            for axis in range(len(self.shape))
        )

    @cached_property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of every input: that of the grid at its place, or of a block and its halo."""
        if self.extent is None:
            return tuple(map(self._shape_at, self.bound.inputs_at))
        held = map(self._region.held, self.bound.inputs_at)
        return tuple(tuple(stop - start for start, stop in points) for points in held)

    @cached_property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the first input."""
        return self.input_shapes[0]

    @cached_property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of every output: that of the grid at its place, or of a block."""
        if self.extent is None:
            return tuple(map(self._shape_at, self.bound.outputs_at))
        rows = map(self._region.rows, self.bound.outputs_at)
        return tuple(tuple(stop - start for start, stop in points) for points in rows)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the first output."""
        return self.output_shapes[0]

    def _shape_at(self, places: Places) -> tuple[int, ...]:
        """Shape of the whole grid at some places."""
        return tuple(n + PLACES[at].extra for n, at in zip(self.shape, places, strict=True))

    @cached_property
    def _region(self) -> Region:
        """The part of the grid that comes out."""
        axes = tuple(
            axis if number in self._used_axes else None
            for number, axis in enumerate(self.grid.axes)
        )
        whole = tuple((0, n) for n in self.shape)
        return Region(self.shape, axes, self.extent or whole, self.margin or (0,) * len(whole))

    @cached_property
    def _used_axes(self) -> set[int]:
        """The axes along which some step goes."""
        return {step.axis for step in self.bound.alongs()}

    @property
    def same(self) -> tuple[int, ...]:
        """Per output, the number of the first output that is equal to it."""
        return self.bound.same_outputs

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The arrays that are multiplied by, or known along walls."""
        return self.bound.parameters

    @cached_property
    def is_complex(self) -> bool:
        """Whether real inputs have complex results."""
        return self.bound.is_complex

    @property
    def reads(self) -> int:
        """Number of arrays that a call must read at least."""
        return len(self.bound.inputs_at)

    @property
    def writes(self) -> int:
        """Number of arrays that a call must write at least: those that differ."""
        return len(set(self.same))

    def minimum_bytes(self, dtype: Any = "float64") -> int:
        """Bytes that a call must move at least: each input read once, each output written once.

        Parameters
        ----------
        dtype : str or dtype, default "float64"
            Dtype of the inputs and outputs, and of the arrays that are multiplied by.
        """
        size = _dtypes.itemsize(_dtypes.as_dtype_name(dtype) or "float64")
        written = (self.output_shapes[i] for i in set(self.same))
        moved = (*self.input_shapes, *written, *(p.shape for p in self.parameters))
        return sum(map(prod, moved)) * size

    # --- other plans --------------------------------------------------------------------------

    @cached_property
    def linear(self) -> Plan:
        """The linear part: the same plan with 0 for all that is known at walls."""
        grid = self.grid.homogeneous
        return self if grid == self.grid else replace(self, grid=grid, bound=self.bound.linear())

    @cached_property
    def T(self) -> Plan:
        """The plan whose matrix is the transposed one of the linear part, all rows included."""
        self._check_whole("T")
        bound = self.bound.linear().transposed(conjugate=False)
        return replace(self.linear, form=_TRANSPOSED[self.form], bound=bound)

    @cached_property
    def H(self) -> Plan:
        """The adjoint of the linear part: transposed and conjugated, so `T` if all is real."""
        self._check_whole("H")
        bound = self.bound.linear().transposed(conjugate=True)
        return replace(self.linear, form=_ADJOINT[self.form], bound=bound)

    @cached_property
    def magnitude(self) -> Plan:
        """The sums of the magnitudes of all products: what bounds the rounding of a result.

        What is known at walls counts, too: it is not linear where that is not 0.
        """
        turned = self.form in ("T", "H", "magnitude of T")
        form = "magnitude of T" if turned else "magnitude"
        return replace(self, form=form, bound=self.bound.magnitude())

    @cached_property
    def refined(self) -> Plan:
        """The same operator by a method of higher accuracy, also than stencils of one's own."""
        plan = self.operator.idealized().on(
            self.grid,
            self.shape,
            method=self.method.refined(self.operator.own_accuracy),
            edge_order=None if self.edge_order is None else self.edge_order + 2,
            nan=self.nan,
            dtype=self.dtype,
            unit=self.unit,
        )
        return reduce(getattr, _PROPERTIES[self.form], plan)

    def block(
        self, extent: Sequence[tuple[int, int]], halo: Sequence[int], parameters: Any = None
    ) -> Plan:
        """The plan of a block of rows, for inputs that hold the block and its halo.

        Parameters
        ----------
        extent : sequence of (start, stop)
            The cells of each axis whose rows come out. Where results lie at all faces, the last
            cell has both of its own; where they lie between cells, the last cell has none.
        halo : sequence of int
            Points around the block that the inputs hold, per axis. Where an axis does not wrap
            they end with the axis; a wrapping axis continues with the points of its other end.
        parameters : sequence of array, optional
            The parts of the arrays that are multiplied by which belong to the block and its halo;
            the default is to cut them from the arrays of this plan.

        Returns
        -------
        Plan
            Its results are, bit for bit, those of this plan in the rows of the block, but for the
            last bit of quotients below 4e-30 in float32 and 4e-291 in float64 in Numba kernels.

        Raises
        ------
        ArgumentValueError
            If the rows do not exist, or the halo does not hold what they use.
        """
        region = replace(self._region, extent=tuple(extent), margin=tuple(halo))
        bound = region.block(self.bound, self.halo, parameters)
        return replace(self, extent=region.extent, margin=region.margin, bound=bound)

    def skeleton(self) -> Plan:
        """What the blocks of this plan are made of: it holds no array that they have parts of.

        Only `block`, with parameters given, makes something of it that can be called.
        """
        axes = (
            axis and Axis(boundary=axis.boundary if axis.wrap else "one-sided")
            for axis in self.grid.axes
        )
        nothing = Operator(((),))
        return replace(self, operator=nothing, grid=Grid(*axes), bound=self.bound.without_arrays())

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return tuple(getattr(self, part.name) for part in fields(self) if part.compare)

    def __getstate__(self) -> dict[str, Any]:
        kept = {part.name for part in fields(self)}
        return {**{k: v for k, v in self.__dict__.items() if k in kept}, "memo": {}, "ready": {}}

    def on_host(self) -> Plan:
        """The same plan with its arrays as NumPy arrays, for data that are such."""
        bound = self.bound.on_host()
        return self if bound is self.bound else replace(self, bound=bound)

    @property
    def offset(self) -> Any:
        """What the values known at walls add: an array per output, on the host unless they are not.

        ``plan(f) == plan.linear(f) + plan.offset``, up to rounding; 0 where nothing is known.
        """
        zero = self.bound.zero()
        xp, device = _array.namespace(zero), _array.device(zero)
        zeros = [xp.zeros(shape, dtype=zero.dtype, device=device) for shape in self.input_shapes]
        return self(zeros if len(zeros) > 1 else zeros[0])

    # --- running ------------------------------------------------------------------------------

    @cached_property
    def is_plain(self) -> bool:
        """Whether a NumPy array of the right shape needs no further check."""
        on_host = all(isinstance(parameter.array, np.ndarray) for parameter in self.parameters)
        return self.reads == 1 and self.nan == "propagate" and on_host

    def precision(self, inputs: Sequence[Array]) -> _dtypes.Precision:
        """The dtypes in which these inputs are computed with and returned."""
        names = [_dtypes.dtype_name(a.dtype) for a in inputs]
        check_times(names, [self.grid.axes[axis] for axis in self._used_axes])
        default = "float64"
        if any(_dtypes.kind(name) not in ("float", "complex") for name in names):
            default = _array.default_real(inputs[0])
        if self.dtype is not None:
            _array.check_dtype_exists(inputs[0], self.dtype)
        return _dtypes.precision(names, self.dtype, default, complex_weights=self.is_complex)

    def _target_dtype(self, inputs: Sequence[Array]) -> Any:
        """The dtype that the results of these inputs have, kept for NumPy arrays."""
        is_kept = all(type(f) is np.ndarray for f in inputs)
        key = ("target", *[f.dtype for f in inputs])
        # Dtypes of other libraries do not like to be compared with those of NumPy.
        found = self.memo.get(key) if is_kept else None
        if found is None:
            result = self.precision(inputs).result
            found = _array.result_dtype(_array.namespace(inputs[0]), inputs, result)
            if is_kept:
                self.memo[key] = found
        return found

    def keep_ready(self, f: Array, out: Any, call: Callable[[Any, Any], Any]) -> None:
        """Let an engine serve calls like this one, with arrays and targets of the same layout."""
        calls, key = self.ready.setdefault(type(f), {}), layout(f, out)
        if len(calls) >= MOST_LAYOUTS:
            calls.clear()
        if key is not None:
            calls[key] = call

    def _run_plain(self, inputs: Sequence[Array], out: Sequence[Array] | None) -> Sequence[Array]:
        return Plan.runner(self, inputs, out)

    def _run(self, inputs: Sequence[Array], out: Sequence[Array] | None) -> Sequence[Array]:
        if self.nan == "raise":
            refuse_nan(inputs)
        for f in inputs:
            if isinstance(f, np.ma.MaskedArray):
                return _targets.delivered(self._run_masked(inputs), out)
        return Plan.runner(self, inputs, out)

    def _run_masked(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Mask every row that uses a masked value: the rows that a NaN there would reach.

        What lies under a mask is not read: fill values as large as those of NetCDF would overflow.
        """
        shown = [np.ma.filled(f, 0) for f in inputs]
        results = Plan.runner(self, shown, None)
        traces = [np.where(np.ma.getmaskarray(f), np.nan, 0.0) for f in inputs]
        reached = Plan.runner(self, traces, None)
        return [
            np.ma.MaskedArray(values, mask=np.isnan(trace))
            for values, trace in zip(results, reached, strict=True)
        ]
