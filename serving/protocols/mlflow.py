"""Translate MLflow's scoring protocol: bodies cross to the worker unread, answers come back whole.

The model's own mlflow reads a body, in the worker (scoring.py).
https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/#rest-endpoints
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.protocols.answer import dumps
from serving.telemetry.redact import MESSAGE_CHARACTERS
from serving.worker import framing

if TYPE_CHECKING:
    from serving.worker.framing import Frame, Payload


def question(content_type: bytes, body: bytes) -> Payload:
    """Return the payload of an INVOKE frame."""
    return framing.pack_invoke(content_type, body)


def answer(frame: Frame) -> tuple[int, bytes, bytes]:
    """Return HTTP status, content type and body of the worker's answer."""
    return framing.unpack_answer(frame.payload)


def failure(status: int, message: str, error_id: str | None = None) -> bytes:
    """Build the body of an error of the server, in the form of mlflow's errors."""
    codes = {
        404: "RESOURCE_DOES_NOT_EXIST",
        501: "NOT_IMPLEMENTED",
        503: "TEMPORARILY_UNAVAILABLE",
        504: "TEMPORARILY_UNAVAILABLE",
    }
    otherwise = "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR"
    body = {
        "error_code": codes.get(status, otherwise),
        "message": message[:MESSAGE_CHARACTERS],
    }
    if error_id is not None:
        body["error_id"] = error_id
    return dumps(body)
