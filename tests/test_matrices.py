"""Plans as sparse matrices and linear operators: entries, formats, dtypes, solvers."""

import math
import pickle

import numpy as np
import pytest
import scipy.sparse
from scipy.sparse import linalg

from gradkit import (
    Average,
    Axis,
    Curl,
    D,
    Dirichlet,
    Divergence,
    FiniteDifference,
    Gradient,
    Grid,
    Identity,
    Laplacian,
    Neumann,
    Operator,
    Robin,
    matrices,
)
from gradkit.errors import (
    ArgumentTypeError,
    ArgumentValueError,
    MissingPackageError,
    UnsupportedError,
)

EPS = np.finfo(float).eps
FORMATS = ["csr", "csc", "coo", "bsr", "dia", "dok", "lil"]
ROUGH = [0.0, 1.0, 1.5, 3.0, 4.0, 4.25, 6.0]

LINE = Grid(Axis(spacing=0.5))
RING = Grid(Axis(spacing=0.5, boundary="periodic"))
PLANE = Grid(Axis(spacing=0.5, boundary="periodic"), Axis(spacing=0.25, boundary="antiperiodic"))


def circulant(first_row, size, sign=1):
    """A matrix whose rows are the first one moved along; what leaves the end comes back, signed."""
    matrix = np.zeros((size, size))
    for row in range(size):
        for offset, value in first_row.items():
            turns, column = divmod(row + offset, size)
            matrix[row, column] += value * sign ** abs(turns)
    return matrix


# --- entries --------------------------------------------------------------------------------------


def test_the_matrix_of_a_line_is_the_textbook_one():
    found = D(0).on(LINE, (5,)).matrix("array")
    assert found.tolist() == [
        [-3, 4, -1, 0, 0],
        [-1, 0, 1, 0, 0],
        [0, -1, 0, 1, 0],
        [0, 0, -1, 0, 1],
        [0, 0, 1, -4, 3],
    ]


@pytest.mark.parametrize(("boundary", "sign"), [("periodic", 1), ("antiperiodic", -1)])
def test_wrapping_axes_are_circulant(boundary, sign):
    grid = Grid(Axis(spacing=0.5, boundary=boundary))
    first = D(0).on(grid, (6,), method=FiniteDifference(4)).matrix("array")
    weights = {-2: 1 / 6, -1: -8 / 6, 1: 8 / 6, 2: -1 / 6}
    np.testing.assert_allclose(first, circulant(weights, 6, sign), rtol=2 * EPS, atol=0)
    second = D(0, 2).on(grid, (4,)).matrix("array")
    assert second.tolist() == circulant({-1: 4.0, 0: -8.0, 1: 4.0}, 4, sign).tolist()


def test_weights_on_coordinates_are_those_of_the_parabola():
    """Row i holds the derivatives, at point i, of the polynomials that are 1 at one node."""
    x = np.array(ROUGH)
    wanted = np.zeros((7, 7))
    for row in range(7):
        first = min(max(row - 1, 0), 4)
        for column in range(first, first + 3):
            others = [k for k in range(first, first + 3) if k != column]
            product = (x[column] - x[others[0]]) * (x[column] - x[others[1]])
            wanted[row, column] = (2 * x[row] - x[others].sum()) / product
    found = D(0).on(Grid(Axis(coordinates=ROUGH)), (7,)).matrix("array")
    np.testing.assert_allclose(found, wanted, rtol=0, atol=8 * EPS)


def test_axes_of_a_grid_are_kronecker_products():
    """The row-major order of arrays: the last axis varies fastest."""
    first, second = (
        circulant({-1: -1.0, 1: 1.0}, 5),
        circulant({-1: 16.0, 0: -32.0, 1: 16.0}, 4, -1),
    )
    shape = (5, 4)
    along_0 = D(0).on(PLANE, shape).matrix("array")
    along_1 = D(1, 2).on(PLANE, shape).matrix("array")
    both = (D(0) * D(1) ** 2).on(PLANE, shape).matrix("array")
    assert along_0.tolist() == np.kron(first, np.eye(4)).tolist()
    assert along_1.tolist() == np.kron(np.eye(5), second).tolist()
    assert both.tolist() == np.kron(first, second).tolist()
    total = (3 * D(0) - D(1) ** 2 / 2 + 1).on(PLANE, shape).matrix("array")
    wanted = 3 * along_0 - along_1 / 2 + np.eye(20)
    assert total.tolist() == wanted.tolist()


