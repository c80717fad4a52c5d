"""What Seldon's operator does with a SeldonDeployment, as the Deployer tells it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from deployer.spec.model import ServingSpec
from deployer.state.observed import ObservedPredictor
from deployer.state.predictor import Phase, Predictor, Role
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.observe import predictor as observation, seldon

NOW = 1_800_000_000.0
NAME = "angler-prod-v3-1a2b3c4d"


def predictor() -> Predictor:
    spec = ServingSpec.model_validate({"runtime": "seldon"})
    version = VersionId("angler", 3, 1)
    return Predictor(NAME, version, Role.CHAMPION, "1a", "s3://models/3", spec)


def resource(mark: str = "2", **status: Any) -> dict[str, Any]:
    metadata = {
        "name": NAME, "namespace": "prod", "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    predictors = [{"name": "main", "annotations": {seldon.MARK: mark}}]
    return {"metadata": metadata, "spec": {"predictors": predictors}, "status": status}


def deployment(
    mark: str = "2",
    *,
    generation: int = 4,
    observed: int = 4,
    replicas: int = 2,
    updated: int = 2,
    ready: int = 2,
    progress: str = "NewReplicaSetAvailable",
) -> dict[str, Any]:
    progressing = {"type": "Progressing", "status": "True", "reason": progress}
    return {
        "metadata": {
            "name": f"{NAME}-main-0-model",
            "namespace": "prod",
            "generation": generation,
            "annotations": {seldon.MARK: mark},
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "replicas": replicas,
            "template": {"metadata": {"labels": {"seldon-app": f"{NAME}-main", "more": "1"}}},
        },
        "status": {
            "observedGeneration": observed, "replicas": 2, "updatedReplicas": updated,
            "readyReplicas": ready, "availableReplicas": ready, "conditions": [progressing],
        },
    }  # fmt: skip


def service(app: str = f"{NAME}-main") -> dict[str, Any]:
    return {"spec": {"selector": {"seldon-app": app}}}


def seen(
    made: dict[str, Any],
    of_it: dict[str, Any] | None,
    weight: int = 0,
    services: tuple[dict[str, Any], ...] = (service(),),
    now: float = NOW,
) -> ObservedPredictor:
    found = observation.Seen(of_it, resource=made, services=services)
    return observation.observe(predictor(), found, now, weight=weight)


LATE = "ProgressDeadlineExceeded"
UNREACHABLE = "SeldonUnreachable"


@pytest.mark.parametrize("state", ["Available", "Creating", "Failed"])
@pytest.mark.parametrize(
    ("of_it", "services", "new", "serving"),
    [
        (deployment(), (service(),), ("ready", ""), ("ready", "")),
        (deployment(generation=5), (service(),), ("starting", ""), ("ready", "")),
        (deployment(replicas=3), (service(),), ("ready", "FewerReplicas"),
         ("ready", "FewerReplicas")),
        (deployment(updated=1), (service(),), ("ready", ""), ("ready", "")),
        (deployment(updated=1, progress=LATE), (service(),), ("starting", ""),
         ("ready", "NotReadyInTime")),
        (deployment(updated=1, ready=0, progress=LATE), (service(),), ("starting", ""),
         ("starting", "")),
        (deployment(updated=1, progress=LATE, generation=5), (service(),), ("starting", ""),
         ("ready", "")),  # it is said of the spec before
        (deployment(replicas=0), (service(),), ("unready", "ScaledToZero"),
         ("unready", "ScaledToZero")),
        (deployment(generation=1139, observed=10), (service(),), ("failed", "SeldonLoops"),
         ("unready", "SeldonLoops")),
        (deployment(), (), ("starting", UNREACHABLE), ("unready", UNREACHABLE)),
        (deployment(), (service("other"),), ("starting", UNREACHABLE), ("unready", UNREACHABLE)),
    ],
)  # fmt: skip
def test_it_is_read_of_the_deployment_that_has_the_mark(
    state: str,
    of_it: dict[str, Any],
    services: tuple[dict[str, Any], ...],
    new: tuple[str, str],
    serving: tuple[str, str],
) -> None:
    """Whatever the state says; with `new` that takes no requests yet, and one that does."""
    for weight, expected in ((0, new), (100, serving)):
        found = seen(resource(state=state), of_it, weight, services)
        assert (found.phase, found.reason) == expected, weight
        if found.reason == UNREACHABLE:
            assert not found.replicas_ready  # none that a request comes to


@pytest.mark.parametrize("status", [{}, {"state": "Creating"}])
def test_what_the_operator_has_not_taken_up_is_waited_for(status: dict[str, str]) -> None:
    began = datetime.fromisoformat("2026-01-01T00:00:00Z").timestamp()
    found = seen(resource(**status), None, now=began + 3)
    assert (found.phase, found.reason) == (Phase.STARTING, "")
    assert "not taken it up" in found.message
    found = seen(resource(**status), None, now=began + 30)
    assert (found.phase, found.reason) == (Phase.STARTING, "SeldonSilent")
    assert found.transient


def test_a_deployment_of_another_revision_is_not_this_one() -> None:
    assert seen(resource(state="Available"), deployment(mark="1")).phase is Phase.STARTING
    serving = seen(resource(state="Available"), deployment(mark="1"), weight=100)
    assert serving.phase is Phase.READY  # an update of it that is not carried on yet


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
    assert found.transient


@pytest.mark.parametrize(("weight", "phase"), [(0, Phase.FAILED), (100, Phase.UNREADY)])
def test_an_operator_that_writes_without_end_is_seen(weight: int, phase: Phase) -> None:
    found = seen(resource(state="Available"), deployment(generation=1139, observed=10), weight)
    assert (found.phase, found.reason) == (phase, "SeldonLoops")
    assert "written 1129 times" in found.message


@pytest.mark.parametrize("predictors", [[], [{"name": "main"}], None])
def test_what_somebody_took_out_of_the_resource_breaks_no_pass(predictors: object) -> None:
    made = resource(state="Available")
    made["spec"]["predictors"] = predictors
    assert seen(made, deployment(), weight=100).phase is Phase.READY  # its pods answer on
    assert seen(made, deployment()).phase is Phase.STARTING
