"""Tables as text, for terminals, files and pipes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["table"]


def table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Text of a table; numbers are aligned on the right."""
    grid = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    lines = list(rows)
    for index, name in enumerate(columns):
        justify: Literal["left", "right"] = (
            "right" if all(_is_number(line[index]) for line in lines) else "left"
        )
        grid.add_column(name, justify=justify)
    for line in lines:
        grid.add_row(*map(Text, line))
    console = Console()
    if not console.is_terminal:
        # Whoever reads a file or a pipe wants one line per row.
        console = Console(width=1000)
    with console.capture() as captured:
        console.print(grid)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
