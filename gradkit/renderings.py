"""What else can be made of a plan than results: matrices, operators, stencils, text, estimates."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from gradkit import estimates, matrices, report
from gradkit.errors import UnsupportedError

if TYPE_CHECKING:
    from gradkit.plan import Plan

__all__ = ["Renderings"]


class Renderings:
    """The methods of a `Plan` that render it as something else."""

    @property
    def _plan(self) -> Plan:
        return cast("Plan", self)

    def matrix(
        self, format: str = "csr", *, dtype: Any = None, xp: ModuleType | None = None
    ) -> Any:
        """The linear part as a sparse matrix.

        Parameters
        ----------
        format : {"csr", "csc", "coo", "bsr", "dia", "dok", "lil", "array"}, default "csr"
            Format of the matrix; ``"array"`` for a dense array.
        dtype : dtype, optional
            Dtype of the entries; the default is float64, or complex128 where plans are complex.
        xp : module, optional
            ``cupy`` for a matrix of ``cupyx.scipy.sparse`` on the GPU, ``numpy`` for SciPy's; the
            default is where the arrays of the operator are, and SciPy if it has none.

        Returns
        -------
        sparse array, shape (outputs, inputs)
            It takes the raveled input (several inputs one after the other) to the raveled results.

        Raises
        ------
        MissingPackageError
            If SciPy is not installed.
        ArgumentTypeError, ArgumentValueError
            If `format` or `xp` is none of these, or `dtype` cannot hold the entries.

        Examples
        --------
        >>> from gradkit import Axis, D, Dirichlet, Grid
        >>> plan = (D(0)**2).on(Grid(Axis(boundary=Dirichlet(1.0, at="next"))), (3,))
        >>> plan.matrix("array")
        array([[-2.,  1.,  0.],
               [ 1., -2.,  1.],
               [ 0.,  1., -2.]])
        >>> plan.offset
        array([1., 0., 1.])
        """
        self._check_whole("matrix")
        return matrices.matrix(self._plan, format, dtype, xp)

    def linear_operator(self, *, dtype: Any = None, xp: ModuleType | None = None) -> Any:
        """The linear part as a linear operator for iterative solvers; no matrix is made.

        Parameters
        ----------
        dtype : dtype, optional
            Dtype that solvers are told; the default is that of the plan, or else float64, or
            complex128 where plans are complex.
        xp : module, optional
            ``cupy`` for the operator of ``cupyx.scipy.sparse.linalg``, ``numpy`` for SciPy's; the
            default is where the arrays of the operator are, and SciPy if it has none.

        Returns
        -------
        LinearOperator, shape (outputs, inputs)
            With ``matvec``, ``rmatvec``, ``matmat`` and ``rmatmat`` on raveled arrays.

        Raises
        ------
        MissingPackageError
            If SciPy is not installed.
        ArgumentTypeError
            If `xp` is neither, or `dtype` cannot hold the results.

        Examples
        --------
        >>> import numpy as np
        >>> from gradkit import Axis, D, Grid
        >>> operator = D(0).on(Grid(Axis(boundary="periodic")), (4,)).linear_operator()
        >>> operator @ np.asarray([0.0, 1.0, 0.0, -1.0])
        array([ 1.,  0., -1.,  0.])
        """
        self._check_whole("linear_operator")
        return matrices.linear_operator(self._plan, dtype, xp)

    def stencil(self, index: Any, *, output: int = 0, input: int = 0) -> report.PointStencil:
        """The weights with which one result takes the inputs around it.

        Parameters
        ----------
        index : int or tuple of int
            Index of the result; negative ones count from the end.
        output, input : int, default 0
            Which output and which input of a system.

        Returns
        -------
        PointStencil
            Offsets and weights; prints as a small picture in one and two dimensions.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If there is no such result.

        Examples
        --------
        >>> from gradkit import Axis, Grid, Laplacian
        >>> Laplacian(2).on(Grid(Axis(), Axis()), (8, 8)).stencil((4, 4))
        PointStencil at (4, 4):
              1
           1 -4  1
              1
        """
        self._check_whole("stencil")
        return report.point_stencil(self._plan, index, output, input)

    def explain(self, *inputs: Any) -> report.Report:
        """What a call does: stencils, accuracy and boundary of all rows, halo, bytes, engine.

        Parameters
        ----------
        *inputs : array, optional
            The arrays of a call, for the engine that would run it; the default are arrays where
            those of the operator are, or NumPy arrays.

        Returns
        -------
        Report
            Text, which prints as it is.

        Examples
        --------
        >>> from gradkit import Axis, D, Grid
        >>> print(D(0).on(Grid(Axis(spacing=0.5, boundary="periodic")), (100,)).explain())
        D(0) on 100 points, FiniteDifference(accuracy=2)
        axis 0: spacing=0.5, boundary='periodic'
          first derivative
            rows 0 to 99: f'(x) = (-f[-1] + f[1]) / (2 h) + O(h^2)
        halo (1,), at least 1600 bytes in float64 (1 array read, 1 written)
        run by cpu
          chunked: serves dask arrays, the input is a numpy array
          cuda: serves cupy, torch and jax arrays, the input is a numpy array
          cpu: can serve this call
          reference: can serve this call
        """
        return report.explanation(self._plan, inputs)

    def error_estimate(self, f: Any) -> estimates.ErrorEstimate:
        """Estimate the error of a result at every point.

        Parameters
        ----------
        f : array, or sequence of arrays
            The input, as in a call.

        Returns
        -------
        ErrorEstimate
            The truncation error, from a comparison with a method two orders more accurate, a bound
            on what the rounding of f does, and advice.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If `f` does not fit the plan, or an axis is too short for the better method.

        Examples
        --------
        >>> import numpy as np
        >>> from gradkit import Axis, D, Grid
        >>> x = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        >>> plan = D(0).on(Grid(Axis(spacing=x[1], boundary="periodic")), (64,))
        >>> estimate = plan.error_estimate(np.sin(x))
        >>> bool(np.allclose(estimate.truncation, abs(plan(np.sin(x)) - np.cos(x)), rtol=0.01))
        True
        """
        self._check_whole("error_estimate")
        return estimates.error_estimate(self._plan, f)

    def _check_whole(self, name: str) -> None:
        """Raise for blocks, whose inputs hold points that belong to others."""
        if self._plan.extent is not None:
            raise UnsupportedError(
                f"{name} is not served for a block of a plan: take the {name} of the whole plan"
            )
