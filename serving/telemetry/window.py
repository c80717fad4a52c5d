"""Count answers and calls of the model, in total and in windows of 10 s.

For the comparison of versions, which Prometheus' counters and wide buckets cannot support. Windows
begin at multiples of WINDOW_SECONDS of unix time, the same in every server. All counts are bounded,
whatever clients send.
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from serving.telemetry import outcomes
from serving.telemetry.answers import Answers
from serving.telemetry.sketch import Sketch

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_SECONDS = 10
KEPT = 30
BACK_SECONDS = 20
"""A clock that is corrected by less goes on with its window; one that goes back further begins a
new life."""
FORMAT = 1


class Tally:
    """The counts of one span of time."""

    __slots__ = ("answers", "counts", "mirrored", "model", "requests")

    def __init__(self) -> None:
        self.counts: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self.requests = Sketch()
        self.mirrored = Sketch()
        self.model = Sketch()
        self.answers = Answers()

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened."""
        there = self.counts[0] or self.counts[1] or self.model.buckets
        return not (there or self.answers.counts["values"])

    def merge(self, other: Tally) -> None:
        """Add the counts of `other`."""
        for mine, more in zip(self.counts, other.counts, strict=True):
            for outcome, count in more.items():
                mine[outcome] = mine.get(outcome, 0) + count
        self.requests.merge(other.requests)
        self.mirrored.merge(other.mirrored)
        self.model.merge(other.model)
        self.answers.merge(other.answers)

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON data, without empty parts."""
        own, mirrored = self.counts
        parts = {
            "counts": own,
            "request_seconds": self.requests.to_json() if self.requests.buckets else None,
            "mirrored_counts": mirrored,
            "mirrored_request_seconds": self.mirrored.to_json() if self.mirrored.buckets else None,
            "model_seconds": self.model.to_json() if self.model.buckets else None,
            "answers": self.answers.to_json() if self.answers.counts["values"] else None,
        }
        return {name: part for name, part in parts.items() if part}


class Windows:
    """Counts for the process's whole life, and for each of its last windows.

    A machine that slept goes on in the window of the hour at which it woke up: a clock that stands
    still meanwhile would number its windows otherwise than a process that starts later.

    Args:
        now: unix time.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.started = now()
        self.id = os.urandom(8).hex()
        self._total, self._open = Tally(), Tally()
        self._number = int(self.started // WINDOW_SECONDS)
        self._closed: deque[tuple[int, Tally]] = deque(maxlen=KEPT)
        self._end = (self._number + 1) * WINDOW_SECONDS

    def record_answer(self, outcome: str, seconds: float, *, mirrored: bool = False) -> None:
        """Count a request for a prediction and its outcome."""
        tally = self._tally()
        counts = tally.counts[mirrored]
        counts[outcome] = counts.get(outcome, 0) + 1
        (tally.mirrored if mirrored else tally.requests).add(seconds)

    def record_call(self, seconds: float) -> None:
        """Count a call of the model."""
        self._tally().model.add(seconds)

    def record_hang(self) -> None:
        """Count a call of the model that never returned."""
        counts = self._tally().counts[0]
        counts[outcomes.HUNG] = counts.get(outcomes.HUNG, 0) + 1

    def record_summary(self, said: dict[str, Any]) -> None:
        """Count the worker's summary of the model's answers.

        Raises:
            ValueError, TypeError, AttributeError: the summary is malformed.
        """
        self._tally().answers.add(said)

    def to_json(self, since: int = 0) -> dict[str, Any]:
        """Return counts of the whole life, and windows from `since` on, as JSON data.

        A window is shown once it has ended, and only if anything happened in it.
        """
        open_ = self._tally()
        total = Tally()
        total.merge(self._total)
        total.merge(open_)
        first = max(since, self._number - KEPT)
        return {
            "format": FORMAT,
            "process": {"id": self.id, "started": round(self.started, 3)},
            "at": round(self._now(), 3),
            "sequence": self._number,
            "window_seconds": WINDOW_SECONDS,
            "total": total.to_json(),
            "windows": [
                {"sequence": number, **tally.to_json()}
                for number, tally in self._closed
                if number >= first
            ],
        }

    def _tally(self) -> Tally:
        """Return the open window, after closing the window that has ended."""
        now = self._now()
        if now >= self._end or now < self._end - WINDOW_SECONDS - BACK_SECONDS:
            self._turn(int(now // WINDOW_SECONDS), now)
        return self._open

    def _turn(self, number: int, now: float) -> None:
        if not self._open.is_empty:
            self._closed.append((self._number, self._open))
            self._total.merge(self._open)
            self._open = Tally()
        if number < self._number:  # whoever reads would take these windows for those of before
            self.id, self.started = os.urandom(8).hex(), now
            self._closed.clear()
        self._number, self._end = number, (number + 1) * WINDOW_SECONDS
