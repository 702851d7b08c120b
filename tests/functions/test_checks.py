"""Checks: right derivatives pass, and each kind of mistake is caught, marked and named."""

import pickle

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

from .claimed import PRECISIONS, relu, rosen, softmax, softmax_jacobian, spoiled, step


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


@pytest.mark.parametrize("as_arrays", [False, True])
@pytest.mark.parametrize("vectorized", [False, True])
def test_kink_beside_a_variable_at_its_bound(library, as_arrays, vectorized):
    if library.kind == "dask":
        pytest.skip("checks take no dask arrays")
    x, xp = library.asarray([0.0, 1.0, 5.0], "float64"), library.xp

    def func(z):
        assert bool(xp.all((z >= 0.0) & (z <= 5.0)))
        return xp.stack([z[0, ...] ** 2 + xp.abs(z[1, ...] - 1.0), z[2, ...] * z[1, ...]])

    claim = library.asarray([[0.0, 0.5, 0.0], [0.0, 5.0, 1.0]], "float64")
    bounds = (np.zeros(3), np.full(3, 5.0)) if as_arrays else (0, 5)
    check = check_jacobian(func, claim, x, bounds=bounds, vectorized=vectorized, step=[0.1] * 3)
    assert check.passed
    assert np.argwhere(check.verdict == "kink").tolist() == [[0, 1]]
    assert check.left[0, 1] == pytest.approx(-1)
    assert check.right[0, 1] == pytest.approx(1)
    assert np.isnan(check.left).sum() == 5


def square_of_one_point(x):
    return float((x**2).sum())


def test_functions_can_be_sent_to_other_processes():
    def through_bytes(function, arguments):
        return map(pickle.loads(pickle.dumps(function)), arguments)

    options = {"vectorized": False, "workers": through_bytes}
    for directions in (0, 2):
        x = [1.0, 2.0]
        assert_gradient(square_of_one_point, [2.0, 4.0], x, directions=directions, **options)


def test_second_derivative_at_a_kink_is_undecided():
    check = check_hessian(relu, np.zeros((2, 2)), [0.0, 1.0])
    assert check.verdict[0, 0] == "undecided"
    assert check.verdict[1, 1] == "passed"


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
