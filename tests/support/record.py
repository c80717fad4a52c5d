"""Write down how each test ended and what it took, for the table of tests/lanes."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "SCHNITZEL_TESTS_RECORD"
"""The file, a line of JSON for each phase of a test; nothing is written without it."""


class Record:
    """A file of lines, written by the process that hears of every test."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Say how many tests there are; each worker has found the same."""
        self._write(total=len(ids))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Say how many tests there are, without workers."""
        self._write(total=len(session.items))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a phase of a test; what it said, if it failed or was skipped."""
        said = report.longreprtext
        if report.failed:
            said += "".join(f"\n----- {name}\n{text}" for name, text in report.sections)
        self._write(
            test=report.nodeid,
            when=report.when,
            outcome=report.outcome,
            wall=report.duration,
            cpu=dict(report.user_properties).get(f"cpu {report.when}", 0.0),
            said="" if report.passed else said,
        )

    def _write(self, **line: Any) -> None:
        self._file.write(json.dumps(line) + "\n")


class Cpu:
    """CPU seconds of a test's process and of the children that it waited for, phase by phase."""

    def __init__(self) -> None:
        self._last = _cpu()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Iterator[None]:
        """Note what was used since the phase before."""
        now = _cpu()
        item.user_properties.append((f"cpu {call.when}", now - self._last))
        self._last = now
        yield


def pytest_configure(config: pytest.Config) -> None:
    """Begin to record if the variable names a file."""
    if not (named := os.environ.get(VARIABLE)):
        return
    config.pluginmanager.register(Cpu())
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Record(Path(named)))


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
