"""List and copy the files of an artifact by its URI.

Proxied artifacts come over MLflow's REST API, without a process to start; files of this machine are
copied. `deployer.artifacts.client` serves any other store.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol
from urllib.parse import quote, unquote, urlsplit

import httpx

from deployer.background.jobs import Stopped
from deployer.errors import ArtifactCorrupt, ArtifactMissing, ArtifactUnreachable

PROXY: Final = "/api/2.0/mlflow-artifacts/artifacts"
MOST_FILES: Final = 100_000
MOST_DEPTH: Final = 32
CHUNK: Final = 1024**2

Stopping = Callable[[], bool]


@dataclass(frozen=True)
class Listed:
    """A file of an artifact: its path within, with "/", and its size in bytes where listed."""

    path: str
    size: int | None


class Source(Protocol):
    """A store that holds the files of one artifact."""

    def files(self) -> list[Listed]:
        """List all files; empty if there are none.

        Raises:
            ArtifactUnreachable: the store does not answer.
            ArtifactCorrupt: the store lists impossible paths.
        """

    def copy(self, path: str, to: Path, limit: int | None = None) -> bool:
        """Copy one file; False if it does not exist.

        Raises:
            ArtifactUnreachable: the store does not answer.
            ArtifactCorrupt: the file has more than `limit` bytes.
            Stopped: the process ends.
        """


class Proxied:
    """Artifacts that an MLflow server proxies: "mlflow-artifacts:/0/models/m-1/artifacts".

    Args:
        client: an HTTP client, with credentials, for the tracking server's address.
        uri: the artifact URI.
        stopping: checked between chunks.
    """

    def __init__(self, client: httpx.Client, uri: str, stopping: Stopping) -> None:
        self._client = client
        self._uri = uri
        self._stopping = stopping
        self._root = unquote(urlsplit(uri).path).strip("/")

    def files(self) -> list[Listed]:
        """List all files, folder by folder."""
        found: list[Listed] = []
        folders = [""]
        while folders:
            folder = folders.pop()
            for entry in self._list(folder):
                path = f"{folder}/{safe_name(entry.get('path'), self._uri)}".lstrip("/")
                if entry.get("is_dir"):
                    folders.append(path)
                else:
                    size = entry.get("file_size")
                    found.append(Listed(path, int(size) if size is not None else None))
                if len(found) > MOST_FILES or path.count("/") > MOST_DEPTH:
                    raise ArtifactCorrupt(f"There are too many files or folders at {self._uri}.")
            if self._stopping():
                raise Stopped
        return found

    def copy(self, path: str, to: Path, limit: int | None = None) -> bool:
        """Download one file."""
        url = f"{PROXY}/{quote(f'{self._root}/{path}')}"
        try:
            with self._client.stream("GET", url) as response:
                if response.status_code == 404 or self._is_missing(response, path):
                    return False
                _check(response, self._uri)
                with to.open("wb") as file:
                    for chunk in response.iter_bytes(CHUNK):
                        if self._stopping():
                            raise Stopped
                        file.write(chunk)
                        if limit is not None and file.tell() > limit:
                            raise too_large(path, limit)
        except httpx.HTTPError as error:
            raise unreachable(self._uri, type(error).__name__) from error
        return True

    def _is_missing(self, response: httpx.Response, path: str) -> bool:
        """Check whether a download failed because the file does not exist.

        In front of S3, MLflow answers 500 for such a file (seen with 3.17); its listing decides.
        """
        if response.status_code != httpx.codes.INTERNAL_SERVER_ERROR:
            return False
        folder, _, name = path.rpartition("/")
        return all(
            PurePosixPath(str(entry.get("path"))).name != name for entry in self._list(folder)
        )

    def _list(self, folder: str) -> list[Mapping[str, Any]]:
        params = {"path": f"{self._root}/{folder}".rstrip("/")}
        try:
            response = self._client.get(PROXY, params=params)
            if response.status_code == 404:
                return []
            _check(response, self._uri)
            entries = response.json().get("files", [])
        except httpx.HTTPError as error:
            raise unreachable(self._uri, type(error).__name__) from error
        except (ValueError, AttributeError) as error:
            raise unreachable(self._uri, "the answer is not MLflow's") from error
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise unreachable(self._uri, "the answer is not MLflow's")
        return entries


class Local:
    """Artifacts in a folder of this machine: "file:/srv/models/m-1" or a plain path."""

    def __init__(self, uri: str, stopping: Stopping) -> None:
        self._folder = Path(unquote(urlsplit(uri).path) if uri.startswith("file:") else uri)
        self._stopping = stopping

    def files(self) -> list[Listed]:
        """List all files. A link to a file counts as the file; a link to a folder is left out."""
        return [
            Listed(path.relative_to(self._folder).as_posix(), path.stat().st_size)
            for path in _walk(self._folder)
        ]

    def copy(self, path: str, to: Path, limit: int | None = None) -> bool:
        """Copy one file."""
        if self._stopping():
            raise Stopped
        source = self._folder / path
        if not source.is_file():
            return False
        if limit is not None and source.stat().st_size > limit:
            raise too_large(path, limit)
        shutil.copyfile(source, to)
        return True


def safe_name(name: object, uri: str) -> str:
    """Return a path segment unchanged, if it cannot lead out of its folder.

    Raises:
        ArtifactCorrupt: it could, or no file can have that name.
    """
    if (
        not isinstance(name, str)
        or name in ("", ".", "..")
        or any(letter in name for letter in "/\\\0")
        or len(name.encode("utf-8", "surrogatepass")) > 255
    ):
        raise ArtifactCorrupt(
            f"The listing of {uri} names a file that cannot be: {name!r}.",
            "Look at what the artifact store lists there; log the model again.",
        )
    return name


def unreachable(uri: str, why: str) -> ArtifactUnreachable:
    """Build the error for a store that does not answer."""
    return ArtifactUnreachable(
        f"The model's files at {uri} cannot be read now: {why}.",
        "It is retried automatically. Is MLflow, and its artifact store, up? See: schnitzel doctor",
    )


def too_large(path: str, limit: int) -> ArtifactCorrupt:
    """Build the error for a file that exceeds its limit."""
    return ArtifactCorrupt(
        f"{path} has more than {limit} bytes.", "Log the model with a small one."
    )


def missing(uri: str) -> ArtifactMissing:
    """Build the error for a URI without a model."""
    return ArtifactMissing(
        f"There is no model at {uri}: no MLmodel file is there.",
        "Log and register the model again, or promote a version whose files are there.",
    )


def _check(response: httpx.Response, uri: str) -> None:
    if response.status_code in (401, 403):
        raise ArtifactUnreachable(
            f"MLflow refuses us the model's files at {uri} ({response.status_code}).",
            "Set mlflow.username and mlflow.password_ref in platform.yaml.",
        )
    if response.status_code >= 400:
        error = unreachable(uri, f"MLflow answers {response.status_code}")
        error.transient = response.status_code >= 500 or response.status_code in (408, 429)
        raise error


def _walk(folder: Path) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        yield from (path for name in names if (path := Path(where, name)).is_file())
