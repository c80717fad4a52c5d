"""Queue items by due time and hand each item to one worker at a time."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class WorkQueue(Generic[Item]):
    """A queue that holds each item at most once, at its earliest time.

    An item taken is not given to another worker before `done`; an item added meanwhile is given
    out again after that.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._due: dict[Item, float] = {}
        self._heap: list[tuple[float, int, Item]] = []
        self._busy: set[Item] = set()
        self._count = 0
        self._closed = False

    def add(self, item: Item, delay: float = 0.0) -> None:
        """Make an item due after `delay` seconds, or sooner if the item is already due sooner."""
        at = time.monotonic() + delay
        with self._condition:
            known = self._due.get(item)
            if known is not None and known <= at:
                return
            self._due[item] = at
            self._count += 1
            heapq.heappush(self._heap, (at, self._count, item))
            self._condition.notify()

    def take(self) -> Item | None:
        """Wait for the next item that is due; None once the queue is closed."""
        with self._condition:
            while not self._closed:
                pause = None
                waiting: list[tuple[float, int, Item]] = []
                found = None
                while self._heap:
                    at, count, item = self._heap[0]
                    if self._due.get(item) != at:
                        heapq.heappop(self._heap)  # the item was moved to an earlier time
                        continue
                    pause = at - time.monotonic()
                    if pause > 0:
                        break
                    heapq.heappop(self._heap)
                    if item in self._busy:
                        waiting.append((at, count, item))
                        pause = None
                        continue
                    found = item
                    break
                for entry in waiting:
                    heapq.heappush(self._heap, entry)
                if found is not None:
                    del self._due[found]
                    self._busy.add(found)
                    return found
                self._condition.wait(pause)
            return None

    def done(self, item: Item) -> None:
        """Return an item that was taken."""
        with self._condition:
            self._busy.discard(item)
            self._condition.notify()

    def depth(self) -> int:
        """Return the number of items that are due now."""
        now = time.monotonic()
        with self._condition:
            return sum(1 for at in self._due.values() if at <= now)

    def close(self) -> None:
        """Close the queue and wake every worker."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
