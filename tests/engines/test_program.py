"""Programs: what a plan becomes for one library and dtype, and how long it is kept."""

import sys
from contextlib import nullcontext
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from gradkit import (
    Axis,
    D,
    Dirichlet,
    Divergence,
    FiniteDifference,
    Gradient,
    Grid,
    Hessian,
    Laplacian,
    Neumann,
    _array,
    use_engine,
)
from gradkit.engines.program import Known, Passage, Product, Window, program_of
from gradkit.errors import EngineError
from gradkit.methods import Rows
from gradkit.methods.rule import common_unit

LINE = Grid(Axis(0.5))
PERIODIC = Grid(Axis(boundary="periodic"))


def the_sequel(program):
    """The one term of a program of one term."""
    ((_, (sequel,), _),) = program.sums
    return sequel


def the_passage(plan, f):
    (step,) = the_sequel(program_of(plan, [f])).steps
    assert isinstance(step, Passage)
    return step


# --- slices and numbers -------------------------------------------------------------------------


def test_rows_become_slices_and_exact_numbers():
    plan = D(0).on(LINE, (8,))
    passage = the_passage(plan, np.ones(8))
    first, inside, last = passage.pieces
    assert [piece.is_plain for piece in passage.pieces] == [True] * 3
    # (f[i+1] - f[i-1]) / (2 h), one difference without a weight, over 2 h = 1: no divisor at all.
    assert inside.differences == (((slice(2, 8),), (slice(0, 6),), None),)
    assert inside.divisors == ()
    # (3 (f[1] - f[0]) + (f[1] - f[2])) / (2 h), so that no weight is negative.
    scale = float(np.prod(first.divisors))
    steps = {
        (high[0].start, low[0].start): float(1 if weight is None else weight) / scale
        for high, low, weight in first.differences
    }
    assert steps == {(1, 0): 3.0, (1, 2): 1.0}
    assert (first.rows, inside.rows, last.rows) == (1, 6, 1)


def test_points_around_an_end_are_slices_of_the_other():
    f = np.ones(8)
    (difference,) = the_passage(D(0).on(PERIODIC, (8,)), f).pieces[0].differences
    assert difference == ((slice(1, 2),), (slice(7, 8),), None)
    antiperiodic = D(0).on(Grid(Axis(boundary="antiperiodic")), (8,))
    ((high, low, weight),) = the_passage(antiperiodic, f).pieces[0].differences
    assert isinstance(low, Window)
    assert (high.segments, low.segments) == ((((slice(1, 2),), 1),), (((slice(7, 8),), -1),))
    assert (high.is_plain, low.is_plain, weight) == (True, False, None)


def test_points_on_both_sides_of_an_end_are_joined_slices():
    plan = D(0).on(Grid(Axis(boundary="antiperiodic")), (8,), method=FiniteDifference(4))
    first = the_passage(plan, np.ones(8)).pieces[0]
    points = [point for pair in first.differences for point in pair[:2]]
    windows = [point.segments for point in points if not point.is_plain]
    # Two rows: of the points -1, 0 and -2, -1.
    joined = (((slice(7, 8),), -1), ((slice(0, 1),), 1))
    assert len(windows) == 2
    assert joined in windows
    assert (((slice(6, 8),), -1),) in windows


def test_known_numbers_and_arrays_become_their_own_points():
    number = D(0, 2).on(Grid(Axis(boundary=(Dirichlet(3.0), "one-sided")), None), (6, 2))
    array = D(0, 2).on(
        Grid(Axis(boundary=(Dirichlet(np.asarray([3.0, 4.0])), "one-sided")), None), (6, 2)
    )
    for plan, has_array in ((number, False), (array, True)):
        program = program_of(plan, [np.ones((6, 2))])
        (step,) = the_sequel(program).steps
        points = [p for high, low, _ in step.pieces[0].differences for p in (high, low)]
        (known,) = {id(p): p for p in points if isinstance(p, Known)}.values()
        assert (known.array is not None) == has_array
        if has_array:
            np.testing.assert_array_equal(program.arrays[known.array], [[3.0, 4.0]])
        else:
            assert float(known.number) == 3.0


