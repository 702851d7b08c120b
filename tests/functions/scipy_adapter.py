"""gradkit.functions behind the signatures of scipy.differentiate, as thin as can be.

What has no counterpart is not imitated: the order of accuracy, the factor between steps, the number
of iterations and the tolerances' meaning for SciPy's own stencils.
"""

from types import SimpleNamespace

import numpy as np

from gradkit import functions


class Answer(SimpleNamespace):
    """Attributes that can be read as items, too, as SciPy's results."""

    def __getitem__(self, name):
        return getattr(self, name)


def _options(x, tolerances=None, initial_step=None, step_direction=None):
    """Keywords of gradkit for those of SciPy: a direction is a bound at the point itself."""
    options = dict(tolerances or {})
    if initial_step is not None:
        options["step"] = initial_step
    if step_direction is not None:
        side = np.sign(step_direction)
        options["bounds"] = (np.where(side > 0, x, -np.inf), np.where(side < 0, x, np.inf))
    return options


def _answer(x, result, name="df"):
    status = np.where(result.success, 0, np.where(result.code == 3, -3, -2)).astype(np.int32)
    return Answer(
        x=x,
        **{name: result.value},
        error=result.error,
        success=result.success,
        status=status[()],
        nfev=np.asarray(result.evaluations, dtype=np.int32)[()],
        nit=np.asarray((np.asarray(result.evaluations) - 1) // 8, dtype=np.int32)[()],
    )


def derivative(f, x, *, args=(), preserve_shape=False, callback=None, order=None, **keywords):
    args = args if isinstance(args, tuple) else (args,)
    given = np.asarray(x)
    given = given if given.dtype.kind == "f" else given.astype(float)
    broad = [given, *args, *(np.asarray(keywords[k]) for k in keywords if k != "tolerances")]
    point = np.broadcast_arrays(*broad)[0].copy()
    options = _options(point, **keywords)
    if preserve_shape:
        result = functions.jacobian(lambda z: f(z[0]), point.reshape(1, -1), **options)
        shape = (*result.value.shape[:-2], *point.shape)
        return Answer(df=result.value.reshape(shape))
    values = [np.broadcast_to(arg, point.shape) for arg in args]
    # With bounds the points go in groups, and the first call is not for all of them.
    first = ["bounds" not in options]

    def stacked(z, *more):
        # SciPy asks for the values at the points alone, then for steps along the last axis.
        if not first[0]:
            return f(z.T, *(a[:, None] for a in more)).T
        first[0] = False
        alone = f(z[-1].reshape(point.shape), *(a.reshape(point.shape) for a in more))
        rest = f(z[:-1].T, *(a[:, None] for a in more)).T
        return np.concatenate([rest, alone.reshape(1, -1)])

    result = functions.derivative(stacked, point, args=tuple(values), **options)
    answer = _answer(point[()], result)
    if callback is not None:
        callback(answer)
    return answer


def jacobian(f, x, **keywords):
    x = np.asarray(x)
    return _answer(x, functions.jacobian(f, x, **_options(x, **_columns(x, keywords))))


def hessian(f, x, **keywords):
    x = np.asarray(x)
    return _answer(x, functions.hessian(f, x, **_options(x, **_columns(x, keywords))), "ddf")


def _columns(x, keywords):
    """Steps and directions per variable, for all points."""
    shape = (-1, *(1,) * (x.ndim - 1))
    per_variable = ("initial_step", "step_direction")
    return {
        name: np.asarray(value, dtype=float).reshape(shape) if name in per_variable else value
        for name, value in keywords.items()
    }
