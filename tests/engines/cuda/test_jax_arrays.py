"""Kernels on JAX arrays: JAX's own programs run them, on the CPU in place of a GPU.

`OnTheHost` differs from what is shipped in three places: g++ compiles the kernels, the addresses
of buffers are asked for as those of the host, and there is neither a stream nor a device.
"""

import ctypes
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

import gradkit
from gradkit import Axis, Curl, D, Dirichlet, Divergence, Gradient, Grid, Hessian, Laplacian
from gradkit.engines import cuda
from gradkit.engines.cuda import jax_arrays
from gradkit.engines.cuda.jax_arrays import OnJax, device_of_array
from gradkit.engines.cuda.source import source
from gradkit.errors import EngineError

from .conftest import C_TYPES, Streams, build

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")


class OnTheHost(OnJax):
    """A device whose arrays are in the memory of the host, and whose kernels g++ has compiled."""

    folder = None
    launches = ()
    breaks = False
    #: CuPy without a device.
    cupy = SimpleNamespace(
        cuda=SimpleNamespace(
            Device=lambda number: nullcontext(),
            compiler=SimpleNamespace(CompileException=ArithmeticError),
        )
    )

    def during(self, context):
        assert type(context).__name__ == "ExecutionContext"
        return nullcontext()

    def address(self, array):
        if isinstance(array, jax.Array):
            return super().address(array)
        return np.asarray(array).ctypes.data

    def kernel(self, key):
        if OnTheHost.breaks:
            raise ArithmeticError("cannot be compiled")
        launch = build(source(key), OnTheHost.folder)

        def call(grid, block, arguments):
            OnTheHost.launches.append(key)
            values = [
                ctypes.c_void_p(int(a)) if isinstance(a, np.uintp) else C_TYPES[a.dtype.name](a)
                for a in map(self._as_argument, arguments)
            ]
            launch((ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), *values)

        return call


