"""The programs in docs/examples run as they are, and find the order of the error they promise."""

import os
import re
import subprocess
import sys
from itertools import pairwise
from math import log
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))

#: Name -> the head of its table, the order of the error, and arguments for a single small run.
TABLES = {
    "eigenmodes": (
        "  cells  error, uniform  lowest eigenvalue with weight  seconds",
        2,
        ["--cells", "12"],
    ),
    "heat": (
        "shape                error  evaluations  seconds",
        2,
        ["--shape", "6", "5", "--until", "0.1"],
    ),
    "poisson": ("  cells      error  iterations  seconds", 2, ["--cells", "8"]),
    "wave": (
        "shape                error  change of energy  evaluations  seconds",
        4,
        ["--shape", "6", "5", "4", "--until", "0.1"],
    ),
}


def lines_of(path, *arguments):
    """What an example prints; it may not warn."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GRADKIT_DEVICE": "cpu"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.splitlines()


def size_and_error(line):
    """The number of cells along an axis, and the error, of a line of a table."""
    return int(re.match(r" *(\d+)", line)[1]), float(re.search(r"\d\.\d\de[-+]\d\d", line)[0])


def test_every_example_is_tested():
    assert [path.stem for path in EXAMPLES] == sorted(TABLES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_prints_a_table_of_errors_that_fall(path):
    head, order, _ = TABLES[path.stem]
    first, *rows = lines_of(path)
    assert first == head
    assert len(rows) == 3
    found = [size_and_error(row) for row in rows]
    for (coarse, error), (fine, smaller) in pairwise(found):
        slope = log(error / smaller) / log(fine / coarse)
        # Errors are printed in three digits, and the next term is smaller by about 1 / cells.
        assert abs(slope - order) < 0.15


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_takes_a_size(path):
    head, _, arguments = TABLES[path.stem]
    first, *rows = lines_of(path, *arguments)
    assert first == head
    assert len(rows) == 1
    size, error = size_and_error(rows[0])
    assert size == int(arguments[1])
    assert 0 < error < 0.1
