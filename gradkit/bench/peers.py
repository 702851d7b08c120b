"""What a user would call otherwise, each where it is installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from gradkit._array import Array, Namespace
from gradkit.bench.cases import SPACING, Case
from gradkit.bench.composed import PeerCall, composed, positions
from gradkit.bench.expressions import laplacian_expression, slope_expression

__all__ = ["PEERS", "Peer", "arrays_of", "peers_of"]


class Peer(NamedTuple):
    """Another library.

    Attributes
    ----------
    name : str
        As tables have it.
    device : str
        Where its arrays are: ``"cpu"`` or ``"cuda"``.
    missing : callable
        ``missing()`` is None, or the reason why it cannot be called here.
    call : callable
        ``call(case, inputs)`` is how it is called; None where it has no such thing.
    """

    name: str
    device: str
    missing: Callable[[], str | None]
    call: Callable[[Case, Sequence[Array]], PeerCall | None]


def peers_of(device: str) -> list[Peer]:
    """The peers of a device."""
    return [peer for peer in PEERS if peer.device == device]


def arrays_of(result: Any, xp: Namespace) -> list[Array]:
    """The results of a peer as arrays of `xp`, which share their memory."""
    parts = list(result) if isinstance(result, tuple | list) else [result]
    return [part if isinstance(part, xp.ndarray) else xp.from_dlpack(part) for part in parts]


# --- libraries with a gradient --------------------------------------------------------------------


def _what(case: Case, function: str) -> str:
    return "slices" if case.family == "laplacian" else function


def _array_call(name: str, xp: Namespace, case: Case, inputs: Sequence[Array]) -> PeerCall | None:
    """NumPy or CuPy."""
    x = positions(case, inputs[0])
    on_device = None if x is None else xp.asarray(x)

    def slope(f: Any, axis: int, x: Any) -> Any:
        return xp.gradient(f, x, axis=axis)

    call = composed(case, slope, on_device)
    return call and PeerCall(_what(case, f"{name}.gradient"), lambda: call(*inputs))


def _numpy(case: Case, inputs: Sequence[Array]) -> PeerCall | None:
    return _array_call("numpy", np, case, inputs)


def _cupy(case: Case, inputs: Sequence[Array]) -> PeerCall | None:
    import cupy  # pyright: ignore[reportMissingImports]

    return _array_call("cupy", cupy, case, inputs)


def _torch(case: Case, inputs: Sequence[Array]) -> PeerCall | None:
    import torch

    tensors = [torch.from_dlpack(f) for f in inputs]
    x = positions(case, inputs[0])
    on_device = None if x is None else torch.from_numpy(x).to(tensors[0].device)

    def slope(f: Any, axis: int, x: Any) -> Any:
        spacing = x if isinstance(x, float) else (x,)
        return torch.gradient(f, spacing=spacing, dim=axis)[0]

    call = composed(case, slope, on_device)
    return call and PeerCall(_what(case, "torch.gradient"), lambda: call(*tensors))


def _jax(case: Case, inputs: Sequence[Array]) -> PeerCall | None:
    import jax

    if str(inputs[0].dtype) == "float64":
        # Without it JAX would compute in float32, silently.
        jax.config.update("jax_enable_x64", True)
    arrays = [jax.dlpack.from_dlpack(f) for f in inputs]
    x = positions(case, inputs[0])
    on_device = None if x is None else jax.device_put(x, arrays[0].device)

    def slope(f: Any, axis: int, x: Any) -> Any:
        return jax.numpy.gradient(f, x, axis=axis)

    call = composed(case, slope, on_device)
    if call is None:
        return None
    jitted: Any = jax.jit(call)

    def finished() -> Any:
        return jax.block_until_ready(jitted(*arrays))

    return PeerCall(f"jax.jit of {_what(case, 'jax.numpy.gradient')}", finished, waits=True)


# --- functions of their own ----------------------------------------------------------------------


def _laplace(ndimage: Any, name: str, case: Case, inputs: Sequence[Array]) -> PeerCall | None:
    if case.family != "laplacian":
        return None
    # It takes a spacing of 1; the division that remains to its user is not timed.
    return PeerCall(name, lambda: ndimage.laplace(inputs[0]), factor=1 / SPACING**2)


def _scipy(case: Case, inputs: Sequence[Array]) -> PeerCall | None:
    import scipy.ndimage

    return _laplace(scipy.ndimage, "scipy.ndimage.laplace", case, inputs)


def _cupyx(case: Case, inputs: Sequence[Array]) -> PeerCall | None:
    import cupyx.scipy.ndimage  # pyright: ignore[reportMissingImports]

    return _laplace(cupyx.scipy.ndimage, "cupyx.scipy.ndimage.laplace", case, inputs)


def _findiff(case: Case, inputs: Sequence[Array]) -> PeerCall | None:
    import findiff

    options: dict[str, Any] = {"h": [SPACING] * len(case.shape), "acc": case.accuracy}
    if case.axis is not None:
        x = positions(case, inputs[0])
        apply: Any = findiff.Diff(case.axis, SPACING if x is None else x, acc=case.accuracy)
        return PeerCall("findiff.Diff", lambda: apply(inputs[0]))
    name = case.family.capitalize()
    apply = getattr(findiff, name)(**options)
    if case.family == "gradient":
        return PeerCall("findiff.Gradient", lambda: tuple(apply(inputs[0])))
    # Fields are stacked, outside what is timed.
    f = inputs[0] if case.family == "laplacian" else np.stack(inputs)
    if case.family == "curl" and len(inputs) == 3:
        return PeerCall("findiff.Curl", lambda: tuple(apply(f)))
    return PeerCall(f"findiff.{name}", lambda: apply(f))


def _numexpr(case: Case, inputs: Sequence[Array]) -> PeerCall | None:
    """One expression per result, of the inside alone; the results are prepared, not new."""
    if case.accuracy != 2 or case.family in ("divergence", "curl"):
        return None
    from numexpr import evaluate

    f = inputs[0]
    steps: list[tuple[str, dict[str, Any]]] = []
    if case.family == "laplacian":
        steps.append(laplacian_expression(f))
    else:
        steps += [slope_expression(f, axis, positions(case, f)) for axis in case.axes]
    shapes = [np.broadcast_shapes(*(part.shape for part in parts.values())) for _, parts in steps]
    out = [np.empty(shape, f.dtype) for shape in shapes]

    def call() -> tuple[Array, ...]:
        for (text, parts), target in zip(steps, out, strict=True):
            evaluate(text, local_dict=parts, out=target)
        return tuple(out)

    return PeerCall("numexpr.evaluate, inside alone", call)


# --- which there are ------------------------------------------------------------------------------


def _absent(package: str) -> Callable[[], str | None]:
    reason = f"{package} is not installed: pip install {package}"
    return lambda: None if find_spec(package) else reason


def _torch_on_cuda() -> str | None:
    if find_spec("torch") is None:
        return "torch is not installed: pip install torch"
    import torch

    return None if torch.cuda.is_available() else "this torch finds no GPU"


def _jax_on_cuda() -> str | None:
    if find_spec("jax") is None:
        return "jax is not installed: pip install 'jax[cuda13]'"
    # Else JAX takes most of the card's memory as soon as it is asked for its devices.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    found = any(device.platform == "gpu" for device in jax.devices())
    return None if found else "this jax finds no GPU: pip install 'jax[cuda13]'"


PEERS = (
    Peer("numpy", "cpu", lambda: None, _numpy),
    Peer("findiff", "cpu", _absent("findiff"), _findiff),
    Peer("torch", "cpu", _absent("torch"), _torch),
    Peer("jax.jit", "cpu", _absent("jax"), _jax),
    Peer("scipy.ndimage", "cpu", _absent("scipy"), _scipy),
    Peer("numexpr", "cpu", _absent("numexpr"), _numexpr),
    Peer("cupy", "cuda", lambda: None, _cupy),
    Peer("torch", "cuda", _torch_on_cuda, _torch),
    Peer("jax.jit", "cuda", _jax_on_cuda, _jax),
    Peer("cupyx.scipy.ndimage", "cuda", lambda: None, _cupyx),
)
