"""Read artifacts from S3, or from a store that speaks its protocol."""

import os
import re
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from deployer.artifacts.sources import CHUNK, MOST_FILES, Listed, Stopping, safe_name, too_large
from deployer.background.jobs import Stopped
from deployer.errors import ArtifactCorrupt, ArtifactMissing, ArtifactUnreachable

SECONDS: Final = 30
HINT: Final = (
    "Are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of somebody who may list and read there in the"
    " Deployer's environment, and AWS_ENDPOINT_URL_S3, if it is not Amazon's?"
)


class Bucket:
    """Artifacts at "s3://bucket/path".

    Credentials, region and endpoint come from the AWS_* variables, among them those of a service
    account's role; MLFLOW_S3_ENDPOINT_URL wins, as it does in MLflow.

    Args:
        uri: the artifact URI.
        stopping: asked between chunks.
    """

    def __init__(self, uri: str, stopping: Stopping) -> None:
        self._bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        self._uri, self._prefix, self._stopping = uri, prefix.strip("/"), stopping

    def files(self) -> list[Listed]:
        """List all objects under the path."""
        found: list[Listed] = []
        try:
            for page in obstore.list(self._store, self._prefix or None, chunk_size=1000):
                if self._stopping():
                    raise Stopped
                found += [Listed(self._within(each["path"]), each["size"]) for each in page]
                if len(found) > MOST_FILES:
                    raise ArtifactCorrupt(f"There are too many files or folders at {self._uri}.")
        except (BaseError, OSError, ValueError) as error:
            raise self._refusal(error) from error
        return [file for file in found if file.path]

    def copy(self, path: str, to: Path, limit: int | None = None) -> bool:
        """Download one object."""
        key = f"{self._prefix}/{path}".lstrip("/")
        try:
            stream = obstore.get(self._store, key).stream(min_chunk_size=CHUNK)
            with to.open("wb") as file:
                for chunk in stream:
                    if self._stopping():
                        raise Stopped
                    file.write(chunk)
                    if limit is not None and file.tell() > limit:
                        raise too_large(path, limit)
        except FileNotFoundError:
            return False
        except (BaseError, OSError, ValueError) as error:
            raise self._refusal(error) from error
        return True

    @cached_property
    def _store(self) -> S3Store:
        names = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        endpoint = next((os.environ[name] for name in names if os.environ.get(name)), None)
        authorities = os.environ.get("SSL_CERT_FILE") or os.environ.get("AWS_CA_BUNDLE")
        return S3Store(
            self._bucket,
            config={"aws_endpoint_url_s3": endpoint} if endpoint else None,
            client_options={
                "allow_http": bool(endpoint and endpoint.startswith("http://")),
                "connect_timeout": f"{SECONDS}s",
                "read_timeout": f"{SECONDS}s",
                "timeout": "1h",  # of a whole body; silence ends it sooner
                **({"root_certificate": Path(authorities).read_bytes()} if authorities else {}),
            },
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=SECONDS)},
        )

    def _within(self, key: str) -> str:
        path = key.removeprefix(self._prefix).strip("/")
        for name in path.split("/") if path else []:
            safe_name(name, self._uri)
        return path

    def _refusal(self, error: Exception) -> ArtifactMissing | ArtifactUnreachable:
        text = str(error)
        said = re.search(r"<Code>(\w+)</Code>(?:\s*<Message>([^<]*)</Message>)?", text)
        if said and said[1] == "NoSuchBucket":
            return ArtifactMissing(f"There is no bucket for {self._uri} in that store.", HINT)
        refused = bool(said and re.search(r"40[13] ", text)) or "169.254.169.254" in text
        why = said[1] if said else text.partition("\n")[0].rpartition(" - ")[2][:200]
        if "169.254.169.254" in text:
            why = "there are no credentials for S3"
        return ArtifactUnreachable(
            f"The model's files at {self._uri} cannot be read: {why}.", HINT if refused else ""
        )
