"""The lowest modes of a drum whose skin is heavier in the middle: -laplacian(u) = w rho u.

The rim is held (Dirichlet). The matrix of the plan is symmetric, so `scipy.sparse.linalg.eigsh`
finds the modes around 0; one factorisation serves every density rho. The uniform drum, whose
eigenvalues are ``pi**2 (k**2 + l**2)``, shows the order of the error.

Run it with ``python docs/examples/eigenmodes.py``, or with ``--cells 1000`` for a million unknowns.
"""

import argparse
import time
from itertools import pairwise
from math import pi
from typing import Any

import numpy as np
from scipy.sparse import dia_array
from scipy.sparse.linalg import LinearOperator, eigsh, splu

import gradkit as gk

ORDER = 2  # of the error of the eigenvalues
COUNT = 4  # modes


class Drum:
    """A square drum on n x n cells."""

    def __init__(self, n: int) -> None:
        rim = gk.Axis(spacing=1 / n, boundary=gk.Dirichlet(0))
        operator = -gk.Divergence(2, to="centre") @ gk.Gradient(2, to="outer")
        plan = operator.on(gk.Grid(rim, rim), (n, n), edge_order=1)
        self.n = n
        self.matrix = plan.matrix("csc")
        symmetric: dict[str, Any] = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0}
        factors = splu(self.matrix, options={"SymmetricMode": True}, **symmetric)
        self.inverse = LinearOperator(self.matrix.shape, matvec=factors.solve, dtype="float64")

    def density(self, extra: float) -> np.ndarray:
        """1 at the rim, 1 + `extra` in the middle."""
        hill = np.sin(pi * (np.arange(self.n) + 0.5) / self.n) ** 2
        return 1 + extra * np.outer(hill, hill)

    def modes(self, extra: float) -> tuple[np.ndarray, np.ndarray]:
        """The lowest eigenvalues and their modes, for a density."""
        rho = self.density(extra).ravel()
        mass = dia_array((rho[None, :], [0]), shape=self.matrix.shape)
        values, vectors = eigsh(
            self.matrix, COUNT, M=mass, sigma=0, OPinv=self.inverse, v0=np.ones(len(rho))
        )
        return values, vectors.T.reshape(COUNT, self.n, self.n)


def main() -> None:
    """Find the modes on finer and finer grids, and check the order of the error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, help="the modes on CELLS x CELLS cells alone")
    cells = parser.parse_args().cells
    exact = pi**2 * np.asarray([2, 5, 5, 8])
    errors = []
    print("  cells  error, uniform  lowest eigenvalue with weight  seconds")
    for n in [cells] if cells else [16, 32, 64]:
        begin = time.perf_counter()
        drum = Drum(n)
        values, _ = drum.modes(0)
        errors.append(float(abs(values / exact - 1).max()))
        weighted, shapes = drum.modes(2)
        seconds = time.perf_counter() - begin
        print(f"{n:4d}**2 {errors[-1]:15.2e}  {weighted[0]:29.6f}  {seconds:7.2f}")
        assert errors[-1] < (pi / n) ** ORDER
        # More weight, lower tones; the lowest mode has one sign.
        assert (weighted < values).all()
        assert abs(shapes[0].sum()) > 0.999 * abs(shapes[0]).sum()
    for coarse, fine in pairwise(errors):
        assert abs(coarse / fine / 2**ORDER - 1) < 0.1, "the error does not fall with h**2"


if __name__ == "__main__":
    main()
