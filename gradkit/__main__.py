"""The command `gradkit`, also ``python -m gradkit``."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from gradkit.errors import MissingPackageError

__all__ = ["main"]


def main() -> int:
    """Run the command line, or say how to install what it needs.

    Returns
    -------
    int
        1 where the extra ``cli`` is not installed. Otherwise the command line ends the process
        with its own code: 0, or 2 where an argument cannot be used.
    """
    for package in ("click", "rich"):
        if find_spec(package) is None:
            print(MissingPackageError(package, "cli", "the command line"), file=sys.stderr)
            return 1
    from gradkit.cli import app

    app(prog_name="gradkit")
    return 0


if __name__ == "__main__":
    sys.exit(main())
