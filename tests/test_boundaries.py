"""Boundaries as values: what they hold, what they refuse, and pairs of them for two ends."""

import dataclasses
import pickle
from fractions import Fraction

import numpy as np
import pytest

import gradkit
from gradkit import Antisymmetric, Dirichlet, Neumann, Robin, Symmetric
from gradkit.boundaries import as_boundary, ends_of
from gradkit.errors import ArgumentTypeError, ArgumentValueError

ARRAY = np.array([1.0, 2.0, 4.0])


def array_of(value):
    """The numbers of an array that a condition holds."""
    return value.array


# --- what they hold -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "a", "b", "value", "at"),
    [
        (Dirichlet(), 1, 0, 0, "face"),
        (Dirichlet(2.5), 1, 0, 2.5, "face"),
        (Dirichlet(1j, at="next"), 1, 0, 1j, "next"),
        (Neumann(), 0, 1, 0, "face"),
        (Neumann(-3, at="sample"), 0, 1, -3, "sample"),
        (Robin(2, 0.5), 2, 0.5, 0, "face"),
        (Robin(2, 0.5, 7, at=0.25), 2, 0.5, 7, 0.25),
        (Robin(1j, 0, Fraction(1, 3)), 1j, 0, Fraction(1, 3), "face"),
    ],
    ids=repr,
)
def test_conditions_are_a_f_plus_b_times_the_slope(condition, a, b, value, at):
    assert (condition.a, condition.b, condition.value, condition.at) == (a, b, value, at)


def test_reflections_have_a_sign_and_state_no_value():
    assert (Symmetric().sign, Symmetric().at) == (1, "face")
    assert (Antisymmetric().sign, Antisymmetric().at) == (-1, "face")
    assert not hasattr(Symmetric(), "value")


@pytest.mark.parametrize("at", ["face", "sample", "next", 0, 0.0, 2.5, Fraction(1, 3)])
def test_a_wall_is_at_a_named_place_or_a_distance(at):
    for condition in (Dirichlet(1, at=at), Neumann(1, at=at), Robin(1, 2, at=at)):
        assert condition.at == at


@pytest.mark.parametrize(
    ("number", "kept", "kind"),
    [
        (np.float32(0.5), 0.5, float),
        (np.int8(-3), -3, int),
        (np.complex64(1 + 2j), 1 + 2j, complex),
        (Fraction(1, 3), Fraction(1, 3), Fraction),
    ],
    ids=repr,
)
def test_numbers_are_kept_without_a_dtype(number, kept, kind):
    value = Dirichlet(number).value
    assert type(value) is kind
    assert value == kept


@pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="longdouble is no wider than float64 here"
)
def test_a_number_that_no_float_of_python_holds_stays_exact():
    number = np.longdouble(1) + np.finfo(np.longdouble).eps
    exact = 1 + Fraction(1, 2 ** np.finfo(np.longdouble).nmant)
    assert exact != float(exact)
    assert Dirichlet(number).value == exact


# --- arrays ---------------------------------------------------------------------------------------


def test_arrays_are_copied_and_cannot_be_written():
    given = ARRAY.copy()
    condition = Robin(given, 2.0, given)
    given[1] = 77.0
    for part in (condition.a, condition.value):
        assert array_of(part).tolist() == [1.0, 2.0, 4.0]
        with pytest.raises(ValueError, match="read-only"):
            array_of(part)[0] = 5.0


def test_a_read_only_array_is_copied_too():
    """It may be a view of one that can change, or become writeable again."""
    base = ARRAY.copy()
    view = base[:]
    view.setflags(write=False)
    own = ARRAY.copy()
    own.setflags(write=False)
    conditions = Dirichlet(view), Dirichlet(own)
    base[0] = -1.0
    own.setflags(write=True)
    own[0] = -1.0
    for condition in conditions:
        assert array_of(condition.value).tolist() == [1.0, 2.0, 4.0]


def test_lists_are_arrays():
    assert Neumann([1.0, 2.0, 4.0]) == Neumann(ARRAY)
    assert array_of(Dirichlet([[1, 2], [3, 4]]).value).shape == (2, 2)


def test_arrays_come_from_any_library(library):
    values = library.asarray([1.0, 2.0, 4.0])
    condition = Robin(1, values, 3)
    assert type(array_of(condition.b)) is type(values)
    assert library.to_numpy(array_of(condition.b)).tolist() == [1.0, 2.0, 4.0]
    assert condition == Robin(1, values, 3)
    assert condition != Robin(1, library.asarray([1.0, 2.0, 5.0]), 3)


