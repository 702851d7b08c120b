"""A CuPy of NumPy arrays and a clock of its own, for what cannot be had without a GPU."""

from types import SimpleNamespace

import numpy as np
import pytest


class Stream:
    """A stream on which nothing runs: what is recorded on it is kept in order."""

    ptr = 7

    def __init__(self):
        self.log = []


class FakeCuPy:
    """The parts of CuPy that the benchmark uses, honest about the order of calls only.

    Its arrays are NumPy's. Events take the time from `clock`; `tick` advances it by a millisecond.
    """

    def __init__(self, free=10**12):
        self.now = 0.0
        self.clock = lambda: self.now
        self.stream = stream = Stream()
        fake = self

        class Event:
            def record(self, on):
                assert on is stream, "recorded on another stream than the current one"
                self.at = fake.clock()
                stream.log.append("record")

            def synchronize(self):
                stream.log.append("synchronize")

        def elapsed(start, stop):
            assert stream.log[-1] == "synchronize", "read before the device was done"
            return (stop.at - start.at) * 1000

        def copy(target, source, count, kind, on):
            assert (kind, on) == ("device to device", stream.ptr)
            stream.log.append(("copy", target, source, count))
            self.tick()

        self.cuda = SimpleNamespace(
            get_current_stream=lambda: stream,
            Event=Event,
            get_elapsed_time=elapsed,
            Device=lambda: SimpleNamespace(id=3),
            runtime=SimpleNamespace(
                memcpyAsync=copy,
                memcpyDeviceToDevice="device to device",
                memGetInfo=lambda: (free, 2 * free),
                driverGetVersion=lambda: 13020,
                runtimeGetVersion=lambda: 12090,
                getDeviceProperties=lambda number: {
                    "name": b"Fake card, not a GPU",
                    "multiProcessorCount": 132 + number,
                    "totalGlobalMem": 2 * free,
                },
            ),
        )
        self.released = 0

    def get_default_memory_pool(self):
        return SimpleNamespace(free_bytes=lambda: 5, free_all_blocks=self._release)

    def _release(self):
        self.released += 1

    def tick(self):
        self.now += 0.001

    def __getattr__(self, name):
        return getattr(np, name)


@pytest.fixture
def fake_cupy():
    return FakeCuPy()
