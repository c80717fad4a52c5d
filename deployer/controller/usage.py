"""Find the versions whose Python environments must be kept.

These are the versions that serve, roll out or drain; the other promoted versions, one of which
would serve if the winner were archived; and the version that a rollback would return to.
"""

from __future__ import annotations

from collections.abc import Iterator

from deployer.controller.context import ReconcileContext
from deployer.python_env.retention import Need, Needs, Part
from deployer.state.predictor import Predictor
from deployer.state.record import Record
from deployer.state.registry import ModelVersion, RegistrySnapshot, VersionId
from deployer.store.history import History
from deployer.targets.base import HasPythonEnvironments, Target

EVENTS = 1000
"""The events read of a deployment's history; a version that fails for long writes many."""


def of_target(context: ReconcileContext, target: Target | HasPythonEnvironments) -> Needs:
    """Collect the needs of a target's deployments, or the reason why they are unknown."""
    snapshot = context.registry.snapshot
    if snapshot is None:
        return Needs(unknown="the registry was not read yet")
    records, unseen = context.records.survey()
    if any(context.targets[name] is target for name in unseen):
        return Needs(unknown="not all deployments can be seen")
    found: list[Need] = []
    for record in records:
        # Any target may have run an environment that platform.yaml no longer has.
        if context.targets.get(record.environment, target) is target:
            found += _of_record(record, context.history, snapshot)
    return Needs(tuple(found))


def _of_record(record: Record, history: History, snapshot: RegistrySnapshot) -> Iterator[Need]:
    candidate = record.candidate.predictor if record.candidate else None
    draining = [one.predictor for one in record.draining]
    own: list[tuple[Predictor | None, Part]] = [
        (record.serving, "serving"),
        (candidate, "candidate"),
        *((predictor, "draining") for predictor in draining),
    ]
    covered = set()
    for predictor, part in own:
        if predictor is None:
            continue
        covered.add(predictor.version)
        if not predictor.spec.get("image"):
            place = (record.model, record.environment, predictor.version, predictor.source)
            yield Need(*place, part, predictor.name)
    previous = previous_version(record, history)
    marked = {mark.version for mark in record.marks}
    model = snapshot.models.get(record.model)
    for version in model.versions if model else ():
        kept_as = _part(version, marked, previous)
        if kept_as and version.id not in covered:
            yield Need(record.model, record.environment, version.id, version.source, kept_as)


def _part(version: ModelVersion, marked: set[VersionId], previous: int | None) -> Part | None:
    if version.id in marked:
        return "promoted"
    return "previous" if version.id.number == previous else None


def previous_version(record: Record, history: History) -> int | None:
    """Find the version that served before and did not fail; None if there was none."""
    serving = record.serving.version.number if record.serving else None
    left: set[str] = set()
    for event in reversed(history.of(record.id, EVENTS)):
        before = event["from"]
        if event["kind"] != "intent" or before is None:
            continue
        if event["action"] == "fall back":
            left.add(before)
        elif event["action"] in ("shift", "retire") and before not in {str(serving), *left}:
            return int(before)
    return None
