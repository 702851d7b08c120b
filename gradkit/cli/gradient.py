"""`gradkit gradient`: files in and out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

import gradkit
from gradkit._array import to_host
from gradkit.arguments import axes_of
from gradkit.boundaries import BOUNDARIES
from gradkit.cli.files import FILE, read, read_coordinates, save, target_of
from gradkit.cli.problems import InputError, reported
from gradkit.cli.tables import table
from gradkit.devices import DEVICES

__all__ = ["gradient"]

EXAMPLES = """\b
Examples:
  gradkit gradient dem.npy --spacing 92.5 --spacing 74.9
  gradkit gradient run.npz --key u --coordinates t --coordinates x
  gradkit gradient u.npy --axis -1 --spacing 0.1 --boundary periodic -o du.npy
"""


def _edge_order(_context: click.Context, _option: click.Parameter, value: str) -> int | None:
    if value == "interior":
        return None
    try:
        return int(value)
    except ValueError:
        raise InputError(f"--edge-order {value}: wanted an integer or 'interior'") from None


@click.command(epilog=EXAMPLES)
@click.argument("source", metavar="INPUT", type=FILE)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    type=FILE,
    help="A .npz file for arrays d0, d1, ... named after the axes, or a .npy file for one axis. "
    "[default: INPUT.gradient.npz, or .npy for one axis, beside INPUT]",
)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@click.option(
    "--key", metavar="NAME", help="Which array of a .npz INPUT; needed if it has several."
)
@click.option(
    "--spacing",
    type=float,
    multiple=True,
    help="Distance between neighbours: once for all axes, or once per axis. [default: 1]",
)
@click.option(
    "--coordinates",
    metavar="FILE",
    multiple=True,
    help="Positions of the samples, once per axis: a .npy file, FILE.npz:NAME, or the name of an "
    "array in a .npz INPUT. Instead of --spacing.",
)
@click.option(
    "--axis",
    type=int,
    multiple=True,
    help="Axis to differentiate along; repeatable; negative ones count from the last. "
    "[default: all]",
)
@click.option(
    "--accuracy", type=int, default=2, show_default=True, help="Order of the error inside."
)
@click.option(
    "--edge-order",
    default="1",
    show_default=True,
    metavar="INTEGER|interior",
    callback=_edge_order,
    help="Order of the error at one-sided ends; 'interior' for that of --accuracy.",
)
@click.option(
    "--boundary",
    type=click.Choice(list(BOUNDARIES)),
    multiple=True,
    default=["one-sided"],
    show_default=True,
    help="What holds beyond the ends: once for all axes, or once per axis.",
)
@click.option(
    "--period",
    type=float,
    multiple=True,
    help="Length of a period, for coordinates that wrap: once for all, or once per axis.",
)
@click.option(
    "--unit", default="s", show_default=True, help="Unit of the answer where there are times."
)
@click.option(
    "--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to run."
)
def gradient(
    source: Path,
    output: Path | None,
    force: bool,
    key: str | None,
    spacing: tuple[float, ...],
    coordinates: tuple[str, ...],
    axis: tuple[int, ...],
    accuracy: int,
    edge_order: int | None,
    boundary: tuple[str, ...],
    period: tuple[float, ...],
    unit: str,
    device: str,
) -> None:
    """Differentiate the array in INPUT, a .npy or .npz file, along its axes.

    Writes one array per axis and prints a table of them. INPUT is never overwritten, and OUT is
    written whole or not at all.
    """
    if spacing and coordinates:
        raise InputError("--spacing and --coordinates exclude each other: give one of them")
    if period and not coordinates:
        raise InputError(
            "--period goes with --coordinates: n points with --spacing have the period n * spacing"
        )
    f = read(source, key, "INPUT")
    with reported(f"--axis for INPUT {source}" if axis else f"INPUT {source}"):
        axes = axes_of(axis or None, f.ndim)
    target = target_of(source, output, len(axes), force)
    positions = [read_coordinates(text, source, unit) for text in coordinates]
    on_device = _on_device(f, device)
    with reported(f"INPUT {source}"):
        results = gradkit.gradient(
            on_device,
            *(positions or spacing),
            axis=axes,
            accuracy=accuracy,
            edge_order=edge_order,
            boundary=_one_or_all(boundary),
            period=_one_or_all(period),
            unit=unit,
        )
    arrays = [_on_host(d) for d in (results if isinstance(results, tuple) else [results])]
    save(target, {f"d{a}": d for a, d in zip(axes, arrays, strict=True)})
    click.echo(table(["axis", "shape", "dtype", "min", "max", "rms", "NaN"], _lines(axes, arrays)))
    click.echo(f"wrote {target}")


def _one_or_all(values: Sequence[Any]) -> Any:
    """An option given once holds for all axes; given several times it is one value per axis."""
    return values[0] if len(values) == 1 else values or None


def _on_device(f: np.ndarray, device: str) -> Any:
    with reported(f"--device {device}"):
        xp = gradkit.array_module(device)
        try:
            return xp.asarray(f)
        except (TypeError, ValueError) as error:
            if device == "auto":
                return f
            raise InputError(f"--device {device} cannot hold dtype {f.dtype}: {error}") from error


def _on_host(array: Any) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else to_host(array, "result")


def _lines(axes: Sequence[int], arrays: Sequence[np.ndarray]) -> Iterator[list[str]]:
    for axis, array in zip(axes, arrays, strict=True):
        numbers = (f"{value:z.6g}" for value in _statistics(array))
        kind = f"{array.dtype} (magnitude)" if np.iscomplexobj(array) else str(array.dtype)
        holes = str(int(np.isnan(array).sum()))
        yield [str(axis), str(array.shape), kind, *numbers, holes]


def _statistics(array: np.ndarray) -> tuple[float, float, float]:
    """Smallest and largest value and root mean square without NaN; of magnitudes if complex."""
    values = array[~np.isnan(array)]
    values = (abs(values) if np.iscomplexobj(values) else values).astype(np.float64, copy=False)
    if values.size == 0:
        return np.nan, np.nan, np.nan
    low, high = float(values.min()), float(values.max())
    scale = max(abs(low), abs(high))
    if scale == 0 or not np.isfinite(scale):
        return low, high, scale
    # Squares of large or small numbers leave the range of float64; those of ratios do not.
    return low, high, scale * float(np.sqrt(np.mean((values / scale) ** 2)))
