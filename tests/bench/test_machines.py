"""Clocks, copies and descriptions; CUDA's by a fake CuPy, for want of a GPU."""

import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from gradkit.bench import machines
from gradkit.bench.machines import OnCpu, OnCuda, calls_of, clock


@pytest.fixture
def ticking(monkeypatch):
    """A clock of the host that tests set."""
    time = SimpleNamespace(now=100.0)
    monkeypatch.setattr(machines, "perf_counter", lambda: time.now)
    return time


def test_the_clock_says_the_time_of_one_call(ticking):
    def call():
        ticking.now += 0.25

    assert clock(call, 4) == 0.25
    assert OnCpu(1).seconds(call, 8) == 0.25


def test_a_sample_is_long_enough(ticking):
    def call():
        ticking.now += 1e-5

    calls = calls_of(call, clock, 0.005)
    assert 500 <= calls <= 501


def test_a_call_that_takes_long_is_a_sample_by_itself(ticking):
    made = []

    def call():
        made.append(0)
        ticking.now += 3.0

    assert calls_of(call, clock, 0.005) == 1
    assert len(made) == 2  # one to warm up


def test_a_clock_that_stands_still_does_not_hang(ticking):
    assert calls_of(lambda: None, lambda call, calls: 0.0, 0.005) >= 10**6


@pytest.mark.parametrize("cores", [1, 2, 3])
@pytest.mark.parametrize("size", [10, 300_001])
def test_a_copy_copies_all(rng, cores, size):
    source = rng.random((size, 2))
    target = np.zeros_like(source)
    OnCpu(cores).copy(source, target)()
    np.testing.assert_array_equal(target, source)


@pytest.mark.parametrize(("size", "expected"), [(1000, 1), (300_000, 2)])
def test_a_large_copy_is_made_by_all_cores(monkeypatch, size, expected):
    machine = OnCpu(2)
    source, target = np.ones(size), np.zeros(size)
    # Each part waits for the other one, so that two threads must be at work.
    barrier, counts, real = threading.Barrier(expected, timeout=20), [], np.copyto

    def counted(destination, part):
        barrier.wait()
        counts.append(part.size)
        real(destination, part)

    monkeypatch.setattr(np, "copyto", counted)
    machine.copy(source, target)()
    assert counts == [size // expected] * expected
    assert target.all()


def test_the_processor_is_described():
    found = OnCpu().describe()
    json.dumps(found, allow_nan=False)
    assert found["device"]
    assert found["cores"] >= 1
    assert found["versions"]["numpy"] == np.__version__
    assert "T" in found["date"]


def test_settings_of_threads_are_noted(monkeypatch):
    monkeypatch.setenv("NUMEXPR_NUM_THREADS", "3")
    assert OnCpu().describe()["settings"]["NUMEXPR_NUM_THREADS"] == "3"


def test_free_memory_is_read_or_unknown(monkeypatch):
    monkeypatch.setattr(machines, "_lines", lambda path: ["MemTotal: 9 kB", "MemAvailable: 7 kB"])
    assert OnCpu().free_bytes() == 7 * 1024
    monkeypatch.setattr(machines, "_lines", lambda path: [])
    assert OnCpu().free_bytes() is None


def test_a_system_without_such_files_has_no_lines():
    assert list(machines._lines("/nowhere/at/all")) == []


# --- CUDA, by a fake ----------------------------------------------------------------------------


def test_events_around_the_calls_say_the_time_of_one(fake_cupy):
    machine = OnCuda(fake_cupy)

    def call():
        fake_cupy.stream.log.append("call")
        fake_cupy.tick()

    assert machine.seconds(call, 3) == pytest.approx(0.001)
    assert fake_cupy.stream.log == ["record", *["call"] * 3, "record", "synchronize"]


def test_a_copy_on_the_device_is_asynchronous_on_the_current_stream(fake_cupy):
    source, target = (
        SimpleNamespace(data=SimpleNamespace(ptr=p), nbytes=n) for p, n in ((8, 64), (16, 0))
    )
    OnCuda(fake_cupy).copy(source, target)()
    assert fake_cupy.stream.log == [("copy", 16, 8, 64)]


def test_the_card_is_described(fake_cupy):
    found = OnCuda(fake_cupy).describe()
    json.dumps(found, allow_nan=False)
    assert found["device"] == "Fake card, not a GPU"
    assert found["multiprocessors"] == 135
    assert (found["driver"], found["runtime"]) == ("CUDA 13.2", "CUDA 12.9")


def test_memory_of_the_pool_counts_as_free_and_is_given_back(fake_cupy):
    machine = OnCuda(fake_cupy)
    assert machine.free_bytes() == 10**12 + 5
    machine.release()
    assert fake_cupy.released == 1


def test_the_fake_uses_no_name_that_cupy_lacks(fake_cupy):
    cupy = pytest.importorskip("cupy", reason="cupy is not installed")
    for name in vars(fake_cupy.cuda):
        assert hasattr(cupy.cuda, name), name
    for name in vars(fake_cupy.cuda.runtime):
        assert hasattr(cupy.cuda.runtime, name), name
    assert hasattr(cupy, "get_default_memory_pool")