# --- what they refuse -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("0", ArgumentTypeError, r"value='0' \(str\) is not a number or an array of numbers"),
        (None, ArgumentTypeError, r"value=None \(NoneType\)"),
        (True, ArgumentTypeError, r"value=True \(bool\)"),
        (np.True_, ArgumentTypeError, r"\(bool\) is not a number"),
        ({}, ArgumentTypeError, r"value=\{\} \(dict\)"),
        (float("nan"), ArgumentValueError, "value nan is not a finite number"),
        (-float("inf"), ArgumentValueError, "value -inf is not a finite number"),
        (complex(0, float("inf")), ArgumentValueError, "not a finite number"),
        pytest.param(10**400, ArgumentValueError, "not a finite number", id="10**400"),
        (np.array(["a"]), ArgumentTypeError, "value has dtype str"),
        (np.array([True]), ArgumentTypeError, "value has dtype bool"),
        (np.array([0, None]), ArgumentTypeError, "value has dtype object"),
        (np.array([0, 1], "m8[s]"), ArgumentTypeError, r"value has dtype timedelta64\[s\]"),
        (np.array([0, 1], "M8[s]"), ArgumentTypeError, r"value has dtype datetime64\[s\]"),
        (np.datetime64("2020"), ArgumentTypeError, r"\(datetime64\) is not a number"),
        (np.ma.array([1.0, 2.0], mask=[0, 1]), ArgumentValueError, "value holds masked values"),
        ([[1], [1, 2]], ArgumentTypeError, "value cannot be made into an array"),
    ],
    ids=str,
)
def test_what_is_not_a_number_or_an_array_of_numbers_raises(value, error, message):
    for make in (Dirichlet, Neumann, lambda v: Robin(1, 2, v), Neumann(0).with_value):
        with pytest.raises(error, match=message):
            make(value)


def test_the_message_names_the_part_of_a_robin_condition():
    with pytest.raises(ArgumentTypeError, match=r"a='x' \(str\)"):
        Robin("x", 1)
    with pytest.raises(ArgumentTypeError, match=r"b=None \(NoneType\)"):
        Robin(1, None)
    with pytest.raises(ArgumentValueError, match="b nan is not a finite number"):
        Robin(1, float("nan"))


@pytest.mark.parametrize("zero", [0, 0.0, 0j, Fraction(0)])
def test_a_robin_condition_without_a_and_b_raises(zero):
    with pytest.raises(ArgumentValueError, match=r"Robin\(0, 0\) states nothing"):
        Robin(zero, zero, 1)
    assert Robin(zero, 1).a == 0
    assert Robin(1, zero).b == 0


@pytest.mark.parametrize(
    ("at", "error", "message"),
    [
        ("fac", ArgumentValueError, "at='fac' is not one of 'face', 'sample', 'next'; did you mea"),
        ("wall", ArgumentValueError, "at='wall' is not one of .*, or a distance"),
        (-1, ArgumentValueError, "at=-1 is not a distance: wanted a finite number >= 0"),
        (-1e-300, ArgumentValueError, "at=-1e-300 is not a distance"),
        (float("nan"), ArgumentValueError, "at=nan is not a distance"),
        (float("inf"), ArgumentValueError, "at=inf is not a distance"),
        (None, ArgumentTypeError, "at=None is not the place of a wall"),
        (True, ArgumentTypeError, "at=True is not the place of a wall"),
        (1j, ArgumentTypeError, "at=1j is not the place of a wall"),
        ([1], ArgumentTypeError, r"at=\[1\] is not the place of a wall"),
        (np.array(1.0), ArgumentTypeError, r"at=array\(1\.\) is not the place of a wall"),
    ],
    ids=str,
)
def test_what_is_not_the_place_of_a_wall_raises(at, error, message):
    for make in (Dirichlet, Neumann, lambda value, at: Robin(1, 2, value, at=at)):
        with pytest.raises(error, match=message):
            make(0, at=at)


@pytest.mark.parametrize("at", ["centre", 0.5, 0, None, ["face"]], ids=repr)
def test_reflections_are_at_named_places_alone(at):
    with pytest.raises(ArgumentValueError, match=r"at=.* is not one of 'face', 'sample', 'next'"):
        Antisymmetric(at=at)
    with pytest.raises(ArgumentValueError, match=r"at=.* is not one of 'face', 'sample'(;|$)"):
        Symmetric(at=at)


