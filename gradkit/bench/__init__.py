"""Speed, measured: gradkit against a copy and against what a user would call otherwise.

In every round each call is timed once, in turns, so that all meet the same disturbances; what is
compared is compared within a round, and the median of the rounds is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from gradkit._array import Array
from gradkit.bench.cases import FAMILIES, Case, cases_of
from gradkit.bench.checks import difference_from, difference_from_reference
from gradkit.bench.composed import PeerCall
from gradkit.bench.machines import Machine, OnCpu, OnCuda, Timer, calls_of, clock
from gradkit.bench.peers import Peer, arrays_of, peers_of
from gradkit.bench.results import Result, Row
from gradkit.engines import explain_engine, use_engine
from gradkit.errors import ArgumentValueError, EngineError

__all__ = [
    "FAMILIES",
    "ROUNDS",
    "SIZES",
    "Case",
    "Machine",
    "OnCpu",
    "OnCuda",
    "Result",
    "Row",
    "run",
]

#: Shapes that are measured by default: large ones for bandwidth, small ones for the cost of a call.
SIZES = {
    "cuda": ((512,) * 3, (1024,) * 3, (8192,) * 2, (256,), (1000,), (10**4,), (10**5,)),
    "cpu": ((512,) * 3, (8192,) * 2, (10,), (100,), (1000,), (10**4,), (10**5,)),
}
#: Rounds by default.
ROUNDS = {"cuda": 20, "cpu": 5}
#: Temporary arrays that another library may make, at most.
TEMPORARIES = 4


class _Contestant(NamedTuple):
    """A call that is timed in every round."""

    label: str
    call: Callable[[], Any]
    timer: Timer
    engine: str = "auto"
    is_peer: bool = False


def run(
    machine: Machine,
    *,
    sizes: Sequence[tuple[int, ...]] | None = None,
    dtypes: Sequence[str] = ("float32", "float64"),
    families: Sequence[str] = FAMILIES,
    engines: Sequence[str] = ("auto",),
    against: Sequence[str] | None = None,
    rounds: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Result:
    """Measure all cases on all sizes.

    Parameters
    ----------
    machine : Machine
        Where: `OnCpu` or `OnCuda`.
    sizes : sequence of tuple of int, optional
        The shapes; the default is `SIZES`.
    dtypes : sequence of str
        Of the data.
    families : sequence of str
        Which cases, of `FAMILIES`.
    engines : sequence of str
        Engines of gradkit to compare; ``"auto"`` is what a call takes by itself.
    against : sequence of str, optional
        The other libraries, by the names that tables have; the default is all that are installed.
    rounds : int, optional
        How often each call is timed; the default is `ROUNDS`.
    progress : callable
        Called with what is about to be measured.

    Returns
    -------
    Result
        One row per shape, dtype, case and engine.

    Raises
    ------
    ArgumentValueError
        If there is no engine, or no library on this device, of a name.
    """
    for engine in engines:
        with use_engine(engine):
            pass
    rounds = ROUNDS[machine.device] if rounds is None else rounds
    wanted = _wanted(machine.device, against)
    reasons = {peer.name: peer.missing() for peer in wanted}
    notes = [f"{name}: {reason}" for name, reason in reasons.items() if reason]
    peers = [peer for peer in wanted if reasons[peer.name] is None]
    rows: list[Row] = []
    for shape in SIZES[machine.device] if sizes is None else sizes:
        for dtype in dtypes:
            for case in cases_of(shape, families):
                what = f"{'x'.join(map(str, shape))} {dtype}, {case.name}"
                progress(what)
                try:
                    rows += _measured(machine, case, dtype, engines, peers, rounds)
                except (MemoryError, ArgumentValueError, EngineError) as error:
                    notes.append(f"{what}: skipped: {error}")
                machine.release()
    return Result(machine.device, machine.describe(), rounds, tuple(rows), tuple(notes))


def _wanted(device: str, against: Sequence[str] | None) -> list[Peer]:
    """The libraries of a device that are asked for."""
    peers = peers_of(device)
    if against is None:
        return peers
    names = [peer.name for peer in peers]
    unknown = [name for name in against if name not in names]
    if unknown:
        raise ArgumentValueError(
            f"against names {unknown[0]!r}: on {device} wanted {', '.join(map(repr, names))}"
        )
    return [peer for peer in peers if peer.name in against]


def _measured(
    machine: Machine,
    case: Case,
    dtype: str,
    engines: Sequence[str],
    peers: Sequence[Peer],
    rounds: int,
) -> Iterator[Row]:
    """Check a case, time it, and make its rows, one per engine."""
    plan, item = case.plan, machine.xp.dtype(dtype).itemsize
    array = case.elements() * item
    _check_memory(machine, (plan.reads + 2 * plan.writes) * array)
    inputs = case.inputs(machine.xp, dtype)
    out = [machine.xp.empty(shape, dtype=dtype) for shape in plan.output_shapes]
    contestants = [_Contestant("copy", machine.copy(inputs[0], out[0]), machine.seconds)]
    calls = {"out": case.into(inputs, out), "fresh": case.fresh(inputs)}
    served: dict[str, str] = {}
    wrong: dict[str, str | None] = {}
    for engine in engines:
        with use_engine(engine):
            served[engine] = explain_engine(*inputs, plan=plan).engine
            wrong[engine] = _first_problem(case, inputs, out, calls)
        if wrong[engine] is None:
            contestants += [
                _Contestant(f"{label} {engine}", call, machine.seconds, engine)
                for label, call in calls.items()
            ]
    skipped: dict[str, str] = {}
    functions: dict[str, str] = {}
    if len(contestants) > 1:
        for peer in peers:
            found = _peer(machine, peer, case, inputs, out)
            if isinstance(found, str):
                skipped[peer.name] = found
            elif found is not None:
                functions[peer.name] = found.what
                timer = clock if found.waits else machine.seconds
                contestants.append(_Contestant(peer.name, found.call, timer, is_peer=True))
        try:
            seconds = _timed(machine, contestants, rounds, skipped)
        except MemoryError as error:
            # Each library keeps memory that the others need: then gradkit is timed alone.
            skipped |= dict.fromkeys(functions, f"memory is short: {error}")
            machine.release()
            own = [one for one in contestants if not one.is_peer]
            seconds = _timed(machine, own, rounds, skipped)
        functions = {name: what for name, what in functions.items() if name in seconds}
    else:
        seconds = {}
    for engine in engines:
        own = {label: seconds.get(f"{label} {engine}", ()) for label in calls}
        yield Row(
            case.shape,
            dtype,
            case.name,
            served[engine],
            plan.minimum_bytes(dtype),
            2 * array,
            {} if wrong[engine] else {"copy": seconds["copy"], **own},
            {} if wrong[engine] else {name: seconds[name] for name in functions},
            functions,
            skipped,
            wrong[engine],
        )


def _check_memory(machine: Machine, needed: int) -> None:
    free = machine.free_bytes()
    if free is not None and needed > free:
        raise MemoryError(f"needs {needed / 1e9:.1f} GB, of which {free / 1e9:.1f} GB are free")


def _first_problem(
    case: Case, inputs: Sequence[Array], out: Sequence[Array], calls: dict[str, Callable[[], Any]]
) -> str | None:
    """What is wrong with the results of gradkit, prepared and fresh ones; None if nothing is."""
    for target in out:
        target.fill(float("nan"))
    calls["out"]()
    problem = difference_from_reference(case.plan, inputs, out)
    if problem is not None:
        return f"out=: {problem}"
    results = calls["fresh"]()
    fresh = list(results) if isinstance(results, tuple | list) else [results]
    problem = difference_from_reference(case.plan, inputs, fresh)
    return problem and f"fresh output: {problem}"


def _peer(
    machine: Machine, peer: Peer, case: Case, inputs: Sequence[Array], out: Sequence[Array]
) -> PeerCall | str | None:
    """How a peer is called, checked; why it is not timed; or None if it has no such thing."""
    machine.release()
    try:
        found = peer.call(case, inputs)
        if found is None:
            return None
        _check_memory(machine, (len(out) + TEMPORARIES) * inputs[0].nbytes)
        results = arrays_of(found.call(), machine.xp)
        problem = difference_from(results, out, case.margin, case.axes, found.factor)
    except Exception as error:  # noqa: BLE001  what other libraries raise is their affair, and noted
        return f"{type(error).__name__}: {error}"
    return found if problem is None else f"differs: {problem}"


def _timed(
    machine: Machine, contestants: Sequence[_Contestant], rounds: int, skipped: dict[str, str]
) -> dict[str, tuple[float, ...]]:
    """Seconds of each call in each round, after a warm-up; peers that fail are noted and left out.

    What was measured before another library fails, after an hour perhaps, must not be lost.
    """
    counts: dict[str, int] = {}
    seconds: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for one in contestants:
            if one.label in skipped:
                continue
            try:
                with use_engine(one.engine):
                    if turn == 0:
                        counts[one.label] = calls_of(one.call, one.timer, machine.shortest)
                        seconds[one.label] = []
                        continue
                    # Untimed: it brings back pages and caches that the others have taken, and
                    # keeps a device busy while the first timed call is launched.
                    one.call()
                    seconds[one.label].append(one.timer(one.call, counts[one.label]))
            except Exception as error:
                if not one.is_peer:
                    raise
                skipped[one.label] = f"{type(error).__name__}: {error}"
                seconds.pop(one.label, None)
    return {label: tuple(found) for label, found in seconds.items()}
