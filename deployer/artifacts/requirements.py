"""Read the Python version and the packages that a model's files ask for.

MLflow writes requirements.txt, python_env.yaml and conda.yaml beside each model; constraints.txt
when the model was logged with some; wheels in wheels/ or code/ when it brings packages along.
"""

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import yaml

from deployer.artifacts.requirement_reader import Reader, Wheel
from deployer.errors import EnvironmentUnbuildable, UnsupportedDependencies, VersionFailure

__all__ = ["EnvironmentRequest", "Wheel", "missing_packages"]

_VERSION: Final = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_CONDA_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class EnvironmentRequest:
    """A model's request for a Python environment; equal requests share one.

    Attributes:
        python: the Python version that the model was logged with, such as "3.11.7", or "3.11".
        requirements: lines such as "scikit-learn==1.7.2", sorted.
        constraints: lines that bound the chosen versions, sorted.
        options: package indexes that the requirements name, as pip's options.
        wheels: packages among the model's files; `requirements` name them "./wheels/NAME".
        notes: one sentence for each part of the requirements that was left out.
    """

    python: str
    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    wheels: tuple[Wheel, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def python_minor(self) -> str:
        """The Python minor, such as "3.11"."""
        return ".".join(self.python.split(".")[:2])

    @property
    def key(self) -> str:
        """32 hex digits, the same for requests that get the same lock."""
        groups = [(self.python_minor,), self.requirements, self.constraints, self.options]
        if self.wheels:
            groups.append(tuple(f"{wheel.name} {wheel.sha256}" for wheel in self.wheels))
        text = "\0".join("\n".join(group) for group in groups)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @classmethod
    def read(cls, folder: Path, indexes: Collection[str] = ()) -> Self:
        """Read a model's request from its files.

        Args:
            folder: the model's files; of wheels, their digests are enough (`lacking`).
            indexes: addresses of package indexes that its requirements may name.

        Raises:
            UnsupportedDependencies: the model asks for packages of conda, of a repository, or of
                a path outside of the model.
            EnvironmentUnbuildable: its files are unreadable, or name no packages or no Python.
        """
        reader = Reader(folder, indexes)
        python, found = _read(folder, reader)
        if not found:
            raise EnvironmentUnbuildable(
                "The model says nothing about the packages that it needs: "
                "it has no requirements.txt.",
                "Log it with mlflow's log_model, which writes one, or with pip_requirements=[...].",
            )
        if not _VERSION.fullmatch(python):
            raise EnvironmentUnbuildable(
                f"The model does not say which Python it needs (found {python!r}).",
                "Log it again with mlflow's log_model, which writes python_env.yaml.",
            )
        return cls(
            python,
            _sorted(reader.requirements),
            _sorted(reader.constraints),
            tuple(dict.fromkeys(reader.options)),
            tuple(sorted(reader.wheels.values(), key=lambda wheel: wheel.name)),
            tuple(dict.fromkeys(reader.notes)),
        )


def missing_packages(folder: Path) -> set[str]:
    """List the files that a model's requirements name and that the folder lacks.

    A file that is added may name more files. Of a wheel, a file NAME.whl.sha256 with its digest is
    enough.
    """
    reader = Reader(folder)
    try:
        _read(folder, reader)
    except VersionFailure:
        return reader.absent
    return reader.absent


def _read(folder: Path, reader: Reader) -> tuple[str, bool]:
    """Return the Python version, and whether the model's files name any packages."""
    python, conda_pip = _read_conda(_yaml(folder / "conda.yaml"))
    python_env = _yaml(folder / "python_env.yaml")
    python = str(python_env.get("python") or python or _python_of_model(folder))
    found = reader.file("requirements.txt")
    if not found:
        entries = [str(line) for line in python_env.get("dependencies") or []]
        lines = [line for line in entries if not line.startswith("-r ")] or conda_pip
        reader.text("\n".join(lines))
        found = bool(lines)
    return python, found and bool(reader.requirements)


def _read_conda(conda: dict[str, Any]) -> tuple[str, list[str]]:
    python, pip, other = "", list[str](), list[str]()
    for entry in conda.get("dependencies") or []:
        if isinstance(entry, dict):
            pip += [str(line) for line in entry.get("pip") or []]
            continue
        match = _CONDA_NAME.match(str(entry).rpartition("::")[2])
        name = match[0] if match else str(entry)
        if name == "python":
            found = _VERSION.search(str(entry))
            python = found[0] if found else ""
        elif name != "pip":
            other.append(str(entry))
    if other:
        raise UnsupportedDependencies(
            f"The model asks for packages of conda, which are not installed here: "
            f"{', '.join(sorted(other))}.",
            "Log it with pip_requirements=[...] in place of conda_env, if they exist for pip.",
        )
    return python, pip


def _python_of_model(folder: Path) -> str:
    flavors = _yaml(folder / "MLmodel").get("flavors") or {}
    return str((flavors.get("python_function") or {}).get("python_version") or "")


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EnvironmentUnbuildable(
            f"The model's {path.name} cannot be read: {error}.", "Log the model again."
        ) from error
    return content if isinstance(content, dict) else {}


def _sorted(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(lines)))
