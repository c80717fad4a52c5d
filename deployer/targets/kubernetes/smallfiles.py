"""In: a model version. Out: a folder with the few of its files that the Deployer itself reads.

They say which packages the model needs, what it answers, and hold its own example. The model's
weights are fetched by its pods alone.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

import yaml

from deployer.artifacts import Artifacts, artifact_key
from deployer.background import Job, Jobs
from deployer.errors import ArtifactMissing
from deployer.state import Predictor

NAMES: Final = ("requirements.txt", "python_env.yaml", "conda.yaml", "constraints.txt")
MOST_EXAMPLE: Final = 16 * 1024**2
"""Bytes of an example; a larger one is no example that anybody reads."""


class SmallFiles:
    """Folders of small files, one for each version, fetched in the background.

    Args:
        artifacts: reads single files of artifacts.
        folder: where to keep them; ours alone.
    """

    def __init__(self, artifacts: Artifacts, folder: Path) -> None:
        self._artifacts = artifacts
        self._folder = folder
        self._jobs: Jobs[Path] = Jobs("small-files", 2)

    def ensure(self, predictor: Predictor) -> Job[Path]:
        """Begin to fetch what is not there yet, and say how far it is; returns at once."""
        key = self._key(predictor)
        place = self._folder / key

        def there() -> Path | None:
            return place if place.is_dir() else None

        return self._jobs.ensure(key, lambda: self._fetch(predictor, place), there)

    def folder(self, predictor: Predictor) -> Path | None:
        """The folder, if it is there."""
        place = self._folder / self._key(predictor)
        return place if place.is_dir() else None

    def forget(self, predictor: Predictor) -> None:
        """Let what failed be tried again."""
        self._jobs.forget(self._key(predictor))

    def close(self) -> None:
        """End what is under way."""
        self._jobs.close()

    @staticmethod
    def _key(predictor: Predictor) -> str:
        return artifact_key(predictor.version, predictor.source)

    def _fetch(self, predictor: Predictor, place: Path) -> Path:
        read = self._artifacts.read_file
        model = read(predictor.source, "MLmodel")
        if model is None:
            raise ArtifactMissing(
                f"There is no MLmodel file at {predictor.source}.",
                "Log the model with mlflow's log_model and register that.",
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=self._folder))
        try:
            (part / "MLmodel").write_bytes(model)
            wanted = dict.fromkeys(NAMES, 1024**2) | dict.fromkeys(_examples(model), MOST_EXAMPLE)
            for name, limit in wanted.items():
                content = read(predictor.source, name, limit)
                if content is not None:
                    (part / name).parent.mkdir(parents=True, exist_ok=True)
                    (part / name).write_bytes(content)
            if not place.exists():
                part.rename(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return place


def _examples(model: bytes) -> list[str]:
    """The names of the files that may hold the example, as MLmodel tells them; never above it."""
    try:
        content = yaml.safe_load(model)
    except yaml.YAMLError:
        return []
    info = (content.get("saved_input_example_info") if isinstance(content, dict) else None) or {}
    told = (info.get("serving_input_path"), info.get("artifact_path"))
    names = [str(name) for name in told if name]
    if info and not info.get("serving_input_path"):
        names.append("serving_input_example.json")
    return [name for name in names if ".." not in Path(name).parts and not name.startswith("/")]
