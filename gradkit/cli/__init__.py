"""The command line: reads arguments and files, calls gradkit, prints tables.

Needs the extra ``cli`` (click and rich); `gradkit.__main__` says so where it is missing.
"""

from __future__ import annotations

import click

import gradkit
from gradkit.cli import bench, demo, gradient, info
from gradkit.cli.problems import InputError

__all__ = ["InputError", "app"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(gradkit.__version__, prog_name="gradkit")
def app() -> None:
    """Derivatives of arrays, on the library and device where they live."""


for command in (gradient.gradient, demo.demo, bench.bench, info.info):
    app.add_command(command)
