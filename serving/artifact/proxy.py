"""Read artifacts from an MLflow server: "mlflow-artifacts:/...".

MLflow's REST API: https://mlflow.org/docs/latest/self-hosting/architecture/artifact-store
"""

from __future__ import annotations

import base64
import json
import os
import ssl
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlencode, urlsplit
from urllib.request import Request, urlopen

from serving.artifact.store import (
    CHUNK,
    MOST_FILES,
    SECONDS,
    UNTRUSTED,
    Listed,
    Unfetchable,
    impossible,
    safe_name,
    unreachable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typing_extensions import Buffer

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
MOST_DEPTH = 32
CREDENTIALS = (
    "Put MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, into the "
    "secret that artifacts.secret names."
)


class Proxied:
    """Artifacts that an MLflow server serves: "mlflow-artifacts:/0/models/m-1/artifacts".

    Credentials come from MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD, or a
    login in the address.
    """

    ranges = False

    def __init__(self, uri: str, tracking_uri: str) -> None:
        server, parts = urlsplit(tracking_uri), urlsplit(uri)
        host = server.netloc.rpartition("@")[2]
        if server.scheme not in ("http", "https") or not host:
            hint = "Set artifacts.tracking_uri of the cluster in platform.yaml, as pods reach it."
            raise unreachable(uri, "MLflow's address is not known", hint, transient=False)
        if parts.netloc not in ("", host):
            # The registrant of a version writes its source: a source must not send our
            # credentials to another host.
            why = f"it names {parts.netloc}, and our MLflow is {host}"
            hint = "Register the version again with the MLflow server that serves it."
            raise unreachable(uri, why, hint, transient=False)
        self._uri, self._root = uri, unquote(parts.path).strip("/")
        self._url = f"{server.scheme}://{host}{server.path.rstrip('/')}{PROXY}"
        self._authorization = _authorization(server.username, server.password)

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
                    raise impossible(f"There are too many files or folders at {self._uri}.")
        return found

    def read(self, path: str, start: int = 0, end: int | None = None) -> Iterator[Buffer]:
        """Read a whole file: MLflow's server supports no ranges."""
        if start or end is not None:
            raise NotImplementedError
        address = f"{self._url}/{quote(f'{self._root}/{path}')}"
        try:
            with self._open(address) as answer:
                while chunk := answer.read(CHUNK):
                    yield chunk
        except HTTPError as error:
            raise self._refusal(error, path) from error
        except (OSError, HTTPException) as error:
            raise unreachable(self._uri, _network(error)) from error

    def _list(self, folder: str) -> list[Mapping[str, Any]]:
        path = f"{self._root}/{folder}".rstrip("/")
        try:
            with self._open(f"{self._url}?{urlencode({'path': path})}") as answer:
                entries = json.load(answer).get("files", [])
        except HTTPError as error:
            if error.code == 404:
                return []
            raise self._refusal(error, folder) from error
        except (OSError, HTTPException) as error:
            raise unreachable(self._uri, _network(error)) from error
        except (ValueError, AttributeError) as error:
            raise unreachable(self._uri, "the answer is not MLflow's") from error
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise unreachable(self._uri, "the answer is not MLflow's")
        return entries

    def _open(self, address: str) -> Any:
        request = Request(address)  # noqa: S310 - http or https: checked above
        if self._authorization:  # a redirect's target does not get it
            request.add_unredirected_header("Authorization", self._authorization)
        return urlopen(request, timeout=SECONDS)  # noqa: S310 - the same

    def _refusal(self, error: HTTPError, path: str) -> Unfetchable:
        if error.code == 404:
            return impossible(f"{path} is listed at {self._uri}, but is not there.")
        if error.code in (401, 403):
            return unreachable(self._uri, f"MLflow refuses us ({error.code})", CREDENTIALS)
        transient = error.code >= 500 or error.code in (408, 429)
        return unreachable(self._uri, f"MLflow answers {error.code}", transient=transient)


def _authorization(user: str | None, password: str | None) -> str:
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return f"Bearer {token}"
    name = os.environ.get("MLFLOW_TRACKING_USERNAME") or unquote(user or "")
    secret = os.environ.get("MLFLOW_TRACKING_PASSWORD") or unquote(password or "")
    return f"Basic {base64.b64encode(f'{name}:{secret}'.encode()).decode()}" if name else ""


def _network(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"{UNTRUSTED} ({cause.verify_message})"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
