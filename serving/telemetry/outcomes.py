"""Name the ways in which a request for a prediction ends."""

from __future__ import annotations

OK = "ok"
REJECTED = "rejected"
"""The request was invalid or refused: 4xx."""
MODEL_ERROR = "model_error"
"""The model raised, or its process died of the request."""
TIMEOUT = "timeout"
OVERLOAD = "overload"
"""The server had no room for the request."""
UNAVAILABLE = "unavailable"
"""The model was not loaded, or its process ended."""
FAILED = "failed"
"""A fault of the server itself."""
LEFT = "left"
"""The client left before its answer was ready."""
HUNG = "hung"
"""A call of the model that never returned, not a request: the call's requests ended with TIMEOUT
before."""

OUTCOMES = (OK, REJECTED, MODEL_ERROR, TIMEOUT, OVERLOAD, UNAVAILABLE, FAILED, LEFT, HUNG)

_OTHERS = {499: LEFT, 503: UNAVAILABLE, 504: TIMEOUT}
_NO_ROOM = {OVERLOAD: "queue_full", UNAVAILABLE: "unavailable"}
_REASONS = {
    404: "not_found",
    405: "method",
    408: "too_slow",
    413: "too_large",
    415: "media_type",
    431: "head_too_large",
    499: "",
}


def of_status(status: int) -> str:
    """Return the outcome of a request with this HTTP status, where the status alone decides."""
    if status < 400:
        return OK
    return _OTHERS.get(status) or (REJECTED if status < 500 else MODEL_ERROR)


def reason(status: int, outcome: str) -> str:
    """Return why a request was rejected; empty if it was not."""
    if outcome in _NO_ROOM:
        return _NO_ROOM[outcome]
    return _REASONS.get(status, "invalid") if 400 <= status < 500 else ""
