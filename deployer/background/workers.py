"""Process a queue with threads, even while some of the work hangs.

A worker that hangs is replaced by another worker, so that the rate of the others stays; the hanging
worker ends once its work is done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from deployer.background.queue import Turn, WorkQueue

Item = TypeVar("Item", bound=Hashable)

WORKERS = 8
MOST = 64  # threads, with those that hang; if all of them hang, other items wait for one of them
HANG_SECONDS = 30.0  # of work on one item, which normally takes as many milliseconds


class Workers(Generic[Item]):
    """A pool of threads that process a queue.

    Args:
        queue: The queue of items.
        work: Processes an item; returns when the item is due again.
        hangs: Called once with each item whose work hangs.
        timer: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        queue: WorkQueue[Item],
        work: Callable[[Item], Turn],
        hangs: Callable[[Item], None],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._work = work
        self._hangs = hangs
        self._timer = timer
        self._lock = threading.Lock()
        self._began: dict[threading.Thread, tuple[Item, float]] = {}
        self._hung: set[threading.Thread] = set()
        self._threads: set[threading.Thread] = set()
        self._closing = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start the threads."""
        with self._lock:
            for _ in range(WORKERS):
                self._add()
        self._supervisor.start()

    def supervise(self) -> None:
        """Report work that has begun to hang, and add workers in place of those that hang."""
        now, found = self._timer(), []
        with self._lock:
            for thread, (item, began) in self._began.items():
                if now - began >= HANG_SECONDS and thread not in self._hung:
                    self._hung.add(thread)
                    found.append(item)
            while len(self._threads - self._hung) < WORKERS and len(self._threads) < MOST:
                self._add()
        for item in found:
            self._hangs(item)

    def close(self, seconds: float) -> None:
        """Stop every worker, and wait up to `seconds` for the workers that do not hang."""
        deadline = time.monotonic() + seconds
        self._closing.set()
        self._queue.close()
        with self._lock:
            waited = self._threads - self._hung
        for thread in waited:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def count(self) -> int:
        """Return the number of workers, including those that hang."""
        with self._lock:
            return len(self._threads)

    def _add(self) -> None:
        if not self._closing.is_set():
            thread = threading.Thread(target=self._run, name="worker", daemon=True)
            self._threads.add(thread)
            thread.start()

    def _supervise(self) -> None:
        while not self._closing.wait(min(1.0, HANG_SECONDS)):
            self.supervise()

    def _run(self) -> None:
        own = threading.current_thread()
        try:
            while (item := self._queue.take()) is not None:
                with self._lock:
                    self._began[own] = (item, self._timer())
                try:
                    turn = self._work(item)
                finally:
                    self._queue.done(item)
                    with self._lock:
                        del self._began[own]
                        hung = own in self._hung
                        self._hung.discard(own)
                        surplus = hung and len(self._threads - self._hung) > WORKERS
                self._queue.add(item, turn)
                if surplus:
                    return
        finally:
            with self._lock:
                self._threads.discard(own)
