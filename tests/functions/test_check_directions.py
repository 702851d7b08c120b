"""Checks along random directions, with bounds and steps, and sweeps of steps."""

import numpy as np
import pytest
from scipy.optimize import rosen_der, rosen_hess

from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.functions import check_gradient, check_hessian, check_jacobian

from .claimed import relu, rosen, softmax, softmax_jacobian, spoiled, step


def test_large_problems_are_checked_along_directions(rng):
    x = rng.standard_normal(1500)
    wanted = rosen_der(x)
    check = check_gradient(rosen, wanted, x)
    assert check.passed
    assert check.directions == 10
    assert check.verdict.shape == (10,)
    assert not check_gradient(rosen, spoiled(wanted, 700, wanted[700] + 1.0), x).passed
    assert check_gradient(rosen, wanted, x[:], directions=2, seed=3).verdict.shape == (2,)


def test_directions_of_jacobians_and_hessians(rng):
    x = rng.standard_normal(5)
    assert check_jacobian(softmax, softmax_jacobian, x, directions=3).verdict.shape == (5, 3)
    wrong = spoiled(softmax_jacobian(x), (1, 2), 1.0)
    check = check_jacobian(softmax, wrong, x, directions=3)
    assert set(check.verdict[1]) == {"wrong"}
    assert check.count("wrong") == 3
    assert check_hessian(rosen, rosen_hess, x, directions=3).passed
    assert not check_hessian(rosen, lambda x: 1.01 * rosen_hess(x), x, directions=3).passed


def test_directions_lead_away_from_bounds(rng):
    x = np.clip(rng.standard_normal(1200), -1, 1)  # a third of them are at a bound

    def inside(z):
        assert np.all(np.abs(z) <= 1)
        return rosen(z)

    check = check_gradient(inside, rosen_der, x, bounds=(-1, 1))
    assert check.passed
    assert check.directions == 10
    for i in (np.argmin(x), np.argmax(x), np.argmin(np.abs(x - 0.5))):
        wrong = spoiled(rosen_der(x), i, rosen_der(x)[i] + 10)
        assert check_gradient(inside, wrong, x, bounds=(-1, 1)).count("wrong") == 10
    with pytest.raises(ArgumentTypeError, match="bounds=3: wanted a pair"):
        check_gradient(inside, rosen_der, x, bounds=3)


def test_variables_at_bounds_do_not_always_cancel():
    # Both move inward in every direction, by lengths that differ.
    bounds = {"x": [0.0, 0.0], "bounds": ([0, -1], [1, 0]), "directions": 5}
    for claim in ([3.0, 2.0], [3.0, 0.0]):
        check = check_gradient(lambda z: 2 * z[0] + z[1], claim, **bounds)
        assert check.count("wrong") == 5


def test_a_variable_within_narrow_bounds_does_not_rule_a_direction():
    x = np.array([5e-7, 1.0])
    options = {"x": x, "bounds": ([0, -10], [1e-6, 10]), "directions": 3}

    def func(z):
        return np.sin(1e6 * z[0]) + np.sin(z[1])

    right = [1e6 * np.cos(0.5), np.cos(1.0)]
    assert check_gradient(func, right, **options).passed
    assert check_gradient(func, [right[0], right[1] + 1e-3], **options).count("wrong") == 3


def test_small_variables_count_along_directions():
    x = np.array([1e-9, 1.0])
    assert not check_gradient(lambda x: (x**2).sum(0), [1.0, 2.0], x, directions=1).passed


def test_kinks_leave_directions_undecided():
    x = np.zeros(5)
    wrong = spoiled(step(x), 3, 0.3)
    check = check_gradient(relu, wrong, x, directions=3)
    assert set(check.verdict) == {"undecided"}
    assert "kink: " in str(check)


def test_sign_is_named_along_directions_too(rng):
    x = rng.standard_normal(6)
    check = check_gradient(rosen, lambda x: -rosen_der(x), x, directions=4)
    assert check.hints == ("claimed = -numeric for all entries",)


def test_directions_in_single_precision(rng):
    x = rng.standard_normal(1200).astype(np.float32)
    assert check_gradient(rosen, rosen_der, x).passed
    assert not check_gradient(rosen, lambda x: 1.05 * rosen_der(x), x).passed


def test_sparse_numeric_jacobian(rng):
    x = rng.standard_normal(6)
    diagonal = {"func": np.sin, "x": x, "sparsity": np.eye(6)}
    assert check_jacobian(jac=np.diag(np.cos(x)), **diagonal).passed
    spoilt = spoiled(np.diag(np.cos(x)), (0, 5), 1.0)
    assert check_jacobian(jac=spoilt, **diagonal).worst == (0, 5)


def test_seed_chooses_directions(rng):
    x = rng.standard_normal(6)
    one, same, other = (
        check_gradient(rosen, rosen_der, x, directions=4, seed=seed).claimed for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_sweep_falls_with_the_square_of_the_step_where_the_claim_is_right():
    x = np.array([-1.2, 1.0, 0.5])
    for check, options in ((check_gradient, {}), (check_gradient, {"directions": 2})):
        sweep = check(rosen, rosen_der, x, steps=[1e-2, 1e-3], **options).sweep
        assert [s.step for s in sweep] == [1e-2, 1e-3]
        np.testing.assert_allclose(sweep[0].absolute / sweep[1].absolute, 100, rtol=0.05)
    sweep = check_hessian(rosen, rosen_hess, x, steps=[1e-1, 1e-2]).sweep
    np.testing.assert_allclose(sweep[0].absolute / sweep[1].absolute, 100, rtol=0.05)
    along = check_hessian(rosen, rosen_hess, x, steps=[1e-1, 1e-2], directions=2).sweep
    np.testing.assert_allclose(along[0].absolute / along[1].absolute, 100, rtol=0.05)
    wrong = check_gradient(rosen, np.zeros(3), x, steps=[1e-3, 1e-4]).sweep
    np.testing.assert_allclose([s.absolute for s in wrong], np.abs(rosen_der(x)).max(), rtol=1e-3)
    assert [s.wrong for s in wrong] == [3, 3]


def test_sweep_counts_what_is_not_finite():
    with np.errstate(invalid="ignore"):
        check = check_gradient(
            lambda x: np.sqrt(x).sum(0), lambda x: 0.5 / np.sqrt(x), [1e-3], steps=[1e-2, 1e-6]
        )
    assert check.passed
    assert check.sweep[0].wrong == 1


def test_steps_and_sparsity_along_directions(rng):
    x = np.array([0.5, 2.0, 1e3])
    for longest in (1e-3, [1e-3, 1e-2, 1.0]):
        points = []

        def func(z, points=points):
            points.append(abs(z.T - x).reshape(-1, 3).max(axis=0))
            return (z**2).sum(0)

        assert check_gradient(func, 2 * x, x, step=longest, directions=3, rounds=1).passed
        assert np.all(np.max(points, axis=0) <= np.array(longest) * (1 + 1e-12))
    A = rng.standard_normal((3, 3)) * np.eye(3)
    check = check_jacobian(lambda z: A @ z, A, x, sparsity=np.eye(3), directions=2)
    assert check.passed
    assert not check_jacobian(lambda z: A @ z, 2 * A, x, sparsity=np.eye(3), directions=2).passed
    with pytest.raises(ArgumentValueError, match=r"step has shape \(2,\)"):
        check_gradient(lambda z: z.sum(0), np.ones(3), x, step=[1, 2], directions=2)
