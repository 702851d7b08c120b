"""Checks: right derivatives pass, and each kind of mistake is caught, marked and named."""

import numpy as np
import pytest
from scipy.optimize import rosen_der, rosen_hess

from gradkit.errors import ArgumentTypeError, ArgumentValueError, CheckError, GradkitError
from gradkit.functions import (
    assert_gradient,
    assert_hessian,
    assert_jacobian,
    check_gradient,
    check_hessian,
    check_jacobian,
)


def rosen(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum(0)


def softmax(x):
    e = np.exp(x - x.max(axis=0))
    return e / e.sum(axis=0)


def softmax_jacobian(x):
    s = softmax(x)
    return np.diag(s) - np.outer(s, s)


def relu(x):
    return np.maximum(x, 0).sum(0)


def step(x):
    return (x > 0) * np.ones_like(x)


def spoiled(values, index, entry):
    values = np.array(values)
    values[index] = entry
    return values


def network(x, data):
    """The loss of a network with two layers, 3-4-2, of its weights, for many points at once."""
    points, targets = data
    first, second = x[:12].reshape(4, 3, *x.shape[1:]), x[12:20].reshape(2, 4, *x.shape[1:])
    hidden = np.tanh(np.einsum("hi...,pi->ph...", first, points))
    error = np.einsum("oh...,ph...->po...", second, hidden) - targets.reshape(
        *targets.shape, *(1,) * (x.ndim - 1)
    )
    return (error**2).mean(axis=(0, 1))


def network_gradient(x, data):
    """Backpropagation by hand."""
    points, targets = data
    first, second = x[:12].reshape(4, 3), x[12:].reshape(2, 4)
    hidden = np.tanh(points @ first.T)
    error = 2 * (hidden @ second.T - targets) / targets.size
    back = error @ second * (1 - hidden**2)
    return np.concatenate([(back.T @ points).ravel(), (error.T @ hidden).ravel()])


def data_of(rng, dtype=np.float64):
    return rng.standard_normal((10, 3)).astype(dtype), rng.standard_normal((10, 2)).astype(dtype)


PRECISIONS = pytest.mark.parametrize("dtype", [np.float32, np.float64])


# --- right derivatives --------------------------------------------------------------------------


@PRECISIONS
@pytest.mark.parametrize("seed", range(8))
def test_right_gradients_pass(dtype, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(8).astype(dtype)
    assert check_gradient(rosen, rosen_der, x).passed
    X, y = rng.standard_normal((20, 8)).astype(dtype), rng.standard_normal(20).astype(dtype)

    def mse(w):
        return ((X @ w - y.reshape(-1, *(1,) * (w.ndim - 1))) ** 2).mean(axis=0)

    assert check_gradient(mse, lambda w: 2 * X.T @ (X @ w - y) / 20, x).passed
    weights = rng.standard_normal(20).astype(dtype)
    data = data_of(rng, dtype)
    assert check_gradient(network, network_gradient, weights, args=(data,)).passed


@PRECISIONS
@pytest.mark.parametrize("seed", range(8))
def test_right_jacobians_and_hessians_pass(dtype, seed):
    rng = np.random.default_rng(seed)
    # In single precision, second derivatives have few digits where x, and so the step, is small.
    x = (rng.choice([-1, 1], 6) * rng.uniform(0.5, 2, 6)).astype(dtype)
    assert check_jacobian(softmax, softmax_jacobian, x).passed
    assert check_hessian(rosen, rosen_hess, x).passed


@PRECISIONS
def test_one_percent_is_too_much(dtype, rng):
    x = rng.standard_normal(8).astype(dtype)
    wanted = rosen_der(x)
    largest = int(np.argmax(np.abs(wanted)))
    check = check_gradient(rosen, spoiled(wanted, largest, 1.01 * wanted[largest]), x)
    assert check.worst == (largest,)
    assert [check.verdict[largest], check.count("wrong")] == ["wrong", 1]


def test_tolerances_are_those_of_the_user():
    x = np.array([1.0, 2.0])
    near = 2 * x * (1 + 1e-4)
    square = {"func": lambda x: (x**2).sum(0), "grad": near, "x": x}
    assert not check_gradient(**square).passed
    assert check_gradient(**square, rtol=2e-4).passed
    assert check_gradient(**square, atol=5e-4).passed
    assert not check_gradient(**square, rtol=0, atol=3e-4).passed


def test_claim_in_single_precision_is_judged_as_one():
    x = np.array([1.0, 2.0])
    near = 2 * x * (1 + 1e-4)
    assert check_gradient(lambda x: (x**2).sum(0), near.astype(np.float32), x).passed
    assert not check_gradient(lambda x: (x**2).sum(0), near, x).passed


def test_function_of_one_point_at_a_time():
    def one(x):
        return float(np.sum(x**3))

    assert check_gradient(
        one, lambda x: 3 * x**2, [1.0, 2.0], vectorized=False, steps=[1e-4]
    ).passed
    assert check_hessian(one, np.diag([6, 12]), [1, 2], vectorized=False, steps=[1e-3]).passed


def test_complex_values():
    x = np.array([0.3, 0.7])
    wave = {"func": lambda x: np.exp(1j * x), "x": x}
    assert check_jacobian(jac=np.diag(1j * np.exp(1j * x)), **wave).passed
    check = check_jacobian(jac=np.diag(-1j * np.exp(-1j * x)), **wave)
    assert check.hints == ("claimed = conj(numeric) for all entries",)


def test_further_keywords_reach_the_numeric_derivative():
    x = np.array([1e-3, 0.0])
    options = {"bounds": (0.0, None)}
    check = check_gradient(
        lambda x: np.sqrt(x + 1e-3).sum(0), lambda x: 0.5 / np.sqrt(x + 1e-3), x, **options
    )
    assert check.passed
    with pytest.raises(TypeError, match="nonsense"):
        check_gradient(rosen, rosen_der, x, nonsense=1)


def test_bounds_hold_along_directions():
    x = np.array([1e-3, 1.0, 0.5])

    def func(x):
        if np.any(x < 0):
            raise FloatingPointError("outside")
        return (x**2.5).sum(0)

    options = {"bounds": (0.0, None), "directions": 5}
    assert check_gradient(func, lambda x: 2.5 * x**1.5, x, **options).passed


# --- mistakes -----------------------------------------------------------------------------------


def test_wrong_entry_is_marked_first():
    x = np.array([-1.2, 1.0, 0.5, 2.0])
    wanted = rosen_der(x)
    check = check_gradient(rosen, spoiled(wanted, 2, wanted[2] + 0.1), x)
    assert not check.passed
    assert check.verdict.tolist() == ["passed", "passed", "wrong", "passed"]
    first = check.lines()[0].cells
    assert first[:2] == ("*", "[2]")
    np.testing.assert_allclose(check.absolute[2], 0.1, rtol=1e-6)
    np.testing.assert_allclose(check.relative[2], 0.1 / abs(wanted[2]), rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_claim_that_is_not_finite_fails_and_hides_nothing(bad):
    x = np.arange(1.0, 31.0)
    wanted = 2 * x
    claim = spoiled(spoiled(wanted, slice(0, 20), bad), 25, 0.0)
    check = check_gradient(lambda x: (x**2).sum(0), claim, x)
    assert check.count("not finite") == 20
    assert check.worst == (25,)
    lines = str(check).splitlines()
    starred = [line.split()[1] for line in lines if line.startswith("*") and "[" in line]
    assert starred[0] == "[25]"
    assert "claimed not finite" in str(check)
    with pytest.raises(CheckError):
        check.raise_if_failed()


def test_numeric_derivative_that_is_not_finite_fails():
    with np.errstate(invalid="ignore"):
        check = check_gradient(lambda x: np.sqrt(x).sum(0), [np.nan, 0.5], [-1.0, 1.0])
        either = check_gradient(lambda x: np.sqrt(x).sum(0), [1.0, 0.5], [-1.0, 1.0])
    assert "not finite" in check.verdict.tolist()
    assert "claimed and numeric not finite" in str(check)
    assert not check.passed
    assert not either.passed


def test_sign_and_factor_are_named():
    x = np.array([-1.2, 1.0, 0.5])
    for factor, words in ((-1, "-numeric"), (2, "2 x numeric"), (1 / 3, "1/3 x numeric")):
        hints = check_gradient(rosen, factor * rosen_der(x), x).hints
        assert hints == (f"claimed = {words} for all entries",)
    assert check_gradient(rosen, np.zeros(3), x).hints == ("claimed = 0 for all entries",)
    one = check_gradient(rosen, rosen_der(x) * [1, -1, 1], x)
    assert one.hints == ()
    assert "= -numeric" in str(one)
    # A single entry always has a factor, which tells nothing.
    assert check_gradient(lambda x: x[0] ** 2, [2.7], [1.0]).hints == ()
    assert check_gradient(lambda x: x[0] ** 2, [-2.0], [1.0]).hints


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transposed_jacobian_is_named(dtype, rng):
    for shape in ((3, 3), (2, 4)):
        A = rng.standard_normal(shape).astype(dtype)
        x = np.ones(shape[1], dtype)
        check = check_jacobian(lambda x: np.tensordot(A, x, 1), A.T, x)  # noqa: B023
        assert not check.passed
        assert any("looks transposed" in hint for hint in check.hints)
        with pytest.raises(CheckError, match="looks transposed"):
            check.raise_if_failed()
        assert check_jacobian(lambda x: np.tensordot(A, x, 1), A, x).passed  # noqa: B023
        assert any(
            line.startswith("*") and ("[" in line or "looks" in line)
            for line in str(check).splitlines()
        )


def test_transposed_and_wrong_is_said_to_be_both(rng):
    A = rng.standard_normal((2, 3))
    check = check_jacobian(lambda x: A @ x, spoiled(A, (1, 2), 9.0).T, np.ones(3))
    assert "looks transposed" in check.hints[0]
    assert check.worst == (1, 2)
    assert check.count("wrong") == 1


def test_other_shapes_fail():
    square = {"func": lambda x: (x**2).sum(0), "x": np.ones(3)}
    check = check_gradient(grad=np.ones((1, 3)) * 2, **square)
    assert not check.passed
    assert "shape (1, 3), wanted (3,)" in check.hints[0]
    assert check.verdict.tolist() == ["passed"] * 3
    check = check_gradient(grad=np.ones(4), **square)
    assert not check.passed
    assert check.worst is None
    assert "claimed has shape (4,), wanted (3,)" in str(check)
    with pytest.raises(CheckError, match="shape"):
        check.raise_if_failed(undecided=False)
    assert not check_hessian(square["func"], np.eye(2), square["x"]).passed


def test_asymmetric_hessian_is_named():
    x = np.array([0.3, -0.2])
    wanted = rosen_hess(x)
    check = check_hessian(rosen, spoiled(wanted, (0, 1), 0.0), x)
    assert "claimed is not symmetric" in check.hints
    assert check.worst == (0, 1)
    along = check_hessian(rosen, wanted + np.array([[0, 1], [-1, 0]]), x, directions=4)
    assert along.hints == ("claimed is not symmetric",)


# --- small derivatives, and variables of different sizes ----------------------------------------


@PRECISIONS
@pytest.mark.parametrize("scale", [1e-12, 1e-6])
def test_small_derivatives_are_checked_like_large_ones(dtype, scale):
    x, scale = np.array([-1.2, 1.0, 0.5], dtype), dtype(scale)

    def small(x):
        return scale * (rosen(x) + 1)

    right = scale * rosen_der(x).astype(dtype)
    assert check_gradient(small, right, x).passed
    assert check_gradient(small, right, x, directions=3).passed
    assert check_gradient(small, -right, x).count("wrong") == 3
    assert check_gradient(small, -right, x, directions=3).count("wrong") == 3
    for i in range(3):
        check = check_gradient(small, spoiled(right, i, 2 * right[i]), x)
        assert np.flatnonzero(check.verdict == "wrong").tolist() == [i]
    hessian = scale * rosen_hess(x).astype(dtype)
    assert check_hessian(small, hessian, x).passed
    assert check_hessian(small, spoiled(hessian, (1, 1), 0), x).worst == (1, 1)


def test_variables_of_any_sizes_are_checked():
    x = np.array([1e-12, 1e12, 1.0])
    right = np.prod(x) / x
    for i in range(3):
        check = check_gradient(lambda z: z.prod(0), spoiled(right, i, -right[i]), x)
        assert np.flatnonzero(check.verdict == "wrong").tolist() == [i]
    assert check_gradient(lambda z: z.prod(0), right, x).passed


def test_values_of_any_sizes_are_checked():
    x, sizes = np.array([0.5, 2.0]), np.array([1e-10, 1.0, 1e8])
    A = sizes[:, None] * np.array([[1.0, -2.0], [3.0, 1.0], [1.0, 1.0]])
    assert check_jacobian(lambda z: A @ z, A, x).passed
    for index in np.ndindex(3, 2):
        check = check_jacobian(lambda z: A @ z, spoiled(A, index, -A[index]), x)
        assert np.argwhere(check.verdict == "wrong").tolist() == [list(index)]


@pytest.mark.parametrize("scale", [1e-12, 1.0])
def test_gradients_that_are_rounding_pass_at_a_minimum(scale):
    # A consistent system: claims have only what is left of terms that cancel.
    for seed in range(20):
        rng = np.random.default_rng(seed)
        A = rng.standard_normal((6, 3)) * 10 ** rng.uniform(-2, 2, 3)
        x = rng.standard_normal(3)
        b = A @ x

        def loss(z):
            gap = np.tensordot(A, z, 1) - b.reshape(-1, *(1,) * (z.ndim - 1))  # noqa: B023
            return scale * (gap**2).sum(0)

        near = np.linalg.lstsq(A, b, rcond=None)[0]
        assert not check_gradient(loss, 2 * scale * A.T @ (A @ near - b), near).count("wrong")


def test_what_the_numeric_derivative_cannot_tell_is_small():
    # Terms of 1e5 are taken away from each other; what is left has 11 digits.
    a, b = x = np.array([1e10, 1.0])
    right = [-0.5 * b / (a**0.5 * (a + b) ** 0.5 * (a**0.5 + (a + b) ** 0.5)), 0.5 / (a + b) ** 0.5]
    with np.errstate(invalid="ignore"):
        assert check_gradient(lambda z: np.sqrt(z[0] + z[1]) - np.sqrt(z[0]), right, x).passed


def test_small_derivatives_are_checked_where_values_further_on_are_not_finite():
    with np.errstate(over="ignore"):
        check = check_gradient(lambda x: 1e-12 * np.exp(1e4 * x[0]), [-1e-8], [0.0])
    assert check.verdict.tolist() == ["wrong"]


def test_nothing_is_known_to_be_small_where_no_value_changes():
    assert check_gradient(lambda x: 0 * x.sum(0), [1e-20, 0.0], [1.0, 2.0]).passed


def test_memory_bounds_the_points_of_a_call(monkeypatch):
    x = np.linspace(0.1, 1, 40)
    whole = check_gradient(lambda x: 1e-9 * (x**3).sum(0), 3e-9 * x**2, x)
    monkeypatch.setattr("gradkit.functions.comparison.MEMORY", 8 * 40 * 7)
    parts = check_gradient(lambda x: 1e-9 * (x**3).sum(0), 3e-9 * x**2, x)
    assert np.array_equal(whole.atol, parts.atol)


def test_no_point_beyond_bounds_tells_what_is_small():
    def inside(x):
        assert np.all((x >= 0) & (x < 1))
        return 1e-9 * x.sum(0)

    for x in ([0.0, 0.5], [0.95, 1 - 1e-12], [0.5, 0.5]):
        assert check_gradient(inside, [1e-9, 1e-9], x, bounds=(0, 1)).passed

    def between(x):
        assert np.all((x > 0.45) & (x < 0.55))
        return x.sum(0)

    assert check_gradient(between, [1.0], [0.5], bounds=(0.45, 0.55)).passed
    for method, part in (("forward", slice(1, None)), ("backward", slice(None, 1))):

        def one_sided(z, part=part):
            assert np.all(z[0] >= 1 if part.start else z[0] <= 1)
            return z[0] ** 2

        assert check_gradient(one_sided, [2.0], [1.0], method=method).passed


# --- what cannot be decided, and kinks ----------------------------------------------------------


def test_noise_leaves_entries_undecided_not_passed_and_not_wrong():
    noise = np.random.default_rng(0)

    def rough(x):
        return (x**2).sum(0) + 1e-5 * noise.standard_normal(x.shape[1:])

    x = np.array([1.0, 2.0])
    check = check_gradient(rough, 2 * x, x, atol=1e-12, rtol=1e-12)
    assert check.verdict.tolist() == ["undecided"] * 2
    assert not check.passed
    assert "too large to decide" in str(check)
    with pytest.raises(CheckError, match="undecided"):
        check.raise_if_failed()
    check.raise_if_failed(undecided=False)
    # An error far beyond the noise is found all the same.
    assert check_gradient(rough, 3 * x, x).count("wrong") == 2


def test_large_values_in_single_precision_pass_nothing_unseen():
    # The values are known to 0.06, and so the slopes to about 1: neither sign can be told.
    x = np.array([1.0, 2.0], np.float32)
    for sign in (1, -1):
        check = check_gradient(lambda x: np.float32(1e6) + (x**2).sum(0), sign * 2 * x, x)
        assert "passed" not in check.verdict.tolist()
    small = check_gradient(lambda x: 1e-3 * (x**2).sum(0), -2e-3 * x, x)
    assert small.verdict.tolist() == ["wrong", "wrong"]


@PRECISIONS
def test_gradient_at_a_minimum_passes(dtype):
    x = np.array([1.0, 1.0, 1.0], dtype)
    assert check_gradient(lambda x: rosen(x) + 1, rosen_der, x).passed


@PRECISIONS
@pytest.mark.parametrize("claim", [0.0, 0.5, 1.0])
def test_kink_is_reported_as_one(dtype, claim):
    x = np.array([0.0, 1.0, -2.0], dtype)
    check = check_gradient(relu, spoiled(step(x), 0, claim), x)
    assert check.verdict.tolist() == ["kink", "passed", "passed"]
    assert check.passed
    np.testing.assert_allclose([check.left[0], check.right[0]], [0, 1], atol=1e-4)
    assert np.isnan(check.left[1])
    text = str(check)
    assert "1 kink" in text
    assert any(line.startswith("^  [0]") for line in text.splitlines())


@pytest.mark.parametrize("claim", [-0.5, 1.5, np.nan])
def test_claim_outside_a_kink_fails(claim):
    x = np.array([0.0, 1.0])
    check = check_gradient(relu, spoiled(step(x), 0, claim), x)
    assert check.verdict[0] == ("not finite" if np.isnan(claim) else "wrong")
    if not np.isnan(claim):
        np.testing.assert_allclose(check.absolute[0], 0.5, atol=1e-6)
        assert "kink: " in str(check)


def test_kink_in_a_jacobian_keeps_its_place():
    x = np.array([0.0, 1.0])
    check = check_jacobian(np.abs, np.eye(2), x)
    assert check.verdict.tolist() == [["kink", "passed"], ["passed", "passed"]]


def test_second_derivative_at_a_kink_is_undecided():
    check = check_hessian(relu, np.zeros((2, 2)), [0.0, 1.0])
    assert check.verdict[0, 0] == "undecided"
    assert check.verdict[1, 1] == "passed"


# --- directions and sweeps ----------------------------------------------------------------------


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


# --- assertions and arguments -------------------------------------------------------------------


def test_assertions_pass_and_fail():
    x = np.array([0.5, 1.5])
    assert_gradient(rosen, rosen_der, x)
    assert check_gradient(rosen, rosen_der, x)
    assert not check_gradient(rosen, np.zeros(2), x)
    assert_jacobian(softmax, softmax_jacobian, x)
    assert_hessian(rosen, rosen_hess, x)
    for call in (
        lambda: assert_gradient(rosen, np.zeros(2), x),
        lambda: assert_jacobian(softmax, np.zeros((2, 2)), x),
        lambda: assert_hessian(rosen, np.zeros((2, 2)), x),
    ):
        with pytest.raises(AssertionError, match=r"\n\*  \["):
            call()
    assert issubclass(CheckError, GradkitError)


def test_a_failed_assertion_points_at_the_test(fresh_python, tmp_path, monkeypatch):
    # Options of the run that this is part of, such as coverage's, would print more.
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    module = tmp_path / "test_it.py"
    module.write_text(
        "import numpy as np\n"
        "from gradkit.functions import assert_gradient\n"
        "def test_it():\n"
        "    assert_gradient(lambda x: (x**2).sum(0), lambda x: x, np.ones(2))\n"
    )
    run = ["-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(module)]
    shown = fresh_python(f"import pytest; pytest.main({run!r})")
    assert "CheckError: gradient of <lambda>: FAILED: 2 wrong of 2 entries" in shown
    assert "checks.py" not in shown
    assert "check_report.py" not in shown


def test_arguments_are_kept(library):
    x = library.asarray([1.0, 2.0])
    if library.kind == "dask":
        with pytest.raises(ArgumentTypeError, match="lazy"):
            check_gradient(lambda x: (x**2).sum(0), [2.0, 4.0], x)
        return
    xp = library.xp

    def func(x):
        return xp.sum(x**2, axis=0)

    check = check_gradient(func, lambda x: 2 * x, x, steps=[1e-4])
    assert check.passed
    assert check.sweep[0].wrong == 0
    assert check_gradient(func, lambda x: 2 * x, x, directions=2).passed
    assert check_hessian(func, library.asarray([[2.0, 0.0], [0.0, 2.0]]), x).passed
    np.testing.assert_array_equal(library.to_numpy(x), [1.0, 2.0])


def test_steps_and_sparsity_along_directions(rng):
    x = np.array([0.5, 2.0, 1e3])
    for step in (1e-3, [1e-3, 1e-2, 1.0]):
        points = []

        def func(z, points=points):
            points.append(abs(z.T - x).reshape(-1, 3).max(axis=0))
            return (z**2).sum(0)

        assert check_gradient(func, 2 * x, x, step=step, directions=3, rounds=1).passed
        assert np.all(np.max(points, axis=0) <= np.array(step) * (1 + 1e-12))
    A = rng.standard_normal((3, 3)) * np.eye(3)
    check = check_jacobian(lambda z: A @ z, A, x, sparsity=np.eye(3), directions=2)
    assert check.passed
    assert not check_jacobian(lambda z: A @ z, 2 * A, x, sparsity=np.eye(3), directions=2).passed
    with pytest.raises(ArgumentValueError, match=r"step has shape \(2,\)"):
        check_gradient(lambda z: z.sum(0), np.ones(3), x, step=[1, 2], directions=2)


def test_a_claim_of_another_shape_has_no_tolerances():
    check = check_gradient(lambda x: (x**2).sum(0), np.eye(3), np.ones(3))
    assert "|claimed - numeric|" not in str(check)


def test_functions_that_write_to_their_argument_are_checked_and_x_is_kept():
    x = np.array([0.5, -1.5])

    def squares(z):
        return np.multiply(z, z, out=z)

    def doubled(z):
        z *= 2
        return np.diag(z)

    for options in ({}, {"vectorized": False}, {"directions": 2}, {"steps": [1e-3]}):
        assert check_jacobian(squares, doubled, x, **options).passed
        assert x.tolist() == [0.5, -1.5]


SQUARE = (lambda x: (x**2).sum(0), lambda x: 2 * x, [1.0, 2.0])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: check_gradient(3, [1.0], [1.0]), ArgumentTypeError, "func=3 is not callable"),
        (
            lambda: check_gradient(SQUARE[0], "torhc", [1.0]),
            ArgumentValueError,
            "did you mean 'torch'",
        ),
        (lambda: check_gradient(SQUARE[0], [1.0], 1.0), ArgumentValueError, r"shape \(\)"),
        (lambda: check_gradient(SQUARE[0], [1.0], [[1.0]]), ArgumentValueError, r"shape \(1, 1\)"),
        (lambda: check_gradient(SQUARE[0], [1.0], []), ArgumentValueError, r"shape \(0,\)"),
        (lambda: check_gradient(lambda x: x, [1.0], [1.0]), ArgumentValueError, "check_jacobian"),
        (lambda: check_gradient(lambda x: "a", [1.0], [1.0]), ArgumentTypeError, "func"),
        (
            lambda: check_gradient(SQUARE[0], ["a"], [1.0]),
            ArgumentTypeError,
            "claimed derivative has dtype",
        ),
        (lambda: check_gradient(SQUARE[0], [True], [1.0]), ArgumentTypeError, "bool"),
        (
            lambda: check_gradient(SQUARE[0], lambda x: None, [1.0]),
            ArgumentTypeError,
            "claimed derivative is None",
        ),
        (lambda: check_gradient(*SQUARE, rtol=-1), ArgumentValueError, "rtol=-1"),
        (lambda: check_gradient(*SQUARE, atol="1"), ArgumentTypeError, "atol='1'"),
        (lambda: check_gradient(*SQUARE, atol=np.nan), ArgumentValueError, "atol=nan"),
        (lambda: check_gradient(*SQUARE, steps=[0.1, 0]), ArgumentValueError, r"steps\[1\]=0"),
        (lambda: check_gradient(*SQUARE, steps=0.1), ArgumentTypeError, "steps=0.1"),
        (lambda: check_gradient(*SQUARE, directions=-1), ArgumentValueError, "directions=-1"),
        (lambda: check_gradient(*SQUARE, rows=0), ArgumentValueError, "rows=0"),
        (lambda: check_gradient(*SQUARE, seed=0.5), ArgumentTypeError, "seed=0.5"),
    ],
)
def test_bad_arguments(call, error, words):
    with pytest.raises(error, match=words):
        call()
