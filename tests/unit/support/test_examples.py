"""What a model answers in one protocol is compared with what it answers in the other."""

from __future__ import annotations

import pytest
from support.examples import assert_alike

ROWS = [{"language": "en", "probability": 0.5}, {"language": "da", "probability": 0.25}]


def outputs(*data: list) -> list[dict]:
    names = ("language", "probability")
    return [{"name": name, "data": each} for name, each in zip(names, data, strict=False)]


@pytest.mark.parametrize(
    ("answered", "predictions"),
    [
        (outputs(["en", "da"], [0.5, 0.25]), ROWS),
        (outputs([1, 2]), [1, 2]),
        (outputs([1, 2, 3, 4]), [[1, 2], [3, 4]]),
    ],
)
def test_answers_that_say_the_same_are_alike(answered, predictions):
    assert_alike(answered, predictions)


@pytest.mark.parametrize(
    ("answered", "predictions"),
    [
        (outputs(["en", "da"], [0.5, 0.75]), ROWS),
        (outputs(["en", "de"], [0.5, 0.25]), ROWS),
        (outputs(["en", "da"]), ROWS),
        (outputs([1, 3]), [1, 2]),
    ],
)
def test_answers_that_differ_are_not(answered, predictions):
    with pytest.raises(AssertionError):
        assert_alike(answered, predictions)
