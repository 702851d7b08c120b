"""These tests need a CUDA device: without one each is skipped, and the reason is shown."""

import os

import numpy as np
import pytest

from gradkit.devices import cuda_unavailable


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
def rng():
    """Random numbers, the same in every run."""
    return np.random.default_rng(20261122)
