"""The table and the chart of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gradkit.bench.results import Result, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["columns", "draw", "explanations", "headline", "lines"]

#: Arrays of fewer bytes fit into caches: what counts is the time of a call, not the bandwidth.
SMALL = 2**26


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


# --- the chart ------------------------------------------------------------------------------------


def draw(result: Result) -> Figure:
    """Bars of T_eff / T_peak, a panel per shape and dtype; of microseconds where arrays are small.

    Parameters
    ----------
    result : Result
        Of a run.

    Returns
    -------
    matplotlib.figure.Figure
        On an Agg canvas: no display is needed. Save it with ``figure.savefig``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    timed = [row for row in result.rows if not row.wrong]
    panels = [list(rows) for _, rows in groupby(timed, lambda row: (row.shape, row.dtype))]
    heights = [max(1.5, 0.14 * sum(2 + len(row.peers) for row in rows)) for rows in panels]
    figure = Figure(
        figsize=(11, 1.5 + sum(h + 0.9 for h in heights)), dpi=110, layout="constrained"
    )
    FigureCanvasAgg(figure)
    colours = _colours(timed)
    if panels:
        ratios = {"height_ratios": heights}
        grid = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw=ratios)
        for axes, rows in zip(grid[:, 0], panels, strict=True):
            _panel(axes, rows, colours)
        handles = [_patch(colour) for colour in colours.values()]
        figure.legend(handles, list(colours), loc="outside lower center", ncols=5)
    figure.suptitle(f"gradkit bench: {result.machine['device']}, {result.machine['date'][:10]}")
    return figure


def _patch(colour: Any) -> Any:
    """A patch of a colour, for the legend."""
    from matplotlib.patches import Patch

    return Patch(color=colour)


def _colours(rows: Iterable[Row]) -> dict[str, Any]:
    """A colour per engine and peer: gradkit dark, the others pale."""
    engines = dict.fromkeys(f"gradkit ({row.engine})" for row in rows)
    peers = dict.fromkeys(name for row in rows for name in row.peers)
    dark = [f"C{i}" for i in range(len(engines))]
    pale = [str(grey) for grey in np.linspace(0.35, 0.85, max(1, len(peers)))]
    return dict(zip([*engines, *peers], [*dark, *pale[: len(peers)]], strict=True))


def _panel(axes: Axes, rows: list[Row], colours: dict[str, Any]) -> None:
    """One shape and dtype: a group of bars per case."""
    row = rows[0]
    small = row.copy_bytes // 2 < SMALL
    ticks: dict[str, list[int]] = {}
    at = 0
    for number, entry in enumerate(rows):
        bars = [(f"gradkit ({entry.engine})", "out")]
        last = number + 1 == len(rows) or rows[number + 1].case != entry.case
        bars += [(name, name) for name in entry.peers] if last else []
        for label, timed in bars:
            seconds, share = entry.median(timed), entry.share(timed)
            value = (seconds or 0) * 1e6 if small else share or 0
            axes.barh(at, value, color=colours[label], height=0.9)
            ticks.setdefault(entry.case, []).append(at)
            at += 1
        at += 1 if last else 0
    axes.set_yticks([sum(places) / len(places) for places in ticks.values()], list(ticks))
    axes.invert_yaxis()
    if small:
        axes.set_xscale("log")
        axes.set_xlabel("microseconds per call (less is better)")
    else:
        axes.axvline(1, color="black", linewidth=1)
        axes.set_xlabel("T_eff / T_peak (1: as fast as a copy)")
    count = f"{prod(row.shape):,} elements"
    axes.set_title(f"{'x'.join(map(str, row.shape))} {row.dtype}, {count}", fontsize=10)
