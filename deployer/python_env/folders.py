"""List the Python environments on disk, record their use, and remove unused ones.

NAME/ is a Python environment, NAME.log its build's output, and NAME.used a file whose modification
time is the last use by any platform of this machine.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from deployer.background.filelock import file_lock
from deployer.python_env.build import python_version


@dataclass(frozen=True, slots=True)
class Folder:
    """A Python environment on disk, with its size in bytes; times in seconds since the epoch."""

    path: Path
    python: str
    size: int
    made_at: float
    used_at: float


class Folders:
    """All Python environments of a cache, which several platforms of this machine may share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: dict[tuple[str, float], int] = {}

    def all(self) -> list[Folder]:
        """List the complete Python environments, by name."""
        found = []
        for path in sorted(self._folder.glob("[!.]*/")):
            try:
                made = (path / "pyvenv.cfg").stat().st_mtime
                key = (path.name, made)
                if key not in self._sizes:
                    self._sizes[key] = _size(path)
                python, used = python_version(path), self._used_at(path.name)
                found.append(Folder(path, python, self._sizes[key], made, used))
            except OSError:
                continue  # the folder is being removed, or is no Python environment
        return found

    def use(self, name: str) -> None:
        """Record that a Python environment is in use now, if its stamp can be written."""
        with suppress(OSError):
            self._stamp(name).touch()

    def holding(self, python: str | Path) -> str:
        """Name the Python environment that an interpreter belongs to; "" for none of this cache."""
        path = Path(python)
        inside = path.is_relative_to(self._folder)
        return path.relative_to(self._folder).parts[0] if inside else ""

    def processes(self) -> dict[str, str]:
        """Map "process 4242" to the name of the Python environment that the process runs in."""
        found = {}
        for process in psutil.process_iter(["pid", "cmdline"]):
            command = process.info["cmdline"] or [""]
            if name := self.holding(command[0]):
                found[f"process {process.info['pid']}"] = name
        return found

    def remove(self, name: str, unused_since: float, stopping: Callable[[], bool]) -> str:
        """Remove a Python environment; return why not, if it was used since or cannot be removed.

        Raises:
            Stopped: the process ends while it waits for a build of that Python environment.
        """
        with file_lock(self._folder / f".{name}.lock", stopping):
            if self._used_at(name) > unused_since:
                return "it was asked for meanwhile"
            place = Path(tempfile.mkdtemp(".part", f".{name}.", self._folder))
            try:
                (self._folder / name).rename(place / "venv")  # atomic: never half a folder
            except OSError as error:
                return f"it cannot be removed: {error.strerror}"
            finally:
                shutil.rmtree(place, ignore_errors=True)
            for other in (self._stamp(name), self._folder / f"{name}.log"):
                with suppress(OSError):  # what it was is gone
                    other.unlink(missing_ok=True)
        return ""

    def _stamp(self, name: str) -> Path:
        return self._folder / f"{name}.used"

    def _used_at(self, name: str) -> float:
        try:
            return self._stamp(name).stat().st_mtime
        except FileNotFoundError:
            return 0.0


def _size(folder: Path) -> int:
    """Sum the bytes of a folder's files without another hard link, as in the cache of uv."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(place, name))  # noqa: PTH118 - 12,000 files
            total += status.st_size if status.st_nlink == 1 else 0
    return total
