"""Keep the last reading of the depth of each queue in use, for those who may not wait for one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from deployer.brokers.client import Brokers
from deployer.brokers.contract import Depth
from deployer.errors import SchnitzelError

log = logging.getLogger(__name__)

FRESH_SECONDS: Final = 15.0
"""The age at which a reading says nothing of the present any more."""

AT_ONCE: Final = 500
"""Queues that are asked for in one call, which has a time limit."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a broker said of a queue at a time: its depth, or why there is none."""

    at: float
    depth: Depth | None
    error: SchnitzelError | None = None


class Readings:
    """The last readings of queues.

    Args:
        brokers: The brokers.
        clock: Seconds since the epoch.
    """

    def __init__(self, brokers: Brokers, clock: Callable[[], float]) -> None:
        self._brokers = brokers
        self._clock = clock
        self._found: Mapping[tuple[str, str], Reading] = {}
        self._away: set[str] = set()

    def read(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Read these queues, each a broker's name and its own; other readings are dropped."""
        queues: dict[str, list[str]] = {}
        for broker, queue in dict.fromkeys(wanted):
            queues.setdefault(broker, []).append(queue)
        found: dict[tuple[str, str], Reading] = {}
        for broker, names in queues.items():
            for begin in range(0, len(names), AT_ONCE):
                found |= self._read(broker, names[begin : begin + AT_ONCE])
        self._found = found

    def last(self, broker: str, queue: str) -> Reading | None:
        """Return the last reading; None where the queue was not read yet, or not lately."""
        reading = self._found.get((broker, queue))
        fresh = reading is not None and self._clock() - reading.at < FRESH_SECONDS
        return reading if fresh else None

    def latest(self, broker: str, queue: str) -> Depth | None:
        """Return the depth of a queue; None where nobody knows it now."""
        reading = self.last(broker, queue)
        return reading.depth if reading else None

    def _read(self, broker: str, names: list[str]) -> dict[tuple[str, str], Reading]:
        try:
            found = self._brokers.get(broker).depths(names)
        except SchnitzelError as error:
            self._note(broker, error)
            now = self._clock()
            return {(broker, name): Reading(now, None, error) for name in names}
        self._note(broker, None)
        now = self._clock()
        return {
            (broker, name): Reading(now, one) if isinstance(one, Depth) else Reading(now, None, one)
            for name, one in found.items()
        }

    def _note(self, broker: str, error: SchnitzelError | None) -> None:
        """Log when a broker goes away, and when it is back."""
        if error and broker not in self._away:
            log.warning("%s", error.message)
            self._away.add(broker)
        elif not error and broker in self._away:
            log.info("the broker %r answers again", broker)
            self._away.discard(broker)
