"""Arrays from files, and files that are written whole or not at all."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

import click
import numpy as np

from gradkit.cli.problems import InputError, reported
from gradkit.coordinates import Coordinates

__all__ = [
    "FILE",
    "check_target",
    "read",
    "read_coordinates",
    "save",
    "target_of",
    "write_whole",
]

FILE = click.Path(path_type=Path)

#: How files of the two formats begin; a .npz file is a zip file, which may be empty.
SIGNATURES = (np.lib.format.MAGIC_PREFIX, b"PK\x03\x04", b"PK\x05\x06")

#: What reading a damaged file raises, in NumPy and in the zip library below it.
DAMAGED = (ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


# --- reading --------------------------------------------------------------------------------------


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


def read(path: Path, key: str | None, argument: str) -> np.ndarray:
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


def read_coordinates(text: str, source: Path, unit: str) -> np.ndarray:
    """Coordinates from an array beside the input in its .npz file, or from a file of their own."""
    argument = f"--coordinates {text}"
    names = _names(source)
    if text in names:
        values = read(source, text, argument)
    else:
        head, found, key = text.rpartition(".npz:")
        path = Path(f"{head}.npz" if found else text)
        if names and not path.exists():
            raise InputError(f"{argument}: neither a file nor in {source}: {', '.join(names)}")
        values = read(path, key if found else None, "--coordinates")
    with reported(argument):
        return Coordinates(values, unit).values


# --- writing --------------------------------------------------------------------------------------


def target_of(source: Path, output: Path | None, count: int, force: bool) -> Path:
    """Where the result goes, checked before the work begins."""
    suffix = ".npz" if count > 1 else ".npy"
    path = source.with_name(f"{source.stem}.gradient{suffix}") if output is None else output
    check_target(path, "--output", ".npy", ".npz")
    if path.suffix == ".npy" and count > 1:
        raise InputError(
            f"--output {path}: a .npy file holds one array, the result has {count}: name a .npz "
            "file, or one axis with --axis"
        )
    if path.exists():
        if path.samefile(source):
            raise InputError(f"--output {path}: is INPUT, which is never overwritten")
        if not force:
            raise InputError(f"--output {path}: exists; --force replaces it")
    return path


def check_target(path: Path, option: str, *suffixes: str) -> None:
    """Raise unless a file of one of these kinds can be written at `path`."""
    if path.suffix not in suffixes:
        raise InputError(f"{option} {path}: wanted a name that ends in {' or '.join(suffixes)}")
    if path.is_dir():
        raise InputError(f"{option} {path}: is a folder")
    if not path.parent.is_dir():
        raise InputError(f"{option} {path}: there is no folder {path.parent}")


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays to a .npz file, or the only one to a .npy file."""
    if path.suffix == ".npy":
        (array,) = arrays.values()
        write_whole(path, lambda file: np.save(file, array, allow_pickle=False))
    else:
        write_whole(path, lambda file: np.savez(file, **arrays))  # pyright: ignore[reportArgumentType]


def write_whole(path: Path, write: Callable[[BinaryIO], Any], option: str = "--output") -> None:
    """Write a file whole or not at all: beside its place first, then moved there in one step."""
    part = path.with_name(f".{path.name}.{token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise InputError(f"{option} {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
