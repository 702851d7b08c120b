"""Plans whose results take several kernels: as many of them in each as one kernel serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gradkit import _targets
from gradkit._array import Array
from gradkit.engines.cuda.from_plan import MOST_READS, reads_of
from gradkit.plan import Plan

__all__ = ["Parts", "in_parts", "parts_of"]

#: Plans of a kernel each, with the numbers of their results in the whole.
Parts = Sequence[tuple[tuple[int, ...], Plan]]


def parts_of(plan: Plan) -> Parts:
    """The parts of a plan, kept on it; none where it has one kernel, or a result has none."""
    key = "cuda parts"
    if key not in plan.memo:
        plan.memo[key] = _parts_of(plan)
    return plan.memo[key]


def _parts_of(plan: Plan) -> Parts:
    reads = {number: reads_of(plan, [number]) for number in dict.fromkeys(plan.same)}
    if sum(reads.values()) <= MOST_READS or max(reads.values()) > MOST_READS:
        return ()
    groups: list[list[int]] = [[]]
    for number, count in reads.items():
        if sum(reads[i] for i in groups[-1]) + count > MOST_READS:
            groups.append([])
        groups[-1].append(number)
    every = range(len(plan.input_shapes))
    # NaN has been looked for by the whole.
    parts = [replace(plan, nan="propagate", bound=plan.bound.part(every, g)) for g in groups]
    # Of real inputs, all results are complex where one is; blocks hold a margin along axes along
    # which some part takes no differences.
    if any(
        (part.is_complex, part.input_shapes) != (plan.is_complex, plan.input_shapes)
        for part in parts
    ):
        return ()
    return tuple(zip(map(tuple, groups), parts, strict=True))


def in_parts(
    plan: Plan, inputs: Sequence[Array], out: Sequence[Array] | None = None
) -> Sequence[Array]:
    """Apply a plan part by part; returns one array per output."""
    f = inputs if len(inputs) > 1 else inputs[0]
    results: dict[int, Array] = {}
    for numbers, part in parts_of(plan):
        targets = None if out is None else [out[i] for i in numbers]
        found = part(f, targets[0] if targets is not None and len(targets) == 1 else targets)
        results.update(zip(numbers, found if len(numbers) > 1 else [found], strict=True))
    return _targets.delivered([results[i] for i in plan.same], out)
