"""Kernels on torch tensors: all but the launch itself is what is shipped, on tensors of the CPU."""

import ctypes
import sys
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

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
)
from gradkit.engines import cuda
from gradkit.engines.cuda.source import source
from gradkit.engines.cuda.tensors import OnTorch

from .conftest import C_TYPES, Host, OnViews, Streams, build

torch = pytest.importorskip("torch")


class OnTheHost(OnTorch):
    """A device whose tensors are in the memory of the host, and whose kernels g++ has compiled."""

    folder = None
    launches = ()
    compiles = ("float32", "float64")
    compile_error = RuntimeError
    place = torch.device("cpu")

    viewing = Host(None)

    def current(self):
        return nullcontext()

    def view(self, array):
        return array.detach().numpy()

    def is_capturing(self):
        return False

    def settle(self):
        pass

    def kernel(self, key):
        if key.real not in OnTheHost.compiles:
            raise RuntimeError("cannot be compiled")
        launch = build(source(key), OnTheHost.folder)

        def call(grid, block, arguments):
            OnTheHost.launches.append(key)
            values = [
                ctypes.c_void_p(int(a)) if isinstance(a, np.uintp) else C_TYPES[a.dtype.name](a)
                for a in map(self._as_argument, arguments)
            ]
            launch((ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), *values)

        return call


@pytest.fixture
def launches(kernels, monkeypatch):
    """The keys of the kernels that are launched while tensors of the CPU count as on a device."""
    monkeypatch.setattr(OnTheHost, "folder", kernels)
    monkeypatch.setattr(OnTheHost, "launches", [])
    monkeypatch.setattr(cuda, "device_of", lambda f: OnTheHost(0))
    return OnTheHost.launches


def reference(plan, *inputs):
    with gradkit.use_engine("reference"):
        return plan.apply(inputs)


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
    "equal results of two shapes": Operator.matrix(
        [[D(0, to="inner")], [D(1, to="inner")], [D(1, to="inner")]]
    ).on(Grid(Axis(0.3), Axis(0.2)), (7, 8)),
    "staggered": D(0, to="inner").on(Grid(Axis(0.3), None), (7, 8)),
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("name", PLANS)
def test_kernels_give_what_the_reference_gives(launches, rng, name, dtype):
    plan = PLANS[name]
    inputs = [torch.tensor(rng.normal(size=s)).to(getattr(torch, dtype)) for s in plan.input_shapes]
    found = plan.apply(inputs)
    assert len(launches) == 1
    for got, want in zip(found, reference(plan, *inputs), strict=True):
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        size = 40 * torch.finfo(want.dtype).eps * max(abs(want.to(torch.complex128)).max(), 1)
        assert abs(got.to(torch.complex128) - want.to(torch.complex128)).max() <= size


@pytest.mark.parametrize("name", PLANS)
def test_gradients_are_right_twice(launches, rng, name):
    plan = PLANS[name]
    inputs = [torch.tensor(rng.normal(size=s), requires_grad=True) for s in plan.input_shapes]

    def values(*given):
        return plan.apply(given)

    assert torch.autograd.gradcheck(values, inputs)
    assert torch.autograd.gradgradcheck(lambda *f: [v**2 for v in plan.apply(f)], inputs)


def test_gradients_of_complex_tensors_are_right(launches, rng):
    plan = PLANS["complex"]
    f = torch.tensor(rng.normal(size=(7, 8)) + 1j * rng.normal(size=(7, 8)), requires_grad=True)
    assert torch.autograd.gradcheck(plan, f)


def test_forward_and_backward_are_one_kernel_each(launches, rng):
    f = torch.tensor(rng.normal(size=(7, 8)), requires_grad=True)
    sum((v**2).sum() for v in PLANS["gradient"](f)).backward()
    assert len(launches) == 2
    g = torch.tensor(f.detach().numpy(), requires_grad=True)
    sum((v**2).sum() for v in reference(PLANS["gradient"], g)).backward()
    torch.testing.assert_close(f.grad, g.grad)


