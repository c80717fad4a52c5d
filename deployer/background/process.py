"""Run a command to its end, or kill its whole process group when this process stops."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deployer.background.jobs import Stopped


@dataclass(frozen=True)
class Ended:
    """The end of a command; `status` is None if it was killed for taking too long."""

    status: int | None
    output: str


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    stopping: Callable[[], bool],
    *,
    folder: Path | None = None,
    keep: Sequence[int] = (),
    timeout: float = 3600,
) -> Ended:
    """Run a command in a process group of its own, without input.

    Args:
        command: the program and its arguments; no secret among them.
        environment: all of its environment variables.
        stopping: called several times a second; True kills the group.
        folder: the working directory.
        keep: file descriptors that the command inherits, such as a lock's.
        timeout: seconds after which the group is killed.

    Raises:
        Stopped: `stopping` returned True.
    """
    deadline = time.monotonic() + timeout
    with subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        pass_fds=keep,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=0.1)
            except subprocess.TimeoutExpired:
                late = time.monotonic() > deadline
                if late or stopping():
                    # SIGKILL is safe: the commands run here (uv, MLflow's client) leave nothing
                    # half done that would count as done.
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    output, _ = process.communicate()
                    if late:
                        return Ended(None, output)
                    raise Stopped from None
            else:
                return Ended(process.returncode, output)
