"""A SeldonDeployment that serves, changed by hand where that is only reported: no request is lost.

A stand-in of Seldon's operator is at work. tests/node/seldon/test_chart.py sees each fault, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from contract.places.seldon import SeldonPlace
from support.load import Load
from support.run.wait import wait_for
from support.systems.cluster import cluster

pytestmark = pytest.mark.timeout(900)

NAME = "by-hand"
IMAGE = "componentSpecs/0/spec/containers/0/image"


class Noting(SeldonPlace):
    """What somebody changes by hand is reported and left so."""

    prod: ClassVar = SeldonPlace.prod | {"drift": "report"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Noting]:
    made = Noting(cluster(), tmp_path_factory.mktemp("seldon") / "home", builds=False)
    try:
        made.models([{"name": NAME, "kind": "constant"}])
        made.start()
        made.alias(NAME, 1)
        made.serves(NAME, 1)
        yield made
    finally:
        made.end()


def told(place: Noting, reason: str, state: str = "Degraded") -> dict[str, Any]:
    """Wait until the Deployer says that it is in a state, and for which reason."""
    return place.wait(NAME, lambda seen: (seen["state"], seen["reason"]) == (state, reason))


def lost_nothing(load: Load) -> None:
    assert not load.failed, load.failed[:3]
    assert load.versions() == {"1"}


def patch(place: Noting, *changes: tuple[str, str, Any]) -> None:
    """Change the SeldonDeployment: (operation, path, value) of each."""
    operations = [
        {"op": op, "path": f"/spec/predictors/0/{path}"} | ({} if op == "remove" else {"value": to})
        for op, path, to in changes
    ]
    name = place.resources(NAME)[1]["metadata"]["name"]
    words = ("patch", "seldondeployment", name, "--type=json", "-p", json.dumps(operations))
    place.cluster.kubectl("-n", place.environment, *words)


def pods(place: Noting) -> set[str]:
    return {o["metadata"]["uid"] for o in place.objects(NAME) if o["kind"] == "Pod"}


def test_a_bad_change_of_what_serves_is_told_and_its_pods_from_before_answer(place):
    before = pods(place)
    spec = place.resources(NAME)[1]["spec"]["predictors"][0]["componentSpecs"][0]["spec"]
    good = spec["containers"][0]["image"]
    with place.load(NAME) as load:
        patch(place, ("replace", IMAGE, "localhost:9/none:1"))
        seen = told(place, "ImageUnavailable")
        assert "its pods from before answer" in seen["message"]
        assert "Another writer changed SeldonDeployment/" in seen["message"]
        assert place.state(NAME, 1) == "Creating"
        patch(place, ("replace", IMAGE, good))
        place.serves(NAME, 1)
        wait_for(lambda: pods(place) == before, "the pods from before alone", 60)
    lost_nothing(load)


def test_writes_without_end_are_told_and_its_pods_from_before_answer(place):
    with place.load(NAME) as load:
        patch(place, ("remove", "replicas", None), ("add", "annotations/again", "1"))
        seen = told(place, "SeldonLoops")
        assert "writes without end" in seen["message"]
        assert "describe seldondeployment" in seen["next_step"]
        patch(place, ("add", "replicas", 1), ("remove", "annotations/again", None))
        place.serves(NAME, 1)
    lost_nothing(load)


@pytest.mark.parametrize(
    "change", [("replace", "graph/name", "other"), ("remove", "componentSpecs", None)]
)
def test_what_would_be_available_without_serving_is_refused_at_admission(place, change):
    with place.load(NAME) as load:
        with pytest.raises(AssertionError, match="Can't find container for Predictive Unit"):
            patch(place, change)
        place.serves(NAME, 1)
    lost_nothing(load)


def test_a_service_that_leads_nowhere_is_told(place):
    [predictor] = place.servers(NAME)

    def lead(app: str) -> None:
        words = ("patch", "service", predictor, "-p")
        spec = json.dumps({"spec": {"selector": {"seldon-app": app}}})
        place.cluster.kubectl("-n", place.environment, *words, spec)

    lead("another")
    assert "no Service leads to them" in told(place, "SeldonUnreachable", "Failed")["message"]
    lead(f"{predictor}-main")
    place.serves(NAME, 1)