def test_gradients_have_the_dtype_of_their_input(launches, rng):
    f = torch.tensor(rng.normal(size=(7, 8)), dtype=torch.float16, requires_grad=True)
    plan = Laplacian(2).on(SPACE, (7, 8), dtype="float32")
    result = plan(f)
    assert result.dtype == torch.float32
    result.sum().backward()
    assert f.grad.dtype == torch.float16


def test_nothing_is_recorded_where_no_gradient_is_asked_for(launches, rng):
    f = torch.tensor(rng.normal(size=(7, 8)), requires_grad=True)
    with torch.no_grad():
        assert not PLANS["laplacian"](f).requires_grad
    with torch.inference_mode():
        assert PLANS["laplacian"](f).is_inference()
    assert not PLANS["laplacian"](f.detach()).requires_grad
    assert len(launches) == 3


@pytest.fixture
def views(launches, cupy, kernels, monkeypatch):
    """The device of views of tensors, which elementwise kernels of CuPy run on."""
    monkeypatch.setattr(OnTheHost, "viewing", OnViews(cupy, kernels))
    return OnTheHost.viewing


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "int16"])
@pytest.mark.parametrize(
    "view",
    [lambda f: f.T, lambda f: f[::2, 1:9], lambda f: f[1].expand(9, -1)],
    ids=["transposed", "strided", "expanded"],
)
def test_one_derivative_of_a_strided_tensor_is_taken_without_a_copy(
    launches, views, rng, dtype, view
):
    f = view(torch.tensor(rng.normal(scale=9, size=(10, 12))).to(getattr(torch, dtype)))
    for plan in (
        D(0).on(Grid(Axis(0.3), None), tuple(f.shape)),
        D(1).on(Grid(None, Axis(coordinates=np.arange(f.shape[1]) ** 1.5)), tuple(f.shape)),
    ):
        found, (wanted,) = plan(f), reference(plan, f)
        assert found.dtype == wanted.dtype
        eps = torch.finfo(wanted.dtype).eps
        torch.testing.assert_close(found, wanted, rtol=8 * eps, atol=400 * eps)
        if 0 not in f.stride():
            assert np.argsort(found.stride()).tolist() == np.argsort(f.stride()).tolist()
    assert launches == []
    assert len(views.names) == 6  # two runs of rows at ends, and those in the middle


def test_strided_tensors_with_tensors_of_an_operator_are_copied(launches, views, rng):
    a, f = torch.tensor(rng.normal(size=(2, 8, 7))).mT
    plan = (a * D(0)).on(Grid(Axis(0.3), None), (7, 8))
    # What CuPy would be given is not a tensor, as the array of the operator is.
    torch.testing.assert_close(plan(f), *reference(plan, f))
    assert len(launches) == 1


def test_gradients_and_places_of_strided_tensors(launches, views, rng):
    f = torch.tensor(rng.normal(size=(8, 7))).T
    plan = D(0, to="inner").on(Grid(Axis(0.3), None), (7, 8))
    found = gradient_of(plan, f)
    with gradkit.use_engine("reference"):
        torch.testing.assert_close(found, gradient_of(plan, f))
    out = torch.empty(8, 6, dtype=f.dtype).T
    version = out._version
    assert plan(f, out=out) is out
    assert out._version > version
    torch.testing.assert_close(out, *reference(plan, f))
    assert len(views.names) == 2


@pytest.mark.parametrize(
    "view",
    [lambda f: f.T.conj(), lambda f: torch._neg_view(f.real.T), lambda f: f.real.T.bfloat16()],
    ids=["conjugate", "negative", "bfloat16"],
)
def test_what_cupy_cannot_look_at_is_copied(launches, views, rng, view):
    f = view(torch.tensor(rng.normal(size=(10, 12)) + 1j * rng.normal(size=(10, 12))))
    assert not f.is_contiguous()
    plan = D(0).on(Grid(Axis(0.3), None), (12, 10))
    torch.testing.assert_close(plan(f), *reference(plan, f))
    assert len(launches) == 1
    assert views.names == []


