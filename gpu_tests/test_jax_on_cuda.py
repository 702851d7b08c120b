"""Kernels on JAX arrays on the device: values, lifetimes, tracing. Never run so far."""

import numpy as np
import pytest

import gradkit
from gradkit import Axis, D, Gradient, Grid, Laplacian

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytestmark = pytest.mark.gpu

SPACE = Grid(Axis(0.3), Axis(coordinates=np.cumsum(np.arange(1.0, 33.0))), Axis(0.2))
SHAPE = (16, 32, 64)
PLANS = {
    "axis 1": D(1).on(SPACE, SHAPE),
    "gradient": Gradient(3).on(SPACE, SHAPE),
    "laplacian": Laplacian(3).on(SPACE, SHAPE),
    "array": (np.linspace(1, 2, 64) * D(0)).on(SPACE, SHAPE),
}


@pytest.fixture
def arrays(cupy, rng):
    """Makes arrays on the device; skips where this build of JAX has none."""
    if jax.default_backend() != "gpu":
        pytest.skip("this build of JAX has no GPU")
    jax.config.update("jax_enable_x64", True)
    return lambda dtype="float64", shape=SHAPE: jnp.asarray(rng.normal(size=shape)).astype(dtype)


def on(engine, plan, f):
    with gradkit.use_engine(engine):
        return plan.apply([f])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("name", PLANS)
def test_kernels_give_what_the_reference_gives(arrays, name, dtype):
    f = arrays(dtype)
    found, wanted = (on(engine, PLANS[name], f) for engine in ("cuda", "reference"))
    for got, want in zip(found, wanted, strict=True):
        assert got.dtype == want.dtype
        assert got.devices() == want.devices()
        eps = float(jnp.finfo(want.dtype).eps)
        values, right = (np.asarray(v).astype(complex) for v in (got, want))
        assert abs(values - right).max() <= 400 * eps * max(abs(right).max(), 1)


def test_inputs_may_be_dropped_while_a_kernel_reads_them(arrays):
    plan = Laplacian(3).on(Grid(*[Axis(1.0)] * 3), (256, 256, 256))
    ramp = jnp.broadcast_to(jnp.arange(256.0) ** 2, (256, 256, 256))
    for k in range(50):
        f = ramp * k
        (result,) = on("cuda", plan, f)
        del f
        # What is allocated now may take the place of the input.
        noise = jnp.full((256, 256, 256), jnp.nan) + k
        assert float(abs(result - 2 * k).max()) < 1e-6 * max(k, 1)
        del noise


def test_inputs_may_be_given_away_at_once(arrays):
    step = jax.jit(lambda f, g: f + 1e-3 * g, donate_argnums=0)
    f, g = arrays(), None
    wanted = f
    for _ in range(5):
        (g,) = on("reference", PLANS["laplacian"], wanted)
        wanted = wanted + 1e-3 * g
    f = f + 0
    for _ in range(5):
        (g,) = on("cuda", PLANS["laplacian"], f)
        f = step(f, g)
    np.testing.assert_allclose(f, wanted, rtol=1e-10, atol=1e-10)


def test_traced_arrays_are_left_to_xla(arrays):
    f, plan = arrays(), PLANS["laplacian"]
    (wanted,) = on("cuda", plan, f)
    np.testing.assert_allclose(jax.jit(plan)(f), wanted, rtol=1e-10, atol=1e-10)
    gradient = jax.grad(lambda f: (plan(f) ** 2).sum())(f)
    (adjoint,) = on("cuda", plan.T, 2 * wanted)
    np.testing.assert_allclose(gradient, adjoint, rtol=1e-9, atol=1e-8)
