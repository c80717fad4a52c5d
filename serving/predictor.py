"""Read a predictor file (JSON): the model version to serve, and how to serve it."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

INPUTS = ("strict", "mlflow")
"""How the values of a request are read."""


_NUMBERS: tuple[tuple[str, float, type[Any]], ...] = (
    ("port", 0, int),
    ("admin_port", 0, int),
    ("memory_bytes", 1, int),
    ("max_body_bytes", 1, int),
    ("timeout_seconds", 0.001, float),
    ("drain_seconds", 0, float),
)
"""Fields that are numbers: the least, and the type; a whole number is a float, too."""


class BadPredictor(Exception):  # noqa: N818 - named for what is wrong
    """The predictor file cannot be used; `hint` names the next step."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Batching:
    """Whether waiting requests share a call of the model, and the most rows in one call."""

    enabled: bool = True
    max_rows: int = 256


@dataclass(frozen=True)
class Sidecar:
    """A model server in the same pod that the front asks instead of a worker."""

    kind: str
    """The kind of server: tfserving."""
    url: str
    model: str
    """The model's name on that server."""
    saved_model: str = "saved_model"
    """The folder inside `artifact` that the server serves."""


@dataclass(frozen=True)
class Predictor:
    """A model version to serve."""

    predictor: str
    model: str
    model_version: str
    environment: str
    artifact: str
    """Folder with the MLmodel file."""
    python: str
    """Interpreter of the model's exact Python environment; empty with a `backend`."""
    host: str
    port: int
    state_file: str
    admin_port: int | None = None
    """Port, on `host` as well, that answers questions about the server and nothing else; None: no
    such port."""
    memory_bytes: int | None = None
    """Memory limit of the worker and its children; None: no limit."""
    max_body_bytes: int = 16 * 1024 * 1024
    timeout_seconds: float = 60
    drain_seconds: float = 5
    """How long the server answers after SIGTERM: at most, or exactly with `drain_whole`."""
    drain_whole: bool = False
    """For a cluster, which removes routes after SIGTERM, not before: the server answers for all of
    `drain_seconds`, even without traffic; requests then in flight have `timeout_seconds` to end."""
    batching: Batching = Batching()
    env: tuple[str, ...] = ()
    """Variables that were set for the model: the model's process gets them, whatever their
    names."""
    input: str = "strict"
    """`mlflow`: values are read as `mlflow models serve` reads them, and a model's exception is a
    400."""
    backend: Sidecar | None = None
    """None: the front runs its own worker."""
    termination_file: str | None = None
    """Where a kubelet reads why a container ended (`/dev/termination-log`)."""
    artifact_uri: str = ""
    """Where serving.artifact fetches `artifact` from: mlflow-artifacts:/... or s3://..."""
    artifact_digest: str = ""
    """Expected digest of `artifact` (serving.artifact.fetch.digest_of), in hex; empty: not known
    yet."""
    tracking_uri: str = ""
    """MLflow's address, for mlflow-artifacts:."""


def read(path: str) -> Predictor:
    """Return the predictor in the file `path`.

    Unknown fields are ignored.

    Raises:
        BadPredictor: the file cannot be used; the message names the field.
    """
    try:
        content: Any = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        hint = "give the predictor file that the Deployer wrote"
        raise BadPredictor(f"{path} cannot be read: {error}", hint) from error
    if not isinstance(content, dict):
        raise BadPredictor(f"{path} is not a JSON object", "see docs/reference for its fields")
    known = {field.name for field in fields(Predictor)}
    values = {name: value for name, value in content.items() if name in known}
    values["backend"] = backend = _backend(path, content)
    values.setdefault("python", "")
    needed = ["predictor", "model", "model_version", "artifact", "host", "state_file"]
    for name in needed if backend is not None else [*needed, "python"]:
        if not isinstance(values.get(name), str) or not values[name]:
            raise BadPredictor(f"{path}: '{name}' must be a text", f"set '{name}' in {path}")
    _check_numbers(path, values)
    if values.get("admin_port") == values["port"]:
        hint = f"set 'admin_port' in {path}, or leave it out"
        raise BadPredictor(f"{path}: 'admin_port' must be another number than 'port'", hint)
    values.setdefault("environment", "")
    values["env"] = tuple(map(str, content.get("env") or ()))
    if values.get("input", "strict") not in INPUTS:
        expected = " or ".join(INPUTS)
        raise BadPredictor(f"{path}: 'input' must be {expected}", f"correct it in {path}")
    values["batching"] = _batching(path, content.get("batching"))
    return Predictor(**values)


def _check_numbers(path: str, values: dict[str, Any]) -> None:
    for name, least, kind in _NUMBERS:
        value: Any = values.get(name)
        if value is None and name != "port":
            values.pop(name, None)
        elif type(value) not in (int, kind) or value < least:
            raise BadPredictor(
                f"{path}: '{name}' must be a number, at least {least:g}", f"set '{name}' in {path}"
            )


def _batching(path: str, given: Any) -> Batching:
    given = {} if given is None else given
    if not isinstance(given, dict):
        raise BadPredictor(f"{path}: 'batching' must be an object", f"correct it in {path}")
    enabled, most = given.get("enabled", True), given.get("max_rows", 256)
    if not isinstance(enabled, bool):
        raise BadPredictor(
            f"{path}: 'batching.enabled' must be true or false", f"correct it in {path}"
        )
    if type(most) is not int or most < 1:
        raise BadPredictor(
            f"{path}: 'batching.max_rows' must be a number, at least 1", f"correct it in {path}"
        )
    return Batching(enabled=enabled, max_rows=most)


def _backend(path: str, content: dict[str, Any]) -> Sidecar | None:
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
    saved_model = str(given.get("saved_model") or Sidecar.saved_model)
    return Sidecar("tfserving", f"http://{url.netloc}", model, saved_model)
