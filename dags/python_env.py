"""Build the Python environment of a project's own dependencies, once per set of pins."""

import fcntl
import hashlib
import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dags import places
from dags.errors import ProjectEnvironmentFailed
from dags.process import run
from dags.project.variables import base_environment

REQUIREMENTS = "requirements.txt"
"""The file of a project's pins with hashes, compiled from its pyproject.toml without indexes."""

_COMPILE = ("pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate")


def uv() -> str:
    """Return the path of the uv that the platform was installed with."""
    from uv import find_uv_bin

    return str(find_uv_bin())


def ensure(folder: Path, log: Callable[[str], None]) -> Path:
    """Return the Python environment of the project in `folder`, building it if it is missing.

    The Python environment is kept under SCHNITZEL_CACHE by the hash of its pins and Python version,
    shared by the projects with the same pins, and holds nothing of the project's own source. The
    pins of a project without requirements.txt are resolved once, and kept under the cache.

    Raises:
        ProjectEnvironmentFailed: there is no pyproject.toml, or uv failed; with uv's last lines.
    """
    root = places.cache() / "project-environments"
    root.mkdir(parents=True, exist_ok=True)
    pyproject = folder / "pyproject.toml"
    try:
        definition = pyproject.read_bytes()
        python = tomllib.loads(definition.decode()).get("project", {}).get("requires-python")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        hint = "a project names its own dependencies in a pyproject.toml beside project.yaml"
        raise ProjectEnvironmentFailed(f"{pyproject}: {error}", hint) from error
    python = python or f"{sys.version_info.major}.{sys.version_info.minor}"
    pins = folder / REQUIREMENTS
    if not pins.exists():
        pins = root / f"{_digest(definition)}.txt"
        with _locked(pins):
            if not pins.exists():
                log(f"{folder.name} has no {REQUIREMENTS}: resolving its dependencies")
                made = pins.with_suffix(".new")
                _uv([*_COMPILE, "--python-version", _minor(), str(pyproject), "-o", str(made)], log)
                made.replace(pins)
    environment = root / _digest(pins.read_bytes() + python.encode())
    with _locked(environment):
        if not (environment / ".complete").exists():
            log(f"building the environment of {folder.name} in {environment}")
            shutil.rmtree(environment, ignore_errors=True)
            _uv(["venv", "--quiet", "--no-project", "--python", python, str(environment)], log)
            interpreter = environment / "bin" / "python"
            _uv(["pip", "sync", "--require-hashes", "--python", str(interpreter), str(pins)], log)
            (environment / ".complete").touch()
    return environment


def _minor() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _uv(arguments: list[str], log: Callable[[str], None]) -> None:
    """Run uv with its own settings (UV_*) and a step's variables, and log its lines."""
    worker = dict(os.environ)
    environment = base_environment(worker) | {
        k: v for k, v in worker.items() if k.startswith("UV_")
    }
    environment.setdefault("UV_CACHE_DIR", str(places.cache() / "uv"))
    environment["UV_NO_PROGRESS"] = "1"
    ended = run([uv(), *arguments], environment=environment, directory=places.cache(), log=log)
    if ended.exit_code:
        hint = "correct pyproject.toml, compile requirements.txt again, and start a new run"
        raise ProjectEnvironmentFailed(
            f"uv {arguments[0]} {arguments[1]} failed:\n{ended.last_lines}", hint
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock for `path`, which ends with its process."""
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
