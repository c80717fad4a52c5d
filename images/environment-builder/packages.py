# ruff: noqa: INP001 - run by its path, in the environment builder's image
"""Lock a model's requirements with hashes, and build the Python environment of the lock.

uv does both: https://docs.astral.sh/uv/pip/. Indexes and their credentials are uv's own settings
(UV_DEFAULT_INDEX, UV_INDEX_*, SSL_CERT_FILE, ...), taken from the environment variables.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failures import Failed

from deployer.python_env import uv_output
from deployer.redact import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

# Checked by nobody at import, so that they stay valid when files get the layer's one time: and the
# same whenever they are compiled. With times in them, each start on a read-only root would compile
# everything anew.
BYTECODE = {"PYC_INVALIDATION_MODE": "UNCHECKED_HASH"}
QUIET = {"NO_COLOR": "1", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}


WHEELS = Path("/mnt/wheels")


class Packages:
    """What a model asks for, and the folder to install it in.

    Args:
        request: `python`, `requirements`, `constraints`, `options`, `wheels`, `wheels_only`.
        folder: the environment's place, which is also its place in the image.
        work: a folder for files of ours.
        wheels: the folder with the wheels that the model brings along.
    """

    def __init__(
        self, request: dict[str, Any], folder: Path, work: Path, wheels: Path = WHEELS
    ) -> None:
        self._folder, self._work = folder, work
        self._requirements: list[str] = request["requirements"]
        self._wheels_only = bool(request.get("wheels_only", True))
        self._sources = ["--no-build"] if self._wheels_only else []
        self.python = find_python(request["python"])
        self._options: list[str] = request.get("options") or []
        _write(work / "requirements.in", [*self._options, *self._requirements])
        _write(work / "constraints.in", request.get("constraints") or [])
        _write(work / "options.txt", self._options)
        for wheel in request.get("wheels") or []:
            _bring(wheel, wheels, work / "wheels")

    def lock(self) -> str:
        """Choose a version, with the hashes of its files, for all that is needed."""
        self._uv(
            *("pip", "compile", "requirements.in", "--constraints", "constraints.in"),
            *("--python", self.python, "--generate-hashes", "--no-header", "--no-annotate"),
            *("--no-emit-index-url", "--no-emit-find-links", *self._sources),
            *("--quiet", "--output-file", "lock.txt"),
        )
        return (self._work / "lock.txt").read_text(encoding="utf-8")

    def install(self, lock: str) -> None:
        """Install exactly what the lock names, with bytecode."""
        (self._work / "lock.txt").write_text(lock, encoding="utf-8")
        self._uv("venv", "--python", self.python, str(self._folder))
        self._uv(
            *("pip", "install", "--python", str(self._folder / "bin" / "python")),
            *("--no-deps", "--require-hashes", "--compile-bytecode", *self._sources),
            *(("--requirements", "options.txt") if self._options else ()),
            *("--requirements", "lock.txt"),
        )

    def version(self) -> str:
        """Return the whole version of the Python, such as "3.11.2"."""
        done = subprocess.run([self.python, "-V"], capture_output=True, text=True, check=True)
        return done.stdout.split()[1]

    def _uv(self, *arguments: str) -> None:
        """Run uv, and let its lines be seen as they come."""
        lines: list[str] = []
        with subprocess.Popen(
            ["uv", *arguments],
            cwd=self._work,
            env={**os.environ, **BYTECODE, **QUIET},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            for line in process.stdout or ():
                lines.append(redact(line))
                sys.stderr.write(f"    {lines[-1]}")
        if process.returncode:
            raise failure("".join(lines), self._requirements, wheels_only=self._wheels_only)


def failure(output: str, requirements: Sequence[str], *, wheels_only: bool) -> Failed:
    """Return why uv failed."""
    why = uv_output.explain(output, requirements)
    blamed = f" ({why.requirement})" if why.requirement else ""
    if wheels_only and re.search(r"ha(?:s|ve) no usable wheels", why.sentence):
        return Failed(
            "UnsupportedDependencies",
            f"The model's environment cannot be built{blamed}: wheels only are installed here, "
            f"and {why.sentence}.",
            "Log the model with a version that has a wheel for this Python, or publish one on your "
            "own index, or set build.wheels_only: false for the cluster in platform.yaml.",
            log=output,
        )
    return Failed(
        "EnvironmentUnbuildable",
        f"The model's environment cannot be built{blamed}: {why.sentence}.",
        why.next_step(
            trust="Name its authority's certificates in build.trust_bundle, in platform.yaml.",
            requirements="Log the model with requirements that can be installed in this image.",
        ),
        transient=why.transient,
        log=output,
    )


def find_python(version: str) -> str:
    """Return the image's interpreter of the minor of `version` ("3.11.7", "3.11")."""
    minor = ".".join(version.split(".")[:2])
    found = shutil.which(f"python{minor}", path="/usr/bin:/usr/local/bin")
    if found is None:
        raise absent(version)
    return found


def absent(version: str) -> Failed:
    """Return the error for a Python that the images do not have."""
    minor = ".".join(version.split(".")[:2])
    return Failed(
        "PythonUnavailable",
        f"The model was logged with Python {version}, and this cluster's images have no Python "
        f"{minor}.",
        f"Make images for it (make images PYTHON_MINOR={minor}) and name them for the cluster in "
        "platform.yaml, or log the model with a Python that is there.",
    )


def _bring(wheel: dict[str, str], wheels: Path, into: Path) -> None:
    """Put a wheel where the requirements name it, if it is the one that was asked for."""
    place = wheels / wheel["name"]
    with place.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != wheel["sha256"]:
        raise Failed(
            "ArtifactCorrupt",
            f"The wheel {wheel['name']} is not the one that was logged with the model.",
            "Log the model again, as a new version.",
        )
    into.mkdir(exist_ok=True)
    (into / wheel["name"]).symlink_to(place)


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
