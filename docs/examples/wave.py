"""Sound in a box with rigid walls: p_t = -div v, v_t = -grad p, on a staggered grid.

The pressure lives at the centres of cells, each velocity at the faces that it flows through. Rigid
walls are planes of symmetry of the pressure, so the stencils of fourth order hold at every face.
The divergence is minus the adjoint of the gradient: ``gradient.T`` is all that is needed, and the
energy stays what it was, whatever the grid.

Run it with ``python docs/examples/wave.py``, or for a million cells with
``--shape 100 100 100 --until 0.1``.
"""

import argparse
import time
from itertools import pairwise
from math import pi, prod, sqrt

import numpy as np
from scipy.integrate import solve_ivp

import gradkit as gk

ORDER = 4  # of the error in space


def pressure(shape: tuple[int, ...], t: float) -> np.ndarray:
    """The exact solution: the standing wave with one node along every axis."""
    wave = np.ones(shape)
    for axis, n in enumerate(shape):
        x = (np.arange(n) + 0.5) / n
        wave *= np.cos(pi * x).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return wave * np.cos(pi * sqrt(len(shape)) * t)


class Box:
    """The state of the air in a box: the pressure and the velocities, one after the other."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        walls = gk.Symmetric()
        grid = gk.Grid(*(gk.Axis(spacing=1 / n, boundary=walls) for n in shape))
        gradient = gk.Gradient(len(shape), to="inner")
        self.gradient = gradient.on(grid, shape, method=gk.FiniteDifference(ORDER))
        self.shapes = [shape, *self.gradient.output_shapes]

    def parts(self, state: np.ndarray) -> list[np.ndarray]:
        """The pressure and the velocities as arrays."""
        ends = np.cumsum([prod(shape) for shape in self.shapes])[:-1]
        pieces = np.split(state, ends)
        return [part.reshape(shape) for part, shape in zip(pieces, self.shapes, strict=True)]

    def rate(self, _t: float, state: np.ndarray) -> np.ndarray:
        """The time derivative of the state."""
        p, *v = self.parts(state)
        slopes = self.gradient(p)
        slopes = slopes if len(v) > 1 else (slopes,)
        back = self.gradient.T(v if len(v) > 1 else v[0])
        return np.concatenate([back.ravel(), *(-slope.ravel() for slope in slopes)])

    def at(self, until: float) -> tuple[np.ndarray, float, int]:
        """Pressure at a time, relative change of the energy, evaluations of the rate."""
        still = [np.zeros(shape) for shape in self.shapes[1:]]
        start = np.concatenate([pressure(self.shapes[0], 0).ravel(), *(v.ravel() for v in still)])
        found = solve_ivp(
            self.rate, (0, until), start, "DOP853", t_eval=[until], rtol=1e-9, atol=1e-9
        )
        if not found.success:
            raise RuntimeError(found.message)
        end = found.y[:, -1]
        return self.parts(end)[0], float(end @ end / (start @ start) - 1), found.nfev


def main() -> None:
    """Follow the wave on finer and finer grids, and check the order of the error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs="+", help="cells along each axis")
    parser.add_argument("--until", type=float, default=0.3)
    given = parser.parse_args()
    shapes = [tuple(given.shape)] if given.shape else [(8, 8), (16, 16), (32, 32)]
    errors = []
    print("shape                error  change of energy  evaluations  seconds")
    for shape in shapes:
        begin = time.perf_counter()
        p, change, evaluations = Box(shape).at(given.until)
        seconds = time.perf_counter() - begin
        errors.append(float(abs(p - pressure(shape, given.until)).max()))
        name = " x ".join(map(str, shape))
        print(f"{name:16} {errors[-1]:10.2e}  {change:16.1e}  {evaluations:11d}  {seconds:7.2f}")
        assert errors[-1] < 2 * (pi / min(shape)) ** ORDER + 1e-7
        assert abs(change) < 1e-7
    for coarse, fine in pairwise(errors):
        assert abs(coarse / fine / 2**ORDER - 1) < 0.2, "the error does not fall with h**4"


if __name__ == "__main__":
    main()
