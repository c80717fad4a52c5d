# ruff: noqa: INP001 - run by its path, in the environment builder's image
"""Say why a build failed in one sentence with a next step, as the Deployer shows it."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Failed(Exception):  # noqa: N818 - it is what becomes of the build
    """The environment cannot be built, or its image cannot be kept.

    `reason` is the reason that the Deployer shows; `transient` says that the cause may go away by
    itself; `log` is what the program that failed printed.
    """

    def __init__(
        self, reason: str, message: str, hint: str, *, transient: bool = False, log: str = ""
    ) -> None:
        super().__init__(message)
        self.reason, self.message, self.hint = reason, message, hint
        self.transient, self.log = transient, log


def report(error: Failed, termination_file: Path) -> None:
    """Say it, and leave it where the Deployer reads it."""
    sys.stderr.write(f"error: {error.message}\n\nhint: {error.hint}\n")
    said = {"reason": error.reason, "message": error.message[:1500], "hint": error.hint}
    write_termination_message(termination_file, said)


def write_termination_message(file: Path, said: dict[str, Any]) -> None:
    """Leave one line of JSON where the kubelet looks; it reads 4096 bytes."""
    with suppress(OSError):  # what is said is in the log as well
        file.write_text(json.dumps(said) + "\n", encoding="utf-8")
