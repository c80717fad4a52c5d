"""Fetch the wheels that a request (JSON) names out of a model's files, into one folder.

    python -m serving.artifact.wheels REQUEST [--termination-file PATH]

The request: `artifact_uri`, `tracking_uri` (MLflow's address), `folder`, and `wheels`, each with
its `path` among the model's files, its file's `name` in the folder, and its `sha256`. No other file
of the model is fetched.

Runs in the build of a Python environment, before the builder, which installs the wheels. stdout and
the kubelet get {"wheels", "bytes"}, or {"reason", "message", "hint"}.

Exit codes: 0 all are there; 1 failed for good; 2 wrong use; 75 failed for now (EX_TEMPFAIL of
sysexits.h).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from serving.artifact.download import ROOM, download
from serving.artifact.fetch import NOT_NOW, store_of
from serving.artifact.store import Unfetchable, impossible, unreachable
from serving.telemetry.state import write_termination_message


def fetch(request: dict[str, Any]) -> dict[str, Any]:
    """Fetch the wheels into the folder; return their number, and their bytes.

    Credentials come from the environment variables.

    Raises:
        Unfetchable: the wheels cannot be fetched or kept.
    """
    uri, folder, wheels = request["artifact_uri"], Path(request["folder"]), request["wheels"]
    store = store_of(uri, request["tracking_uri"])
    try:
        with tempfile.TemporaryDirectory(dir=folder) as part:
            came = download(store, uri, Path(part), {wheel["path"] for wheel in wheels})
            for wheel in wheels:
                place = Path(part, wheel["path"])
                with place.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                if digest != wheel["sha256"]:
                    raise impossible(f"{wheel['path']} at {uri} is not the wheel that was logged.")
            for wheel in wheels:
                Path(part, wheel["path"]).rename(folder / wheel["name"])
    except OSError as error:
        why = f"they cannot be kept in {folder} ({error.strerror or error})"
        raise unreachable(uri, why, ROOM) from error
    return {"wheels": len(wheels), "bytes": came}


def _request(text: str) -> dict[str, Any]:
    """Return a request; raises ValueError, which names what is wrong with it."""
    request = json.loads(text)
    if not isinstance(request, dict):
        raise ValueError("the request is no JSON object")  # noqa: TRY004 - it is a value of a user
    for name in ("artifact_uri", "tracking_uri", "folder"):
        if not isinstance(request.get(name), str):
            raise ValueError(f"'{name}' of the request must be a text")  # noqa: TRY004 - as above
    wheels = request.get("wheels")
    names = ("path", "name", "sha256")
    if not isinstance(wheels, list) or not all(
        isinstance(wheel, dict) and all(isinstance(wheel.get(name), str) for name in names)
        for wheel in wheels
    ):
        raise ValueError(f"'wheels' of the request must be a list of objects with {names}")
    return request


def main(arguments: list[str]) -> int:
    """Fetch the wheels that the request names; return the exit code."""
    parser = argparse.ArgumentParser(description="Fetch wheels out of a model's files.")
    parser.add_argument("request")
    parser.add_argument("--termination-file", default="/dev/termination-log")
    given = parser.parse_args(arguments)
    # The kernel ignores signals to a container's first process that has no handler for them.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(NOT_NOW))
    said: dict[str, Any]
    try:
        request = _request(given.request)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n\nhint: give the request that the Deployer writes\n")
        return 2
    try:
        said, status = fetch(request), 0
    except Unfetchable as error:
        said = {"reason": error.reason, "message": error.message, "hint": error.hint}
        status = NOT_NOW if error.transient else 1
        sys.stderr.write(f"error: {error.message}\n\nhint: {error.hint}\n")
    sys.stdout.write(json.dumps(said) + "\n")
    write_termination_message(given.termination_file, said)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
