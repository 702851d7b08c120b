"""Other libraries: each computes what gradkit does, on every case that it has."""

import importlib.util

import numpy as np
import pytest

from gradkit.bench import peers
from gradkit.bench.cases import FAMILIES, Case, cases_of
from gradkit.bench.checks import difference_from
from gradkit.bench.peers import PEERS, arrays_of, peers_of

SHAPES = [(40,), (22, 21), (19, 20, 21)]
CASES = [case for shape in SHAPES for case in cases_of(shape, FAMILIES)]
ON_CPU = {peer.name: peer for peer in peers_of("cpu")}

#: Which families each has at accuracy 2; findiff alone has higher ones.
SERVED = {
    "numpy": set(FAMILIES),
    "findiff": set(FAMILIES),
    "torch": set(FAMILIES),
    "jax.jit": set(FAMILIES),
    "scipy.ndimage": {"laplacian"},
    "numexpr": {"derivative", "coordinates", "gradient", "laplacian"},
}


def available(name):
    peer = ON_CPU[name]
    reason = peer.missing()
    if reason is not None:
        pytest.skip(reason)
    return peer


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_peers_compute_the_same(name, dtype):
    peer, compared = available(name), set()
    for case in CASES:
        inputs = case.inputs(np, dtype)
        found = peer.call(case, inputs)
        if found is None:
            continue
        out = [np.empty(shape, dtype) for shape in case.plan.output_shapes]
        case.into(inputs, out)()
        results = arrays_of(found.call(), np)
        problem = difference_from(results, out, case.margin, case.axes, found.factor)
        assert problem is None, f"{name}, {case.name}, {case.shape}: {problem}"
        compared.add((case.family, case.accuracy))
    expected = {(family, 2) for family in SERVED[name]}
    expected |= {("derivative", 4), ("derivative", 8)} if name == "findiff" else set()
    assert compared == expected


def test_all_peers_of_the_cpu_are_tested():
    assert set(ON_CPU) == set(SERVED)


def test_peers_of_the_gpu_are_those_of_the_issue():
    assert {p.name for p in peers_of("cuda")} == {"cupy", "torch", "jax.jit", "cupyx.scipy.ndimage"}


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    reasons = {(p.name, p.device): p.missing() for p in PEERS}
    assert reasons.pop(("numpy", "cpu")) is None
    assert reasons.pop(("cupy", "cuda")) is None  # gradkit's own arrays
    assert reasons.pop(("cupyx.scipy.ndimage", "cuda")) is None
    assert all("not installed: pip install" in reason for reason in reasons.values())


@pytest.mark.parametrize("name", ["torch", "jax.jit"])
def test_a_library_without_a_gpu_is_not_called_on_one(monkeypatch, name):
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")  # restored afterwards
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        pytest.skip(f"{name} is not installed")
    (peer,) = (p for p in peers_of("cuda") if p.name == name)
    assert "no GPU" in (peer.missing() or "this machine has no GPU")


def test_jax_computes_in_the_precision_of_the_data():
    peer, case = available("jax.jit"), Case("derivative", (40,), 0)
    for dtype in ("float32", "float64"):
        (result,) = arrays_of(peer.call(case, case.inputs(np, dtype)).call(), np)
        assert result.dtype == dtype


def test_only_jax_is_timed_by_the_clock_of_the_host():
    case = Case("laplacian", (20, 20))
    waits = {
        name: peer.call(case, case.inputs(np, "float32")).waits
        for name, peer in ON_CPU.items()
        if peer.missing() is None
    }
    assert {name for name, waiting in waits.items() if waiting} <= {"jax.jit"}
    assert waits.get("jax.jit", True)


def test_functions_are_named():
    case = Case("laplacian", (20, 20))
    inputs = case.inputs(np, "float32")
    assert ON_CPU["numpy"].call(case, inputs).what == "slices"
    assert available("scipy.ndimage").call(case, inputs).what == "scipy.ndimage.laplace"
    gradient = Case("gradient", (20, 20))
    assert ON_CPU["numpy"].call(gradient, inputs).what == "numpy.gradient"
