"""A predictor file (JSON) goes in; what to serve, and how, comes out."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

INPUTS = ("strict", "mlflow")
"""How values of a request are read."""


class BadPredictor(Exception):  # noqa: N818 - named for what is wrong
    """The predictor file cannot be used; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Batching:
    """Whether waiting requests share a call of the model, and up to how many rows."""

    enabled: bool = True
    max_rows: int = 256


@dataclass(frozen=True)
class Beside:
    """A server in the same pod that has the model, and is asked in place of a worker."""

    kind: str
    """What it is: tfserving."""
    url: str
    model: str
    """What it calls the model."""
    saved_model: str = "saved_model"
    """Folder inside `artifact` that it serves."""


@dataclass(frozen=True)
class Predictor:
    """One model version to serve."""

    predictor: str
    model: str
    model_version: str
    environment: str
    artifact: str
    """Folder with the MLmodel file."""
    python: str
    """Interpreter of the model's exact environment; empty with a `backend`."""
    host: str
    port: int
    state_file: str
    admin_port: int | None = None
    """Where it answers about itself, on `host` as well, and nothing else; None: nowhere."""
    memory_bytes: int | None = None
    """Limit of the memory of the worker and its children; None: no limit."""
    max_body_bytes: int = 16 * 1024 * 1024
    timeout_seconds: float = 60
    drain_seconds: float = 5
    """How long it answers after SIGTERM: at most, or exactly if `drain_whole`."""
    drain_whole: bool = False
    """For a cluster, which takes routes away after SIGTERM, not before: however quiet it is, it
    answers for all of `drain_seconds`; what is in flight then has `timeout_seconds` to end."""
    batching: Batching = Batching()
    env: tuple[str, ...] = ()
    """Variables that were set for the model: it gets them, whatever they are called."""
    input: str = "strict"
    """`mlflow`: values are read as `mlflow models serve` reads them, and a model's exception is a
    400."""
    backend: Beside | None = None
    """None: a worker of our own."""
    termination_file: str | None = None
    """Where a kubelet reads why a container ended (`/dev/termination-log`)."""
    artifact_uri: str = ""
    """Where serving.artifact fetches `artifact` from: mlflow-artifacts:/... or s3://..."""
    artifact_digest: str = ""
    """What it must be (serving.artifact.fetch.digest_of), in hex; empty: not known yet."""
    tracking_uri: str = ""
    """MLflow's address, for mlflow-artifacts:."""


def read(path: str) -> Predictor:
    """Return the predictor in the file `path`.

    Fields that are not known are left alone; BadPredictor names what is wrong.
    """
    try:
        content: Any = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        hint = "give the predictor file that the Deployer wrote"
        raise BadPredictor(f"{path} cannot be read: {error}", hint) from error
    if not isinstance(content, dict):
        raise BadPredictor(f"{path} is not a JSON object", "see docs/reference for its fields")
    batching = content.get("batching") or {}
    known = {field.name for field in fields(Predictor)}
    values = {name: value for name, value in content.items() if name in known}
    values["backend"] = backend = _backend(path, content)
    values.setdefault("python", "")
    needed = ["predictor", "model", "model_version", "artifact", "host", "state_file"]
    for name in needed if backend is not None else [*needed, "python"]:
        if not isinstance(values.get(name), str) or not values[name]:
            raise BadPredictor(f"{path}: '{name}' must be a text", f"set '{name}' in {path}")
    if not isinstance(values.get("port"), int):
        raise BadPredictor(f"{path}: 'port' must be a number", f"set 'port' in {path}")
    admin = values.get("admin_port")
    if admin is not None and (not isinstance(admin, int) or admin == values["port"]):
        hint = f"set 'admin_port' in {path}, or leave it out"
        raise BadPredictor(f"{path}: 'admin_port' must be a number, and not 'port'", hint)
    values.setdefault("environment", "")
    values["env"] = tuple(map(str, content.get("env") or ()))
    if values.get("input", "strict") not in INPUTS:
        expected = " or ".join(INPUTS)
        raise BadPredictor(f"{path}: 'input' must be {expected}", f"correct it in {path}")
    values["batching"] = Batching(
        enabled=bool(batching.get("enabled", True)), max_rows=int(batching.get("max_rows", 256))
    )
    return Predictor(**values)


def _backend(path: str, content: dict[str, Any]) -> Beside | None:
    given = content.get("backend")
    if given is None:
        return None
    if not isinstance(given, dict) or given.get("kind") != "tfserving":
        raise BadPredictor(f"{path}: 'backend.kind' must be 'tfserving'", f"correct it in {path}")
    url = urlsplit(str(given.get("url")))
    if url.scheme != "http" or not url.hostname:
        raise BadPredictor(
            f"{path}: 'backend.url' must be an address such as http://127.0.0.1:8501",
            f"correct it in {path}",
        )
    model = str(given.get("model") or content.get("model"))
    saved_model = str(given.get("saved_model") or Beside.saved_model)
    return Beside("tfserving", f"http://{url.netloc}", model, saved_model)
