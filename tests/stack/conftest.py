"""Fixtures: a folder, a supervisord in it that is gone after the test, and a way to wait."""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from stack.program import Program
from stack.supervisor import Supervisor

SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Ask until the answer is true; fails after the deadline."""

    def wait(question: Callable[[], Any], seconds: float = 10.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (answer := question()):
            assert time.monotonic() < deadline, "it did not become true in time"
            time.sleep(0.02)
        return answer

    return wait


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a short name, for a socket's path has at most 107 characters."""
    with TemporaryDirectory(prefix="stack-") as folder:
        yield Path(folder)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path / "run", "test")
    try:
        yield made
    finally:
        made.shutdown()


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Program]:
    """A program of some Python code, which counts as RUNNING at once."""

    def make(name: str, code: str = SLEEP, *arguments: str, **fields: Any) -> Program:
        return Program(
            name=name,
            command=(sys.executable, "-S", "-c", code, *arguments),
            environment=fields.pop("environment", {}),
            directory=tmp_path,
            log=tmp_path / "logs" / f"{name}.log",
            **({"start_seconds": 0, "stop_seconds": 2} | fields),
        )

    return make


@pytest.fixture
def lives() -> Callable[[int], bool]:
    """Whether a process runs; one that is dead but not yet collected does not."""

    def ask(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    return ask


@pytest.fixture
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture(autouse=True)
def _no_home_of_the_developer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("SCHNITZEL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SCHNITZEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SCHNITZEL_CACHE", str(tmp_path / "cache"))
