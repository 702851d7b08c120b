"""The name of a kernel: an identifier that tells its whole key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradkit.engines.cuda.key import Key, OutputKey, RuleKey
from gradkit.methods import WALL

__all__ = ["name"]


def name(key: Key) -> str:
    """An identifier that tells the whole key."""
    inputs = [
        f"{g.dtype}{f'split{g.split}' if g.split else ''}{_signed(g.extras)}" for g in key.inputs
    ]
    arrays = [f"{'c' if a.is_complex else 'r'}{_signed(a.extras)}" for a in key.arrays]
    parts = [
        "gradkit",
        f"{key.ndim}d{64 if key.is_wide else 32}{'f' if key.is_flat else ''}v{key.vector}"
        f"b{key.threads}m{key.march}x{_signed([key.marched])}",
        f"{key.real}_{key.compute}_{key.result}",
        "in",
        *inputs,
        "arr",
        *arrays,
        "rules",
        *map(_rule_name, key.rules),
        "out",
        *map(_output_name, key.outputs),
    ]
    return "_".join(parts)


def _signed(numbers: Sequence[int | None]) -> str:
    return "".join("b" if k is None else f"m{-k}" if k < 0 else f"p{k}" for k in numbers)


def _rule_name(rule: RuleKey) -> str:
    head = f"a{rule.axis}{_signed([rule.sources, rule.targets, rule.wrap])}"
    head += ("t" if rule.is_table else "u") + ("f" if rule.middle_folds else "")
    if any(rule.turned):
        head += f"k{_signed(rule.turned)}"
    runs = [f"{run.rows}r{_pairs_name(run.pairs)}" for run in rule.first]
    runs += ["n" + _pairs_name(rule.middle)]
    runs += [f"{run.rows}r{_pairs_name(run.pairs)}" for run in rule.last]
    return "_".join([head, *runs])


def _pairs_name(pairs: Any) -> str:
    return "d".join("".join(map(_point_name, pair)) for pair in pairs)


def _point_name(point: Any) -> str:
    if point is None:
        return "z"
    return _signed([point]) if isinstance(point, int) else "kl"[WALL.index(point)]


def _output_name(output: OutputKey) -> str:
    chains = []
    for chain in output.chains:
        steps = [
            f"r{step.rule}{''.join(map(_known_name, step.walls))}"
            if step.rule is not None
            else f"a{step.array}"
            for step in chain.steps
        ]
        scalar = "" if chain.scalar is None else f"k{chain.scalar}"
        first = f"s{_signed(chain.first)}" if any(chain.first) else ""
        chains.append("".join([f"f{chain.source}{first}", *steps, scalar]))
    return "_".join([f"o{_signed(output.extras)}", *chains])


def _known_name(known: Any) -> str:
    return "z" if known is None else f"w{known}" if isinstance(known, int) else f"v{known[1]}"
