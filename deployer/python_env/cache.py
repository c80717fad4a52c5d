"""Cache Python environments, each built once for all models with the same lock.

The first build locks the requirements, with hashes, and keeps the lock: the same requirements
always get the same packages. There is one Python environment per lock, in
CACHE/environments/<lock hash>; the folder appears atomically, once all packages are installed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deployer.artifacts.requirements import EnvironmentRequest
from deployer.background.jobs import Jobs
from deployer.errors import VersionFailure
from deployer.python_env.build import Builder, Built
from deployer.python_env.folders import Folders

__all__ = ["EnvironmentRequest", "EnvironmentState", "Environments"]


@dataclass(frozen=True)
class EnvironmentState:
    """The progress of a build; `python`, `version` and `lock` are set once it is ready.

    Attributes:
        phase: the phase of the build.
        since: seconds since the epoch.
        python: the interpreter to start the model with.
        version: its version, such as "3.11.9".
        lock: the hash of the lock, which names the Python environment.
        log: the output of the build.
        error: why the build failed.
    """

    phase: Literal["building", "ready", "failed"]
    since: float
    python: Path | None = None
    version: str = ""
    lock: str = ""
    log: Path | None = None
    error: VersionFailure | None = None


class Environments:
    """The cache of Python environments.

    Args:
        cache: the cache folder, of which this class owns environments/, locks/ and uv/.
        parallel: Python environments built at the same time.
    """

    def __init__(self, cache: Path, parallel: int = 1) -> None:
        self.cache = cache
        self.folders = Folders(cache / "environments")
        self._jobs: Jobs[Built] = Jobs("environments", parallel, retry=None)
        self._builder = Builder(cache, self._jobs.stopping.is_set)

    def ensure(self, request: EnvironmentRequest, model: Path | None = None) -> EnvironmentState:
        """Start building a request if needed, and return the progress at once.

        Args:
            request: the model's request.
            model: the model's files, for the wheels among them.
        """

        def build() -> Built:
            return self._builder.build(request, model)

        def find() -> Built | None:
            return self._builder.find(request)

        job = self._jobs.ensure(request.key, build, find)
        if job.result and not job.result.python.exists():
            self._jobs.forget(request.key)  # the cache was emptied, or the Python removed
            job = self._jobs.ensure(request.key, build)
        if job.error:
            log = self._builder.log(request)
            return EnvironmentState("failed", job.since, log=log, error=job.error)
        if job.result is None:
            return EnvironmentState("building", job.since, log=self._builder.log(request))
        built = job.result
        self.folders.use(built.folder.name)
        return EnvironmentState(
            "ready",
            job.since,
            built.python,
            built.version,
            built.folder.name,
            built.folder.with_suffix(".log"),
        )

    def find(self, request: EnvironmentRequest) -> str:
        """Return the name of the Python environment built for a request; "" if there is none."""
        found = self._builder.find(request)
        return found.folder.name if found else ""

    def forget(self, request: EnvironmentRequest) -> None:
        """Allow another attempt of a failed build."""
        self._jobs.forget(request.key)

    def close(self) -> None:
        """Stop the running builds within two seconds; the next `ensure` starts them anew."""
        self._jobs.close()
