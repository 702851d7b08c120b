"""Families of kernels x boundaries, dtypes and widths dealt out over them: executed and compiled.

Every family meets every boundary and every dtype, every boundary every dtype, and all of them both
widths of indices, and vectors and single elements.
"""

from itertools import product

import numpy as np
import pytest

from gradkit import (
    Axis,
    Curl,
    D,
    Dirichlet,
    Divergence,
    FiniteDifference,
    Gradient,
    Grid,
    Hessian,
    Laplacian,
    Neumann,
    Robin,
    Symmetric,
)
from gradkit.engines.cuda.launch import launched, prepared
from gradkit.engines.cuda.source import BLOCK, source

from .conftest import compiled

SHAPE = (5, 6, 8)
ROUGH = np.cumsum([0.0, 0.5, 1.0, 0.25, 2.0, 1.5, 0.5, 1.0])
A = np.random.default_rng(4).uniform(1, 2, SHAPE)
EDGE = np.random.default_rng(5).uniform(1, 2, SHAPE[1:])
FAMILIES = {
    "axis 0": D(0),
    "axis 1, order 2": D(1, 2),
    "axis 2": D(2),
    "gradient": Gradient(3),
    "laplacian": Laplacian(3),
    "divergence": Divergence(3),
    "curl": Curl(3),
    "hessian": Hessian(3),
    "mixed": D(0) * D(2) - 2 * D(1),
    "conservative": D(0) @ (A * D(0)) + D(2) @ (A[0] * D(2)),
    "staggered": D(0, to="centre") @ D(0, to="left") + D(2),
}
BOUNDARIES = {
    "one-sided": [Axis(0.3), Axis(0.7), Axis(0.2)],
    "coordinates": [Axis(coordinates=ROUGH[:n]) for n in SHAPE],
    "periodic": [Axis(h, boundary="periodic") for h in (0.3, 0.7, 0.2)],
    "antiperiodic": [Axis(h, boundary="antiperiodic") for h in (0.3, 0.7, 0.2)],
    "periodic coordinates": [
        Axis(coordinates=ROUGH[:n], boundary="periodic", period=ROUGH[n - 1] + 1) for n in SHAPE
    ],
    "walls": [
        Axis(0.3, boundary=(Dirichlet(2.0), "one-sided")),
        Axis(0.7, boundary=Robin(2.0, 1.0, 3.0)),
        Axis(0.2, boundary=Symmetric()),
    ],
    "walls, mirrored": [
        Axis(0.3, boundary=Neumann(1.5)),
        Axis(0.7, boundary="periodic"),
        Axis(0.2, boundary=Dirichlet(0.0)),
    ],
}
DTYPES = ("float16", "float32", "float64", "complex64", "complex128", "int32", "uint8")
ARCHITECTURES = (75, 80, 90, 100, 120)
#: Registers of a thread, so that two blocks fit a multiprocessor.
REGISTERS = 65536 // (2 * BLOCK)
#: Family, boundary, dtype, whether indices are wide, whether elements come one by one.
CASES = [
    (family, boundary, DTYPES[(f + b) % 7], (f + b // 2) % 2 == 0, (f // 2 + b) % 3 == 0)
    for (f, family), (b, boundary) in product(enumerate(FAMILIES), enumerate(BOUNDARIES))
]
IDS = ["-".join(case[:3]) for case in CASES]


def plan_of(family, boundary):
    """The plan of a case."""
    method = FiniteDifference(2)
    return FAMILIES[family].on(Grid(*BOUNDARIES[boundary]), SHAPE, method=method, edge_order=1)


def inputs_of(plan, dtype, rng):
    """Random inputs that the dtype holds."""
    parts = [rng.integers(0, 100, (2, *shape)) for shape in plan.input_shapes]
    if np.dtype(dtype).kind == "c":
        return [(a / 8 + 1j * b / 8).astype(dtype) for a, b in parts]
    return [(a / (1 if np.dtype(dtype).kind in "iu" else 8)).astype(dtype) for a, _ in parts]


@pytest.mark.parametrize(("family", "boundary", "dtype", "is_wide", "is_single"), CASES, ids=IDS)
def test_kernels_give_what_the_reference_gives(
    host, rng, monkeypatch, family, boundary, dtype, is_wide, is_single
):
    if is_wide:
        monkeypatch.setattr("gradkit.engines.cuda.launch.WIDE", 0)
    plan, device = plan_of(family, boundary), host(shift=int(is_single))
    inputs = inputs_of(plan, dtype, rng)
    made = prepared(plan, inputs, device)
    assert not isinstance(made, str), made
    found = launched(plan, inputs, made, device)
    ((key, _, _),) = device.launches
    assert key.is_wide == is_wide
    assert key.vector == 1 or not is_single
    wanted = plan.apply(inputs)
    sizes = plan.magnitude.apply([abs(np.asarray(f, key.compute)) for f in inputs])
    for got, want, size in zip(found, wanted, sizes, strict=True):
        assert got.dtype == want.dtype
        eps = max(np.finfo(want.dtype).eps, np.finfo(key.real).eps)
        bound = 8 * eps * abs(size) + np.finfo(want.dtype).tiny
        np.testing.assert_array_less(abs(got - want), bound)


@pytest.mark.parametrize("number", range(len(CASES)), ids=IDS)
def test_kernels_compile(nvrtc, host, rng, monkeypatch, number):
    family, boundary, dtype, is_wide, is_single = CASES[number]
    plan = plan_of(family, boundary)
    made = prepared(plan, inputs_of(plan, dtype, rng), host())
    width = 1 if is_single else made.vectors[0]
    text = source(made.key._replace(vector=width, is_wide=is_wide))
    found = compiled(nvrtc, text, ARCHITECTURES[number % 5])
    assert found.registers <= REGISTERS
    assert found.spilled == 0


def test_cases_cover_all_pairs():
    names = [tuple(FAMILIES), tuple(BOUNDARIES), DTYPES, (False, True), (False, True)]
    for i in range(5):
        for j in range(i):
            pairs = {(case[i], case[j]) for case in CASES}
            assert pairs == set(product(names[i], names[j])), (i, j)
