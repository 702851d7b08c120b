"""Cost of gradkit.functions beside scipy.differentiate: time, calls and memory, in one run.

Usage: python docs/performance/functions.py [POINTS]
"""

import platform
import statistics
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import scipy
from scipy.differentiate import derivative as scipy_derivative
from scipy.differentiate import jacobian as scipy_jacobian
from scipy.optimize import rosen, rosen_der

from gradkit.functions import derivative, gradient, hessian

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


def many_points(count):
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
        print(f"| {name} | {ours:.3f} | {theirs:.3f} | {ratios} |")
    print()


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


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10**6
    print(f"{processor()}; NumPy {np.__version__}, SciPy {scipy.__version__}, ", end="")
    print(f"Python {platform.python_version()}; medians of {ROUNDS} runs in turns\n")
    many_points(count)
    rosenbrock()


if __name__ == "__main__":
    main()
