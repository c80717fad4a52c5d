"""Run pytest for one lane, in a process group of its own; what it printed is in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from support import ROOT
from support.record import VARIABLE

from lanes.lane import Lane
from lanes.sweeping import MARK

_groups: set[int] = set()


@dataclass(frozen=True)
class Ended:
    """How a run of pytest ended.

    Attributes:
        status: pytest's exit status.
        wall: seconds.
        cpu: seconds of it and of every process that it waited for.
        log: what it printed.
        record: what `support.record` wrote.
    """

    status: int
    wall: float
    cpu: float
    log: Path
    record: Path


def run(
    name: str,
    words: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    root: Path = ROOT,
) -> Ended:
    """Run pytest with these words; `name` is that of its files in `folder`."""
    log, record = folder / f"{name}.log", folder / f"{name}.jsonl"
    record.write_text("")
    begun = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
            cwd=root,
            env={**env, VARIABLE: str(record), MARK: f"{os.getpid()}:"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _groups.add(process.pid)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    _end(process.pid)
    return Ended(
        process.returncode,
        time.monotonic() - begun,
        used.ru_utime + used.ru_stime,
        log,
        record,
    )


def words_of(lane: Lane, seed: str) -> list[str]:
    """The words for pytest that run a whole lane."""
    words = [*lane.paths, *lane.options, f"--hypothesis-seed={int(seed, 16)}"]
    if lane.workers > 1:  # modules in the order of tests/conftest.py
        words += ["-n", str(lane.workers), "--dist", "loadfile", "--no-loadscope-reorder"]
    return words


def end_all() -> None:
    """End what still runs; nobody waits for it any more."""
    for pid in list(_groups):
        _end(pid)


def _end(pid: int) -> None:
    """Leave no process of a group, whose leader has ended or is to end."""
    _groups.discard(pid)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
