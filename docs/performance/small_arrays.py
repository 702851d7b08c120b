"""Cost of a call on small arrays: gradkit against numpy.gradient, interleaved, medians.

Run it with ``python docs/performance/small_arrays.py``; it prints the table of small_arrays.md.
"""

import platform
import statistics
import time
from collections.abc import Callable

import numpy as np

import gradkit
from gradkit import Axis, D, Grid

ROUNDS, CALLS = 41, 1000


def seconds(call: Callable[[], object]) -> float:
    """Time of one call, from a tight loop of many."""
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) / CALLS


def compare(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of each, measured in turns so that both meet the same disturbances."""
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(ROUNDS)]
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second)


def main() -> None:
    """Print the table."""
    f = np.random.default_rng(0).random(100)
    x = np.cumsum(0.1 + np.random.default_rng(1).random(100))
    uniform = D(0).on(Grid(Axis(spacing=0.1)), f.shape, edge_order=1)
    uneven = D(0).on(Grid(Axis(coordinates=x)), f.shape, edge_order=1)
    rows = [
        ("gradkit.gradient(f, 0.1)", lambda: gradkit.gradient(f, 0.1), lambda: np.gradient(f, 0.1)),
        ("plan(f), spacing", lambda: uniform(f), lambda: np.gradient(f, 0.1)),
        ("gradkit.gradient(f, x)", lambda: gradkit.gradient(f, x), lambda: np.gradient(f, x)),
        ("plan(f), coordinates", lambda: uneven(f), lambda: np.gradient(f, x)),
    ]
    print(f"100 float64 elements, NumPy {np.__version__}, Python {platform.python_version()}\n")
    print("| call | gradkit, us | numpy.gradient, us | ratio |")
    print("| --- | --- | --- | --- |")
    for name, ours, theirs in rows:
        a, b = compare(ours, theirs)
        print(f"| `{name}` | {a * 1e6:.1f} | {b * 1e6:.1f} | {a / b:.2f} |")


if __name__ == "__main__":
    main()
