"""Fetch a model's files into a folder, as Seldon's operator asks its init container to.

    python -m serving URI FOLDER

Seldon's operator runs our image with these two arguments, and variables from a secret. An address
on MLflow's own store ends with `?tracking_uri=` and MLflow's address, percent-encoded. Exit codes
are those of serving.artifact.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote

from serving.artifact.fetch import NOT_NOW, fetch
from serving.artifact.store import Unfetchable
from serving.predictor import Predictor
from serving.telemetry.state import write_termination_message

TRACKING = "?tracking_uri="
TERMINATION = "/dev/termination-log"


def main(uri: str, folder: str) -> int:
    """Fetch the model, and return the exit code."""
    address, _, tracking = uri.partition(TRACKING)
    target = Path(folder)
    beside = target / ".fetching" / "model"
    try:
        said = fetch(_source(address, unquote(tracking), str(beside)))
        for found in beside.iterdir():  # the folder is a mount, and cannot be replaced
            there = target / found.name
            if there.is_dir():
                shutil.rmtree(there)
            found.rename(there)
        shutil.rmtree(beside.parent)
    except Unfetchable as error:
        said = {"reason": error.reason, "message": error.message, "hint": error.hint}
        sys.stderr.write(f"error: {error.message}\n\nhint: {error.hint}\n")
        write_termination_message(TERMINATION, said)
        return NOT_NOW if error.transient else 1
    sys.stdout.write(json.dumps(said) + "\n")
    write_termination_message(TERMINATION, said)
    return 0


def _source(uri: str, tracking: str, artifact: str) -> Predictor:
    return Predictor(
        predictor="", model="", model_version="", environment="", artifact=artifact, python="",
        host="", port=0, state_file="", artifact_uri=uri, tracking_uri=tracking,
    )  # fmt: skip
