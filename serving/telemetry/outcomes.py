"""How a request for a prediction can end: a few words, for everybody who counts."""

from __future__ import annotations

OK = "ok"
REJECTED = "rejected"
"""It was not valid, or not taken: 4xx."""
MODEL_ERROR = "model_error"
"""The model raised, or its process died of the request."""
TIMEOUT = "timeout"
OVERLOAD = "overload"
"""There was no room for it."""
UNAVAILABLE = "unavailable"
"""The model was not loaded, or its process went."""
FAILED = "failed"
"""A fault of the server's own."""
LEFT = "left"
"""The client left before it had its answer."""
HUNG = "hung"
"""Not a request's end, but a call's that never returned; its requests ended with TIMEOUT before."""

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
    """Say how a request with this HTTP status ended, where the status alone says it."""
    if status < 400:
        return OK
    return _OTHERS.get(status) or (REJECTED if status < 500 else MODEL_ERROR)


def reason(status: int, outcome: str) -> str:
    """Say why a request was turned away; empty if it was not."""
    if outcome in _NO_ROOM:
        return _NO_ROOM[outcome]
    return _REASONS.get(status, "invalid") if 400 <= status < 500 else ""
