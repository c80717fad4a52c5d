"""Lock a model's requirements and install them into a Python environment on disk.

All slow work on Python environments is here. A lock or a Python environment appears atomically,
complete; the next build of the same lock clears the leftovers of a crash.
"""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uv

from deployer.artifacts.requirements import EnvironmentRequest
from deployer.background import process
from deployer.background.filelock import file_lock
from deployer.errors import EnvironmentUnbuildable
from deployer.python_env import uv_output
from deployer.python_env.interpreters import find_python
from deployer.redact import redact

BUILD_SECONDS: Final = 3600
_HIDDEN: Final = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX", "UV_PROJECT")


@dataclass(frozen=True)
class Built:
    """A Python environment on disk, and the version of its Python."""

    folder: Path
    version: str

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"


class Builder:
    """A builder of Python environments.

    Args:
        cache: the cache folder, of which this class owns environments/, locks/ and uv/.
        stopping: True ends a build.
    """

    def __init__(self, cache: Path, stopping: Callable[[], bool]) -> None:
        self._environments = cache / "environments"
        self._locks = cache / "locks"
        self._stopping = stopping
        self._uv = uv.find_uv_bin()
        self._variables = {k: v for k, v in os.environ.items() if k not in _HIDDEN}
        self._variables.setdefault("UV_CACHE_DIR", str(cache / "uv"))
        self._variables |= {"NO_COLOR": "1", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}

    def find(self, request: EnvironmentRequest) -> Built | None:
        """Find the Python environment that an earlier build made, in whichever process."""
        with contextlib.suppress(FileNotFoundError):
            lock = (self._locks / f"{request.key}.txt").read_text(encoding="utf-8")
            folder = self._environments / _hash(request.python_minor, lock)
            if (folder / "bin" / "python").exists():
                return Built(folder, python_version(folder))
        return None

    def log(self, request: EnvironmentRequest) -> Path | None:
        """Return the log of the step that a build reached."""
        locking = self._locks / f"{request.key}.log"
        with contextlib.suppress(FileNotFoundError):
            lock = (self._locks / f"{request.key}.txt").read_text(encoding="utf-8")
            building = self._environments / f"{_hash(request.python_minor, lock)}.log"
            return building if building.exists() else locking
        return locking if locking.exists() else None

    def build(self, request: EnvironmentRequest, model: Path | None = None) -> Built:
        """Lock and install a request if needed, which takes seconds to many minutes.

        Args:
            request: the model's request.
            model: the model's files, for the wheels among them.

        Raises:
            PythonUnavailable: this machine has no interpreter of the requested minor.
            EnvironmentUnbuildable: the lock or the installation failed, maybe only for now.
            Stopped: the process ends.
        """
        try:
            for folder in (self._environments, self._locks):
                folder.mkdir(parents=True, exist_ok=True)
            if found := self.find(request):
                return found
            python = find_python(request.python, self._uv, self._variables, self._stopping)
            with file_lock(self._locks / f".{request.key}.lock", self._stopping) as held:
                lock = self._lock(request, model, python, held)
            folder = self._environments / _hash(
                request.python_minor, lock.read_text(encoding="utf-8")
            )
            with file_lock(self._environments / f".{folder.name}.lock", self._stopping) as held:
                if not (folder / "bin" / "python").exists():
                    self._install(request, model, lock, python, folder, held)
            return Built(folder, python_version(folder))
        except OSError as error:
            raise EnvironmentUnbuildable(
                f"The environment cannot be kept: {error}.",
                f"Make room, and make {self._environments.parent} writable.",
                transient=True,
            ) from error

    def _lock(
        self, request: EnvironmentRequest, model: Path | None, python: Path, held: int
    ) -> Path:
        """Choose versions for all requirements, once for all builds."""
        kept = self._locks / f"{request.key}.txt"
        if kept.exists():
            return kept
        with tempfile.TemporaryDirectory(prefix=f".{request.key}.", dir=self._locks) as name:
            work = Path(name)
            _link_wheels(request, model, work)
            _write(work / "requirements.in", [*request.options, *request.requirements])
            _write(work / "constraints.in", request.constraints)
            self._run(
                [
                    *("pip", "compile", "requirements.in", "--constraints", "constraints.in"),
                    *("--python", str(python), "--generate-hashes", "--no-header", "--no-annotate"),
                    *("--no-emit-index-url", "--no-emit-find-links", "--output-file", "lock.txt"),
                ],
                request,
                work,
                held,
                kept.with_suffix(".log"),
            )
            os.sync()
            (work / "lock.txt").rename(kept)
        return kept

    def _install(
        self,
        request: EnvironmentRequest,
        model: Path | None,
        lock: Path,
        python: Path,
        folder: Path,
        held: int,
    ) -> None:
        """Install exactly the locked packages into a new Python environment."""
        for leftover in [folder, *self._environments.glob(f".{folder.name}.*.part")]:
            shutil.rmtree(leftover, ignore_errors=True)
        work = Path(tempfile.mkdtemp(".part", f".{folder.name}.", self._environments))
        log = self._environments / f"{folder.name}.log"
        try:
            venv = work / "venv"
            self._run(
                ["venv", "--relocatable", "--python", str(python), str(venv)],
                *(request, work, held, log),
            )
            _link_wheels(request, model, work)
            _write(work / "options.txt", request.options)
            self._run(
                [
                    *("pip", "install", "--python", str(venv / "bin" / "python"), "--no-deps"),
                    *("--require-hashes", "--compile-bytecode"),
                    *("--requirements", "options.txt", "--requirements", str(lock)),
                ],
                *(request, work, held, log),
            )
            os.sync()  # else a power cut could leave a folder with empty files
            venv.rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _run(
        self,
        arguments: Sequence[str],
        request: EnvironmentRequest,
        work: Path,
        held: int,
        log: Path,
    ) -> None:
        # uv inherits the lock's descriptor: if this process is killed and uv goes on for a while,
        # no other process builds the same request meanwhile.
        ended = process.run(
            [self._uv, *arguments],
            self._variables,
            self._stopping,
            folder=work,
            keep=(held,),
            timeout=BUILD_SECONDS,
        )
        log.write_text(f"$ uv {' '.join(arguments)}\n{redact(ended.output)}")
        if ended.status == 0:
            return
        if ended.status is None:
            raise EnvironmentUnbuildable(
                f"The environment was not built within {BUILD_SECONDS // 60} minutes.",
                f"See {log}.",
                transient=True,
            )
        why = uv_output.explain(ended.output, request.requirements)
        blamed = f" ({why.requirement})" if why.requirement else ""
        step = why.next_step(
            trust="Name its authority's certificates in SSL_CERT_FILE where the Deployer runs.",
            requirements="Log the model with requirements that can be installed here.",
        )
        raise EnvironmentUnbuildable(
            f"The model's environment cannot be built{blamed}: {why.sentence}.",
            f"{step} See {log}.",
            transient=why.transient,
        )


def _link_wheels(request: EnvironmentRequest, model: Path | None, work: Path) -> None:
    """Link a model's wheels where its lock names them, after checking their digests."""
    for wheel in request.wheels:
        place = work / "wheels" / wheel.name
        place.parent.mkdir(exist_ok=True)
        try:
            with ((model or Path()) / wheel.path).open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == wheel.sha256
        except FileNotFoundError:
            same = False
        if model is None or not same:
            raise EnvironmentUnbuildable(
                f"The wheel {wheel.path} is not among the model's files as it was.",
                "Versions are not to be changed in place: register the files as a new version.",
            )
        place.symlink_to((model / wheel.path).absolute())


def _hash(minor: str, lock: str) -> str:
    return hashlib.sha256(f"{minor}\n{lock}".encode()).hexdigest()[:32]


def python_version(folder: Path) -> str:
    """Read the Python version that uv wrote into a Python environment's pyvenv.cfg."""
    match = re.search(
        r"^version(?:_info)? *= *(\S+)", (folder / "pyvenv.cfg").read_text(), re.MULTILINE
    )
    return match[1] if match else ""


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
