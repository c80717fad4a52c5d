"""Run coroutines on an event loop in a thread of its own, for callers in other threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, Final, TypeVar

Value = TypeVar("Value")

CLOSING_SECONDS: Final = 2.0
ROUNDS: Final = 3


class Loop:
    """An event loop in a thread, which begins with the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, Value]) -> Value:
        """Run a coroutine, and wait for what it returns or raises; the coroutine limits its time.

        Raises:
            RuntimeError: The loop was closed meanwhile.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._running())
        try:
            return future.result()
        except CancelledError as error:
            raise RuntimeError("the loop was closed") from error

    def close(self) -> None:
        """End what runs, and the thread; a later call would begin anew."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_end_others(), loop)
        thread.join(CLOSING_SECONDS)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run, args=(self._loop,), name="brokers", daemon=True
                )
                self._thread.start()
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _end_others() -> None:
    """Cancel every other task, let it end, and stop the loop."""
    for _ in range(ROUNDS):  # what ends may begin a task that closes a socket
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if not tasks:
            break
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=CLOSING_SECONDS / ROUNDS)
    asyncio.get_running_loop().stop()