def test_what_is_known_to_be_zero_costs_nothing():
    plan = D(0, 2).on(Grid(Axis(boundary=Dirichlet(0.0))), (6,))
    for piece in the_passage(plan, np.ones(6)).pieces:
        points = [p for high, low, _ in piece.differences for p in (high, low)]
        assert not any(isinstance(p, Known) for p in points)
    slope = D(0, to="outer").on(Grid(Axis(boundary=Neumann(0.0))), (6,), edge_order=1)
    pieces = the_passage(slope, np.ones(6)).pieces
    assert [len(piece.differences) for piece in pieces] == [0, 1, 0]
    assert [piece.is_full for piece in pieces] == [False, True, False]


def test_rows_that_take_nothing_are_zeros_of_the_right_kind():
    slope = D(0, to="outer").on(Grid(Axis(boundary=Neumann(0.0)), None), (4, 3), edge_order=1)
    for dtype in ("float32", "float64", "complex64"):
        result = slope(np.ones((4, 3), dtype))
        np.testing.assert_array_equal(result, np.zeros((5, 3), dtype), strict=True)
    known = D(0, to="outer").on(
        Grid(Axis(boundary=Neumann(np.asarray([1.0, 2.0, 3.0]))), None), (4, 3), edge_order=1
    )
    result = known(np.ones((4, 3), "float32"))
    # The outward slope: with the sign turned at the first face.
    np.testing.assert_array_equal(result[0], np.float32([-1, -2, -3]), strict=True)
    np.testing.assert_array_equal(result[-1], np.float32([1, 2, 3]), strict=True)


def test_arrays_are_multiplied_by_once_per_array():
    a, b = np.arange(8.0), np.ones(8)
    plan = (a * (b * D(0)) + a * D(0, 2)).on(LINE, (8,))
    program = program_of(plan, [np.ones(8)])
    assert len(program.arrays) == 2
    ((_, sequels, _),) = program.sums
    products = [[s.array for s in q.steps if isinstance(s, Product)] for q in sequels]
    assert sorted(map(len, products)) == [1, 2]
    assert len({index for group in products for index in group}) == 2


def test_array_and_its_conjugate_are_two():
    a = np.asarray([1j, 2.0, 3.0, 4.0])
    plan = (D(0) * a).on(PERIODIC, (4,))
    forward, backward = program_of(plan, [np.ones(4)]), program_of(plan.H, [np.ones(4)])
    np.testing.assert_array_equal(forward.arrays[0], a)
    np.testing.assert_array_equal(backward.arrays[0], a.conj())
    np.testing.assert_array_equal(program_of(plan.T, [np.ones(4)]).arrays[0], a)
    np.testing.assert_array_equal(program_of(plan.magnitude, [np.ones(4)]).arrays[0], abs(a))


@pytest.mark.parametrize(
    ("dtype", "of_array"),
    [("float32", "float32"), ("float16", "float32"), ("complex64", "float32"), ("int8", "float64")],
)
def test_arrays_have_the_precision_of_the_computation(dtype, of_array):
    plan = (np.arange(8, dtype="float64") * D(0)).on(LINE, (8,))
    program = program_of(plan, [np.ones(8, dtype)])
    assert program.arrays[0].dtype == of_array
    complex_plan = (1j * np.arange(8) * D(0)).on(LINE, (8,))
    wanted = {"float32": "complex64", "float64": "complex128"}[of_array]
    assert program_of(complex_plan, [np.ones(8, dtype)]).arrays[0].dtype == wanted


def test_coefficient_of_one_is_no_product():
    assert the_sequel(program_of(D(0).on(LINE, (8,)), [np.ones(8)])).coefficient is None
    doubled = the_sequel(program_of((2 * D(0)).on(LINE, (8,)), [np.ones(8)]))
    assert float(doubled.coefficient) == 2
    # The identity is multiplied even by 1, so that no result is the input itself.
    assert float(the_sequel(program_of((D(0) ** 0).on(LINE, (8,)), [np.ones(8)])).coefficient) == 1


