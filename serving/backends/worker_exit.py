"""Explain why a worker ended, for state.json."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from serving.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serving.predictor import Predictor


class WorkerExit(NamedTuple):
    """Why a worker ended."""

    reason: str
    message: str
    traceback_id: str | None = None


@dataclass
class WorkerLife:
    """What the pool records of a worker.

    Attributes:
        began: when the model was ready (time.monotonic); None: it never was.
        ended: when the process was gone.
        failure: the worker's own report of its failure.
        over: its resident memory in bytes, when that exceeded the limit.
        hung: how long the worker had been silent, when that was too long.
        reading: whether the worker hung while it read requests, not in a call of the model.
    """

    began: float | None = None
    ended: float = 0.0
    failure: dict[str, Any] | None = None
    over: int = 0
    hung: float = 0.0
    reading: bool = False

    def seconds(self) -> float:
        """Return how long the worker served."""
        return self.ended - self.began if self.began is not None else 0.0

    def explain_exit(self, status: int, predictor: Predictor) -> WorkerExit:
        """Explain why the worker ended with this status, negative for a signal."""
        when = "while it served" if self.began is not None else "while it loaded"
        if self.failure is not None:
            message = str(self.failure["message"])
            found = log.keep_traceback(message, self.failure["traceback"])
            lacking = self.failure["out_of_memory"]
            return WorkerExit("OutOfMemory" if lacking else "LoadError", message, found)
        if self.hung:
            most = f"timeout_seconds is {predictor.timeout_seconds:g}"
            what = "what it was asked was not read" if self.reading else None
            what = what or "a call of the model had not returned"
            text = f"{what} after {self.hung:.0f} s ({most})"
            return WorkerExit("Hung", f"{text}; its process was ended, its stacks are in the log")
        if self.over:
            limit = predictor.memory_bytes or 0
            used = f"{self.over / 2**20:.0f} MiB, more than its limit of {limit / 2**20:.0f} MiB"
            return WorkerExit("OutOfMemory", f"the model's process used {used}, {when}")
        if status == -signal.SIGKILL:
            text = "it was killed from outside (SIGKILL)"
            text += ", most often by the system for lack of memory"
            return WorkerExit("OutOfMemory", f"{text}, {when}")
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        reason = "WorkerDied" if self.began is not None else "LoadError"
        return WorkerExit(reason, f"the model's process ended with {how} {when}")


def recent_deaths(lives: Iterable[float], window: float) -> int:
    """Count the deaths within the last `window` seconds of serving.

    `lives` are the seconds that each worker served, oldest first; the last has just ended.
    """
    count, served = 0, 0.0
    for life in reversed(list(lives)):
        count += 1
        served += life
        if served >= window:
            break
    return count
