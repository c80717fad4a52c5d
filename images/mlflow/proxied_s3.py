# ruff: noqa: INP001 - a package of the MLflow image's own
"""Give MLflow's server alone a way to an s3:// URI.

A server with S3 behind it makes clients fetch from there by presigned URLs (MLflow 3.17,
`/server-info`), and has no switch for that. Clients of ours cannot reach S3, and shall not have to.
"""

from __future__ import annotations

from typing import Any

from mlflow.store.artifact.artifact_repo import ArtifactRepository  # noqa: TID253 - its plugin
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository  # noqa: TID253


class ProxiedS3(ArtifactRepository):
    """S3 without what lets a client pass the server by; see ArtifactRepository for the rest."""

    def __init__(self, artifact_uri: str, *arguments: Any, **options: Any) -> None:
        super().__init__(artifact_uri, *arguments, **options)
        self._s3 = S3ArtifactRepository(artifact_uri, *arguments, **options)

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """See the base class."""
        self._s3.log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """See the base class."""
        self._s3.log_artifacts(local_dir, artifact_path)

    def list_artifacts(self, path: str | None = None) -> Any:
        """See the base class."""
        return self._s3.list_artifacts(path)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """See the base class."""
        self._s3.delete_artifacts(artifact_path)

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self._s3._download_file(remote_file_path, local_path)
