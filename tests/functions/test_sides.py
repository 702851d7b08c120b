"""Which side of a point is sampled, how far, and that both kinds of points find their place."""

import numpy as np
import pytest

from gradkit.errors import ArgumentValueError
from gradkit.functions import derivative, gradient, jacobian
from gradkit.functions.schemes import central_scheme, one_sided_scheme
from gradkit.functions.sides import facing
from gradkit.functions.steps import Start

STEP = np.asarray([0.1, 0.1, 0.1])
BELOW, ABOVE = np.asarray([0.0, 1.0, 5.0]), np.asarray([2.0, 1.0, 0.5])


def sides(scheme, method, below=BELOW, above=ABOVE):
    return facing(np, Start(STEP, below, above, 0.0), np.full(3, 0.12), scheme, method)


def test_steps_to_both_sides_reach_no_further_than_the_nearer_bound():
    found = sides(central_scheme((1,)), "central")
    assert found.side is None
    assert np.all(found.widest * STEP <= np.minimum(BELOW, ABOVE))
    assert np.all(found.widest[1:] * STEP[1:] > 0.5 * np.minimum(BELOW, ABOVE)[1:])
    assert found.cramped.tolist() == [True, False, False]


def test_one_sided_steps_go_where_there_is_more_room():
    found = sides(one_sided_scheme((1,)), "central")
    assert found.side.tolist() == [1, 1, -1]
    assert np.all(found.widest * STEP <= [2, 1, 5])


@pytest.mark.parametrize(
    ("method", "side", "room"), [("forward", 1, ABOVE), ("backward", -1, BELOW)]
)
def test_the_side_that_was_named_is_taken(method, side, room):
    found = sides(one_sided_scheme((1,)), method, BELOW + 0.5, ABOVE + 0.5)
    assert found.side.tolist() == [side] * 3
    assert np.all(found.widest * STEP <= room + 0.5)


def test_stencils_of_higher_orders_reach_further():
    first, third = (sides(central_scheme((n,)), "central").widest for n in (1, 3))
    np.testing.assert_allclose(third, first / 2)


def test_without_bounds_there_is_room_without_end():
    found = sides(central_scheme((1,)), "central", None, None)
    assert np.isinf(found.widest).all()
    assert not found.cramped.any()


def test_points_at_bounds_and_between_them_find_their_places():
    x = np.asarray([0.0, 0.5, 1.0, 0.25, 1.0, 0.0])

    def func(t):
        assert np.all((t >= 0) & (t <= 1))
        return np.exp(3 * t)

    result = derivative(func, x, bounds=(0, 1))
    assert np.all(abs(result.value - 3 * np.exp(3 * x)) <= 10 * result.error)
    assert np.all(result.error < 1e-5)
    # Inside, both sides are sampled: 8 points and x; at a bound the ladder has as many on one side.
    assert result.evaluations[1] % 8 == 1


def test_one_variable_at_a_bound_and_one_between():
    result = gradient(lambda z: np.exp(z[0]) * np.sin(z[1]), [0.0, 0.5], bounds=(0, 1))
    assert np.all(abs(result.value - [np.sin(0.5), np.cos(0.5)]) <= 10 * result.error)


def test_under_jit_both_are_searched_and_one_is_taken():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    x = np.asarray([0.0, 0.5, 1.0])
    run = jax.jit(lambda t: derivative(jax.numpy.exp, t, bounds=(0, 1), rounds=2).value)
    np.testing.assert_allclose(np.asarray(run(jax.numpy.asarray(x))), np.exp(x), rtol=1e-6)


def test_bounds_that_are_far_beyond_a_tiny_x_raise_no_warning():
    x = np.asarray([1e-12, 0.5], np.float32)
    for method in ("central", "forward"):
        result = derivative(np.sin, x, method=method, bounds=(-1e30, 1e30))  # warnings are errors
        assert np.all(abs(result.value - np.cos(x)) <= 10 * result.error)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("method", ["central", "forward", "backward"])
def test_func_is_not_called_beyond_bounds_that_are_some_roundings_away(dtype, order, method):
    refused = 0
    for digits in (1, 4, 16, 40, 64, 200, 2000):
        for lower, upper in ((-1.0, 1.0), (-1.0, -1 + digits * np.finfo(dtype).eps)):

            def func(z, low=lower, high=upper):
                assert np.all((z >= low) & (z <= high))
                return z**3

            x = np.asarray([-1 + digits * np.finfo(dtype).eps / 2], dtype)
            try:
                derivative(func, x, order=order, method=method, bounds=(lower, upper))
                gradient(lambda z: func(z[0]), x, method=method, bounds=(lower, upper))
            except ArgumentValueError:
                refused += 1
    assert 0 < refused < 14


def test_func_with_known_sparsity_is_not_called_beyond_bounds_either():
    x = np.asarray([1.0, 1 - 1e-16])
    with pytest.raises(ArgumentValueError, match="no room for steps"):
        jacobian(lambda z: z**2, x, sparsity=np.eye(2), bounds=(0.5, 1), method="forward")
