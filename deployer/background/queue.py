"""Queue items by due time and hand each item to one worker at a time."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Turn:
    """When an item is due: `delay` seconds from now, and `patience` seconds later at the latest.

    An item that is due gives way to others for as long as its patience lasts.
    """

    delay: float = 0.0
    patience: float = 0.0


NOW = Turn()


@dataclass(frozen=True, slots=True)
class _Times:
    """When an item is due, and by when it is to be taken."""

    due: float
    deadline: float

    def __or__(self, other: _Times) -> _Times:
        return _Times(min(self.due, other.due), min(self.deadline, other.deadline))


class WorkQueue(Generic[Item]):
    """A queue that holds each item at most once, at its earliest time.

    Of the items that are due, the one with the earliest deadline comes first: no item waits for
    ever. An item taken is not given to another worker before `done`; an item added meanwhile is
    given out again after that.

    Args:
        timer: Seconds of a monotonic clock.
    """

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._condition = threading.Condition()
        self._times: dict[Item, _Times] = {}
        self._waiting: list[tuple[float, int, Item]] = []
        self._due: list[tuple[float, int, Item]] = []
        self._busy: set[Item] = set()
        self._count = 0
        self._closed = False

    def add(self, item: Item, turn: Turn = NOW) -> None:
        """Make an item due, or sooner due if it is already due."""
        due = self._timer() + turn.delay
        times = _Times(due, due + turn.patience)
        with self._condition:
            known = self._times.get(item)
            merged = known | times if known else times
            if merged == known:
                return
            self._times[item] = merged
            if item not in self._busy:
                self._push(item, merged)

    def take(self) -> Item | None:
        """Wait for the next item that is due; None once the queue is closed."""
        with self._condition:
            while not self._closed:
                pause = self._sort()
                while self._due:
                    deadline, _, item = heapq.heappop(self._due)
                    times = self._times.get(item)
                    if times and times.deadline == deadline and item not in self._busy:
                        del self._times[item]
                        self._busy.add(item)
                        return item
                self._condition.wait(pause)
            return None

    def done(self, item: Item) -> None:
        """Return an item that was taken."""
        with self._condition:
            self._busy.discard(item)
            if times := self._times.get(item):
                self._push(item, times)

    def depth(self) -> int:
        """Return the number of items that are due now."""
        now = self._timer()
        with self._condition:
            return sum(1 for times in self._times.values() if times.due <= now)

    def close(self) -> None:
        """Close the queue and wake every worker."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _push(self, item: Item, times: _Times) -> None:
        """Enter an item; what was entered of it before counts no more."""
        self._count += 1
        heapq.heappush(self._waiting, (times.due, self._count, item))
        self._condition.notify()

    def _sort(self) -> float | None:
        """Order what is due by deadline; returns the seconds until more is due, None for never."""
        now = self._timer()
        while self._waiting:
            due, count, item = self._waiting[0]
            times = self._times.get(item)
            if times is None or times.due != due or item in self._busy:
                heapq.heappop(self._waiting)
            elif due > now:
                return due - now
            else:
                heapq.heappop(self._waiting)
                heapq.heappush(self._due, (times.deadline, count, item))
        return None
