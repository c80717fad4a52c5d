"""Run long work in background threads, each piece under a key, and report its progress.

Callers start work and observe it, and never wait for it. A failure is kept, and retried after
`forget`. Where nobody decides on that, the next `ensure` after a backoff retries a transient one.
"""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Generic, Literal, TypeVar

from deployer.errors import SchnitzelError, VersionFailure

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

FIRST_RETRY: Final = 10.0
MOST_RETRY: Final = 600.0
CLOSING_SECONDS: Final = 2.0
MOST_HANGING: Final = 24
"""The most threads beside the parallel ones, in place of threads whose work hangs."""


class Stopped(Exception):  # noqa: N818 - no error: the process is ending
    """The work was cancelled because the process ends; it starts anew after a restart."""


@dataclass(frozen=True)
class Job(Generic[Result]):
    """The progress of a piece of work; times in seconds since the epoch.

    `failed` is the error of the last attempt, also while the work runs again.
    """

    phase: Literal["running", "done", "failed"]
    since: float
    result: Result | None = None
    error: VersionFailure | None = None
    attempts: int = 0
    retry_at: float | None = None
    failed: VersionFailure | None = None


class Jobs(Generic[Result]):
    """A few threads that run the requested work in the order of the requests.

    Args:
        name: the name of the threads.
        parallel: how many pieces of work run at the same time.
        clock: returns seconds since the epoch.
        ended: called in the work's thread with the key of each piece of work that ended; quick.
        retry: seconds before the first retry of a transient failure, and the most before a later
            retry. None: no retry, where a rollout decides on each attempt, so that only one place
            backs off.
        patience: seconds after which running work counts as hanging: the next look at any work puts
            another thread in its place, so that other work goes on. None: work may take as long as
            it needs.
    """

    def __init__(
        self,
        name: str,
        parallel: int,
        clock: Callable[[], float] = time.time,
        *,
        ended: Callable[[str], None] | None = None,
        retry: tuple[float, float] | None = (FIRST_RETRY, MOST_RETRY),
        patience: float | None = None,
    ) -> None:
        self.stopping = threading.Event()
        self._name = name
        self._parallel = parallel
        self._clock = clock
        self._ended = ended
        self._retry = retry
        self._patience = patience
        self._jobs: dict[str, Job[Result]] = {}
        self._waiting: deque[tuple[str, Callable[[], Result]]] = deque()
        lock = threading.RLock()
        self._change = threading.Condition(lock)
        self._end = threading.Condition(lock)
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._began: dict[threading.Thread, float] = {}

    def ensure(
        self, key: str, work: Callable[[], Result], ready: Callable[[], Result | None] | None = None
    ) -> Job[Result]:
        """Start the work unless it is running, done, or failed and not due for a retry.

        Args:
            key: names the work; the same key means the same work.
            work: returns the result, or raises VersionFailure, or Stopped once `stopping` is set.
                Any other SchnitzelError, such as that MLflow does not answer, is transient.
            ready: called before the work first starts; returns the result of earlier work, or
                None; quick.
        """
        with self._change:
            job = self._jobs.get(key)
            now = self._clock()
            if job and (job.phase != "failed" or job.retry_at is None or now < job.retry_at):
                self._staff()
                return job
            if job is None and ready is not None and (result := ready()) is not None:
                return self._jobs.setdefault(key, Job("done", now, result))
            attempts = job.attempts + 1 if job else 1
            job = Job[Result]("running", now, attempts=attempts, failed=job.error if job else None)
            if self.stopping.is_set():
                return job
            self._jobs[key] = job
            self._waiting.append((key, work))
            self._staff()
            self._change.notify()
            return job

    def peek(self, key: str) -> Job[Result] | None:
        """Return the progress of the work; None if it was never requested, or forgotten."""
        with self._change:
            self._staff()
            return self._jobs.get(key)

    def wait(self, key: str, seconds: float) -> None:
        """Wait for the end of the work, for some seconds at most.

        For requests of people; a pass over a deployment never waits.
        """
        with self._end:
            self._end.wait_for(lambda: not self._is_running(key), seconds)

    def forget(self, key: str) -> None:
        """Drop work that ended, so that the next `ensure` starts it again."""
        with self._change:
            job = self._jobs.get(key)
            if job and job.phase != "running":
                del self._jobs[key]

    def close(self, seconds: float | None = None) -> None:
        """Set `stopping` and wait for the threads that do not hang, for some seconds at most."""
        self.stopping.set()
        with self._change:
            self._waiting.clear()
            self._change.notify_all()
            self._end.notify_all()
            threads = [*self._threads]
        deadline = time.monotonic() + (CLOSING_SECONDS if seconds is None else seconds)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _is_running(self, key: str) -> bool:
        job = self._jobs.get(key)
        return job is not None and job.phase == "running" and not self.stopping.is_set()

    def _staff(self) -> None:
        """Start a thread if work waits that no idle thread will take, and there may be another."""
        if len(self._waiting) <= self._idle or self.stopping.is_set():
            return
        hanging = self._hanging()
        if len(self._threads) - hanging < self._parallel and hanging <= MOST_HANGING:
            # Daemon threads: a download that hangs must not delay the end of the process.
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _hanging(self) -> int:
        if self._patience is None:
            return 0
        late = time.monotonic() - self._patience
        return sum(1 for began in self._began.values() if began < late)

    def _run(self) -> None:
        own = threading.current_thread()
        while True:
            with self._change:
                if len(self._threads) - self._hanging() > self._parallel:
                    self._threads.remove(own)  # it hung, and another thread took its place
                    return
                self._idle += 1
                while not self._waiting and not self.stopping.is_set():
                    self._change.wait()
                self._idle -= 1
                if not self._waiting:
                    return
                key, work = self._waiting.popleft()
                began = self._jobs[key]
                self._began[own] = time.monotonic()
            job = self._result(began, work)
            with self._change:
                del self._began[own]
                if job is None:
                    continue
                self._jobs[key] = replace(job, since=self._clock())
                self._end.notify_all()
            self._report(key)

    def _result(self, began: Job[Result], work: Callable[[], Result]) -> Job[Result] | None:
        """Do the work; returns its end, or None if it was stopped."""
        try:
            return replace(began, phase="done", result=work(), failed=None)
        except Stopped:
            return None
        except VersionFailure as failure:
            error = failure
        except SchnitzelError as failure:
            error = VersionFailure(failure.message, failure.hint, transient=True)
            error.__cause__ = failure
        except Exception as failure:  # noqa: BLE001 - a defect of ours must show, not hang
            error = VersionFailure(
                f"The Deployer failed at it: {type(failure).__name__}: {failure}",
                "This is a defect of the Deployer; report it.",
                transient=True,
            )
            error.__cause__ = failure
        retry_at = None
        if error.transient and self._retry:
            first, most = self._retry
            wait = min(first * 2.0 ** min(began.attempts - 1, 30), most)
            # Jitter, so that jobs that failed together do not retry together.
            retry_at = self._clock() + wait * random.uniform(0.8, 1.2)  # noqa: S311
        return replace(began, phase="failed", error=error, failed=error, retry_at=retry_at)

    def _report(self, key: str) -> None:
        if self._ended:
            try:
                self._ended(key)
            except Exception:  # the end of this thread would go unnoticed
                log.exception("the end of %s was not reported", key)


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
