"""Results: frozen, with words for what happened and a repr that tells the most important."""

import dataclasses

import numpy as np
import pytest

import gradkit.functions
from gradkit.functions import Result, derivative, gradient


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        derivative(np.exp, 1.0).value = 3.0


def test_repr_of_one_value():
    text = repr(derivative(np.exp, 0.0))
    assert text.startswith("Result(0.99999") or text.startswith("Result(1")
    assert "±" in text
    assert "converged, 9 evaluations, 1 call)" in text


def test_repr_of_many():
    with np.errstate(all="ignore"):
        text = repr(derivative(lambda x: np.sqrt(np.abs(x)) + np.log(x + 1), [0.0, 1.0, -1.0]))
    assert "shape=(3,)" in text
    assert "1 kink" in text
    assert "1 non-finite" in text
    assert "1 converged" in text


def test_repr_of_none():
    assert "empty" in repr(derivative(np.exp, np.empty(0)))


def test_status_is_a_word_or_an_array_of_words():
    assert derivative(np.exp, 1.0).status == "converged"
    status = derivative(np.abs, [0.0, 1.0]).status
    assert status.tolist() == ["kink", "converged"]


def test_code_is_the_place_of_the_word():
    result = derivative(np.abs, [0.0, 1.0])
    words = gradkit.functions.results.STATUSES
    assert [words[code] for code in result.code] == result.status.tolist()


def test_tensors_that_record_gradients_can_be_shown():
    torch = pytest.importorskip("torch")
    x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    assert "converged" in repr(gradient(lambda z: z[0] * z[1], x))


def test_public_names():
    names = gradkit.functions.__all__
    wanted = {"derivative", "gradient", "jacobian", "hessian", "hessian_diagonal", "directional"}
    assert wanted | {"partial", "Result"} <= set(names)
    assert names == sorted(names)
    assert dataclasses.is_dataclass(Result)
