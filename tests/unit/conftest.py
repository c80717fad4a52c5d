"""Hold unit tests to their word: they start no program."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec"}
LOOKS = ("file", "/sbin/ldconfig", "lsb_release")
"""Programs with which the standard library looks at the machine."""

_started: list[str] | None = None


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if _started is not None and event in STARTS:
        program = arguments[1] if event == "subprocess.Popen" else event
        name = program[0] if isinstance(program, list | tuple) and program else program
        if str(name) not in LOOKS:
            _started.append(str(program))


sys.addaudithook(_note)


@pytest.fixture(autouse=True)
def _starts_nothing() -> Iterator[None]:
    """Fail a test that starts a program: it belongs to another lane."""
    global _started  # noqa: PLW0603 - an audit hook cannot be taken away again
    _started = []
    yield
    started, _started = _started, None
    assert not started, f"a unit test starts no program (tests/README.md): {started}"
