"""In: supervisord's word on each replica, its state file, its preparation. Out: one observation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deployer.state.deployment import ExampleAnswer, ObservedPredictor, Phase, Predictor
from deployer.state.reasons import Reason
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
    """Judge where a replica is; returns fields of ObservedPredictor.

    Args:
        predictor: Whose replica.
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


def together(replicas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Judge a predictor by its replicas: it is where the one that is furthest behind is.

    Its process is that of the first one.
    """
    ready = sum(1 for one in replicas if one["phase"] is Phase.READY)
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
    """Put what the gateway and the example say beside it."""
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
    """Whether the machine may have been the cause: memory, or a death without a last word.

    A model that says why it cannot be loaded would say the same again.
    """
    reason = state.get("reason")
    if reason == Reason.LOAD_ERROR:
        return not state.get("traceback_id")
    return reason in (Reason.OUT_OF_MEMORY, Reason.CRASH_LOOP)


def _preparing(prepared: LocalPrepared | None, now: float) -> dict[str, Any]:
    if prepared is None or prepared.phase is Phase.READY:  # all is there but the process
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
