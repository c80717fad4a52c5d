"""Start a worker process, with a socket to it.

The front imports this module before its other modules, so that the model loads while the front gets
ready; it imports little itself.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from serving.backends import memory

if TYPE_CHECKING:
    from serving.predictor import Predictor

SECRETS = re.compile(
    r"(SCHNITZEL|AIRFLOW|MLFLOW_TRACKING|MLFLOW_S3|AWS|AZURE|GOOGLE|GCP|PG|POSTGRES|KUBE|GITHUB"
    r"|GITLAB|GH|TEAMCITY|SUPERVISOR)_?[A-Z0-9_]*"
)
"""Names of variables that belong to the platform or hold a credential: models do not get them."""
# mlflow's own scoring server sets the first; the others keep a worker from sending telemetry.
ENVIRONMENT = {
    "_MLFLOW_IS_IN_SERVING_ENVIRONMENT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}


@dataclass(frozen=True)
class Process:
    """A worker process, in a process group of its own, and the front's end of its socket."""

    popen: subprocess.Popen[bytes]
    socket: socket.socket

    @property
    def pid(self) -> int:
        """The process id."""
        return self.popen.pid

    def wait(self) -> int:
        """Block until the process has ended, and return its exit status, negative for a signal."""
        return self.popen.wait()

    def kill(self) -> None:
        """End the process and its descendants."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)

    def dump_stacks(self) -> None:
        """Have the process write the stacks of its threads to the log, and end (faulthandler)."""
        with suppress(ProcessLookupError, PermissionError):
            os.kill(self.popen.pid, signal.SIGABRT)

    def resident(self) -> int:
        """Return the bytes of resident memory of the process and its descendants; 0 once ended."""
        return memory.resident(self.popen.pid)

    def exceeds(self, limit: int) -> int:
        """Return the bytes of the process and its descendants if they exceed `limit`, else 0."""
        return memory.exceeds(self.popen.pid, limit)


def start(predictor: Predictor, *, first: bool) -> Process:
    """Start a worker; only the first asks the logged rows, of which an earlier one may have died.

    Call it from the main thread: the kernel ends the worker with the thread that started it.

    Raises:
        OSError: the interpreter cannot be run.
    """
    ours, theirs = socket.socketpair()
    options = {
        "batching": {
            "enabled": predictor.batching.enabled,
            "max_rows": predictor.batching.max_rows,
        },
        "first": first,
        "input": predictor.input,
        "model": predictor.model,
        "version": predictor.model_version,
    }
    command = [
        predictor.python,
        "-I",  # the model's packages only: no PYTHONPATH, no user's site, no folder of ours
        str(Path(__file__).parents[1] / "worker/worker.py"),
        str(theirs.fileno()),
        str(os.getpid()),
        predictor.artifact,
        json.dumps(options),
    ]
    try:
        popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            env={**_environment(predictor), **ENVIRONMENT},
            pass_fds=(theirs.fileno(),),
            process_group=0,  # a signal to the front's group must not end a worker that is needed
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    ours.setblocking(False)
    return Process(popen, ours)


def _environment(predictor: Predictor) -> dict[str, str]:
    """Return the variables for the worker: all but the secrets, and those set for the model."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in predictor.env or not SECRETS.fullmatch(name)
    }
