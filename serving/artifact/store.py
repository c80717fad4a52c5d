"""Nothing goes in; what every artifact store is, and how it fails, comes out."""

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
    """The artifact cannot be had: why, and the next step.

    `reason` is ArtifactMissing, ArtifactCorrupt or ArtifactUnreachable, as on every target;
    `transient` says that the cause may go away by itself.
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
    """A file of an artifact: its path within, with "/", and its size in bytes if it is told."""

    path: str
    size: int | None


class Store(Protocol):
    """Holds the files of one artifact. All raise Unfetchable."""

    ranges: bool
    """Whether a part of a file can be read by itself."""

    def files(self) -> list[Listed]:
        """List all files; empty if there is nothing."""

    def read(self, path: str, start: int = 0, end: int | None = None) -> Iterator[Buffer]:
        """Read a file, or its bytes from `start` to before `end`, in pieces."""


def unreachable(uri: str, why: str, hint: str = "", *, transient: bool = True) -> Unfetchable:
    """The error for a store that does not give us the files now."""
    hint = hint or "It is tried again by itself. Is the artifact store up, and can pods reach it?"
    message = f"The model's files at {uri} cannot be read: {why}."
    return Unfetchable("ArtifactUnreachable", message, hint, transient=transient)


def safe_name(name: object, uri: str) -> str:
    """Return one segment of a path, if it is one that stays where it is put."""
    if (
        not isinstance(name, str)
        or name in ("", ".", "..")
        or any(letter in name for letter in "/\\\0")
        or len(os.fsencode(name)) > 255
    ):
        raise impossible(f"The listing of {uri} names a file that cannot be: {name!r}.")
    return name


def impossible(message: str) -> Unfetchable:
    """The error for files that are not as their store says."""
    return Unfetchable("ArtifactCorrupt", message, "Log the model again, as a new version.")
