"""Find the versions whose Python environments must be kept.

These are the versions that serve, roll out or drain; the other promoted versions, one of which
would serve if the winner were archived; and the version that a rollback would return to.
"""

from __future__ import annotations

from collections.abc import Iterator

from deployer.controller.context import ReconcileContext
from deployer.python_env.retention import Need, Needs, Part
from deployer.state.record import Record
from deployer.state.registry import RegistrySnapshot
from deployer.targets.base import HasPythonEnvironments, Target


def of_target(context: ReconcileContext, target: Target | HasPythonEnvironments) -> Needs:
    """Collect the needs of a target's deployments, or the reason why they are unknown."""
    snapshot = context.registry.snapshot
    if snapshot is None:
        return Needs(unknown="the registry was not read yet")
    records, unseen = context.records.readable()
    if any(context.targets[name] is target for name in unseen):
        return Needs(unknown="not all deployments can be seen")
    found: list[Need] = []
    for record in records:
        # Any target may have run an environment that platform.yaml no longer has.
        if context.targets.get(record.environment, target) is target:
            found += _of_record(record, snapshot)
    return Needs(tuple(found))


def _of_record(record: Record, snapshot: RegistrySnapshot) -> Iterator[Need]:
    candidate = record.candidate.predictor if record.candidate else None
    draining = [one.predictor for one in record.draining]
    covered = set()
    for predictor in record.every_predictor:
        covered.add(predictor.version)
        if not predictor.spec.image:
            part: Part = "serving"
            if predictor == candidate:
                part = "candidate"
            elif predictor in draining:
                part = "draining"
            place = (record.model, record.environment, predictor.version, predictor.source)
            yield Need(*place, part, predictor.name)
    previous = next((one.version for one in record.former if one.version not in covered), None)
    promoted = {promotion.version for promotion in record.promotions}
    model = snapshot.models.get(record.model)
    for version in model.versions if model else ():
        if version.id not in covered and (version.id in promoted or version.id == previous):
            part = "promoted" if version.id in promoted else "previous"
            yield Need(record.model, record.environment, version.id, version.source, part)
