"""Fixtures: `xp` runs a test on every array library, `library` tells which one it is."""

import importlib
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gradkit import capabilities, devices

#: What `xp` runs over. In CI a missing library fails the tests; elsewhere it skips them.
LIBRARIES = ("numpy:readonly", *(library.name for library in capabilities.LIBRARIES))
REQUIRED = os.environ.get("GRADKIT_REQUIRE_BACKENDS", "").split()
# JAX on a GPU has tests of its own, in gpu_tests; here it takes the host, also where there is one.
os.environ.setdefault("JAX_PLATFORMS", "cpu")


def import_or_skip(module):
    """Import a library; where it is missing, skip with the reason, or fail if it is required."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if module.partition(".")[0] in REQUIRED:
            pytest.fail(f"{module} is required by GRADKIT_REQUIRE_BACKENDS: {error}")
        pytest.skip(f"{module} is not installed")


def make_library(name):
    """How tests make arrays of one library, and read them back."""
    if name.startswith("numpy"):
        readonly = name.endswith("readonly")

        def asarray(values, dtype=None):
            array = np.array(values, dtype=dtype)
            array.setflags(write=not readonly)
            return array

        return SimpleNamespace(name=name, kind="numpy", xp=np, asarray=asarray, to_numpy=np.asarray)
    if name == "array_api_strict":
        xp = import_or_skip("array_api_strict")
        return SimpleNamespace(
            name=name,
            kind=name,
            xp=xp,
            asarray=lambda v, dtype=None: xp.asarray(np.array(v, dtype=dtype)),
            to_numpy=lambda a: np.asarray(a._array),
        )
    if name == "torch":
        xp = import_or_skip("torch")
        return SimpleNamespace(
            name=name,
            kind=name,
            xp=xp,
            asarray=lambda v, dtype=None: xp.asarray(np.array(v, dtype=dtype)),
            to_numpy=lambda a: a.detach().numpy(),
        )
    if name == "jax":
        import_or_skip("jax").config.update("jax_enable_x64", True)
        xp = import_or_skip("jax.numpy")
        return SimpleNamespace(
            name=name,
            kind=name,
            xp=xp,
            asarray=lambda v, dtype=None: xp.asarray(np.array(v, dtype=dtype)),
            to_numpy=np.asarray,
        )
    if name == "dask":
        xp = import_or_skip("dask.array")

        def chunked(values, dtype=None):
            host = np.array(values, dtype=dtype)
            return xp.from_array(host, chunks=tuple(max(1, -(-n // 3)) for n in host.shape))

        return SimpleNamespace(
            name=name,
            kind=name,
            xp=xp,
            asarray=chunked,
            to_numpy=lambda a: a.compute(scheduler="synchronous"),
        )
    problem = devices.cuda_unavailable()
    if problem is not None:
        if "cupy" in REQUIRED:
            pytest.fail(problem)
        pytest.skip(problem)
    xp = importlib.import_module("cupy")
    return SimpleNamespace(name=name, kind=name, xp=xp, asarray=xp.asarray, to_numpy=xp.asnumpy)


@pytest.fixture(params=LIBRARIES)
def library(request):
    """One array library: `asarray(values, dtype)`, `to_numpy(array)`, `xp`, `name`, `kind`."""
    return make_library(request.param)


@pytest.fixture
def xp(library):
    """The namespace of one array library."""
    return library.xp


@pytest.fixture
def rng():
    """Random numbers, the same in every run."""
    return np.random.default_rng(20261122)


@pytest.fixture
def no_compute():
    """Run a block in which any computation of a dask graph raises."""
    dask = import_or_skip("dask")

    def refuse(*args, **kwargs):
        raise AssertionError("a dask graph was computed")

    return lambda: dask.config.set(scheduler=refuse)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A folder of this run of the tests, the same one in all of its processes."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture
def root():
    """The top folder of the repository."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def fresh_python(root):
    """Run code in a new Python process and return what it prints."""
    import subprocess

    def run(code, **variables):
        environment = {**os.environ, "PYTHONPATH": str(root), **variables}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
