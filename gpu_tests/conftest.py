"""These tests need a CUDA device: without one each is skipped, and the reason is shown."""

import os

import numpy as np
import pytest

from gradkit.devices import cuda_unavailable

# CuPy and torch need memory, too; JAX reads this before it makes its first array.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


@pytest.fixture(autouse=True)
def gpu():
    """Skip the test where no GPU answers; fail it where GRADKIT_REQUIRE_BACKENDS names cupy."""
    reason = cuda_unavailable()
    if reason is None:
        return
    reason = f"needs a CUDA device: {reason}"
    if "cupy" in os.environ.get("GRADKIT_REQUIRE_BACKENDS", "").split():
        pytest.fail(f"{reason}, but GRADKIT_REQUIRE_BACKENDS names it")
    pytest.skip(reason)


@pytest.fixture
def cupy(gpu):
    """The module, on a machine with a GPU."""
    import cupy

    return cupy


@pytest.fixture
def room(cupy):
    """Skips a test that needs more memory than the card can give."""

    def ask(wanted):
        cupy.get_default_memory_pool().free_all_blocks()
        free, _ = cupy.cuda.runtime.memGetInfo()
        if free < wanted:
            needed, there = wanted / 2**30, free / 2**30
            pytest.skip(f"needs {needed:.1f} GiB of GPU memory, {there:.1f} GiB are free")

    return ask


@pytest.fixture
def rng():
    """Random numbers, the same in every run."""
    return np.random.default_rng(20261122)
