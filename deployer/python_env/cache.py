"""In: what a model asks of its environment; out: a Python that has exactly that, built once.

The requirements are locked when first built, with hashes, and the lock is kept: the same
requirements get the same packages ever after. One environment per lock, shared by all models, in
CACHE/environments/<lock hash>; the folder appears at once, when all is installed.
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
    """How far an environment is. `python`, `version` and `lock` are there once it is ready.

    Attributes:
        phase: where it is.
        since: seconds since the epoch.
        python: the interpreter to start the model with.
        version: its version, such as "3.11.9".
        lock: the hash of the lock, which names the environment.
        log: the output of the build.
        error: why it failed.
    """

    phase: Literal["building", "ready", "failed"]
    since: float
    python: Path | None = None
    version: str = ""
    lock: str = ""
    log: Path | None = None
    error: VersionFailure | None = None


class Environments:
    """The cache of environments.

    Args:
        cache: the cache folder; environments/, locks/ and uv/ in it are ours.
        parallel: environments built at the same time.
    """

    def __init__(self, cache: Path, parallel: int = 1) -> None:
        self.cache = cache
        self.folders = Folders(cache / "environments")
        self._jobs: Jobs[Built] = Jobs("environments", parallel)
        self._builder = Builder(cache, self._jobs.stopping.is_set)

    def ensure(self, request: EnvironmentRequest, model: Path | None = None) -> EnvironmentState:
        """Start building what is not there yet, and say how far it is; returns at once.

        Args:
            request: what is asked for.
            model: the model's files, for the wheels among them.
        """

        def build() -> Built:
            return self._builder.build(request, model)

        def find() -> Built | None:
            return self._builder.find(request)

        job = self._jobs.ensure(request.key, build, find)
        if job.result and not job.result.python.exists():
            self._jobs.forget(request.key)  # somebody emptied the cache, or removed the Python
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
        """The name of what was built for a request; "" if it was not."""
        found = self._builder.find(request)
        return found.folder.name if found else ""

    def forget(self, request: EnvironmentRequest) -> None:
        """Let a failed build be tried again."""
        self._jobs.forget(request.key)

    def close(self) -> None:
        """End what is under way, within 5 seconds; it begins anew when next asked for."""
        self._jobs.close()
