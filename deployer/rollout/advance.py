"""Decide the next step of a rollout.

A new predictor starts at weight 0, becomes ready, answers the model's own example, and takes
traffic step by step (each step confirmed at the gateway). Only then is the old predictor drained
and retired. A failure on the way leaves the old predictor serving. `advance` is pure and is called
again and again: each call takes the step that is possible now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from deployer.errors import ExampleRefused
from deployer.rollout import maintain
from deployer.state.deployment import Deployment, Policy, Wanted, WeightedPredictor
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import ExampleState, Phase, Predictor
from deployer.state.reasons import Reason
from deployer.state.record import Candidate, Failure, Record

_GONE_WRONG = (Phase.FAILED, Phase.ABSENT)
_BEGINNING = (Phase.ABSENT, Phase.STARTING)


@dataclass(frozen=True, slots=True)
class Step:
    """The next deployment and record, and the latest time of the next pass.

    Attributes:
        deployment: The predictors and weights that should exist now.
        record: The record to save before anything is applied.
        waiting: The event that the rollout waits for, as a clause; empty when it waits for none.
        settled: False while a rollout or a drain is under way; its passes are frequent.
        wake_at: The latest time of the next pass, in seconds since the epoch; None for no limit.
    """

    deployment: Deployment
    record: Record
    waiting: str
    settled: bool
    wake_at: float | None


def advance(
    wanted: Wanted,
    observed: Observed,
    record: Record,
    policy: Policy,
    now: float,
    *,
    may_start: bool = True,
    hold: bool = False,
) -> Step:
    """Take a deployment one step further.

    Args:
        wanted: The version and spec that the registry asks for.
        observed: The predictors that run, and the weights that the gateway serves.
        record: The deployment's record, after `promotions.update`.
        policy: Times and backoff.
        now: Seconds since the epoch.
        may_start: False while too many other rollouts are under way.
        hold: True while nothing may be changed. The champion is still kept alive, and a candidate
            that breaks under traffic still gives its traffic back.
    """
    record = maintain.adopt(record, observed)
    hold = hold or record.pause is not None
    waiting = ""
    ask: frozenset[str] = frozenset()
    if wanted.retire and not hold:
        record = maintain.retire(record, now)
    record = _give_back(record, observed, policy, now)
    if not hold:
        record, waiting = _choose(record, wanted, now, may_start=may_start)
    # After `_choose`, because the candidate that it gave up may be the only one that answers.
    record = maintain.roll_back(record, observed, now)
    if record.candidate and not hold:
        record, waiting, ask = _pursue(record, observed, policy, now)
    record, restart = maintain.restart_failed(record, observed, policy, now)
    record = maintain.finish_drains(record, observed, now)
    predictors = _weighted(record)
    deployment = Deployment(record.id, record.model, record.environment, predictors, ask, restart)
    moving = record.candidate is not None and not hold
    settled = not moving and not record.draining
    return Step(deployment, record, waiting, settled, _wake_at(record, policy, now))


def weight(candidate: Candidate) -> int:
    """Return the share of the traffic, in percent, that a candidate should have now."""
    return _steps(candidate.predictor)[candidate.step] if candidate.step >= 0 else 0


def _choose(record: Record, wanted: Wanted, now: float, *, may_start: bool) -> tuple[Record, str]:
    """Choose the candidate of the rollout, if there should be a rollout."""
    target, serving, candidate = wanted.champion, record.serving, record.candidate
    relevant = {p.digest for p in (target, serving) if p}
    failures = {d: f for d, f in record.failures.items() if d in relevant}
    record = replace(record, failures=failures)
    if target is None or (serving and serving.digest == target.digest):
        return _abandon(record), ""
    failure = failures.get(target.digest)
    if failure and (failure.retry_at is None or now < failure.retry_at):
        return _abandon(record), ""
    if candidate and candidate.predictor.digest == target.digest:
        return record, ""
    record = _abandon(record)
    if not may_start:
        return record, "other rollouts are under way; it starts when one of them ends"
    # A candidate that still drains goes on draining until it gets a share again: if it is given up
    # before that, it may have requests left.
    return replace(record, candidate=Candidate(target, since=now)), ""


def _abandon(record: Record) -> Record:
    """Give up the candidate; drain a candidate that may have taken traffic, do not just end it."""
    candidate = record.candidate
    if candidate is None:
        return record
    if candidate.step >= 0:
        record = maintain.begin_drain(record, candidate.predictor)
    return replace(record, candidate=None)


def _give_back(record: Record, observed: Observed, policy: Policy, now: float) -> Record:
    """Take the traffic away from a candidate that cannot answer.

    A candidate that restarts together with the champion, as after a reboot, has not failed.
    """
    candidate = record.candidate
    seen = observed.predictors.get(candidate.predictor.name) if candidate else None
    if candidate is None or candidate.step < 0 or seen is None:
        return record
    old = observed.predictors.get(record.serving.name) if record.serving else None
    if seen.phase in _BEGINNING and old and old.phase in _BEGINNING:
        record = maintain.begin_drain(record, candidate.predictor)
        return replace(record, candidate=replace(candidate, step=-1, step_since=None))
    if failure := _failure(candidate, seen, now):
        return _fail(record, candidate, seen, failure, policy, now)
    return record


def _pursue(
    record: Record, observed: Observed, policy: Policy, now: float
) -> tuple[Record, str, frozenset[str]]:
    """Take the candidate as far as the observation allows."""
    nothing: frozenset[str] = frozenset()
    candidate = record.candidate
    assert candidate is not None  # noqa: S101 - the caller checked
    predictor = candidate.predictor
    seen = observed.predictors.get(predictor.name)
    if seen is None or seen.phase is Phase.ABSENT:
        return record, "its start", nothing
    if failure := _failure(candidate, seen, now):
        return _fail(record, candidate, seen, failure, policy, now), "", nothing
    if seen.artifact_digest:
        record = _pin(record, predictor, seen.artifact_digest)
    if seen.phase is not Phase.READY:
        return record, _PROGRESS.get(seen.phase, "it to be ready"), nothing
    if predictor.spec["rollout"]["example"] != "skip" and candidate.step < 0:
        if seen.example is ExampleState.UNASKED:
            return record, "its answer to the model's own example", frozenset({predictor.name})
        if seen.example is ExampleState.ASKED:
            return record, "its answer to the model's own example", nothing
    return _shift(record, candidate, seen, observed, now), "the gateway to shift traffic", nothing


_PROGRESS = {
    Phase.FETCHING: "its artifact to be fetched",
    Phase.BUILDING: "its environment to be built",
    Phase.STARTING: "the model to load",
}


def _failure(candidate: Candidate, seen: ObservedPredictor, now: float) -> Failure | None:
    spec = candidate.predictor.spec["rollout"]
    version = candidate.predictor.version.number
    if seen.phase is Phase.FAILED:
        return Failure(seen.reason, seen.message, seen.hint, now)
    if candidate.step >= 0 and seen.phase is not Phase.READY:
        message = f"Version {version} stopped being ready while traffic was shifted to it."
        why = f" {seen.message}" if seen.message else ""
        return Failure(seen.reason or Reason.NOT_READY, message + why, seen.hint, now)
    waited = now - max(seen.since, candidate.since)
    if seen.phase in (Phase.STARTING, Phase.UNREADY) and waited > spec["ready_timeout"]:
        if seen.reason:
            text = f"{seen.message.rstrip('.')}, for longer than {spec['ready_timeout']:g} s."
            return Failure(seen.reason, text, seen.hint, now)
        message = (
            f"Version {version} was not ready within {spec['ready_timeout']:g} s of its start."
        )
        hint = "Raise rollout.ready_timeout in serving.yaml, or look at why it loads so slowly."
        return Failure(Reason.NOT_READY_IN_TIME, message, hint, now)
    if seen.example is ExampleState.REFUSED and spec["example"] != "skip":
        hint = seen.example_hint or "Log it again with an example that its signature accepts."
        return Failure(ExampleRefused.reason, seen.example_message, hint, now)
    return None


def _fail(
    record: Record,
    candidate: Candidate,
    seen: ObservedPredictor,
    failure: Failure,
    policy: Policy,
    now: float,
) -> Record:
    """Give up a candidate for a failure, and set when to retry the candidate, if at all."""
    predictor = candidate.predictor
    failure = maintain.with_backoff(
        record.failures.get(predictor.digest), failure, policy, predictor, now
    )
    # A candidate that broke under traffic cost requests: it waits for an operator, unless the cause
    # was not the candidate's.
    if not seen.transient or (candidate.step >= 0 and seen.phase is Phase.FAILED):
        failure = replace(failure, retry_at=None)
    return replace(_abandon(record), failures={**record.failures, predictor.digest: failure})


def _pin(record: Record, predictor: Predictor, digest: str) -> Record:
    key = predictor.version.key
    if key in record.artifacts:
        return record
    return replace(record, artifacts={**record.artifacts, key: digest})


def _shift(
    record: Record, candidate: Candidate, seen: ObservedPredictor, observed: Observed, now: float
) -> Record:
    """Shift the next step of traffic once the last step is live and has lasted.

    Without a healthy predictor to share the traffic with, all traffic is shifted at once.
    """
    predictor = candidate.predictor
    steps = _steps(predictor)
    old = observed.predictors.get(record.serving.name) if record.serving else None
    step = candidate.step
    since: float | None = None
    if old is None or old.phase in _GONE_WRONG:
        step = len(steps) - 1
    elif step < 0:
        step = 0
    elif seen.live_weight != steps[step] or observed.gateway_error:
        return record
    elif candidate.step_since is None:
        since = now
    elif now - candidate.step_since >= float(predictor.spec["rollout"]["step_seconds"]):
        step += 1
    else:
        return record
    record = maintain.cancel_drain(record, predictor)
    if steps[step] < 100:
        return replace(record, candidate=replace(candidate, step=step, step_since=since))
    if record.serving:
        record = maintain.begin_drain(record, record.serving)
    failures = {d: f for d, f in record.failures.items() if d != predictor.digest}
    return replace(
        record,
        serving=predictor,
        serving_since=now,
        candidate=None,
        failures=failures,
        retired_at=None,
    )


def _steps(predictor: Predictor) -> list[int]:
    steps: list[int] = predictor.spec["rollout"]["steps"]
    return steps


def _weighted(record: Record) -> tuple[WeightedPredictor, ...]:
    shifted = weight(record.candidate) if record.candidate else 0
    shares: dict[str, tuple[Predictor, int]] = {}
    if record.serving:
        shares[record.serving.name] = (record.serving, 100 - shifted)
    if record.candidate:
        predictor = record.candidate.predictor
        shares[predictor.name] = (predictor, shifted)
    for draining in record.draining:
        shares.setdefault(draining.predictor.name, (draining.predictor, 0))
    pins = record.artifacts
    return tuple(
        WeightedPredictor(replace(predictor, artifact=pins.get(predictor.version.key, "")), share)
        for predictor, share in shares.values()
    )


def _wake_at(record: Record, policy: Policy, now: float) -> float | None:
    times = [f.retry_at for f in record.failures.values() if f.retry_at is not None]
    if record.absence and record.serving:
        times.append(record.absence.since + policy.retire_after)
    return min((time for time in times if time > now), default=None)
