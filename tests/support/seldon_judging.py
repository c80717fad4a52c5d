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
    name = resource["metadata"]["name"]
    predictor = resource["spec"]["predictors"][0]
    mark = predictor["annotations"][MARK]
    status = resource.get("status") or {}
    serving = any((d.get("status") or {}).get("readyReplicas") for d in deployments)
    carried = [d for d in deployments if _notes(d).get(MARK) == mark]
    if not carried:
        if status.get("state") == "Failed":
            return Verdict(Where.REFUSED, str(status.get("description", "")), serving)
        if status.get("state") == "Available" and not deployments:
            return Verdict(Where.REFUSED, f"The operator makes no Deployment of {name}.")
        return Verdict(Where.WAITING, "The operator has not taken this revision up yet.", serving)
    [found] = carried[:1]
    generation, told = found["metadata"]["generation"], found.get("status") or {}
    behind = generation - told.get("observedGeneration", 0)
    if behind > RUNAWAY:
        text = f"its Deployment was written {behind} times since it was last looked at"
        return Verdict(Where.LOOPING, f"The operator writes without end: {text}.", serving)
    conditions = {c["type"]: c for c in told.get("conditions") or ()}
    if conditions.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded":
        return Verdict(Where.STUCK, "Its new pods did not get ready in time.", serving)
    size = found["spec"].get("replicas", 1)
    counts = [told.get(n, 0) for n in ("replicas", "updatedReplicas", "availableReplicas")]
    if behind or counts != [size] * 3 or not size:
        return Verdict(Where.ROLLING, f"{counts[2]} of {size} replicas are available.", serving)
    key = f"{name}-{predictor['name']}"
    if all((s["spec"].get("selector") or {}).get("seldon-app") != key for s in services):
        text = "no Service leads to its pods: is the graph named like a container?"
        return Verdict(Where.UNREACHABLE, f"It is available, but {text}", serving)
    return Verdict(Where.READY, f"All {size} replicas are of this revision.", serving)


def _notes(obj: Object) -> Object:
    found: Object = obj["metadata"].get("annotations") or {}
    return found
