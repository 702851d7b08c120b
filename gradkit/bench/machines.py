"""Where calls are timed: clocks, copies at full speed, free memory, and what the machine is."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from gradkit._array import Array, Namespace

__all__ = ["Machine", "OnCpu", "OnCuda", "Timer", "calls_of", "clock"]

Call = Callable[[], Any]
#: Seconds of one call, from so many in a row.
Timer = Callable[[Call, int], float]

#: Packages whose versions are noted, by the names under which they are installed.
PACKAGES = (
    *("gradkit", "numpy", "numba", "cupy-cuda12x", "cupy-cuda13x", "torch", "jax", "jaxlib"),
    *("scipy", "findiff", "numexpr"),
)
#: What sets the number of threads of the libraries.
THREADS = ("OMP_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS", "GRADKIT_NUM_THREADS")
#: Smaller arrays are copied by one thread: to wake others takes longer.
ONE_THREAD = 2**20


class Machine(Protocol):
    """Where calls are timed."""

    @property
    def device(self) -> str:
        """The word for it: cpu or cuda."""
        ...

    @property
    def xp(self) -> Namespace:
        """The library of the arrays."""
        ...

    @property
    def shortest(self) -> float:
        """Seconds that a sample lasts at least."""
        ...

    def seconds(self, call: Call, calls: int) -> float:
        """Seconds of one call, from so many in a row."""
        ...

    def copy(self, source: Array, target: Array) -> Call:
        """A call that copies as fast as the machine can."""
        ...

    def free_bytes(self) -> int | None:
        """Memory that new arrays may take; None where that cannot be known."""
        ...

    def release(self) -> None:
        """Give back memory that nothing uses any more."""
        ...

    def describe(self) -> dict[str, Any]:
        """What must be known to read the figures."""
        ...


def clock(call: Call, calls: int) -> float:
    """Seconds of one call by the clock of the host, from so many in a row."""
    start = perf_counter()
    for _ in range(calls):
        call()
    return (perf_counter() - start) / calls


def calls_of(call: Call, timer: Timer, shortest: float) -> int:
    """How many calls in a row make a sample long enough; they warm up what is called, too."""
    timer(call, 1)
    calls = 1
    while True:
        seconds = timer(call, calls)
        if seconds * calls >= shortest or calls >= 10**6:
            return calls
        # Ten times as many at most: the first calls of all may be slow.
        wanted = ceil(shortest / seconds) if seconds > 0 else 10 * calls
        calls = min(max(wanted, calls + 1), 10 * calls)


class OnCpu:
    """NumPy arrays, the clock of the host, and copies by as many threads as there are cores."""

    device = "cpu"
    shortest = 0.005
    xp = np

    def __init__(self, cores: int | None = None) -> None:
        self.cores = cores or _cores()
        self.pool = ThreadPoolExecutor(self.cores)

    def seconds(self, call: Call, calls: int) -> float:
        """Seconds of one call, from so many in a row."""
        return clock(call, calls)

    def copy(self, source: Array, target: Array) -> Call:
        """A call that copies with all cores, or with one if the array is small."""
        if source.nbytes < ONE_THREAD or self.cores == 1:
            return lambda: np.copyto(target, source)
        parts = list(
            zip(
                np.array_split(target.reshape(-1), self.cores),
                np.array_split(source.reshape(-1), self.cores),
                strict=True,
            )
        )

        def copy_part(part: tuple[Array, Array]) -> None:
            np.copyto(*part)

        return lambda: list(self.pool.map(copy_part, parts))

    def free_bytes(self) -> int | None:
        """Memory that the system says is available; None where it does not say."""
        for line in _lines("/proc/meminfo"):
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return None

    def release(self) -> None:
        """Nothing: NumPy gives memory back at once."""

    def describe(self) -> dict[str, Any]:
        """Name of the processor, cores, system, versions, settings and date."""
        names = (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo")
                 if line.startswith("model name"))  # fmt: skip
        name = next(names, "") or platform.processor() or platform.machine()
        return {"device": name, "cores": self.cores, **_system()}


class OnCuda:
    """CuPy arrays on the current device, timed by events on the current stream.

    Parameters
    ----------
    cupy : module
        CuPy.
    """

    device = "cuda"
    #: So many calls that the launch of the first, for which the device waits, does not count.
    shortest = 0.02

    def __init__(self, cupy: Any) -> None:
        self.xp = cupy

    def seconds(self, call: Call, calls: int) -> float:
        """Seconds of one call, between two events around so many in a row."""
        cuda = self.xp.cuda
        stream = cuda.get_current_stream()
        start, stop = cuda.Event(), cuda.Event()
        start.record(stream)
        for _ in range(calls):
            call()
        stop.record(stream)
        stop.synchronize()
        return cuda.get_elapsed_time(start, stop) / 1000 / calls

    def copy(self, source: Array, target: Array) -> Call:
        """A call that copies on the device."""
        runtime = self.xp.cuda.runtime
        stream = self.xp.cuda.get_current_stream()
        return lambda: runtime.memcpyAsync(
            target.data.ptr,
            source.data.ptr,
            source.nbytes,
            runtime.memcpyDeviceToDevice,
            stream.ptr,
        )

    def free_bytes(self) -> int | None:
        """Memory that the driver or CuPy's pool can give."""
        free, _ = self.xp.cuda.runtime.memGetInfo()
        return int(free) + int(self.xp.get_default_memory_pool().free_bytes())

    def release(self) -> None:
        """Give back free blocks of the pools of CuPy and torch: each needs what the other keeps."""
        self.xp.get_default_memory_pool().free_all_blocks()
        if (torch := sys.modules.get("torch")) is not None:
            torch.cuda.empty_cache()

    def describe(self) -> dict[str, Any]:
        """Name of the card, driver, system, versions and date."""
        runtime = self.xp.cuda.runtime
        properties = runtime.getDeviceProperties(self.xp.cuda.Device().id)
        name = properties["name"]
        return {
            "device": name.decode() if isinstance(name, bytes) else str(name),
            "multiprocessors": int(properties["multiProcessorCount"]),
            "memory_bytes": int(properties["totalGlobalMem"]),
            "driver": _cuda_version(runtime.driverGetVersion()),
            "runtime": _cuda_version(runtime.runtimeGetVersion()),
            **_system(),
        }


def _cuda_version(number: int) -> str:
    """13020 is CUDA 13.2."""
    return f"CUDA {number // 1000}.{number % 1000 // 10}"


def _cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _lines(path: str) -> Sequence[str]:
    """Lines of a file of the system, none where there is no such file."""
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _system() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "settings": {name: os.environ[name] for name in THREADS if name in os.environ},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
