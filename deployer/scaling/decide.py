"""Decide the number of replicas from the messages that wait or are in flight.

More replicas come at once, fewer only after a while without need, and one at a time: a replica that
comes too late costs all waiting messages time, one that goes too late costs a process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

EVIDENCE_SECONDS: Final = 60.0
"""How long fewer replicas must have sufficed before one goes."""

DOWN_SECONDS: Final = 10.0
"""The least time between two replicas that go."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The fewest and the most replicas, and the messages that one replica is for."""

    least: int
    most: int
    messages: int


@dataclass(frozen=True, slots=True)
class Reading:
    """The messages of a queue at a time: those that wait, and those that replicas hold.

    Attributes:
        at: Seconds since the epoch.
        ready: The messages that wait in the queue.
        in_flight: The messages that replicas took and have not answered.
    """

    at: float
    ready: int
    in_flight: int


def needed(reading: Reading, bounds: Bounds) -> int:
    """Return the number of replicas that a reading needs, within the bounds."""
    asked = math.ceil((reading.ready + reading.in_flight) / bounds.messages)
    return min(bounds.most, max(bounds.least, asked))


def decide(
    current: int, readings: Sequence[Reading], bounds: Bounds, removed_at: float, now: float
) -> int:
    """Decide the number of replicas.

    Args:
        current: The number of replicas as of now.
        readings: The readings of the last EVIDENCE_SECONDS at least, oldest first.
        bounds: The spec's bounds.
        removed_at: When a replica was last removed, in seconds since the epoch.
        now: Seconds since the epoch.

    Returns:
        At most twice `current`, or 1 where there was none; at least one fewer than `current`. The
        same number without a reading: then nothing is known.
    """
    bounded = min(bounds.most, max(bounds.least, current))
    if not readings or bounded != current:
        return bounded
    wanted = needed(readings[-1], bounds)
    if wanted > current:
        return min(wanted, max(1, 2 * current))
    recent = [one for one in readings if one.at > now - EVIDENCE_SECONDS]
    long_enough = readings[0].at <= now - EVIDENCE_SECONDS
    if not long_enough or now - removed_at < DOWN_SECONDS:
        return current
    highest = max(needed(one, bounds) for one in recent) if recent else current
    return current - 1 if highest < current else current
