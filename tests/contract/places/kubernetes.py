"""A namespace of a cluster as a place of the contract's tests: objects and pods."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from support.platform.cluster import ClusterPlatform
from support.systems.cluster import Cluster

from contract.places.base import POLICY, RECORD, REGISTRY, Place, Thing


class ClusterPlace(Place):
    """Models served by pods."""

    platform: ClusterPlatform
    turns: ClassVar = {
        "remembering": "Client.json_patch ModelDeployment",
        "starting": "Client.create Deployment",
        "routing": "Client.server_side_apply HTTPRoute",
        "removing": "Client.delete Deployment",
    }
    kinds: ClassVar = ("ModelDeployment", "ConfigMap", "Deployment", "Service", "HTTPRoute", "Pod")
    runtimes: ClassVar[tuple[str, ...]] = ()
    """What the cluster has beside `mlflow`."""
    prod: ClassVar[Mapping[str, Any]] = {"policy": POLICY}
    """More of the environment's settings."""

    def __init__(self, cluster: Cluster, home: Path, **more: Any) -> None:
        settings = {"registry": REGISTRY, "each": {"prod": self.prod}}
        self.cluster = cluster
        platform = ClusterPlatform(
            cluster, home, ["prod"], settings, runtimes=self.runtimes, **more
        )
        super().__init__(platform, cluster.fact("mlflow_url"), platform.environment("prod"))
        self.mark, self.alias_name = platform.mark, platform.environment("prod")

    def model(self, name: str) -> str:
        return f"{self.mark}-{name}"

    def bereaved(self) -> None:
        """Its Lease expires after ten seconds: see test_lease.py."""
        self._kubectl("delete", "lease", f"schnitzel-{self.mark}", "--ignore-not-found")

    def things(self, model: str) -> dict[str, Thing]:
        found: dict[str, Thing] = {}
        listed = self.objects(model)
        for obj in sorted(listed, key=lambda obj: str(obj["metadata"]["creationTimestamp"])):
            kind, name = obj["kind"], obj["metadata"]["name"]
            if kind == "Pod":
                name = f"server {obj['metadata']['labels']['schnitzel.dev/predictor']}"
                name += " and another" * (name in found)
                found[name] = _pod(obj)
            elif kind == "ModelDeployment":
                found[RECORD] = Thing("", self.stamp(obj))
            else:
                found[f"{kind} {name}"] = Thing(_content(obj), self.stamp(obj))
        return found

    def objects(self, model: str) -> list[dict[str, Any]]:
        """All objects that stand for a model."""
        return self.labelled(f"schnitzel.dev/deployment={self._id(model)}", *self.kinds)

    def labelled(self, chosen: str, *kinds: str) -> list[dict[str, Any]]:
        """The objects of these kinds with a label."""
        where = ("-n", self.environment, "-l", chosen, "--show-managed-fields")
        found: list[dict[str, Any]] = self.cluster.get(",".join(kinds), *where)["items"]
        return found

    def meddlings(self, model: str) -> dict[str, Callable[[], object]]:
        [predictor] = self.servers(model)
        gone = ("--wait=false",)
        return {
            "its route is deleted": lambda: self._kubectl("delete", "httproute", self._id(model)),
            "its Service is deleted": lambda: self._kubectl("delete", "service", predictor),
            "it is scaled": lambda: self._kubectl("scale", "deploy", predictor, "--replicas=2"),
            "its Deployment is deleted": lambda: self._kubectl(
                "delete", "deploy", predictor, *gone
            ),
        }

    def stamp(self, obj: Mapping[str, Any]) -> str:
        """Another after any write of ours, and a new start; not after a word of the cluster's."""
        meta = obj["metadata"]
        ours = [entry for entry in meta.get("managedFields", []) if self.counts(entry)]
        return json.dumps([meta["uid"], meta.get("generation"), ours], sort_keys=True)

    def counts(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry of managedFields is of a write of ours."""
        return bool(entry["manager"] == "schnitzel")

    def _id(self, model: str) -> str:
        return f"{self.model(model)}--{self.environment}"

    def _kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("-n", self.environment, *arguments)


def _content(obj: Mapping[str, Any]) -> str:
    """What an object is made of, without what is another one whenever it is made anew."""
    kept = {k: v for k, v in obj.get("spec", {}).items() if k not in ("clusterIP", "clusterIPs")}
    return json.dumps([kept, obj.get("data"), "deletionTimestamp" in obj["metadata"]])


def _pod(obj: Mapping[str, Any]) -> Thing:
    statuses = obj.get("status", {}).get("containerStatuses") or []
    ready = bool(statuses) and all(status["ready"] for status in statuses)
    ending = "deletionTimestamp" in obj["metadata"]
    content = "ends" if ending else "runs" if ready else "is not ready"
    restarts = [status["restartCount"] for status in statuses]
    return Thing(content, f"{obj['metadata']['uid']} {restarts}")
