"""The text of a kernel: CUDA C++ from a `Key`, and from nothing else.

Every level of a chain becomes a function of the index of a result: level 0 reads an input, a rule
takes differences of the level below, an array multiplies it. They are inlined, so that a plan is
one kernel that reads what it needs and writes its results. Each function exists for one result and,
where threads compute several neighbours along the last axis, for a vector of them.

The text includes nothing and uses neither shared memory nor barriers, so that a C++ compiler for
the host can execute it, too (see tests/engines/cuda).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import accumulate
from typing import Any

from gradkit import _dtypes
from gradkit.engines.cuda.key import (
    ArrayKey,
    InputKey,
    Key,
    OutputKey,
    RuleKey,
    StepKey,
)
from gradkit.engines.cuda.loops import has_middle, loops, offset_of, size_of
from gradkit.engines.cuda.names import name
from gradkit.engines.cuda.preamble import DTYPES, HALF, PREAMBLE
from gradkit.methods import WALL

__all__ = ["BLOCK", "source"]

#: Threads of a block.
BLOCK = 256

Steps = tuple[StepKey, ...]
#: An input, the point of it that counts as the first one, and what has been done to it.
Level = tuple[int, tuple[int, ...], Steps]


def source(key: Key) -> str:
    """The text of the kernel of a key.

    Its arguments are, in order: the sizes; the weights, the scalars (two reals each where the
    computation is complex); the inputs, the arrays, the weights of rows at ends, the tables, and
    the outputs, as pointers.
    """
    parts = [_head(key), [HALF, PREAMBLE], _readers(key), _ends(key), _kernel(key), [""]]
    return "\n".join(line for part in parts for line in part)


def _head(key: Key) -> Iterator[str]:
    real = DTYPES[key.real]
    yield f"typedef {'long long' if key.is_wide else 'int'} I;  // indices"
    yield f"typedef {real} R;  // weights"
    yield "template <class T> struct Complex;"
    yield f"typedef {'Complex<R>' if key.is_complex else 'R'} A;  // differences and sums"


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


#: Points of rows at ends that are no offsets: 0, and what is known at the walls.
_NO_OFFSET = 30000
_SPECIAL = {None: _NO_OFFSET, WALL[0]: _NO_OFFSET + 1, WALL[1]: _NO_OFFSET + 2}


def _ends(key: Key) -> Iterator[str]:
    """The differences of the rows at the ends, as tables: where each row begins, and its points."""
    for number, rule in enumerate(key.rules):
        rows = [run.pairs for run in (*rule.first, *rule.last) for _ in range(run.rows)]
        if not rows:
            continue
        pairs = [pair for row in rows for pair in row] or [(None, None)]
        begins = list(accumulate(map(len, rows), initial=0))
        for word, values in (
            ("begin", begins),
            ("high", [_SPECIAL.get(high, high) for high, _ in pairs]),
            ("low", [_SPECIAL.get(low, low) for _, low in pairs]),
        ):
            listed = ", ".join(map(str, values))
            yield f"__constant__ short {word}{number}[] = {{{listed}}};"


# --- the kernel -----------------------------------------------------------------------------------


def _kernel(key: Key) -> Iterator[str]:
    yield f'extern "C" __global__ void __launch_bounds__({BLOCK}, 2)'
    yield f"{name(key)}({', '.join(_arguments(key))}) {{"
    for text in _body(key):
        yield f"  {text}"
    yield "}"


def _arguments(key: Key) -> Iterator[str]:
    yield from (f"const I n{axis}" for axis in range(key.ndim))
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
    yield from _Functions(key, 1).text()
    if key.vector > 1:
        yield from _Functions(key, key.vector).text()
    if has_middle(key):
        yield from _Functions(key, key.vector, in_middle=True).text()
    yield from loops(key)


class _Functions:
    """The functions of all levels, for some width and some rows."""

    def __init__(self, key: Key, width: int, in_middle: bool = False) -> None:
        self.key, self.width, self.in_middle = key, width, in_middle
        self.suffix = "_m" if in_middle else f"_{width}"
        self.names = [f"i{axis}" for axis in range(key.ndim)]
        self.indices = ", ".join(self.names)
        self.parameters = ", ".join(f"I {name}" for name in self.names)
        self.numbers = {level: number for number, level in enumerate(_levels(key))}

    def text(self) -> Iterator[str]:
        """All functions, each after those that it calls."""
        if not self.in_middle:
            yield from self._basics()
        for number, rule in enumerate(self.key.rules):
            yield from self._rule(number, rule)
        yield from self._levels()
        for number, output in enumerate(self.key.outputs):
            yield from self._output(number, output)

    def _function(self, name: str, value: str) -> str:
        return f"auto {name}{self.suffix} = [&]({self.parameters}) INLINE {{ return {value}; }};"

    def _basics(self) -> Iterator[str]:
        """What is read: elements of inputs and arrays."""
        n = self.width
        for i, given in enumerate(self.key.inputs):
            place = offset_of(self.names, given.extras)
            value = f"read{i}(load<{n}>(f{i} + {place}))"
            yield f"auto in{i}_{n} = [&]({self.parameters}) INLINE {{ return {value}; }};"
        for i, array in enumerate(self.key.arrays):
            yield self._function(f"array{i}", self._array(i, array))
        for known in _known(self.key):
            yield self._function(_wall(known), self._wall(known))

    def _array(self, number: int, array: ArrayKey) -> str:
        place = f"a{number} + {offset_of(self.names, array.extras)}"
        if array.extras[-1] is None:
            return f"splat<{self.width}>(*({place}))"
        return f"load<{self.width}>({place})"

    # --- rules --------------------------------------------------------------------------------

    def _rule(self, number: int, rule: RuleKey) -> Iterator[str]:
        """Weighted differences of the level below, g (one at a time: s), and known values."""
        yield (
            f"auto rule{number}{self.suffix} = "
            f"[&]({self.parameters}, auto g, auto s, auto first, auto last) INLINE {{"
        )
        in_row = rule.axis == self.key.ndim - 1 and self.width > 1
        if not in_row and not (self.in_middle and rule.axis != self.key.ndim - 1):
            yield from self._ends(number, rule)
        if in_row:
            yield from self._window(number, rule)
        else:
            yield from self._middle(number, rule)
        yield "};"

    def _ends(self, number: int, rule: RuleKey) -> Iterator[str]:
        """The rows at the ends of an axis, whose differences are listed in tables."""
        if not rule.before + rule.after:
            return
        index, zero = f"i{rule.axis}", f"splat<{self.width}>(A{{}})"
        middle = f"{size_of(rule.axis, rule.targets)} - {rule.after}"
        yield f"  if ({index} < {rule.before} || {index} >= {middle}) {{"
        yield f"    const I from_end = {rule.before} + {index} - ({middle});"
        yield f"    const I row = {index} < {rule.before} ? {index} : from_end;"
        yield f"    const int stop = begin{number}[row + 1];"
        yield f"    auto total = {zero};"
        yield f'    _Pragma("unroll 1") for (int p = begin{number}[row]; p < stop; ++p) {{'
        yield f"      const int h = high{number}[p], l = low{number}[p];"
        yield f"      const R weight = edge[{_first_edge(self.key, number)} + p];"
        if any(given.split for given in self.key.inputs):
            points = (self._point(rule, k, bool(rule.wrap)) for k in ("h", "l"))
            both = self._difference(rule, ("h", "l"), points, bool(rule.wrap))
            yield f"      if (h < {_NO_OFFSET} && l < {_NO_OFFSET}) {{"
            yield f"        total = add(total, mul(weight, {both}));"
            yield "        continue;"
            yield "      }"
        yield "      auto point = [&](int k) INLINE {"
        yield f"        if (k == {_SPECIAL[None]}) return {zero};"
        yield f"        if (k == {_SPECIAL[WALL[0]]}) return val(first({self.indices}));"
        yield f"        if (k == {_SPECIAL[WALL[1]]}) return val(last({self.indices}));"
        yield f"        return val({self._point(rule, 'k', bool(rule.wrap))});"
        yield "      };"
        yield "      total = add(total, mul(weight, sub(point(h), point(l))));"
        yield "    }"
        yield "    return total;"
        yield "  }"

    def _middle(self, number: int, rule: RuleKey) -> Iterator[str]:
        """Weighted differences, added from the first to the last; each point is computed once."""
        folds, names = rule.middle_folds, dict[Any, str]()
        for p, pair in enumerate(rule.middle):
            for point in pair:
                if point is not None and point not in names:
                    names[point] = f"p{len(names)}"
                    yield f"  const auto {names[point]} = {self._point(rule, point, folds)};"
            points = (names.get(point, "") for point in pair)
            difference = self._difference(rule, pair, points, folds)
            term = f"mul({_middle_weight(self.key, number, rule, p)}, {difference})"
            yield f"  total = add(total, {term});" if p else f"  auto total = {term};"
        yield f"  return {'total' if rule.middle else f'splat<{self.width}>(A{{}})'};"

    def _difference(
        self, rule: RuleKey, pair: tuple[Any, Any], points: Iterable[str], folds: bool
    ) -> str:
        (high, low), (upper, lower) = pair, points
        if low is None:
            return f"val({upper})"
        if high is None:
            return f"neg(val({lower}))"
        is_turned = (folds and rule.wrap < 0) or (any(rule.turned) and isinstance(high, str))
        if high in WALL or low in WALL or is_turned:
            return f"sub(val({upper}), val({lower}))"
        return f"sub({upper}, {lower})"

    def _point(self, rule: RuleKey, point: Any, folds: bool) -> str:
        """The value at an offset (a number, or the name of a variable) or at a wall."""
        if point in WALL:
            return f"{('first', 'last')[WALL.index(point)]}({self.indices})"
        index = f"i{rule.axis} + {point}" if point else f"i{rule.axis}"
        size = size_of(rule.axis, rule.sources)
        places = list(self.names)
        places[rule.axis] = f"fold({index}, {size})" if folds else index
        value = f"g({', '.join(places)})"
        if folds and rule.wrap < 0:
            value = f"turned(val({value}), {index} < 0 || {index} >= {size})"
        if any(rule.turned) and isinstance(point, str):
            first, last = rule.turned
            value = f"turned(val({value}), {index} < {first} || {index} >= {size} - {last})"
        return value

    def _window(self, number: int, rule: RuleKey) -> Iterator[str]:
        """Rows along the last axis, several at once: all that they take, then the differences."""
        n, x = self.width, self.names[-1]
        size = size_of(rule.axis, rule.sources)
        low, high = rule.spread
        before, after = max(-low, 0), max(high, 0)
        at = ", ".join([*self.names[:-1], "{}"])
        taken = [f"c.v[{e}]" for e in range(n)]
        for k in range(1, before + 1):
            place = f"{x} - {k}"
            taken.insert(0, f"s({at.format(f'{place} < 0 ? 0 : {place}')}).v[0]")
        for k in range(n, n + after):
            place = f"{x} + {k}"
            taken.append(f"s({at.format(f'{place} >= {size} ? {size} - 1 : {place}')}).v[0]")
        yield f"  auto c = g({self.indices});"
        yield f"  const typename decltype(c)::Element w[] = {{{', '.join(taken)}}};"
        weight = partial(_middle_weight, self.key, number, rule)
        total = ""
        for p, (up, down) in enumerate(rule.middle):
            upper, lower = ("" if k is None else f"part<{n}, {before + k}>(w)" for k in (up, down))
            if down is None:
                difference = f"val({upper})"
            elif up is None:
                difference = f"neg(val({lower}))"
            else:
                difference = f"sub({upper}, {lower})"
            loaded = f"load<{n}>(&{weight(p)})" if rule.is_table else weight(p)
            term = f"mul({loaded}, {difference})"
            total = f"add({total}, {term})" if total else term
        yield f"  return {total or f'splat<{n}>(A{{}})'};"

    # --- chains and outputs -------------------------------------------------------------------

    def _output(self, number: int, output: OutputKey) -> Iterator[str]:
        total = ""
        for chain in output.chains:
            value = f"{self._level(chain.source, chain.first, chain.steps)}({self.indices})"
            value = value if chain.steps else f"val({value})"
            term = value if chain.scalar is None else f"mul(k{chain.scalar}, {value})"
            total = f"add({total}, {term})" if total else term
        yield self._function(f"out{number}", total or f"splat<{self.width}>(A{{}})")

    def _levels(self) -> Iterator[str]:
        """One function per level: what results have in common is written, and compiled, once."""
        for (source, first, steps), number in self.numbers.items():
            if steps:
                value = self._step(steps[-1], (source, first, steps[:-1]))
            else:
                places = [f"{i} + {k}" if k else i for i, k in zip(self.names, first, strict=True)]
                value = f"in{source}_{self.width}({', '.join(places)})"
            yield self._function(f"level{number}", value)

    def _step(self, step: StepKey, below: Level) -> str:
        """The value of a level, from that of the level below."""
        if step.rule is None:
            factor = f"array{step.array}_{self.width}({self.indices})"
            return f"mul({factor}, val({self._level(*below)}({self.indices})))"
        single = self._level(*below, is_single=True)
        walls = ", ".join(f"{_wall(known)}_{self.width}" for known in step.walls)
        arguments = f"{self.indices}, {self._level(*below)}, {single}, {walls}"
        return f"rule{step.rule}{self.suffix}({arguments})"

    def _level(
        self, source: int, first: tuple[int, ...], steps: Steps, is_single: bool = False
    ) -> str:
        """The function of a level."""
        if not steps and not any(first):
            return f"in{source}_{1 if is_single else self.width}"
        return f"level{self.numbers[source, first, steps]}{'_1' if is_single else self.suffix}"

    def _wall(self, known: Any) -> str:
        """What is known at a wall."""
        if known is None:
            return f"splat<{self.width}>(A{{}})"
        if isinstance(known, int):
            return f"splat<{self.width}>(Cast<A>::of(k{known}))"
        return f"val(array{known[1]}_{self.width}({self.indices}))"


def _levels(key: Key) -> Iterator[Level]:
    """The levels of all chains, each after those below it; those that are inputs are left out."""
    levels = (
        (chain.source, chain.first, chain.steps[:n])
        for chain in key.chains()
        for n in range(len(chain.steps) + 1)
        if n or any(chain.first)
    )
    yield from dict.fromkeys(levels)


def _known(key: Key) -> Iterator[Any]:
    """What is known at walls, each once."""
    steps = (step for chain in key.chains() for step in chain.steps if step.rule is not None)
    yield from dict.fromkeys(known for step in steps for known in step.walls)


def _wall(known: Any) -> str:
    """The name of the function that gives what is known at a wall."""
    if known is None:
        return "nothing"
    return f"number_k{known}" if isinstance(known, int) else f"known{known[1]}"


def _middle_weight(key: Key, number: int, rule: RuleKey, p: int) -> str:
    before = key.rules[:number]
    if not rule.is_table:
        return f"w{sum(len(r.middle) for r in before if not r.is_table) + p}"
    table = sum(r.is_table for r in before)
    return f"t{table}[{p} * {size_of(rule.axis, rule.targets)} + i{rule.axis}]"


def _first_edge(key: Key, number: int) -> int:
    """Number of weights of rows at ends before those of a rule."""
    runs = [run for rule in key.rules[:number] for run in (*rule.first, *rule.last)]
    return sum(len(run.pairs) * run.rows for run in runs)
