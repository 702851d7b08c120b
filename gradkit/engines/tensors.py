"""PyTorch tensors: which of them are plain memory to engines, and gradients by the adjoint."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from gradkit import _array
from gradkit._array import Array
from gradkit.engines import reference
from gradkit.engines.choice import AUTO, prefer
from gradkit.plan import Plan

__all__ = ["is_recording", "reason_against_tensor", "recorded"]


def reason_against_tensor(plan: Plan, f: Array) -> str | None:
    """Why no engine but the reference serves a tensor; None if others may."""
    torch = sys.modules["torch"]
    if torch.compiler.is_compiling():
        return "leaves tensors to the compiler of torch while it traces"
    if f.layout is not torch.strided:
        return f"serves dense tensors, the input is of layout {f.layout}"
    # Whoever records the operations of torch does not see what others do.
    if torch.jit.is_tracing() or torch._C._len_torch_dispatch_stack():
        return "leaves tensors to torch while it traces"
    # Transformed tensors and tangents have derivatives that others do not see.
    if not _array.is_comparable(f.detach()) or _tangent(f) is not None:
        return "serves plain tensors, outside of torch.func and forward mode"
    arrays = [p.array for p in plan.parameters if _array.is_torch(p.array)]
    if any(array.requires_grad or _tangent(array) is not None for array in arrays):
        return "has no derivatives with respect to the arrays of an operator"
    return None


def _tangent(f: Array) -> Any:
    return sys.modules["torch"].autograd.forward_ad.unpack_dual(f).tangent


def is_recording(inputs: Sequence[Array]) -> bool:
    """Whether torch records gradients of what is computed from the inputs."""
    return sys.modules["torch"].is_grad_enabled() and any(f.requires_grad for f in inputs)


def recorded(
    plan: Plan, inputs: Sequence[Array], run: Callable[[Sequence[Array]], Sequence[Array]]
) -> Sequence[Array]:
    """What `run` makes of the inputs, with gradients by the adjoint plan."""
    distinct = list(dict.fromkeys(plan.same))

    def forward(*given: Array) -> tuple[Array, ...]:
        results = run(given)
        return tuple(results[i] for i in distinct)

    found = _applied().apply(plan, forward, *inputs)
    by_number = dict(zip(distinct, found, strict=True))
    return [by_number[i] for i in plan.same]


@cache
def _applied() -> Any:
    """The function of torch that applies a plan, and its adjoint to gradients."""
    torch = sys.modules["torch"]

    class Applied(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, plan: Plan, forward: Any, *inputs: Array) -> tuple[Array, ...]:
            ctx.plan = plan
            ctx.inputs = [(f.dtype, f.device) for f in inputs]
            return forward(*inputs)

        @staticmethod
        def backward(ctx: Any, *gradients: Array) -> tuple[Any, ...]:
            plan = ctx.plan
            if any(map(torch._C._functorch.is_legacy_batchedtensor, gradients)):
                return (None, None, *_by_torch(plan, ctx.inputs, gradients))
            wanted = [i for i, needed in enumerate(ctx.needs_input_grad[2:]) if needed]
            # Autograd runs this in threads of its own: the engine asked for is not known there.
            with prefer(AUTO):
                found = dict(zip(wanted, _adjoint(plan, wanted).apply(gradients), strict=True))
            each = [found.get(i) for i in range(len(ctx.inputs))]
            # Torch casts gradients to the dtype of the input, but for their imaginary parts.
            pairs = zip(each, ctx.inputs, strict=True)
            return (
                None,
                None,
                *(g if g is None or t.is_complex else _real(g) for g, (t, _) in pairs),
            )

    return Applied


def _adjoint(plan: Plan, wanted: Sequence[int]) -> Plan:
    """What takes gradients of distinct results to those of some inputs, kept on the plan.

    Equal results are one tensor, whose gradient is the sum of all of theirs.
    """
    key = ("adjoint", *wanted)
    if key not in plan.memo:
        bound = plan.H.bound.part(list(dict.fromkeys(plan.same)), wanted)
        plan.memo[key] = replace(plan.H, nan="propagate", bound=bound)
    return plan.memo[key]


def _by_torch(
    plan: Plan, inputs: Sequence[tuple[Any, Any]], gradients: Sequence[Array]
) -> Sequence[Array]:
    """The gradients of a batch at once, by the reference, which is linear in any input."""
    torch = sys.modules["torch"]
    with torch.enable_grad():
        likes = [
            torch.zeros(shape, dtype=dtype, device=device, requires_grad=True)
            for shape, (dtype, device) in zip(plan.input_shapes, inputs, strict=True)
        ]
        results = reference.run(replace(plan.linear, nan="propagate"), likes)
    distinct = [results[i] for i in dict.fromkeys(plan.same)]
    # A result that is 0 whatever the inputs has no gradients.
    pairs = [(v, g) for v, g in zip(distinct, gradients, strict=True) if v.requires_grad]
    values, given = zip(*pairs, strict=True) if pairs else ((), ())
    return torch.autograd.grad(
        values, likes, given, create_graph=torch.is_grad_enabled(), allow_unused=True
    )


def _real(gradient: Array) -> Array:
    return gradient.real if gradient.is_complex() else gradient
