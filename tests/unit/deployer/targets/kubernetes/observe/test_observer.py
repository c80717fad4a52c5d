"""A deployment as the observer puts it together from objects, gateway and preparation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from support.kubernetes.contexts import context_of
from support.kubernetes.judged import recorded

from deployer.errors import GatewayUnavailable
from deployer.spec.model import ServingSpec
from deployer.state.predictor import Phase, Predictor, Role
from deployer.state.record import Record
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.cache.objects import PREDICTOR, LiveObject, Owner, Packer
from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.client.errors import AdmissionRefused
from deployer.targets.kubernetes.context import ClusterContext, LiveDeployment
from deployer.targets.kubernetes.images.preparation import ImagePrepared
from deployer.targets.kubernetes.observe.observer import Observer
from deployer.targets.kubernetes.observe.select import replicas
from deployer.targets.kubernetes.queue.consumers import Consumers

SERVING = Predictor("ready", VersionId("angler", 1, 1), Role.CHAMPION, "d", "s", ServingSpec())
RECORD = Record("angler-prod", "angler", "prod").with_champion(SERVING)


def live(kind: kinds.Kind, body: dict[str, Any]) -> LiveObject:
    meta = {"resourceVersion": "1", "uid": "u", **body["metadata"]}
    meta["labels"] = {**(meta.get("labels") or {}), PREDICTOR: SERVING.name}
    return Packer(kind).pack({**body, "metadata": meta})


def running() -> tuple[LiveObject, ...]:
    """A Deployment and its pod, as a node said that they were ready."""
    read = recorded("ready")
    pods = (live(kinds.POD, pod) for pod in read["pods"])
    return (live(kinds.DEPLOYMENT, read["deployment"]), *pods)


@dataclass
class Cluster:
    """What a cluster holds, and what gateway and preparation say."""

    objects: tuple[LiveObject, ...] = ()
    record: Record | None = RECORD
    weights: dict[str, int] | GatewayUnavailable = field(default_factory=dict)
    refused: ImagePrepared | None = None
    prepared: ImagePrepared | None = None

    def read(self, _: str) -> LiveDeployment | None:
        owner = Owner("p1", RECORD.id, "u")
        return LiveDeployment(self.record, "prod", owner, self.objects) if self.record else None

    def live(self, *_: object) -> dict[str, int]:
        if isinstance(self.weights, GatewayUnavailable):
            raise self.weights
        return self.weights

    def refusal(self, _: str) -> ImagePrepared | None:
        return self.refused

    def peek(self, _: str) -> ImagePrepared | None:
        return self.prepared


def observer(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Observer:
    monkeypatch.setattr(ClusterContext, "read", lambda _, name: cluster.read(name))
    consumers = Consumers(context_of().client)
    return Observer(context_of(), cluster, cluster, lambda _: ("Somebody changed it",), consumers)


def failed(message: str) -> ImagePrepared:
    return ImagePrepared(Phase.FAILED, 1.0, error=AdmissionRefused(message))


def test_what_runs_is_observed_with_its_live_weight_and_the_drift_that_is_left(monkeypatch):
    cluster = Cluster(running(), weights={"ready": 100})
    found = observer(cluster, monkeypatch).observe(RECORD.id)
    seen = found.predictors["ready"]
    assert (seen.phase, seen.live_weight, found.gateway_error) == (Phase.READY, 100, "")
    assert found.drift == ("Somebody changed it",)


def test_a_silent_gateway_is_an_error_of_the_gateway_and_not_of_the_predictor(monkeypatch):
    cluster = Cluster(running(), weights=GatewayUnavailable("It does not answer."))
    found = observer(cluster, monkeypatch).observe(RECORD.id)
    assert found.gateway_error == "It does not answer."
    assert found.gateway_hint == "schnitzel cluster check"
    assert found.predictors["ready"].phase is Phase.READY


def test_a_refusal_by_the_cluster_counts_before_the_progress_of_the_image(monkeypatch):
    ready = ImagePrepared(Phase.READY, 1.0, "image:1")
    cluster = Cluster(refused=failed("No quota is left."), prepared=ready)
    seen = observer(cluster, monkeypatch).observe(RECORD.id).predictors["ready"]
    assert (seen.phase, seen.message) == (Phase.FAILED, "No quota is left.")
    cluster.refused = None
    seen = observer(cluster, monkeypatch).observe(RECORD.id).predictors["ready"]
    assert seen.phase is Phase.ABSENT


def test_a_deployment_without_a_record_has_nothing_to_observe(monkeypatch):
    found = observer(Cluster(running(), record=None), monkeypatch).observe(RECORD.id)
    assert (dict(found.predictors), found.drift) == ({}, ())


def test_the_replicas_of_a_status_are_those_of_the_deployment():
    assert replicas(running()) == (1, 1)
    assert replicas(()) == (0, 0)
