"""In: a SeldonDeployment, and what the operator made of it. Out: where it really is.

Pure; a proposal of what a watcher can know. The resource's `status.state` is asked one thing only:
why the operator could make nothing at all. All else is read of the Deployment that carries the
revision mark, because the state may be that of another generation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MARK = "schnitzel.dev/revision"
RUNAWAY = 10
"""Generations of a Deployment that its controller may lag behind before it counts as a loop: each
change of ours is one, and is seen within a second or so."""

Object = Mapping[str, Any]


class Where(StrEnum):
    """Where a predictor is."""

    WAITING = "waiting"
    """The operator has not carried this revision to a Deployment yet."""
    ROLLING = "rolling"
    READY = "ready"
    REFUSED = "refused"
    """The operator cannot make it; a new try needs another spec or another config."""
    STUCK = "stuck"
    """Its new pods did not get ready in time; older ones may still serve."""
    LOOPING = "looping"
    """The operator writes without end, and nothing is rolled out."""
    UNREACHABLE = "unreachable"
    """Its pods are ready, and no Service leads to them."""


@dataclass(frozen=True)
class Verdict:
    """Where it is, in a word and a sentence, and whether older pods still serve meanwhile."""

    where: Where
    message: str
    serving: bool = False


def judge(resource: Object, deployments: Sequence[Object], services: Sequence[Object]) -> Verdict:
    """Judge one SeldonDeployment.

    Args:
        resource: as it is now; of its spec only the mark is read.
        deployments: those with the label seldon-deployment-id=NAME.
        services: those of the same label.
    """
    predictor = resource["spec"]["predictors"][0]
    mark = predictor["annotations"][MARK]
    carried = [d for d in deployments if _notes(d).get(MARK) == mark]
    if not carried:
        return _before(resource, deployments)
    key = f"{resource['metadata']['name']}-{predictor['name']}"
    reached = any((s["spec"].get("selector") or {}).get("seldon-app") == key for s in services)
    return _of(carried[0], _serving(deployments), reached=reached)


def _before(resource: Object, deployments: Sequence[Object]) -> Verdict:
    """Where it is while no Deployment is of its revision."""
    status, serving = resource.get("status") or {}, _serving(deployments)
    if status.get("state") == "Failed":
        return Verdict(Where.REFUSED, str(status.get("description", "")), serving)
    if status.get("state") == "Available" and not deployments:
        return Verdict(Where.REFUSED, "The operator makes no Deployment of it.")
    return Verdict(Where.WAITING, "The operator has not taken this revision up yet.", serving)


def _of(deployment: Object, serving: bool, *, reached: bool) -> Verdict:
    """Where it is by the Deployment of its revision."""
    status = deployment.get("status") or {}
    behind = deployment["metadata"]["generation"] - status.get("observedGeneration", 0)
    if behind > RUNAWAY:
        text = f"its Deployment was written {behind} times since it was last looked at"
        return Verdict(Where.LOOPING, f"The operator writes without end: {text}.", serving)
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    late = conditions.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded"
    if late and not behind:  # else it is said of the spec before
        return Verdict(Where.STUCK, "Its new pods did not get ready in time.", serving)
    size = deployment["spec"].get("replicas", 1)
    counts = [status.get(n, 0) for n in ("replicas", "updatedReplicas", "availableReplicas")]
    if behind or counts != [size] * 3 or not size:
        return Verdict(Where.ROLLING, f"{counts[2]} of {size} replicas are available.", serving)
    if not reached:
        text = "no Service leads to its pods: is the graph named like a container?"
        return Verdict(Where.UNREACHABLE, f"It is available, but {text}", serving)
    return Verdict(Where.READY, f"All {size} replicas are of this revision.", serving)


def _serving(deployments: Sequence[Object]) -> bool:
    return any((d.get("status") or {}).get("readyReplicas") for d in deployments)


def _notes(obj: Object) -> Object:
    found: Object = obj["metadata"].get("annotations") or {}
    return found
