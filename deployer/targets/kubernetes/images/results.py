"""Read the result of a Job of ours: whether it ended, its last message, why it failed."""

from __future__ import annotations

import json
from typing import Any

from deployer import errors
from deployer.errors import EnvironmentUnbuildable, VersionFailure
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.kinds import POD
from deployer.targets.kubernetes.diagnosis import waiting
from deployer.targets.kubernetes.images.site import BuildSite

Object = dict[str, Any]


def pod_of(client: Client, namespace: str, job: str) -> Object | None:
    """Find the newest pod of a Job."""
    pods = client.list(POD, namespace, labels=f"job-name={job}")
    return max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)


def condition(job: Object, kind: str) -> Object | None:
    """Find a true condition of a Job, such as Failed."""
    conditions = job.get("status", {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind and c["status"] == "True"), None)


def pending(pod: Object) -> str:
    """Explain what a pod that has not begun to build waits for."""
    before = pod.get("status", {}).get("initContainerStatuses") or [{}]
    if "running" in before[0].get("state", {}):
        return "the wheels that the model brings along are fetched"
    return waiting(pod) or "it waits for a node"


def ended(job: Object) -> bool:
    """Decide whether a Job has completed or failed."""
    return bool(condition(job, "Complete") or condition(job, "Failed"))


def termination_message(pod: Object | None) -> Object:
    """Parse the termination message of a pod as JSON; empty without one."""
    try:
        message = json.loads(_terminated(pod).get("message") or "{}")
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def failure(job: Object, pod: Object | None, place: BuildSite) -> VersionFailure:
    """Build the error of a build that failed, or named no image."""
    result = termination_message(pod)
    if result.get("reason"):
        known = getattr(errors, str(result["reason"]), EnvironmentUnbuildable)
        if not (isinstance(known, type) and issubclass(known, VersionFailure)):
            known = EnvironmentUnbuildable
        transient = _terminated(pod).get("exitCode") == 75
        message, hint = str(result.get("message", "")), str(result.get("hint", ""))
        return known(message, hint, transient=transient)
    failed = condition(job, "Failed")
    if failed and failed.get("reason") == "DeadlineExceeded":
        return EnvironmentUnbuildable(
            f"The environment was not built within {place.timeout} s.",
            "Raise build.timeout of the cluster in platform.yaml, or ask for fewer packages.",
        )
    if _terminated(pod).get("reason") == "OOMKilled":
        return EnvironmentUnbuildable(
            f"The build of the environment took more than its {place.memory} of memory.",
            "Raise build.memory of the cluster in platform.yaml.",
        )
    why = (pod and waiting(pod)) or (failed or {}).get("message") or "its pod is gone"
    return EnvironmentUnbuildable(
        f"The build of the environment ended without a message: {why}.",
        "It is retried automatically.",
        transient=True,
    )


def _terminated(pod: Object | None) -> Object:
    """Return the terminated state of a pod's failed init container, else of its container."""
    status = (pod or {}).get("status", {})
    for each in status.get("initContainerStatuses") or []:
        ended: Object = each.get("state", {}).get("terminated") or {}
        if ended.get("exitCode"):
            return ended
    statuses = status.get("containerStatuses") or [{}]
    found: Object = statuses[0].get("state", {}).get("terminated") or {}
    return found
