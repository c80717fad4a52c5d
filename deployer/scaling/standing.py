"""Judge whether a model keeps up with its queue. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from deployer.state.reasons import Reason

BACKLOG_SECONDS: Final = 60.0
"""More than so much work waits: a backlog, if it has lasted for as long."""

DEAD_SECONDS: Final = 300.0
"""For so long after the last new dead letter it is told."""


class Point(NamedTuple):
    """A deployment's queue at a time; None is what nobody knew."""

    at: float
    ready: int | None
    consumers: int | None
    dead: int | None
    rate: float | None


def standing(points: Sequence[Point]) -> Reason | None:
    """Return what somebody should know of a queue; None if its messages are answered as they come.

    Args:
        points: The last points, the oldest first.
    """
    if not points:
        return None
    now = points[-1].at
    recent = [point for point in points if point.at > now - BACKLOG_SECONDS - 1]
    if now - recent[0].at >= BACKLOG_SECONDS - 1 and all(map(_waits_long, recent)):
        return Reason.BACKLOG
    dead = [p.dead for p in points if p.at > now - DEAD_SECONDS and p.dead is not None]
    if any(later > earlier for earlier, later in pairwise(dead)):
        return Reason.DEAD_LETTERING
    return None


def _waits_long(point: Point) -> bool:
    """Decide whether more waits than is answered in BACKLOG_SECONDS."""
    return point.ready is not None and point.ready > (point.rate or 0) * BACKLOG_SECONDS
