"""Read artifacts from S3, or from a store with its protocol: "s3://..."."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

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
    from collections.abc import Iterator

    from typing_extensions import Buffer

CREDENTIALS = (
    "Put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into the secret that artifacts.secret names"
)
_SIGNS = {
    "UnknownIssuer": UNTRUSTED,
    "lookup address": "its host has no address",
    "ConnectionRefused": "nobody listens there",
    "TimedOut": "it does not answer in time",
}


class Bucket:
    """Artifacts in S3, or in a store with its protocol: "s3://bucket/path".

    Credentials, region and endpoint come from the AWS_* variables, among them those of a service
    account's role; MLFLOW_S3_ENDPOINT_URL wins, as in MLflow.
    """

    ranges = True

    def __init__(self, uri: str) -> None:
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        self._uri, self._prefix = uri, prefix.strip("/")
        names = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        endpoint = next((os.environ[name] for name in names if os.environ.get(name)), None)
        authorities = os.environ.get("SSL_CERT_FILE") or os.environ.get("AWS_CA_BUNDLE")
        try:
            self._store = S3Store(
                bucket,
                config={"aws_endpoint_url_s3": endpoint} if endpoint else None,
                client_options={
                    "allow_http": bool(endpoint and endpoint.startswith("http://")),
                    "connect_timeout": f"{SECONDS}s",
                    "read_timeout": f"{SECONDS}s",
                    "timeout": "1h",  # of a whole body; read_timeout ends a silent one sooner
                    **({"root_certificate": Path(authorities).read_bytes()} if authorities else {}),
                },
                retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=SECONDS)},
            )
        except (BaseError, ValueError) as error:
            raise self._refusal(error) from error

    def files(self) -> list[Listed]:
        """List all objects under the path."""
        found: list[Listed] = []
        try:
            for page in obstore.list(self._store, self._prefix or None, chunk_size=1000):
                found += [Listed(self._within(each["path"]), each["size"]) for each in page]
                if len(found) > MOST_FILES:
                    raise impossible(f"There are too many files at {self._uri}.")
        except (BaseError, OSError, ValueError) as error:
            raise self._refusal(error) from error
        return [file for file in found if file.path]

    def read(self, path: str, start: int = 0, end: int | None = None) -> Iterator[Buffer]:
        """Read an object, or a range of its bytes."""
        key = f"{self._prefix}/{path}".lstrip("/")
        try:
            options: Any = {} if end is None else {"options": {"range": (start, end)}}
            yield from obstore.get(self._store, key, **options).stream(min_chunk_size=CHUNK)
        except FileNotFoundError as error:
            raise impossible(f"{path} is listed at {self._uri}, but is not there.") from error
        except (BaseError, OSError, ValueError) as error:
            raise self._refusal(error) from error

    def _within(self, key: str) -> str:
        path = key.removeprefix(self._prefix).strip("/")
        for name in path.split("/") if path else []:
            safe_name(name, self._uri)
        return path

    def _refusal(self, error: Exception) -> Unfetchable:
        text = str(error)
        said = re.search(r"<Code>(\w+)</Code>(?:\s*<Message>([^<]*)</Message>)?", text)
        code = said[1] if said else ""
        if code == "NoSuchBucket":
            hint = "Is AWS_ENDPOINT_URL_S3 the store that holds the model?"
            message = f"There is no bucket for {self._uri} in that store."
            return Unfetchable("ArtifactMissing", message, hint)
        if said and re.search(r"40[13] ", text):
            hint = f"{CREDENTIALS}, of somebody who may list and read there."
            return unreachable(self._uri, f"S3 refuses us ({code}: {said[2] or ''})", hint)
        if "169.254.169.254" in text:
            return unreachable(self._uri, "there are no credentials for S3", f"{CREDENTIALS}.")
        why = code or next((cause for sign, cause in _SIGNS.items() if sign in text), "")
        return unreachable(self._uri, why or text.partition("\n")[0].rpartition(" - ")[2])
