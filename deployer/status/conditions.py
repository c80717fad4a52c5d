"""Express a status as conditions, as the API and `kubectl` show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deployer.state.predictor import Phase
from deployer.state.reasons import State, Sync
from deployer.status.verdict import FAILING, Status

Kind = Literal["Ready", "Progressing", "Degraded", "InSync"]


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a deployment: whether it holds, with a reason and a sentence."""

    kind: Kind
    holds: bool
    reason: str
    message: str = ""

    @property
    def value(self) -> Literal["True", "False"]:
        """The condition's value as Kubernetes writes it."""
        return "True" if self.holds else "False"


def conditions(status: Status) -> tuple[Condition, ...]:
    """Return the conditions of a deployment.

    Ready: a version answers requests. Progressing: a rollout or a restart is under way. Degraded:
    something has failed. InSync: the champion is the wanted predictor.
    """
    verdict = status.verdict
    cause = (verdict.reason or verdict.state.value, verdict.message)
    answering = _answering(status)
    moving = status.record.candidate is not None or verdict.state is State.PROGRESSING
    degraded = verdict.state in FAILING
    return (
        Condition("Ready", bool(answering), *(("Answering", answering) if answering else cause)),
        Condition("Progressing", moving, *(cause if moving else ("Settled",))),
        Condition("Degraded", degraded, *(cause if degraded else ("AsExpected",))),
        Condition("InSync", status.sync is Sync.IN_SYNC, status.sync.value),
    )


def _answering(status: Status) -> str:
    """Name the versions that answer requests; "" if none does."""
    numbers = sorted(
        seen.predictor.version.number
        for seen in status.observed.predictors.values()
        if seen.phase is Phase.READY and seen.live_weight > 0
    )
    return f"Version {' and '.join(map(str, numbers))} answers." if numbers else ""
