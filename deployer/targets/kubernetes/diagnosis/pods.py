"""List the problems of one predictor's pods, the worst first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from deployer.targets.kubernetes.diagnosis.admission import admission_problem
from deployer.targets.kubernetes.diagnosis.crashes import (
    crash_problem,
    fetch_problem,
    readiness_problem,
)
from deployer.targets.kubernetes.diagnosis.images import pull_problem
from deployer.targets.kubernetes.diagnosis.nodes import disruption_problem
from deployer.targets.kubernetes.diagnosis.problem import (
    Object,
    Problem,
    created,
    delegate,
    serving,
)
from deployer.targets.kubernetes.diagnosis.references import config_problem, mount_problem
from deployer.targets.kubernetes.diagnosis.scheduling import scheduling_problem


def problems(
    deployment: Object,
    pods: Iterable[Object],
    events: Sequence[Object],
    now: float,
    *,
    served: bool = False,
    log: str = "",
    answer: Object | None = None,
    show: str = "",
) -> list[Problem]:
    """List every problem that keeps pods from answering.

    Args:
        deployment: Their Deployment, whose status shows if pods cannot even be made.
        pods: All pods of the predictor, including those that are leaving or have ended.
        events: The events of the pods.
        now: Seconds since the epoch.
        served: Whether the predictor was ready before; see `crashes.crash_problem`.
        log: The last lines of the container that `crashes.log_wanted` named.
        answer: The answer of a server that is not ready to /v2/health/ready.
        show: The command that shows the server's log.

    Returns:
        Final problems first; then the problems of the newest pods.
    """
    ordered = sorted(pods, key=lambda pod: created(pod) or 0.0, reverse=True)
    staying = [pod for pod in ordered if not is_terminating(pod)]
    found: list[Problem | None] = []
    for pod in staying:
        own = [fetch_problem(pod)]
        own += [
            crash_problem(pod, container, events, log, served=served, show=show)
            for container in filter(None, (delegate(pod), serving(pod)))
        ]
        own += [scheduling_problem(pod, events), mount_problem(pod, events)]
        for status in _statuses(pod):
            own += [config_problem(pod, status), pull_problem(pod, status, events)]
        begun = created(pod)
        found += [replace(each, since=each.since or begun) for each in own if each]
    found.append(admission_problem(deployment))
    found += [disruption_problem(pod, events, now) for pod in ordered]
    found += [readiness_problem(pod, events, answer or {}, show) for pod in staying]
    return sorted(filter(None, found), key=lambda problem: not problem.final)


def waiting(pod: Object) -> str:
    """Explain what a pod that does not run waits for, as a clause, from the pod alone; or ""."""
    found = [scheduling_problem(pod, ())]
    for status in _statuses(pod):
        found += [config_problem(pod, status), pull_problem(pod, status, ())]
    return next((problem.message.rstrip(".") for problem in found if problem), "")


def is_terminating(pod: Object) -> bool:
    """Decide whether a pod has ended or is being deleted, so that it will serve no more."""
    ended = pod.get("status", {}).get("phase") in ("Failed", "Succeeded")
    return ended or bool(pod.get("metadata", {}).get("deletionTimestamp"))


def _statuses(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
