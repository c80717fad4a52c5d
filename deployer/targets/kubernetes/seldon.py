"""In: a SeldonDeployment, and the Deployments made of it. Out: what the operator did with it.

Pure. The resource's `status.state` is asked one thing only: why the operator could make nothing at
all. It has no observedGeneration and may be that of another spec, so all else is read of the
Deployment that carries the revision mark, as of every other Deployment. Measured with the operator
1.17.1; see docs/guides/seldon.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

MARK: Final = "schnitzel.dev/revision"
RUNAWAY: Final = 10
"""Generations of a Deployment that its controller may lag behind before it counts as a loop: each
change of ours is one, and is seen within a second or so."""

Object = Mapping[str, Any]


class Where(StrEnum):
    """How far the operator is."""

    WAITING = "waiting"
    """It has not carried this revision to a Deployment yet."""
    REFUSED = "refused"
    """It cannot make it; a new try needs another spec or another config."""
    LOOPING = "looping"
    """It writes without end, and nothing is rolled out."""
    DONE = "done"
    """There is a Deployment of this revision: the rest is that Deployment's."""


def of_revision(resource: Object, deployments: Sequence[Object]) -> Object | None:
    """The Deployment that carries a resource's revision; None if there is none yet."""
    mark = resource["spec"]["predictors"][0]["annotations"][MARK]
    return next((each for each in deployments if _notes(each).get(MARK) == mark), None)


def judge(resource: Object, deployments: Sequence[Object]) -> tuple[Where, str]:
    """Judge one SeldonDeployment.

    Args:
        resource: as it is now; of its spec only the mark is read.
        deployments: those that were made of it.

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


def _notes(obj: Object) -> Object:
    found: Object = obj["metadata"].get("annotations") or {}
    return found
