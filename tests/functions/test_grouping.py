"""Jacobians with known sparsity: colours, values, calls, bounds, patterns that are wrong."""

import numpy as np
import pytest
import scipy.sparse as sparse

from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.functions import jacobian
from gradkit.functions.grouping import colours


def tridiagonal(x):
    y = 3 * x**2
    y[1:] += np.sin(x[:-1])
    y[:-1] += x[1:] * x[:-1]
    return y


def tridiagonal_jacobian(x):
    n = len(x)
    main = 6 * x
    main[:-1] += x[1:]
    return np.diag(main) + np.diag(np.cos(x[:-1]), -1) + np.diag(x[: n - 1], 1)


def band(n):
    return sparse.diags_array([np.ones(n - 1), np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1])


def test_no_row_has_a_colour_twice():
    rng = np.random.default_rng(4)
    for density in (0.02, 0.1, 0.5):
        pattern = sparse.csr_array(rng.random((40, 30)) < density)
        colour = colours(pattern)
        for row in pattern.toarray():
            mine = colour[row]
            assert len(set(mine.tolist())) == len(mine)


def test_a_band_takes_as_many_colours_as_it_is_wide():
    assert len(set(colours(sparse.csr_array(band(50))).tolist())) == 3


@pytest.mark.parametrize("as_given", [lambda p: p, lambda p: p.toarray(), sparse.csc_matrix])
def test_values(as_given):
    x = np.linspace(0.1, 2, 40)
    result = jacobian(tridiagonal, x, sparsity=as_given(band(40)))
    assert isinstance(result.value, sparse.csr_array)
    difference = np.abs(result.value.toarray() - tridiagonal_jacobian(x))
    assert np.all(difference <= 10 * result.error.toarray())
    assert np.max(difference) < 1e-9
    assert result.success.toarray()[band(40).toarray() != 0].all()
    assert set(result.status) == {"converged"}
    assert "converged" in repr(result)


def test_points_grow_with_the_colours_only():
    seen = []
    x = np.linspace(0.1, 2, 400)
    jacobian(lambda z: seen.append(z.shape[1]) or tridiagonal(z), x, sparsity=band(400))
    assert sum(seen) < 100


def test_variables_of_different_sizes_share_a_colour():
    x = np.array([1e-4, 1.0, 1e5, 50.0])
    result = jacobian(lambda z: z**2, x, sparsity=np.eye(4))
    assert np.allclose(result.value.diagonal(), 2 * x, rtol=1e-9)


def test_bounds_and_more_rounds():
    x = np.array([0.0, 0.5, 1.0, 3.0])

    def func(z):
        assert np.all((z >= 0) & (z <= 3))
        return np.sin(np.array([1.0, 30.0, 1.0, 60.0])[:, None] * z)

    result = jacobian(func, x, sparsity=np.eye(4), bounds=(0, 3))
    k = np.array([1.0, 30.0, 1.0, 60.0])
    assert np.allclose(result.value.diagonal(), k * np.cos(k * x), rtol=1e-7)


def test_on_other_libraries(library):
    if library.kind == "dask":
        pytest.skip("functions of dask arrays are refused")
    x = library.asarray([1.0, 2.0], "float64")
    result = jacobian(lambda z: z * z, x, sparsity=np.eye(2))
    assert result.value.toarray() == pytest.approx(np.diag([2.0, 4.0]))


def test_a_pattern_that_misses_an_entry_is_found_out():
    with pytest.raises(ArgumentValueError, match=r"func\(x\)\[\d+\] depends on none"):
        jacobian(tridiagonal, np.linspace(0.1, 2, 10), sparsity=np.tri(10) - np.tri(10, k=-2))


@pytest.mark.parametrize(
    ("x", "sparsity", "error", "text"),
    [
        (
            [1.0, 2.0],
            np.eye(3),
            ArgumentValueError,
            r"shape \(3, 3\): wanted \(2, 2\)",
        ),
        ([1.0, 2.0], "a", ArgumentTypeError, "sparsity"),
        ([1.0, 2.0], 1.0, ArgumentTypeError, "0 dimensions: wanted a matrix"),
        ([1.0, 2.0], np.zeros((2, 2)), ArgumentValueError, "sparsity holds no entry"),
        (np.ones((2, 3)), np.eye(2), ArgumentTypeError, "sparsity= is for one point"),
    ],
)
def test_patterns_are_checked(x, sparsity, error, text):
    with pytest.raises(error, match=text):
        jacobian(lambda z: z**2, x, sparsity=sparsity)


def test_a_matrix_of_scipy_cannot_be_traced():
    jax = pytest.importorskip("jax")
    run = jax.jit(lambda z: jacobian(lambda t: t * t, z, sparsity=np.eye(2)).value)
    with pytest.raises(ArgumentTypeError, match=r"sparsity= .* x is traced by JAX"):
        run(jax.numpy.ones(2))


def test_scipy_is_named_where_it_is_missing(fresh_python):
    code = (
        "import sys, numpy\n"
        "from gradkit.errors import MissingPackageError\n"
        "from gradkit.functions import jacobian\n"
        "sys.modules['scipy'] = None\n"
        "try:\n"
        "    jacobian(lambda z: z, [1.0], sparsity=numpy.eye(1))\n"
        "except MissingPackageError as error:\n"
        "    print(error)\n"
    )
    assert "pip install 'gradkit[matrix]'" in fresh_python(code)


@pytest.mark.parametrize(
    "func",
    [
        lambda z: np.stack([z[0] * z[1], z[1] * z[2], z[2] * z[0]]),
        lambda z: np.stack([z[0] + z[1], z[1], z[2]]),
    ],
    ids=["products", "a sum"],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_entries_that_the_pattern_leaves_out_are_no_success(func, dtype):
    # All three variables have one colour by this pattern.
    x = np.array([1.0, 2.0, 3.0], dtype)
    found = jacobian(func, x, sparsity=np.eye(3))
    true = jacobian(func, x)
    full = np.count_nonzero(true.value.round(3), axis=1) == 1
    np.testing.assert_array_equal(found.success.toarray().diagonal(), full)
    np.testing.assert_array_equal(found.status == "inaccurate", ~full)
    off = abs(found.value.toarray() - true.value).diagonal()
    assert (off[~full] < 10 * found.error.toarray().diagonal()[~full]).all()