def test_one_rule_is_made_ready_once():
    plan = (D(0) * D(1) + 2 * D(1)).on(Grid(Axis(), Axis()), (5, 6))
    ((_, sequels, _),) = program_of(plan, [np.ones((5, 6))]).sums
    along = [step for sequel in sequels for step in sequel.steps if step.axis == 1]
    assert len(along) == 2
    assert along[0] is along[1]


def test_equal_outputs_are_one_sum():
    program = program_of(Hessian(2).on(Grid(Axis(), Axis()), (5, 6)), [np.ones((5, 6))])
    assert program.outputs == (0, 1, 1, 2)
    assert len(program.sums) == 3


def test_outputs_know_their_own_shape():
    plan = Gradient(2, to="outer").on(Grid(Axis(), Axis()), (5, 6))
    program = program_of(plan, [np.ones((5, 6))])
    assert [result.shape for result in program.sums] == [(6, 6), (5, 7)]


# --- one division for several terms ---------------------------------------------------------------


def divisors_of(plan, dtype="float64"):
    """Whether the terms of the first sum divide, and what the sum is over."""
    f = [np.ones(shape, dtype) for shape in plan.input_shapes]
    wanted = program_of(plan, f).sums[0]
    pieces = [piece for sequel in wanted.sequels for piece in sequel.steps[0].pieces]
    return any(piece.divisors for piece in pieces), [float(d) for d in wanted.divisors]


EQUAL = Grid(Axis(0.1), Axis(0.1))


@pytest.mark.parametrize("accuracy", [2, 4, 6, 8])
def test_terms_over_the_same_number_are_divided_once_as_a_sum(accuracy):
    for operator in (Laplacian(2), Divergence(2)):
        plan = operator.on(EQUAL, (20, 20), method=FiniteDifference(accuracy))
        terms_divide, of_sum = divisors_of(plan)
        assert not terms_divide
        assert len(of_sum) == 1


@pytest.mark.parametrize(
    "plan",
    [
        D(0).on(EQUAL, (8, 8)),
        Laplacian(2).on(Grid(Axis(0.1), Axis(0.3)), (8, 8)),
        Laplacian(2).on(Grid(Axis(0.1), Axis(coordinates=np.arange(8.0) ** 2)), (8, 8)),
        (D(0) ** 2 + 3 * D(1) ** 2).on(EQUAL, (8, 8)),
        (D(0) ** 2 + np.ones((8, 8)) * D(1) ** 2).on(EQUAL, (8, 8)),
        (D(0) ** 2 + D(1)).on(EQUAL, (8, 8)),
        Laplacian(2).on(Grid(Axis(0.1, boundary=Dirichlet(1j)), Axis(0.1)), (8, 8)),
    ],
)
def test_other_terms_divide_for_themselves(plan):
    assert divisors_of(plan)[1] == []


@pytest.mark.parametrize("engine", ["reference", "cpu"])
@pytest.mark.parametrize("accuracy", [2, 4])
def test_a_sum_is_over_what_its_terms_share(accuracy, engine):
    """Second differences of a parabola are exact; so are these numbers in binary."""
    grid, method = Grid(Axis(0.5), Axis(0.5)), FiniteDifference(accuracy)
    x, y = np.meshgrid(np.arange(12) / 2, np.arange(13) / 2, indexing="ij")
    laplacian = Laplacian(2).on(grid, x.shape, method=method)
    divergence = Divergence(2).on(grid, x.shape, method=method)
    with use_engine(engine):
        second, first = laplacian(x**2 + 3 * y**2), divergence([x**2, y**2])
    np.testing.assert_allclose(second, np.full(x.shape, 8.0), rtol=1e-12)
    np.testing.assert_allclose(first, 2 * x + 2 * y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(19, 21), (40, 41)])
