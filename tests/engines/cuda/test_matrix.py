"""Families of kernels x boundaries x dtypes x widths of indices x vectors or single elements.

All 2156 combinations are executed and compared with the reference, with blocks of one step and with
blocks that walk. NVRTC compiles some for each of
the 77 families and boundaries: every pair with another factor, of which there are the five
architectures, too, and all of float32 and float64.
"""

from itertools import combinations, product

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
from gradkit.engines.cuda.layout import ENOUGH_BLOCKS
from gradkit.engines.cuda.source import source

from .conftest import Host, compiled, launchers

#: Threads take four rows: those from 4 to 8 are in the middle.
SHAPE = (10, 6, 8)
ROUGH = np.cumsum([0.0, 0.5, 1.0, 0.25, 2.0, 1.5, 0.5, 1.0, 0.75, 1.25])
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
#: Whether indices have 64 bits, and whether elements come one by one.
WIDTHS = tuple(product((False, True), (False, True)))


def dealt(family, boundary):
    """What is compiled of a family and a boundary: dtypes, widths and an architecture for each.

    All 10780 kernels would take an hour: single and double precision meet every family and
    boundary, the other dtypes, the widths and the architectures are dealt out over them.
    """
    f, b = tuple(FAMILIES).index(family), tuple(BOUNDARIES).index(boundary)
    others = [dtype for dtype in DTYPES if dtype not in ("float32", "float64")]
    for dtype in ("float32", "float64", others[(f + b) % 5], others[(f + 2 * b + 1) % 5]):
        d = DTYPES.index(dtype)
        yield dtype, *WIDTHS[(f + b + d) % 4], ARCHITECTURES[(f + 2 * b + d) % 5]


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


def assert_as_reference(plan, inputs, made, device, wanted, sizes):
    """A launch gives what the reference gives, but for the rounding of products of magnitudes."""
    found = launched(plan, inputs, made, device)
    ((key, _, _),) = device.launches
    for got, want, size in zip(found, wanted, sizes, strict=True):
        assert got.dtype == want.dtype
        eps = max(np.finfo(want.dtype).eps, np.finfo(key.real).eps)
        bound = 8 * eps * abs(size) + np.finfo(want.dtype).tiny
        np.testing.assert_array_less(abs(got - want), bound, str((want.dtype, key[:3])))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_kernels_give_what_the_reference_gives(kernels, rng, monkeypatch, family, boundary):
    plan = plan_of(family, boundary)
    inputs = {dtype: inputs_of(plan, dtype, rng) for dtype in DTYPES}
    cases = {}
    for dtype, (is_wide, is_single) in product(DTYPES, WIDTHS):
        monkeypatch.setattr("gradkit.engines.cuda.launch.WIDE", 0 if is_wide else 2**31 - 2**24)
        device = Host(kernels, shift=int(is_single))
        made = prepared(plan, inputs[dtype], device)
        assert not isinstance(made, str), made
        vector = 1 if is_single else made.vectors[0]
        cases[dtype, is_wide, is_single] = (
            made,
            device,
            made.key.fitted(vector, is_wide),
        )
    launchers([source(key) for _, _, key in cases.values()], kernels)
    for dtype in DTYPES:
        wanted = plan.apply(inputs[dtype])
        compute = plan.precision(inputs[dtype]).compute
        sizes = plan.magnitude.apply([abs(np.asarray(f, compute)) for f in inputs[dtype]])
        for widths in WIDTHS:
            made, device, key = cases[dtype, *widths]
            for enough in (1, ENOUGH_BLOCKS):
                monkeypatch.setattr("gradkit.engines.cuda.layout.ENOUGH_BLOCKS", enough)
                made.launches.clear()
                device.launches.clear()
                assert_as_reference(plan, inputs[dtype], made, device, wanted, sizes)
                assert device.launches[0][0] == key


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_kernels_compile(nvrtc, rng, family, boundary):
    plan = plan_of(family, boundary)
    for dtype, is_wide, is_single, architecture in dealt(family, boundary):
        made = prepared(plan, inputs_of(plan, dtype, rng), Host(None))
        width = 1 if is_single else made.vectors[0]
        key = made.key.fitted(width, is_wide)
        found = compiled(nvrtc, source(key), architecture)
        case = (dtype, is_wide, is_single, architecture)
        assert found.registers <= 65536 // (2 * key.threads), case
        assert found.spilled == 0, case


def test_kernels_that_are_compiled_cover_all_pairs():
    names = [tuple(FAMILIES), tuple(BOUNDARIES), DTYPES, (False, True), (False, True)]
    names.append(ARCHITECTURES)
    cases = [(*c, *rest) for c in product(*names[:2]) for rest in dealt(*c)]
    for factors in combinations(range(6), 2):
        found = {tuple(case[i] for i in factors) for case in cases}
        assert found == set(product(*(names[i] for i in factors))), factors
    both = {case[:3] for case in cases}
    assert both > set(product(*names[:2], ("float32", "float64")))
