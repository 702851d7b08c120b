"""What was measured, and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["FORMAT", "Result", "Row"]

#: Version of the JSON format.
FORMAT = 1


@dataclass(frozen=True)
class Row:
    """One case on one shape and dtype, by one engine.

    Attributes
    ----------
    shape : tuple of int
        Of each array.
    dtype : str
        Of all arrays.
    case : str
        What was computed.
    engine : str
        The engine of gradkit that served.
    bytes : int
        That a call must move at least: `Plan.minimum_bytes`.
    copy_bytes : int
        That the copy moves: one array read, one written.
    seconds : dict
        Per round: ``"copy"``, ``"out"`` (a plan with ``out=``) and ``"fresh"`` (a named function).
    peers : dict
        Per round, the seconds of other libraries.
    functions : dict
        What was called in each of them.
    skipped : dict
        Why others were not timed.
    wrong : str or None
        What is wrong with the numbers of gradkit, which were not timed then.
    """

    shape: tuple[int, ...]
    dtype: str
    case: str
    engine: str
    bytes: int
    copy_bytes: int
    seconds: dict[str, tuple[float, ...]]
    peers: dict[str, tuple[float, ...]]
    functions: dict[str, str]
    skipped: dict[str, str]
    wrong: str | None = None

    @property
    def title(self) -> str:
        """Shape, dtype and case in words."""
        return f"{'x'.join(map(str, self.shape))} {self.dtype}, {self.case}"

    def median(self, label: str) -> float | None:
        """Seconds of a call; None if it was not timed."""
        found = self.seconds.get(label) or self.peers.get(label)
        return median(found) if found else None

    @property
    def t_eff(self) -> float | None:
        """Effective bandwidth with ``out=``, in bytes per second."""
        seconds = self.median("out")
        return self.bytes / seconds if seconds else None

    @property
    def t_peak(self) -> float | None:
        """Bandwidth of the copy, in bytes per second."""
        seconds = self.median("copy")
        return self.copy_bytes / seconds if seconds else None

    def share(self, label: str = "out") -> float | None:
        """T_eff / T_peak of a call, with ``out=`` by default: the median of the rounds."""
        theirs = self.seconds.get(label) or self.peers.get(label)
        ratios = _ratios(self.seconds.get("copy"), theirs)
        return median(ratios) * self.bytes / self.copy_bytes if ratios else None

    def speedup(self, peer: str, label: str = "out") -> float | None:
        """How many times longer a peer takes: the median of the rounds."""
        ratios = _ratios(self.peers.get(peer), self.seconds.get(label))
        return median(ratios) if ratios else None

    def as_dict(self) -> dict[str, Any]:
        """All of it, in the types of JSON."""
        return {
            "shape": list(self.shape),
            "dtype": self.dtype,
            "case": self.case,
            "engine": self.engine,
            "bytes": self.bytes,
            "copy_bytes": self.copy_bytes,
            "t_eff": self.t_eff,
            "t_peak": self.t_peak,
            "share": self.share(),
            "share_fresh": self.share("fresh"),
            "seconds": {label: list(found) for label, found in self.seconds.items()},
            "peers": {
                name: {
                    "function": self.functions[name],
                    "seconds": list(found),
                    "share": self.share(name),
                    "speedup": self.speedup(name),
                    "speedup_fresh": self.speedup(name, "fresh"),
                }
                for name, found in self.peers.items()
            },
            "skipped": self.skipped,
            "wrong": self.wrong,
        }


def _ratios(above: Sequence[float] | None, below: Sequence[float] | None) -> list[float]:
    """Quotients of times within each round."""
    return [a / b for a, b in zip(above or (), below or (), strict=False)]


@dataclass(frozen=True)
class Result:
    """A run of the benchmark.

    Attributes
    ----------
    device : str
        ``"cpu"`` or ``"cuda"``.
    machine : dict
        Name, cores, driver, versions, date.
    rounds : int
        How often each call was timed.
    rows : tuple of Row
        What was measured.
    notes : tuple of str
        What was not, and why.
    """

    device: str
    machine: dict[str, Any]
    rounds: int
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def wrong(self) -> list[Row]:
        """The rows whose numbers are wrong."""
        return [row for row in self.rows if row.wrong]

    def as_json(self) -> str:
        """All of it as JSON text."""
        content = {
            "format": FORMAT,
            "device": self.device,
            "machine": self.machine,
            "rounds": self.rounds,
            "rows": [row.as_dict() for row in self.rows],
            "notes": list(self.notes),
        }
        return json.dumps(content, indent=1, allow_nan=False) + "\n"
