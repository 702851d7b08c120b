"""What the caller wants of floating-point errors, as NumPy has it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gradkit.engines.cpu import floating
from gradkit.engines.cpu.floating import wants_errors


@pytest.fixture(params=[True, False], ids=["looked into once", "looked into each time"])
def _setting(request, monkeypatch):
    assert floating._setting is not None, "NumPy keeps it elsewhere: each call takes longer"
    if not request.param:
        monkeypatch.setattr(floating, "_setting", None)


@pytest.mark.usefixtures("_setting")
def test_more_than_warnings_is_wanted_where_numpy_is_told_so():
    for _ in range(2):
        assert not wants_errors()
        for kind in ("divide", "over", "under", "invalid"):
            for mode, wanted in (("raise", True), ("print", True), ("warn", False)):
                with np.errstate(**{kind: mode}):
                    assert wants_errors() is wanted
                    with np.errstate(all="ignore"):
                        assert not wants_errors()
                    assert wants_errors() is wanted
        before = np.seterr(over="raise")
        try:
            assert wants_errors()
        finally:
            np.seterr(**before)
    assert not wants_errors()


@pytest.mark.usefixtures("_setting")
def test_threads_have_their_own():
    def asked(mode):
        found = set()
        for _ in range(500):
            with np.errstate(invalid=mode):
                found.add(wants_errors())
        return found

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(asked, ["raise", "ignore"] * 4)) == [{True}, {False}] * 4
