"""Read from MLflow's tags what an operator orders of a rollout: a pause, or its end.

Pure. A tag can only hold a rollout back. That everybody who may write tags could hasten one is not
what a team wants; for that there are commands, which need a token.
"""

from __future__ import annotations

from typing import Final, Literal

from deployer.rollout import candidates
from deployer.state.observed import Observed
from deployer.state.predictor import Predictor
from deployer.state.reasons import Reason
from deployer.state.record import Failure, Record
from deployer.state.registry import RegistrySnapshot, VersionId

Order = Literal["", "pause", "abort"]

TAG: Final = "schnitzel.{}.rollout"


def order_of(snapshot: RegistrySnapshot, version: VersionId, environment: str) -> Order:
    """Return what the tag of a version orders in an environment; "" without an order."""
    model = snapshot.models.get(version.model)
    for row in model.versions if model else ():
        if row.id == version:
            word = row.tags.get(TAG.format(environment), "").strip().lower()
            return "pause" if word == "pause" else "abort" if word == "abort" else ""
    return ""


def held(version: VersionId, environment: str) -> str:
    """Say what a rollout waits for that a tag holds."""
    tag = TAG.format(environment)
    return f"the tag {tag} of version {version.number}, which says pause, to go"


def carry_out(
    record: Record, snapshot: RegistrySnapshot | None, observed: Observed, now: float
) -> tuple[Record, Order]:
    """End the rollout whose version's tag says so; return the order of the tag.

    Args:
        record: The deployment's record.
        snapshot: The registry as last read; None if it orders nothing now.
        observed: The predictors that run.
        now: Seconds since the epoch.
    """
    subject = record.candidate.predictor if record.candidate else record.champion
    if snapshot is None or subject is None:
        return record, ""
    order = order_of(snapshot, subject.version, record.environment)
    return (_abort(record, subject, observed, now) if order == "abort" else record), order


def _abort(record: Record, subject: Predictor, observed: Observed, now: float) -> Record:
    tag, number = TAG.format(record.environment), subject.version.number
    message = f"The tag {tag} of version {number}, which says abort, ended its rollout."
    hint = f"Delete the tag {tag} of version {number} in MLflow, and promote it again or retry it."
    return candidates.end(record, observed, Failure(Reason.ABORTED, message, hint, now), now)
