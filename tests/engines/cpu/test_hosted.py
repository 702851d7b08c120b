"""Tensors of PyTorch and arrays of JAX on the host: the bits of NumPy, in arrays of their own."""

import warnings

import numpy as np
import pytest

import gradkit
from gradkit import (
    Axis,
    Curl,
    D,
    Dirichlet,
    Divergence,
    Gradient,
    Grid,
    Hessian,
    Laplacian,
    Operator,
    explain_engine,
    use_engine,
)
from gradkit.engines import cpu
from gradkit.engines.cpu import hosted
from gradkit.errors import ArgumentTypeError, ArgumentValueError, EngineError

SHAPE = (9, 8)
UNEVEN = [0.0, 0.5, 0.7, 1.9, 2.0, 2.6, 3.1, 4.4]
SPACE = Grid(Axis(0.3), Axis(coordinates=UNEVEN))
WALLED = Grid(Axis(0.3, boundary=Dirichlet(1.0)), Axis(0.2, boundary="periodic"))
PLANS = {
    "gradient": Gradient(2).on(SPACE, SHAPE),
    "laplacian": Laplacian(2).on(WALLED, SHAPE),
    "divergence": Divergence(2).on(SPACE, SHAPE, edge_order=1),
    "curl": Curl(2).on(WALLED, SHAPE),
    "hessian": Hessian(2).on(SPACE, SHAPE),
    "array": (np.linspace(1, 2, 8) * D(0) + D(1)).on(SPACE, SHAPE),
    "staggered": D(0, to="inner").on(Grid(Axis(0.3), None), SHAPE),
    "zero": Operator.matrix([[D(0)], [0 * D(1)]]).on(SPACE, SHAPE),
}


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def jax():
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


@pytest.fixture(params=["torch", "jax"])
def asarray(request):
    """What makes an array of a library."""
    library = request.getfixturevalue(request.param)
    make = library.from_numpy if request.param == "torch" else library.numpy.asarray
    return lambda values: make(np.array(values))


@pytest.fixture
def served(monkeypatch):
    """The types of what is run as NumPy arrays, one entry per call."""
    found = []
    run = cpu.run_as_arrays

    def noted(through, plan, inputs, out):
        found.append(type(inputs[0]))
        return run(through, plan, inputs, out)

    monkeypatch.setattr(cpu, "run_as_arrays", noted)
    return found