def test_a_plane_of_symmetry_one_spacing_beyond_the_end_raises():
    """The value on it is no image of any sample; that of an antisymmetric function is 0."""
    with pytest.raises(ArgumentValueError, match=r"at='next' is not one of 'face', 'sample'$"):
        Symmetric(at="next")
    assert Antisymmetric(at="next").at == "next"


def test_a_place_is_named_not_counted():
    """So that nobody takes the second argument for something else."""
    for make in (Dirichlet, Neumann):
        with pytest.raises(TypeError, match="positional argument"):
            make(0, "next")


# --- values ---------------------------------------------------------------------------------------

VALUES = [
    Dirichlet(0),
    Dirichlet(1),
    Dirichlet(0, at="next"),
    Dirichlet(0, at="sample"),
    Dirichlet(0, at=0.5),
    Dirichlet(1j),
    Dirichlet(ARRAY),
    Dirichlet(ARRAY + 1),
    Dirichlet(ARRAY[:2]),
    Dirichlet(ARRAY[:, np.newaxis]),
    Dirichlet(ARRAY.astype("float32")),
    Neumann(0),
    Neumann(0, at="sample"),
    Neumann(ARRAY),
    Robin(1, 0),
    Robin(0, 1),
    Robin(1, 2),
    Robin(2, 1),
    Robin(1, 2, 3),
    Robin(1, 2, at="sample"),
    Robin(ARRAY, 2),
    Robin(1, ARRAY),
    Robin(1, 1, ARRAY),
    Symmetric(),
    Symmetric(at="sample"),
    Antisymmetric(),
    Antisymmetric(at="sample"),
    Antisymmetric(at="next"),
]


def test_no_two_different_boundaries_are_equal():
    """A Robin condition is none of the others, even where it states the same."""
    for i, left in enumerate(VALUES):
        assert [right == left for right in VALUES] == [i == j for j in range(len(VALUES))]
    assert len(set(VALUES)) == len(VALUES)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_boundaries_survive_pickling(value):
    copy = pickle.loads(pickle.dumps(value))
    assert copy == value
    assert hash(copy) == hash(value)
    assert repr(copy) == repr(value)


def test_arrays_cannot_be_written_after_pickling_either():
    copy = pickle.loads(pickle.dumps(Dirichlet(ARRAY)))
    with pytest.raises(ValueError, match="read-only"):
        array_of(copy.value)[0] = 5.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Dirichlet(), Dirichlet(0.0)),
        (Dirichlet(2), Dirichlet(np.float32(2))),
        (Dirichlet(1, at=1), Dirichlet(Fraction(1), at=1.0)),
        (Neumann(), Neumann(0, at="face")),
        (Dirichlet(ARRAY), Dirichlet(ARRAY.copy())),
        (Robin(1, ARRAY, 3), Robin(1.0, list(ARRAY), 3.0)),
        (Dirichlet([np.nan, 1.0]), Dirichlet([np.nan, 1.0])),
        (Symmetric(), Symmetric("face")),
    ],
    ids=repr,
)
def test_equal_boundaries_hash_and_compare_equal(one, other):
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize("name", ["at", "value", "a", "b", "new"])
def test_boundaries_are_frozen(name):
    for value in (Dirichlet(1), Neumann(1), Robin(1, 2), Symmetric(), Antisymmetric()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, 3)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Dirichlet(), "Dirichlet(0.0)"),
        (Dirichlet(3), "Dirichlet(3)"),
        (Dirichlet(1.5, at="next"), "Dirichlet(1.5, at='next')"),
        (Dirichlet(2j, at=0.25), "Dirichlet(2j, at=0.25)"),
        (Neumann(-1.0, at="sample"), "Neumann(-1.0, at='sample')"),
        (Robin(1.0, 0.5, 20.0), "Robin(1.0, 0.5, 20.0)"),
        (Robin(1, -2, at=3), "Robin(1, -2, 0.0, at=3)"),
        (Symmetric(), "Symmetric()"),
        (Symmetric(at="sample"), "Symmetric(at='sample')"),
        (Antisymmetric(at="next"), "Antisymmetric(at='next')"),
    ],
)
def test_boundaries_print_as_they_are_made(value, text):
    assert repr(value) == text
    assert eval(text, vars(gradkit)) == value


