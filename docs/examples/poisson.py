"""Poisson's equation -div(a grad u) = f with a Dirichlet, a Neumann and a Robin side.

The unit square is cut into n x n cells. Gradients live at the faces, so that the operator is
symmetric and positive: ``-Divergence @ a @ Gradient``, with the conditions of the four sides part
of it. The system is solved with SciPy: by a factorisation, and by conjugate gradients on the
matrix-free operator, preconditioned with the fast transforms that solve the case a = 1. On a GPU
the same lines run on CuPy.

Run it with ``python docs/examples/poisson.py``, or with ``--cells 1000`` for a million unknowns.
"""

import argparse
import time
from itertools import pairwise
from typing import Any

import gradkit as gk

ORDER = 2  # of the error: gradients at faces and the divergence are both of second order


def modules(xp: Any) -> tuple[Any, Any]:
    """The linear algebra and the transforms that belong to an array module."""
    if xp.__name__ == "cupy":
        from cupyx.scipy import fft
        from cupyx.scipy.sparse import linalg
    else:
        from scipy import fft
        from scipy.sparse import linalg
    return linalg, fft


class Problem:
    """The operator, the right-hand side and the exact solution on n x n cells."""

    def __init__(self, n: int, xp: Any) -> None:
        self.n, self.xp, self.h = n, xp, 1 / n
        faces = xp.arange(n + 1) * self.h
        centres = (xp.arange(n) + 0.5) * self.h
        x, y = centres[:, None], centres[None, :]
        self.exact = self.u(x, y)
        # The conditions, from the exact solution; slopes are along the outward normal.
        left, right = gk.Dirichlet(self.u(0, centres)), gk.Dirichlet(self.u(1, centres))
        bottom = gk.Neumann(-self.u_y(centres, 0))
        top = gk.Robin(2, 1, 2 * self.u(centres, 1) + self.u_y(centres, 1))
        grid = gk.Grid(
            gk.Axis(spacing=self.h, boundary=(left, right)),
            gk.Axis(spacing=self.h, boundary=(bottom, top)),
        )
        conductivity = gk.Operator.matrix(
            [[self.a(faces[:, None], y), 0], [0, self.a(x, faces[None, :])]]
        )
        gradient = gk.Gradient(2, to="outer")
        operator = -gk.Divergence(2, to="centre") @ conductivity @ gradient
        # One point and the wall at the outermost faces keep the operator symmetric.
        self.plan = operator.on(grid, (n, n), edge_order=1)
        self.right_hand_side = self.f(x, y) - self.plan.offset

    def u(self, x: Any, y: Any) -> Any:
        """The exact solution."""
        return self.xp.sin(2 * x + y)

    def u_y(self, x: Any, y: Any) -> Any:
        """Its derivative along y; twice that is the one along x."""
        return self.xp.cos(2 * x + y)

    def a(self, x: Any, y: Any) -> Any:
        """The conductivity."""
        return 1 + x * y

    def f(self, x: Any, y: Any) -> Any:
        """The source that belongs to them."""
        slopes = (2 * y + x) * self.u_y(x, y)  # grad a . grad u
        return 5 * self.a(x, y) * self.u(x, y) - slopes

    def direct(self) -> Any:
        """The solution by factorisation of the sparse matrix."""
        linalg, _ = modules(self.xp)
        matrix = self.plan.matrix("csc", xp=self.xp)
        return linalg.spsolve(matrix, self.right_hand_side.ravel()).reshape(self.n, self.n)

    def iterative(self) -> tuple[Any, int]:
        """The solution by conjugate gradients, and the number of iterations."""
        linalg, _ = modules(self.xp)
        count = []
        solution, failure = linalg.cg(
            self.plan.linear_operator(xp=self.xp),
            self.right_hand_side.ravel(),
            rtol=1e-10,
            M=self.preconditioner(),
            callback=lambda _: count.append(1),
        )
        if failure:
            raise RuntimeError(f"no convergence after {failure} iterations")
        return solution.reshape(self.n, self.n), len(count)

    def preconditioner(self) -> Any:
        """The inverse for a = 1, Dirichlet sides in x and Neumann sides in y, by transforms."""
        linalg, fft = modules(self.xp)
        k = self.xp.arange(self.n)
        sine = (2 / self.h * self.xp.sin((k + 1) * self.xp.pi / (2 * self.n))) ** 2
        cosine = (2 / self.h * self.xp.sin(k * self.xp.pi / (2 * self.n))) ** 2
        eigenvalues = sine[:, None] + cosine[None, :]

        def solve(vector: Any) -> Any:
            field = vector.reshape(self.n, self.n)
            modes = fft.dct(fft.dst(field, axis=0), axis=1) / eigenvalues
            return fft.idct(fft.idst(modes, axis=0), axis=1).ravel()

        size = self.n**2
        return linalg.LinearOperator((size, size), matvec=solve, dtype="float64")


def main() -> None:
    """Solve on finer and finer grids, and check the order of the error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, help="solve for CELLS x CELLS cells alone")
    cells = parser.parse_args().cells
    xp = gk.array_module()
    errors = []
    sizes = [cells] if cells else [16, 32, 64]
    print("  cells      error  iterations  seconds")
    for n in sizes:
        start = time.perf_counter()
        problem = Problem(n, xp)
        solution, iterations = problem.iterative()
        seconds = time.perf_counter() - start
        errors.append(float(abs(solution - problem.exact).max()))
        print(f"{n:4d}**2 {errors[-1]:10.2e}  {iterations:10d}  {seconds:7.2f}")
        if n <= 64:
            assert float(abs(problem.direct() - solution).max()) < 1e-9
    for coarse, fine in pairwise(errors):
        assert abs(coarse / fine / 2**ORDER - 1) < 0.1, "the error does not fall with h**2"
    assert errors[-1] < 0.5 / sizes[-1] ** ORDER


if __name__ == "__main__":
    main()
