"""Translate the Open Inference Protocol, REST, between HTTP bodies and the worker's payloads.

serving.worker.oip.infer reads the requests: small ones here, large ones in the worker.
https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from serving.protocols.answer import dumps
from serving.telemetry.redact import MESSAGE_CHARACTERS
from serving.worker import framing
from serving.worker.oip import infer, tensors
from serving.worker.oip.arrange import BadInput

if TYPE_CHECKING:
    from serving.worker.framing import Frame, Payload
    from serving.worker.oip.infer import Question
    from serving.worker.oip.signature import Side, Signature


def question(body: bytes, signature: Signature, request_id: str) -> Question:
    """Read the body of an infer request.

    Raises:
        BadInput: the request is invalid.
    """
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"the body is not JSON: {error}") from error
    return infer.question(request, signature, request_id)


def unread(body: bytes, request_id: str) -> Payload:
    """Return the payload of an INFER frame: a body that the worker reads."""
    return framing.pack_invoke(request_id.encode(), body)


def answer(frame: Frame, model: str, version: str, about: dict[str, Any]) -> bytes:
    """Build the body of the worker's answer; `about` is `answer` of the question's head.

    Numbers that JSON cannot express (NaN, infinity) become null.

    Raises:
        BadInput: the request asks for an output that does not exist.
    """
    return dumps(infer.answer(*tensors.unpack(frame.payload), model, version, about))


def metadata(model: str, version: str, platform: str, signature: Signature) -> bytes:
    """Build the body that describes the model; without a signature it has no inputs and outputs."""

    def shown(side: Side | None) -> list[dict[str, Any]]:
        return [tensor.to_json() for tensor in side.tensors] if side is not None else []

    return dumps(
        {
            "name": model,
            "versions": [version],
            "platform": platform,
            "inputs": shown(signature.inputs),
            "outputs": shown(signature.outputs),
        }
    )


def failure(message: str, error_id: str | None = None) -> bytes:
    """Build the protocol's error body."""
    body = {"error": message[:MESSAGE_CHARACTERS]}
    if error_id is not None:
        body["error_id"] = error_id
    return dumps(body)
