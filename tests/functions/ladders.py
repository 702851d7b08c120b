"""Ladders of a known function, judged: for tests of what follows from a round."""

from types import SimpleNamespace

import numpy as np

from gradkit.functions.judging import Tolerances, judge
from gradkit.functions.schemes import central_scheme


def ladder(func, x, longest, *, order=1, noise=0.0, wide=0.12):
    """The scheme and the judged round of one ladder of steps about one number."""
    scheme = central_scheme((order,))
    x, size = np.asarray([x], float), np.asarray([longest], float)
    steps = size * scheme.ratio ** -np.arange(scheme.levels, dtype=float)[:, None]
    values = {(k,): func(x + k * steps) for (k,) in scheme.points}
    values[0,] = func(x[None, :])
    lanes = SimpleNamespace(
        wide=np.asarray([wide**order]),
        position=abs(x),
        noise=noise,
        epsilon=float(np.finfo(float).eps),
    )
    return scheme, judge(np, scheme, values, [steps], lanes, Tolerances(None, None)), lanes
