"""`gradkit demo`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from gradkit import demo as terrain_demo
from gradkit.cli.files import FILE, check_target, write_whole
from gradkit.cli.tables import table
from gradkit.errors import MissingPackageError

__all__ = ["demo"]


@click.command()
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    type=FILE,
    default="slope.png",
    show_default=True,
    help="The picture; an older one of that name is replaced.",
)
def demo(output: Path) -> None:
    """Slope, aspect and curvature of real terrain, and a picture of them.

    The terrain is the elevation model of the Jacksboro fault in Tennessee that comes with
    matplotlib: whole metres on a grid of longitudes and latitudes.
    """
    if find_spec("matplotlib") is None:
        error = MissingPackageError("matplotlib", "demo", "gradkit demo")
        raise click.ClickException(str(error))
    check_target(output, "--output", ".png")
    terrain = terrain_demo.load_terrain()
    rows, columns = terrain.elevation.shape
    click.echo(
        f"Jacksboro fault, Tennessee: {rows} x {columns} cells, {terrain.dy.mean():.2f} m from "
        f"north to south, {terrain.dx.min():.2f} to {terrain.dx.max():.2f} m from west to east"
    )
    lines = (
        [row.quantity, row.unit, *(f"{value:z.4g}" for value in row[2:])]
        for row in terrain_demo.summary(terrain)
    )
    click.echo(table(["quantity", "unit", "min", "mean", "max"], lines))
    figure = terrain_demo.draw(terrain)
    write_whole(output, lambda file: figure.savefig(file, format="png"))
    click.echo(f"wrote {output}")
