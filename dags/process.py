"""Run a command, follow its output, and leave no process behind."""

import contextlib
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

LAST_LINES = 20
GRACE_SECONDS = 3.0
"""Time from SIGTERM to SIGKILL; Airflow's supervisor sends its SIGKILL 5 s after its SIGTERM."""

_GUARD = Path(__file__).with_name("process_guard.py")


@dataclass(frozen=True)
class Ended:
    """The end of a command."""

    exit_code: int
    """128 + n if signal n ended it."""
    last_lines: str
    """The last 20 lines of its standard output and error, in order of arrival."""


class Process:
    """A command under a guard, which ends its whole process tree on `stop` or when we die."""

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], directory: Path
    ) -> None:
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD), str(GRACE_SECONDS), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=directory,
            start_new_session=True,
            encoding="utf-8",
            errors="replace",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._guard.wait()
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                pipe.close()

    def follow(self, log: Callable[[str], None]) -> Ended:
        """Log each line as it comes, until the command ends."""
        last: deque[str] = deque(maxlen=LAST_LINES)
        for line in self._guard.stdout or ():
            text = line.rstrip()
            last.append(text)
            log(text)
        return Ended(self._guard.wait(), "\n".join(last))

    def stop(self) -> None:
        """Request the end without waiting: safe in a signal handler, and when called twice."""
        with contextlib.suppress(ProcessLookupError):
            self._guard.terminate()


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    log: Callable[[str], None],
) -> Ended:
    """Run a command to its end; an interrupt ends its whole process tree."""
    with Process(command, environment=environment, directory=directory) as process:
        return process.follow(log)
