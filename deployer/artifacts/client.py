"""Fetch artifacts of a store such as S3 with MLflow's own client.

The client runs in a process of its own: importing MLflow takes seconds, and the client may hang or
leak.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deployer.artifacts.sources import Listed, Local, Stopping, unreachable
from deployer.background import process

SMALL_SECONDS: Final = 120.0
"""Time for one small file, most of which is the start of the client."""


class Foreign:
    """Artifacts in a store that only MLflow's own client knows (Azure, GCS, HDFS, ...).

    Args:
        uri: the artifact URI.
        environment: the client's environment variables: the tracking server and its credentials.
        folder: a new folder of ours, into which the first listing downloads all files.
        stopping: checked while the client works.
    """

    _SCRIPT: Final = (
        "import sys\n"
        "from mlflow.store.artifact import artifact_repository_registry as registry\n"
        "repository = registry.get_artifact_repository(sys.argv[1])\n"
        "wanted = sys.argv[3]\n"
        "folder = wanted.rpartition('/')[0] or None\n"
        "found = [entry.path for entry in repository.list_artifacts(folder)]\n"
        "if wanted in found or (found and not wanted):\n"
        "    repository.download_artifacts(wanted, sys.argv[2])\n"
    )

    def __init__(
        self, uri: str, environment: Mapping[str, str], folder: Path, stopping: Stopping
    ) -> None:
        self._uri = uri
        self._environment = environment
        self._folder = folder
        self._stopping = stopping

    def files(self) -> list[Listed]:
        """Download all files, and list them."""
        self._download("")
        return Local(str(self._folder), self._stopping).files()

    def copy(self, path: str, to: Path, limit: int | None = None) -> bool:
        """Copy one file, after downloading it if it is not downloaded yet."""
        if not (self._folder / path).exists():
            self._download(path, 3600.0 if limit is None else SMALL_SECONDS)
        return Local(str(self._folder), self._stopping).copy(path, to, limit)

    def _download(self, path: str, seconds: float = 3600.0) -> None:
        command = [sys.executable, "-c", self._SCRIPT, self._uri, str(self._folder), path]
        environment = {**os.environ, **self._environment}
        ended = process.run(command, environment, self._stopping, timeout=seconds)
        if ended.status is None:
            raise unreachable(self._uri, f"MLflow's client took longer than {seconds:g} s")
        if ended.status != 0:
            lines = ended.output.strip().splitlines() or ["no message"]
            raise unreachable(self._uri, lines[-1][:300])
