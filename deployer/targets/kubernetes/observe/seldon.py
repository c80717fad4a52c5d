"""In: a SeldonDeployment, and what was made of it. Out: what Seldon's operator holds up, and how.

Pure. The resource's `status.state` is asked one thing only: why the operator could make nothing at
all. It has no observedGeneration and may be that of another spec, so all else is read of the
Deployment that carries the revision mark, as of every other Deployment. Measured with the operator
1.17.1; see docs/guides/seldon.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from deployer.state.deployment import Phase
from deployer.targets.kubernetes.diagnosis.problem import Problem, created, fatal, name, namespace
from deployer.targets.kubernetes.diagnosis.reasons import PodReason

MARK: Final = "schnitzel.dev/revision"
RUNAWAY: Final = 10
"""Generations of a Deployment that its controller may lag behind before it counts as a loop: each
change of ours is one, and is seen within a second or so."""

SILENT_SECONDS: Final = 20.0
"""After which the operator's silence is worth a word: it takes a resource up within three."""

Object = Mapping[str, Any]


class Where(StrEnum):
    """How far the operator is."""

    WAITING = "waiting"
    """It has not carried this revision to a Deployment yet."""
    REFUSED = "refused"
    """It cannot make it; a new try needs another spec or another config."""
    LOOPING = "looping"
    """It writes without end, and nothing is rolled out."""
    UNREACHABLE = "unreachable"
    """There is a Deployment of this revision, and no Service that leads to its pods."""
    DONE = "done"
    """There is a Deployment of this revision: the rest is that Deployment's."""


def of_revision(resource: Object, deployments: Sequence[Object]) -> Object | None:
    """The Deployment that carries a resource's revision; None if there is none yet.

    Nor is there if somebody took the mark, or all predictors, out of the resource.
    """
    predictors: Sequence[Object] = resource["spec"].get("predictors") or ({},)
    mark = (predictors[0].get("annotations") or {}).get(MARK)
    return next((each for each in deployments if mark and _notes(each).get(MARK) == mark), None)


def held_up(
    resource: Object,
    deployments: Sequence[Object],
    services: Sequence[Object],
    now: float,
    weight: int,
) -> tuple[Phase, float, Problem | None] | None:
    """Where a predictor is that the operator does not carry on, and since when; None if it does.

    Args:
        resource: its SeldonDeployment.
        deployments: those that were made of it.
        services: those that the gateway may send its requests to.
        now: seconds since the epoch.
        weight: the percent of the traffic that the gateway sends it.
    """
    where, problem = judge(resource, deployments, services)
    since = created(resource) or now
    show = f"kubectl -n {namespace(resource)} describe seldondeployment {name(resource)}"
    if where is Where.REFUSED:
        trouble = fatal(PodReason.SELDON_REFUSED, problem, show, since, transient=True)
        return Phase.UNREADY if weight else Phase.FAILED, since, trouble
    if where is Where.LOOPING:
        trouble = fatal(PodReason.SELDON_LOOPS, problem, show, since)
        return Phase.UNREADY if weight else Phase.FAILED, since, trouble
    if where is Where.UNREACHABLE:
        trouble = Problem(PodReason.SELDON_UNREACHABLE, problem, show, since=since)
        return Phase.UNREADY if weight else Phase.STARTING, since, trouble
    if where is Where.WAITING and not (weight and deployments):  # else its older pods answer on
        return Phase.STARTING, since, _silent(now - since, show)
    return None


def judge(
    resource: Object, deployments: Sequence[Object], services: Sequence[Object]
) -> tuple[Where, str]:
    """Judge one SeldonDeployment.

    Args:
        resource: as it is now; of its spec only the mark is read.
        deployments: those that were made of it.
        services: those that the gateway may send its requests to.

    Returns:
        How far the operator is, and a sentence on what is wrong; "" if nothing is.
    """
    carried = of_revision(resource, deployments)
    if carried is None:
        return _before(resource, deployments)
    seen = int((carried.get("status") or {}).get("observedGeneration") or 0)
    behind = int(carried["metadata"].get("generation") or 0) - seen
    if behind > RUNAWAY:
        text = f"its Deployment was written {behind} times since it was last looked at"
        return Where.LOOPING, f"Seldon's operator writes without end: {text}."
    labels = carried["spec"]["template"]["metadata"].get("labels") or {}
    if not any(_leads(service, labels) for service in services):
        return Where.UNREACHABLE, "Seldon's operator made its pods, and no Service leads to them."
    return Where.DONE, ""


def _before(resource: Object, deployments: Sequence[Object]) -> tuple[Where, str]:
    """How far it is while no Deployment is of its revision."""
    status = resource.get("status") or {}
    if status.get("state") == "Failed":
        why = str(status.get("description") or "it does not say why").rstrip(".")
        return Where.REFUSED, f"Seldon's operator cannot make it: {why}."
    if status.get("state") == "Available" and not deployments:
        return (
            Where.REFUSED,
            "Seldon's operator makes no Deployment of it, and says it is available.",
        )
    return Where.WAITING, ""


def _silent(waited: float, show: str) -> Problem:
    if waited < SILENT_SECONDS:
        return Problem("", "Seldon's operator has not taken it up yet.", transient=False)
    text = "Seldon's operator does not take it up; does it run, and look after this namespace?"
    return Problem(PodReason.SELDON_SILENT, text, show)


def _leads(service: Object, labels: Mapping[str, Any]) -> bool:
    """Whether a Service selects pods with these labels."""
    selector = service["spec"].get("selector") or {}
    return bool(selector) and selector.items() <= labels.items()


def _notes(obj: Object) -> Object:
    found: Object = obj["metadata"].get("annotations") or {}
    return found
