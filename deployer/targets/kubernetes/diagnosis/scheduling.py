"""Explain why the scheduler finds no node for a pod, from the scheduler's message.

The messages are those of kube-scheduler's FitError (pkg/scheduler/framework/types.go) and of its
plugins: "0/3 nodes are available: 1 Insufficient memory, 2 node(s) had untolerated taint(s). ..."
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from deployer.targets.kubernetes.diagnosis.problem import (
    Object,
    Problem,
    condition,
    created,
    events_of,
    message_of,
    parse_time,
    shorten,
)
from deployer.targets.kubernetes.diagnosis.reasons import PodReason

_NODES = re.compile(r"(\d+/\d+) nodes are available: (.*)", re.DOTALL)
_LATER = re.compile(r"\.? (?:no new claims to deallocate|preemption:|still not schedulable)")
_INSUFFICIENT = re.compile(r"Insufficient ([a-z0-9./-]+[a-z0-9])")
_FIELDS = {name: f"resources.{name}" for name in ("cpu", "memory", "ephemeral-storage")}
_FREE = "kubectl describe nodes shows what is free."


def scheduling_problem(pod: Object, events: Iterable[Object]) -> Problem | None:
    """Explain why a pod has no node; None if it has one, or the scheduler did not try yet."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "True" or pod.get("spec", {}).get("nodeName"):
        return None
    text = str(scheduled.get("message") or "")
    if not text:
        failed = events_of(events, pod, "FailedScheduling")
        text = message_of(failed[0]) if failed else ""
    if not text:
        return None
    since = parse_time(scheduled.get("lastTransitionTime")) or created(pod)
    sentence, hint = _explain(text, pod)
    return Problem(PodReason.UNSCHEDULABLE, sentence, hint, since=since)


def _explain(text: str, pod: Object) -> tuple[str, str]:
    if "no nodes available" in text:
        return "The cluster has no node.", "Add a node: kubectl get nodes"
    match = _NODES.search(text)
    if not match:
        return f"The scheduler finds no node for it: {shorten(text)}.", _FREE
    why = shorten(_LATER.split(match[2])[0])
    clauses, hints = [], []
    short = [found[1] for found in _INSUFFICIENT.finditer(why)]
    if short:
        needs = " and ".join(_amount(pod, resource) for resource in short)
        clauses.append(f"it needs {needs}, and no node has that free")
        fields = " and ".join(_FIELDS.get(resource, "resources.gpu") for resource in short)
        hints.append(f"Lower {fields} in serving.yaml, or make room in the cluster; {_FREE}")
    for sign, clause, hint in _SIGNS:
        if sign in why:
            clauses.append(clause.format(labels=_labels(pod)))
            hints.append(hint)
    if not clauses:
        clauses, hints = ["no node takes it"], [_FREE]
    sentence = "; ".join(clauses)
    return f"{sentence[:1].upper()}{sentence[1:]} ({match[1]} nodes: {why}).", hints[0]


_SIGNS = (
    (
        "node affinity/selector",
        "it asks for a node with other labels{labels}",
        "Correct kubernetes.node_selector in serving.yaml, or label a node.",
    ),
    (
        "untolerated taint",
        "nodes have a taint that it does not tolerate",
        "Add to kubernetes.tolerations in serving.yaml, or remove the taint.",
    ),
    ("were unschedulable", "nodes are cordoned", "Let a node take pods again: kubectl uncordon"),
    ("Too many pods", "nodes hold as many pods as they may", f"Add a node; {_FREE}"),
    (
        "topology spread",
        "its replicas may not be spread as asked",
        "Change kubernetes.spread or replicas in serving.yaml, or add nodes.",
    ),
)


def _amount(pod: Object, resource: str) -> str:
    """Return the amount of a resource that the pod's first container with a request asks for."""
    spec = pod.get("spec", {})
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        resources = container.get("resources") or {}
        wanted = (resources.get("requests") or resources.get("limits") or {}).get(resource)
        if wanted:
            kind = "CPU" if resource == "cpu" else resource
            return f"{wanted} of {kind}" if resource in _FIELDS else f"{wanted} {kind}"
    return f"more {resource}"


def _labels(pod: Object) -> str:
    selector = pod.get("spec", {}).get("nodeSelector") or {}
    return "".join(f", {key}={value}" for key, value in sorted(selector.items()))
