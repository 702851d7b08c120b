"""The heat equation u_t = laplacian(u) of a body, insulated at one end, cooled at the other.

Along every axis the face at 0 lets no heat through (Neumann), and the one at 1 gives it off in
proportion to its temperature (Robin). The plan is the right-hand side of SciPy's `solve_ivp`; its
sparse matrix is the Jacobian that implicit methods need.

Run it with ``python docs/examples/heat.py``, or for a million unknowns with
``--shape 1000000`` or ``--shape 100 100 100 --method RK45 --until 0.0005``.
"""

import argparse
import time
from itertools import pairwise
from math import exp, tan

import numpy as np
from scipy.integrate import solve_ivp

import gradkit as gk

ORDER = 2  # of the error in space
WAVENUMBER = 0.8  # of the mode that decays: cos(k x) along every axis


def temperature(shape: tuple[int, ...], t: float) -> np.ndarray:
    """The exact solution: a mode that decays at the rate k**2 per axis."""
    mode = np.ones(shape)
    for axis, n in enumerate(shape):
        x = (np.arange(n) + 0.5) / n
        mode *= np.cos(WAVENUMBER * x).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return mode * exp(-len(shape) * WAVENUMBER**2 * t)


def laplacian(shape: tuple[int, ...]) -> gk.Plan:
    """The laplacian with its walls, as the divergence of the flux through faces."""
    # The flux that cos(k x) has at x = 1 is k tan(k) times its value there.
    cooled = gk.Robin(WAVENUMBER * tan(WAVENUMBER), 1)
    grid = gk.Grid(*(gk.Axis(spacing=1 / n, boundary=(gk.Neumann(), cooled)) for n in shape))
    operator = gk.Divergence(len(shape), to="centre") @ gk.Gradient(len(shape), to="outer")
    return operator.on(grid, shape, edge_order=1)


def cool(shape: tuple[int, ...], until: float, method: str) -> tuple[np.ndarray, int]:
    """The temperature at a time, and the number of evaluations of the right-hand side."""
    plan = laplacian(shape)
    start = temperature(shape, 0)
    found = solve_ivp(
        lambda _, u: plan(u.reshape(shape)).ravel(),
        (0, until),
        start.ravel(),
        method=method,
        t_eval=[until],
        rtol=1e-6,
        atol=1e-9,
        **({"jac": plan.matrix("csc")} if method in ("BDF", "Radau") else {}),
    )
    if not found.success:
        raise RuntimeError(found.message)
    return found.y[:, -1].reshape(shape), found.nfev


def main() -> None:
    """Cool bodies of finer and finer grids, and check the order of the error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs="+", help="cells along each axis")
    parser.add_argument("--method", default="BDF", choices=["BDF", "Radau", "RK45", "DOP853"])
    parser.add_argument("--until", type=float, default=0.5)
    given = parser.parse_args()
    shapes = [tuple(given.shape)] if given.shape else [(8, 8), (16, 16), (32, 32)]
    errors = []
    print("shape                error  evaluations  seconds")
    for shape in shapes:
        begin = time.perf_counter()
        u, evaluations = cool(shape, given.until, given.method)
        seconds = time.perf_counter() - begin
        errors.append(float(abs(u - temperature(shape, given.until)).max()))
        name = " x ".join(map(str, shape))
        print(f"{name:16} {errors[-1]:10.2e}  {evaluations:11d}  {seconds:7.2f}")
        # The first term bounds the error in space, the second one that in time.
        assert errors[-1] < given.until / min(shape) ** ORDER + 1e-4
    for coarse, fine in pairwise(errors):
        assert abs(coarse / fine / 2**ORDER - 1) < 0.2, "the error does not fall with h**2"


if __name__ == "__main__":
    main()
