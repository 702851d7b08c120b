"""These tests need a CUDA device: without one each is skipped, and the reason is shown."""

import os
from importlib.util import find_spec

import numpy as np
import pytest


def missing():
    """Why there is no GPU to test on, None where there is one."""
    if find_spec("cupy") is None:
        return "needs a CUDA device: cupy is not installed"
    import cupy

    # False, not an error, where there is no driver.
    if not cupy.is_available():
        return "needs a CUDA device: cupy.is_available() is False"
    return None


@pytest.fixture(autouse=True)
def gpu():
    """Skip the test where no GPU answers; fail it where GRADKIT_REQUIRE_BACKENDS names cupy."""
    reason = missing()
    if reason is None:
        return
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
