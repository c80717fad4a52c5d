"""What operators demand of every rollout."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.errors import SpecInvalid
from deployer.spec.limits import Limits
from deployer.spec.resolve import resolve

STEPS: list[Any] = [{"weight": 5, "require": "no_harm"}, 100]
FILE = "serving.yaml"


def limits(**demands: Any) -> Limits:
    return Limits.model_validate({"rollout": demands})


@pytest.mark.parametrize(
    ("layer", "demands", "said"),
    [
        (
            {"rollout": {"steps": [20, 100]}},
            {"first_step": 10},
            "serving.yaml: rollout.steps begins with 20 %, and may begin with 10 %",
        ),
        (
            {},
            {"first_step": 10},
            "default: rollout.steps begins with 100 %, and may begin with 10 %",
        ),
        (
            {"rollout": {"steps": STEPS}},
            {"require": "not_worse"},
            "serving.yaml: rollout.steps has no step that requires not_worse",
        ),
        (
            {"rollout": {"bake": "1m"}},
            {"bake": "10m"},
            "serving.yaml: rollout.bake is 1m, less than 10m",
        ),
        (
            {"analysis": {"metrics": {"errors": {"worse_by": "5pp"}}}},
            {"worse_by": "2pp"},
            "serving.yaml: analysis.metrics.errors.worse_by has to be at most 2pp",
        ),
        (
            {"analysis": {"metrics": {"rejected": None}}},
            {"worse_by": "2pp"},
            "serving.yaml: analysis.metrics.rejected.worse_by has to be at most 2pp",
        ),
    ],
    ids=["first", "default", "require", "bake", "worse", "left-out"],
)
def test_what_does_less_than_is_demanded_is_refused_with_the_remedy(
    layer: dict[str, Any], demands: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecInvalid) as refused:
        resolve([(FILE, layer)], limits(**demands))
    (limit,) = demands
    assert refused.value.message == f"{said} (limits.rollout.{limit})."
    assert "ask an operator to change limits.rollout." in refused.value.hint
    assert resolve([(FILE, layer)], Limits())
    assert resolve([(FILE, layer)], limits(**demands), whole=False), "another layer may bring it"


def test_what_does_as_much_is_taken() -> None:
    steps = [{"weight": 5, "require": "not_worse"}, 100]
    layer = {"rollout": {"steps": steps, "bake": "10m"}}
    demanded = limits(first_step=5, require="no_harm", bake="10m", worse_by="2pp")
    assert resolve([(FILE, layer)], demanded)