def test_batch_axes_repeat_the_matrix():
    grid = Grid(None, Axis(spacing=0.5, boundary="periodic"), None)
    found = D(1).on(grid, (2, 4, 3)).matrix("array")
    wanted = np.kron(np.eye(2), np.kron(circulant({-1: -1.0, 1: 1.0}, 4), np.eye(3)))
    assert found.tolist() == wanted.tolist()


def test_arrays_are_diagonal_matrices(rng):
    a, b = rng.normal(size=(5, 4)), rng.normal(size=(1, 4))
    d = np.kron(circulant({-1: -1.0, 1: 1.0}, 5), np.eye(4))
    diagonal_a, diagonal_b = np.diag(a.ravel()), np.diag(np.broadcast_to(b, (5, 4)).ravel())
    for operator, wanted in (
        (a * D(0), diagonal_a @ d),
        (D(0) @ a, d @ diagonal_a),
        (D(0) @ (a * D(0)), d @ diagonal_a @ d),
        (b * (D(0) @ (a * D(0))) + a, diagonal_b @ d @ diagonal_a @ d + diagonal_a),
        (a * Identity(), diagonal_a),
        (D(0) @ (3 * a), 3 * d @ diagonal_a),
        (D(0) @ a @ b @ D(0), d @ diagonal_a @ diagonal_b @ d),
    ):
        found = operator.on(PLANE, (5, 4)).matrix("array")
        np.testing.assert_allclose(found, wanted, rtol=4 * EPS, atol=4 * EPS)


def test_rows_of_any_lengths_are_multiplied_by_their_own_number(rng):
    # One-sided differences at the ends take three points, those in between two.
    c, grid = rng.standard_normal(6), Grid(Axis(spacing=0.5))
    slope = np.zeros((6, 6))
    slope[range(1, 5), range(4)], slope[range(1, 5), range(2, 6)] = -1, 1
    slope[0, :3], slope[5, 3:] = [-3, 4, -1], [1, -4, 3]
    matrix = (c * D(0)).on(grid, (6,), edge_order=2).matrix()
    assert np.diff(matrix.indptr).tolist() == [3, 2, 2, 2, 2, 3]
    np.testing.assert_allclose(matrix.toarray(), c[:, None] * slope, rtol=1e-15)


def test_systems_are_block_matrices():
    shape, n = (5, 4), 20
    x = np.kron(circulant({-1: -1.0, 1: 1.0}, 5), np.eye(4))
    y = np.kron(np.eye(5), circulant({-1: -2.0, 1: 2.0}, 4, -1))
    zero = np.zeros((n, n))
    for operator, blocks in (
        (Gradient(2), [[x], [y]]),
        (Divergence(2), [[x, y]]),
        (Curl(2), [[-y, x]]),
        (Operator.matrix([[D(0), 0], [2, D(1)]]), [[x, zero], [2 * np.eye(n), y]]),
        (Operator.matrix([[0, 0]]), [[zero, zero]]),
    ):
        plan = operator.on(PLANE, shape)
        found = plan.matrix()
        assert found.shape == (operator.outputs * n, operator.inputs * n)
        assert found.toarray().tolist() == np.block(blocks).tolist()
        assert plan.T.matrix("array").tolist() == np.block(blocks).T.tolist()


def test_staggered_matrices_are_rectangular():
    """Three cells: two faces between them, four in all."""
    inner = D(0, to="inner").on(LINE, (3,))
    assert inner.matrix("array").tolist() == [[-2, 2, 0], [0, -2, 2]]
    assert inner.T.matrix("array").tolist() == [[-2, 0], [2, -2], [0, 2]]
    back = D(0, at="outer", to="centre").on(LINE, (3,)).matrix("array")
    assert back.tolist() == [[-2, 2, 0, 0], [0, -2, 2, 0], [0, 0, -2, 2]]
    mean = Average(0, to="inner").on(LINE, (3,)).matrix("array")
    assert mean.tolist() == [[0.5, 0.5, 0], [0, 0.5, 0.5]]
    # A wall of the value 0 half a cell away from the ends.
    walls = Grid(Axis(spacing=0.5, boundary=Dirichlet(0.0)))
    whole = (D(0, to="centre") @ D(0, to="outer")).on(walls, (3,), edge_order=1).matrix("array")
    assert whole.tolist() == [[-12, 4, 0], [4, -8, 4], [0, 4, -12]]


