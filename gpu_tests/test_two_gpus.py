"""Arrays on the second GPU while the first is current. Never run so far."""

import numpy as np
import pytest

import gradkit
from gradkit import Axis, D, Gradient, Grid, Laplacian

pytestmark = pytest.mark.gpu

SPACE = Grid(Axis(0.3), Axis(coordinates=np.cumsum(np.arange(1.0, 33.0))), Axis(0.2))
SHAPE = (16, 32, 64)
OPERATORS = {
    "axis 1": D(1),
    "gradient": Gradient(3),
    "laplacian": Laplacian(3),
    "array": np.linspace(1, 2, 64) * D(0),
}
ENGINES = ["cuda", "reference"]


@pytest.fixture(autouse=True)
def two_gpus(cupy):
    """Skip the test where there is one GPU."""
    count = cupy.cuda.runtime.getDeviceCount()
    if count < 2:
        pytest.skip(f"needs two GPUs, there is {count}")


def on(engine, plan, f):
    with gradkit.use_engine(engine):
        return plan.apply([f])


def assert_close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12 * abs(wanted).max())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("view", [np.s_[:], np.s_[::-1]], ids=["whole", "reversed"])
def test_cupy_results_are_where_the_input_is(cupy, rng, name, engine, view):
    plan = OPERATORS[name].on(SPACE, SHAPE)
    values = rng.standard_normal(SHAPE)
    with cupy.cuda.Device(1):
        f = cupy.asarray(values)
    wanted = on("reference", plan, values[view])
    for _ in range(2):  # the second call is like the first one
        for got, want in zip(on(engine, plan, f[view]), wanted, strict=True):
            assert got.device == f.device
            assert_close(cupy.asnumpy(got), want)
    assert int(cupy.cuda.Device()) == 0


@pytest.mark.parametrize("name", OPERATORS)
def test_torch_results_and_gradients_are_where_the_input_is(name):
    torch = pytest.importorskip("torch")
    if torch.cuda.device_count() < 2:
        pytest.skip("this build of torch finds fewer than two GPUs")
    plan = OPERATORS[name].on(SPACE, SHAPE)
    found = {}
    for device, engine in (("cuda:1", "cuda"), ("cpu", "reference")):
        f = torch.tensor(np.random.default_rng(3).normal(size=SHAPE), device=device)
        f.requires_grad_()
        results = on(engine, plan, f)
        sum((v**2).sum() for v in results).backward()
        assert all(v.device == f.device for v in (*results, f.grad))
        found[device] = [v.detach().cpu().numpy() for v in (*results, f.grad)]
    for got, want in zip(*found.values(), strict=True):
        assert_close(got, want)
    assert torch.cuda.current_device() == 0


@pytest.mark.parametrize("name", OPERATORS)
def test_jax_results_are_where_the_input_is(rng, name):
    jax = pytest.importorskip("jax")
    if jax.default_backend() != "gpu" or len(jax.devices()) < 2:
        pytest.skip("this build of JAX finds fewer than two GPUs")
    jax.config.update("jax_enable_x64", True)
    plan = OPERATORS[name].on(SPACE, SHAPE)
    values = rng.standard_normal(SHAPE)
    f = jax.device_put(values, jax.devices()[1])
    for got, want in zip(on("cuda", plan, f), on("reference", plan, values), strict=True):
        assert got.devices() == f.devices()
        assert_close(np.asarray(got), want)
