"""A command and its environment in, its lines and exit code out; no process is left behind."""

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
"""Between SIGTERM and SIGKILL; Airflow's supervisor sends its own SIGKILL 5 s after its SIGTERM."""

_LEASH = Path(__file__).with_name("leash.py")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    """128 + n if signal n ended it."""
    last_lines: str
    """Its last 20 lines, standard output and error as they came."""


class Process:
    """A running command on its leash: it, and all it started, ends with `stop` or when we die."""

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], directory: Path
    ) -> None:
        self._leash = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LEASH), str(GRACE_SECONDS), *command],
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
        self._leash.wait()
        for pipe in (self._leash.stdin, self._leash.stdout):
            if pipe is not None:
                pipe.close()

    def follow(self, log: Callable[[str], None]) -> Ended:
        """Log each line as it comes, until the command has ended."""
        last: deque[str] = deque(maxlen=LAST_LINES)
        for line in self._leash.stdout or ():
            text = line.rstrip()
            last.append(text)
            log(text)
        return Ended(self._leash.wait(), "\n".join(last))

    def stop(self) -> None:
        """Ask for the end without waiting for it: a signal handler may call it, also twice."""
        with contextlib.suppress(ProcessLookupError):
            self._leash.terminate()


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    log: Callable[[str], None],
) -> Ended:
    """Run a command to its end; ended with all it started if we are interrupted."""
    with Process(command, environment=environment, directory=directory) as process:
        return process.follow(log)
