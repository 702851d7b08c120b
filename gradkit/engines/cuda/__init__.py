"""The CUDA engine: one fused kernel per plan, made for it and compiled when it is first called.

`key` settles what a kernel must do, `source` writes it, `launch` fits it to a call. One derivative
of an array that is not contiguous is left to an elementwise kernel on views of it (`views`).
"""

from __future__ import annotations

from collections.abc import Sequence

from gradkit import _array
from gradkit._array import Array
from gradkit.engines import reference
from gradkit.engines.choice import ENGINE
from gradkit.engines.cuda.device import OnCuPy
from gradkit.engines.cuda.launch import launched, prepared, reject
from gradkit.engines.cuda.views import differentiated, passage_of
from gradkit.errors import EngineError
from gradkit.plan import Plan

__all__ = ["run", "supports"]


def supports(plan: Plan, inputs: Sequence[Array]) -> str | None:
    """None for CuPy arrays that a kernel can serve, else the reason."""
    if _array.library(inputs[0]) != "cupy":
        return f"serves cupy arrays, the input is a {_array.library(inputs[0])} array"
    device = _device(inputs[0])
    with device.current():
        made = prepared(plan, inputs, device)
    return made if isinstance(made, str) else None


def run(plan: Plan, inputs: Sequence[Array], out: Sequence[Array] | None = None) -> Sequence[Array]:
    """Apply a plan to CuPy arrays; returns one array per output."""
    device = _device(inputs[0])
    with device.current():
        made = prepared(plan, inputs, device)
        reason = made if isinstance(made, str) else None
        if not isinstance(made, str):
            passage = None if inputs[0].flags.c_contiguous else passage_of(plan, inputs)
            try:
                if passage is not None:
                    return differentiated(plan, inputs[0], passage, device, out)
                return launched(plan, inputs, made, device, out)
            except device.compile_error as error:
                reason = reject(plan, inputs, device, error)
    if ENGINE.get() == "cuda":
        raise EngineError(f"engine 'cuda' cannot serve this call: it {reason}")
    return reference.run(plan, inputs, out)


def _device(f: Array) -> OnCuPy:
    return OnCuPy(int(_array.device(f).id))
