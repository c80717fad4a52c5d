"""Select the predictors of a record, and the objects of a predictor to judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deployer.state.predictor import Predictor
from deployer.state.record import Record
from deployer.targets.kubernetes.cache.objects import LiveObject
from deployer.targets.kubernetes.client.kinds import DEPLOYMENT, POD, SELDON_DEPLOYMENT, SERVICE
from deployer.targets.kubernetes.images.preparation import ImagePrepared
from deployer.targets.kubernetes.observe import seldon
from deployer.targets.kubernetes.observe.predictor import Seen


def known(record: Record) -> list[Predictor]:
    """List the predictors that a record names, each once."""
    return list(record.every_predictor)


def first_ready(pods: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Find the ready pod whose name comes first; None if no pod is ready."""
    ready = [
        pod
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        and any(
            c["type"] == "Ready" and c["status"] == "True"
            for c in pod.get("status", {}).get("conditions") or ()
        )
    ]
    return min(ready, key=lambda pod: str(pod["metadata"]["name"]), default=None)


def instance(pods: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the uid of the first ready pod, which identifies the pod of an answer."""
    pod = first_ready(pods)
    return str(pod["metadata"]["uid"]) if pod else None


def deployment_of(own: Sequence[LiveObject]) -> tuple[LiveObject | None, LiveObject | None]:
    """Find a predictor's Deployment, and its SeldonDeployment if it has one.

    While Seldon's operator replaces a Deployment there are two: the Deployment that carries the
    revision of the SeldonDeployment counts.
    """
    resource = next((obj for obj in own if obj.kind == SELDON_DEPLOYMENT), None)
    deployments = [obj for obj in own if obj.kind == DEPLOYMENT]
    if resource:
        whole = resource.object()
        for obj in deployments:
            if seldon.of_revision(whole, [obj.object()]):
                return obj, resource
    return (deployments[0] if deployments else None), resource


def replicas(own: Sequence[LiveObject]) -> tuple[int, int]:
    """Count the ready and the wanted replicas of a predictor, given its objects."""
    ready = wanted = 0
    for obj in own:
        if obj.kind == DEPLOYMENT:
            whole = obj.object()
            ready = int(whole.get("status", {}).get("readyReplicas") or 0)
            wanted = int(whole.get("spec", {}).get("replicas") or 0)
    return ready, wanted


def seen(own: Sequence[LiveObject], prepared: ImagePrepared | None = None) -> Seen:
    """Select a predictor's objects for `predictor.observe`."""
    deployment, resource = deployment_of(own)
    return Seen(
        deployment.object() if deployment and not deployment.deleting else None,
        [obj.object() for obj in own if obj.kind == POD],
        resource=resource.object() if resource and not resource.deleting else None,
        services=[obj.object() for obj in own if obj.kind == SERVICE and not obj.deleting],
        prepared=prepared,
    )