@pytest.mark.parametrize(
    "view",
    [
        lambda f: f.T,
        lambda f: f[:, 1:9],
        lambda f: f[::2],
        lambda f: f.conj(),
        lambda f: torch._neg_view(f.real.clone()),
        lambda f: f.expand(3, *f.shape)[1],
        torch.nn.Parameter,
    ],
    ids=["transposed", "shifted", "strided", "conjugate", "negative", "expanded", "parameter"],
)
def test_views_are_what_they_stand_for(launches, rng, view):
    whole = torch.tensor(rng.normal(size=(10, 12)) + 1j * rng.normal(size=(10, 12)))
    f = view(whole)
    plan = (D(0) + D(1)).on(Grid(Axis(0.3), Axis(0.3)), tuple(f.shape))
    torch.testing.assert_close(plan(f), *reference(plan, f))
    assert len(launches) == 1


def test_results_are_written_where_they_are_wanted(launches, rng):
    f = torch.tensor(rng.normal(size=(7, 8)))
    for out in (torch.empty(7, 8, dtype=f.dtype), torch.empty(8, 7, dtype=f.dtype).T):
        version = out._version
        assert PLANS["laplacian"](f, out=out) is out
        torch.testing.assert_close(out, *reference(PLANS["laplacian"], f))
        # Torch must know, to tell that a tensor saved for a gradient has changed.
        assert out._version > version
    with torch.inference_mode():
        PLANS["laplacian"](f, out=torch.empty(7, 8, dtype=f.dtype))
    conjugate = torch.empty(7, 8, dtype=torch.complex128).conj()
    PLANS["complex"](f, out=conjugate)
    torch.testing.assert_close(conjugate, *reference(PLANS["complex"], f))


def test_a_kernel_that_does_not_compile_leaves_the_call_to_the_reference(
    launches, rng, monkeypatch
):
    monkeypatch.setattr(OnTheHost, "compiles", ())
    plan = Laplacian(2).on(SPACE, (7, 8))
    f = torch.tensor(rng.normal(size=(7, 8)), requires_grad=True)
    torch.testing.assert_close(plan(f), *reference(plan, f))
    assert torch.autograd.gradcheck(plan, f)
    assert "could not compile the kernel: cannot be compiled" in str(
        gradkit.explain_engine(f, plan=plan)
    )


@pytest.mark.filterwarnings("ignore:.torch.jit.script.:DeprecationWarning")
def test_transformed_tensors_are_left_to_the_reference(launches, rng):
    plan, f = PLANS["laplacian"], torch.tensor(rng.normal(size=(3, 7, 8)))
    batched = torch.func.vmap(plan)(f)
    torch.testing.assert_close(batched[1], *reference(plan, f[1]))
    (value, tangent) = torch.func.jvp(plan, (f[0],), (f[1],))
    torch.testing.assert_close(value, *reference(plan, f[0]))
    torch.testing.assert_close(tangent, *reference(plan.linear, f[1]))
    with torch.autograd.forward_ad.dual_level():
        dual = plan(torch.autograd.forward_ad.make_dual(f[0], f[1]))
        tangent = torch.autograd.forward_ad.unpack_dual(dual).tangent
    torch.testing.assert_close(tangent, *reference(plan.linear, f[1]))
    assert launches == []


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda f: f.to_sparse(), "serves dense tensors, the input is of layout torch.sparse_coo"),
        (lambda f: f.to("meta"), "serves plain tensors"),
    ],
)
def test_what_kernels_do_not_serve_has_a_reason(launches, make, reason):
    assert reason in cuda.supports(PLANS["laplacian"], [make(torch.zeros(7, 8))])


