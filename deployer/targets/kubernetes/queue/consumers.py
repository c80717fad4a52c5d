"""Bring the pods that consume queues to their share and their number, and read what they took up.

The wanted shares are in a ConfigMap that the pods mount (`render/consumption.py`). A kubelet brings
a change of it to a running pod within a minute or more; it looks at once when the pod's annotations
change, which is why they are written here.
https://kubernetes.io/docs/tasks/configure-pod-container/configure-pod-configmap/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, Final

from deployer.state.deployment import Deployment
from deployer.state.predictor import Predictor
from deployer.targets import queue_servers, shares
from deployer.targets.kubernetes.cache.objects import LiveObject
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import Conflict, Missing
from deployer.targets.kubernetes.client.kinds import CONFIG_MAP, DEPLOYMENT, POD
from deployer.targets.kubernetes.render import consumption
from deployer.targets.kubernetes.render.route import ADMIN_PORT
from deployer.targets.shares import SILENT, Share

NOTE: Final = "schnitzel.dev/share"
"""Annotation of a pod: the share of which it was told last."""

AGAIN_SECONDS: Final = 3.0
"""After so long, a pod that has another share is told once more: its node may not have seen it."""

_NOTE_PATH: Final = f"/metadata/annotations/{NOTE.replace('/', '~1')}"

Object = Mapping[str, Any]


class Consumers:
    """The pods of one cluster that consume queues.

    A pod changes its share only when the ConfigMap does, so that a pod that was seen with the
    wanted share is not asked again. What is remembered of a predictor belongs to its deployment, of
    which one pass runs at a time.

    Args:
        client: The cluster.
        timer: Seconds of a monotonic clock.
    """

    def __init__(self, client: Client, timer: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._timer = timer
        self._taken: dict[str, dict[str, Share]] = {}
        self._told: dict[str, dict[str, tuple[Share, float]]] = {}

    def apply(self, deployment: Deployment, objects: Collection[LiveObject]) -> None:
        """Scale predictors, and tell pods that have another share than the ConfigMap says.

        Args:
            deployment: The wanted deployment.
            objects: Its objects, after they were brought to what is wanted.

        Raises:
            ApiError: The server refuses a change; the next pass tries again.
        """
        wanted = _wanted(objects)
        for weighted in deployment.predictors:
            predictor = weighted.predictor
            if predictor.spec.runtime != "queue":
                continue
            number, share = deployment.replicas.get(predictor.name), wanted.get(predictor.name)
            for obj in objects:
                if obj.predictor != predictor.name or obj.deleting:
                    continue
                if obj.kind == DEPLOYMENT and predictor.spec.is_scaled_by_messages:
                    self._scale(obj, predictor, number)
                elif obj.kind == POD and share is not None:
                    self._tell(obj, share)

    def consumed(
        self, objects: Collection[LiveObject], predictor: str, pods: Collection[Object]
    ) -> tuple[int, int]:
        """Return the percentage of the messages that a predictor takes, and is to take.

        Waits for the pods that are not known to have the wanted share: two seconds, if one does not
        answer.

        Args:
            objects: The deployment's objects.
            predictor: The predictor's name.
            pods: Its pods. Without one that runs, it takes what it is to take once one does.
        """
        wanted = _wanted(objects).get(predictor, SILENT)
        before = self._taken.get(predictor, {})
        taken: dict[str, Share | None] = {}
        answers = True
        for pod in pods:
            if instance := _instance(pod):
                share = before.get(instance)
                if share != wanted and answers:
                    [(name, body)] = self.read([pod]).items()
                    said = queue_servers.parse(name, body)
                    answers = said.reason != queue_servers.SILENT
                    share = said.share if answers else share
                taken[instance] = share
        self._taken[predictor] = {each: share for each, share in taken.items() if share}
        return shares.weight(list(taken.values()) or [wanted]), shares.weight([wanted])

    def read(self, pods: Collection[Object]) -> dict[str, bytes]:
        """Read what each pod says of its queue, by its name; b"" of one that does not answer."""
        get = self._client.pods.get
        return {pod["metadata"]["name"]: get(pod, ADMIN_PORT, queue_servers.PATH) for pod in pods}

    def forget(self, predictor: str) -> None:
        """Drop what is remembered of a predictor that has gone."""
        self._taken.pop(predictor, None)
        self._told.pop(predictor, None)

    def _scale(self, obj: LiveObject, predictor: Predictor, number: int | None) -> None:
        """Set the number of replicas: as decided, or at least the fewest, and one."""
        scaling = predictor.spec.autoscaling
        live = int(obj.object()["spec"].get("replicas", 1))
        wanted = max(live, 1, scaling.min if scaling else 1) if number is None else number
        if live != wanted:
            self._change(obj, "/spec/replicas", wanted)

    def _tell(self, obj: LiveObject, share: Share) -> None:
        """Have the pod's node look at the ConfigMap now, unless it has just been told to."""
        instance, now = _instance(obj.object()), self._timer()
        if not instance or self._taken.get(obj.predictor, {}).get(instance) == share:
            return
        told = self._told.setdefault(obj.predictor, {})
        before, at = told.get(instance, (None, 0.0))
        if before == share and now - at < AGAIN_SECONDS:
            return
        told[instance] = (share, now)
        self._change(obj, _NOTE_PATH, f"{share[0]:g} to {share[1]:g}, {time.time():.0f}")

    def _change(self, obj: LiveObject, path: str, value: object) -> None:
        operations: list[Object] = [
            {"op": "replace", "path": "/metadata/uid", "value": obj.uid},
            {"op": "add", "path": path, "value": value},
        ]
        with suppress(Missing, Conflict):  # it has gone, or is another one: the next pass sees it
            self._client.json_patch(obj.kind, obj.key.namespace, obj.key.name, operations)


def _wanted(objects: Collection[LiveObject]) -> dict[str, Share]:
    """Read the wanted shares from the deployment's ConfigMap, which alone is no predictor's."""
    for obj in objects:
        if obj.kind == CONFIG_MAP and not obj.predictor and not obj.deleting:
            return consumption.wanted(obj.object())
    return {}


def _instance(pod: Object) -> str:
    """Identify the running server of a pod: another start is another one; "" if none runs."""
    if "deletionTimestamp" in pod["metadata"]:
        return ""
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if "running" in (status.get("state") or {}):
            return str(status.get("containerID") or "")
    return ""