@pytest.fixture(autouse=True)
def wide():
    """Numbers of 64 bits, which tests that want none switch off."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture
def launches(kernels, monkeypatch):
    """The keys of the kernels that are launched while arrays of the CPU count as on a device."""
    monkeypatch.setattr(OnTheHost, "folder", kernels)
    monkeypatch.setattr(OnTheHost, "launches", [])
    monkeypatch.setattr(jax_arrays, "OnJax", OnTheHost)
    monkeypatch.setattr(cuda, "OnJax", OnTheHost)
    monkeypatch.setattr(cuda, "_reason_against_cupy", lambda: None)
    monkeypatch.setattr(jax_arrays, "_PLATFORM", "cpu")
    monkeypatch.setattr(jax_arrays, "_CUDA", 1)
    return OnTheHost.launches


def reference(plan, *inputs):
    with gradkit.use_engine("reference"):
        return plan.apply(inputs)


def fresh(plan):
    """The same plan, for which nothing has been made yet."""
    return plan.operator.on(plan.grid, plan.shape, edge_order=plan.edge_order, dtype=plan.dtype)


SPACE = Grid(Axis(0.3), Axis(coordinates=[0.0, 0.5, 0.7, 1.9, 2.0, 2.6, 3.1, 4.4]))
WALLED = Grid(Axis(0.3, boundary=Dirichlet(1.0)), Axis(0.2, boundary="periodic"))
PLANS = {
    "gradient": Gradient(2).on(SPACE, (7, 8)),
    "laplacian": Laplacian(2).on(WALLED, (7, 8)),
    "divergence": Divergence(2).on(SPACE, (7, 8), edge_order=1),
    "curl": Curl(2).on(WALLED, (7, 8)),
    "hessian": Hessian(2).on(SPACE, (7, 8)),
    "array": (np.linspace(1, 2, 8) * D(0) + D(1)).on(SPACE, (7, 8)),
    "complex": (2j * D(0)).on(WALLED, (7, 8)),
    "staggered": D(0, to="inner").on(Grid(Axis(0.3), None), (7, 8)),
}


def assert_alike(found, wanted):
    assert len(found) == len(wanted)
    for got, want in zip(found, wanted, strict=True):
        assert isinstance(got, jax.Array)
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        eps = float(jnp.finfo(want.dtype).eps)
        values, right = (np.asarray(v).astype(np.complex128) for v in (got, want))
        assert abs(values - right).max() <= 40 * eps * max(abs(right).max(), 1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("name", PLANS)
def test_kernels_give_what_the_reference_gives(launches, rng, name, dtype):
    plan = PLANS[name]
    inputs = [jnp.asarray(rng.normal(size=s)).astype(dtype) for s in plan.input_shapes]
    with gradkit.use_engine("cuda"):
        found = plan.apply(inputs)
    assert_alike(found, reference(plan, *inputs))
    assert len(launches) == 1


@pytest.mark.parametrize("is_wide", [True, False])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "bfloat16", "float32"])
def test_dtypes_of_results_are_those_of_the_reference(launches, rng, dtype, is_wide):
    plan = fresh(PLANS["array"])
    for now in (is_wide, not is_wide):  # the same plan, after the setting has changed
        jax.config.update("jax_enable_x64", now)
        f = jnp.asarray(rng.integers(0, 99, (7, 8))).astype(dtype)
        assert_alike(plan.apply([f]), reference(plan, f))
    assert len(launches) == 2


@pytest.mark.parametrize("dtype", ["float64", "complex128", "int64", "uint64"])
def test_arrays_of_64_bits_have_kernels_while_jax_has_such_numbers(launches, dtype):
    f, plan = jnp.ones((7, 8), dtype), fresh(PLANS["gradient"])
    assert cuda.supports(plan, [f]) is None
    jax.config.update("jax_enable_x64", False)
    # Weights that are uploaded now have 32 bits.
    wanted = f"serves {dtype} while jax_enable_x64 is on, it is off"
    assert cuda.supports(fresh(plan), [f]) == wanted


def test_differences_of_large_integers_are_exact_without_64_bits(launches):
    jax.config.update("jax_enable_x64", False)
    f = jnp.asarray(2**30 + 3 * np.arange(9), "int32")
    np.testing.assert_array_equal(D(0).on(Grid(Axis()), (9,))(f), np.full(9, 3.0, "float32"))
    assert len(launches) == 1


def test_inputs_may_be_dropped_and_given_away_at_once(launches, rng):
    plan, values = PLANS["laplacian"], rng.normal(size=(7, 8))
    wanted = reference(plan, jnp.asarray(values))
    step = jax.jit(lambda f, g: f * 0 + g, donate_argnums=0)
    for _ in range(20):
        f = jnp.asarray(values) + 0
        found = step(f, plan(f))
        # Nothing holds the input: while a DLPack capsule did, XLA would not give its memory away.
        assert f.is_deleted()
        assert_alike([found], wanted)
    f = jnp.asarray(values) + 0
    g = plan(f)
    f.delete()
    assert_alike([g], wanted)


def test_a_program_is_made_once(launches, rng, monkeypatch):
    made = []
    program = jax_arrays._program
    monkeypatch.setattr(jax_arrays, "_program", lambda *a: made.append(1) or program(*a))
    plan = fresh(PLANS["gradient"])
    for _ in range(3):
        plan(jnp.asarray(rng.normal(size=(7, 8))))
    assert len(made) == 1
    assert len(launches) == 3


def test_parts_of_a_plan_are_programs_of_their_own(launches, rng, monkeypatch):
    monkeypatch.setattr("gradkit.engines.cuda.parts.MOST_READS", 14)
    plan = fresh(PLANS["hessian"])
    f = jnp.asarray(rng.normal(size=(7, 8)))
    for _ in range(2):
        assert_alike(plan.apply([f]), reference(plan, f))
    assert [len(key.outputs) for key in launches] == [2, 1, 2, 1]


@pytest.mark.parametrize(
    "transform",
    [
        jax.jit,
        lambda g: jax.vmap(g, in_axes=None, axis_size=2),
        lambda g: lambda f: jax.jvp(g, (f,), (f,))[1],
        lambda g: jax.grad(lambda f: g(f).sum()),
    ],
    ids=["jit", "vmap", "jvp", "grad"],
)
def test_traced_arrays_are_left_to_xla(launches, rng, transform):
    f, plan = jnp.asarray(rng.normal(size=(7, 8))), PLANS["laplacian"]

    def through(f):
        if isinstance(f, jax.core.Tracer):
            assert cuda.supports(plan, [f]) == "leaves traced arrays to XLA"
        return plan(f)

    found = transform(through)(f)
    with gradkit.use_engine("reference"):
        np.testing.assert_allclose(found, transform(plan)(f), atol=1e-11)


def test_one_traced_input_is_enough(launches, rng):
    plan = PLANS["divergence"]
    f, g = jnp.asarray(rng.normal(size=(2, 7, 8)))
    found = jax.grad(lambda g: plan([f, g]).sum())(g)
    assert launches == []
    with gradkit.use_engine("reference"):
        np.testing.assert_allclose(found, jax.grad(lambda g: plan([f, g]).sum())(g), atol=1e-12)


def test_constants_of_traced_functions_are_served_and_nothing_traced_is_kept(launches, rng):
    f, plan = jnp.asarray(rng.normal(size=(7, 8))), fresh(PLANS["array"])
    wanted = reference(plan, f)
    assert_alike([jax.jit(lambda g: plan(f) + 0 * g)(f)], wanted)
    assert_alike([plan(f)], wanted)
    assert len(launches) == 2


def test_arrays_of_an_operator_may_be_jax_arrays(launches, rng):
    a, f = jnp.asarray(rng.normal(size=(2, 7, 8)))
    plan = (a * D(0)).on(SPACE, (7, 8))
    assert_alike([plan(f)], reference(plan, f))
    assert len(launches) == 1


def test_derivatives_by_arrays_of_an_operator_are_left_to_the_reference(launches, rng):
    a, f = jnp.asarray(rng.normal(size=(2, 7, 8)))
    found = jax.grad(lambda a: (a * D(0)).on(SPACE, (7, 8))(f).sum())(a)
    np.testing.assert_allclose(found, reference(D(0).on(SPACE, (7, 8)), f)[0])
    assert launches == []


def test_a_kernel_that_does_not_compile_leaves_the_call_to_the_reference(
    launches, rng, monkeypatch
):
    monkeypatch.setattr(OnTheHost, "breaks", True)
    plan, f = fresh(PLANS["gradient"]), jnp.asarray(rng.normal(size=(7, 8)))
    assert_alike(plan.apply([f]), reference(plan, f))
    assert "could not compile the kernel: cannot be compiled" in cuda.supports(plan, [f])


def test_inputs_from_elsewhere_may_be_misaligned(launches, rng):
    whole = rng.normal(size=57)
    plan = fresh(PLANS["gradient"])
    f = jnp.asarray(whole[1:].reshape(7, 8))
    aligned = whole.ctypes.data % 16 == 0
    assert_alike(plan.apply([f]), reference(plan, f))
    assert aligned or launches[0].vector == 2


# --- what is not served ---------------------------------------------------------------------------


def looks_like(kind, number=1, places=1, **options):
    """What looks like an array of JAX on a GPU."""

    class Place:
        platform = "gpu"
        __str__ = lambda self: f"gpu:{number}"  # noqa: E731

    place = Place()
    defaults = {"is_deleted": lambda: False, "is_fully_addressable": True, "dtype": np.float32}
    return SimpleNamespace(
        devices=lambda: {place} if places == 1 else set(range(places)),
        __dlpack_device__=lambda: (kind, number),
        **{**defaults, **options},
    )


@pytest.mark.parametrize(
    ("f", "reason"),
    [
        (looks_like(10), "serves arrays on cuda, the input is on gpu:1 (kind 10 in DLPack)"),
        (looks_like(3), "serves arrays on cuda, the input is on gpu:1 (kind 3 in DLPack)"),
        (looks_like(2, places=4), "serves arrays on one device, the input is on 4"),
        (looks_like(2, is_fully_addressable=False), "serves arrays on one device"),
        (looks_like(2, is_deleted=lambda: True), "the input has been deleted"),
    ],
    ids=["amd", "pinned memory", "sharded", "elsewhere", "deleted"],
)
def test_what_kernels_do_not_serve_has_a_reason(f, reason):
    assert reason in device_of_array(f)


def test_arrays_on_cuda_have_the_device_of_their_driver(monkeypatch):
    monkeypatch.setattr(jax_arrays._array, "default_real", lambda f: "float32")
    device = device_of_array(looks_like(2))
    assert isinstance(device, OnJax)
    assert device.number == 1
    assert device.default_real == "float32"


def test_versions_without_buffer_callbacks_are_left_to_the_reference(launches, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax.experimental.buffer_callback", None)
    f = jnp.zeros((7, 8))
    reason = cuda.supports(PLANS["laplacian"], [f])
    assert reason.startswith("needs jax.experimental.buffer_callback, which jax")
    with gradkit.use_engine("cuda"), pytest.raises(EngineError, match="buffer_callback"):
        PLANS["laplacian"](f)


class Recorded(Streams):
    """CuPy without a device: notes what it is told."""

    compiler = SimpleNamespace(CompileException=ArithmeticError)

    def RawKernel(self, text, name, options):
        def kernel(grid, block, arguments):
            self.told.append(("launch", arguments))

        kernel.compile = lambda: self.told.append(("compile", name))
        return kernel


def test_kernels_are_compiled_before_a_program_runs_and_launched_on_its_stream(monkeypatch):
    cupy = Recorded()
    monkeypatch.setattr(OnJax, "cupy", cupy)
    device = OnJax(7, jax.devices()[0], "float64")
    plan = D(0).on(Grid(Axis()), (8,))
    made = cuda.prepared(plan, [jnp.zeros(8)], device)
    launch = jax_arrays.launch_of(made, 2, device)
    assert [word for word, _ in cupy.told] == ["compile"]
    buffer = SimpleNamespace(__cuda_array_interface__={"data": (64, True)}, dtype=np.dtype("f8"))
    with device.during(SimpleNamespace(stream=55)):
        launch.kernel((1, 1, 1), (1, 1, 1), (np.int32(3), buffer))
    assert cupy.told[1:] == [
        ("device", 7),
        ("stream", (0, 55)),
        ("launch", (np.int32(3), np.uintp(64))),
        ("stream", "the user's"),
    ]
