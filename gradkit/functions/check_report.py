"""What a check of a claimed derivative found: values, and a table as text, in colours, as HTML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import numpy as np

from gradkit.errors import CheckError, MissingPackageError
from gradkit.functions.verdicts import DOUBT, MORE_DOUBT, VERDICTS, entry_note

__all__ = ["Check", "Line", "Sweep"]

#: Signs in front of the entries of a table.
MARKS = {"wrong": "*", "not finite": "*", "undecided": "?", "kink": "^", "passed": ""}
_COLOURS = {"wrong": "red", "not finite": "red", "undecided": "yellow", "kink": "cyan"}
_HEADER = ("", "entry", "claimed", "numeric", "± error", "absolute", "relative", "")


class Line(NamedTuple):
    """One line of a table: the verdict, and its cells as text."""

    verdict: str
    cells: tuple[str, ...]


class Sweep(NamedTuple):
    """The comparison with central differences of one step.

    Attributes
    ----------
    step : float
        The step.
    absolute, relative : float
        The largest differences among entries that are finite on both sides.
    wrong : int
        Entries above the tolerances, those that are not finite included.
    """

    step: float
    absolute: float
    relative: float
    wrong: int


@dataclass(frozen=True, eq=False, repr=False)
class Check:
    """A claimed derivative beside a numeric one, entry by entry.

    Attributes
    ----------
    wanted : str
        "gradient", "jacobian" or "hessian".
    function, source : str
        The name of the function, and where the claim comes from.
    claimed : ndarray
        The claimed derivative; along random directions, what it says about these.
    numeric, error : ndarray
        The numeric one, of the same shape, and the estimate of its error.
    left, right : ndarray
        One-sided derivatives at kinks, NaN elsewhere.
    verdict : ndarray of str
        "passed", "wrong", "not finite", "undecided" or "kink", per entry.
    rtol : float
        The relative tolerance.
    atol : ndarray
        The absolute tolerance, per entry.
    shape : tuple of int
        The shape of the claim as it was given.
    fits : bool
        Whether that is the shape of the derivative.
    hints : tuple of str
        What may have gone wrong; first of all the shape, if that does not fit.
    directions : int
        The number of random directions along which was compared, 0 for all entries.
    sweep : tuple of Sweep
        The same comparison with central differences of given steps.
    calls : int
        Calls of the function for the numeric derivative.
    rows : int
        How many entries of each kind a table shows.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit.functions import check_gradient
    >>> check = check_gradient(lambda x: (x**2).sum(0), lambda x: 2 * x, np.array([1.0, 2.0]))
    >>> check.passed
    True
    """

    wanted: str
    function: str
    source: str
    claimed: np.ndarray
    numeric: np.ndarray
    error: np.ndarray
    left: np.ndarray
    right: np.ndarray
    verdict: np.ndarray
    rtol: float
    atol: np.ndarray
    shape: tuple[int, ...]
    fits: bool
    hints: tuple[str, ...]
    directions: int
    sweep: tuple[Sweep, ...]
    calls: int
    rows: int

    @property
    def passed(self) -> bool:
        """Whether the shape fits and each entry passed, or is a kink with a claim between."""
        return self.fits and bool(np.all((self.verdict == "passed") | (self.verdict == "kink")))

    def __bool__(self) -> bool:
        return self.passed

    @property
    def absolute(self) -> np.ndarray:
        """Distance of claim and numeric derivative; at a kink, from what lies between its sides."""
        with np.errstate(all="ignore"):
            gap = abs(self.claimed - self.numeric)
            detour = abs(self.claimed - self.left) + abs(self.claimed - self.right)
            between = np.maximum(detour - abs(self.left - self.right), 0) / 2
        return np.where(np.isnan(between), gap, between)

    @property
    def relative(self) -> np.ndarray:
        """The same over the size of the numeric derivative; 0 where both are 0."""
        with np.errstate(all="ignore"):
            ratio = self.absolute / abs(self.numeric)
        return np.where(self.absolute == 0, 0.0, ratio)

    @property
    def worst(self) -> tuple[int, ...] | None:
        """Index of the entry furthest beyond its tolerance, among those that are finite."""
        order = self._order()
        finite = order[np.isfinite(self.absolute.ravel()[order])]
        if not finite.size:
            return None
        return tuple(int(k) for k in np.unravel_index(finite[0], self.verdict.shape))

    def count(self, verdict: str) -> int:
        """The number of entries with a verdict.

        Parameters
        ----------
        verdict : str
            A word of `verdict`.

        Returns
        -------
        int
            How many entries have it.
        """
        return int(np.sum(self.verdict == verdict))

    def raise_if_failed(self, *, undecided: bool = True) -> None:
        """Raise an error with the worst entries unless the check has passed.

        Parameters
        ----------
        undecided : bool, default True
            Whether entries that the numeric derivative cannot decide fail, too.

        Raises
        ------
        CheckError
            If the claim has another shape, or an entry is wrong, not finite or undecided.
        """
        __tracebackhide__ = True
        allowed = ["passed", "kink"] + ([] if undecided else ["undecided"])
        if not (self.fits and bool(np.all(np.isin(self.verdict, allowed)))):
            raise CheckError(str(self))

    def lines(self) -> list[Line]:
        """The entries that a table shows: all kinds, the worst of each first.

        Returns
        -------
        list of Line
            At most `rows` of each kind that matters, filled up with entries that passed.
        """
        order, found = self._order(), list[Line]()
        words, sizes = self.verdict.ravel()[order], (self.absolute, self.relative)
        for word in VERDICTS:
            alike = order[words == word]
            room = max(self.rows - len(found), 0) if word == "passed" else self.rows
            found.extend(self._line(i, word, sizes) for i in map(int, alike[:room]))
            if len(alike) > room and word != "passed":
                found.append(Line(word, ("", f"... {len(alike) - room} more", *("",) * 6)))
        return found

    def _order(self) -> np.ndarray:
        """Positions of all entries, the worst first."""
        with np.errstate(all="ignore"):
            limit = self.atol + self.rtol * abs(self.numeric)
            excess = self.absolute / (limit + np.finfo(float).tiny)
        return np.argsort(-excess, axis=None, kind="stable")

    def _line(self, i: int, word: str, sizes: tuple[np.ndarray, np.ndarray]) -> Line:
        index = tuple(int(k) for k in np.unravel_index(i, self.verdict.shape))
        claim, value, error = (part.flat[i] for part in (self.claimed, self.numeric, self.error))
        limit = float(self.atol.flat[i]) + self.rtol * abs(value)
        note = entry_note(word, claim, value, (self.left.flat[i], self.right.flat[i]), limit)
        place = _place(index)
        if self.directions:
            place = f"direction {index[-1]}" + (f" of {_place(index[:-1])}" if index[:-1] else "")
        far = (f"{part.flat[i]:.1e}" for part in sizes)
        cells = (MARKS[word], place, _number(claim), _number(value), f"{error:.1e}", *far, note)
        return Line(word, cells)

    # --- renderings -----------------------------------------------------------------------------

    def title(self) -> str:
        """The first line: what was checked, and whether it passed.

        Returns
        -------
        str
            One line of text.
        """
        counts = [f"{self.count(w)} {w}" for w in VERDICTS if w != "passed" and self.count(w)]
        size = self.verdict.size
        what = f"{size} {'entry' if size == 1 else 'entries'}"
        if self.directions:
            what += f" along {self.directions} random direction{'s' * (self.directions != 1)}"
        told = f"{', '.join(counts)} of {what}" if counts else f"{what} right"
        if not self.fits:
            told = f"the claim has shape {self.shape}" + (f"; {told}" if size else "")
        verdict = "passed" if self.passed else "FAILED"
        return f"{self.wanted} of {self.function}: {verdict}: {told}"

    def notes(self) -> list[str]:
        """The lines below the title: sources, tolerances, hints.

        Returns
        -------
        list of str
            Lines of text.
        """
        errors = self.error[np.isfinite(self.error)]
        known = f"errors up to {np.max(errors):.1e}" if errors.size else "no finite errors"
        lines = [
            f"claimed by {self.source}; numeric with {known}, "
            f"{self.calls} call{'s' * (self.calls != 1)} of {self.function}",
        ]
        if self.atol.size:
            low, high = (f"{end(self.atol):.3g}" for end in (np.min, np.max))
            atol, told = (high, "") if low == high else ("atol", f"; atol from {low} to {high}")
            lines.append(
                f"* |claimed - numeric| > {atol} + {self.rtol:.3g} |numeric| + {DOUBT} error "
                f"({MORE_DOUBT} if not converged), or not finite{told}"
            )
        if self.count("undecided"):
            lines.append(
                "? the error of the numeric derivative is too large to decide: larger tolerances, "
                "or the noise of the function as noise=, may help"
            )
        if self.count("kink"):
            lines.append("^ the derivative jumps here, and the claim lies between its two values")
        signs = ["hint: "] * len(self.hints)
        if not self.fits:
            signs[0] = "* "
        return [*lines, *map("".join, zip(signs, self.hints, strict=True))]

    def _sweep_lines(self) -> list[tuple[str, ...]]:
        return [
            (f"{s.step:.1e}", f"{s.absolute:.1e}", f"{s.relative:.1e}", str(s.wrong))
            for s in self.sweep
        ]

    def __str__(self) -> str:
        text = [self.title(), *self.notes()]
        if self.verdict.size:
            text.extend(_aligned([_HEADER, *(line.cells for line in self.lines())]))
        if self.sweep:
            text.append("central differences of one step:")
            text.extend(_aligned([_SWEEP, *self._sweep_lines()]))
        return "\n".join(text)

    __repr__ = __str__

    def __rich__(self) -> Any:
        try:
            from rich.console import Group
            from rich.table import Table
            from rich.text import Text
        except ImportError:
            raise MissingPackageError("rich", "cli", "a table in colours") from None
        parts: list[Any] = [Text(self.title(), style="bold green" if self.passed else "bold red")]
        parts.extend(Text(note) for note in self.notes())
        for header, rows in self._tables():
            table = Table(show_edge=False)
            for name in header:
                table.add_column(Text(name), justify="left" if name in ("", "entry") else "right")
            for word, cells in rows:
                table.add_row(*map(Text, cells), style=_COLOURS.get(word))
            parts.append(table)
        return Group(*parts)

    def _tables(self) -> Iterator[tuple[tuple[str, ...], list[tuple[str, tuple[str, ...]]]]]:
        yield _HEADER, [(line.verdict, line.cells) for line in self.lines()]
        if self.sweep:
            yield _SWEEP, [("passed", cells) for cells in self._sweep_lines()]

    def _repr_html_(self) -> str:
        parts = [f"<p><strong>{escape(self.title())}</strong></p>"]
        parts.append("<p>" + "<br>".join(map(escape, self.notes())) + "</p>")
        for header, rows in self._tables():
            head = "".join(f"<th>{escape(name)}</th>" for name in header)
            body: list[str] = []
            for word, cells in rows:
                colour = _COLOURS.get(word)
                style = f' style="color: {colour}"' if colour else ""
                inner = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
                body.append(f"<tr{style}>{inner}</tr>")
            parts.append(f"<table><tr>{head}</tr>{''.join(body)}</table>")
        return "\n".join(parts)


_SWEEP = ("step", "absolute", "relative", "wrong")


def _place(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]"


def _number(value: Any) -> str:
    if isinstance(value, complex | np.complexfloating):
        return f"{complex(value):.6g}"
    return f"{float(value):.8g}"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows of cells in columns: the sign, the place and the note to the left, numbers right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines: list[str] = []
    for row in rows:
        cells = [
            cell.ljust(width) if len(row) > 4 and k in (0, 1, 7) else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
