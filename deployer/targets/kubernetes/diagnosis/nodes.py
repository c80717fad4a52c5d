"""Explain who ended a pod from outside: its node, or an actor in the cluster.

Every such problem is transient: the Deployment makes another pod. Reasons are those of the kubelet
(pkg/kubelet/{eviction,lifecycle,nodeshutdown}) and of the DisruptionTarget condition.
"""

from __future__ import annotations

from collections.abc import Iterable

from deployer.targets.kubernetes.diagnosis.problem import (
    Object,
    Problem,
    condition,
    event_time,
    events_of,
    parse_time,
    shorten,
)
from deployer.targets.kubernetes.diagnosis.reasons import PodReason

_STUCK_SECONDS = 10.0
"""Seconds after its deletionTimestamp for which a pod may terminate before its node counts as
lost."""

_ENDED = {
    "EvictionByEvictionAPI": "A pod of it was evicted, as a drain of its node does",
    "PreemptionByScheduler": "A pod of it gave way to one of higher priority",
    "DeletionByPodGC": "The node of a pod of it is gone",
    "DeletionByTaintManager": "The node of a pod of it is gone, or was given a taint",
}
_NEW = "The ReplicaSet creates a new pod."


def disruption_problem(pod: Object, events: Iterable[Object], now: float) -> Problem | None:
    """Explain who ended a pod, or that its node is gone; None if neither is the case."""
    status, spec = pod.get("status", {}), pod.get("spec", {})
    reason, message = str(status.get("reason") or ""), shorten(str(status.get("message") or ""))
    node = spec.get("nodeName") or "?"
    target = condition(pod, "DisruptionTarget")
    since = parse_time(target.get("lastTransitionTime"))
    if reason.startswith("OutOf") or reason in ("UnexpectedAdmissionError", "NodeAffinity"):
        sentence = f"The node {node} refused a pod of it: {message or reason}."
        hint = f"{_NEW} kubectl describe node {node}"
        return Problem(PodReason.UNSCHEDULABLE, sentence, hint, since=since)
    if reason == "NodeLost" or _lost(pod, events, now):
        sentence = f"The node {node}, where a pod of it ran, does not answer."
        hint = f"{_NEW} Look at the node: kubectl describe node {node}"
        return Problem(PodReason.NODE_LOST, sentence, hint, since=since)
    if reason in ("Terminated", "NodeShutdown", "Shutdown"):
        sentence = f"The node {node}, where a pod of it ran, was shut down."
        return Problem(PodReason.NODE_LOST, sentence, _NEW, since=since)
    if reason == "Evicted":
        sentence = f"The node {node} evicted a pod of it: {message}."
        hint = "State resources.memory in serving.yaml as large as the model is; kubectl top pods"
        return Problem(PodReason.EVICTED, sentence, hint, since=since)
    if target.get("status") == "True":
        because = str(target.get("reason") or "")
        more = shorten(str(target.get("message") or ""))
        sentence = _ENDED.get(because, f"A pod of it was ended: {more or because}")
        kind = PodReason.NODE_LOST if because.startswith("Deletion") else PodReason.EVICTED
        return Problem(kind, f"{sentence}.", _NEW, since=since)
    return None


def _lost(pod: Object, events: Iterable[Object], now: float) -> bool:
    """Decide whether the node has stopped reporting.

    Either an event says so, or the pod did not terminate in time.
    """
    leaving = parse_time(pod.get("metadata", {}).get("deletionTimestamp"))
    if leaving is not None:
        return now > leaving + _STUCK_SECONDS
    ready = condition(pod, "Ready")
    ready_events = events_of(events, pod, "NodeNotReady")
    if ready.get("status") == "True" or not ready_events:
        return False
    changed = parse_time(ready.get("lastTransitionTime")) or 0.0
    return (event_time(ready_events[0]) or 0.0) >= changed - 1
