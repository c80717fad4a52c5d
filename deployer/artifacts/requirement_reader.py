"""Read a model's requirements files, refusing or leaving out what cannot be locked.

A package may come from an index, from an address, or from a wheel among the model's own files.
A line that cannot be locked by hash is refused, and the error shows that line; an index that no
operator allowed is left out, and a note says so. Credentials in a model's files are never passed
on.
"""

import hashlib
import posixpath
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from deployer.artifacts import requirement_lines
from deployer.artifacts.requirement_lines import INDEXES, Line
from deployer.errors import EnvironmentUnbuildable, UnsupportedDependencies

_NAMED: Final = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?)\s*@\s*(?P<where>.+)")
_PLACE: Final = re.compile(r"(?P<place>[^\[;]*?)\s*(?P<extras>\[[^\]]*\])?\s*(?P<marker>;.*)?")
_WHEEL: Final = re.compile(r"[^-/\s]+-[^-/\s]+(-\d[^-/\s]*)?-[^-/\s]+-[^-/\s]+-[^-/\s]+\.whl")
_ARCHIVE: Final = re.compile(r"\.(whl|zip|tar|tgz|tbz|txz|tar\.\w+)$", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"\$\{[A-Z0-9_]+\}")
_REPOSITORY: Final = re.compile(r"(git|hg|svn|bzr)\+")
_PUBLISH: Final = (
    "Publish it as a package to an index that is reached from here and log the model with "
    "pip_requirements=[...]; or bring it along: build a wheel (pip wheel --no-deps), and log the "
    "model with code_paths=['PKG.whl'] and pip_requirements=['code/PKG.whl', ...]."
)
_ALWAYS_SO: Final = ("--hash", "--only-binary", "--prefer-binary", "--require-hashes")
_LEFT_OUT: Final = {
    "--trusted-host": "certificates are always checked",
    "--no-binary": "wheels are installed where there are any",
    "--use-feature": "it is for pip alone",
}


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel among a model's files: its path there, its file's name, SHA-256 in hex."""

    path: str
    name: str
    sha256: str


class Reader:
    """A reader that collects what a model's requirements ask for.

    Args:
        folder: the model's files.
        indexes: addresses of package indexes that the requirements may name.
    """

    def __init__(self, folder: Path, indexes: Collection[str] = ()) -> None:
        self._folder = folder
        self._indexes = {requirement_lines.address(url) for url in indexes} - {""}
        self._read: set[tuple[str, bool]] = set()
        self.requirements: list[str] = []
        self.constraints: list[str] = []
        self.options: list[str] = []
        self.notes: list[str] = []
        self.wheels: dict[str, Wheel] = {}
        self.absent: set[str] = set()

    def file(self, name: str, *, constrains: bool = False) -> bool:
        """Read a requirements file of the model; False if it does not exist.

        Raises:
            UnsupportedDependencies: a line asks for a package that cannot be installed.
            EnvironmentUnbuildable: the file cannot be read.
        """
        if (name, constrains) in self._read:
            return True
        self._read.add((name, constrains))
        try:
            content = (self._folder / name).read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            return False
        except (OSError, UnicodeDecodeError) as error:
            raise EnvironmentUnbuildable(
                f"The model's {name} cannot be read: {error}.", "Log the model again."
            ) from error
        self.text(content, name, constrains=constrains)
        return True

    def text(self, content: str, name: str = "", *, constrains: bool = False) -> None:
        """Read lines of the file `name`; raises as `file` does."""
        for line in requirement_lines.read(content):
            for option, value in line.options:
                self._option(line, option, value, posixpath.dirname(name))
            if line.requirement and constrains:
                self.constraints.append(_published(line))
            elif line.requirement:
                self.requirements.append(self._requirement(line))

    def _option(self, line: Line, option: str, value: str, beside: str) -> None:
        if option in ("--requirement", "--constraint"):
            self._include(line, option == "--constraint", value, beside)
        elif option in INDEXES:
            self._index(line, option, value)
        elif option == "--no-index":
            self.options.append(option)
        elif option in _LEFT_OUT:
            self._leave_out(line, _LEFT_OUT[option])
        elif option == "--editable":
            _refuse(line, "names a working copy, which cannot be locked by hash", _PUBLISH)
        elif option == "--pre":
            hint = "Name the version that is meant instead, such as 'package==2.0rc1'."
            _refuse(line, "asks for any version before its release", hint)
        elif option not in _ALWAYS_SO:
            hint = "Log the model again without it; build a wheel where it is needed."
            _refuse(line, "has an option for the build of a package", hint)

    def _include(self, line: Line, constrains: bool, value: str, beside: str) -> None:
        path = posixpath.normpath(posixpath.join(beside, value))
        if "://" in value or not self._is_inside(path) or not self._has(path):
            hint = (
                "Log the model again with the lines of that file in pip_requirements=[...]; a "
                "constraints file is copied by mlflow where it is given as '-c FILE'."
            )
            _refuse(line, "names a file that is not among the model's", hint)
        self.file(path, constrains=constrains)

    def _index(self, line: Line, option: str, value: str) -> None:
        address = requirement_lines.address(value)
        if not address or address not in self._indexes:
            self._leave_out(
                line,
                "no operator allowed this index of packages (limits.package_indexes in "
                "platform.yaml)",
            )
            return
        if requirement_lines.has_login(value):
            self._leave_out(
                line, "an index's login is the operator's; the index itself is asked", "The login"
            )
        self.options.append(f"{option} {requirement_lines.without_login(value)}")

    def _leave_out(self, line: Line, why: str, what: str = "The line") -> None:
        part = f"{what} {line.shown!r}" if what == "The line" else f"{what} in {line.shown!r}"
        self.notes.append(f"{part} of the model's requirements was left out: {why}.")

    def _requirement(self, line: Line) -> str:
        """Write the line for the installer; a wheel of the model's own becomes ./wheels/NAME."""
        named = _NAMED.fullmatch(line.requirement)
        where = named["where"] if named else line.requirement
        if "://" in where.partition(";")[0] or _REPOSITORY.match(where):
            return _published(line)
        found = _PLACE.fullmatch(where)
        place = found["place"].strip() if found else where
        is_path = "/" in place or "\\" in place or place.startswith((".", "~", "file:"))
        if not (named or is_path or _ARCHIVE.search(place)):
            return _published(line)
        name = self._wheel(line, place)
        extras = (found and found["extras"]) or ""
        marker = f" {found['marker']}" if found and found["marker"] else ""
        if named:
            return f"{named['name'].strip()} @ ./wheels/{name}{marker}"
        return f"./wheels/{name}{extras}{marker}"

    def _wheel(self, line: Line, place: str) -> str:
        path = posixpath.normpath(place)
        name = posixpath.basename(path)
        if place.startswith(("~", "file:")) or not self._is_inside(path):
            _refuse(line, "names a file that is not among the model's", _PUBLISH)
        if not _WHEEL.fullmatch(name):
            _refuse(line, "names a file or folder that is no wheel", _PUBLISH)
        digest = self._digest(path)
        if not digest:
            _refuse(line, "names a wheel that is not among the model's files", _PUBLISH)
        wheel = Wheel(path, name, digest)
        if self.wheels.setdefault(name, wheel).sha256 != digest:
            _refuse(line, "names one of two different wheels of the same name", "Keep one.")
        return name

    def _digest(self, path: str) -> str:
        """Hash a wheel, or read its digest from the .sha256 file beside; "" if neither exists."""
        beside = self._folder / f"{path}.sha256"
        if self._has(path):
            with (self._folder / path).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        if beside.is_file() and not (self._folder / path).exists():
            return beside.read_text(encoding="ascii", errors="replace").strip()
        return ""

    def _has(self, path: str) -> bool:
        there = (self._folder / path).is_file()
        if not there:
            self.absent.add(path)
        return there

    def _is_inside(self, path: str) -> bool:
        place = (self._folder / path).resolve()
        outside = path.startswith(("/", "..")) or "\\" in path
        return not outside and place.is_relative_to(self._folder.resolve())


def _published(line: Line) -> str:
    """Return a requirement of an index or an address, if it is lockable and holds no secret."""
    text = line.requirement
    if re.search(r"(^|@\s*)(git|hg|svn|bzr)\+", text):
        _refuse(line, "names a repository, which cannot be locked by hash", _PUBLISH)
    if re.search(r"(^|@\s*)file:", text):
        _refuse(line, "names a file that is not among the model's", _PUBLISH)
    if _VARIABLE.search(text):
        hint = "Log the model again with the value in its place, unless that is a login."
        _refuse(line, "names a variable, which has no value here", hint)
    parts = re.split(r"[\s;@]+(?=\w+://)|\s", text)
    if any(requirement_lines.has_login(part) for part in parts if "://" in part):
        hint = "Publish it where no login is needed, or to an index whose login operators keep."
        _refuse(line, "carries a login, which is not to be kept with a model", hint)
    return text


def _refuse(line: Line, why: str, hint: str) -> NoReturn:
    raise UnsupportedDependencies(f"The line {line.shown!r} of the requirements {why}.", hint)
