"""Cache the complete files of model versions, each fetched once.

CACHE/artifacts/<key>/model holds the files, CACHE/artifacts/<key>/digest their digest. The folder
appears atomically, once it is complete, and each process checks its digest at first use.
"""

import contextlib
import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import httpx

from deployer.artifacts.bucket import Bucket
from deployer.artifacts.client import Foreign
from deployer.artifacts.sources import (
    Listed,
    Local,
    Proxied,
    Source,
    Stopping,
    missing,
    unreachable,
)
from deployer.background.filelock import file_lock
from deployer.background.jobs import Job, Jobs, Stopped, each
from deployer.errors import ArtifactCorrupt, VersionFailure
from deployer.state.registry import VersionId

PARALLEL_FILES: Final = 6
SMALL_FILE: Final = 1024**2
"""The most bytes of a small file such as serving.yaml."""


@dataclass(frozen=True)
class ArtifactState:
    """The progress of a fetch; `path` and `digest` are set once it is ready.

    Attributes:
        phase: the phase of the fetch.
        since: seconds since the epoch.
        path: the folder with the MLmodel file.
        digest: SHA-256, in hex, over the sorted paths and contents of all files.
        error: why the fetch failed.
    """

    phase: Literal["fetching", "ready", "failed"]
    since: float
    path: Path | None = None
    digest: str = ""
    error: VersionFailure | None = None


