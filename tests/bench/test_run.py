"""A run: rounds in turns, ratios within a round, wrong numbers not timed; real, on small arrays."""

import json
from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest

from gradkit import bench, engines
from gradkit.bench import OnCpu, OnCuda, Result, Row, report, run
from gradkit.bench.chart import SMALL, draw
from gradkit.bench.composed import PeerCall
from gradkit.bench.peers import Peer
from gradkit.engines import reference
from gradkit.errors import ArgumentValueError

MEGABYTE = 2**20


def row(**changes):
    """A row with times that are easy to divide."""
    parts = {
        "shape": (1024, 1024),
        "dtype": "float32",
        "case": "gradient",
        "engine": "reference",
        "bytes": 12 * MEGABYTE,
        "copy_bytes": 8 * MEGABYTE,
        "seconds": {"copy": (1.0, 2.0, 4.0), "out": (3.0, 3.0, 3.0), "fresh": (6.0, 6.0, 6.0)},
        "peers": {"numpy": (6.0, 30.0, 12.0)},
        "functions": {"numpy": "numpy.gradient"},
        "skipped": {"torch": "differs"},
    }
    return Row(**{**parts, **changes})


def result(*rows, notes=()):
    machine = {"device": "Abacus", "date": "2026-11-28T00:00:00+00:00", "versions": {}}
    return Result("cpu", machine, 3, rows, tuple(notes))


def quick(**options):
    """A real run that takes a moment."""
    machine = OnCpu()
    machine.shortest = 1e-5
    return run(machine, **{"sizes": [(12, 11)], "dtypes": ["float64"], "rounds": 1, **options})


# --- figures ------------------------------------------------------------------------------------


def test_figures_are_medians_of_ratios_within_a_round():
    one = row()
    assert one.t_eff == 12 * MEGABYTE / 3
    assert one.t_peak == 8 * MEGABYTE / 2
    assert one.share() == pytest.approx(1.5 * (2 / 3))
    assert one.share("fresh") == pytest.approx(1.5 * (2 / 6))
    # The ratios of the rounds are 2, 10 and 4; times ordered by themselves would give 4, too,
    # but those of the copy are 6, 15 and 3.
    assert one.speedup("numpy") == 4
    assert one.share("numpy") == pytest.approx(1.5 * median_of(1 / 6, 2 / 30, 4 / 12))
    assert one.speedup("torch") is None