def test_arrays_print_their_shape():
    assert repr(Dirichlet(ARRAY)) == "Dirichlet(<3 array>)"
    assert repr(Robin(ARRAY, 1, ARRAY[:, np.newaxis])) == "Robin(<3 array>, 1, <3 x 1 array>)"


@pytest.mark.parametrize(
    "condition",
    [Dirichlet(1, at="next"), Neumann(ARRAY, at=0.5), Robin(2, ARRAY, 3, at="sample")],
    ids=repr,
)
@pytest.mark.parametrize("value", [0.0, -4, 1j, ARRAY + 2], ids=repr)
def test_with_value_changes_the_right_hand_side_alone(condition, value):
    before = repr(condition)
    changed = condition.with_value(value)
    assert type(changed) is type(condition)
    assert (changed.a, changed.b, changed.at) == (condition.a, condition.b, condition.at)
    assert changed == type(condition)(
        *((condition.a, condition.b) if isinstance(condition, Robin) else ()),
        value,
        at=condition.at,
    )
    assert repr(condition) == before


# --- the two ends of an axis ----------------------------------------------------------------------

WORDS = ("one-sided", "periodic", "antiperiodic")


@pytest.mark.parametrize("boundary", [*WORDS, Dirichlet(1), Robin(1, 2), Symmetric()], ids=repr)
def test_one_boundary_is_that_of_both_ends(boundary):
    assert as_boundary(boundary) is boundary
    assert as_boundary((boundary, boundary)) == boundary
    known = None if isinstance(boundary, str) else boundary
    assert ends_of(as_boundary(boundary)) == (known, known)


@pytest.mark.parametrize(
    "pair",
    [
        (Dirichlet(1), Dirichlet(2)),
        (Dirichlet(1), Neumann(1)),
        (Dirichlet(1), Dirichlet(1, at="next")),
        (Symmetric(), Antisymmetric()),
        (Dirichlet(ARRAY), Dirichlet(ARRAY + 1)),
        (Robin(1, 2), "one-sided"),
        ("one-sided", Symmetric()),
    ],
    ids=repr,
)
def test_a_pair_has_one_entry_per_end(pair):
    for given in (pair, list(pair)):
        boundary = as_boundary(given)
        assert boundary == pair
        assert type(boundary) is tuple
        assert ends_of(boundary) == tuple(None if end == "one-sided" else end for end in pair)


def test_a_pair_of_equal_entries_is_one_boundary():
    assert as_boundary((Dirichlet(0), Dirichlet(0.0))) == Dirichlet(0)
    assert as_boundary([Dirichlet(ARRAY), Dirichlet(ARRAY.copy())]) == Dirichlet(ARRAY)
    assert as_boundary(("periodic", "periodic")) == "periodic"


@pytest.mark.parametrize(
    ("boundary", "message"),
    [
        ("periodc", "boundary='periodc' is not one of .*; did you mean 'periodic'"),
        ("", "boundary='' is not one of 'one-sided', 'periodic', 'antiperiodic'"),
        (None, r"boundary=None is not one of .*, or a value such as Dirichlet\(0\)"),
        (0, "boundary=0 is not one of"),
        (Dirichlet, r"boundary=<class .*Dirichlet'> is not one of"),
        (np.array([1.0, 2.0]), "boundary=array"),
        ((), r"boundary=\(\) has 0 entries: wanted one for both ends of an axis, or a pair"),
        ((Dirichlet(0),), r"boundary=\(Dirichlet\(0\),\) has 1 entries"),
        ((Dirichlet(0),) * 3, "has 3 entries"),
        ((Dirichlet(0), 1), "boundary=1 is not one of"),
        ((None, Dirichlet(0)), "boundary=None is not one of"),
        (("dirichlet", Dirichlet(0)), "boundary='dirichlet' is not one of"),
        (("one-sided", (Dirichlet(0), Neumann(0))), r"boundary=\(Dirichlet\(0\), Neumann\(0\)\)"),
        (("one-sided", "periodic"), "an axis is periodic at both ends or at none"),
        (("antiperiodic", Dirichlet(0)), "an axis is antiperiodic at both ends or at none"),
        (("periodic", "antiperiodic"), "an axis is periodic at both ends or at none"),
    ],
    ids=repr,
)
def test_what_is_not_a_boundary_raises(boundary, message):
    with pytest.raises(ArgumentValueError, match=message):
        as_boundary(boundary)
