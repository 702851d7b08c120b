"""The command line: reads arguments and files, calls gradkit, prints tables.

Needs the extra ``cli`` (click and rich); `gradkit.__main__` says so where it is missing.
"""

from __future__ import annotations

import os
import platform
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, Literal

import click
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

import gradkit
from gradkit import demo as terrain_demo
from gradkit._array import to_host
from gradkit.arguments import axes_of
from gradkit.boundaries import BOUNDARIES
from gradkit.capabilities import LIBRARIES
from gradkit.devices import DEVICES, cuda_unavailable
from gradkit.engines import TABLE, explain_engine
from gradkit.errors import GradkitError, MissingPackageError
from gradkit.grid import Coordinates

__all__ = ["InputError", "app"]

#: How files of the two formats begin; a .npz file is a zip file, which may be empty.
SIGNATURES = (np.lib.format.MAGIC_PREFIX, b"PK\x03\x04", b"PK\x05\x06")

#: What reading a damaged file raises, in NumPy and in the zip library below it.
DAMAGED = (ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)

FILE = click.Path(path_type=Path)

EXAMPLES = """\b
Examples:
  gradkit gradient dem.npy --spacing 92.5 --spacing 74.9
  gradkit gradient run.npz --key u --coordinates t --coordinates x
  gradkit gradient u.npy --axis -1 --spacing 0.1 --boundary periodic -o du.npy
"""


