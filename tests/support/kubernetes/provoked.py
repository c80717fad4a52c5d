"""Pods of a real cluster: provoked, read as the Deployer reads them, and kept as recordings."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.kinds import DEPLOYMENT, POD
from deployer.targets.kubernetes.client.session import ClusterAccess, Session
from deployer.targets.kubernetes.observe.diagnostics import Diagnostics
from support.kubernetes.pod_failures import DIGEST, PREDICTOR
from support.run.wait import wait_for
from support.systems.cluster import Cluster


class Place:
    """A namespace of a cluster."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.namespace = namespace
        self._cluster = cluster
        self._client = Client(Session(ClusterAccess(cluster.kubeconfig)))
        self._witness = Diagnostics(self._client)

    def provoke(self, *things: dict[str, Any]) -> None:
        """Make these things, each quota so that it holds for what is made after it."""
        quotas = [thing for thing in things if thing["kind"] == "ResourceQuota"]
        if quotas:
            self._cluster.apply(*quotas, namespace=self.namespace)
        for quota in quotas:
            wait_for(partial(self._limits, quota["metadata"]["name"]), "the quota to hold")
        self._cluster.apply(*things, namespace=self.namespace)

    def _limits(self, quota: str) -> str:
        """What a quota's status says that it allows; nothing until the cluster has seen it."""
        words = (
            "get",
            "resourcequota",
            quota,
            "-n",
            self.namespace,
            "-o",
            "jsonpath={.status.hard}",
        )
        return self._cluster.kubectl(*words)

    def read(self, name: str) -> dict[str, Any]:
        """What is read of a predictor: its Deployment, pods and events; the log and the answer."""
        pods = self._client.list(POD, self.namespace, labels=f"{PREDICTOR}={name}")
        found = self._witness.collect(self.namespace, pods)
        return {
            "now": time.time(),
            "deployment": self._client.get(DEPLOYMENT, self.namespace, name),
            "pods": pods,
            "events": found.events,
            "log": found.log,
            "answer": found.answer,
        }

    def evict(self, pod: str) -> None:
        """Ask the cluster to let a pod go, as a drain of its node does."""
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.namespace},
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        self._cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))

    def close(self) -> None:
        self._client.close()


class Node:
    """A node whose kubelet is the test: it says what it is told to say, once."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.name = name
        self._cluster = cluster
        # Nothing is to be put on it but what names it.
        taint = {"key": "schnitzel.dev/ghost", "effect": "NoSchedule"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        cluster.apply({**node, "spec": {"taints": [taint]}})
        self._patch("node", name, {"conditions": [_condition("Ready")]})

    def serve(self, place: Place, predictor: str) -> None:
        """Say of a predictor's pods that they run and are ready."""
        started = {"running": {"startedAt": _now()}}
        done = {"exitCode": 0, "reason": "Completed", "message": f'{{"digest": "{DIGEST}"}}'}
        server = {"name": "server", "ready": True, "started": True, "state": started}
        artifact = {"name": "artifact", "ready": True, "state": {"terminated": done}}
        shared = {"image": "base", "imageID": "base", "restartCount": 0}
        conditions = [_condition(kind) for kind in ("Initialized", "ContainersReady", "Ready")]
        status = {
            "phase": "Running",
            "startTime": _now(),
            "conditions": conditions,
            "containerStatuses": [{**server, **shared}],
            "initContainerStatuses": [{**artifact, **shared}],
        }
        for pod in place.read(predictor)["pods"]:
            self._patch("pod", pod["metadata"]["name"], status, "-n", place.namespace)

    def _patch(self, kind: str, name: str, status: Mapping[str, Any], *flags: str) -> None:
        patch = json.dumps({"status": status})
        self._cluster.kubectl("patch", kind, name, *flags, "--subresource=status", "-p", patch)


@contextmanager
def node(cluster: Cluster) -> Iterator[Node]:
    """A node that is gone afterwards."""
    made = Node(cluster, f"ghost-{secrets.token_hex(4)}")
    try:
        yield made
    finally:
        cluster.kubectl("delete", "node", made.name, "--wait=false")


def _condition(kind: str) -> dict[str, str]:
    now = _now()
    times = {"lastTransitionTime": now, "lastHeartbeatTime": now} if kind == "Ready" else {}
    return {"type": kind, "status": "True", **times}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def trimmed(thing: Any) -> Any:
    """A recording without what differs from run to run and tells nothing."""
    if isinstance(thing, list):
        return [trimmed(each) for each in thing]
    if not isinstance(thing, dict):
        return thing
    noise = (
        "template",
        "strategy",
        "ownerReferences",
        "tolerations",
        "managedFields",
        "resourceVersion",
        "containerID",
        "hostIP",
        "hostIPs",
        "podIP",
        "podIPs",
    )
    return {key: trimmed(value) for key, value in thing.items() if key not in noise}
