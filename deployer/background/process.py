"""In: a command; out: its exit status and output, or Stopped with its whole process group ended."""

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
    """How a command ended. `status` is None if it was ended for taking too long."""

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
        environment: all of its variables.
        stopping: asked some times a second; True ends the group.
        folder: where it runs.
        keep: file descriptors that it inherits, such as a lock's.
        timeout: seconds after which the group is ended.

    Raises:
        Stopped: `stopping` said so.
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
                    # Not asked nicely: what is ended here (uv, MLflow's client) leaves nothing
                    # half done that would count as done.
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    output, _ = process.communicate()
                    if late:
                        return Ended(None, output)
                    raise Stopped from None
            else:
                return Ended(process.returncode, output)
