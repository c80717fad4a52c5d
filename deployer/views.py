"""In: what is known of a deployment. Out: JSON-ready values, as the API gives them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from deployer.settings import Settings
from deployer.state import ObservedPredictor, Phase, Predictor, Record
from deployer.status import Status
from deployer.watch import Health


def moment(seconds: float | None) -> str | None:
    """A time in ISO 8601, UTC, with milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def deployment(status: Status) -> dict[str, Any]:
    """Everything that is told of one deployment."""
    record, wanted, verdict = status.record, status.wanted, status.verdict
    spec = wanted.champion or record.serving
    pause = record.pause
    return {
        "id": record.id,
        "model": record.model,
        "environment": record.environment,
        "target": status.target,
        "state": str(verdict.state),
        "reason": verdict.reason,
        "message": verdict.message,
        "next_step": verdict.next_step,
        "sync": status.sync,
        "url": status.url,
        "wanted": {
            "version": str(wanted.version.number),
            "via": wanted.via,
            "since": moment(wanted.since),
        }
        if wanted.version
        else None,
        "serving": {"version": str(record.serving.version.number)} if record.serving else None,
        "predictors": _predictors(record, status.observed.predictors),
        "losing": [
            {"version": str(one.version.number), "via": one.via, "message": one.message}
            for one in wanted.losing
        ],
        "paused": pause and {"by": pause.by, "at": moment(pause.at), "reason": pause.reason},
        "observed_at": moment(status.observed.at),
        "changed_at": moment(status.changed_at),
        "spec": _spec(spec) if spec else {},
    }


def registry(health: Health, url: str, models: int, now: float) -> dict[str, Any]:
    """How well the registry is seen."""
    listed = health.listed_at
    return {
        "url": url,
        "state": health.state,
        "reason": health.reason,
        "message": health.message,
        "next_step": health.next_step,
        "listed_at": moment(listed),
        "age_seconds": round(now - listed, 3) if listed is not None else None,
        "models": models,
        "webhooks": health.webhooks,
    }


def environments(settings: Settings, held: Mapping[str, str]) -> list[dict[str, Any]]:
    """The environments of this platform; `held_by` names another platform that serves one."""
    return [
        {"name": name, **environment.model_dump(mode="json"), "held_by": held.get(name)}
        for name, environment in settings.environments.items()
    ]


def _predictors(record: Record, observed: Mapping[str, ObservedPredictor]) -> list[dict[str, Any]]:
    draining = {d.predictor.name for d in record.draining}
    return [
        {
            "name": name,
            "version": str(seen.predictor.version.number),
            "role": str(seen.predictor.role),
            "weight": seen.live_weight,
            "phase": "draining" if name in draining and seen.phase is Phase.READY else seen.phase,
            "reason": seen.reason,
            "message": seen.message or seen.python,
            "pid": seen.pid,
            "port": seen.port,
        }
        for name, seen in sorted(observed.items())
    ]


def _spec(predictor: Predictor) -> dict[str, Any]:
    flat = dict(_leaves(predictor.spec))
    return {
        name: {"value": value, "origin": predictor.origins.get(name, "default")}
        for name, value in flat.items()
    }


def _leaves(fields: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in fields.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found
