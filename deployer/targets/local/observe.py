"""Observe a predictor from supervisord's processes, the state files and the preparation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deployer.state.observed import ObservedPredictor
from deployer.state.predictor import ExampleAnswer, Phase, Predictor
from deployer.state.reasons import OF_A_BROKER, Reason
from deployer.targets.local.preparation import LocalPrepared
from stack.supervision.supervisor import Process

_SERVER_PHASES = {
    "starting": Phase.STARTING,
    "ready": Phase.READY,
    "unready": Phase.UNREADY,
    "failed": Phase.FAILED,
}
_UP = ("STARTING", "RUNNING", "BACKOFF", "STOPPING")
_WORST_FIRST = (
    Phase.FAILED,
    Phase.ABSENT,
    Phase.FETCHING,
    Phase.BUILDING,
    Phase.STARTING,
    Phase.UNREADY,
    Phase.READY,
)


def observe_server(
    predictor: Predictor,
    process: Process | None,
    state: Mapping[str, Any],
    prepared: LocalPrepared | None,
    now: float,
) -> dict[str, Any]:
    """Judge the phase of a replica; returns fields of ObservedPredictor.

    Args:
        predictor: The predictor of the replica.
        process: The replica's process; None if supervisord does not know the replica.
        state: The state that the server last wrote.
        prepared: The progress of artifact and Python environment; None before the preparation.
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
            "reason": Reason.CRASH_LOOP,
            "message": f"The model server ended again and again: {process.message}.",
            "transient": True,
        }
    since = own.get("at") or process.started or now
    if phase is Phase.STARTING:
        since = process.started or now
    return fields | {
        "phase": phase,
        "since": float(since),
        "reason": str(own.get("reason") or ""),
        "message": str(own.get("message") or ""),
        "transient": _is_transient(own),
    }


def together(replicas: Sequence[Mapping[str, Any]], *, scaled: bool = False) -> dict[str, Any]:
    """Judge a predictor by its replicas: its phase is that of the replica furthest behind.

    Its process is that of the first replica. A predictor that is scaled by its messages is ready
    with any ready replica while none failed, and so is one that was scaled to no replica.
    """
    if not replicas:
        return {"phase": Phase.READY, "since": 0.0, "replicas": 0}
    answering = [one for one in replicas if one["phase"] is Phase.READY]
    ready = len(answering)
    if scaled and ready and not any(one["phase"] is Phase.FAILED for one in replicas):
        counts = {"replicas": len(replicas), "replicas_ready": ready}
        last = max(answering, key=lambda one: float(one["since"]))
        return {**last, **counts, "pid": replicas[0].get("pid")}
    behind = min(replicas, key=lambda one: (_WORST_FIRST.index(one["phase"]), one["since"]))
    fields = {**behind, "replicas": len(replicas), "replicas_ready": ready}
    fields["pid"] = replicas[0].get("pid")
    if ready == len(replicas):
        fields["since"] = max(one["since"] for one in replicas)
    elif len(replicas) > 1:
        count = f"{ready} of {len(replicas)} replicas are ready"
        fields["message"] = f"{count}: {behind['message']}" if behind.get("message") else count
    return fields


def complete(
    fields: Mapping[str, Any],
    weight: int,
    port: int | None,
    verdict: ExampleAnswer,
) -> ObservedPredictor:
    """Complete an observation with the gateway's weight and the answer to the example."""
    fields = {**fields, "transient": verdict.transient or fields.get("transient", False)}
    return ObservedPredictor(
        **fields,
        live_weight=weight,
        port=port,
        example=verdict.state,
        example_message=verdict.message,
        example_hint=verdict.hint,
    )


def _is_transient(state: Mapping[str, Any]) -> bool:
    """Decide whether the cause may pass: memory, a death without a traceback, the broker.

    A model that reports a traceback for its failed load would fail the same way again.
    """
    reason = state.get("reason")
    if reason == Reason.LOAD_ERROR:
        return not state.get("traceback_id")
    return reason in (Reason.OUT_OF_MEMORY, Reason.CRASH_LOOP) or reason in OF_A_BROKER


def _preparing(prepared: LocalPrepared | None, now: float) -> dict[str, Any]:
    if prepared is None or prepared.phase is Phase.READY:  # only the process is missing
        return {"phase": Phase.ABSENT, "since": now}
    if prepared.error:
        return {
            "phase": Phase.FAILED,
            "since": prepared.since,
            "reason": prepared.error.reason,
            "message": prepared.error.message,
            "hint": prepared.error.hint,
            "transient": prepared.error.transient,
        }
    return {"phase": prepared.phase, "since": prepared.since}
