"""A run in text: the machine, the table, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from gradkit.bench.results import Result, Row

__all__ = ["columns", "explanations", "headline", "lines"]


def headline(result: Result) -> str:
    """The machine in one line."""
    machine = result.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    cores = f", {machine['cores']} cores" if "cores" in machine else ""
    driver = f", driver {machine['driver']}" if "driver" in machine else ""
    return f"{machine['device']}{cores}{driver}; {machine['date']}; {versions}"


def columns(result: Result) -> list[str]:
    """The heads of the table."""
    heads = ["shape", "dtype", "case", "engine", "out=, us", "fresh, us", "copy, us"]
    return [*heads, "T_eff, GB/s", "T_eff/T_peak", *(f"vs {name}" for name in _peers(result))]


def lines(result: Result) -> Iterator[list[str]]:
    """The rows of the table, as text."""
    names = _peers(result)
    for row in result.rows:
        head = ["x".join(map(str, row.shape)), row.dtype, row.case, row.engine]
        if row.wrong:
            yield [*head, "WRONG, not timed", *[""] * (4 + len(names))]
            continue
        times = [_number(row.median(label), 1e6) for label in ("out", "fresh", "copy")]
        rate = [_number(row.t_eff, 1e-9), _number(row.share(), 1)]
        yield [*head, *times, *rate, *(_against(row, name) for name in names)]


def explanations(result: Result) -> list[str]:
    """What the table does not say: what is wrong, what was left out and why, what was called."""
    found = [f"WRONG: {row.title} ({row.engine}): {row.wrong}" for row in result.wrong]
    found += [
        f"not timed: {row.title}: {name}: {reason}"
        for row in _one_per_case(result)
        for name, reason in row.skipped.items()
    ]
    return found + list(result.notes)


def _peers(result: Result) -> list[str]:
    """Names of the peers that were timed, in the order in which they came."""
    return list(dict.fromkeys(name for row in result.rows for name in row.peers))


def _against(row: Row, peer: str) -> str:
    """How many times longer a peer takes than ``out=``, and than a fresh output."""
    factors = (row.speedup(peer), row.speedup(peer, "fresh"))
    return " / ".join(f"{factor:.2f}" for factor in factors if factor is not None)


def _number(value: float | None, factor: float) -> str:
    return "" if value is None else f"{value * factor:.4g}"


def _one_per_case(result: Result) -> Iterator[Row]:
    """The first row of each case, whatever engines served it."""
    for _, rows in groupby(result.rows, lambda row: (row.shape, row.dtype, row.case)):
        yield next(iter(rows))