@pytest.mark.parametrize("accuracy", [2, 4, 8])
@pytest.mark.parametrize("boundary", ["one-sided", "periodic", Dirichlet(0.25)])
def test_a_block_divides_where_the_whole_does(rng, shape, accuracy, boundary):
    """Bit for bit, though a block may have no rows near an end."""
    grid = Grid(Axis(0.1, boundary=boundary), Axis(0.1, boundary=boundary))
    plan = Laplacian(2).on(grid, shape, method=FiniteDifference(accuracy))
    f = rng.standard_normal(shape)
    reach = plan.halo
    inner = tuple((k, n - k) for k, n in zip(reach, shape, strict=True))
    block = plan.block(inner, reach)
    assert np.array_equal(block(f), plan(f)[tuple(slice(a, b) for a, b in inner)])


def test_weights_that_float32_does_not_hold_are_over_divisors_of_their_own():
    rows = Rows(0, 5, ((1, 0), (2, 1)), (Fraction(1), Fraction(1, 3)), 2)
    wide = Rows(5, 6, ((1, 0),), (Fraction(1, 3 * 2**30),), 2)
    assert common_unit([rows]) == Fraction(2, 3)
    assert common_unit([rows, wide]) is None
    assert common_unit([]) is None


# --- numbers that a dtype cannot hold -----------------------------------------------------------


@pytest.mark.parametrize("h", [1e-12, 1e12])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divisor_that_the_dtype_cannot_hold_comes_in_factors(h, dtype):
    plan = D(0, 4).on(Grid(Axis(h)), (9,))
    inside = the_passage(plan, np.ones(9, dtype)).pieces[2]
    limits = np.finfo(dtype)
    for divisor in inside.divisors:
        assert limits.tiny < float(divisor) < limits.max
    assert (len(inside.divisors) > 1) == (dtype == "float32")
    # Fourth differences of k**4 are 24, whatever they are divided by; h**4 in four steps, so that
    # float32 holds what is in between.
    f = (np.arange(9.0) ** 4).astype(dtype)
    small = np.ldexp(f, -40) if h < 1 else np.ldexp(f, 40)
    shift = -40 if h < 1 else 40
    wanted = float(24 * Fraction(2) ** shift / Fraction(h) ** 4)
    assert plan(small)[4] == pytest.approx(wanted, rel=4 * float(limits.eps))


@pytest.mark.parametrize(
    ("coordinates", "wanted"),
    [([0.0, 1e-30, 1e-15, 1.0, 1e15, 1e30], "float64"), ([0, 1, 2.5, 3, 4, 6], "float32")],
)
def test_weights_of_many_decades_are_double_for_float32(coordinates, wanted):
    plan = D(0).on(Grid(Axis(coordinates=coordinates)), (6,))
    for piece in the_passage(plan, np.ones(6, "float32")).pieces:
        assert {weight.dtype.name for _, _, weight in piece.differences} == {wanted}


# --- how long a program is kept -----------------------------------------------------------------


def test_program_is_made_once_per_dtype():
    plan = D(0).on(LINE, (8,))
    f = np.ones(8)
    first = program_of(plan, [f])
    assert program_of(plan, [np.zeros(8)]) is first
    single = program_of(plan, [f.astype("float32")])
    assert single is not first
    assert program_of(plan, [np.zeros(8, "float32")]) is single
    assert program_of(plan, [f]) is first


def test_program_is_made_once_per_library():
    torch = pytest.importorskip("torch")
    plan = D(0).on(LINE, (8,))
    on_numpy = program_of(plan, [np.ones(8)])
    on_torch = program_of(plan, [torch.ones(8, dtype=torch.float64)])
    assert on_torch is not on_numpy
    assert on_torch is program_of(plan, [torch.zeros(8, dtype=torch.float64)])
    on_meta = program_of(plan, [torch.ones(8, dtype=torch.float64, device="meta")])
    assert on_meta is not on_torch