def test_staggered_places_along_one_axis_of_several():
    plan = Gradient(2, to="inner").on(Grid(Axis(), Axis()), (3, 4))
    found = plan.matrix()
    assert found.shape == (2 * 4 + 3 * 3, 12)
    up = np.array([[-1.0, 1, 0], [0, -1, 1]])
    right = np.array([[-1.0, 1, 0, 0], [0, -1, 1, 0], [0, 0, -1, 1]])
    wanted = np.vstack([np.kron(up, np.eye(4)), np.kron(np.eye(3), right)])
    assert found.toarray().tolist() == wanted.tolist()


def test_walls_change_the_matrix_and_their_values_do_not():
    """-2 f + f[1] + (value) next to a wall one spacing away, and with slopes given at faces."""
    zero = Grid(Axis(boundary=Dirichlet(0.0, at="next")))
    seven = Grid(Axis(boundary=Dirichlet(7.0, at="next")))
    wanted = [[-2, 1, 0], [1, -2, 1], [0, 1, -2]]
    for grid in (zero, seven):
        assert D(0, 2).on(grid, (3,)).matrix("array").tolist() == wanted
    slopes = Grid(Axis(boundary=Neumann(3.0)))
    found = (D(0, to="centre") @ D(0, to="outer")).on(slopes, (3,)).matrix("array")
    assert found.tolist() == [[-1, 1, 0], [1, -2, 1], [0, 1, -1]]


def test_complex_numbers_make_complex_matrices(rng):
    a = rng.normal(size=6) + 1j * rng.normal(size=6)
    d = circulant({-1: -1.0, 1: 1.0}, 6)
    for operator, wanted in (
        (1j * D(0), 1j * d),
        (a * D(0), np.diag(a) @ d),
        (D(0) @ a + 2j, d @ np.diag(a) + 2j * np.eye(6)),
    ):
        plan = operator.on(RING, (6,))
        found = plan.matrix()
        assert found.dtype == np.complex128
        np.testing.assert_allclose(found.toarray(), wanted, rtol=4 * EPS)
        np.testing.assert_allclose(plan.T.matrix("array"), wanted.T, rtol=4 * EPS)
        np.testing.assert_allclose(plan.H.matrix("array"), wanted.conj().T, rtol=4 * EPS)
        np.testing.assert_allclose(plan.H.T.matrix("array"), wanted.conj(), rtol=4 * EPS)


# --- formats and dtypes ---------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_holds_the_same_numbers(format):
    plan = Laplacian(2).on(PLANE, (5, 4))
    found = plan.matrix(format)
    assert found.format == format
    assert isinstance(found, scipy.sparse.sparray)
    assert found.shape == (20, 20)
    wanted = np.kron(circulant({-1: 4.0, 0: -8.0, 1: 4.0}, 5), np.eye(4))
    wanted += np.kron(np.eye(5), circulant({-1: 16.0, 0: -32.0, 1: 16.0}, 4, -1))
    assert found.toarray().tolist() == wanted.tolist()


def test_the_default_is_csr_and_array_is_dense():
    plan = D(0).on(LINE, (5,))
    assert plan.matrix().format == "csr"
    dense = plan.matrix("array")
    assert type(dense) is np.ndarray
    assert dense.tolist() == plan.matrix().toarray().tolist()


@pytest.mark.parametrize(
    "operator",
    [D(0), Laplacian(2) + np.ones((7, 9)), Gradient(2)],
    ids=repr,
)
@pytest.mark.parametrize(
    "axes",
    [
        (Axis(), Axis(coordinates=np.arange(9.0) ** 2)),
        (Axis(boundary="periodic"), Axis(boundary="antiperiodic")),
        (Axis(boundary=Neumann(1.0)), Axis(boundary=Dirichlet(2.0, at="sample"))),
    ],
    ids=["one-sided", "wrapping", "walls"],
)
def test_rows_are_sorted_without_duplicates(operator, axes):
    plan = operator.on(Grid(*axes), (7, 9))
    for matrix in (plan.matrix(), plan.T.matrix()):
        for row in range(matrix.shape[0]):
            columns = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
            assert (np.diff(columns) > 0).all()