def reasons_of(plan, *inputs):
    return dict(explain_engine(*inputs, plan=plan).reasons)["cpu"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("name", PLANS)
def test_results_have_the_bits_of_numpy_and_the_type_of_the_input(
    asarray, served, rng, name, dtype
):
    plan = PLANS[name]
    values = [rng.normal(size=shape).astype(dtype) for shape in plan.input_shapes]
    inputs = [asarray(v) for v in values]
    if reasons_of(plan, *inputs) is not None:
        # Few complex numbers are left to the reference, which is not NumPy's here.
        assert dtype.startswith("complex")
        return
    for _ in range(2):
        for got, want in zip(plan.apply(inputs), plan.apply(values), strict=True):
            assert type(got) is type(inputs[0])
            host = np.asarray(got)
            assert host.dtype == want.dtype == dtype
            assert host.tobytes() == want.tobytes()
    assert len(served) == 2
    for f, before in zip(inputs, values, strict=True):
        assert np.asarray(f).tobytes() == before.tobytes()


def test_large_arrays_are_served_by_tiles_and_threads(asarray, served, rng):
    values = rng.normal(size=(70, 64, 300)).astype("float32")
    found = gradkit.gradient(asarray(values), 0.5, 0.25, 2.0)
    for got, want in zip(found, np.gradient(values, 0.5, 0.25, 2.0), strict=True):
        assert np.asarray(got).tobytes() == want.tobytes()
    assert len(served) == 1


def test_kernels_serve_them_too(asarray, served, rng, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr(cpu, "EARNED", 0)
    kernels = []
    run = cpu.compiled.run
    monkeypatch.setattr(cpu.compiled, "run", lambda *a: kernels.append(run(*a)) or kernels[-1])
    values = rng.normal(size=(40, 50))
    found = gradkit.derivative(asarray(values), 0.25, axis=0, edge_order=1)
    assert np.asarray(found).tobytes() == np.gradient(values, 0.25, axis=0).tobytes()
    assert kernels == [True]


def test_the_engine_may_be_asked_for(asarray, served):
    f = asarray(np.arange(8.0) ** 2)
    with use_engine("cpu"):
        np.testing.assert_array_equal(gradkit.gradient(f), np.gradient(np.arange(8.0) ** 2))
    with use_engine("reference"):
        gradkit.gradient(f)
    assert len(served) == 1
    with use_engine("cpu"), pytest.raises(EngineError, match="another dtype, float32"):
        gradkit.gradient(f, dtype="float32")


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_differences_of_integers_are_exact(asarray, served, dtype):
    top = np.iinfo(dtype).max
    f = np.array([top, 0, top - 1, top - 3, 5] * 2, dtype)
    found = gradkit.derivative(asarray(f), accuracy=2, edge_order=1)
    exact = [int(v) for v in f]
    middle = [float(b - a) / 2 for a, b in zip(exact, exact[2:], strict=False)]
    wanted = [float(exact[1] - exact[0]), *middle, float(exact[-1] - exact[-2])]
    np.testing.assert_array_equal(found, wanted)
    assert np.asarray(found).dtype == "float64"
    # Few integers of 64 bits are left to the reference.
    assert len(served) == (dtype != "int64")


def test_what_jax_would_narrow_is_left_to_the_reference(jax, served):
    wide = jax.numpy.asarray(np.arange(4.0) ** 2)
    jax.config.update("jax_enable_x64", False)
    found = gradkit.gradient(jax.numpy.asarray(np.array([0, 1, 4, 9], "int32")))
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, [1, 2, 4, 5])
    assert "jax_enable_x64" in reasons_of(D(0).on(Grid(Axis()), (4,)), wide)
    assert served == []


def test_overflows_are_not_told_of(asarray):
    f = np.array([0, 3e38, 0, -3e38, 0], "float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = gradkit.gradient(asarray(f), 1e-3)
        with np.errstate(all="raise"):
            again = gradkit.gradient(asarray(f), 1e-3)
    assert np.isinf(np.asarray(found)).any()
    np.testing.assert_array_equal(found, again)


def test_equal_results_are_one_array(asarray):
    _, mixed, same, _ = PLANS["hessian"](asarray(np.ones(SHAPE)))
    assert mixed is same


def test_coefficients_of_a_library_are_left_to_it(asarray, served):
    factor, f = np.arange(2.0, 10), np.arange(8.0) ** 2
    plan = (asarray(factor) * D(0)).on(Grid(Axis()), (8,), edge_order=1)
    assert "leaves coefficients" in reasons_of(plan, asarray(f))
    np.testing.assert_allclose(plan(asarray(f)), factor * np.gradient(f))
    assert served == []


def test_other_dtypes_of_results_are_left_to_the_reference(asarray, served):
    found = gradkit.gradient(asarray(np.ones(5, "float32")), dtype="float64")
    assert np.asarray(found).dtype == "float64"
    assert served == []


# --- PyTorch --------------------------------------------------------------------------------------


def test_targets_are_written_in_place(torch, served, rng):
    values = rng.normal(size=SHAPE)
    f, out = torch.from_numpy(values), [torch.full(SHAPE, np.nan).double() for _ in range(2)]
    versions = [target._version for target in out]
    assert PLANS["gradient"](f, out=out) is out
    for got, want in zip(out, PLANS["gradient"](values), strict=True):
        assert got.numpy().tobytes() == want.tobytes()
    assert all(t._version > v for t, v in zip(out, versions, strict=True))
    assert len(served) == 1


def test_targets_and_inputs_may_have_any_strides(torch, served, rng):
    values = rng.normal(size=SHAPE)
    wide = torch.from_numpy(np.repeat(values.T, 2, axis=0).copy())
    f, room = wide[::2].T, torch.full((18, 8), np.nan).double()
    gradkit.derivative(f, 0.3, axis=0, edge_order=1, out=room[::2])
    np.testing.assert_array_equal(room[::2].numpy(), np.gradient(values, 0.3, axis=0))
    assert room[1::2].isnan().all()
    row = torch.from_numpy(values[:, 0].copy())
    np.testing.assert_array_equal(
        gradkit.gradient(row[:, None].expand(SHAPE), axis=1, edge_order=1), np.zeros(SHAPE)
    )
    assert len(served) == 2


def test_tensors_that_differ_from_their_memory_are_read_and_written_as_they_are(torch, rng):
    # Large enough for complex numbers to be served.
    values = rng.normal(size=(300, 200)) + 1j * rng.normal(size=(300, 200))
    wanted = np.gradient(values.conj(), 0.3, axis=0)
    f = torch.from_numpy(values).conj()
    assert f.is_conj()
    plan = D(0).on(Grid(Axis(0.3), None), f.shape, edge_order=1)
    assert reasons_of(plan, f) is None
    np.testing.assert_array_equal(plan(f).numpy(), wanted)
    out = torch.empty_like(f).conj()
    plan(f, out=out)
    np.testing.assert_array_equal(out.resolve_conj().numpy(), wanted)
    negative = f.imag
    assert negative.is_neg()
    np.testing.assert_array_equal(plan(negative).numpy(), wanted.imag)


@pytest.fixture
def recorded(torch, served, monkeypatch):
    """Gradients of small tensors are those of the adjoint plan, too."""
    monkeypatch.setattr(hosted, "SMALL", 0)
    monkeypatch.setattr(hosted, "_rows_of_tables", lambda plan: 0)
    return served


@pytest.mark.parametrize("name", PLANS)
def test_gradients_are_right_twice(torch, recorded, rng, name):
    plan = PLANS[name]
    inputs = [torch.tensor(rng.normal(size=s), requires_grad=True) for s in plan.input_shapes]
    assert torch.autograd.gradcheck(lambda *f: plan.apply(f), inputs)
    assert torch.autograd.gradgradcheck(lambda *f: [v**2 for v in plan.apply(f)], inputs)
    assert recorded


def test_results_are_recorded_where_a_parameter_is_read(torch, recorded):
    f = torch.nn.Parameter(torch.arange(9.0) ** 2)
    found = gradkit.gradient(f)
    assert found.requires_grad
    found.sum().backward()
    # The sum of central differences is that of the ends.
    with use_engine("reference"):
        again = torch.nn.Parameter(f.detach().clone())
        gradkit.gradient(again).sum().backward()
    torch.testing.assert_close(f.grad, again.grad)
    with torch.no_grad():
        assert not gradkit.gradient(f).requires_grad
    assert len(recorded) >= 2


def test_recorded_results_are_written_to_targets(torch, recorded, rng):
    f = torch.tensor(rng.normal(size=SHAPE), requires_grad=True)
    out = torch.zeros(SHAPE, dtype=torch.float64)
    gradkit.derivative(f, 0.3, axis=0, out=out)
    out.square().sum().backward()
    again = torch.tensor(f.detach().numpy(), requires_grad=True)
    with use_engine("reference"):
        gradkit.derivative(again, 0.3, axis=0).square().sum().backward()
    torch.testing.assert_close(f.grad, again.grad)


def test_gradients_that_cost_more_by_the_adjoint_are_left_to_the_reference(torch):
    few = torch.ones(100, requires_grad=True)
    plan = D(0).on(Grid(Axis()), (100,))
    assert reasons_of(plan, few) == "leaves gradients of fewer than 32768 elements to the reference"
    assert reasons_of(plan, few.detach()) is None
    many = torch.ones(2**16, requires_grad=True)
    rough = D(0).on(Grid(Axis(coordinates=np.arange(2.0**16) ** 1.1)), many.shape)
    assert "as long as the input" in reasons_of(rough, many)
    assert reasons_of(rough, many.detach()) is None
    plane = torch.ones((256, 256), requires_grad=True)
    short = D(0).on(Grid(Axis(coordinates=np.arange(256.0) ** 1.1), None), plane.shape)
    assert reasons_of(short, plane) is None


def test_what_torch_traces_or_transforms_is_left_to_it(torch, served):
    f = torch.arange(8.0) ** 2
    wanted = np.gradient(f.numpy())
    np.testing.assert_allclose(torch.func.vmap(gradkit.gradient)(f[None])[0], wanted)
    jacobian = torch.func.jacrev(gradkit.gradient)(f)
    np.testing.assert_allclose(jacobian @ f, wanted)
    assert served == []


def test_tangents_of_torch_are_left_to_it(torch, fresh_python):
    """In a process of its own: torch warns when it first loads what forward mode needs."""
    code = """
import numpy as np, torch, gradkit
from torch.autograd import forward_ad
from gradkit import Axis, D, Grid, explain_engine
f = torch.arange(8.0) ** 2
plan = D(0).on(Grid(Axis()), (8,), edge_order=1)
with forward_ad.dual_level():
    dual = forward_ad.make_dual(f, f)
    print(dict(explain_engine(dual, plan=plan).reasons)["cpu"])
    print(np.allclose(forward_ad.unpack_dual(plan(dual)).tangent, np.gradient(f.numpy())))
"""
    assert fresh_python(code) == (
        "serves plain tensors, outside of torch.func and forward mode\nTrue\n"
    )


def test_derivatives_by_coefficients_are_those_of_torch(torch, served):
    factor = torch.arange(8.0, requires_grad=True)
    plan = (factor * D(0)).on(Grid(Axis()), (8,))
    plan(torch.arange(8.0) ** 2).sum().backward()
    np.testing.assert_allclose(factor.grad, np.gradient(np.arange(8.0) ** 2, edge_order=2))
    assert served == []


def test_other_kinds_of_tensors_are_left_to_the_reference(torch, served):
    class Own(torch.Tensor):
        pass

    found = gradkit.gradient(torch.arange(8.0).as_subclass(Own))
    assert type(found) is Own
    assert gradkit.gradient(torch.ones(8, dtype=torch.bfloat16)).dtype == torch.bfloat16
    nowhere = torch.ones(8, device="meta")
    assert gradkit.gradient(nowhere).device.type == "meta"
    reason = reasons_of(D(0).on(Grid(Axis()), (8,)), nowhere)
    assert reason == "serves tensors in the memory of the host, the input is on meta"
    assert served == []


def test_bad_targets_are_refused_as_before(torch):
    f = torch.arange(8.0)
    with pytest.raises(ArgumentValueError, match="shares memory with an input"):
        gradkit.gradient(f, out=f)
    with pytest.raises(ArgumentTypeError, match="out has dtype float64: wanted float32"):
        gradkit.gradient(f, out=torch.zeros(8, dtype=torch.float64))


# --- JAX ------------------------------------------------------------------------------------------


def test_results_stay_where_the_input_was_put_if_it_was(jax):
    place = jax.devices("cpu")[0]
    free, placed = jax.numpy.arange(8.0), jax.device_put(jax.numpy.arange(8.0), place)
    assert (free.committed, placed.committed) == (False, True)
    for f in (free, placed):
        found = gradkit.gradient(f)
        assert found.committed is f.committed
        assert found.devices() == {place}


def test_results_are_placed_where_any_input_was_put(jax):
    free = jax.numpy.ones(SHAPE)
    placed = jax.device_put(free, jax.devices("cpu")[0])
    assert (free.committed, placed.committed) == (False, True)
    for f in ([free, placed], [placed, free]):
        assert PLANS["divergence"](f).committed
    assert not PLANS["divergence"]([free, free]).committed


def test_results_of_weak_types_are_weak(jax, served):
    f = jax.numpy.full(SHAPE, 2.0)
    assert f.weak_type
    assert PLANS["gradient"](f)[0].weak_type
    assert not served
    assert not PLANS["gradient"](f.astype("float64"))[0].weak_type
    assert served


def test_inputs_of_jax_may_be_given_away_afterwards(jax, rng):
    values = rng.normal(size=SHAPE)
    f = jax.numpy.asarray(values)
    found = gradkit.derivative(f, 0.3, axis=0, edge_order=1)
    wanted = np.gradient(values, 0.3, axis=0)
    step = jax.jit(lambda f, g: (f + 1, g + 1), donate_argnums=(0, 1))
    _, more = step(f, found)
    np.testing.assert_array_equal(more, wanted + 1)
    assert f.is_deleted()
    again = gradkit.derivative(jax.numpy.asarray(values), 0.3, axis=0, edge_order=1)
    f = jax.numpy.asarray(values) + 0
    np.testing.assert_array_equal(again, wanted)


def test_values_within_a_traced_function_are_served(jax, served):
    f = jax.numpy.arange(8.0) ** 2

    def step(g):
        values = gradkit.gradient(f)
        assert not isinstance(values, jax.core.Tracer)
        return g + values

    np.testing.assert_allclose(jax.jit(step)(jax.numpy.zeros(8)), np.gradient(f))
    assert len(served) == 1


def test_traced_arrays_are_left_to_xla(jax, served):
    f = jax.numpy.arange(8.0) ** 2
    wanted = np.gradient(np.arange(8.0) ** 2)
    np.testing.assert_allclose(jax.jit(gradkit.gradient)(f), wanted)
    np.testing.assert_allclose(jax.vmap(gradkit.gradient)(f[None])[0], wanted)
    np.testing.assert_allclose(jax.jvp(gradkit.gradient, (f,), (f,))[1], wanted)
    total = jax.grad(lambda f: (gradkit.gradient(f) * jax.numpy.arange(8.0)).sum())(f)
    np.testing.assert_allclose(total @ f, wanted @ np.arange(8.0))
    assert served == []


def test_arrays_on_several_devices_are_left_to_the_reference(fresh_python):
    pytest.importorskip("jax")
    code = """
import jax, numpy as np, gradkit
from gradkit import D, Grid, Axis, explain_engine
f = np.arange(8.0) ** 2
mesh = jax.sharding.Mesh(np.array(jax.devices()), ("i",))
where = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("i"))
spread = jax.device_put(f, where)
plan = D(0).on(Grid(Axis()), (8,))
print(dict(explain_engine(spread, plan=plan).reasons)["cpu"])
second = jax.device_put(f, jax.devices()[1])
print(plan(second).devices() == second.devices(), np.allclose(plan(spread), plan(f)))
"""
    flags = "--xla_force_host_platform_device_count=2"
    found = fresh_python(code, XLA_FLAGS=flags, JAX_PLATFORMS="cpu", JAX_ENABLE_X64="1")
    assert found == "serves arrays with values on one device\nTrue True\n"