class Artifacts:
    """The cache of model versions' files.

    Args:
        cache: the cache folder, of which this class owns artifacts/.
        tracking_url: MLflow's address.
        auth: user name and password for MLflow, or None.
        parallel: versions fetched at the same time.
    """

    def __init__(
        self,
        cache: Path,
        tracking_url: str,
        auth: tuple[str, str] | None = None,
        parallel: int = 2,
    ) -> None:
        self.folder = cache / "artifacts"
        self._url = tracking_url.rstrip("/")
        self._auth = auth
        timeout = httpx.Timeout(10, read=30)
        self._client = httpx.Client(base_url=self._url, auth=auth, timeout=timeout, trust_env=False)
        self._jobs: Jobs[tuple[Path, str]] = Jobs("artifacts", parallel, retry=None)

    def ensure(
        self, version: VersionId, source: str, expected_digest: str | None = None
    ) -> ArtifactState:
        """Start fetching a version's files if needed, and return the progress at once.

        Args:
            version: the version; one registered anew under the same number is another version.
            source: the artifact URI, as MLflow's get-download-uri gives it.
            expected_digest: the files' digest when they were first fetched, if that is known.
        """
        key = artifact_key(version, source)
        job = self._jobs.ensure(key, lambda: self._fetch(key, source, expected_digest))
        if job.result and not job.result[0].is_dir():
            self._jobs.forget(key)  # the cache was emptied
            job = self._jobs.ensure(key, lambda: self._fetch(key, source, expected_digest))
        if job.result and expected_digest and job.result[1] != expected_digest:
            error = ArtifactCorrupt(
                f"The model's files at {source} are not those that were served before: "
                f"their digest was {expected_digest[:12]}, and is {job.result[1][:12]}.",
                "Versions are not to be changed in place: register the files as a new version.",
            )
            return ArtifactState("failed", job.since, error=error)
        return _state(job)

    def forget(self, version: VersionId, source: str) -> None:
        """Allow another attempt of a failed fetch, or another check of a finished fetch."""
        self._jobs.forget(artifact_key(version, source))

    def read_file(
        self, source: str, name: str, stopping: Stopping | None = None, limit: int = SMALL_FILE
    ) -> bytes | None:
        """Read a small file of an artifact, such as serving.yaml; None if it does not exist.

        Blocks until the store answers, so that only background jobs call this.

        Args:
            source: the artifact URI.
            name: the file's path within.
            stopping: asked between chunks; True ends the read.
            limit: the most bytes of the file.

        Raises:
            ArtifactUnreachable: the store does not answer.
            ArtifactCorrupt: the file has more bytes than `limit`.
            Stopped: `stopping` returned True.
        """
        with tempfile.TemporaryDirectory(prefix="schnitzel-") as folder:
            place = Path(folder, "file")
            found = self._source(source, Path(folder, "all"), stopping).copy(name, place, limit)
            return place.read_bytes() if found else None

    def file_digest(self, source: str, name: str, stopping: Stopping | None = None) -> str:
        """Compute a file's SHA-256 in hex; "" if it does not exist.

        The file may be large: blocks until it is downloaded. Raises as `read_file` does.
        """
        with tempfile.TemporaryDirectory(prefix="schnitzel-") as folder:
            place = Path(folder, "file")
            if not self._source(source, Path(folder, "all"), stopping).copy(name, place):
                return ""
            with place.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

    def close(self) -> None:
        """Stop the running fetches within two seconds; the next `ensure` starts them anew."""
        self._jobs.close()
        self._client.close()

    def _fetch(self, key: str, source: str, expected: str | None) -> tuple[Path, str]:
        place = self.folder / key
        stopping = self._jobs.stopping.is_set
        self.folder.mkdir(parents=True, exist_ok=True)
        with file_lock(self.folder / f".{key}.lock", stopping):
            digest = _kept_digest(place, stopping)
            if digest and (not expected or digest == expected):
                return place / "model", digest
            for leftover in [place, *self.folder.glob(f".{key}.*.part")]:
                shutil.rmtree(leftover, ignore_errors=True)
            part = Path(tempfile.mkdtemp(prefix=f".{key}.", suffix=".part", dir=self.folder))
            try:
                self._download(self._source(source, part / "foreign"), source, part / "model")
                shutil.rmtree(part / "foreign", ignore_errors=True)
                digest = digest_of(part / "model", stopping)
                (part / "digest").write_text(digest)
                part.chmod(0o755)
                part.rename(place)
            except OSError as error:
                raise unreachable(source, f"cannot keep them in {self.folder}: {error}") from error
            finally:
                shutil.rmtree(part, ignore_errors=True)
        return place / "model", digest

    def _download(self, source: Source, uri: str, into: Path) -> None:
        files = source.files()
        if not any(file.path == "MLmodel" for file in files):
            raise missing(uri)
        for folder in {(into / file.path).parent for file in files}:
            folder.mkdir(parents=True, exist_ok=True)

        def copy(file: Listed) -> None:
            place = into / file.path
            if not source.copy(file.path, place):
                raise ArtifactCorrupt(
                    f"{file.path} is listed at {uri}, but is not there.", "Log the model again."
                )
            size = place.stat().st_size
            if file.size is not None and size != file.size:
                raise ArtifactCorrupt(
                    f"{file.path} at {uri} has {size} bytes, and should have {file.size}.",
                    "It is fetched again on retry. If that does not help, log the model again.",
                    transient=True,
                )

        each(copy, files, PARALLEL_FILES, "artifact-files")

    def _source(self, uri: str, folder: Path, stopping: Stopping | None = None) -> Source:
        stopping = stopping or self._jobs.stopping.is_set
        parts = urlsplit(uri)
        if parts.scheme == "mlflow-artifacts" and not parts.netloc:
            return Proxied(self._client, uri, stopping)
        if parts.scheme == "file" or (not parts.scheme and uri.startswith("/")):
            return Local(uri, stopping)
        if parts.scheme == "s3" and parts.netloc:
            return Bucket(uri, stopping)
        variables = {"MLFLOW_TRACKING_URI": self._url}
        if self._auth:
            names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
            variables |= dict(zip(names, self._auth, strict=True))
        folder.mkdir(parents=True)
        return Foreign(uri, variables, folder, stopping)


def artifact_key(version: VersionId, source: str) -> str:
    """Compute the cache key of a version's files: 32 hex digits, safe as a file name."""
    text = f"{version.model}\0{version.key}\0{source}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def digest_of(folder: Path, stopping: Stopping = lambda: False) -> str:
    """Compute the SHA-256, in hex, over a folder's sorted relative paths and file contents.

    Raises:
        Stopped: the process ends.
    """
    total = hashlib.sha256()
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    for name in sorted(paths):
        if not paths[name].is_file():
            continue
        if stopping():
            raise Stopped
        with paths[name].open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{name}\0{content}\n".encode("utf-8", "surrogatepass"))
    return total.hexdigest()


def _kept_digest(place: Path, stopping: Stopping) -> str:
    """Return the digest of a cached artifact, or "" if a file is missing or changed."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        digest = (place / "digest").read_text()
        if digest_of(place / "model", stopping) == digest:
            return digest
    return ""


def _state(job: Job[tuple[Path, str]]) -> ArtifactState:
    if job.result:
        return ArtifactState("ready", job.since, job.result[0], job.result[1])
    if job.error:
        return ArtifactState("failed", job.since, error=job.error)
    return ArtifactState("fetching", job.since)
