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


MOST_PREFETCH = 65_535
"""AMQP counts messages in flight in 16 bits."""


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
class Destination:
    """Where results go: an exchange, and a routing key with which it finds a queue."""

    exchange: str = ""
    """Empty: the default exchange, whose routing keys are names of queues."""
    routing_key: str = ""
    """`{prediction}` stands for the first prediction, `{prediction.NAME}` for a column of it."""
    other: str = ""
    """The routing key for a prediction for which there is no queue; empty: none."""


@dataclass(frozen=True)
class QueueConsumer:
    """A source queue of RabbitMQ that the server consumes, and where its results go."""

    source: str
    results: tuple[Destination, ...]
    dead_letter: str
    """The queue for messages that cannot be answered."""
    share: tuple[float, float] = (0.0, 1.0)
    """The server's part of the messages, as an interval between 0 and 1 (serving/queue/share.py);
    an empty one: connected, and silent."""
    share_file: str = ""
    """A file with the share, in place of `share`, which is followed while the server runs; without
    the file, nothing is consumed. Empty: there is none."""
    prefetch: int = 0
    """Messages in flight at most; 0: as many as fill the model's batches."""
    attempts: int = 2
    """Tries of a message whose answer is an error of the model."""
    url_file: str = ""
    """A file with the broker's URL; empty: the variable SCHNITZEL_QUEUE_URL has it."""
    ca_file: str = ""
    """Certificates (PEM) that the broker's own is checked against; empty: the system's."""


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
    queue: QueueConsumer | None = None
    """None: only HTTP asks the model."""
    admin_token_digest: str = ""
    """SHA-256, in hex, of the token that a change by the admin port needs; empty: none is made."""
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
    return parse(content, path)


def parse(content: dict[str, Any], path: str) -> Predictor:
    """Return the predictor of a predictor file's content; `path` is where that is from.

    Raises:
        BadPredictor: the content cannot be used; the message names the field.
    """
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
    values["queue"] = _queue(path, content.get("queue"))
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


def _queue(path: str, given: Any) -> QueueConsumer | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise BadPredictor(f"{path}: 'queue' must be an object", f"correct it in {path}")
    known = {field.name for field in fields(QueueConsumer)}
    values = {name: value for name, value in given.items() if name in known}
    for name in ("source", "dead_letter"):
        _check_text(path, f"queue.{name}", values.get(name), needed=True)
    for name in ("url_file", "ca_file", "share_file"):
        _check_text(path, f"queue.{name}", values.get(name, ""))
    for name, least in (("prefetch", 0), ("attempts", 1)):
        value = values.get(name, least)
        if type(value) is not int or not least <= value <= MOST_PREFETCH:
            said = f"'queue.{name}' must be a whole number from {least} to {MOST_PREFETCH}"
            raise BadPredictor(f"{path}: {said}", f"correct it in {path}")
    share = values.get("share", [0.0, 1.0])
    if (
        not isinstance(share, list)
        or [type(each) in (int, float) for each in share] != [True, True]
        or not 0 <= share[0] <= share[1] <= 1
    ):
        said = "'queue.share' must be two numbers, as 0 <= first <= second <= 1"
        raise BadPredictor(f"{path}: {said}", f"correct it in {path}")
    values["share"] = (float(share[0]), float(share[1]))
    results = values.get("results")
    if not isinstance(results, list) or not results:
        said = "'queue.results' must be a list with at least one destination"
        raise BadPredictor(f"{path}: {said}", f"set it in {path}")
    values["results"] = tuple(
        _destination(path, f"queue.results[{index}]", each) for index, each in enumerate(results)
    )
    return QueueConsumer(**values)


def _destination(path: str, name: str, given: Any) -> Destination:
    if not isinstance(given, dict):
        raise BadPredictor(f"{path}: '{name}' must be an object", f"correct it in {path}")
    values = {field.name: given.get(field.name, "") for field in fields(Destination)}
    for field, value in values.items():
        _check_text(path, f"{name}.{field}", value, needed=field == "routing_key")
    return Destination(**values)


def _check_text(path: str, name: str, value: Any, *, needed: bool = False) -> None:
    """Check a name of the broker's: a text of at most 255 bytes, as AMQP has it."""
    if not isinstance(value, str) or (needed and not value) or len(value.encode()) > 255:
        raise BadPredictor(
            f"{path}: '{name}' must be a text of at most 255 bytes", f"set '{name}' in {path}"
        )


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