class InputError(click.ClickException):
    """An argument that cannot be used: one line on stderr, exit code 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(gradkit.__version__, prog_name="gradkit")
def app() -> None:
    """Derivatives of arrays, on the library and device where they live."""


# --- gradkit gradient ---------------------------------------------------------------------------


def _edge_order(_context: click.Context, _option: click.Parameter, value: str) -> int | None:
    if value == "interior":
        return None
    try:
        return int(value)
    except ValueError:
        raise InputError(f"--edge-order {value}: wanted an integer or 'interior'") from None


@app.command(epilog=EXAMPLES)
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
    f = _read(source, key, "INPUT")
    with _reported(f"--axis for INPUT {source}" if axis else f"INPUT {source}"):
        axes = axes_of(axis or None, f.ndim)
    target = _target(source, output, len(axes), force)
    positions = [_coordinates(text, source, unit) for text in coordinates]
    on_device = _on_device(f, device)
    with _reported(f"INPUT {source}"):
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
    _save(target, {f"d{a}": d for a, d in zip(axes, arrays, strict=True)})
    click.echo(_table(["axis", "shape", "dtype", "min", "max", "rms", "NaN"], _lines(axes, arrays)))
    click.echo(f"wrote {target}")


def _one_or_all(values: Sequence[Any]) -> Any:
    """An option given once holds for all axes; given several times it is one value per axis."""
    return values[0] if len(values) == 1 else values or None


@contextmanager
def _reported(what: str) -> Generator[None]:
    """Turn errors that gradkit raises on purpose into one line that names `what`."""
    try:
        yield
    except GradkitError as error:
        raise InputError(f"{what}: {error}") from error
    except MemoryError as error:
        raise InputError(f"{what}: not enough memory: {error}") from error


def _on_device(f: np.ndarray, device: str) -> Any:
    with _reported(f"--device {device}"):
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


# --- reading ------------------------------------------------------------------------------------


@contextmanager
def _loaded(path: Path, argument: str) -> Generator[Any]:
    """The array in a .npy file, or the open archive that a .npz file is."""
    try:
        # numpy.load would leave the file open where the archive is damaged.
        with path.open("rb") as file:
            if not file.read(8).startswith(SIGNATURES):
                raise InputError(f"{argument} {path}: is neither a .npy nor a .npz file")
            file.seek(0)
            yield np.load(file, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{argument} {path}: {error.strerror or error}") from error
    except DAMAGED as error:
        raise InputError(f"{argument} {path}: cannot be read: {error}") from error


def _read(path: Path, key: str | None, argument: str) -> np.ndarray:
    """The array in a .npy file, or the array `key` (the only one if None) in a .npz file."""
    with _loaded(path, argument) as content:
        if isinstance(content, np.ndarray):
            if key is not None:
                raise InputError(f"{argument} {path}: is one array, without the name {key!r}")
            return content
        with content:
            key = _key(content.files, key, f"{argument} {path}")
            array = content[key]
    if not isinstance(array, np.ndarray):
        raise InputError(f"{argument} {path}: its member {key!r} is not an array")
    return array


def _key(names: Sequence[str], key: str | None, what: str) -> str:
    """`key` if it is among the names of an archive; the only name if `key` is None."""
    if not names:
        raise InputError(f"{what}: holds no arrays")
    if key is None and len(names) == 1:
        return names[0]
    if key is None or key not in names:
        problem = "holds several arrays" if key is None else f"holds no array {key!r}"
        hint = "choose one with --key" if what.startswith("INPUT") else "name one as FILE.npz:NAME"
        raise InputError(f"{what}: {problem}; {hint}: {', '.join(names)}")
    return key


def _names(path: Path) -> list[str]:
    """Names of the arrays in a .npz file, none for a .npy file, of a file read before."""
    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def _coordinates(text: str, source: Path, unit: str) -> np.ndarray:
    """Coordinates from an array beside the input in its .npz file, or from a file of their own."""
    argument = f"--coordinates {text}"
    names = _names(source)
    if text in names:
        values = _read(source, text, argument)
    else:
        head, found, key = text.rpartition(".npz:")
        path = Path(f"{head}.npz" if found else text)
        if names and not path.exists():
            raise InputError(f"{argument}: neither a file nor in {source}: {', '.join(names)}")
        values = _read(path, key if found else None, "--coordinates")
    with _reported(argument):
        return Coordinates(values, unit).values


# --- writing ------------------------------------------------------------------------------------


def _target(source: Path, output: Path | None, count: int, force: bool) -> Path:
    """Where the result goes, checked before the work begins."""
    suffix = ".npz" if count > 1 else ".npy"
    path = source.with_name(f"{source.stem}.gradient{suffix}") if output is None else output
    if path.suffix not in (".npy", ".npz"):
        raise InputError(f"--output {path}: wanted a name that ends in .npy or .npz")
    if path.suffix == ".npy" and count > 1:
        raise InputError(
            f"--output {path}: a .npy file holds one array, the result has {count}: name a .npz "
            "file, or one axis with --axis"
        )
    _check_folder(path)
    if path.exists():
        if path.samefile(source):
            raise InputError(f"--output {path}: is INPUT, which is never overwritten")
        if not force:
            raise InputError(f"--output {path}: exists; --force replaces it")
    return path


def _check_folder(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"--output {path}: is a folder")
    if not path.parent.is_dir():
        raise InputError(f"--output {path}: there is no folder {path.parent}")


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    if path.suffix == ".npy":
        (array,) = arrays.values()
        _write_whole(path, lambda file: np.save(file, array, allow_pickle=False))
    else:
        _write_whole(path, lambda file: np.savez(file, **arrays))  # pyright: ignore[reportArgumentType]


def _write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file whole or not at all: beside its place first, then moved there in one step."""
    part = path.with_name(f".{path.name}.{token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise InputError(f"--output {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


# --- gradkit demo -------------------------------------------------------------------------------


@app.command()
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
    _check_folder(output)
    if output.suffix != ".png":
        raise InputError(f"--output {output}: wanted a name that ends in .png")
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
    click.echo(_table(["quantity", "unit", "min", "mean", "max"], lines))
    figure = terrain_demo.draw(terrain)
    _write_whole(output, lambda file: figure.savefig(file, format="png"))
    click.echo(f"wrote {output}")


# --- gradkit info -------------------------------------------------------------------------------


@app.command()
def info() -> None:
    """Versions, array libraries, the GPU, and which engines would run."""
    click.echo(f"gradkit {gradkit.__version__}, NumPy {np.__version__}")
    click.echo(f"Python {platform.python_version()} on {platform.platform()}")
    click.echo(_table(["array library", "version"], _libraries()))
    click.echo(f"GPU: {cuda_unavailable() or 'a CUDA device answers'}")
    click.echo(f"array_module(): {_chosen_module()}\n")
    click.echo(_table(["engine", "serves", "for a NumPy array"], _engines()))


def _libraries() -> Iterator[list[str]]:
    """Title and version of each library, found without importing it; or how to install it."""
    distributions = packages_distributions()
    for library in LIBRARIES:
        package = library.module.partition(".")[0]
        if find_spec(package) is None:
            found = f"not installed: pip install '{library.install}'"
        else:
            names = dict.fromkeys(distributions.get(package, []))
            found = ", ".join(version(name) for name in names) or "version unknown"
        yield [library.title, found]


def _chosen_module() -> str:
    try:
        module, reason = gradkit.array_module(explain=True)
    except GradkitError as error:
        return str(error)
    return f"{module.__name__}, because {reason}"


def _engines() -> Iterator[list[str]]:
    """The engines in the order in which they are tried, and what becomes of each."""
    explained = explain_engine(np.zeros((1000, 1000)))
    for engine, (name, reason) in zip(TABLE, explained.reasons, strict=True):
        used = "used: the first that can" if name == explained.engine else "could, if asked for"
        yield [name, engine.serves, used if reason is None else f"not used: {reason}"]


# --- tables -------------------------------------------------------------------------------------


def _table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Text of a table; numbers are aligned on the right."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    lines = list(rows)
    for index, name in enumerate(columns):
        justify: Literal["left", "right"] = (
            "right" if all(_is_number(line[index]) for line in lines) else "left"
        )
        table.add_column(name, justify=justify)
    for line in lines:
        table.add_row(*map(Text, line))
    console = Console()
    if not console.is_terminal:
        # Whoever reads a file or a pipe wants one line per row.
        console = Console(width=1000)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
