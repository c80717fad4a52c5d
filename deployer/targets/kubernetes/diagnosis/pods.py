"""List the problems of one predictor's pods, the worst first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from deployer.targets.kubernetes.diagnosis.admission import refused
from deployer.targets.kubernetes.diagnosis.crashes import crashed, unfetched, unready
from deployer.targets.kubernetes.diagnosis.images import unpulled
from deployer.targets.kubernetes.diagnosis.nodes import disrupted
from deployer.targets.kubernetes.diagnosis.problem import Object, Problem, created, serving, working
from deployer.targets.kubernetes.diagnosis.references import misconfigured, unmounted
from deployer.targets.kubernetes.diagnosis.scheduling import unscheduled


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
        served: Whether the predictor was ready before; see `crashes.crashed`.
        log: The last lines of the container that `crashes.log_wanted` named.
        answer: The answer of a server that is not ready to /v2/health/ready.
        show: The command that shows the server's log.

    Returns:
        Final problems first; then the problems of the newest pods.
    """
    ordered = sorted(pods, key=lambda pod: created(pod) or 0.0, reverse=True)
    staying = [pod for pod in ordered if not leaving(pod)]
    found: list[Problem | None] = []
    for pod in staying:
        own = [unfetched(pod)]
        own += [
            crashed(pod, container, events, log, served=served, show=show)
            for container in filter(None, (working(pod), serving(pod)))
        ]
        own += [unscheduled(pod, events), unmounted(pod, events)]
        for status in _statuses(pod):
            own += [misconfigured(pod, status), unpulled(pod, status, events)]
        begun = created(pod)
        found += [replace(each, since=each.since or begun) for each in own if each]
    found.append(refused(deployment))
    found += [disrupted(pod, events, now) for pod in ordered]
    found += [unready(pod, events, answer or {}, show) for pod in staying]
    return sorted(filter(None, found), key=lambda problem: not problem.final)


def waiting(pod: Object) -> str:
    """Explain what a pod that does not run waits for, as a clause, from the pod alone; or ""."""
    found = [unscheduled(pod, ())]
    for status in _statuses(pod):
        found += [misconfigured(pod, status), unpulled(pod, status, ())]
    return next((problem.message.rstrip(".") for problem in found if problem), "")


def leaving(pod: Object) -> bool:
    """Decide whether a pod has ended or is being deleted, so that it will serve no more."""
    ended = pod.get("status", {}).get("phase") in ("Failed", "Succeeded")
    return ended or bool(pod.get("metadata", {}).get("deletionTimestamp"))


def _statuses(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
