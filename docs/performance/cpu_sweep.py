"""Time of a call against the fastest other library, from 10 elements to 10**9 bytes.

``python docs/performance/cpu_sweep.py --up-to 24`` measures what `gradkit bench` measures (the
same cases, checks and interleaved rounds) on vectors, squares and cubes of growing size, up to
``2**24`` bytes, and writes ``cpu_sweep.json`` and ``cpu_sweep.png``. The range can be taken in
parts, one process each, and ``--join`` makes one of their figures: see ``--help``.

With ``--earned`` plans get kernels of Numba from their first call on, as they do without it once
they have written 1 GiB; other libraries that compile have done so before they are timed, too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradkit import bench
from gradkit.bench.results import Result, Row
from gradkit.engines import cpu

#: What is compared with; others (numexpr with prepared results, scipy.ndimage without the
#: division) do less than a derivative.
PEERS = ("numpy", "findiff", "torch", "jax.jit")
FAMILIES = ("derivative", "coordinates", "gradient", "laplacian")


def shapes(first: int, last: int, step: int, dims: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Arrays of about ``2**first`` to ``2**last`` bytes in float64."""
    for power in range(first, last + 1, step):
        elements = 2.0 ** (power - 3)
        for ndim in dims:
            n = round(elements ** (1 / ndim))
            if n >= 3:
                yield (n,) * ndim


def fastest(row: Row) -> tuple[str, float] | None:
    """The fastest of the other libraries, and its median seconds."""
    found = [(name, row.median(name)) for name in PEERS if name in row.peers]
    timed = [(name, seconds) for name, seconds in found if seconds is not None]
    return min(timed, key=lambda pair: pair[1]) if timed else None


def lines(result: Result) -> Iterator[str]:
    """The table: microseconds, and how much of the time of the fastest other library they are."""
    yield "| elements | call | engine | out=, us | fresh, us | fastest other, us | out= | fresh |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for row in result.rows:
        best, out, fresh = fastest(row), row.median("out"), row.median("fresh")
        if best is None or out is None or fresh is None:
            continue
        name, theirs = best
        what = f"{'x'.join(map(str, row.shape))} {row.dtype} | {row.case} | {row.engine}"
        times = f"{out * 1e6:.1f} | {fresh * 1e6:.1f} | {theirs * 1e6:.1f} {name}"
        yield f"| {what} | {times} | {out / theirs:.2f} | {fresh / theirs:.2f} |"


def joined(paths: Sequence[Path]) -> Result:
    """What several runs have measured, as one; those of one machine and one day."""
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    rows = [_row(found) for run in runs for found in run["rows"]]
    notes = tuple(dict.fromkeys(note for run in runs for note in run["notes"]))
    rounds = min(run["rounds"] for run in runs)
    rows.sort(key=lambda row: (len(row.shape), row.dtype, row.case, row.copy_bytes))
    return Result(runs[0]["device"], runs[0]["machine"], rounds, tuple(rows), notes)


def _row(found: dict[str, Any]) -> Row:
    peers = found["peers"]
    return Row(
        tuple(found["shape"]),
        *(found[name] for name in ("dtype", "case", "engine", "bytes", "copy_bytes", "seconds")),
        {name: peer["seconds"] for name, peer in peers.items()},
        {name: peer["function"] for name, peer in peers.items()},
        {},
        found["wrong"],
    )


def rounded(result: Result) -> str:
    """The figures as JSON, times to the tenth of a microsecond, one row a line."""
    content = json.loads(replace(result, rows=()).as_json())
    rows = [row.as_dict() for row in result.rows]
    for row in rows:
        for times in (row["seconds"], *row["peers"].values()):
            for label, found in list(times.items()):
                if isinstance(found, list):
                    times[label] = [round(t, 7) for t in found]
    content["rows"] = "ROWS"
    lines = ",\n".join(json.dumps(row) for row in rows)
    return json.dumps(content, indent=1).replace('"ROWS"', f"[\n{lines}\n]") + "\n"


def draw(result: Result, path: Path) -> None:
    """Time over that of the fastest other library, over the size; below 1 gradkit is faster."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 8), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, label, title in zip(
        panels, ("out", "fresh"), ("plan(f, out=)", "named function"), strict=True
    ):
        curves: dict[str, list[tuple[int, float]]] = {}
        for row in result.rows:
            best, ours = fastest(row), row.median(label)
            if best is None or ours is None:
                continue
            name = f"{len(row.shape)}-D {row.dtype} {row.case}"
            curves.setdefault(name, []).append((row.copy_bytes // 2, ours / best[1]))
        for i, (name, points) in enumerate(curves.items()):
            style = ("-", "--", ":")[i // 10 % 3]
            axes.plot(*zip(*sorted(points), strict=True), style, marker=".", label=name)
        axes.axhline(1, color="black", linewidth=1)
        axes.set(xscale="log", yscale="log", xlabel="bytes of the array", title=title)
    panels[0].set_ylabel("time / fastest of " + ", ".join(PEERS))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=7)
    figure.suptitle(f"{result.machine['device']}, {result.machine['date'][:10]}")
    figure.savefig(path)


def main() -> None:
    """Measure, print the table, and write the figures and the chart."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--from", dest="first", type=int, default=7, help="power of 2, in bytes")
    parser.add_argument("--up-to", dest="last", type=int, default=29, help="power of 2, in bytes")
    parser.add_argument("--step", type=int, default=2, help="between powers")
    parser.add_argument("--dim", type=int, action="append", help="1, 2 or 3; repeatable")
    parser.add_argument("--dtype", action="append", help="repeatable")
    parser.add_argument("--case", action="append", choices=FAMILIES, help="repeatable")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--name", default="cpu_sweep", help="of the files, without their ending")
    parser.add_argument("--earned", action="store_true", help="kernels from the first call on")
    parser.add_argument("--join", type=Path, nargs="+", help="figures of runs to make one of")
    options = parser.parse_args()
    result = joined(options.join) if options.join else measured(options)
    for line in lines(result):
        print(line)
    Path(f"{options.name}.json").write_text(rounded(result), encoding="utf-8")
    draw(result, Path(f"{options.name}.png"))


def measured(options: argparse.Namespace) -> Result:
    """Run the benchmark that the options ask for."""
    if options.earned:
        cpu.EARNED = 0
    return bench.run(
        bench.OnCpu(),
        sizes=list(shapes(options.first, options.last, options.step, options.dim or (1, 2, 3))),
        dtypes=options.dtype or ("float32", "float64"),
        families=options.case or FAMILIES,
        rounds=options.rounds,
    )


if __name__ == "__main__":
    main()
