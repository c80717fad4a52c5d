"""A predictor goes in; a running worker process with a socket to it comes out.

Imported before anything else of the front, so that the model loads while the front gets ready: it
needs little itself.
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
"""Names of variables that are the platform's, or a key to what it keeps: a model gets none."""
# mlflow's own scoring server sets the first; the others keep a worker from calling anybody.
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
        """Its process id."""
        return self.popen.pid

    def wait(self) -> int:
        """Block until it has ended; return its exit status, negative for a signal."""
        return self.popen.wait()

    def kill(self) -> None:
        """End it and what it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)

    def tell_stacks(self) -> None:
        """Let it write the stacks of its threads to the log, and end (faulthandler)."""
        with suppress(ProcessLookupError, PermissionError):
            os.kill(self.popen.pid, signal.SIGABRT)

    def resident(self) -> int:
        """Return the resident memory of it and of what it started, in bytes; 0 if it has ended."""
        return memory.resident(self.popen.pid)

    def exceeds(self, limit: int) -> int:
        """Return the bytes that it and what it started take if that is more, else 0."""
        return memory.exceeds(self.popen.pid, limit)


def start(predictor: Predictor, *, first: bool) -> Process:
    """Start a worker; the first asks its model the logged rows, of which another may have died.

    Call it from the main thread: the kernel ends the worker with the thread that started it.

    Raises OSError if the interpreter cannot be run.
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
        "-I",  # the model's environment only: no PYTHONPATH, no user's site, no folder of ours
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
            process_group=0,  # a signal to our group must not end a worker that has to answer
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    ours.setblocking(False)
    return Process(popen, ours)


def _environment(predictor: Predictor) -> dict[str, str]:
    """Return what a model's code may see of our environment, and what was meant for it."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in predictor.env or not SECRETS.fullmatch(name)
    }
