"""Claims as arrays, functions, automatic differentiation and symbolic expressions."""

import numpy as np
import pytest
import scipy.sparse

from gradkit.errors import ArgumentTypeError, ArgumentValueError, MissingPackageError
from gradkit.functions import check_gradient, check_hessian, check_jacobian, claims

X = np.array([0.5, -1.2, 2.0])


def cubes(x):
    return (x**3).sum(0) + x[0] * x[1]


GRADIENT = 3 * X**2 + [X[1], X[0], 0]
HESSIAN = np.diag(6 * X) + np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])


def turned(x):
    return x**2 * x[0]


JACOBIAN = np.diag(2 * X * X[0]) + np.outer(X**2, [1, 0, 0])


@pytest.fixture
def jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def test_lists_sparse_matrices_and_functions_of_several_values():
    assert check_gradient(cubes, list(GRADIENT), X).source == "an array"
    assert check_gradient(cubes, lambda x: tuple(3 * x**2 + [x[1], x[0], 0]), X).passed
    assert check_jacobian(turned, scipy.sparse.csr_array(JACOBIAN), X).passed
    assert check_jacobian(turned, lambda x: scipy.sparse.csr_array(JACOBIAN), X).passed


def test_parts_of_unequal_shapes_are_refused():
    with pytest.raises(ArgumentTypeError, match=r"parts of shapes \(2,\), \(1,\)"):
        check_gradient(cubes, lambda x: [np.ones(2), np.ones(1)], X)


def test_args_reach_function_and_claim():
    check = check_gradient(
        lambda x, a, b: (a * x**b).sum(0), lambda x, a, b: a * b * x ** (b - 1), X, args=(3.0, 2)
    )
    assert check.passed


@pytest.mark.filterwarnings("ignore:.torch.jit.script.:DeprecationWarning")
@pytest.mark.parametrize("library", ["torch", "jax"])
def test_automatic_differentiation(library, jax):
    pytest.importorskip(library)
    for check, func, names in (
        (check_gradient, cubes, ("torch.func.grad", "jax.grad")),
        (check_jacobian, turned, ("torch.func.jacrev", "jax.jacfwd")),
        (check_hessian, cubes, ("torch.func.hessian", "jax.hessian")),
    ):
        found = check(func, library, X)
        assert found.passed
        assert found.source in names
        assert found.numeric.dtype == np.float64
    np.testing.assert_allclose(check_gradient(cubes, library, X).claimed, GRADIENT)
    np.testing.assert_allclose(check_jacobian(turned, library, X).claimed, JACOBIAN)
    np.testing.assert_allclose(check_hessian(cubes, library, X).claimed, HESSIAN)


def test_wrong_rule_of_torch_is_caught():
    torch = pytest.importorskip("torch")

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return x**2

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, slope):
            return slope * ctx.saved_tensors[0]

    check = check_gradient(lambda x: Wrong.apply(x).sum(0), "torch", torch.tensor([1.0, 2.0]))
    assert check.hints == ("claimed = 1/2 x numeric for all entries",)


def test_wrong_rule_of_jax_is_caught(jax):
    @jax.custom_jvp
    def func(x):
        return jax.numpy.sum(x**2, axis=0)

    func.defjvp(lambda x, t: (func(*x), -2 * (x[0] * t[0]).sum()))
    check = check_gradient(func, "jax", X)
    assert check.hints == ("claimed = -numeric for all entries",)


def test_tensors_that_record_gradients():
    torch = pytest.importorskip("torch")
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
    x = torch.tensor(X, requires_grad=True)

    def func(x):
        return torch.tensordot(weight, x**2, 1)

    for claim in ("torch", lambda x: 2 * weight * x, 2 * x):
        assert check_gradient(func, claim, x, steps=[1e-4]).passed
    assert weight.grad is None
    assert x.grad is None


def test_missing_library_names_the_extra(monkeypatch):
    for name in ("torch", "jax"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
        with pytest.raises(MissingPackageError, match=r"gradkit\[backends\]"):
            check_gradient(cubes, name, X)


# --- expressions --------------------------------------------------------------------------------


def test_expressions():
    sympy = pytest.importorskip("sympy")
    a, b, c = symbols = sympy.symbols("a:c")
    f = a**3 + b**3 + c**3 + a * b
    slopes = [sympy.diff(f, s) for s in symbols]
    for claim in (
        slopes,
        tuple(slopes),
        sympy.Matrix(slopes),
        sympy.Matrix([f]).jacobian(symbols),
        np.array(slopes),
    ):
        check = check_gradient(cubes, claim, X, symbols=symbols)
        assert check.passed
        assert check.source == "sympy"
    assert check_hessian(cubes, sympy.hessian(f, symbols), X, symbols=symbols).passed
    vector = sympy.Matrix([s**2 * a for s in symbols])
    assert check_jacobian(turned, vector.jacobian(symbols), X, symbols=symbols).passed
    assert check_gradient(lambda x: x[0] ** 2, 2 * a, [3.0], symbols=[a]).passed
    swapped = check_gradient(cubes, slopes, X, symbols=(b, a, c))
    assert swapped.count("wrong") == 2
    assert check_jacobian(lambda x: x[:1] * 2 + 1, sympy.Matrix([[2]]), [3.0], symbols=[a]).passed


def test_expressions_need_their_symbols():
    sympy = pytest.importorskip("sympy")
    a, b = sympy.symbols("a b")
    with pytest.raises(ArgumentTypeError, match="symbols=None"):
        check_gradient(cubes, [a, b], X[:2])
    with pytest.raises(ArgumentValueError, match="are 2, but x has 3"):
        check_gradient(cubes, [a, b, 1], X, symbols=(a, b))
    with pytest.raises(ArgumentValueError, match="depends on b"):
        check_gradient(cubes, [a, b], X[:2], symbols=(a, sympy.Symbol("z")))


def test_words_are_the_libraries_that_differentiate():
    assert set(claims.AUTOMATIC) == {"torch", "jax"}
