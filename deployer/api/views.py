"""Convert the controller's objects into the JSON answers of the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from deployer.api import rollout
from deployer.api.schema import deployments, plans
from deployer.api.times import iso_time
from deployer.config.settings import Settings
from deployer.operator.queries import RegistryReport
from deployer.plan.preview import Node, ObjectChange, Preview
from deployer.spec.resolve import notes
from deployer.state.observed import ObservedPredictor
from deployer.state.predictor import Phase, Predictor
from deployer.state.record import Record
from deployer.status.conditions import conditions
from deployer.status.verdict import FAILING, Status
from deployer.targets.base import PreflightCheck


def deployment(status: Status, settings: Settings) -> deployments.Deployment:
    """Build the full answer about a deployment; the settings give the kind of its target."""
    record, wanted, verdict = status.record, status.wanted, status.verdict
    spec = wanted.champion or record.champion
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
            "since": iso_time(wanted.since),
        }
        if wanted.version
        else None,
        "serving": {"version": str(record.champion.version.number)} if record.champion else None,
        "predictors": _predictors(record, status.observed.predictors),
        "losing": [
            {
                "version": str(one.version.number),
                "via": one.via,
                "message": one.message,
                "touched_at": iso_time(one.touched_at),
            }
            for one in wanted.losing
        ],
        "paused": {"by": pause.by, "at": iso_time(pause.at), "reason": pause.reason}
        if pause
        else None,
        "rollout": rollout.view(record, status.observed.verdict),
        "conditions": [
            {"type": one.kind, "status": one.value, "reason": one.reason, "message": one.message}
            for one in conditions(status)
        ],
        "observed_at": iso_time(status.observed.at),
        "changed_at": iso_time(status.changed_at),
        "retry_at": iso_time(_retry_at(status)),
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


def plan(status: Status, rendered: Preview | None) -> plans.Plan:
    """Build a deployment's plan as of now; without its rendered objects it has no digest."""
    found = outline(status)
    return {
        **found,
        "pending": found["pending"] or bool(rendered and rendered.pending),
        "digest": status.plan.digest(rendered) if rendered else "",
        "objects": [_object(each) for each in rendered.objects] if rendered else [],
        "unknown": list(rendered.unknown) if rendered else [],
    }


def outline(status: Status) -> plans.Outline:
    """Build a deployment's plan as of the last pass."""
    held = status.plan.held_by
    reason: plans.Hold | None = (
        {"reason": held.reason, "message": held.message, "hint": held.hint} if held else None
    )
    changes: list[Any] = [asdict(change) for change in status.plan.changes]
    return {
        "deployment": status.record.id,
        "changes": changes,
        "pending": status.plan.pending,
        "unsafe": reason if held and held.unsafe else None,
        "held_by": reason,
    }


def diff(status: Status, rendered: Preview) -> plans.Diff:
    """Build the list of objects that a plan would change."""
    found = plan(status, rendered)
    return {
        "deployment": status.record.id,
        "model": status.record.model,
        "environment": status.record.environment,
        "digest": found["digest"],
        "objects": found["objects"],
        "unknown": found["unknown"],
    }


def _object(change: ObjectChange) -> plans.ObjectChange:
    return {
        "action": change.act.value,
        "kind": change.kind,
        "name": change.name,
        "namespace": change.namespace,
        "why": change.why,
        "fields": [
            {"path": field.path, "before": field.was, "after": field.wanted}
            for field in change.fields
        ],
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


def registry(report: RegistryReport) -> deployments.Registry:
    """Build the answer about the health of the registry."""
    health = report.health
    listed = health.listed_at
    return {
        "url": report.url,
        "state": health.state,
        "reason": health.reason,
        "message": health.message,
        "next_step": health.next_step,
        "listed_at": iso_time(listed),
        "age_seconds": round(report.now - listed, 3) if listed is not None else None,
        "models": report.models,
        "webhooks": health.webhooks,
    }


def environments(settings: Settings, held: Mapping[str, str]) -> list[deployments.Environment]:
    """List the platform's environments; `held_by` names another platform that serves one."""
    found: list[Any] = [
        {"name": name, **environment.model_dump(mode="json"), "held_by": held.get(name)}
        for name, environment in settings.environments.items()
    ]
    return found


def _predictors(
    record: Record, observed: Mapping[str, ObservedPredictor]
) -> list[deployments.Predictor]:
    return [
        {
            "name": name,
            "version": str(seen.predictor.version.number),
            "runtime": seen.predictor.spec.runtime,
            "role": str(seen.predictor.role),
            "weight": seen.live_weight,
            "phase": _phase(record, name, seen),
            "since": iso_time(seen.since),
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


def _phase(record: Record, name: str, seen: ObservedPredictor) -> str:
    if name not in record.leaving or seen.phase is not Phase.READY:
        return str(seen.phase)
    return "standby" if name in record.warm else "draining"


def _spec(predictor: Predictor) -> dict[str, deployments.SpecField]:
    return {
        name: {"value": value, "origin": predictor.origins.get(name, "default")}
        for name, value in _leaves(predictor.spec.model_dump(mode="json"))
    }


def _notes(predictor: Predictor, settings: Settings, environment: str) -> list[str]:
    known = settings.environments.get(environment)
    asks = settings.prometheus.url is not None
    return list(notes(predictor.spec, known.target, prometheus=asks)) if known else []


def _node(node: Node) -> plans.Node:
    return {
        "kind": node.kind,
        "name": node.name,
        "status": node.status,
        "ready": node.ready,
        "detail": node.detail,
        "trouble": node.problem,
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


def clusters(
    found: Iterable[tuple[str, Sequence[PreflightCheck]]],
) -> list[deployments.ClusterChecks]:
    """Build the answer about the preflight checks of each cluster."""
    return [
        {
            "name": name,
            "checks": [
                {"name": one.name, "level": one.level, "message": one.message, "mend": one.fix}
                for one in checks
            ],
        }
        for name, checks in found
    ]
