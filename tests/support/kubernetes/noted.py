"""Objects as an API server gives them, and deployments noted as unchanged."""

from __future__ import annotations

from deployer.store.records import Records
from deployer.targets.kubernetes.apply.unchanged import Unchanged
from deployer.targets.kubernetes.cache.objects import LiveObject, Packer
from deployer.targets.kubernetes.client import kinds

LABELS = {"schnitzel.dev/platform": "platform-1", "schnitzel.dev/deployment": "angler-prod"}


def whole(kind: str = "Service", **meta: object) -> dict:
    """An object as an API server tells it."""
    version = {"Deployment": "apps/v1", "ModelDeployment": "schnitzel.dev/v1alpha1"}
    place = {"name": "one", "namespace": "prod", "uid": f"uid-{kind}", "resourceVersion": "7"}
    return {
        "apiVersion": version.get(kind, "v1"),
        "kind": kind,
        "metadata": place | {"labels": LABELS, "generation": 1} | meta,
        "spec": {"ports": [{"port": 8080}], "replicas": 1},
        "status": {"readyReplicas": 1},
    }


def packed(*objects: dict) -> list[LiveObject]:
    return [Packer(kinds.kind_of(obj)).pack(obj) for obj in objects]


BOTH = (whole("Deployment"), whole("Service"))


def noted(kept: Records | None, *deployments: str) -> Unchanged:
    found = Unchanged("tests", kept)
    for deployment in deployments:
        found.note(deployment, "inputs", packed(*BOTH))
    found.close()
    return found
