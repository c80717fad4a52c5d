"""Fetch the artifact and build the Python environment of a predictor, in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from deployer.artifacts.cache import Artifacts, ArtifactState
from deployer.artifacts.metadata import SmallFiles
from deployer.errors import RuntimeUnavailable, VersionFailure
from deployer.python_env.cache import EnvironmentRequest, Environments
from deployer.state.predictor import Phase, Predictor
from deployer.targets.preparation import Preparing, Progress


@dataclass(frozen=True, slots=True)
class LocalPrepared(Progress):
    """The progress of a predictor before its server can start. READY: nothing is missing."""

    artifact: Path | None = None
    artifact_digest: str = ""
    python: Path | None = None
    python_note: str = ""


class LocalPreparation(Preparing[LocalPrepared]):
    """Artifacts and Python environments for predictors, each made once, in the background.

    Args:
        artifacts: The cache of artifacts.
        environments: The cache of Python environments.
        clock: Seconds since the epoch.
        indexes: Package indexes that models' requirements may name.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        environments: Environments,
        clock: Callable[[], float],
        indexes: Collection[str] = (),
    ) -> None:
        super().__init__(clock, indexes)
        self._artifacts = artifacts
        self.environments = environments
        self.small_files = SmallFiles(artifacts, environments.cache / "small-files", indexes)

    def _retry(self, predictor: Predictor, request: EnvironmentRequest | None) -> None:
        self._artifacts.forget(predictor.version, predictor.source)
        if request:
            self.environments.forget(request)

    def holds(self, artifact: Path) -> bool:
        """Decide whether a folder, with no link in its path, is in the cache of artifacts."""
        return artifact.is_relative_to(self._artifacts.folder.resolve())

    def close(self) -> None:
        """End fetches and builds, at the same time; they begin anew after a restart."""
        fetching = threading.Thread(target=self._artifacts.close, name="close", daemon=True)
        fetching.start()
        self.environments.close()
        self.small_files.close()
        fetching.join()

    def _advance(self, predictor: Predictor) -> LocalPrepared:
        now = self._clock()
        runtime = predictor.spec.runtime
        if runtime not in ("mlflow", "queue"):
            error = RuntimeUnavailable(
                f"The runtime {runtime} serves on a cluster, and not on this machine.",
                "Promote it to an environment on a cluster; or leave out runtime here, by the "
                "overlay of this environment in platform.yaml.",
            )
            return LocalPrepared(Phase.FAILED, now, error=error)
        artifact: ArtifactState = self._artifacts.ensure(
            predictor.version, predictor.source, predictor.artifact or None
        )
        if artifact.error:
            return LocalPrepared(Phase.FAILED, now, error=artifact.error)
        if artifact.path is None:
            return LocalPrepared(Phase.FETCHING, now)
        try:
            request = self._request(predictor, artifact.path)
            environment = self.environments.ensure(request, artifact.path)
        except VersionFailure as error:
            return LocalPrepared(Phase.FAILED, now, artifact.path, artifact.digest, error=error)
        if environment.error:
            failed = self._blamed(environment.error, request)
            return LocalPrepared(Phase.FAILED, now, artifact.path, artifact.digest, error=failed)
        if environment.python is None:
            return LocalPrepared(Phase.BUILDING, now, artifact.path, artifact.digest)
        note = self._note(request, environment.version)
        return LocalPrepared(
            Phase.READY, now, artifact.path, artifact.digest, environment.python, note
        )
