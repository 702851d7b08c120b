"""The text of a kernel: CUDA C++ from a `Key`, and from nothing else.

The text includes nothing and uses neither shared memory nor barriers, so that a C++ compiler for
the host can execute it, too (see tests/engines/cuda).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from gradkit import _dtypes
from gradkit.engines.cuda.functions import SPECIAL, Functions
from gradkit.engines.cuda.key import InputKey, Key
from gradkit.engines.cuda.loops import has_ends, has_middle, loops
from gradkit.engines.cuda.names import name
from gradkit.engines.cuda.preamble import DTYPES, HALF, PREAMBLE

__all__ = ["source"]


def source(key: Key) -> str:
    """The text of the kernel of a key.

    Its arguments are, in order: the sizes; the rows of each thread, where threads walk; the blocks
    along the last two axes, where the grid is flat; the weights, the scalars (two reals each where
    the computation is complex); the inputs, the arrays, the weights of rows at ends, the tables,
    and the outputs, as pointers.
    """
    parts = [
        _head(key),
        [HALF, PREAMBLE],
        _fresh(key),
        _readers(key),
        _ends(key),
        _kernel(key),
        [""],
    ]
    return "\n".join(line for part in parts for line in part)


def _head(key: Key) -> Iterator[str]:
    real = DTYPES[key.real]
    yield f"typedef {'long long' if key.is_wide else 'int'} I;  // indices"
    yield f"typedef {real} R;  // weights"
    yield "template <class T> struct Complex;"
    yield f"typedef {'Complex<R>' if key.is_complex else 'R'} A;  // differences and sums"


def _fresh(key: Key) -> Iterator[str]:
    """A number of which compilers do not know that it is always the same.

    What they know to be the same in all steps they compute before the first one, and keep.
    """
    register = "l" if key.is_wide else "r"
    yield "DEVICE I fresh(I n) {"
    yield f'  asm volatile("" : "+{register}"(n));'
    yield "  return n;"
    yield "}"


def _readers(key: Key) -> Iterator[str]:
    """How elements of each input become numbers to take differences of."""
    for number, given in enumerate(key.inputs):
        yield f"typedef {DTYPES[given.dtype]} T{number};"
        kind, value = _reader(number, given)
        yield f"DEVICE {kind} number{number}(T{number} x) {{ return {value}; }}"
        yield "template <int... E>"
        yield f"DEVICE Vec<{kind}, E...> read{number}(Vec<T{number}, E...> a) {{"
        yield f"  return {{{{number{number}(a.v[E])...}}}};"
        yield "}"
    yield f"typedef {DTYPES[key.result]} T;"


def _reader(number: int, given: InputKey) -> tuple[str, str]:
    """The type of a number, and its value."""
    if given.split:
        low = f"x & (((T{number})1 << {given.split}) - 1)"
        kind = f"Split<{given.split}>"
        return kind, f"{kind}{{(R)(x >> {given.split}), (R)({low})}}"
    if _dtypes.kind(given.dtype) == "complex":
        return "Complex<R>", "{(R)x.re, (R)x.im}"
    return "R", "real_of(x)"


def _ends(key: Key) -> Iterator[str]:
    """The differences of the rows at the ends, as tables: where each row begins, and its points."""
    for number, rule in enumerate(key.rules):
        rows = [run.pairs for run in (*rule.first, *rule.last) for _ in range(run.rows)]
        if not rows:
            continue
        pairs = [pair for row in rows for pair in row] or [(None, None)]
        points = [f"{{{', '.join(str(SPECIAL.get(k, k)) for k in pair)}}}" for pair in pairs]
        begins = map(str, accumulate(map(len, rows), initial=0))
        yield f"__device__ const int begin{number}[] = {{{', '.join(begins)}}};"
        yield f"__device__ const Pair pair{number}[] = {{{', '.join(points)}}};"


# --- the kernel -----------------------------------------------------------------------------------


def _kernel(key: Key) -> Iterator[str]:
    yield f'extern "C" __global__ void __launch_bounds__({key.threads}, 2)'
    yield f"{name(key)}({', '.join(_arguments(key))}) {{"
    for text in _body(key):
        yield f"  {text}"
    yield "}"


def _arguments(key: Key) -> Iterator[str]:
    yield from (f"const I n{axis}" for axis in range(key.ndim))
    if key.walks:
        yield "const I stretch"
    if key.is_flat:
        yield from ("const unsigned int blocks_x", "const unsigned int blocks_y")
    yield from (f"const R w{i}" for i in range(_count_weights(key)))
    parts = ("r", "i") if key.is_complex else ("",)
    yield from (f"const R k{i}{part}" for i in range(_count_scalars(key)) for part in parts)
    yield from (f"const T{i}* __restrict__ f{i}" for i in range(len(key.inputs)))
    for i, array in enumerate(key.arrays):
        yield f"const {'A' if array.is_complex else 'R'}* __restrict__ a{i}"
    yield "const R* __restrict__ edge"
    tables = sum(rule.is_table for rule in key.rules)
    yield from (f"const R* __restrict__ t{i}" for i in range(tables))
    yield from (f"T* __restrict__ o{i}" for i in range(len(key.outputs)))


def _count_weights(key: Key) -> int:
    return sum(len(rule.middle) for rule in key.rules if not rule.is_table)


def _count_scalars(key: Key) -> int:
    used = [chain.scalar for chain in key.chains()]
    used += [k for c in key.chains() for s in c.steps for k in s.walls if isinstance(k, int)]
    return 1 + max((k for k in used if k is not None), default=-1)


def _body(key: Key) -> Iterator[str]:
    if key.is_complex:
        for i in range(_count_scalars(key)):
            yield f"const A k{i} = {{k{i}r, k{i}i}};"
    if key.vector == 1 or has_ends(key):
        yield from Functions(key, 1).text()
    if key.vector > 1:
        yield from Functions(key, key.vector).text()
    middle = list(Functions(key, key.vector, in_middle=True).text()) if has_middle(key) else []
    yield from loops(key, middle)
