"""Fetch the model's files of a predictor file into its folder `artifact`.

    python -m serving.artifact PREDICTOR_JSON

Runs before the server, as an init container. The folder appears at once, when all files are there
and match `artifact_digest`; a folder that a former start left is checked against its digest and
kept. stdout and the kubelet get one line of JSON: {"digest", "bytes", "seconds"}, or on failure
{"reason", "message", "hint"}.

Exit codes: 0 the files are there; 1 failed for good; 2 wrong use; 75 failed for now (EX_TEMPFAIL of
sysexits.h).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.artifact.download import ROOM, download
from serving.artifact.proxy import Proxied
from serving.artifact.store import Unfetchable, unreachable
from serving.predictor import BadPredictor, Predictor, read
from serving.telemetry.state import write_termination_message

if TYPE_CHECKING:
    from serving.artifact.store import Store

NOT_NOW = 75


def fetch(predictor: Predictor) -> dict[str, Any]:
    """Fetch the model's files to `predictor.artifact`; return digest, bytes and seconds.

    Credentials come from the environment variables.

    Raises:
        Unfetchable: the files cannot be fetched or kept.
    """
    begin = time.monotonic()
    folder, digest, came = Path(predictor.artifact), "", 0
    beside = folder.with_name(f".{folder.name}.digest")
    with suppress(OSError):
        digest = beside.read_text(encoding="ascii")
    kept = predictor.artifact_digest in ("", digest) and digest == digest_of(folder)
    if not kept:
        try:
            digest, came = _fetch_new(predictor, folder, beside)
        except OSError as error:
            why = f"they cannot be kept in {folder.parent} ({error.strerror or error})"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                why = f"there is no room left in {folder.parent}"
            raise unreachable(predictor.artifact_uri, why, ROOM) from error
    if predictor.backend is not None:
        _require_saved_model(folder, predictor.backend.saved_model)
    return {"digest": digest, "bytes": came, "seconds": round(time.monotonic() - begin, 2)}


def _require_saved_model(folder: Path, name: str) -> None:
    """Raise Unfetchable if there is no SavedModel: TensorFlow Serving would not report that."""
    if not any((folder / name / f"saved_model.{kind}").is_file() for kind in ("pb", "pbtxt")):
        raise Unfetchable(
            "ArtifactMissing",
            f"The model's files have no SavedModel in the folder {name!r}.",
            "Log one with the model, or let serving.yaml say its folder (tfserving.saved_model).",
        )


def digest_of(folder: Path) -> str:
    """Return SHA-256, in hex, over the sorted relative paths and contents of a folder's files.

    The Deployer computes the same digest of its own copies (`deployer.artifacts.cache`).
    """

    def content(path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    names = sorted(name for name, path in paths.items() if path.is_file())
    total = hashlib.sha256()
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing large pieces releases the GIL
        for name, digest in zip(names, pool.map(content, map(paths.get, names)), strict=True):
            total.update(f"{name}\0{digest}\n".encode("utf-8", "surrogatepass"))
    return total.hexdigest()


def _fetch_new(predictor: Predictor, folder: Path, beside: Path) -> tuple[str, int]:
    """Fetch into a temporary folder, check the digest, and rename the folder only then."""
    for leftover in (folder, *folder.parent.glob(f".{folder.name}.*.part")):
        shutil.rmtree(leftover, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(".part", f".{folder.name}.", folder.parent))
    try:
        came = download(
            store_of(predictor.artifact_uri, predictor.tracking_uri), predictor.artifact_uri, part
        )
        digest, expected = digest_of(part), predictor.artifact_digest
        if expected not in ("", digest):
            raise Unfetchable(
                "ArtifactCorrupt",
                f"The model's files at {predictor.artifact_uri} are not those that were served "
                f"before: their digest was {expected[:12]}, and is {digest[:12]}.",
                "Versions are not to be changed in place: register the files as a new version.",
            )
        beside.write_text(digest, encoding="ascii")
        part.chmod(0o755)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return digest, came


def store_of(uri: str, tracking_uri: str) -> Store:
    """Return the store of an artifact's URI.

    Raises:
        Unfetchable: pods cannot reach such a store.
    """
    if uri.startswith("s3://"):
        from serving.artifact.bucket import Bucket  # noqa: PLC0415 - it brings the store's client

        return Bucket(uri)
    if uri.startswith("mlflow-artifacts:"):
        return Proxied(uri, tracking_uri)
    raise unreachable(
        uri or "an address that nobody gave",
        "pods fetch from mlflow-artifacts: and s3: only",
        "Let MLflow hand out its artifacts itself (mlflow server --serve-artifacts), or keep them "
        "in S3.",
        transient=False,
    )


def main(arguments: list[str]) -> int:
    """Fetch the artifact of the predictor file in the only argument; return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write(
            "error: one predictor file is expected\n\n"
            "hint: python -m serving.artifact PREDICTOR_JSON\n"
        )
        return 2
    try:
        predictor = read(arguments[0])
    except BadPredictor as error:
        sys.stderr.write(f"error: {error}\n\nhint: {error.hint}\n")
        return 2
    # The kernel ignores signals to a container's first process that has no handler for them. The
    # next start clears the partial files.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(NOT_NOW))
    said: dict[str, Any]
    try:
        said, status = fetch(predictor), 0
    except Unfetchable as error:
        said = {"reason": error.reason, "message": error.message, "hint": error.hint}
        status = NOT_NOW if error.transient else 1
        sys.stderr.write(f"error: {error.message}\n\nhint: {error.hint}\n")
    sys.stdout.write(json.dumps(said) + "\n")
    if predictor.termination_file:
        write_termination_message(predictor.termination_file, said)
    return status
