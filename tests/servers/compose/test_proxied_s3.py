"""What the MLflow image adds to MLflow: S3 that clients are never sent to."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PLUGIN = ROOT / "images/mlflow"
ASK = """
import json
from mlflow.store.artifact.artifact_repo import MultipartDownloadMixin, MultipartUploadMixin
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

found = get_artifact_repository("s3://bucket/artifacts")
mixins = (MultipartDownloadMixin, MultipartUploadMixin)
print(json.dumps([type(found).__name__, isinstance(found, mixins)]))
"""


def test_mlflow_takes_it_for_s3_and_offers_no_way_past_the_server(tmp_path: Path) -> None:
    dockerfile = (PLUGIN / "Dockerfile").read_text()
    for source, target in re.findall(
        r"^COPY images/mlflow/(\S+) \S+/([^/\s]+)$", dockerfile, re.MULTILINE
    ):
        copy = shutil.copytree if (PLUGIN / source).is_dir() else shutil.copy
        copy(PLUGIN / source, tmp_path / target)

    def ask(path: str) -> list[object]:
        done = subprocess.run(
            [sys.executable, "-c", ASK],
            env=os.environ | {"PYTHONPATH": path, "AWS_DEFAULT_REGION": "us-east-1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer: list[object] = json.loads(done.stdout.splitlines()[-1])
        return answer

    assert ask(str(tmp_path)) == ["ProxiedS3", False]
    assert ask("") == ["S3ArtifactRepository", True], "MLflow has a switch now, or does it no more"
