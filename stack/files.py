"""Replace files atomically, readable by their owner only."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

Stamp = tuple[int, int, int]
"""A file's inode, size and time of modification: another stamp, another content."""


def stamp(path: Path) -> Stamp | None:
    """Return the stamp of a file or folder; None if there is none."""
    try:
        return _stamp(path.stat())
    except OSError:
        return None


def stamps(folder: Path) -> dict[str, Stamp]:
    """Return the stamp of everything in a folder, by name; nothing if there is no folder."""
    found = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                found[entry.name] = _stamp(entry.stat())
    return found


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_ino, found.st_size, found.st_mtime_ns


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically: a reader, or a crash, finds the old text or the new text."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    # Never follow a link: the folder may be shared with a container of fewer privileges.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(temporary, flags, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def keep(path: Path, text: str) -> None:
    """Create or replace a file only if its text differs: readers watch its modification time."""
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, text)


def read_or_create(path: Path, make: Callable[[], str]) -> str:
    """Read a secret, without the white space around it; make and keep it if there is none."""
    if not path.exists() or not path.read_text().strip():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, make() + "\n")
    return path.read_text().strip()
