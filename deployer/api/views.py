"""Convert the controller's objects into the JSON answers of the API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from deployer.api.schema import deployments, plans
from deployer.config.settings import Settings
from deployer.plan.preview import Node
from deployer.registry.watch import Health
from deployer.spec.resolve import ServingSpec, notes
from deployer.spec.runtimes import runtime_name
from deployer.state.observed import ObservedPredictor
from deployer.state.predictor import Phase, Predictor
from deployer.state.record import Record
from deployer.status.verdict import State, Status
from deployer.targets.base import HasPreflight, Target

FAILING = (State.DEGRADED, State.FAILED)


def moment(seconds: float | None) -> str | None:
    """Format a time as ISO 8601 in UTC, with milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def deployment(status: Status, settings: Settings) -> deployments.Deployment:
    """Build the full answer about a deployment; the settings give the kind of its target."""
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
            {
                "version": str(one.version.number),
                "via": one.via,
                "message": one.message,
                "touched_at": moment(one.touched_at),
            }
            for one in wanted.losing
        ],
        "paused": {"by": pause.by, "at": moment(pause.at), "reason": pause.reason}
        if pause
        else None,
        "conditions": conditions(status),
        "observed_at": moment(status.observed.at),
        "changed_at": moment(status.changed_at),
        "retry_at": moment(_retry_at(status)),
        "notes": _notes(spec, settings, record.environment) if spec else [],
        "spec": _spec(spec) if spec else {},
    }


def _retry_at(status: Status) -> float | None:
    """Return when the controller retries the broken pass, else the failed version."""
    if status.verdict.state not in FAILING:
        return None
    champion = status.wanted.champion
    failure = status.record.failures.get(champion.digest) if champion else None
    return status.retry_at or (failure.retry_at if failure else None)


def plan(status: Status) -> plans.Plan:
    """Build a deployment's plan as of now; the digest is empty where none could be computed."""
    found: Any = {"digest": "", "objects": [], "unknown": [], **status.plan}
    return found  # type: ignore[no-any-return]  # the plan already has this shape


def outline(status: Status) -> plans.Outline:
    """Build a deployment's plan as of the last pass."""
    found: Any = dict(status.plan)
    return found  # type: ignore[no-any-return]  # likewise


def diff(status: Status) -> plans.Diff:
    """Build the list of objects that a plan would change."""
    found = plan(status)
    return {
        "deployment": status.record.id,
        "model": status.record.model,
        "environment": status.record.environment,
        "digest": found["digest"],
        "objects": found["objects"],
        "unknown": found["unknown"],
    }


def tree(status: Status, root: Node) -> plans.Tree:
    """Build the tree of a deployment's objects."""
    return {
        "deployment": status.record.id,
        "model": status.record.model,
        "environment": status.record.environment,
        "root": _node(root),
    }


def events(rows: list[dict[str, Any]]) -> list[deployments.Event]:
    """Return the rows of the history table as events."""
    found: list[Any] = rows
    return found


def predictors_of(status: Status) -> list[str]:
    """List a deployment's predictors: candidate, serving, desired, then other observed ones."""
    record = status.record
    candidate = record.candidate.predictor if record.candidate else None
    known = [one.name for one in (candidate, record.serving, status.wanted.champion) if one]
    return list(dict.fromkeys([*known, *sorted(status.observed.predictors)]))


def conditions(status: Status) -> list[deployments.Condition]:
    """Express the verdict and the observed state as Kubernetes conditions."""
    verdict, record = status.verdict, status.record
    answering = [
        str(seen.predictor.version.number)
        for seen in status.observed.predictors.values()
        if seen.phase is Phase.READY and seen.live_weight > 0
    ]
    cause = (verdict.reason, verdict.message)
    ready = ("Answering", f"Version {' and '.join(sorted(answering))} answers.")
    moving = record.candidate is not None or verdict.state is State.PROGRESSING
    degraded = verdict.state in FAILING
    return [
        _condition("Ready", bool(answering), *(ready if answering else cause)),
        _condition("Progressing", moving, *(cause if moving else ("Settled", ""))),
        _condition("Degraded", degraded, *(cause if degraded else ("AsExpected", ""))),
        _condition("InSync", status.sync == "InSync", status.sync, ""),
    ]


def registry(health: Health, url: str, models: int, now: float) -> deployments.Registry:
    """Build the answer about the health of the registry."""
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


def environments(settings: Settings, held: Mapping[str, str]) -> list[deployments.Environment]:
    """List the platform's environments; `held_by` names another platform that serves one."""
    found: list[Any] = [
        {"name": name, **environment.model_dump(mode="json"), "held_by": held.get(name)}
        for name, environment in settings.environments.items()
    ]
    return found


def _condition(
    kind: Literal["Ready", "Progressing", "Degraded", "InSync"],
    holds: bool,
    reason: str,
    message: str,
) -> deployments.Condition:
    return {
        "type": kind,
        "status": "True" if holds else "False",
        "reason": reason,
        "message": message,
    }


def _predictors(
    record: Record, observed: Mapping[str, ObservedPredictor]
) -> list[deployments.Predictor]:
    return [
        {
            "name": name,
            "version": str(seen.predictor.version.number),
            "runtime": runtime_name(seen.predictor.spec),
            "role": str(seen.predictor.role),
            "weight": seen.live_weight,
            "phase": "draining"
            if name in record.leaving and seen.phase is Phase.READY
            else str(seen.phase),
            "since": moment(seen.since),
            "example": str(seen.example),
            "reason": seen.reason,
            "message": seen.message or seen.python,
            "pid": seen.pid,
            "port": seen.port,
            "replicas": seen.replicas,
            "replicas_ready": seen.replicas_ready,
        }
        for name, seen in sorted(observed.items())
    ]


def _spec(predictor: Predictor) -> dict[str, deployments.SpecField]:
    return {
        name: {"value": value, "origin": predictor.origins.get(name, "default")}
        for name, value in _leaves(predictor.spec)
    }


def _notes(predictor: Predictor, settings: Settings, environment: str) -> list[str]:
    known = settings.environments.get(environment)
    if known is None or not predictor.spec:
        return []
    return list(_notes_on(json.dumps(predictor.spec, sort_keys=True), known.target))


@lru_cache(maxsize=4096)
def _notes_on(spec: str, target: str) -> tuple[str, ...]:
    """Return the notes on a spec, cached because many deployments share a spec."""
    return tuple(notes(ServingSpec.model_validate_json(spec), target))


def _node(node: Node) -> plans.Node:
    return {
        "kind": node.kind,
        "name": node.name,
        "status": node.status,
        "ready": node.ready,
        "detail": node.detail,
        "trouble": node.trouble,
        "children": [_node(child) for child in node.children],
    }


def _leaves(fields: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in fields.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found


def clusters(targets: Iterable[Target]) -> list[deployments.ClusterChecks]:
    """Run the preflight checks of every cluster now."""
    found: list[deployments.ClusterChecks] = []
    for target in targets:
        if not isinstance(target, HasPreflight):
            continue
        checks: list[deployments.Check] = [
            {"name": one.name, "level": one.level, "message": one.message, "mend": one.mend}
            for one in target.check()
        ]
        found.append({"name": target.name, "checks": checks})
    return found
