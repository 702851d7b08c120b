"""Kernels on NumPy arrays, compared with the reference, in memory with canaries around."""

import sys

import numpy as np
import pytest

from gradkit.engines import reference
from gradkit.engines.cpu import compiled, numbers

pytest.importorskip("numba", reason="numba is not installed")

CANARY = 101


@pytest.fixture(autouse=True, scope="session")
def _own_cache(run_folder):
    """A cache of this run's own, so that all kernels are compiled by it, each once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADKIT_CACHE_DIR", str(run_folder / "cpu"))
        yield


@pytest.fixture(autouse=True, scope="session")
def _compiler_is_not_traced():
    """Coverage is that of gradkit: to look for it in Numba takes as long as compiling does."""
    from numba.core.dispatcher import Dispatcher

    compiled_by_numba = Dispatcher.compile

    def seen():
        pass

    def untraced(*args, **kwargs):
        tracer = sys.gettrace()
        sys.settrace(None)
        try:
            return compiled_by_numba(*args, **kwargs)
        finally:
            sys.settrace(tracer)
            # A tracer is back with the next call, and would not see this function return.
            seen()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dispatcher, "compile", untraced)
        yield


def guarded(array, steps=None, order=None, canary=np.nan):
    """The same values in a larger array of canaries, every so many steps along each axis.

    `order` lists the axes from the outermost in memory to the innermost.
    """
    steps = (1,) * array.ndim if steps is None else steps
    order = tuple(range(array.ndim)) if order is None else order
    shape = [array.shape[axis] * abs(steps[axis]) + 6 for axis in order]
    filler = CANARY if array.dtype.kind in "iu" else canary
    large = np.full(shape, filler, array.dtype)
    large = large.transpose(np.argsort(order))
    inside = tuple(
        slice(3, 3 + n * s, s) if s > 0 else slice(2 - n * s, 2, s)
        for n, s in zip(array.shape, steps, strict=True)
    )
    view = large[inside]
    view[...] = array
    return view, large, inside


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def compare(plan, inputs, steps=None, out_steps=None, order=None, threads=1, exact=same_bits):
    """Run a plan by kernels and by the reference; results must be equal and canaries alive."""
    assert compiled.reason_against(plan, inputs) is None
    wanted = reference.run(plan, inputs)
    wanted = [wanted[i] for i in dict.fromkeys(plan.same)]
    given = [guarded(f, steps, order)[0] for f in inputs]
    # Results are left in the caches, and written past them.
    for past in (numbers.PAST, 0):
        # Around inputs are NaN, which would spoil results; around these something else.
        blanks = [guarded(np.full_like(w, np.nan), out_steps, order, CANARY) for w in wanted]
        plan.memo.pop("cpu calls", None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(numbers, "PAST", past)
            assert compiled.run(plan, given, [view for view, _, _ in blanks], threads)
        for w, (view, large, inside) in zip(wanted, blanks, strict=True):
            assert exact(np.ascontiguousarray(view), w)
            large[inside] = CANARY
            assert (large == CANARY).all(), "something was written outside"
    plan.memo.pop("cpu calls", None)
