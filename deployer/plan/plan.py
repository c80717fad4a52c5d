"""Plan the ordered changes from the observation to the goal of a deployment, with reasons.

A plan is a guarded value: `raise_if_unsafe` refuses a plan that an operator must confirm. The
digest covers the goal and the objects rendered for it, so that the plan applied is the plan
reviewed, however far the rollout is by then.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from deployer import hints
from deployer.errors import TooManyRetirements, UnsafePlan, reason_of
from deployer.plan.preview import ObjectChange, Preview, digest_of
from deployer.state.deployment import Deployment, Policy, Wanted, WeightedPredictor
from deployer.state.observed import Observed
from deployer.state.predictor import ExampleState, Phase
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
class Plan:
    """The changes from the observation to the goal of a deployment, in the order of execution.

    Attributes:
        deployment: The deployment's id.
        changes: Start and restart, ask, route, then retire.
        retires_champion: Whether no predictor would be left to serve.
        goal: The deployment at the end of the rollout.
    """

    deployment: str
    changes: tuple[Change, ...]
    retires_champion: bool
    goal: Deployment

    @property
    def pending(self) -> bool:
        """Whether the plan has any change."""
        return bool(self.changes)


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
    wanted: Wanted, observed: Observed, following: Deployment, record: Record, waiting: str
) -> Deployment:
    """Return the deployment at the end of the rollout, if every step succeeds.

    Args:
        wanted: The version and spec that the registry asks for.
        observed: The predictors that run now.
        following: The next deployment of the rollout.
        record: The record of that next deployment.
        waiting: The event that the rollout waits for; without a candidate, its turn.
    """
    champion = record.candidate.predictor if record.candidate else record.serving
    if waiting and record.candidate is None:
        champion = wanted.champion
    ask: frozenset[str] = frozenset()
    if champion and champion != record.serving and champion.spec["rollout"]["example"] != "skip":
        seen = observed.predictors.get(champion.name)
        if seen is None or seen.example is not ExampleState.PASSED:
            ask = frozenset({champion.name})
    pin = record.artifacts.get(champion.version.key, "") if champion else ""
    weighted = (WeightedPredictor(replace(champion, artifact=pin), 100),) if champion else ()
    return replace(following, predictors=weighted, ask=ask)


def make(observed: Observed, target: Deployment, *, retiring: bool) -> Plan:
    """List the changes between the observation and the goal of a deployment.

    Args:
        observed: The predictors that run, and the weights that the gateway serves.
        target: The deployment that should exist in the end.
        retiring: Whether the next step retires the champion without a successor.
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
    return Plan(target.id, tuple(changes), retiring, target)


def raise_if_unsafe(plan: Plan, record: Record, retirements: Retirements, policy: Policy) -> None:
    """Refuse a plan that an operator has to confirm.

    Raises:
        TooManyRetirements: Too many champions would retire at the same time, and no operator
            allowed it.
    """
    if plan.retires_champion and retirements.exceed(policy) and not record.allow_retire:
        raise TooManyRetirements(
            f"{retirements.going} of {retirements.deployments} deployments have nothing promoted "
            f"at the same time; at most {policy.max_retirements} (or "
            f"{policy.max_retirement_share:.0%}) are retired without a person's word.",
            f"If this is meant: {hints.deploy('apply', record, '--allow-retire')}",
        )


def describe(plan: Plan, refused: UnsafePlan | None = None) -> dict[str, Any]:
    """Convert a plan to JSON-ready values, without its rendered objects and so without a digest."""
    return {
        "deployment": plan.deployment,
        "changes": [asdict(change) for change in plan.changes],
        "pending": plan.pending,
        "unsafe": refused
        and {"reason": reason_of(refused), "message": refused.message, "hint": refused.hint},
    }


def reviewable(plan: Plan, refused: UnsafePlan | None, rendered: Preview) -> dict[str, Any]:
    """Convert a plan to JSON-ready values, with the objects that would change and its digest.

    Args:
        plan: The plan.
        refused: The reason why the plan waits for an operator, if it does.
        rendered: The changes of the plan's goal in its target.
    """
    described = describe(plan, refused)
    return described | {
        "pending": plan.pending or rendered.pending,
        "digest": digest_of([*_goal_parts(plan.goal), rendered.digest]),
        "objects": [_object(each) for each in rendered.objects],
        "unknown": list(rendered.unknown),
    }


def _object(change: ObjectChange) -> dict[str, Any]:
    return {
        "action": str(change.act),
        "kind": change.kind,
        "name": change.name,
        "namespace": change.namespace,
        "why": change.why,
        "fields": [
            {"path": field.path, "before": field.was, "after": field.wanted}
            for field in change.fields
        ],
    }


def _short(weighted: WeightedPredictor) -> str:
    return weighted.predictor.digest[:12]


def _why_retired(target: Deployment, phase: Phase) -> str:
    if not target.predictors:
        return "nothing is promoted, and that has lasted"
    if phase is Phase.FAILED:
        return "it failed, and another version serves"
    return "another version serves then, and no request reaches it any more"


def _goal_parts(target: Deployment) -> list[Any]:
    shares = [[weighted.predictor.digest, weighted.weight] for weighted in target.predictors]
    return [target.id, shares, sorted(target.restart)]
