"""A run as a picture: bars for gradkit, markers for a copy and for other libraries."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from gradkit.bench.results import Result, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SMALL", "draw"]

#: Arrays of fewer bytes fit into caches: what counts is the time of a call, not the bandwidth.
SMALL = 2**26
MARKERS = "osD^vP*X"
#: Inches of a line, and of what surrounds the lines of a panel.
LINE, AROUND = 0.24, 0.9


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
    panels = {key: list(rows) for key, rows in groupby(timed, lambda row: (row.shape, row.dtype))}
    shapes = list(dict.fromkeys(shape for shape, _ in panels))
    dtypes = list(dict.fromkeys(dtype for _, dtype in panels))
    engines = list(dict.fromkeys(row.engine for row in timed))
    peers = list(dict.fromkeys(name for row in timed for name in row.peers))
    heights = [max(AROUND + LINE * len(panels.get((s, d), ())) for d in dtypes) for s in shapes]
    size = (7 * max(1, len(dtypes)), 1.5 + sum(heights))
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    if panels:
        grid = figure.subplots(
            len(shapes), len(dtypes), squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for (shape, dtype), rows in panels.items():
            _panel(grid[shapes.index(shape), dtypes.index(dtype)], rows, engines, peers)
        handles: dict[str, Any] = {}
        for axes in grid.flat:
            found, labels = axes.get_legend_handles_labels()
            handles |= dict(zip(labels, found, strict=True))
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5)
    figure.suptitle(f"gradkit bench: {result.machine['device']}, {result.machine['date'][:10]}")
    return figure


def _panel(axes: Axes, rows: Sequence[Row], engines: Sequence[str], peers: Sequence[str]) -> None:
    """One shape and dtype: a line per case and engine."""
    small = rows[0].copy_bytes // 2 < SMALL
    for line, row in enumerate(rows):
        number = engines.index(row.engine)
        label = f"gradkit ({row.engine}), out="
        value = _value(row, "out", small)
        axes.barh(line, value, height=0.7, color=f"C{number}", label=label, zorder=1)
        fresh = _value(row, "fresh", small)
        axes.plot([fresh], [line], "|", color="black", markersize=11, label="gradkit, fresh output")
        for name in row.peers:
            index = peers.index(name)
            value, colour = _value(row, name, small), f"C{len(engines) + index}"
            marker = MARKERS[index % len(MARKERS)]
            axes.plot([value], [line], marker, color=colour, label=name)
    axes.set_yticks(range(len(rows)), [row.case for row in rows])
    axes.invert_yaxis()
    axes.set_title(f"{'x'.join(map(str, rows[0].shape))} {rows[0].dtype}", fontsize=10)
    if small:
        axes.set_xscale("log")
        axes.set_xlabel("microseconds per call (less is better)")
    else:
        axes.axvline(1, color="black", linewidth=1)
        axes.set_xlabel("T_eff / T_peak (more is better; 1 is as fast as a copy)")


def _value(row: Row, label: str, small: bool) -> float:
    """What a panel shows of a call."""
    return (row.median(label) or 0) * 1e6 if small else row.share(label) or 0
