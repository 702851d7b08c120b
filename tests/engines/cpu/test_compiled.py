"""Numba kernels give what the reference gives, bit for bit, and write nowhere else."""

import importlib.metadata
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from gradkit import (
    Antisymmetric,
    Axis,
    Curl,
    D,
    Dirichlet,
    Divergence,
    FiniteDifference,
    Gradient,
    Grid,
    Laplacian,
    Neumann,
    Robin,
    Stencil,
    Symmetric,
)
from gradkit.engines import cpu, reference
from gradkit.engines.cpu import compiled, compiling, loading

from .conftest import compare, same_bits

SIZES = (2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 33)
RNG = np.random.default_rng(5)


def values(shape, dtype="float64"):
    """Numbers of every size that a dtype has."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return RNG.integers(info.min, info.max, shape, dtype, endpoint=True)
    numbers = RNG.standard_normal(shape)
    if dtype.kind == "c":
        numbers = numbers + 1j * RNG.standard_normal(shape)
    return numbers.astype(dtype)


def coordinates(n):
    return Axis(coordinates=np.cumsum(RNG.uniform(0.5, 1.5, n)))


def enough(operator, grid, shape, accuracy):
    """A plan, or None where an axis is too short for it."""
    try:
        return operator.on(grid, shape, method=FiniteDifference(accuracy))
    except ValueError:
        return None


# --- families -------------------------------------------------------------------------------------


@pytest.mark.parametrize("accuracy", [2, 8])
@pytest.mark.parametrize("axis", [0, 1])
def test_one_axis_of_every_size(axis, accuracy):
    served = 0
    for n in SIZES:
        shape = (n, 5) if axis == 0 else (5, n)
        for along in (Axis(0.3), coordinates(n)) if accuracy == 2 else (Axis(-0.3),):
            grid = Grid(*(along if a == axis else Axis() for a in range(2)))
            plan = enough(D(axis), grid, shape, accuracy)
            if plan is not None:
                compare(plan, [values(shape)])
                served += 1
    assert served > 3


@pytest.mark.parametrize("boundary", ["periodic", "antiperiodic"])
def test_axes_that_wrap(boundary):
    for n in SIZES:
        for shape in ((n, 4), (4, n)):
            axes = (Axis(0.3, boundary=boundary), Axis(0.7, boundary=boundary))
            plan = enough(D(0, 2) + D(1, 2), Grid(*axes), shape, 2)
            if plan is not None:
                compare(plan, [values(shape)])


@pytest.mark.parametrize(
    "boundary",
    [
        (Dirichlet(0), Dirichlet(2.5)),
        (Neumann(-1.5), Neumann(0)),
        (Robin(2.0, 1.0, 0.5), Symmetric()),
        (Antisymmetric(), "one-sided"),
    ],
    ids=repr,
)
def test_conditions_at_walls(boundary):
    for n in (4, 5, 8, 17, 33):
        for axis in (0, 1):
            shape = (n, 3) if axis == 0 else (3, n)
            wall = Axis(0.3, boundary=boundary)
            grid = Grid(*(wall if a == axis else Axis() for a in range(2)))
            compare(D(axis, 2).on(grid, shape), [values(shape)])


def test_arrays_along_walls():
    for axis, shape in ((0, (9, 5)), (1, (5, 9))):
        low, high = values((5,)), values((5,))
        wall = Axis(0.3, boundary=(Dirichlet(low), Neumann(high)))
        grid = Grid(*(wall if a == axis else Axis() for a in range(2)))
        compare(D(axis).on(grid, shape), [values(shape)])


@pytest.mark.parametrize("operator", [Gradient(3), Laplacian(3), Divergence(3), Curl(3)], ids=repr)
def test_operators_of_vector_calculus(operator):
    for shape in ((12, 17, 33), (9, 8, 600)):
        grid = Grid(Axis(0.3), coordinates(shape[1]), Axis(0.7))
        plan = operator.on(grid, shape)
        compare(plan, [values(s) for s in plan.input_shapes])


def test_sums_with_numbers_and_arrays():
    shape = (9, 6, 33)
    along, across, full = values((33,)), values((9, 1, 1)), values(shape)
    operator = along * D(0) + 2.5 * D(1, 2) + across * D(2) - 3 * full * D(2, 2) + full
    compare(operator.on(Grid(Axis(0.3), Axis(0.7), Axis(0.1)), shape), [values(shape)])


def test_adjoints_and_magnitudes_and_other_places():
    shape = (12, 9)
    grid = Grid(Axis(0.3), coordinates(9))
    plan = (D(0) + D(1)).on(grid, shape)
    for other in (plan.T, plan.magnitude):
        compare(other, [values(shape)])
    plan = (D(0, at="centre", to="inner")).on(grid, shape)
    compare(plan, [values(s) for s in plan.input_shapes])


def test_blocks_of_plans():
    shape = (12, 10)
    plan = Laplacian(2).on(Grid(Axis(0.3, boundary="periodic"), Axis(0.7)), shape)
    for extent in (((0, 5), (0, 10)), ((4, 12), (3, 7))):
        part = plan.block(extent, plan.halo, [])
        compare(part, [values(s) for s in part.input_shapes])


def test_results_of_zero_and_results_without_elements():
    grid = Grid(Axis(), None)
    plan = D(0).on(grid, (5, 0))
    compiled.run(plan, [np.zeros((5, 0))], [np.zeros((5, 0))], 2)
    plan = (0 * D(0)).on(grid, (5, 3))
    result = np.full((5, 3), np.nan)
    compiled.run(plan, [values((5, 3))], [result], 2)
    assert not result.any()


# --- dtypes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype",
    ["float16", "float32", "complex64", "int8", "uint16", "int64", "uint64"],
)
def test_dtypes(dtype):
    shape = (8, 33)
    plan = D(1).on(Grid(Axis(0.3), Axis(0.7)), shape)
    compare(plan, [values(shape, dtype)])


def test_dtypes_that_the_user_asked_for():
    shape = (8, 17)
    plan = D(1).on(Grid(Axis(0.3), Axis(0.7)), shape, dtype="float32")
    for dtype in ("float64", "int16"):
        compare(plan, [values(shape, dtype)])


def test_wide_integers_are_exact_and_wrap_and_meet_walls():
    shape = (6, 9)
    f = values(shape, "int64")
    for boundary in ("antiperiodic", Dirichlet(0)):
        compare((D(0) + D(1)).on(Grid(*[Axis(0.5, boundary=boundary)] * 2), shape), [f])


@pytest.fixture
def fresh():
    """Nothing is known yet of Numba and of kernels, before the test and after it."""
    known = (compiling.reason_against_numba, compiling.reason_against_compiling)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "_KERNELS", {})
        patch.setattr(loading, "_FAILURES", {})
        for reason in known:
            reason.cache_clear()
        yield patch
    for reason in known:
        reason.cache_clear()


@pytest.fixture
def served(monkeypatch):
    """Calls that kernels have served, one entry each."""
    found = []
    kernels = compiled.Call.run
    monkeypatch.setattr(compiled.Call, "run", lambda *given: (found.append(True), kernels(*given)))
    return found


def test_plans_that_have_written_much_get_a_kernel(monkeypatch, served):
    f = values((40, 1000))
    plan = D(0).on(Grid(Axis(0.3), Axis()), f.shape)
    monkeypatch.setattr(cpu, "EARNED", 3 * f.nbytes)
    results = [plan(f) for _ in range(4)]
    assert len(served) == 2
    assert all(same_bits(result, results[0]) for result in results)


@pytest.mark.parametrize("has_one", [True, False])
def test_plans_that_have_written_less_get_a_kernel_that_there_is(fresh, served, tmp_path, has_one):
    fresh.setenv("GRADKIT_CACHE_DIR", str(tmp_path))
    f = values((40, 1000))
    grid = Grid(Axis(0.3), Axis())
    if has_one:
        fresh.setattr(cpu, "COMPILED", 0)
        D(0).on(grid, f.shape, edge_order=1)(f)
        assert served.pop()
        fresh.setattr(loading, "_KERNELS", {})  # as in another process
        fresh.setattr(cpu, "COMPILED", 2**40)
    fresh.setattr(cpu, "KEPT", 3 * f.nbytes)
    plan = D(0).on(grid, f.shape, edge_order=1)
    results = [plan(f) for _ in range(5)]
    assert len(served) == (3 if has_one else 0)
    assert len(list(tmp_path.iterdir())) == has_one, "nothing else was compiled"
    for result in results:
        np.testing.assert_array_equal(result, np.gradient(f, 0.3, axis=0))


# --- memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("out_steps", [(1, 1), (2, 1), (1, 3), (-1, -1)])
@pytest.mark.parametrize("steps", [(1, 1), (3, 1), (1, 2), (-2, -1)])
def test_strides(steps, out_steps):
    shape = (9, 33)
    plan = D(1).on(Grid(Axis(0.3), Axis(0.7)), shape)
    compare(plan, [values(shape)], steps, out_steps)


def test_columns_before_rows_in_memory():
    shape = (33, 9, 5)
    plan = D(0).on(Grid(Axis(0.3), Axis(0.7), None), shape)
    compare(plan, [values(shape)], order=(2, 1, 0))
    # Complex numbers are left to NumPy then.
    f, result = np.asfortranarray(values(shape, "complex64")), np.zeros(shape, "complex64", "F")
    assert not compiled.run(plan, [f], [result], 1)
    assert not result.any()
    assert same_bits(plan(f), reference.run(plan, [f])[0])


def test_terms_over_the_same_number():
    walls = Axis(0.3, boundary=Dirichlet(1))
    for operator, axis in product((Laplacian(2), Divergence(2)), (Axis(0.3), walls)):
        plan = operator.on(Grid(axis, Axis(0.3)), (6, 41))
        compare(plan, [values((6, 41)) for _ in plan.input_shapes])


# Lines at a face, an edge or a corner: differences across them are not those of most lines.

FACES = {
    "one-sided": (Axis(0.3), Axis(0.7), Axis(0.1)),
    "periodic": (Axis(0.3, boundary="periodic"), Axis(0.7, boundary="antiperiodic"), Axis(0.1)),
    "walls": (Axis(0.3, boundary=(Dirichlet(2.5), Neumann(1.0))), Axis(0.7), Axis(0.1)),
}


@pytest.mark.parametrize("axes", FACES.values(), ids=FACES)
def test_faces_edges_and_corners(axes):
    # Lines shorter and longer than lanes, and one of two chunks.
    for columns in (7, 9, 20, 33, 1100):
        plan = Laplacian(3).on(Grid(*axes), (6, 7, columns))
        compare(plan, [values((6, 7, columns))])


@pytest.mark.parametrize("accuracy", [4, 8])
def test_faces_of_wide_differences(accuracy):
    shape = (19, 31)
    plan = Laplacian(2).on(
        Grid(Axis(0.3), coordinates(31)), shape, method=FiniteDifference(accuracy)
    )
    compare(plan, [values(shape)])


def test_faces_of_terms_with_factors_in_any_order():
    shape = (7, 8, 33)
    axes = (coordinates(7), Axis(0.7), Axis(0.1, boundary="periodic"))
    operator = values((33,)) * D(2) - 2.5 * D(0, 2) + values(shape) * D(1, 2)
    compare(operator.on(Grid(*axes), shape), [values(shape)])


def test_faces_where_ends_of_lines_are_in_the_tables():
    shape = (7, 8, 33)
    axes = (Axis(0.3), Axis(0.7, boundary="periodic"), Axis(0.1, boundary=Robin(2.0, 1.0, 0.5)))
    compare(Laplacian(3).on(Grid(*axes), shape), [values(shape)])


@pytest.mark.parametrize("dtype", ["float32", "float16", "int16", "uint64", "complex128"])
def test_faces_of_other_dtypes(dtype):
    shape = (6, 7, 20)
    plan = Laplacian(3).on(Grid(Axis(0.3), Axis(0.7), Axis(0.1)), shape)
    compare(plan, [values(shape, dtype)])


@pytest.mark.parametrize("steps", [(1, 1, 2), (-1, 2, 1)])
def test_faces_of_inputs_with_gaps(steps):
    shape = (6, 7, 20)
    plan = Laplacian(3).on(Grid(Axis(0.3), Axis(0.7), Axis(0.1)), shape)
    compare(plan, [values(shape)], steps)


def test_faces_of_many_terms():
    shape = (7, 8, 20)
    operator = D(0) + D(0, 2) + D(1) + D(1, 2) + D(1, 3) + D(2)
    compare(operator.on(Grid(Axis(0.3), Axis(0.7), Axis(0.1)), shape), [values(shape)])


def test_results_that_are_not_aligned():
    plan = D(1).on(Grid(Axis(0.3), Axis(0.7)), (6, 40))
    f = values((6, 40))
    result = np.zeros(6 * 40 * 8 + 1, np.uint8)[1:].view(np.float64).reshape(6, 40)
    compiled.run(plan, [f], [result], 1)
    assert same_bits(result, reference.run(plan, [f])[0])


def test_many_rows_without_differences_near_an_end():
    # Beyond the wall each row is 0: two points, of which one is replaced by the other.
    grid = Grid(Axis(), Axis(boundary=Neumann(0.0)))
    plan = D(1, stencil=Stencil((100, 200), 1)).on(grid, (3, 700))
    compare(plan, [values((3, 700))])


def test_results_of_one_plan_in_the_same_boxes(monkeypatch):
    monkeypatch.setattr(compiled, "SHARED", 2**12)
    for shape in ((12, 10, 100), (40, 30, 33), (3, 300, 9)):
        for operator in (Gradient(3), Curl(3)):
            plan = operator.on(Grid(Axis(0.3), Axis(0.7), Axis(0.1)), shape)
            compare(plan, [values(s) for s in plan.input_shapes], threads=3)


def test_long_lines_in_several_boxes_and_threads(monkeypatch):
    monkeypatch.setattr(compiled, "BOX", 2**12)
    monkeypatch.setattr(compiled, "SHORTEST_LINE", 2**9)
    for shape in ((12, 10, 1000), (40, 30, 33), (9, 9, 4099)):
        plan = Gradient(3).on(Grid(Axis(0.3), Axis(0.7), Axis(0.1)), shape)
        compare(plan, [values(shape)], threads=3)


def test_nan_reaches_the_rows_that_use_it_and_no_others():
    f = values((9, 33))
    f[4, 16] = np.nan
    plan = Laplacian(2).on(Grid(Axis(0.3), Axis(0.7)), f.shape)
    result = np.empty(f.shape)
    compiled.run(plan, [f], [result], 1)
    assert np.array_equal(np.isnan(result), np.isnan(reference.run(plan, [f])[0]))


def test_weights_of_plans_that_were_pickled_out_of_band_may_begin_at_any_byte():
    x = np.cumsum(RNG.integers(1, 4, 300)) * 1.0
    buffers, parts = [], []
    plan = D(0).on(Grid(Axis(coordinates=x)), x.shape)
    pickled = pickle.dumps(plan, protocol=5, buffer_callback=buffers.append)
    for buffer in buffers:
        memory = np.empty(buffer.raw().nbytes + 1, "uint8")
        memory[1:] = buffer.raw()
        parts.append(memory[1:])
    compare(pickle.loads(pickled, buffers=parts), [values(x.shape)])


def test_many_threads_call_at_once():
    f = values((40, 50, 60))
    plan = Gradient(3).on(Grid(Axis(0.3), Axis(0.7), Axis(0.1)), f.shape)
    wanted = reference.run(plan, [f])

    def call(_):
        results = [np.empty(f.shape) for _ in wanted]
        compiled.run(plan, [f], results, 2)
        return all(map(same_bits, results, wanted))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(16)))


# --- what has no kernel ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "dtype", "reason"),
    [
        (D(0) * D(1), "float64", "derivatives of products"),
        (1j * D(0), "complex128", "complex coefficients"),
        (1j * D(0), "float64", "real inputs"),
        (D(0), "longdouble", "has no kernels for"),
        (D(0), ">f8", "bytes in the order of another machine"),
        (D(0), "timedelta64[s]", "timedelta64"),
    ],
)
def test_reasons(operator, dtype, reason):
    plan = operator.on(Grid(Axis(0.3), Axis(0.7)), (5, 6))
    f = np.zeros((5, 6), dtype)
    assert reason in compiled.reason_against(plan, [f])


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_real_arrays_with_results_asked_to_be_complex(monkeypatch, dtype):
    monkeypatch.setattr(cpu, "COMPILED", 0)
    f = values((40, 60), dtype)
    out = np.full(f.shape, 5 + 5j, "complex64")
    plan = D(1).on(Grid(Axis(), Axis()), f.shape, dtype="complex64", edge_order=1)
    plan(f, out=out)
    np.testing.assert_array_equal(out, np.gradient(f.astype("float32"), axis=1).astype("complex64"))
    assert "complex numbers" in compiled.reason_against(plan, [f])


def test_doubles_are_not_rounded_to_half_precision_by_way_of_single():
    above_a_tie = 1 + 2.0**-11 + 2.0**-40
    f = np.arange(60.0) * above_a_tie
    plan = D(0).on(Grid(Axis()), f.shape, dtype="float16", edge_order=1)
    assert "round to float32 first" in compiled.reason_against(plan, [f])
    compare(plan, [f.astype("float32")])


@pytest.mark.parametrize(
    ("dtypes", "wanted"),
    [
        (("complex128", "complex128"), "complex64"),
        (("complex64", "complex64"), "complex128"),
        (("complex64", "complex128"), None),
    ],
)
def test_complex_numbers_of_several_precisions(dtypes, wanted):
    shape = (6, 20)
    plan = Divergence(2).on(Grid(Axis(0.3), Axis(0.7)), shape, dtype=wanted)
    compare(plan, [values(shape, dtype) for dtype in dtypes])
    compare(plan, [values(shape, dtype) for dtype in dtypes], out_steps=(1, 2))


def test_reason_without_numba(fresh):
    fresh.setitem(sys.modules, "numba", None)
    plan = D(0).on(Grid(Axis()), (5,))
    assert 'pip install "gradkit[cpu]"' in compiled.reason_against(plan, [np.zeros(5)])


def test_reason_without_llvm(fresh):
    fresh.setitem(sys.modules, "llvmlite.binding", None)
    plan = D(0).on(Grid(Axis()), (5,))
    assert "llvmlite cannot be imported" in compiled.reason_against(plan, [np.zeros(5)])


TEXTS_THAT_DO_NOT_COMPILE = {
    "raise TypeError('no')": "compiles: no",
    # Something outside the kernel is called, which is not there in another process.
    "@njit([void(*[int64] * 5)], **HOW)\n"
    "def kernel(box, given, scratch, a, b):\n"
    "    if box > given:\n"
    "        print(box)\n": "which is not part of it",
}


@pytest.mark.parametrize(("text", "reason"), TEXTS_THAT_DO_NOT_COMPILE.items())
def test_a_kernel_that_does_not_compile_is_done_without_and_told_of_once(fresh, text, reason):
    tries = []
    fresh.setattr(compiling, "source", lambda key: tries.append(key) or text)
    fresh.setattr(loading, "source", lambda key: text)
    fresh.setattr(cpu, "COMPILED", 0)
    f = values((40, 60))
    with pytest.warns(RuntimeWarning, match=reason):
        first = D(1).on(Grid(Axis(), Axis()), f.shape, edge_order=1)(f)
    count = len(tries)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = D(1).on(Grid(Axis(), Axis()), f.shape, edge_order=1)(f)
    assert len(tries) == count
    for found in (first, second):
        np.testing.assert_array_equal(found, np.gradient(f, axis=1))


def test_a_warning_that_is_an_error_is_one_once(fresh):
    fresh.setattr(compiling, "source", lambda key: "raise TypeError('no')")
    fresh.setattr(cpu, "COMPILED", 0)
    f = values((40, 60))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="no kernel"):
            D(1).on(Grid(Axis(), Axis()), f.shape, edge_order=1)(f)
        found = D(1).on(Grid(Axis(), Axis()), f.shape, edge_order=1)(f)
    np.testing.assert_array_equal(found, np.gradient(f, axis=1))


def test_complex_results_with_gaps():
    plan = D(1).on(Grid(Axis(0.3), Axis(0.7)), (8, 33))
    compare(plan, [values((8, 33), "complex64")], out_steps=(1, 2))


def test_complex_inputs_with_gaps():
    plan = D(0).on(Grid(Axis(), Axis()), (5, 6))
    f = np.zeros((5, 12), complex)[:, ::2]
    assert "gaps" in compiled.reason_against(plan, [f])


# --- the cache ------------------------------------------------------------------------------------

CALL = """
import sys
import numpy as np
from gradkit import Axis, D, Grid
from gradkit.engines import reference
from gradkit.engines.cpu import compiled
f = np.random.default_rng(1).random((8, 9))
plan = D(0).on(Grid(Axis(0.3), Axis()), f.shape)
assert compiled.reason_against(plan, [f]) is None
result = np.empty_like(f)
assert compiled.run(plan, [f], [result], 1)
assert result.tobytes() == reference.run(plan, [f])[0].tobytes()
print("numba" in sys.modules)
"""


def compiles(folder, **variables):
    """Whether a process that calls a kernel imports Numba."""
    environment = {"GRADKIT_CACHE_DIR": str(folder), "PYTHONPATH": ":".join(sys.path), **variables}
    command = [sys.executable, "-W", "error", "-c", CALL]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return ran.stdout.strip() == "True"


def test_processes_share_the_cache(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        assert any(pool.map(compiles, [tmp_path] * 2))
    (kept,) = tmp_path.iterdir()
    before = kept.stat().st_mtime_ns
    assert not compiles(tmp_path)
    assert [path.stat().st_mtime_ns for path in tmp_path.iterdir()] == [before]


def test_kernels_work_where_nothing_can_be_kept(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert compiles(blocked)


def test_kernels_work_for_a_user_without_a_home(fresh):
    def home():
        raise RuntimeError("Could not determine home directory.")

    for variable in ("GRADKIT_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        fresh.delenv(variable, raising=False)
    fresh.setattr(Path, "home", home)
    f = values((8, 9))
    compare(D(0).on(Grid(Axis(0.3), Axis()), f.shape), [f])


def test_kernels_are_kept_where_packages_have_no_metadata(fresh, tmp_path):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    fresh.setattr(importlib.metadata, "version", version)
    fresh.setenv("GRADKIT_CACHE_DIR", str(tmp_path))
    f = values((8, 9))
    compare(D(0).on(Grid(Axis(0.3), Axis()), f.shape), [f])
    # One for small results and one for large ones.
    assert len(list(tmp_path.iterdir())) == 2


def test_the_folder_of_the_cache(fresh):
    fresh.setenv("GRADKIT_CACHE_DIR", "~/kernels")
    assert loading.cache_folder() == Path.home() / "kernels"
    fresh.delenv("GRADKIT_CACHE_DIR")
    fresh.setenv("XDG_CACHE_HOME", "/caches")
    fresh.setattr(sys, "platform", "linux")
    assert loading.cache_folder() == Path("/caches/gradkit")


def test_a_damaged_cache_is_as_good_as_none(tmp_path):
    compiles(tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    assert compiles(tmp_path)
    assert not compiles(tmp_path), "it has been put right"


@pytest.mark.parametrize("damage", [b"", b"\x80", b"\x80" * 9000])
def test_files_that_are_not_as_they_were_written_are_not_read(tmp_path, damage):
    path = tmp_path / "kernel.o"
    assert loading._kept(path) is None
    loading._keep(path, b"code")
    assert loading._kept(path) == b"code"
    path.write_bytes(damage)
    assert loading._kept(path) is None
    assert list(tmp_path.iterdir()) == [path]


def test_another_processor_has_kernels_of_its_own(tmp_path):
    compiles(tmp_path)
    plain = {"NUMBA_CPU_NAME": "generic"}
    assert compiles(tmp_path, **plain)
    assert not compiles(tmp_path, **plain)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        ("os.environ['NUMBA_DISABLE_JIT'] = '1'", "NUMBA_DISABLE_JIT is set"),
        (
            "open('.numba_config.yaml', 'w').write('disable_jit: 1')",
            "numba is told to compile nothing",
        ),
        (
            "open('numba.py', 'w').write('raise ImportError(\"needs another NumPy\")');"
            "sys.path.insert(0, '.')",
            "numba cannot be imported: needs another NumPy",
        ),
    ],
)
def test_a_numba_that_cannot_be_used_is_left_alone(tmp_path, prepare, reason):
    script = (
        f"import os, sys; {prepare}\n"
        "import numpy as np, gradkit\n"
        "from gradkit.engines.cpu.compiling import reason_against_compiling\n"
        "f = np.random.default_rng(0).random((1500, 1500))\n"
        "assert np.array_equal(gradkit.gradient(f)[1], np.gradient(f)[1])\n"
        "print(reason_against_compiling())\n"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "GRADKIT_CACHE_DIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert reason in ran.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
def test_a_fork_waits_for_a_compilation(tmp_path):
    script = (
        "import os, threading, time\n"
        "from gradkit.engines.cpu import loading\n"
        "holds = threading.Event()\n"
        "def compile_for_a_while():\n"
        "    with loading._LOCK:\n"
        "        holds.set()\n"
        "        time.sleep(0.5)\n"
        "threading.Thread(target=compile_for_a_while).start()\n"
        "holds.wait()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if loading._LOCK.acquire(timeout=5) else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], env=environment, check=True)