def test_whoever_traces_records_the_reference(launches, rng):
    plan, f = PLANS["laplacian"], torch.tensor(rng.normal(size=(7, 8)))
    traced = torch.fx.experimental.proxy_tensor.make_fx(plan)(torch.zeros_like(f))
    torch.testing.assert_close(traced(f), *reference(plan, f))
    assert launches == []


# Torch itself calls what it deprecates, where forward mode is first used in a process.
@pytest.mark.filterwarnings("ignore:.torch.jit.script.:DeprecationWarning")
def test_tangents_of_coefficients_are_left_to_the_reference(launches, rng):
    f, a, t = torch.tensor(rng.normal(size=(3, 7, 8)))
    with torch.autograd.forward_ad.dual_level():
        result = (torch.autograd.forward_ad.make_dual(a, t) * D(0)).on(SPACE, (7, 8))(f)
        tangent = torch.autograd.forward_ad.unpack_dual(result).tangent
    torch.testing.assert_close(tangent, *reference((t * D(0)).on(SPACE, (7, 8)), f))


@pytest.mark.parametrize("name", ["laplacian", "complex", "array"])
def test_gradients_of_a_batch_at_once(launches, rng, name):
    f = torch.tensor(rng.normal(size=(7, 8)))
    at_once, one_by_one = (
        torch.autograd.functional.jacobian(
            lambda g: abs(PLANS[name](g)) ** 2, f, vectorize=vectorize
        )
        for vectorize in (True, False)
    )
    torch.testing.assert_close(at_once, one_by_one)


def test_gradients_of_a_batch_of_a_result_that_is_zero(launches, rng):
    plan = Operator.matrix([[D(0)], [0 * D(0)]]).on(Grid(Axis(0.3), None), (7, 8))
    f = torch.tensor(rng.normal(size=(7, 8)), requires_grad=True)
    assert torch.autograd.gradcheck(plan, f, check_batched_grad=True)


def test_gradients_may_be_nan_where_inputs_may_not(launches):
    plan = D(0).on(Grid(Axis(0.5)), (6,), nan="raise")
    f = torch.ones(6, dtype=torch.float64, requires_grad=True)
    plan(f).sqrt().mul(0).sum().backward()
    assert f.grad.isnan().all()


def gradient_of(plan, f):
    f = f.detach().requires_grad_()
    sum((v * (k + 1)).sum() for k, v in enumerate(plan.apply([f]))).backward()
    return f.grad


def test_gradients_of_equal_results_are_read_once(launches, rng):
    plan = Hessian(3).on(Grid(*[Axis(0.3)] * 3), (7, 7, 7))
    f = torch.tensor(rng.normal(size=(7, 7, 7)))
    found = gradient_of(plan, f)
    forward, backward = launches
    assert (len(forward.outputs), len(backward.inputs)) == (6, 6)
    with gradkit.use_engine("reference"):
        torch.testing.assert_close(found, gradient_of(plan, f))


def test_gradients_are_had_where_the_adjoint_has_no_kernel(launches, rng, monkeypatch):
    monkeypatch.setattr("gradkit.engines.cuda.from_plan.MOST_READS", 50)
    plan = Hessian(3).on(Grid(*[Axis(0.3)] * 3), (7, 7, 7))
    f = torch.tensor(rng.normal(size=(7, 7, 7)))
    found = gradient_of(plan, f)
    assert len(launches) == 1
    with gradkit.use_engine("reference"):
        torch.testing.assert_close(found, gradient_of(plan, f))


