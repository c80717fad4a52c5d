"""Whether a new version fits those who rely on the signature of the old one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deployer.analysis.contract import fault


def model(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"signature": {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)}}


def column(name: str | None, kind: str = "string", **more: Any) -> dict[str, Any]:
    named = {} if name is None else {"name": name}
    return {"type": kind, **named, "required": True, **more}


def tensor(dtype: str, *shape: int) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}


TEXT = column("text")
OUTPUTS = [column("language"), column("probability", "double")]
LANGUAGE = model([TEXT], OUTPUTS)
SENTIMENT = model([TEXT], [column("sentiment"), column("score", "double")])


def test_a_model_of_another_kind_is_caught():
    """The thesis's own accident: the sentiment model in the place of the language model."""
    assert fault(LANGUAGE, SENTIMENT) == "the output 'language' is gone"


@pytest.mark.parametrize(
    ("after", "says"),
    [
        (LANGUAGE, ""),
        (model([TEXT, column("hint", required=False)], [*OUTPUTS, column("x")]), ""),
        (model([TEXT, column("hint")], OUTPUTS), "the input 'hint' is new, and required"),
        (model([column("text", "binary")], OUTPUTS), "is binary, and was string"),
        (model([], OUTPUTS), ""),
        (
            model([TEXT], [column("language"), column("probability", "string")]),
            "the output 'probability' is string, and was double",
        ),
        (
            model([TEXT], [column("language"), column("probability", "float")]),
            "",
        ),
        ({}, "it declares no signature"),
    ],
)
def test_what_others_rely_on_stays(after, says):
    found = fault(LANGUAGE, after)
    assert says in found
    assert bool(found) is bool(says)


@pytest.mark.parametrize(
    ("old", "new", "fits"),
    [("long", "double", True), ("double", "long", False), ("integer", "long", True)],
)
def test_an_input_may_take_more_numbers_and_an_output_give_fewer(old, new, fits):
    assert bool(fault(model([column("x", old)], []), model([column("x", new)], []))) is not fits
    assert bool(fault(model([], [column("y", new)]), model([], [column("y", old)]))) is not fits


def test_columns_without_names_are_compared_by_place():
    old = model([tensor("float32", -1, 4)], [tensor("float32", -1, 3)])
    assert fault(old, old) == ""
    assert "a tensor of float32 [-1, 5]" in fault(
        old, model([tensor("float32", -1, 5)], [tensor("float32", -1, 3)])
    )
    assert fault(model([], [column(None, "long")]), model([], [])) == "output 1 is gone"


def test_nothing_is_compared_with_a_version_that_declares_nothing():
    assert fault({}, LANGUAGE) == ""
    assert fault({"signature": None}, LANGUAGE) == ""
