"""Define an artifact store and its errors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from serving.telemetry.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

MOST_FILES = 100_000
CHUNK = 1 << 20
SECONDS = 30
"""How long a store may be silent."""
UNTRUSTED = "its certificate is signed by an authority that is not trusted here"


class Unfetchable(Exception):  # noqa: N818 - it is what the Deployer shows as its reason
    """The artifact cannot be fetched: why, and the next step.

    `reason` is ArtifactMissing, ArtifactCorrupt or ArtifactUnreachable, as on every target;
    `transient` says that the cause may pass.
    """

    def __init__(self, reason: str, message: str, hint: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.reason, self.message, self.hint, self.transient = (
            reason,
            redact(message),
            hint,
            transient,
        )


@dataclass(frozen=True)
class Listed:
    """A file of an artifact: its path within, with "/", and its size in bytes if known."""

    path: str
    size: int | None


class Store(Protocol):
    """The files of one artifact; all methods raise Unfetchable."""

    ranges: bool
    """Whether the store can read a part of a file."""

    def files(self) -> list[Listed]:
        """List all files; empty if there are none."""

    def read(self, path: str, start: int = 0, end: int | None = None) -> Iterator[Buffer]:
        """Read a file, or its bytes from `start` to before `end`, in pieces."""


def unreachable(uri: str, why: str, hint: str = "", *, transient: bool = True) -> Unfetchable:
    """Build the error for a store that cannot be read now."""
    hint = hint or "It is retried automatically. Is the artifact store up, and can pods reach it?"
    message = f"The model's files at {uri} cannot be read: {why}."
    return Unfetchable("ArtifactUnreachable", message, hint, transient=transient)


def safe_name(name: object, uri: str) -> str:
    """Return a segment of a path, if it cannot lead out of its folder.

    Raises:
        Unfetchable: it could.
    """
    if (
        not isinstance(name, str)
        or name in ("", ".", "..")
        or any(letter in name for letter in "/\\\0")
        or len(os.fsencode(name)) > 255
    ):
        raise impossible(f"The listing of {uri} names a file that cannot be: {name!r}.")
    return name


def impossible(message: str) -> Unfetchable:
    """Build the error for files that contradict their store's listing."""
    return Unfetchable("ArtifactCorrupt", message, "Log the model again, as a new version.")
