"""The functions of a kernel, as text: what is read, each level of a chain, and the results.

Every level of a chain becomes a function of the index of a result: level 0 reads an input, a rule
takes differences of the level below, an array multiplies it. They are inlined, so that a plan is
one kernel that reads what it needs and writes its results. Each function exists for one result,
where threads compute several neighbours along the last axis for a vector of them, and for rows in
the middle of all axes before the last one, which have no branches.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from functools import partial
from math import gcd
from typing import Any

from gradkit.engines.cuda.key import ArrayKey, Key, OutputKey, RuleKey, StepKey
from gradkit.engines.cuda.loops import offset_of, size_of
from gradkit.methods import WALL

__all__ = ["NO_OFFSET", "SPECIAL", "Functions"]

Steps = tuple[StepKey, ...]
#: An input, the point of it that counts as the first one, and what has been done to it.
Level = tuple[int, tuple[int, ...], Steps]

#: Points of rows at ends that are no offsets: 0, and what is known at the walls.
NO_OFFSET = 2**30
SPECIAL = {None: NO_OFFSET, WALL[0]: NO_OFFSET + 1, WALL[1]: NO_OFFSET + 2}


class Functions:
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
        yield from self._near() if self.in_middle else self._basics()
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

    def _near(self) -> Iterator[str]:
        """Elements of inputs by their distances from the first point of a thread.

        Compilers know these distances, of which each costs less than an address from indices.
        """
        starts = [f"b{axis}" for axis in range(self.key.ndim)]
        for i, given in enumerate(self.key.inputs):
            yield f"const T{i}* const at{i} = f{i} + {offset_of(starts, given.extras)};"
            sizes = [size_of(axis, extra) for axis, extra in enumerate(given.extras)]
            place = f"at{i}"
            for axis, (index, start) in enumerate(zip(self.names, starts, strict=True)):
                place += f" + {' * '.join([*sizes[axis + 1 :], f'({index} - {start})'])}"
            yield self._function(f"in{i}", f"read{i}(load<{self.width}>({place}))")

    def _array(self, number: int, array: ArrayKey) -> str:
        place = f"a{number} + {offset_of(self.names, array.extras)}"
        if array.extras[-1] is None:
            return f"splat<{self.width}>(*({place}))"
        return f"load<{self.width}>({place})"

    # --- rules --------------------------------------------------------------------------------

    def _rule(self, number: int, rule: RuleKey) -> Iterator[str]:
        """Weighted differences of the level below, g, and of what is known at walls."""
        yield (
            f"auto rule{number}{self.suffix} = "
            f"[&]({self.parameters}, auto g, auto first, auto last) INLINE {{"
        )
        in_row = rule.axis == self.key.ndim - 1 and self.width > 1
        if not in_row and not self.in_middle:
            yield from self._ends(number, rule)
        yield from self._window(number, rule) if in_row else self._middle(number, rule)
        yield "};"

    def _ends(self, number: int, rule: RuleKey) -> Iterator[str]:
        """The rows at the ends of an axis, whose differences are listed in tables."""
        if not rule.before + rule.after:
            return
        index = f"i{rule.axis}"
        middle = f"{size_of(rule.axis, rule.targets)} - {rule.after}"
        yield f"  if ({index} < {rule.before} || {index} >= {middle}) {{"
        yield f"    const I from_end = {rule.before} + {index} - ({middle});"
        yield f"    const I row = {index} < {rule.before} ? {index} : from_end;"
        yield f"    const int stop = begin{number}[row + 1];"
        yield f"    auto total = splat<{self.width}>(A{{}});"
        yield f'    _Pragma("unroll 1") for (int p = begin{number}[row]; p < stop; ++p) {{'
        yield f"      const Pair points = pair{number}[p];"
        yield "      const int h = points.high, l = points.low;"
        yield f"      const R weight = edge[{_first_edge(self.key, number)} + p];"
        folds = bool(rule.wrap)
        points = [self._point(rule, k, folds) for k in ("h", "l")]
        both = self._difference(rule, ("h", "l"), points, folds)
        special = list(self._special(rule))
        if special and any(given.split for given in self.key.inputs):
            yield f"      if (h < {NO_OFFSET} && l < {NO_OFFSET}) {{"
            yield f"        total = add(total, mul(weight, {both}));"
            yield "        continue;"
            yield "      }"
        if special:
            yield "      auto point = [&](int k) INLINE {"
            yield from (f"        if (k == {SPECIAL[k]}) return {value};" for k, value in special)
            yield f"        return val({self._point(rule, 'k', folds)});"
            yield "      };"
            both = "sub(point(h), point(l))"
        yield f"      total = add(total, mul(weight, {both}));"
        yield "    }"
        yield "    return total;"
        yield "  }"

    def _special(self, rule: RuleKey) -> Iterator[tuple[Any, str]]:
        """Points of the rows at ends that are no offsets, and their values."""
        found = {k for run in (*rule.first, *rule.last) for pair in run.pairs for k in pair}
        if None in found:
            yield None, f"splat<{self.width}>(A{{}})"
        for wall, known in zip(WALL, ("first", "last"), strict=True):
            if wall in found:
                yield wall, f"val({known}({self.indices}))"

    def _middle(self, number: int, rule: RuleKey) -> Iterator[str]:
        """Weighted differences, added from the first to the last; each point is computed once.

        Points come in order: addresses that go up are sums of one instruction, and fewer of them
        are alive at once.
        """
        folds, names = self._folds(rule), dict[Any, str]({None: ""})
        weights = yield from self._weights(number, rule)
        for point in sorted({k for pair in rule.middle for k in pair} - {None}, key=_place):
            names[point] = f"p{len(names) - 1}"
            yield f"  const auto {names[point]} = {self._point(rule, point, folds)};"
        for p, pair in enumerate(rule.middle):
            difference = self._difference(rule, pair, map(names.__getitem__, pair), folds)
            term = f"mul({weights[p]}, {difference})"
            yield f"  total = add(total, {term});" if p else f"  auto total = {term};"
        yield f"  return {'total' if rule.middle else f'splat<{self.width}>(A{{}})'};"

    def _folds(self, rule: RuleKey) -> bool:
        """Whether rows reach around the ends of an axis: those in the middle of it do not."""
        return rule.middle_folds and not self.in_middle

    def _weights(self, number: int, rule: RuleKey) -> Generator[str, None, list[str]]:
        """The weights of a row, of which tables have as many side by side as vectors hold."""
        count = len(rule.middle)
        if not rule.is_table or rule.axis == self.key.ndim - 1:
            return [_middle_weight(self.key, number, rule, p) for p in range(count)]
        size = gcd(count, self.width)
        for p in range(0, count, size):
            first = _middle_weight(self.key, number, rule, p)
            yield f"  const auto h{p // size} = load<{size}>(&{first});"
        return [f"h{p // size}.v[{p % size}]" for p in range(count)]

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
        """Rows along the last axis, several at once: the vectors that they take, then the rest."""
        n, (low, high), x = self.width, rule.spread, self.names[-1]
        # Numbers of the first vector, counted from that of the rows, and of the one after the last.
        first, stop = -(max(-low, 0) // -n), 1 - (max(high, 0) // -n)
        for k in range(-first, stop):
            place = ", ".join([*self.names[:-1], f"{x} + {k * n}" if k else x])
            yield f"  auto c{k + first} = g({place});"
        taken = (f"c{k}.v[{e}]" for k in range(first + stop) for e in range(n))
        yield f"  const typename decltype(c0)::Element w[] = {{{', '.join(taken)}}};"
        weight = partial(_middle_weight, self.key, number, rule)
        total = ""
        for p, pair in enumerate(rule.middle):
            upper, lower = ("" if k is None else f"part<{n}, {first * n + k}>(w)" for k in pair)
            difference = self._difference(rule, pair, (upper, lower), False)
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
                value = f"in{source}{self.suffix}({', '.join(places)})"
            yield self._function(f"level{number}", value)

    def _step(self, step: StepKey, below: Level) -> str:
        """The value of a level, from that of the level below."""
        if step.rule is None:
            factor = f"array{step.array}_{self.width}({self.indices})"
            return f"mul({factor}, val({self._level(*below)}({self.indices})))"
        walls = ", ".join(f"{_wall(known)}_{self.width}" for known in step.walls)
        arguments = f"{self.indices}, {self._level(*below)}, {walls}"
        return f"rule{step.rule}{self.suffix}({arguments})"

    def _level(self, source: int, first: tuple[int, ...], steps: Steps) -> str:
        """The function of a level."""
        if not steps and not any(first):
            return f"in{source}{self.suffix}"
        return f"level{self.numbers[source, first, steps]}{self.suffix}"

    def _wall(self, known: Any) -> str:
        """What is known at a wall."""
        if known is None:
            return f"splat<{self.width}>(A{{}})"
        if isinstance(known, int):
            return f"splat<{self.width}>(Cast<A>::of(k{known}))"
        return f"val(array{known[1]}_{self.width}({self.indices}))"


def _place(point: Any) -> tuple[int, int]:
    """What points of a rule are sorted by: offsets, then walls."""
    return (1, WALL.index(point)) if point in WALL else (0, point)


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
    if rule.axis == key.ndim - 1:
        return f"t{table}[{p} * {size_of(rule.axis, rule.targets)} + i{rule.axis}]"
    return f"t{table}[i{rule.axis} * {len(rule.middle)} + {p}]"


def _first_edge(key: Key, number: int) -> int:
    """Number of weights of rows at ends before those of a rule."""
    runs = [run for rule in key.rules[:number] for run in (*rule.first, *rule.last)]
    return sum(len(run.pairs) * run.rows for run in runs)
