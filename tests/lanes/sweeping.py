"""End what tests left behind: their platforms outlive a pytest that was killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

MARK = "LANES_RUN"
"""In the environment of all that tests start: the pid of the run of lanes that started them.

Not one of the names that a platform keeps from its programs.
"""
PATIENCE = 15.0
"""Seconds in which supervisors end their programs."""


def of(pid: int) -> Callable[[int], bool]:
    """What a run started."""
    return lambda run: run == pid


def of_the_dead(run: int) -> bool:
    """Whether a run of lanes is no more."""
    return not Path(f"/proc/{run}").exists()


def sweep(which: Callable[[int], bool]) -> list[int]:
    """End the processes of runs that `which` is true of; their pids.

    They are asked first, so that a supervisor ends its programs, and killed if they do not.
    """
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGKILL):
        found = _marked(which)
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        asked += [pid for pid in found if pid not in asked]
        deadline = time.monotonic() + PATIENCE
        while _marked(which) and time.monotonic() < deadline:
            time.sleep(0.1)
    return asked


def _marked(which: Callable[[int], bool]) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with suppress(OSError, ValueError):
            lines = (folder / "environ").read_bytes().split(b"\0")
            [run] = [line for line in lines if line.startswith(f"{MARK}=".encode())]
            if which(int(run.partition(b"=")[2])):
                found.append(int(folder.name))
    return found