def test_parts_of_a_plan_have_gradients_of_their_own(launches, rng, monkeypatch):
    monkeypatch.setattr("gradkit.engines.cuda.parts.MOST_READS", 14)
    plan = Hessian(2).on(Grid(Axis(0.3), Axis(0.2)), (7, 8))
    f = torch.tensor(rng.normal(size=(7, 8)))
    found = gradient_of(plan, f)
    assert sorted((len(key.inputs), len(key.outputs)) for key in launches) == [
        (1, 1),
        (1, 1),
        (1, 2),
        (2, 1),
    ]
    with gradkit.use_engine("reference"):
        torch.testing.assert_close(found, gradient_of(plan, f))


def test_gradients_that_nobody_wants_are_not_computed(launches, rng):
    plan = PLANS["divergence"]
    inputs = [torch.tensor(rng.normal(size=(7, 8)), requires_grad=k == 1) for k in range(2)]
    plan(inputs).square().sum().backward()
    assert inputs[0].grad is None
    assert [len(key.outputs) for key in launches] == [1, 1]
    again = [torch.tensor(f.detach().numpy(), requires_grad=True) for f in inputs]
    sum((v**2).sum() for v in reference(plan, *again)).backward()
    torch.testing.assert_close(inputs[1].grad, again[1].grad)


def test_adjoints_are_made_once(launches, rng, monkeypatch):
    made = []
    prepare = cuda.launch._prepare
    monkeypatch.setattr(cuda.launch, "_prepare", lambda *a: made.append(1) or prepare(*a))
    plan = Laplacian(2).on(SPACE, (7, 8))
    for _ in range(3):
        gradient_of(plan, torch.tensor(rng.normal(size=(7, 8))))
    assert len(made) == 2


def test_launches_are_on_the_stream_of_torch(monkeypatch):
    cupy = Streams()
    monkeypatch.setattr(OnTorch, "cupy", cupy)
    stream = SimpleNamespace(cuda_stream=77)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda place: stream)

    @contextmanager
    def device(place):
        cupy.told.append(place)
        yield
        cupy.told.append("device of before")

    monkeypatch.setattr(torch.cuda, "device", device)
    with OnTorch(1).current():
        cupy.told.append("launch")
    assert cupy.told == [
        torch.device("cuda", 1),
        ("device", 1),
        ("stream", (0, 77)),
        "launch",
        ("stream", "the user's"),
        "device of before",
    ]


def on_cuda(**options):
    """What looks like a tensor on the second device."""
    return SimpleNamespace(device=SimpleNamespace(type="cuda", index=1), **options)


def test_tensors_have_kernels_where_cupy_can_be_used(monkeypatch):
    monkeypatch.setattr(cuda._array, "library", lambda f: "torch")
    found = []
    streams = {"14.0.1": SimpleNamespace(from_external=None), "13.6.0": SimpleNamespace()}
    for reason, version in ((None, "14.0.1"), ("no driver", "14.0.1"), (None, "13.6.0")):
        cuda._reason_against_cupy.cache_clear()
        monkeypatch.setattr(cuda, "cuda_unavailable", lambda reason=reason: reason)
        cupy = SimpleNamespace(cuda=SimpleNamespace(Stream=streams[version]), __version__=version)
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        found.append(cuda.device_of(on_cuda()))
    assert found == [
        OnTorch(1),
        "compiles kernels through cupy: no driver",
        "takes streams of other libraries through cupy 14 or later, not 13.6.0",
    ]
    cuda._reason_against_cupy.cache_clear()
    monkeypatch.setattr(torch.version, "hip", "6.0")
    assert cuda.device_of(on_cuda()) == "has no kernels for AMD's GPUs"
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert "while it traces" in cuda.device_of(on_cuda())
    cuda._reason_against_cupy.cache_clear()


def test_gradients_of_coefficients_are_left_to_the_reference(launches, rng):
    a = torch.tensor(rng.normal(size=(7, 8)), requires_grad=True)
    plan = (a * D(0)).on(SPACE, (7, 8))
    plan(torch.ones(7, 8, dtype=a.dtype)).sum().backward()
    assert a.grad is not None
    assert launches == []
