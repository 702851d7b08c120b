"""Kernels on PyTorch tensors on the device: values, gradients, streams, graphs."""

import numpy as np
import pytest

import gradkit
from gradkit import Axis, D, Gradient, Grid, Laplacian

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.gpu

SPACE = Grid(Axis(0.3), Axis(coordinates=np.cumsum(np.arange(1.0, 33.0))), Axis(0.2))
SHAPE = (16, 32, 64)
PLANS = {
    "axis 1": D(1).on(SPACE, SHAPE),
    "gradient": Gradient(3).on(SPACE, SHAPE),
    "laplacian": Laplacian(3).on(SPACE, SHAPE),
}


@pytest.fixture
def tensors(cupy, rng):
    """Makes tensors on the device; skips where this build of torch has none."""
    if not torch.cuda.is_available():
        pytest.skip("this build of torch has no CUDA")
    return lambda dtype=torch.float64: torch.tensor(rng.normal(size=SHAPE)).to("cuda", dtype)


def on(engine, plan, f):
    with gradkit.use_engine(engine):
        return plan.apply([f])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("name", PLANS)
def test_kernels_give_what_the_reference_gives(tensors, name, dtype):
    f = tensors(getattr(torch, dtype))
    for view in (f, f.permute(0, 1, 2).flip(0), f.conj()):
        for got, want in zip(
            on("cuda", PLANS[name], view), on("reference", PLANS[name], view), strict=True
        ):
            eps = torch.finfo(got.dtype).eps
            torch.testing.assert_close(got, want, rtol=8 * eps, atol=400 * eps)


def test_one_derivative_of_a_strided_tensor_is_taken_without_a_copy(tensors):
    view = tensors().permute(2, 0, 1)[::2]
    plan = D(1).on(Grid(None, Axis(0.3), None), tuple(view.shape))
    (wanted,) = on("reference", plan, view)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    (found,) = on("cuda", plan, view)
    assert torch.cuda.max_memory_allocated() - before <= found.nbytes + 512
    torch.testing.assert_close(found, wanted, rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("name", PLANS)
def test_gradients_are_those_of_the_reference(tensors, name):
    values = tensors()
    found = []
    for engine in ("cuda", "reference"):
        f = values.clone().requires_grad_()
        with gradkit.use_engine(engine):
            sum((v**2).sum() for v in PLANS[name].apply([f])).backward()
        found.append(f.grad)
    torch.testing.assert_close(*found)


def test_kernels_run_on_the_current_stream(tensors):
    f, plan = tensors(), PLANS["laplacian"]
    (wanted,) = on("cuda", plan, f)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        g = f * 2
        (found,) = on("cuda", plan, g)
    stream.synchronize()
    torch.testing.assert_close(found, 2 * wanted)


def test_a_graph_captures_a_call(tensors):
    f, plan = tensors(), PLANS["laplacian"]
    (wanted,) = on("cuda", plan, f)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        (found,) = on("cuda", plan, f)
    graph.replay()
    torch.cuda.synchronize()
    torch.testing.assert_close(found, wanted)
