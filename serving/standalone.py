"""Read the predictor from environment variables: a model server without a platform.

    SCHNITZEL_MODEL=s3://models/iris SCHNITZEL_PYTHON=/opt/env/bin/python python -m serving

docs/reference/standalone.md has the table of the variables.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from serving.predictor import BadPredictor, Predictor, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL = "SCHNITZEL_MODEL"
WHERE = "the environment"


class Variable(NamedTuple):
    """A variable, the field of the predictor file that it sets, and its value where it is unset."""

    name: str
    field: str
    default: str = ""
    number: bool = False


VARIABLES = (
    Variable("SCHNITZEL_MODEL_NAME", "model", "model"),
    Variable("SCHNITZEL_MODEL_VERSION", "model_version", "1"),
    Variable("SCHNITZEL_ENVIRONMENT", "environment"),
    Variable("SCHNITZEL_PYTHON", "python"),
    Variable("SCHNITZEL_HOST", "host", "127.0.0.1"),
    Variable("SCHNITZEL_PORT", "port", "8080", number=True),
    Variable("SCHNITZEL_ADMIN_PORT", "admin_port", number=True),
    Variable("SCHNITZEL_MEMORY_BYTES", "memory_bytes", number=True),
    Variable("SCHNITZEL_MAX_BODY_BYTES", "max_body_bytes", number=True),
    Variable("SCHNITZEL_TIMEOUT_SECONDS", "timeout_seconds", number=True),
    Variable("SCHNITZEL_DRAIN_SECONDS", "drain_seconds", number=True),
    Variable("SCHNITZEL_INPUT", "input", "strict"),
    Variable("SCHNITZEL_QUEUE_SOURCE", "queue.source"),
    Variable("SCHNITZEL_QUEUE_RESULTS", "queue.results"),
    Variable("SCHNITZEL_QUEUE_OTHER", "queue.other"),
    Variable("SCHNITZEL_QUEUE_DEAD_LETTER", "queue.dead_letter"),
    Variable("SCHNITZEL_QUEUE_PREFETCH", "queue.prefetch", number=True),
    Variable("SCHNITZEL_QUEUE_ATTEMPTS", "queue.attempts", number=True),
    Variable("SCHNITZEL_QUEUE_URL_FILE", "queue.url_file"),
    Variable("SCHNITZEL_QUEUE_CA_FILE", "queue.ca_file"),
)
"""Beside them: SCHNITZEL_MODEL, SCHNITZEL_QUEUE_URL, and MLflow's own MLFLOW_TRACKING_URI."""


def predictor(environ: Mapping[str, str]) -> Predictor:
    """Return the predictor that the variables describe.

    Raises:
        BadPredictor: a variable is missing or wrong; the message names it.
    """
    model = environ.get(MODEL, "")
    if not model:
        hint = f"set {MODEL} to a folder or an address of a model, or give a predictor file"
        raise BadPredictor(f"{MODEL} is not set", hint)
    content = _content(environ)
    folder = Path.home() / ".cache/schnitzel/serving"
    folder /= f"{content['model']}-v{content['model_version']}".replace("/", "_")
    folder.mkdir(parents=True, exist_ok=True)
    fetched = ":/" in model
    content |= {
        "predictor": f"{content['model']}-v{content['model_version']}",
        "state_file": str(folder / "state.json"),
        "artifact": str(folder / "model") if fetched else model,
        "artifact_uri": model if fetched else "",
        "tracking_uri": environ.get("MLFLOW_TRACKING_URI", ""),
    }
    try:
        return parse(content, WHERE)
    except BadPredictor as error:
        message, hint = _by_variable(str(error)), _by_variable(error.hint)
        raise BadPredictor(message, hint) from error


def _content(environ: Mapping[str, str]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    queue: dict[str, Any] = {}
    for variable in VARIABLES:
        text = environ.get(variable.name, variable.default)
        if not text:
            continue
        owner, _, field = variable.field.rpartition(".")
        (queue if owner else content)[field] = (
            _number(variable.name, text) if variable.number else text
        )
    if queue:
        other = queue.pop("other", "")
        queue["results"] = [
            _destination(text.strip(), other)
            for text in queue.get("results", "").split(",")
            if text
        ]
        content["queue"] = queue
    return content


def _destination(text: str, other: str) -> dict[str, str]:
    """Read `queue`, or `exchange/routing key`."""
    exchange, _, key = text.rpartition("/")
    return {"exchange": exchange, "routing_key": key, "other": other}


def _number(name: str, text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError as error:
        raise BadPredictor(
            f"{name} is {text!r}, and must be a number", f"correct {name}"
        ) from error


def _by_variable(text: str) -> str:
    """Name a variable where a message names the field that it sets."""
    for variable in VARIABLES:
        text = text.replace(f"'{variable.field}'", variable.name)
    return text
