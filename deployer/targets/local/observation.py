"""In: supervisord's word on a server, its own state file, its preparation. Out: one observation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.state import ExampleState, ObservedPredictor, Phase, Predictor
from deployer.targets.local.preparation import Prepared
from stack.supervisor import Process

_SERVER_PHASES = {
    "starting": Phase.STARTING,
    "ready": Phase.READY,
    "unready": Phase.UNREADY,
    "failed": Phase.FAILED,
}
_UP = ("STARTING", "RUNNING", "BACKOFF", "STOPPING")


def observe_server(
    predictor: Predictor,
    process: Process | None,
    state: Mapping[str, Any],
    prepared: Prepared | None,
    now: float,
) -> dict[str, Any]:
    """Judge where a predictor is; returns fields of ObservedPredictor.

    Args:
        predictor: Which one.
        process: What supervisord says of it; None if it does not know it.
        state: What the server last wrote of itself.
        prepared: How far its artifact and environment are, if anybody asked.
        now: Seconds since the epoch.
    """
    fields: dict[str, Any] = {"predictor": predictor}
    if prepared:
        fields["artifact_digest"] = prepared.artifact_digest
        fields["python"] = prepared.python_note
    if process is None:
        return fields | _preparing(prepared, now)
    fields["pid"] = process.pid
    own = state if process.pid is None or state.get("pid") == process.pid else {}
    phase = _SERVER_PHASES.get(str(own.get("phase")), Phase.STARTING)
    if process.state not in _UP and phase is not Phase.FAILED:
        return fields | {
            "phase": Phase.FAILED,
            "since": now,
            "reason": "CrashLoop",
            "message": f"The model server ended again and again: {process.message}.",
        }
    since = own.get("at") or process.started or now
    if phase is Phase.STARTING:
        since = process.started or now
    return fields | {
        "phase": phase,
        "since": float(since),
        "reason": str(own.get("reason") or ""),
        "message": str(own.get("message") or ""),
    }


def complete(
    fields: Mapping[str, Any],
    weight: int,
    port: object,
    verdict: tuple[ExampleState, str, bool],
) -> ObservedPredictor:
    """Put what the gateway and the example say beside it."""
    state, message, passing = verdict
    fields = {**fields, "passing": passing or fields.get("passing", False)}
    return ObservedPredictor(
        **fields,
        live_weight=weight,
        port=port if isinstance(port, int) else None,
        example=state,
        example_message=message,
    )


def _preparing(prepared: Prepared | None, now: float) -> dict[str, Any]:
    if prepared is None:
        return {"phase": Phase.ABSENT, "since": now}
    if prepared.error:
        return {
            "phase": Phase.FAILED,
            "since": prepared.since,
            "reason": prepared.error.reason,
            "message": prepared.error.message,
            "hint": prepared.error.hint,
            "passing": prepared.error.passing,
        }
    phase = Phase.STARTING if prepared.phase is Phase.READY else prepared.phase
    return {"phase": phase, "since": prepared.since}
