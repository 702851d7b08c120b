"""Rounds, driven: which lanes are asked for, when they end, and what is kept of them."""

import numpy as np

from gradkit.functions.evaluate import answered
from gradkit.functions.history import Found
from gradkit.functions.judging import Tolerances
from gradkit.functions.schemes import central_scheme
from gradkit.functions.search import Rounds, put, search


class Sampler:
    """Lanes about the points x, with one value or several each; notes what is asked for."""

    noise, epsilon = 0.0, float(np.finfo(float).eps)

    def __init__(self, func, x, longest=0.1, asked=None):
        self.func, self.x = func, np.asarray(x, float)
        self.longest = np.broadcast_to(np.asarray(longest, float), self.x.shape)
        self.asked = [] if asked is None else asked
        self.widest = np.full(self.x.shape, np.inf)
        self.cramped = np.zeros(self.x.shape, bool)
        self.wide = 0.12 * np.maximum(abs(self.x), 1)
        self.position = abs(self.x)

    def sample(self, scheme, factor):
        ladder = scheme.ratio ** -np.arange(scheme.levels, dtype=float)[:, None]
        steps = (self.x + self.longest * factor * ladder) - self.x
        self.asked.append((self.x.tolist(), (self.longest * factor).tolist()))
        yield np.zeros((1, 1)), ()  # points: the values are made here
        values = {(k,): self.func(self.x + k * steps) for (k,) in scheme.points}
        values[0,] = self.func(self.x[None, :])
        return values, [steps]

    def take(self, index):
        return Sampler(self.func, self.x[index], self.longest[index], self.asked)


def found(lanes, most=6, compress=True, after=None, tolerances=(None, None)):
    plan = Rounds(most, True, compress, after)
    run = search(np, central_scheme((1,)), lanes, Tolerances(*tolerances), plan)
    return answered(lambda points, args: points, [run])[0]


def wave(x):
    return np.sin(40 * x)


def test_only_lanes_that_are_open_are_asked_for_again():
    x = [0.0, 1.0, 2.0, 3.0]

    def func(t):
        return np.where(t > 1.5, wave(t), np.exp(t))

    lanes = Sampler(func, x)
    result = found(lanes)
    assert [points for points, _ in lanes.asked[:2]] == [x, [2.0, 3.0]]
    assert all(points for points, _ in lanes.asked)
    true = [1, np.e, 40 * np.cos(80), 40 * np.cos(120)]
    assert np.all(abs(result.value - true) <= 10 * result.error)
    assert result.evaluations.tolist()[:2] == [9, 9]
    assert result.evaluations[2:].min() >= 17


def test_all_lanes_go_on_together_where_they_cannot_be_taken_apart():
    lanes = Sampler(lambda t: np.where(t > 1.5, wave(t), np.exp(t)), [0.0, 1.0, 2.0, 3.0])
    apart = found(Sampler(lanes.func, lanes.x))
    together = found(lanes, compress=False)
    assert {len(points) for points, _ in lanes.asked} == {4}
    for one, other in zip(apart, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_rounds_end_where_they_were_told_to():
    lanes = Sampler(lambda t: np.sin(1e5 * t), [1.0])
    result = found(lanes, most=2)
    assert len(lanes.asked) == 2
    assert result.error > result.limit


def test_progress_counts_lanes_and_ends_with_all():
    seen = []
    found(
        Sampler(lambda t: np.where(t > 1.5, wave(t), np.exp(t)), [0.0, 1.0, 2.0]), after=seen.append
    )
    assert (seen[0], seen[-1]) == (2, 3)
    assert seen == sorted(seen)


def test_what_has_met_its_target_is_kept_whatever_others_ask_for():
    def func(t):
        return np.stack([np.exp(t), wave(t)], axis=-2)

    alone = found(Sampler(np.exp, [1.0]))
    lanes = Sampler(func, [1.0])
    both = found(lanes)
    assert len(lanes.asked) > 1
    assert both.value[0] == alone.value
    assert abs(both.value[1, 0] - 40 * np.cos(40)) <= 10 * both.error[1, 0]


def test_values_of_a_lane_go_to_the_shortest_steps_that_one_of_them_wants():
    def func(t):
        return np.stack([wave(t), 1e8 + t], axis=-2)

    lanes = Sampler(func, [1.0])
    result = found(lanes, tolerances=(1e-10, 0.0))
    longest = [steps[0] for _, steps in lanes.asked]
    assert longest[1] < longest[0]  # for the wave, though rounding asks for longer ones
    assert max(longest) > longest[0]  # once that is settled
    assert np.all(abs(result.value[:, 0] - [40 * np.cos(40), 1]) <= 10 * result.error[:, 0])


def test_lanes_find_their_places_among_all():
    total = Found(*(np.zeros((2, 4)) for _ in Found._fields))
    put(total, np.asarray([3, 1]), Found(*(np.asarray([[1.0, 2], [3, 4]]) for _ in Found._fields)))
    np.testing.assert_array_equal(total.error, [[0, 2, 0, 1], [0, 4, 0, 3]])
