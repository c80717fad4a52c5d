"""List the model servers' processes once for all passes, and again only once they may differ.

A listing costs supervisord and the Deployer a tenth of a millisecond for each process. supervisord
writes each change of a program's state to its activity log, so that a listing holds until that log
grows. The log is a hint: after LIST_SECONDS a listing is made anew, whatever the log says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from deployer.errors import TargetUnavailable
from stack.errors import StackError
from stack.supervision.supervisor import Process

LIST_SECONDS: Final = 10.0
"""How long a listing holds at most."""

ALIVE_SECONDS: Final = 1.0
"""How long supervisord counts as alive after it accepted a connection."""


class Supervising(Protocol):
    """The part of `stack.supervision.supervisor.Supervisor` that lists processes."""

    def ensure(self) -> bool: ...  # noqa: D102
    def listens(self) -> bool: ...  # noqa: D102
    def mark(self) -> object | None: ...  # noqa: D102
    def processes(self) -> dict[str, Process]: ...  # noqa: D102


class Processes:
    """The processes of the model servers; safe for many threads, which share one listing.

    Args:
        supervisor: Their supervisord.
        elsewhere: Whether supervisord runs in another container.
        timer: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        supervisor: Supervising,
        *,
        elsewhere: bool = False,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._supervisor = supervisor
        self._elsewhere = elsewhere
        self._timer = timer
        self._lock = threading.Lock()
        self._known: Mapping[str, Process] = {}
        self._mark: object | None = None
        self._listed_at = self._alive_at = float("-inf")
        self._failed: tuple[float, TargetUnavailable] | None = None

    def all(self) -> Mapping[str, Process]:
        """Return the processes by program; start supervisord if it is dead.

        Raises:
            TargetUnavailable: supervisord does not answer, and does not start.
        """
        asked_at = self._timer()
        with self._lock:
            if self._failed and self._failed[0] >= asked_at:  # while this caller waited its turn
                raise self._failed[1]
            try:
                if not self._holds():
                    self._supervisor.ensure()
                    self._list()
            except (StackError, OSError) as error:
                unavailable = self._unavailable(error)
                self._failed = self._timer(), unavailable
                raise unavailable from error
            self._failed = None
            return self._known

    def look(self) -> Mapping[str, Process]:
        """Return the processes by program, and start nothing.

        Raises:
            TargetUnavailable: supervisord does not answer.
        """
        with self._lock:
            try:
                if not self._holds():
                    self._list()
            except (StackError, OSError) as error:
                raise self._unavailable(error) from error
            return self._known

    def _holds(self) -> bool:
        """Decide whether the last listing is still true."""
        now = self._timer()
        mark = self._supervisor.mark()
        if mark is None or mark != self._mark or now - self._listed_at >= LIST_SECONDS:
            return False
        if now - self._alive_at >= ALIVE_SECONDS:
            if not self._supervisor.listens():
                return False
            self._alive_at = now
        return True

    def _list(self) -> None:
        began, self._listed_at = self._timer(), float("-inf")
        mark = self._supervisor.mark()  # before the listing: a later change makes another mark
        self._known = self._supervisor.processes()
        self._mark, self._listed_at, self._alive_at = mark, began, began

    def _unavailable(self, error: StackError | OSError) -> TargetUnavailable:
        return TargetUnavailable(
            f"The model servers' supervisord does not answer: {error}",
            error.hint if self._elsewhere and isinstance(error, StackError) else "schnitzel up",
        )


def read_logs(folder: Path, predictor: str, lines: int) -> str:
    """Read the last lines of each replica's log; "" without logs.

    Several logs are headed by the names of their replicas. The process that runs a model may write
    to the folder, in a container that holds less than ours: a symbolic link there would show a file
    that the process itself cannot read, so links are skipped.
    """
    files = [folder / f"{predictor}.log", *sorted(folder.glob(f"{predictor}.*.log"))]
    found = {
        file.stem: _tail(file, lines) for file in files if file.is_file() and not file.is_symlink()
    }
    if len(found) == 1:
        return next(iter(found.values()))
    return "".join(f"==> {replica} <==\n{text}" for replica, text in found.items())


def _tail(file: Path, lines: int) -> str:
    return "".join(file.read_text(errors="replace").splitlines(keepends=True)[-lines:])
