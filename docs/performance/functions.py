"""Cost of gradkit.functions beside scipy.differentiate: time, calls and memory, in one run.

Usage: python docs/performance/functions.py [points | rosenbrock | polynomials]...
"""

import platform
import statistics
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import scipy
from numpy.polynomial import chebyshev, hermite, laguerre, legendre, polynomial
from scipy.differentiate import derivative as scipy_derivative
from scipy.differentiate import jacobian as scipy_jacobian
from scipy.optimize import rosen, rosen_der

from gradkit.functions import derivative, gradient, hessian
from gradkit.functions.polynomial import derivative as polynomial_derivative

ROUNDS = 7


def seconds(*functions):
    """Median time of each of some functions, called in turns."""
    times = [[] for _ in functions]
    for _ in range(ROUNDS):
        for function, kept in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            kept.append(time.perf_counter() - start)
    return [statistics.median(kept) for kept in times]


def processor():
    """Name of the processor, where Linux tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor()


def peak_of(function):
    """Most memory that NumPy held during a call, in MiB."""
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return peak


def many_points(count=10**6):
    x = np.linspace(0.1, 3.0, count)
    print(f"| {count} points of | gradkit, s | scipy, s | ratio | scipy, same rtol, s | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, func in (("exp", np.exp), ("sin", np.sin), ("tanh", np.tanh), ("x**3", cube)):
        tight = {"rtol": np.finfo(float).eps ** (2 / 3)}
        ours, theirs, same = seconds(
            lambda f=func: derivative(f, x),
            lambda f=func: scipy_derivative(f, x),
            lambda f=func, t=tight: scipy_derivative(f, x, tolerances=t),
        )
        ratios = f"{theirs / ours:.1f} | {same:.3f} | {same / ours:.1f}"
        print(f"| {name} | {ours:.3f} | {theirs:.3f} | {ratios} |", flush=True)
    print(f"\npeak of exp: {peak_of(lambda: derivative(np.exp, x)):.0f} MiB", end=", ")
    print(f"scipy {peak_of(lambda: scipy_derivative(np.exp, x)):.0f} MiB\n")


def cube(x):
    return x * x * x


def rosenbrock():
    print("| Rosenbrock | calls | points | peak, MiB | s | largest error / largest entry |")
    print("| --- | --- | --- | --- | --- | --- |")
    x = np.linspace(0.5, 1.5, 1000)
    result = gradient(rosen, x)
    error = np.max(np.abs(result.value - rosen_der(x))) / np.max(np.abs(rosen_der(x)))
    (taken,) = seconds(lambda: gradient(rosen, x))
    peak = peak_of(lambda: gradient(rosen, x))
    points = int(np.sum(result.evaluations - 1)) + 1
    row = f"{result.calls} | {points} | {peak:.0f} | {taken:.2f} | {error:.1e}"
    print(f"| gradient, 1000 variables | {row} |")
    small = x[:100]
    peaks = [peak_of(lambda: gradient(rosen, small)), peak_of(lambda: scipy_jacobian(rosen, small))]
    times = seconds(lambda: gradient(rosen, small), lambda: scipy_jacobian(rosen, small))
    for name, peak, taken in zip(("gradkit", "scipy"), peaks, times, strict=True):
        print(f"| gradient, 100 variables, {name} | | | {peak:.0f} | {taken:.3f} | |")
    result = hessian(rosen, small)
    (taken,) = seconds(lambda: hessian(rosen, small))
    peak = peak_of(lambda: hessian(rosen, small))
    print(f"| hessian, 100 variables | {result.calls} | | {peak:.0f} | {taken:.2f} | |")
    print()


def polynomials():
    print("| derivative of | basis | gradkit, ms | numpy.polynomial, ms | ratio |")
    print("| --- | --- | --- | --- | --- |")
    peers = {
        "power": polynomial.polyder,
        "chebyshev": chebyshev.chebder,
        "legendre": legendre.legder,
        "hermite": hermite.hermder,
        "laguerre": laguerre.lagder,
    }
    c = np.random.default_rng(0).standard_normal((64, 10000))
    kinds = (("64 x 10000, axis 0", c, 0), ("10000 x 64, axis 1", c.T.copy(), 1))
    for kind, series, axis in kinds:
        for basis, peer in peers.items():
            ours, theirs = seconds(
                lambda b=basis, c=series, a=axis: polynomial_derivative(c, b, axis=a),
                lambda p=peer, c=series, a=axis: p(c, axis=a),
            )
            times = f"{1e3 * ours:.1f} | {1e3 * theirs:.1f} | {theirs / ours:.1f}"
            print(f"| {kind} | {basis} | {times} |")
    print()


PARTS = {"points": many_points, "rosenbrock": rosenbrock, "polynomials": polynomials}


def main():
    print(f"{processor()}; NumPy {np.__version__}, SciPy {scipy.__version__}, ", end="")
    print(f"Python {platform.python_version()}; medians of {ROUNDS} runs in turns\n")
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()


if __name__ == "__main__":
    main()