def median_of(*values):
    return sorted(values)[len(values) // 2]


def test_json_holds_all_figures():
    content = json.loads(result(row(), notes=["a note"]).as_json())
    assert set(content) == {"format", "device", "machine", "rounds", "rows", "notes"}
    assert content["format"] == 1
    assert content["notes"] == ["a note"]
    (one,) = content["rows"]
    assert set(one) == {
        *("shape", "dtype", "case", "engine", "bytes", "copy_bytes", "t_eff", "t_peak", "share"),
        *("share_fresh", "seconds", "peers", "skipped", "wrong"),
    }
    assert one["seconds"]["copy"] == [1.0, 2.0, 4.0]
    assert one["peers"]["numpy"] == {
        "function": "numpy.gradient",
        "seconds": [6.0, 30.0, 12.0],
        "share": pytest.approx(0.25),
        "speedup": 4.0,
        "speedup_fresh": 2.0,
    }


def test_the_table_says_figures_and_what_is_wrong():
    found = result(row(), row(seconds={}, peers={}, wrong="off by 1", case="laplacian"))
    first, second = map(list, report.lines(found))
    assert len(first) == len(second) == len(report.columns(found))
    assert first[:4] == ["1024x1024", "float32", "gradient", "reference"]
    assert first[-2:] == ["1", "4.00 / 2.00"]
    assert "WRONG, not timed" in second
    said = report.explanations(found)
    assert "WRONG: 1024x1024 float32, laplacian (reference): off by 1" in said
    assert "not timed: 1024x1024 float32, gradient: torch: differs" in said


# --- real runs ----------------------------------------------------------------------------------


def test_a_run_on_the_cpu_measures_everything():
    seen = []
    found = quick(rounds=2, progress=seen.append)
    assert [r.case for r in found.rows] == [
        *(f"derivative, axis {a}, accuracy {p}" for a in range(2) for p in (2, 4, 8)),
        *("coordinates, axis 0", "coordinates, axis 1"),
        *("gradient", "laplacian", "divergence", "curl"),
    ]
    assert seen[-1] == "12x11 float64, curl"
    assert len(seen) == len(found.rows)
    for one in found.rows:
        assert one.wrong is None
        assert set(one.seconds) == {"copy", "out", "fresh"}
        timed = [*one.seconds.values(), *one.peers.values()]
        assert all(len(t) == 2 and min(t) > 0 for t in timed)
        assert one.share() > 0
    assert "numpy" in found.rows[0].peers
    json.loads(found.as_json())


def test_calls_are_timed_in_turns():
    order = []

    class Machine(OnCpu):
        shortest = 0.0

        def seconds(self, call, calls):
            order.append(call)
            return super().seconds(call, calls)

    run(Machine(), sizes=[(12,)], dtypes=["float32"], families=["laplacian"], rounds=4)
    count = len(set(order))
    assert count >= 4  # copy, out, fresh, NumPy
    turns = order[-4 * count :]
    assert [turns[i : i + count] for i in range(0, 4 * count, count)] == [turns[:count]] * 4


def test_engines_are_compared_in_one_run():
    found = quick(families=["laplacian"], engines=["auto", "reference"])
    assert len(found.rows) == 2
    assert found.rows[1].engine == "reference"
    # The copy and the peers are those of the same rounds.
    assert found.rows[0].seconds["copy"] == found.rows[1].seconds["copy"]
    assert found.rows[0].seconds["out"] != found.rows[1].seconds["out"]


def test_an_unknown_engine_is_refused_before_anything_runs():
    with pytest.raises(ArgumentValueError, match="'refrence' is not one of"):
        quick(engines=["refrence"], progress=pytest.fail)


def test_the_libraries_that_were_asked_for_are_timed_and_no_others():
    found = quick(families=["gradient"], against=["numpy"])
    assert list(found.rows[0].peers) == ["numpy"]
    with pytest.raises(ArgumentValueError, match="'nunpy': on cpu wanted 'numpy', "):
        quick(against=["nunpy"], progress=pytest.fail)


def test_an_engine_that_cannot_serve_is_noted():
    found = quick(engines=["cuda"], families=["laplacian"])
    assert found.rows == ()
    (note,) = (n for n in found.notes if "laplacian" in n)
    assert "engine 'cuda' cannot serve this call" in note


@pytest.mark.parametrize("which", ["out=", "fresh output"])
def test_a_wrong_number_is_reported_and_not_timed(monkeypatch, which):
    def spoilt(plan, inputs, out):
        results = reference.run(plan, inputs, out)
        # Blocks have an extent: the check computes them, and gets the right numbers.
        if plan.extent is None and (out is None) == (which == "fresh output"):
            results[0][1, 1] += 0.01
        return results

    monkeypatch.setattr(engines, "TABLE", (replace(engines.TABLE[-1], run=spoilt),))
    monkeypatch.setattr(bench, "_timed", pytest.fail)
    found = quick(families=["laplacian"])
    (one,) = found.rows
    assert one.wrong.startswith(which)
    assert (one.seconds, one.peers, one.share()) == ({}, {}, None)
    assert found.wrong == [one]


def test_peers_that_fail_or_differ_are_noted_and_not_timed(monkeypatch):
    def fails(case, inputs):
        raise RuntimeError("no such thing")

    def differs(case, inputs):
        return PeerCall("ones", lambda: np.ones(case.shape))

    made = (
        Peer("failing", "cpu", lambda: None, fails),
        Peer("wrong", "cpu", lambda: None, differs),
        Peer("absent", "cpu", lambda: "is not installed", fails),
    )
    monkeypatch.setattr(bench, "peers_of", lambda device: made)
    found = quick(families=["laplacian"])
    (one,) = found.rows
    assert one.skipped["failing"] == "RuntimeError: no such thing"
    assert one.skipped["wrong"].startswith("differs: result 0: off by")
    assert one.peers == {}
    assert found.notes == ("absent: is not installed",)


def test_what_fails_while_it_is_timed_is_left_out_and_nothing_else_is_lost(monkeypatch):
    calls = {"early": 0, "late": 0}

    def peer(name, allowed):
        def call(case, inputs):
            right = case.plan(inputs[0])

            def counted():
                calls[name] += 1
                if calls[name] > allowed:
                    raise RuntimeError("CUDA out of memory")
                return right

            return PeerCall(name, counted)

        return Peer(name, "cpu", lambda: None, call)

    made = (peer("early", 1), peer("steady", 10**9), peer("late", 10**3))
    calls["steady"] = 0
    monkeypatch.setattr(bench, "peers_of", lambda device: made)
    monkeypatch.setattr(bench, "calls_of", lambda call, timer, shortest: call() is None or 400)
    (one,) = quick(families=["laplacian"], rounds=4).rows
    for name in ("early", "late"):
        assert one.skipped[name] == "RuntimeError: CUDA out of memory"
    assert set(one.peers) == set(one.functions) == {"steady"}
    assert [len(found) for found in one.seconds.values()] == [4, 4, 4]


def test_where_memory_is_short_gradkit_is_timed_without_the_others(monkeypatch):
    timed = []

    class Machine(OnCpu):
        shortest = 1e-5

        def release(self):
            timed.append("release")

    def call(case, inputs):
        right = case.plan(inputs[0])
        return PeerCall("hoard", lambda: timed.append("hoard") or right)

    copy = Machine.copy

    def short(self, source, target):
        done = copy(self, source, target)

        def call():
            if timed[-1] == "hoard":
                raise MemoryError("the hoard has it")
            return done()

        return call

    monkeypatch.setattr(Machine, "copy", short)
    monkeypatch.setattr(
        bench, "peers_of", lambda device: (Peer("hoard", "cpu", lambda: None, call),)
    )
    found = run(Machine(), sizes=[(12, 11)], dtypes=["float64"], families=["laplacian"], rounds=2)
    (one,) = found.rows
    assert one.skipped == {"hoard": "memory is short: the hoard has it"}
    assert one.peers == {}
    assert len(one.seconds["out"]) == 2


def test_what_does_not_fit_in_memory_is_skipped_with_a_note():
    class Machine(OnCpu):
        def free_bytes(self):
            return 1000

    found = run(Machine(), sizes=[(12, 11)], dtypes=["float64"], families=["laplacian"], rounds=1)
    assert found.rows == ()
    assert "12x11 float64, laplacian: skipped: needs 0.0 GB" in found.notes[-1]


def test_an_axis_that_is_too_short_is_skipped_with_a_note():
    found = quick(sizes=[(5,)], families=["derivative"])
    assert [one.case for one in found.rows] == [f"derivative, axis 0, accuracy {p}" for p in (2, 4)]
    assert "accuracy 8: skipped: axis 0 has 5 points" in found.notes[-1]


def test_a_run_on_a_fake_card(fake_cupy):
    """CUDA's path through a run, with NumPy's arrays and a clock: no kernel runs."""

    class Machine(OnCuda):
        shortest = 1e-5

        def copy(self, source, target):
            return lambda: np.copyto(target, source)

    fake_cupy.clock = perf_counter
    found = run(
        Machine(fake_cupy), sizes=[(12, 11)], dtypes=["float32"], families=["gradient"], rounds=1
    )
    (one,) = found.rows
    assert found.device == "cuda"
    assert found.machine["device"] == "Fake card, not a GPU"
    assert one.wrong is None
    assert one.share() > 0
    # After the case, and before each of the two libraries that are at hand.
    assert fake_cupy.released == 3


def test_default_sizes_are_those_of_the_issues():
    for device, small in (("cuda", (256,)), ("cpu", (10,))):
        sizes = bench.SIZES[device]
        assert {(512, 512, 512), (8192, 8192), small, (10**5,)} <= set(sizes)
    assert (1024, 1024, 1024) in bench.SIZES["cuda"]


# --- the chart ----------------------------------------------------------------------------------


def test_large_arrays_are_drawn_as_shares_small_ones_as_times():
    large = row(shape=(8192, 8192), copy_bytes=2 * SMALL)
    figure = draw(result(row(), large))
    small_panel, large_panel = figure.axes
    assert "microseconds" in small_panel.get_xlabel()
    assert small_panel.patches[0].get_width() == 3e6
    assert "T_eff / T_peak" in large_panel.get_xlabel()
    bars = [patch.get_width() for patch in large_panel.patches]
    assert bars == [large.share()]
    markers = {line.get_label(): line.get_xdata()[0] for line in large_panel.lines}
    assert markers["numpy"] == large.share("numpy")
    assert "Abacus" in figure.get_suptitle()


def test_a_chart_of_nothing_is_empty():
    assert draw(result(row(wrong="off by 1"))).axes == []
