"""`gradkit bench`: options in; a table, a JSON file and a chart out."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

import gradkit
from gradkit import bench as benchmark
from gradkit.bench import report
from gradkit.bench.chart import draw
from gradkit.cli.files import FILE, check_target, write_whole
from gradkit.cli.problems import InputError, reported
from gradkit.cli.tables import table
from gradkit.devices import DEVICES
from gradkit.errors import MissingPackageError

__all__ = ["bench"]

EXAMPLES = """\b
Examples:
  gradkit bench --device cpu --json cpu.json --chart cpu.png
  gradkit bench --size 512x512x512 --case laplacian --dtype float32
  gradkit bench --size 2000 --size 1000000 --engine auto --engine reference
  gradkit bench --device cpu --size 8192x8192 --against numpy --against findiff
"""


def _sizes(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[int, ...], ...] | None:
    return tuple(_size(text) for text in values) or None


def _size(text: str) -> tuple[int, ...]:
    """512x512 as a shape."""
    parts = text.split("x")
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"--size {text}: wanted integers > 0 with x between them: 512x512x512")
    return tuple(map(int, parts))


@click.command(epilog=EXAMPLES)
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Where to run; 'auto' is CUDA where a GPU answers.",
)
@click.option(
    "--size",
    "sizes",
    metavar="NxN...",
    multiple=True,
    callback=_sizes,
    help="Shape of the arrays, such as 512x512x512; repeatable. "
    "[default: large ones for bandwidth, small ones for the cost of a call]",
)
@click.option(
    "--dtype",
    "dtypes",
    type=click.Choice(["float32", "float64"]),
    multiple=True,
    default=["float32", "float64"],
    show_default=True,
    help="Repeatable.",
)
@click.option(
    "--case",
    "families",
    type=click.Choice(benchmark.FAMILIES),
    multiple=True,
    default=benchmark.FAMILIES,
    show_default="all",
    help="Repeatable; 'coordinates' is a first derivative on uneven coordinates.",
)
@click.option(
    "--engine",
    "engines",
    metavar="NAME",
    multiple=True,
    default=["auto"],
    show_default=True,
    help="Engine of gradkit; repeat it to compare several.",
)
@click.option(
    "--against",
    metavar="NAME",
    multiple=True,
    help="Another library, as in the table: numpy, findiff, torch; repeatable. "
    "[default: all that are installed]",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    help="How often each call is timed. [default: 20 on CUDA, 5 on the CPU]",
)
@click.option("--json", "numbers", metavar="FILE", type=FILE, help="Write all figures to a file.")
@click.option("--chart", metavar="FILE.png", type=FILE, help="Draw a bar chart.")
def bench(
    device: str,
    sizes: tuple[tuple[int, ...], ...] | None,
    dtypes: tuple[str, ...],
    families: tuple[str, ...],
    engines: tuple[str, ...],
    against: tuple[str, ...],
    rounds: int | None,
    numbers: Path | None,
    chart: Path | None,
) -> None:
    """Speed against a copy, and against other libraries, in one run.

    T_eff is the bytes that a call must move over its time, T_peak the same of a copy timed in
    the same rounds. Every result is checked first: a wrong one is reported, not timed, and the
    exit code is 1. Files are written whole or not at all; older ones are replaced.
    """
    if numbers is not None:
        check_target(numbers, "--json", ".json")
    if chart is not None:
        check_target(chart, "--chart", ".png")
        if find_spec("matplotlib") is None:
            error = MissingPackageError("matplotlib", "bench", "gradkit bench --chart")
            raise click.ClickException(str(error))
    with reported(f"--device {device}"):
        xp = gradkit.array_module(device)
    machine = benchmark.OnCpu() if xp.__name__ == "numpy" else benchmark.OnCuda(xp)
    with reported("--engine, --against"):
        result = benchmark.run(
            machine,
            sizes=sizes,
            dtypes=tuple(dict.fromkeys(dtypes)),
            families=tuple(dict.fromkeys(families)),
            engines=tuple(dict.fromkeys(engines)),
            against=against or None,
            rounds=rounds,
            progress=lambda what: click.echo(what, err=True),
        )
    if not result.rows:
        raise InputError(f"nothing was measured: {'; '.join(result.notes[-1:]) or 'no such case'}")
    click.echo(report.headline(result))
    click.echo(table(report.columns(result), report.lines(result)))
    for line in report.explanations(result):
        click.echo(line)
    if numbers is not None:
        text = result.as_json().encode()
        write_whole(numbers, lambda file: file.write(text), "--json")
        click.echo(f"wrote {numbers}")
    if chart is not None:
        figure = draw(result)
        write_whole(chart, lambda file: figure.savefig(file, format="png"), "--chart")
        click.echo(f"wrote {chart}")
    if result.wrong:
        raise click.ClickException(f"{len(result.wrong)} results are wrong")
