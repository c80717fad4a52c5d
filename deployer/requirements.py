"""In: a model's artifact folder; out: the Python and the packages that it asks for.

MLflow writes requirements.txt, python_env.yaml and conda.yaml beside each model; constraints.txt
when the model was logged with some.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import yaml

from deployer.errors import EnvironmentUnbuildable, UnsupportedDependencies

_VERSION: Final = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_INDEX_OPTIONS: Final = ("--index-url", "--extra-index-url", "--find-links", "-i ", "-f ")
_IGNORED_OPTIONS: Final = ("--no-binary", "--only-binary", "--prefer-binary", "--trusted-host")
_CONDA_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class EnvironmentRequest:
    """What a model asks of its environment; equal requests share one.

    Attributes:
        python: the version that the model was logged with, such as "3.11.7", or "3.11".
        requirements: lines such as "scikit-learn==1.7.2", sorted.
        constraints: lines that bound what is chosen, sorted.
        options: package indexes that the requirements name, as pip's options.
    """

    python: str
    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def minor(self) -> str:
        """The Python minor, such as "3.11"."""
        return ".".join(self.python.split(".")[:2])

    @property
    def key(self) -> str:
        """The same for requests that get the same lock: 32 hex digits."""
        groups = ((self.minor,), self.requirements, self.constraints, self.options)
        text = "\0".join("\n".join(group) for group in groups)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what a model asks for.

        Raises:
            UnsupportedDependencies: it asks for packages of conda, of a repository, or of a path.
            EnvironmentUnbuildable: its files do not say, or cannot be read.
        """
        conda = _yaml(folder / "conda.yaml")
        python_env = _yaml(folder / "python_env.yaml")
        python, conda_pip = _read_conda(conda)
        lines = _lines(folder / "requirements.txt")
        if lines is None:
            entries = [str(line) for line in python_env.get("dependencies") or []]
            lines = [line for line in entries if not line.startswith("-r ")] or conda_pip
        if not lines:
            raise EnvironmentUnbuildable(
                "The model says nothing about the packages that it needs: "
                "it has no requirements.txt.",
                "Log it with mlflow's log_model, which writes one, or with pip_requirements=[...].",
            )
        python = str(python_env.get("python") or python or _python_of_model(folder))
        if not _VERSION.fullmatch(python):
            raise EnvironmentUnbuildable(
                f"The model does not say which Python it needs (found {python!r}).",
                "Log it again with mlflow's log_model, which writes python_env.yaml.",
            )
        constraints: list[str] = []
        options: list[str] = []
        requirements: list[str] = []
        for line in lines:
            if line.startswith(("-c ", "--constraint ")):
                constraints += _constraints(folder, line.split(maxsplit=1)[1])
            elif line.startswith(_INDEX_OPTIONS):
                options.append(line)
            elif not line.startswith(_IGNORED_OPTIONS):
                requirements.append(_supported(line))
        return cls(python, _sorted(requirements), _sorted(constraints), tuple(options))


def _supported(line: str) -> str:
    hint = (
        "Publish it as a package to an index that this machine can reach and log the model with "
        "pip_requirements=[...], or bring the code along with code_paths=[...]."
    )
    if re.match(r"(-e|--editable)\b", line) or re.match(
        r"(\w[\w.-]*\s*(\[.*\])?\s*@\s*)?git\+", line
    ):
        raise UnsupportedDependencies(
            f"{line!r} names a repository or a working copy, which cannot be locked by hash.", hint
        )
    path_like = line.startswith((".", "/", "file:", "~")) or re.search(r"@\s*file:", line)
    if path_like or ("://" not in line and re.match(r"[^@;]*\.(whl|tar\.gz|zip)\b", line)):
        raise UnsupportedDependencies(f"{line!r} names a file, not a package of an index.", hint)
    if line.startswith("-"):
        raise UnsupportedDependencies(
            f"The requirements carry an option that is not supported: {line!r}.",
            "Log the model again without it.",
        )
    return line


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


def _lines(path: Path) -> list[str] | None:
    """The lines of a requirements file without comments, continued ones joined; None: no file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentUnbuildable(
            f"The model's {path.name} cannot be read: {error}.", "Log the model again."
        ) from error
    joined = re.sub(r"\\\r?\n", " ", text)
    bare = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
    # Hashes are found again when the lock is made.
    return [re.sub(r"\s+--hash[= ]\S+", "", line) for line in bare if line]


def _constraints(folder: Path, name: str) -> list[str]:
    path = folder / name.strip()
    if not path.resolve().is_relative_to(folder.resolve()) or (lines := _lines(path)) is None:
        raise UnsupportedDependencies(
            f"The requirements are bound by {name!r}, which is not among the model's files.",
            "Log the model again; mlflow copies a constraints file that it is given.",
        )
    return [line for line in lines if not line.startswith("-")]


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