@pytest.mark.parametrize("dtype", ["float32", np.float64, "complex64", np.dtype("complex128")])
def test_entries_have_the_dtype_that_was_asked_for(dtype):
    plan = (D(0) / 3).on(LINE, (5,))
    for format in ("csr", "array"):
        found = plan.matrix(format, dtype=dtype)
        assert found.dtype == dtype
    dense = np.array([[-3, 4, -1], [-1, 0, 1], [1, -4, 3]]) / 3
    found = (D(0) / 3).on(LINE, (3,)).matrix("array", dtype=dtype)
    np.testing.assert_allclose(found, dense, rtol=2 * np.finfo(dtype).eps)


def test_float64_is_the_default_whatever_the_dtype_of_the_results():
    assert D(0).on(LINE, (5,), dtype="float32").matrix().dtype == np.float64


@pytest.mark.parametrize(
    ("format", "message"),
    [
        ("scr", "format='scr' is not one of 'csr', 'csc', .*; did you mean 'csr'"),
        ("dense", "format='dense' is not one of"),
        (None, "format=None is not one of"),
    ],
)
def test_formats_that_there_are_not_are_refused(format, message):
    with pytest.raises(ArgumentValueError, match=message):
        D(0).on(LINE, (5,)).matrix(format)


@pytest.mark.parametrize("rendering", ["matrix", "linear_operator"])
def test_modules_without_sparse_matrices_are_refused(rendering):
    plan = D(0).on(LINE, (5,))
    with pytest.raises(ArgumentTypeError, match=r"xp=math has no sparse matrices here: .* cupy"):
        getattr(plan, rendering)(xp=math)
    assert getattr(plan, rendering)(xp=np).shape == (5, 5)
    assert getattr(plan, rendering)(xp=None).shape == (5, 5)


@pytest.mark.parametrize("rendering", ["matrix", "linear_operator"])
def test_without_scipy_the_message_says_how_to_install_it(monkeypatch, rendering):
    monkeypatch.setattr(matrices, "find_spec", lambda name: None)
    plan = D(0).on(LINE, (5,))
    with pytest.raises(MissingPackageError, match=r"scipy, .* pip install 'gradkit\[matrix\]'"):
        getattr(plan, rendering)()


def test_blocks_have_no_matrix():
    block = D(0).on(LINE, (10,)).block([(3, 6)], [2])
    with pytest.raises(UnsupportedError, match="matrix is not served for a block of a plan"):
        block.matrix()
    with pytest.raises(UnsupportedError, match="not served for a block of a plan"):
        block.linear_operator()


# --- size -----------------------------------------------------------------------------------------


def test_a_million_rows_hold_the_entries_of_their_stencils_and_nothing_else():
    """Seven points per row: a dense matrix would take 8 TB."""
    n = 100
    plan = Laplacian(3).on(Grid(*(Axis(boundary="periodic"),) * 3), (n, n, n))
    matrix = plan.matrix()
    assert matrix.shape == (n**3, n**3)
    assert matrix.nnz == 7 * n**3
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
    assert (matrix.sum(axis=0) == 0).all()
    assert matrix[[0]].toarray()[0, [0, 1, n, n * n, n - 1]].tolist() == [-6, 1, 1, 1, 1]


def test_a_long_line_is_as_sparse_as_its_stencils():
    n = 10**6
    matrix = D(0).on(LINE, (n,)).matrix()
    assert matrix.nnz == 2 * (n - 2) + 2 * 3
    coordinates = np.arange(n) + 0.25 * np.sin(np.arange(n))
    rough = D(0, 2).on(Grid(Axis(coordinates=coordinates)), (n,)).matrix()
    # Two windows of four points each lean to either side: five points; the ends have four.
    assert rough.nnz == 5 * (n - 4) + 4 * 4


# --- linear operators -----------------------------------------------------------------------------

