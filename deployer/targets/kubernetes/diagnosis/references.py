"""Name the Secret or ConfigMap that a container references and the cluster lacks.

The messages are the kubelet's: CreateContainerConfigError for environment variables
(pkg/kubelet/kubelet_pods.go), FailedMount events for volumes (pkg/volume). None of these problems
ends until an operator makes the missing object, and each ends at once then: the rollout waits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from deployer.targets.kubernetes.diagnosis.problem import (
    Object,
    Problem,
    event_time,
    events_of,
    fatal,
    message_of,
    namespace,
    shorten,
)
from deployer.targets.kubernetes.diagnosis.reasons import PodReason

_ABSENT = re.compile(r'(secret|configmap) "([^"]+)" not found', re.IGNORECASE)
_KEY = re.compile(r"couldn't find key (\S+) in (Secret|ConfigMap) \S+/(\S+)")
_MOUNT_KEY = re.compile(r"references non-existent (?:secret|config) key: (\S+)")
_KINDS = {"secret": "secret", "configmap": "ConfigMap"}


def config_problem(pod: Object, status: Object) -> Problem | None:
    """Explain why a container's variables cannot be set up; None if they are no problem."""
    waiting = status.get("state", {}).get("waiting") or {}
    if waiting.get("reason") != "CreateContainerConfigError":
        return None
    text = str(waiting.get("message") or "")
    if "runAsNonRoot" in text:
        sentence = f"Its image may not be run here: {shorten(text.partition(' (pod:')[0])}."
        hint = "Give the image a numeric user other than 0."
        return fatal(PodReason.CANNOT_START, sentence, hint)
    sentence = f"Its environment cannot be put together: {shorten(text)}."
    found = _missing(text, namespace(pod), None)
    return found or Problem(PodReason.REFERENCE_MISSING, sentence)


def mount_problem(pod: Object, events: Iterable[Object]) -> Problem | None:
    """Explain why a volume of a pod cannot be mounted; None if all are, or no event says why."""
    failed = events_of(events, pod, "FailedMount")
    if not failed or _begun(pod):
        return None
    text = message_of(failed[0])
    first = event_time(failed[-1])
    sentence = f"A volume of it cannot be mounted: {shorten(text)}."
    found = _missing(text, namespace(pod), first)
    return found or Problem(PodReason.REFERENCE_MISSING, sentence, since=first)


def _begun(pod: Object) -> bool:
    """Decide whether a container of the pod has run, which requires all volumes mounted."""
    status = pod.get("status", {})
    both = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    return any("waiting" not in each.get("state", {"waiting": {}}) for each in both)


def _missing(text: str, where: str, since: float | None) -> Problem | None:
    absent, key, mounted = _ABSENT.search(text), _KEY.search(text), _MOUNT_KEY.search(text)
    if absent:
        kind = _KINDS[absent[1].lower()]
        sentence = f"The {kind} {absent[2]!r} that it needs does not exist in {where}."
        make = "create secret generic" if kind == "secret" else "create configmap"
        hint = f"kubectl -n {where} {make} {absent[2]} ...; the rollout then continues."
    elif key:
        kind = _KINDS[key[2].lower()]
        sentence = f"The {kind} {key[3]!r} has no key {key[1]!r}."
        hint = f"kubectl -n {where} edit {kind.lower()} {key[3]}, or correct the key's name."
    elif mounted:
        sentence = f"A secret or ConfigMap that it mounts has no key {mounted[1]!r}."
        hint = "Add the key, or correct its name; the rollout then continues."
    else:
        return None
    return Problem(PodReason.REFERENCE_MISSING, sentence, hint, since=since)
