"""Python programs that begin as a fork of a process which has imported MLflow.

To import it takes seconds of processor time: 8 for its server, 5 for logging models. Each process
of pytest imports it once, in a fork server; what begins there ends with pytest, however that ends.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from subprocess import TimeoutExpired
from typing import TypeVar

from support.run.process import Running

Answer = TypeVar("Answer")

PR_SET_PDEATHSIG = 1
# The order matters: MLflow sets up its server's security where it sees uvicorn.
_PRELOADED = ["uvicorn", "mlflow.server.fastapi_app", "mlflow.sklearn", "sklearn.linear_model"]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(_PRELOADED)


def call(function: Callable[..., Answer], *arguments: object) -> Answer:
    """Call a function of a module where MLflow is imported; what it raises is raised here.

    All calls go to one process, since what MLflow finds out once (which packages there are) takes
    it seconds as well.
    """
    return _pool().submit(function, *arguments).result()


@cache
def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=_CONTEXT)


class Forked(Running):
    """A function that runs in a process group of its own.

    Args:
        function: of a module; its arguments are pickled.
        log: what it prints is appended to this file.
        env: all of its environment, as its code sees it.
        cwd: its working directory.
    """

    def __init__(
        self,
        function: Callable[..., object],
        arguments: tuple[object, ...],
        log: Path,
        env: Mapping[str, str],
        cwd: Path,
    ) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        begun = (function, arguments, log, dict(env), cwd)
        self.process = _Process(_CONTEXT.Process(target=_begin, args=begun))


class _Process:
    """What `Running` asks of a `subprocess.Popen`, of a process of multiprocessing."""

    def __init__(self, process: multiprocessing.context.ForkServerProcess) -> None:
        self._process = process
        process.start()
        assert process.pid
        self.pid = process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, seconds: float) -> int:
        self._process.join(seconds)
        if (status := self.poll()) is None:
            raise TimeoutExpired("a fork", seconds)
        return status


def _begin(
    function: Callable[..., object],
    arguments: tuple[object, ...],
    log: Path,
    env: dict[str, str],
    cwd: Path,
) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for number in (1, 2):
        os.dup2(output, number)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    function(*arguments)
