"""The table of a check as text, in colours and as HTML."""

import dataclasses
import io
import pickle
from html.parser import HTMLParser

import numpy as np
import pytest

from gradkit.errors import CheckError, MissingPackageError
from gradkit.functions import check_gradient, check_jacobian


def squares(x):
    return (x**2).sum(0)


def check_of(size=4, **options):
    x = np.arange(1.0, size + 1)
    claim = 2 * x
    claim[0], claim[1] = -2.0, np.nan
    return check_gradient(squares, claim, x, **options)


def test_text():
    lines = str(check_of(steps=[1e-3])).splitlines()
    assert lines[0] == "gradient of squares: FAILED: 1 wrong, 1 not finite of 4 entries"
    assert lines[1].startswith("claimed by an array; numeric with errors up to ")
    assert lines[2] == (
        "* |claimed - numeric| > 1e-06 + 1e-06 |numeric| + 10 error (100 if not converged), "
        "or not finite"
    )
    assert " ".join(lines[3].split()) == "entry claimed numeric ± error absolute relative"
    assert lines[4].split()[:4] == ["*", "[0]", "-2", "2"]
    assert lines[4].endswith("= -numeric")
    assert lines[5].split()[:4] == ["*", "[1]", "nan", "4"]
    assert lines[6].startswith("   [")
    assert lines[8] == "central differences of one step:"
    assert lines[10].split()[0] == "1.0e-03"
    assert repr(check_of()) == str(check_of())


def test_rows_bound_each_kind_and_say_what_is_left():
    x = np.ones(30)
    claim = 2 * x
    claim[:12], claim[12:20] = 3.0, np.nan
    check = check_gradient(squares, claim, x, rows=5)
    marks = [line.cells[0] for line in check.lines()]
    assert marks == ["*"] * 5 + [""] + ["*"] * 5 + [""]
    text = str(check)
    assert "... 7 more" in text
    assert "... 3 more" in text
    right = check_gradient(squares, 2 * x, x, rows=5)
    assert len(right.lines()) == 5
    assert right.title() == "gradient of squares: passed: 30 entries right"


def test_worst_is_first():
    x = np.ones(5)
    check = check_gradient(squares, 2 * x + [1e-3, 0.1, 0, 1e-2, 0], x)
    assert [line.cells[1] for line in check.lines()[:3]] == ["[1]", "[3]", "[0]"]
    assert check.worst == (1,)


def test_places_are_indices_or_directions():
    A = np.arange(6.0).reshape(2, 3)
    wrong = A + np.array([[0, 0, 1], [0, 0, 0]])
    check = check_jacobian(lambda x: A @ x, wrong, np.ones(3))
    assert check.lines()[0].cells[1] == "[0, 2]"
    along = check_jacobian(lambda x: A @ x, wrong, np.ones(3), directions=2)
    assert along.lines()[0].cells[1] in ("direction 0 of [0]", "direction 1 of [0]")
    assert "of 4 entries along 2 random directions" in along.title()
    once = check_gradient(squares, 2 * np.ones(2), np.ones(2), directions=1)
    assert once.title() == "gradient of squares: passed: 1 entry along 1 random direction right"
    assert once.lines()[0].cells[1] == "direction 0"


def test_outputs_of_several_dimensions():
    def func(x):
        return x[None, None] * np.arange(1.0, 7.0).reshape(2, 3, 1, *(1,) * (x.ndim - 1))

    wanted = np.arange(1.0, 7.0).reshape(2, 3, 1, 1) * np.eye(2)
    wanted[1, 2, 0, 0] = 0.0
    check = check_jacobian(func, wanted, np.ones(2))
    assert check.lines()[0].cells[1] == "[1, 2, 0, 0]"
    along = check_jacobian(func, wanted, np.ones(2), directions=1)
    assert along.lines()[0].cells[1] == "direction 0 of [1, 2, 0]"


def test_large_tables_are_made_at_once():
    x = np.zeros(600)
    check = check_jacobian(np.sin, np.eye(600) + 1e-3, x)
    assert check.count("wrong") == 360_000
    assert len(check.lines()) == 11
    assert check.worst is not None


def test_error_holds_the_worst_lines():
    with pytest.raises(CheckError) as caught:
        check_of().raise_if_failed()
    assert str(caught.value) == str(check_of())
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(check_of())
    check_gradient(squares, lambda x: 2 * x, [1.0]).raise_if_failed()


def test_report_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        check_of().rtol = 1


class Reader(HTMLParser):
    """Collects texts and tags, and fails on tags that do not fit."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_html_is_escaped_and_complete():
    def evil(x):
        return squares(x)

    evil.__name__ = "<script>alert('&')</script>"
    x = np.array([1.0, 2.0])
    check = check_gradient(evil, [2.0, -4.0], x, steps=[1e-3])
    reader = Reader()
    reader.feed(check._repr_html_())
    reader.close()
    assert not reader.open
    assert set(reader.tags) == {"p", "strong", "br", "table", "tr", "th", "td"}
    assert reader.texts[0].startswith("gradient of <script>alert('&')</script>: FAILED")
    cells = [cell for line in check.lines() for cell in line.cells if cell]
    assert set(cells) <= set(reader.texts)
    assert reader.tags.count("table") == 2
    assert 'style="color: red"' in check._repr_html_()


def test_html_escapes_cells(monkeypatch):
    monkeypatch.setattr("gradkit.functions.check_report.entry_note", lambda *_: "a < b & c")
    assert "<td>a &lt; b &amp; c</td>" in check_of()._repr_html_()


def test_rich_shows_the_same_cells():
    console = pytest.importorskip("rich.console")
    check = check_of(steps=[1e-3])
    shown = io.StringIO()
    console.Console(file=shown, width=200, force_terminal=True, color_system="standard").print(
        check
    )
    text = shown.getvalue()
    assert check.title() in text
    for line in check.lines():
        for cell in line.cells:
            assert cell in text
    assert "\x1b[31m" in text
    assert "1.0e-03" in text


def test_rich_is_not_fooled_by_markup():
    console = pytest.importorskip("rich.console")
    shown = io.StringIO()
    check = check_gradient(squares, [-2.0], [1.0])
    console.Console(file=shown, width=200).print(dataclasses.replace(check, function="[red]f[/]"))
    assert "gradient of [red]f[/]: FAILED" in shown.getvalue()
    assert "[0]" in shown.getvalue()


def test_missing_rich_names_the_extra(monkeypatch):
    for name in ("rich", "rich.console"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(MissingPackageError, match=r"gradkit\[cli\]"):
        check_of().__rich__()
