"""What Seldon's operator does with a SeldonDeployment, as the Deployer tells it."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.specmodel import ServingSpec
from deployer.state import ObservedPredictor, Phase, Predictor, Role, VersionId
from deployer.targets.kubernetes import observation, seldon

NOW = 1_800_000_000.0
NAME = "angler-prod-v3-1a2b3c4d"


def predictor() -> Predictor:
    spec = ServingSpec.model_validate({"runtime": "seldon"}).model_dump(mode="json")
    version = VersionId("angler", 3, 1)
    return Predictor(NAME, version, Role.CHAMPION, "1a", "s3://models/3", spec)


def resource(mark: str = "2", **status: Any) -> dict[str, Any]:
    metadata = {
        "name": NAME, "namespace": "prod", "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    predictors = [{"name": "main", "annotations": {seldon.MARK: mark}}]
    return {"metadata": metadata, "spec": {"predictors": predictors}, "status": status}


def deployment(
    mark: str = "2", generation: int = 4, observed: int = 4, ready: int = 1
) -> dict[str, Any]:
    progressing = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
    return {
        "metadata": {
            "name": f"{NAME}-main-0-model",
            "namespace": "prod",
            "generation": generation,
            "annotations": {seldon.MARK: mark},
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"replicas": 1},
        "status": {
            "observedGeneration": observed, "replicas": 1, "updatedReplicas": 1,
            "readyReplicas": ready, "availableReplicas": ready, "conditions": [progressing],
        },
    }  # fmt: skip


def seen(made: dict[str, Any], of_it: dict[str, Any] | None, weight: int = 0) -> ObservedPredictor:
    found = observation.Seen(of_it, resource=made)
    return observation.observe(predictor(), found, NOW, weight=weight)


@pytest.mark.parametrize("state", ["Available", "Creating", "Failed"])
def test_ready_is_read_of_the_deployment_whatever_the_state_says(state: str) -> None:
    assert seen(resource(state=state), deployment()).phase is Phase.READY


@pytest.mark.parametrize("status", [{}, {"state": "Creating"}])
def test_what_the_operator_has_not_taken_up_is_waited_for(status: dict[str, str]) -> None:
    found = seen(resource(**status), None)
    assert (found.phase, found.reason) == (Phase.STARTING, "")
    assert "not taken it up" in found.message


def test_a_deployment_of_another_revision_is_not_this_one() -> None:
    assert seen(resource(state="Available"), deployment(mark="1")).phase is Phase.STARTING


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (
            {"state": "Failed", "description": "Failed to get server config for X"},
            "Seldon's operator cannot make it: Failed to get server config for X.",
        ),
        ({"state": "Available"}, "makes no Deployment of it"),
    ],
)
def test_what_the_operator_cannot_make_fails_with_its_words(
    status: dict[str, str], says: str
) -> None:
    found = seen(resource(**status), None)
    assert (found.phase, found.reason) == (Phase.FAILED, "SeldonRefused")
    assert says in found.message
    assert found.hint == f"kubectl -n prod describe seldondeployment {NAME}"
    assert found.passing


@pytest.mark.parametrize(("weight", "phase"), [(0, Phase.FAILED), (100, Phase.UNREADY)])
def test_an_operator_that_writes_without_end_is_seen(weight: int, phase: Phase) -> None:
    found = seen(resource(state="Available"), deployment(generation=1139, observed=10), weight)
    assert (found.phase, found.reason) == (phase, "SeldonLoops")
    assert "written 1129 times" in found.message
