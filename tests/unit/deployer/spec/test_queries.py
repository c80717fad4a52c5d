"""A metric of a team's own in serving.yaml: layers, mistakes, and what is published of it."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.errors import SpecInvalid
from deployer.schema.units import parse_level
from deployer.spec.model import ServingSpec
from deployer.spec.notes import notes
from deployer.spec.resolve import Limits, check_layer, resolve, spec_digest

LEFT = 'sum(increase(left{predictor="{predictor}"}[{window}]))'
BARE = {"query": LEFT, "max": 3}
RATE = {"query": LEFT, "count": LEFT, "worse_by": "2pp"}


def layer(**metrics: Any) -> dict[str, Any]:
    return {"analysis": {"metrics": metrics}}


def test_it_is_read_back_as_it_was_written_and_changes_no_predictor() -> None:
    spec = ServingSpec.model_validate(layer(basket=RATE, wait=BARE))
    asked = spec.analysis.metrics.asked
    assert list(asked) == ["basket", "wait"]
    assert (asked["basket"].worse_by, asked["basket"].every, asked["wait"].max) == (0.02, 60, 3)
    assert ServingSpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec_digest(spec) == spec_digest(ServingSpec())


def test_a_later_layer_replaces_it_whole_and_beside_it_stay_the_others() -> None:
    found = resolve(
        [("platform.yaml", layer(basket=RATE, errors=None)), ("serving.yaml", layer(basket=BARE))],
        Limits(),
    )
    metrics = found.spec.analysis.metrics
    assert (metrics.asked["basket"].count, metrics.asked["basket"].max) == (None, 3)
    assert metrics.errors is None
    assert found.origins["analysis.metrics.basket.max"] == "serving.yaml"


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"eror": {"worse_by": "1pp"}}, "metrics has no metric 'eror', but errors; one of"),
        ({"speed": 3}, "metrics has no metric 'speed'; one of your own needs a query"),
        ({"Ba-d": BARE}, "should name a metric with small letters, digits and _: not 'Ba-d'"),
        ({"b": BARE | {"mx": 1}}, "metrics.b.mx is not a known field"),
        ({"b": {"query": LEFT}}, "metrics.b should have worse_by or max"),
        ({"b": BARE | {"worse_by": "1pp"}}, "metrics.b should have a count beside worse_by"),
        ({"b": RATE | {"max": 2}}, "metrics.b should have a max of at most 1 beside count"),
        ({"b": BARE | {"query": "up"}}, "metrics.b should name {predictor} in its query"),
        ({"b": RATE | {"count": "up"}}, "metrics.b should name {predictor} in its count"),
        ({"b": BARE | {"max": "much"}}, "metrics.b.max should be a number of at least 0, or"),
        ({"b": BARE | {"every": "1s"}}, "metrics.b.every"),
        ({"b": BARE | {"query": LEFT + "x" * 4000}}, "metrics.b.query"),
    ],
)
def test_a_mistake_is_named_with_its_field(metrics: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecInvalid) as refused:
        check_layer("serving.yaml", layer(**metrics))
    assert said in refused.value.message
    assert "\n" not in refused.value.message
    assert refused.value.hint


def test_a_level_is_a_number_or_a_share() -> None:
    assert (parse_level("5%"), parse_level(5), parse_level(0.5)) == (0.05, 5.0, 0.5)
    for wrong in ("5", "x", -1, True, float("nan"), None, [1]):
        with pytest.raises(ValueError, match="should be a number of at least 0"):
            parse_level(wrong)


def test_the_schema_lets_other_names_in_as_queries_alone() -> None:
    metrics = ServingSpec.model_json_schema()["$defs"]["Metrics"]
    assert metrics["additionalProperties"] == {"$ref": "#/$defs/QueryLimits"}


@pytest.mark.parametrize("target", ["local", "kubernetes"])
def test_where_nobody_is_asked_it_is_noted(target: str) -> None:
    spec = ServingSpec.model_validate(layer(basket=RATE))
    [note] = notes(spec, target, prometheus=False)
    assert note.startswith("analysis.metrics.basket: asked of Prometheus, and platform.yaml names")
    assert notes(spec, target, prometheus=True) == []
