"""Plan the ordered changes from the observation to the goal of a deployment, with reasons.

A plan is a guarded value: `raise_if_unsafe` refuses a plan that an operator must confirm. The
digest covers the goal and the objects rendered for it, so that the plan applied is the plan
reviewed, however far the rollout is by then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from deployer import hints
from deployer.errors import TooManyRetirements, UnsafePlan, reason_of
from deployer.plan.preview import Preview, digest_of
from deployer.state.deployment import Deployment, Policy, WeightedPredictor
from deployer.state.observed import Observed
from deployer.state.predictor import ExampleState, Phase, Predictor
from deployer.state.reasons import Reason, Sync
from deployer.state.record import Record


@dataclass(frozen=True, slots=True)
class Change:
    """An action on a predictor (or on the route), with its reason."""

    action: str
    predictor: str
    version: str
    why: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """The reason why a plan is not carried out now; `unsafe` if an operator has to confirm it."""

    reason: str
    message: str
    hint: str
    unsafe: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes from the observation to the goal of a deployment, in the order of execution.

    Attributes:
        changes: Start and restart, ask, route, then retire.
        goal: The deployment at the end of the rollout.
        held_by: The reason why the plan is not carried out now, if there is one.
    """

    changes: tuple[Change, ...]
    goal: Deployment
    held_by: Hold | None = None

    @property
    def pending(self) -> bool:
        """Whether the plan has any change."""
        return bool(self.changes)

    def digest(self, rendered: Preview) -> str:
        """Compute the digest of the goal with the objects rendered for it."""
        shares = [[one.predictor.digest, one.weight] for one in self.goal.predictors]
        return digest_of([self.goal.id, shares, sorted(self.goal.restart), rendered.digest])


@dataclass(frozen=True, slots=True)
class Retirements:
    """The number of simultaneous retirements: champions without a promotion, or just retired."""

    going: int
    deployments: int

    def exceed(self, policy: Policy) -> bool:
        """Return whether both the number and the share of retirements exceed the policy."""
        share = policy.max_retirement_share * self.deployments
        return self.going > policy.max_retirements and self.going > share


def goal(
    champion: Predictor | None, observed: Observed, following: Deployment, record: Record
) -> Deployment:
    """Return the deployment at the end of the rollout, if every step succeeds and nothing holds it.

    Args:
        champion: The champion that the rollout leads to.
        observed: The predictors that run now.
        following: The next deployment of the rollout.
        record: The record of that next deployment.
    """
    ask: frozenset[str] = frozenset()
    if champion and champion != record.champion and champion.spec.rollout.example != "skip":
        seen = observed.predictors.get(champion.name)
        if seen is None or seen.example is not ExampleState.PASSED:
            ask = frozenset({champion.name})
    pin = record.artifacts.get(champion.version.key, "") if champion else ""
    weighted = (WeightedPredictor(replace(champion, artifact=pin), 100),) if champion else ()
    return replace(following, predictors=weighted, ask=ask)


def make(observed: Observed, target: Deployment, held_by: Hold | None = None) -> Plan:
    """List the changes between the observation and the goal of a deployment.

    Args:
        observed: The predictors that run, and the weights that the gateway serves.
        target: The deployment that should exist in the end.
        held_by: The reason why nothing is changed now, if there is one.
    """
    changes: list[Change] = []
    wanted = {weighted.predictor.name: weighted for weighted in target.predictors}
    for name, weighted in wanted.items():
        seen = observed.predictors.get(name)
        version = str(weighted.predictor.version.number)
        if seen is None or seen.phase is Phase.ABSENT:
            why = f"version {version} is to be served and does not run"
            changes.append(Change("start", name, version, why, None, {"digest": _short(weighted)}))
        elif name in target.restart:
            why = f"it gave up ({seen.reason}) and its backoff has passed"
            changes.append(Change("restart", name, version, why))
        if name in target.ask:
            why = "it gets traffic only once it has answered the model's own example"
            changes.append(Change("ask", name, version, why))
    before = {n: s.live_weight for n, s in sorted(observed.predictors.items()) if s.live_weight}
    after = {n: s.weight for n, s in sorted(wanted.items()) if s.weight}
    if before != after and not observed.gateway_error:
        champion = next((s for s in target.predictors if s.weight), None)
        version = str(champion.predictor.version.number) if champion else ""
        why = f"traffic goes to version {version}" if champion else "nothing is to be served"
        changes.append(Change("route", "", version, why, before, after))
    for name, seen in sorted(observed.predictors.items()):
        if name not in wanted:
            version = str(seen.predictor.version.number)
            why = _why_retired(target, seen.phase)
            changes.append(Change("retire", name, version, why))
    return Plan(tuple(changes), target, held_by)


def raise_if_unsafe(record: Record, retirements: Retirements, policy: Policy) -> None:
    """Refuse to retire a champion if an operator has to confirm that.

    Raises:
        TooManyRetirements: Too many champions would retire at the same time, and no operator
            allowed it.
    """
    if retirements.exceed(policy) and not record.allow_retire:
        raise TooManyRetirements(
            f"{retirements.going} of {retirements.deployments} deployments have nothing promoted "
            f"at the same time; at most {policy.max_retirements} (or "
            f"{policy.max_retirement_share:.0%}) are retired without confirmation.",
            f"If this is meant: {hints.deploy('apply', record, '--allow-retire')}",
        )


def held_by(record: Record, refused: UnsafePlan | None, *, frozen: str) -> Hold | None:
    """Return the reason why nothing is changed now; None without one.

    Args:
        record: The deployment's record, with an operator's pause.
        refused: The error that refused a retirement.
        frozen: The reason why the registry is not believed; empty if it is.
    """
    if refused:
        return Hold(reason_of(refused), refused.message, refused.hint, unsafe=True)
    if record.pause:
        return Hold(Reason.PAUSED, f"{record.pause.by} paused it.", hints.deploy("resume", record))
    if frozen:
        return Hold(Sync.FROZEN, frozen, "schnitzel status")
    return None


def _short(weighted: WeightedPredictor) -> str:
    return weighted.predictor.digest[:12]


def _why_retired(target: Deployment, phase: Phase) -> str:
    if not target.predictors:
        return "nothing is promoted, and that has lasted"
    if phase is Phase.FAILED:
        return "it failed, and another version serves"
    return "another version serves then, and no request reaches it any more"
