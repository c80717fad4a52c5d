"""Fetch the few small files of a model version that the Deployer itself reads.

They name the packages that the model needs, declare its outputs, and hold its own example. Only the
model's pods fetch its weights.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Final

import yaml

from deployer.artifacts.cache import Artifacts, artifact_key
from deployer.artifacts.requirements import EnvironmentRequest, missing_packages
from deployer.background.jobs import Job, Jobs
from deployer.errors import ArtifactMissing
from deployer.state.registry import VersionId

MOST_TEXT: Final = 1024**2
"""The most bytes of a requirements file."""

NAMES: Final = ("requirements.txt", "python_env.yaml", "conda.yaml", "constraints.txt")
MOST_EXAMPLE: Final = 16 * 1024**2
"""The most bytes of an example; a larger file is no usable example."""


class SmallFiles:
    """The folders of small files, one for each version, fetched in the background.

    Args:
        artifacts: reads single files of artifacts.
        folder: the folder for them, which no other program uses.
        indexes: package indexes that models' requirements may name.
    """

    def __init__(self, artifacts: Artifacts, folder: Path, indexes: Collection[str] = ()) -> None:
        self._artifacts = artifacts
        self._folder = folder
        self._indexes = indexes
        self._jobs: Jobs[Path] = Jobs("small-files", 2)
        self._requests: Jobs[EnvironmentRequest] = Jobs("requirements", 2)

    def ensure(self, version: VersionId, source: str) -> Job[Path]:
        """Start fetching a version's small files if needed, and return the job at once."""
        place = self._place(version, source)

        def there() -> Path | None:
            return place if place.is_dir() else None

        return self._jobs.ensure(place.name, lambda: self._fetch(source, place), there)

    def request(self, version: VersionId, source: str) -> Job[EnvironmentRequest]:
        """Start reading a version's Python environment request, and return the job at once."""
        place = self._place(version, source)

        def read() -> EnvironmentRequest:
            return EnvironmentRequest.read(self._fetch(source, place), self._indexes)

        return self._requests.ensure(place.name, read)

    def forget(self, version: VersionId, source: str) -> None:
        """Allow another attempt after a failure."""
        key = self._place(version, source).name
        self._jobs.forget(key)
        self._requests.forget(key)

    def close(self) -> None:
        """Stop the running jobs."""
        self._requests.stopping.set()
        self._jobs.close()
        self._requests.close(0.0)

    def _place(self, version: VersionId, source: str) -> Path:
        return self._folder / artifact_key(version, source)

    def _fetch(self, source: str, place: Path) -> Path:
        if place.is_dir():
            return place
        stopping = self._jobs.stopping.is_set
        model = self._artifacts.read_file(source, "MLmodel", stopping)
        if model is None:
            raise ArtifactMissing(
                f"There is no MLmodel file at {source}.",
                "Log the model with mlflow's log_model and register that.",
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=self._folder))
        try:
            (part / "MLmodel").write_bytes(model)
            wanted = dict.fromkeys(NAMES, MOST_TEXT) | dict.fromkeys(_examples(model), MOST_EXAMPLE)
            for name, limit in wanted.items():
                _write(part / name, self._artifacts.read_file(source, name, stopping, limit))
            self._fetch_included(source, part)
            try:
                part.rename(place)
            except OSError:
                if not place.is_dir():  # else another process was faster
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return place

    def _fetch_included(self, source: str, part: Path) -> None:
        """Fetch included requirements files and the digests of wheels, until none is missing."""
        read, digest = self._artifacts.read_file, self._artifacts.file_digest
        stopping = self._jobs.stopping.is_set
        tried: set[str] = set()
        while names := missing_packages(part) - tried:
            tried |= names
            for name in sorted(names):
                if name.endswith(".whl"):
                    found = digest(source, name, stopping)
                    _write(part / f"{name}.sha256", found.encode() if found else None)
                else:
                    _write(part / name, read(source, name, stopping, MOST_TEXT))


def _write(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _examples(model: bytes) -> list[str]:
    """List the files that may hold the example, as named in MLmodel; never outside its folder."""
    try:
        content = yaml.safe_load(model)
    except yaml.YAMLError:
        return []
    info = (content.get("saved_input_example_info") if isinstance(content, dict) else None) or {}
    paths = (info.get("serving_input_path"), info.get("artifact_path"))
    names = [str(name) for name in paths if name]
    if info and not info.get("serving_input_path"):
        names.append("serving_input_example.json")
    return [name for name in names if ".." not in Path(name).parts and not name.startswith("/")]
