"""The arguments that all calls share: what is refused, what becomes of x, what a plan knows."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.functions.inputs import Options, over, points


@pytest.mark.parametrize(
    ("keywords", "error", "text"),
    [
        ({"method": "centre"}, ArgumentValueError, "method='centre'"),
        ({"method": 2}, ArgumentValueError, "method=2"),
        ({"rtol": -1e-3}, ArgumentValueError, r"rtol=-0\.001 .* >= 0"),
        ({"atol": float("nan")}, ArgumentValueError, "atol=nan"),
        ({"rtol": True}, ArgumentTypeError, "rtol=True"),
        ({"atol": "1"}, ArgumentTypeError, "atol='1'"),
        ({"args": 3.0}, ArgumentTypeError, r"args=3\.0 is not a tuple"),
        ({"vectorized": 1}, ArgumentTypeError, "vectorized=1 is not True or False"),
        ({"workers": map}, ArgumentTypeError, "pass vectorized=False"),
        ({"workers": 4, "vectorized": False}, ArgumentTypeError, "workers=4 is neither"),
        ({"callback": "print"}, ArgumentTypeError, "callback='print' is not callable"),
        ({"rounds": 0}, ArgumentValueError, "rounds"),
        ({"rounds": 2.5}, ArgumentTypeError, "rounds"),
    ],
)
def test_keywords_are_refused_by_name(keywords, error, text):
    with pytest.raises(error, match=text):
        Options(**keywords)


def test_what_is_good_is_taken():
    with ThreadPoolExecutor(1) as pool:
        for workers in (map, pool):
            Options(workers=workers, vectorized=False)
    assert tuple(Options(rtol=0, atol=1e-3).tolerances) == (0, 1e-3)


def test_a_complex_step_has_order_1():
    assert Options().without_complex_step(2) == Options()
    with pytest.raises(ArgumentValueError, match=r"method='complex' .* order 3"):
        Options(method="complex").without_complex_step(3)


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (3, "float64"),
        ([1, 2], "float64"),
        (np.float32(2), "float32"),
        (np.arange(3, dtype="u1"), "float64"),
    ],
)
def test_points_are_real_floating_numbers(given, dtype):
    x = points(given, abs)
    assert x.dtype == dtype
    np.testing.assert_array_equal(x, given)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (np.float16(1), "x has dtype float16: wanted float32, float64 or integers"),
        ([True], "x has dtype bool"),
        ([1j], "x has dtype complex128"),
        (np.ma.masked_array([1.0, 2.0], [0, 1]), "masked array"),
    ],
)
def test_other_points_are_refused(x, text):
    with pytest.raises(ArgumentTypeError, match=text):
        points(x, abs)


def test_func_is_called_for_nothing_else():
    with pytest.raises(ArgumentTypeError, match="func=3 is not callable"):
        points([1.0], 3)


def test_tensors_that_record_gradients_are_taken_by_value():
    torch = pytest.importorskip("torch")
    assert not points(torch.ones(2, requires_grad=True), abs).requires_grad


def test_other_arguments_follow_x():
    x = np.zeros((2, 3), "float32")
    spread = over([1, 2, 3], x, "step")
    assert (spread.dtype, spread.tolist()) == (x.dtype, [[1, 2, 3], [1, 2, 3]])
    with pytest.raises(ArgumentValueError, match=r"step has shape \(2,\): .* \(2, 3\)"):
        over([1, 2], x, "step")
    with pytest.raises(ArgumentTypeError, match="noise has dtype complex128: wanted real"):
        over(1j, x, "noise")


def test_progress_is_that_of_all_blocks():
    seen = []
    options = Options(callback=lambda done, total: seen.append((done, total)))
    done = [0, 0]
    first, second = (options.plan(np.zeros(7), 7, done, block) for block in (0, 1))
    first.after(4)
    second.after(1)
    second.after(3)
    assert seen == [(4, 7), (5, 7), (7, 7)]


def test_traced_points_are_not_looked_at():
    jax = pytest.importorskip("jax")
    plans = []
    options = Options(rounds=3, callback=print)
    jax.jit(lambda x: plans.append(options.plan(x, 1)) or x)(jax.numpy.ones(2))
    assert (plans[0].most, plans[0].look, plans[0].compress, plans[0].after) == (
        3,
        False,
        False,
        None,
    )
    here = options.plan(np.ones(2), 2)
    assert here.look
    assert here.compress
    assert not options.plan(jax.numpy.ones(2), 2).compress