OPERATORS = {
    "walls": (Laplacian(2) - 2 * D(1), Grid(Axis(boundary=Robin(1, 2, 3.0)), Axis())),
    "coordinates": (D(0) + D(1), Grid(Axis(coordinates=ROUGH), Axis(boundary="periodic"))),
    "gradient": (Gradient(2), PLANE),
    "divergence": (Divergence(2), PLANE),
    "staggered": (Gradient(2, to="inner"), Grid(Axis(), Axis())),
    "complex": (1j * D(0) + Laplacian(2), PLANE),
    "arrays": (D(0) @ (np.linspace(1, 2, 8) * D(0)) + np.linspace(0, 1, 56).reshape(7, 8), PLANE),
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_linear_operators_multiply_as_their_matrix_does(rng, name, dtype):
    operator, grid = OPERATORS[name]
    plan = operator.on(grid, (7, 8))
    matrix, found = plan.matrix("array"), plan.linear_operator()
    rows, columns = matrix.shape

    def random(*shape):
        values = rng.normal(size=shape)
        if dtype.startswith("complex"):
            values = values + 1j * rng.normal(size=shape)
        return values.astype(dtype)

    result = np.result_type(dtype, "complex64" if plan.is_complex else dtype)
    for call, wanted, f in (
        (found.matvec, matrix, random(columns)),
        (found.matvec, matrix, random(columns, 1)),
        (found.rmatvec, matrix.conj().T, random(rows)),
        (found.matmat, matrix, random(columns, 3)),
        (found.rmatmat, matrix.conj().T, random(rows, 3)),
        (found.H.matvec, matrix.conj().T, random(rows)),
    ):
        size = abs(wanted) @ abs(f)
        # At most eight products of two roundings each, relative to the sum of their magnitudes.
        error = 8 * np.finfo(dtype).eps * size.max()
        product = call(f)
        assert product.dtype == result
        assert product.shape == size.shape
        np.testing.assert_allclose(product, wanted @ f, rtol=0, atol=error)


def test_a_linear_operator_says_its_shape_and_dtype():
    plan = Gradient(2).on(PLANE, (5, 4))
    assert isinstance(plan.linear_operator(), linalg.LinearOperator)
    assert plan.linear_operator().shape == (40, 20)
    assert plan.linear_operator().dtype == np.float64
    assert (1j * D(0)).on(RING, (5,)).linear_operator().dtype == np.complex128
    assert plan.linear_operator(dtype="float32").dtype == np.float32


def test_a_linear_operator_can_be_pickled(rng):
    plan = Gradient(2).on(PLANE, (5, 4))
    found = pickle.loads(pickle.dumps(plan.linear_operator()))
    f, matrix = rng.normal(size=20), plan.matrix("array")
    np.testing.assert_allclose(found @ f, matrix @ f, atol=1e-13)
    np.testing.assert_allclose(found.H @ (matrix @ f), matrix.T @ (matrix @ f), atol=1e-12)


def test_values_known_at_walls_are_not_part_of_a_linear_operator():
    plan = D(0, 2).on(Grid(Axis(boundary=Dirichlet(5.0, at="next"))), (4,))
    assert plan(np.zeros(4)).tolist() == [5, 0, 0, 5]
    assert (plan.linear_operator() @ np.zeros(4)).tolist() == [0, 0, 0, 0]


# --- solvers --------------------------------------------------------------------------------------


def poisson_by_hand(n, h):
    """The five-point laplacian of n x n points, with the value 0 one spacing outside."""
    matrix = np.zeros((n * n, n * n))
    for i in range(n):
        for j in range(n):
            matrix[i * n + j, i * n + j] = -4 / h**2
            for k, m in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                if 0 <= k < n and 0 <= m < n:
                    matrix[i * n + j, k * n + m] = 1 / h**2
    return matrix


def test_solvers_of_scipy_solve_poissons_equation(rng):
    n, h = 12, 1 / 13
    by_hand = poisson_by_hand(n, h)
    walls = Axis(spacing=h, boundary=Dirichlet(0.0, at="next"))
    plan = Laplacian(2).on(Grid(walls, walls), (n, n))
    np.testing.assert_allclose(plan.matrix("array"), by_hand, rtol=2 * EPS)
    source = rng.normal(size=(n, n))
    wanted = np.linalg.solve(by_hand, source.ravel())
    # The condition of the matrix, (2 / (pi h))^2 = 70, times the roundings of a direct solver.
    tolerance = {"rtol": 0, "atol": 1e3 * EPS * abs(wanted).max()}
    direct = linalg.spsolve(plan.matrix("csc"), source.ravel())
    np.testing.assert_allclose(direct, wanted, **tolerance)
    minus = (-Laplacian(2)).on(Grid(walls, walls), (n, n)).linear_operator()
    solution, problem = linalg.cg(minus, -source.ravel(), rtol=1e-14, maxiter=500)
    assert problem == 0
    np.testing.assert_allclose(solution, wanted, rtol=0, atol=1e-11 * abs(wanted).max())


def test_values_at_walls_go_to_the_right_hand_side():
    """u = x^2 - y^2 obeys Laplace's equation, and the five points take it exactly."""
    n, h = 9, 0.125
    x = h * np.arange(1, n + 1)
    inside = x[:, None] ** 2 - x[None, :] ** 2
    end = h * (n + 1)
    axes = [
        Axis(
            spacing=h, boundary=(Dirichlet(-(x**2), at="next"), Dirichlet(end**2 - x**2, at="next"))
        ),
        Axis(spacing=h, boundary=(Dirichlet(x**2, at="next"), Dirichlet(x**2 - end**2, at="next"))),
    ]
    plan = Laplacian(2).on(Grid(*axes), (n, n))
    solution = linalg.spsolve(plan.matrix("csc"), -plan.offset.ravel())
    np.testing.assert_allclose(solution.reshape(n, n), inside, rtol=0, atol=1e3 * EPS)


def test_least_squares_find_a_field_of_given_gradient(rng):
    """lsqr needs the adjoint: the mean that a gradient does not know comes out as 0."""
    u = rng.normal(size=(6, 7))
    u -= u.mean()
    plan = Gradient(2, to="inner").on(Grid(Axis(), Axis()), (6, 7))
    slopes = np.concatenate([np.ravel(a) for a in plan(u)])
    found = linalg.lsqr(plan.linear_operator(), slopes, atol=1e-15, btol=1e-15)[0]
    np.testing.assert_allclose(found.reshape(6, 7), u, rtol=0, atol=1e-12)


def test_eigenvalues_of_a_string_are_known():
    """4 sin^2(k pi / 2(n + 1)) / h^2 with both ends held one spacing outside."""
    n, h = 20, 0.1
    plan = (-(D(0) ** 2)).on(Grid(Axis(spacing=h, boundary=Dirichlet(0.0, at="next"))), (n,))
    found = linalg.eigsh(plan.matrix(), k=4, sigma=0, return_eigenvectors=False)
    k = np.arange(1, 5)
    wanted = 4 * np.sin(k * np.pi / (2 * (n + 1))) ** 2 / h**2
    np.testing.assert_allclose(np.sort(found), wanted, rtol=1e-12)


def test_entries_of_products_are_in_order():
    found = (D(0) * D(1)).on(Grid(Axis(), Axis()), (5, 5)).matrix()
    assert found.has_sorted_indices
    assert all(
        np.all(np.diff(found.indices[a:b]) > 0)
        for a, b in zip(found.indptr, found.indptr[1:], strict=False)
    )


def test_arrays_are_multiplied_in_double_precision():
    a, x = np.array([100] * 5, np.int8), np.arange(5.0)
    plan = (a * (a * D(0))).on(LINE, (5,))
    np.testing.assert_array_equal(plan.matrix() @ x, plan(x))
    low = np.array([-128] * 5, np.int8)
    assert (low * D(0)).on(LINE, (5,)).magnitude.matrix().toarray().min() == 0
    half = (np.ones(5, np.float16) * Identity()).on(LINE, (5,))
    np.testing.assert_array_equal(half.matrix("array"), np.eye(5))


@pytest.mark.parametrize("dtype", [int, "float16", "M8[s]", "foo", bool])
@pytest.mark.parametrize("rendering", ["matrix", "linear_operator"])
def test_dtypes_that_hold_no_weights_are_refused(dtype, rendering):
    plan = D(0).on(LINE, (5,))
    with pytest.raises((ArgumentTypeError, ArgumentValueError), match="dtype="):
        getattr(plan, rendering)(dtype=dtype)
    with pytest.raises(ArgumentTypeError, match="cannot hold the complex entries"):
        getattr((1j * D(0)).on(LINE, (5,)), rendering)(dtype="float64")


def test_linear_operators_have_the_dtype_of_the_plan():
    operator = D(0).on(LINE, (5,), dtype="float32").linear_operator()
    assert operator.dtype == np.float32
    assert (operator @ np.ones(5)).dtype == np.float32
    assert (operator @ np.zeros((5, 0))).shape == (5, 0)


@pytest.mark.parametrize("module", ["torch", "jax.numpy"])
def test_linear_operators_for_scipy_take_arrays_of_other_libraries_to_the_host(module):
    xp = pytest.importorskip(module)
    plan = (xp.ones(6) * D(0)).on(LINE, (6,))
    np.testing.assert_array_equal(plan.linear_operator() @ np.arange(6.0), np.full(6, 2.0))


def test_weights_beyond_the_range_of_floats_are_infinite():
    plan = (D(0) ** 4).on(Grid(Axis(spacing=1e-100)), (9,))
    assert np.isinf(plan.matrix("array")[4, 2:7]).all()
    assert np.isinf(plan.stencil(4).weights).all()