def test_programs_of_several_inputs_know_all_their_dtypes():
    plan = Divergence(2).on(Grid(Axis(), Axis()), (4, 4))
    double, single = np.ones((4, 4)), np.ones((4, 4), "float32")
    programs = [program_of(plan, pair) for pair in ([double, double], [double, single])]
    programs.append(program_of(plan, [single, double]))
    assert len({id(program) for program in programs}) == 3
    assert programs[1] is program_of(plan, [double, single])


def test_blocks_do_not_take_the_program_of_the_whole():
    plan = (np.arange(9.0) * D(0)).on(PERIODIC, (9,))
    plan(np.ones(9))
    block = plan.block([(3, 6)], [1])
    assert not block.memo
    np.testing.assert_array_equal(block(np.asarray([0.0, 1, 4, 9, 16])), [6.0, 16.0, 30.0])


def test_nothing_that_was_made_for_fake_tensors_is_kept():
    torch = pytest.importorskip("torch")
    plan = (np.arange(4.0) * D(0)).on(LINE, (4,))
    with torch._subclasses.fake_tensor.FakeTensorMode() as mode:
        plan(mode.from_tensor(torch.ones(4)))
    assert not plan.memo


def test_arrays_that_record_are_made_ready_in_every_call():
    torch = pytest.importorskip("torch")
    a = torch.arange(4.0, dtype=torch.float32)
    f = torch.ones(4, dtype=torch.float64)
    still = program_of((D(0) * a).on(LINE, (4,)), [f])
    assert isinstance(still.arrays[0], torch.Tensor)
    recording = program_of((D(0) * a.clone().requires_grad_()).on(LINE, (4,)), [f])
    assert callable(recording.arrays[0])
    assert recording.arrays[0]().requires_grad
    assert recording.arrays[0]().dtype == torch.float64


def test_arrays_of_jax_are_made_ready_in_every_call():
    jnp = pytest.importorskip("jax.numpy")
    program = program_of((jnp.arange(4.0) * D(0)).on(LINE, (4,)), [jnp.ones(4)])
    assert callable(program.arrays[0])
    host = program_of((np.arange(4.0) * D(0)).on(LINE, (4,)), [jnp.ones(4)])
    assert isinstance(host.arrays[0], np.ndarray)


@pytest.mark.parametrize(
    ("plan", "waits"),
    [
        (D(0).on(Grid(Axis(0.5)), (9,)), 0),
        (D(0).on(Grid(Axis(coordinates=np.arange(9.0) ** 2)), (9,)), 1),
        ((np.arange(9.0) * D(0)).on(Grid(Axis(0.5)), (9,)), 1),
        ((2j * D(0)).on(Grid(Axis(0.5)), (9,)), 1),
    ],
    ids=["numbers", "table", "array", "complex number"],
)
def test_what_was_uploaded_is_waited_for_once(plan, waits, monkeypatch):
    settled = []
    monkeypatch.setattr("gradkit._array.settle", settled.append)
    f = np.zeros(9)
    for _ in range(2):
        program_of(plan, [f])
    assert len(settled) == waits


@pytest.mark.parametrize("captures", [False, True])
def test_uploads_are_waited_for_on_the_device_of_the_array(captures, monkeypatch):
    told = []
    stream = SimpleNamespace(
        is_capturing=lambda: captures, synchronize=lambda: told.append("synchronize")
    )
    cuda = SimpleNamespace(
        Device=lambda number: told.append(number) or nullcontext(),
        get_current_stream=lambda: stream,
    )
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(_array.array_api_compat, "is_cupy_array", lambda f: True)
    monkeypatch.setattr(_array, "device", lambda f: SimpleNamespace(id=3))
    if captures:
        # A graph uploads when it runs; a call before that would read what is not there yet.
        with pytest.raises(EngineError, match="call the plan once before"):
            _array.settle(object())
    else:
        _array.settle(object())
    assert told == ([3] if captures else [3, "synchronize"])


def test_other_libraries_wait_for_nothing():
    _array.settle(np.zeros(3))
