"""Cost of a call on small arrays: gradkit against numpy.gradient, in turns, medians.

Run it with ``python docs/performance/small_arrays.py``; it prints the first two tables of
small_arrays.md: calls that have been made before, and calls that need a new plan.
"""

import platform
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import gradkit
from gradkit import Axis, Gradient, Grid

ROUNDS, CALLS = 11, 500
#: Calls with arrays of their own.
NEW = 105

Calls = dict[str, Callable[[], object]]


def seconds(call: Callable[[], object]) -> float:
    """Time of one call, from a tight loop of many."""
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) / CALLS


def medians(calls: Calls) -> dict[str, float]:
    """Median microseconds of each, measured in turns so that all meet the same disturbances."""
    rounds = [{name: seconds(call) for name, call in calls.items()} for _ in range(ROUNDS)]
    return {name: 1e6 * statistics.median(found[name] for found in rounds) for name in calls}


def calls_on(shape: tuple[int, ...], has_coordinates: bool) -> Calls:
    """The calls that are compared, on one array; the first is NumPy's."""
    rng = np.random.default_rng(0)
    f = rng.random(shape)
    spacing = [np.cumsum(0.1 + rng.random(n)) if has_coordinates else 0.1 for n in shape]
    axes = [Axis(coordinates=h) if has_coordinates else Axis(spacing=h) for h in spacing]
    plan = Gradient(len(shape)).on(Grid(*axes), shape, edge_order=1)
    results = tuple(np.empty(shape) for _ in shape)
    out = results if len(shape) > 1 else results[0]
    calls: Calls = {
        "numpy.gradient": lambda: np.gradient(f, *spacing),
        "plan(f)": lambda: plan(f),
        "plan(f, out=)": lambda: plan(f, out=out),
        "gradient": lambda: gradkit.gradient(f, *spacing),
    }
    if len(shape) == 1:
        calls["derivative"] = lambda: gradkit.derivative(f, spacing[0])
    return calls


def lines() -> Iterator[str]:
    """The table: microseconds, and in brackets how many times those of NumPy."""
    yield "| array | numpy.gradient | plan(f) | plan(f, out=) | gradient | derivative |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for shape in ((10,), (100,), (1000,), (3, 4), (10, 10), (30, 30)):
        for has_coordinates in (False, True):
            found = medians(calls_on(shape, has_coordinates))
            base, *others = found.values()
            what = "x".join(map(str, shape)) + (", coordinates" if has_coordinates else "")
            cells = [f"{base:.1f}", *(f"{t:.1f} ({t / base:.2f})" for t in others)]
            yield f"| {what} | {' | '.join(cells + [''] * (5 - len(cells)))} |"


# --- calls that need a new plan -------------------------------------------------------------------

#: What is called with arrays made anew for each call, and what of NumPy it is compared with.
NewCalls = dict[str, tuple[Callable[[], tuple[Any, ...]], Callable[..., Any], Callable[..., Any]]]


def new_calls() -> NewCalls:
    """Calls on coordinates, or on shapes, that were not there before."""
    rng = np.random.default_rng(0)

    def on_coordinates(*shape: int) -> Callable[[], tuple[Any, ...]]:
        return lambda: (rng.random(shape), *(np.cumsum(0.1 + rng.random(n)) for n in shape))

    def of_new_shape(*others: int) -> Callable[[], tuple[Any, ...]]:
        # The spacing is new, too, because there are not that many shapes.
        return lambda: (rng.random((rng.integers(20, 60), *others)), 0.1 + rng.random())

    def accurate(f: np.ndarray, x: np.ndarray) -> Any:
        return gradkit.derivative(f, x, accuracy=4)

    found: NewCalls = {}
    for n in (10, 100, 1000, 10_000):
        found[f"{n}, coordinates"] = on_coordinates(n), gradkit.gradient, np.gradient
    for n in (100, 1000, 10_000):
        found[f"{n}, coordinates, accuracy 4"] = on_coordinates(n), accurate, np.gradient
    for n in (10, 100):
        found[f"{n}x{n}, coordinates"] = on_coordinates(n, n), gradkit.gradient, np.gradient
    found["about 40"] = of_new_shape(), gradkit.gradient, np.gradient
    found["about 40x12x12"] = of_new_shape(12, 12), gradkit.gradient, np.gradient
    found["about 40x12x12, laplacian"] = of_new_shape(12, 12), gradkit.laplacian, np.gradient
    return found


def seconds_anew(make: Callable[[], tuple[Any, ...]], call: Callable[..., Any]) -> float:
    """Time of one call with arrays of its own."""
    arguments = make()
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


def new_lines() -> Iterator[str]:
    """The table of calls that need a new plan."""
    yield "| array | numpy.gradient | gradkit |"
    yield "| --- | --- | --- |"
    for what, (make, ours, theirs) in new_calls().items():
        pairs = [(seconds_anew(make, theirs), seconds_anew(make, ours)) for _ in range(NEW)][5:]
        base, found = (1e6 * statistics.median(times) for times in zip(*pairs, strict=True))
        yield f"| {what} | {base:.0f} | {found:.0f} ({found / base:.1f}) |"


def main() -> None:
    """Print the tables."""
    print(f"NumPy {np.__version__}, Python {platform.python_version()}, float64, microseconds\n")
    for line in lines():
        print(line)
    print()
    for line in new_lines():
        print(line)


if __name__ == "__main__":
    main()
