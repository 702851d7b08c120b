"""The CUDA engine: one fused kernel per plan, made for it and compiled when it is first called.

`key` settles what a kernel must do, `source` writes it, `launch` fits it to a call. What is too
much for one kernel has several, of some results each (`parts`). One derivative of an array that is
not contiguous is left to an elementwise kernel on views of it (`views`). Arrays are CuPy's, torch
tensors (`tensors`), or JAX's (`jax_arrays`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import cast

from gradkit import _array, _targets
from gradkit._array import Array
from gradkit.devices import cuda_unavailable
from gradkit.engines import reference
from gradkit.engines.choice import ENGINE
from gradkit.engines.cuda.device import Device, ElementwiseDevice, OnCuPy
from gradkit.engines.cuda.jax_arrays import OnJax, called, device_of_array, reason_against_array
from gradkit.engines.cuda.launch import launched, prepared, reject
from gradkit.engines.cuda.parts import in_parts, parts_of
from gradkit.engines.cuda.ready import keep_ready
from gradkit.engines.cuda.tensors import OnTorch, device_of_tensor
from gradkit.engines.cuda.views import differentiated, give_up, kept_passage
from gradkit.engines.tensors import is_recording, reason_against_tensor, recorded
from gradkit.errors import EngineError
from gradkit.plan import Plan

__all__ = ["device_of", "run", "supports"]


def device_of(f: Array) -> Device | str:
    """The device that an array lives on, or why there are no kernels for it."""
    library = _array.library(f)
    if library == "cupy":
        return OnCuPy(_array.place(f))
    if library == "torch":
        device = device_of_tensor(f)
    elif _array.is_jax(f):
        device = device_of_array(f)
    else:
        return f"serves cupy, torch and jax arrays, the input is a {library} array"
    return _reason_against_cupy() or device if isinstance(device, OnTorch | OnJax) else device


@cache
def _reason_against_cupy() -> str | None:
    """Why CuPy does not compile kernels for arrays of other libraries here; found out once."""
    reason = cuda_unavailable()
    if reason is not None:
        return f"compiles kernels through cupy: {reason}"
    import cupy  # pyright: ignore[reportMissingImports, reportMissingTypeStubs]

    if not hasattr(cupy.cuda.Stream, "from_external"):
        return f"takes streams of other libraries through cupy 14 or later, not {cupy.__version__}"
    return None


def supports(plan: Plan, inputs: Sequence[Array]) -> str | None:
    """None for arrays on a CUDA device that a kernel can serve, else the reason."""
    device = device_of(inputs[0])
    if isinstance(device, str):
        return device
    reason = None
    if isinstance(device, OnTorch):
        reasons = (reason_against_tensor(plan, f) for f in inputs)
        reason = next((reason for reason in reasons if reason is not None), None)
    elif isinstance(device, OnJax):
        reason = reason_against_array(plan, inputs)
    if reason is not None:
        return reason
    plans = [part for _, part in parts_of(plan)] or [plan]
    with device.current():
        made = (prepared(part, inputs, device) for part in plans)
        return next((reason for reason in made if isinstance(reason, str)), None)


def run(plan: Plan, inputs: Sequence[Array], out: Sequence[Array] | None = None) -> Sequence[Array]:
    """Apply a plan to arrays on a CUDA device; returns one array per output."""
    if parts_of(plan):
        return in_parts(plan, inputs, out)
    device = device_of(inputs[0])
    assert not isinstance(device, str)  # `supports` has been asked
    if _array.is_torch(inputs[0]) and is_recording(inputs):
        return _targets.delivered(recorded(plan, inputs, partial(_run, plan, device)), out)
    return _run(plan, device, inputs, out)


def _run(
    plan: Plan, device: Device, inputs: Sequence[Array], out: Sequence[Array] | None = None
) -> Sequence[Array]:
    with device.current():
        made = prepared(plan, inputs, device)
        reason = made if isinstance(made, str) else None
        if not isinstance(made, str):
            found = _without_a_copy(plan, device, inputs, out)
            if found is not None:
                return found
            try:
                if isinstance(device, OnJax):
                    return called(plan, inputs, made, device)
                results = launched(plan, inputs, made, device, out)
                keep_ready(plan, inputs[0], made, device, results, out)
                return results
            except device.compile_error as error:
                reason = reject(plan, inputs, device, error)
    if ENGINE.get() == "cuda":
        raise EngineError(f"engine 'cuda' cannot serve this call: it {reason}")
    return reference.run(plan, inputs, out)


def _without_a_copy(
    plan: Plan, device: Device, inputs: Sequence[Array], out: Sequence[Array] | None
) -> Sequence[Array] | None:
    """One derivative of a strided array, by an elementwise kernel; None for all else."""
    if isinstance(device, OnJax) or device.is_contiguous(inputs[0]):
        return None
    if isinstance(device, OnTorch):
        return _of_tensors(plan, device, inputs, out)
    return _of_views(plan, cast("ElementwiseDevice", device), inputs, out)


def _of_views(
    plan: Plan, device: ElementwiseDevice, inputs: Sequence[Array], out: Sequence[Array] | None
) -> Sequence[Array] | None:
    passage = kept_passage(plan, inputs, device)
    if passage is None:
        return None
    try:
        return differentiated(plan, inputs[0], passage, device, out)
    except device.compile_error:
        # It includes headers of CuPy, which the kernel for a copy does not need.
        give_up(plan, inputs, device)
        return None


def _of_tensors(
    plan: Plan, device: OnTorch, inputs: Sequence[Array], out: Sequence[Array] | None
) -> Sequence[Array] | None:
    """The same of a tensor, whose memory CuPy looks at."""
    if not all(map(device.is_viewable, (*inputs, *(out or ())))):
        return None
    views = list(map(device.view, inputs))
    if kept_passage(plan, views, device.viewing) is None:
        return None
    dtype = _array.native(_array.namespace(inputs[0]), plan.precision(inputs).result)
    target = device.empty_like(inputs[0], plan.output_shapes[0], dtype) if out is None else out[0]
    if _of_views(plan, device.viewing, views, [device.view(target)]) is None:
        return None
    device.written(target)
    return _targets.delivered([target] * len(plan.same), out)
