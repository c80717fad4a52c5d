"""Judge how far Seldon's operator has brought a SeldonDeployment.

Pure. The resource's `status.state` serves one purpose only: it shows why the operator made no
Deployment at all. It has no observedGeneration and may be that of another spec, so all else comes
from the Deployment that carries the revision mark, as from every other Deployment. Measured with
the operator 1.17.1; see docs/guides/seldon.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from deployer.state.predictor import Phase
from deployer.targets.kubernetes.diagnosis.problem import Problem, created, fatal, name, namespace
from deployer.targets.kubernetes.diagnosis.reasons import PodReason

MARK: Final = "schnitzel.dev/revision"
RUNAWAY: Final = 10
"""Generations of a Deployment that its controller may lag behind before the operator counts as
looping: each change of ours is one generation, and the controller sees it within a second or so."""

SILENT_SECONDS: Final = 20.0
"""Seconds after which the operator's silence is reported: it takes a resource up within three."""

Object = Mapping[str, Any]


class OperatorProgress(StrEnum):
    """The progress of the operator."""

    WAITING = "waiting"
    """The operator has not made a Deployment of this revision yet."""
    REFUSED = "refused"
    """The operator cannot make the Deployment; a new try needs another spec or another config."""
    LOOPING = "looping"
    """The operator writes the Deployment without end, and no pod is rolled out."""
    UNREACHABLE = "unreachable"
    """There is a Deployment of this revision, and no Service that leads to its pods."""
    DONE = "done"
    """There is a Deployment of this revision, and its own status says the rest."""


def of_revision(resource: Object, deployments: Sequence[Object]) -> Object | None:
    """Find the Deployment that carries a resource's revision; None if there is none yet.

    There is none either if the mark, or all predictors, were removed from the resource.
    """
    predictors: Sequence[Object] = resource["spec"].get("predictors") or ({},)
    mark = (predictors[0].get("annotations") or {}).get(MARK)
    return next((each for each in deployments if mark and _notes(each).get(MARK) == mark), None)


def operator_problem(
    resource: Object,
    deployments: Sequence[Object],
    services: Sequence[Object],
    now: float,
    weight: int,
) -> tuple[Phase, float, Problem | None] | None:
    """Judge a predictor that the operator holds up; None if the operator does not.

    Args:
        resource: The predictor's SeldonDeployment.
        deployments: The Deployments that the operator made of it.
        services: The Services that the gateway may send its requests to.
        now: Seconds since the epoch.
        weight: The percent of the traffic that the gateway sends to the predictor.

    Returns:
        The phase, since when, and the problem.
    """
    where, why = judge(resource, deployments, services)
    since = created(resource) or now
    show = f"kubectl -n {namespace(resource)} describe seldondeployment {name(resource)}"
    if where is OperatorProgress.REFUSED:
        problem = fatal(PodReason.SELDON_REFUSED, why, show, since, transient=True)
        return Phase.UNREADY if weight else Phase.FAILED, since, problem
    if where is OperatorProgress.LOOPING:
        problem = fatal(PodReason.SELDON_LOOPS, why, show, since)
        return Phase.UNREADY if weight else Phase.FAILED, since, problem
    if where is OperatorProgress.UNREACHABLE:
        problem = Problem(PodReason.SELDON_UNREACHABLE, why, show, since=since)
        return Phase.UNREADY if weight else Phase.STARTING, since, problem
    if where is OperatorProgress.WAITING and not (
        weight and deployments
    ):  # else its older pods answer on
        return Phase.STARTING, since, _silent(now - since, show)
    return None


def judge(
    resource: Object, deployments: Sequence[Object], services: Sequence[Object]
) -> tuple[OperatorProgress, str]:
    """Judge one SeldonDeployment.

    Args:
        resource: The live resource; of its spec only the mark is read.
        deployments: The Deployments that the operator made of it.
        services: The Services that the gateway may send its requests to.

    Returns:
        The progress of the operator, and a sentence on the problem; "" without a problem.
    """
    carried = of_revision(resource, deployments)
    if carried is None:
        return _before(resource, deployments)
    seen = int((carried.get("status") or {}).get("observedGeneration") or 0)
    behind = int(carried["metadata"].get("generation") or 0) - seen
    if behind > RUNAWAY:
        text = f"its Deployment was written {behind} times since it was last looked at"
        return OperatorProgress.LOOPING, f"Seldon's operator writes without end: {text}."
    labels = carried["spec"]["template"]["metadata"].get("labels") or {}
    if not any(_leads(service, labels) for service in services):
        return (
            OperatorProgress.UNREACHABLE,
            "Seldon's operator made its pods, and no Service leads to them.",
        )
    return OperatorProgress.DONE, ""


def _before(resource: Object, deployments: Sequence[Object]) -> tuple[OperatorProgress, str]:
    """Judge a resource while no Deployment carries its revision."""
    status = resource.get("status") or {}
    if status.get("state") == "Failed":
        why = str(status.get("description") or "it does not say why").rstrip(".")
        return OperatorProgress.REFUSED, f"Seldon's operator cannot make it: {why}."
    if status.get("state") == "Available" and not deployments:
        return (
            OperatorProgress.REFUSED,
            "Seldon's operator makes no Deployment of it, and says it is available.",
        )
    return OperatorProgress.WAITING, ""


def _silent(waited: float, show: str) -> Problem:
    if waited < SILENT_SECONDS:
        return Problem("", "Seldon's operator has not taken it up yet.", transient=False)
    text = "Seldon's operator does not take it up; does it run, and does it watch this namespace?"
    return Problem(PodReason.SELDON_SILENT, text, show)


def _leads(service: Object, labels: Mapping[str, Any]) -> bool:
    """Decide whether a Service selects pods with these labels."""
    selector = service["spec"].get("selector") or {}
    return bool(selector) and selector.items() <= labels.items()


def _notes(obj: Object) -> Object:
    found: Object = obj["metadata"].get("annotations") or {}
    return found
