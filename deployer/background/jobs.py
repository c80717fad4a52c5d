"""Run long work in background threads, each piece under a key, and report its progress.

Callers start work and observe it, and never wait for it. A failure is kept, and retried after
`forget`. Where nobody decides on that, the next `ensure` after a backoff retries a transient one.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Generic, Literal, TypeVar

from deployer.errors import VersionFailure

Item = TypeVar("Item")
Result = TypeVar("Result")

FIRST_RETRY: Final = 10.0
MOST_RETRY: Final = 600.0
CLOSING_SECONDS: Final = 2.0


class Stopped(Exception):  # noqa: N818 - no error: the process is ending
    """The work was cancelled because the process ends; it starts anew after a restart."""


@dataclass(frozen=True)
class Job(Generic[Result]):
    """The progress of a piece of work; times in seconds since the epoch."""

    phase: Literal["running", "done", "failed"]
    since: float
    result: Result | None = None
    error: VersionFailure | None = None
    attempts: int = 0
    retry_at: float | None = None


class Jobs(Generic[Result]):
    """A few threads that run the requested work in the order of the requests.

    Args:
        name: the name of the threads.
        parallel: how many pieces of work run at the same time.
        clock: returns seconds since the epoch.
        retries: whether a transient failure is retried after a backoff; False where a rollout
            decides on each attempt, so that only one place backs off.
    """

    def __init__(
        self,
        name: str,
        parallel: int,
        clock: Callable[[], float] = time.time,
        *,
        retries: bool = True,
    ) -> None:
        self.stopping = threading.Event()
        self._name = name
        self._parallel = parallel
        self._clock = clock
        self._retries = retries
        self._jobs: dict[str, Job[Result]] = {}
        self._waiting: deque[tuple[str, Callable[[], Result]]] = deque()
        self._change = threading.Condition()
        self._threads: list[threading.Thread] = []

    def ensure(
        self, key: str, work: Callable[[], Result], ready: Callable[[], Result | None] | None = None
    ) -> Job[Result]:
        """Start the work unless it is running, done, or failed and not due for a retry.

        Args:
            key: names the work; the same key means the same work.
            work: returns the result, or raises VersionFailure, or Stopped once `stopping` is set.
            ready: called before the work first starts; returns the result of earlier work, or
                None; quick.
        """
        with self._change:
            job = self._jobs.get(key)
            now = self._clock()
            if job and (job.phase != "failed" or job.retry_at is None or now < job.retry_at):
                return job
            if job is None and ready is not None and (result := ready()) is not None:
                return self._jobs.setdefault(key, Job("done", now, result))
            job = Job[Result]("running", now, attempts=job.attempts + 1 if job else 1)
            if self.stopping.is_set():
                return job
            self._jobs[key] = job
            self._waiting.append((key, work))
            if len(self._threads) < self._parallel:
                # Daemon threads: a download that hangs must not delay the end of the process.
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._threads.append(thread)
                thread.start()
            self._change.notify()
            return job

    def seen(self, key: str) -> Job[Result] | None:
        """Return the progress of the work; None if it was never requested, or forgotten."""
        with self._change:
            return self._jobs.get(key)

    def forget(self, key: str) -> None:
        """Drop work that ended, so that the next `ensure` starts it again."""
        with self._change:
            job = self._jobs.get(key)
            if job and job.phase != "running":
                del self._jobs[key]

    def close(self) -> None:
        """Set `stopping` and wait for the threads, for some seconds at most."""
        self.stopping.set()
        with self._change:
            self._waiting.clear()
            self._change.notify_all()
        deadline = time.monotonic() + CLOSING_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while True:
            with self._change:
                while not self._waiting:
                    if self.stopping.is_set():
                        return
                    self._change.wait()
                key, work = self._waiting.popleft()
                began = self._jobs[key]
            try:
                ended = replace(began, phase="done", result=work())
            except Stopped:
                continue
            except VersionFailure as error:
                ended = replace(began, phase="failed", error=error)
            except Exception as error:  # noqa: BLE001 - a defect of ours must show, not hang
                failure = VersionFailure(
                    f"The Deployer failed at it: {type(error).__name__}: {error}",
                    "This is a defect of the Deployer; report it.",
                    transient=True,
                )
                failure.__cause__ = error
                ended = replace(began, phase="failed", error=failure)
            with self._change:
                now = self._clock()
                if self._retries and ended.error and ended.error.transient:
                    wait = min(FIRST_RETRY * 2 ** (ended.attempts - 1), MOST_RETRY)
                    # Jitter, so that jobs that failed together do not retry together.
                    ended = replace(ended, retry_at=now + wait * random.uniform(0.8, 1.2))  # noqa: S311
                self._jobs[key] = replace(ended, since=now)


def each(work: Callable[[Item], None], items: Iterable[Item], parallel: int, name: str) -> None:
    """Do the work on each item, a few at a time; after a failure start no more, and raise it.

    Not a ThreadPoolExecutor, whose threads would delay the end of the process.
    """
    waiting = deque(items)
    errors: list[BaseException] = []

    def run() -> None:
        while not errors:
            try:
                item = waiting.popleft()
            except IndexError:
                return
            try:
                work(item)
            except Exception as error:  # noqa: BLE001 - raised below, in the caller's thread
                errors.append(error)

    threads = [threading.Thread(target=run, name=name, daemon=True) for _ in range(parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
