"""Take the candidate of a rollout from its start to the whole traffic, or give it up."""

from __future__ import annotations

from dataclasses import replace

from deployer.errors import ExampleRefused
from deployer.rollout import maintain, twin
from deployer.rollout.gate import harm, hold_back
from deployer.state.deployment import Policy, Wanted
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import ExampleState, Phase, Predictor
from deployer.state.reasons import OF_A_BROKER, Reason
from deployer.state.record import Candidate, Failure, Record

_GONE_WRONG = (Phase.FAILED, Phase.ABSENT)
_BEGINNING = (Phase.ABSENT, Phase.STARTING)


def destination(record: Record, wanted: Wanted, now: float) -> Predictor | None:
    """Return the champion that the rollout leads to, whether or not it may go on now."""
    target, champion = wanted.champion, record.champion
    if target is None or (champion and champion.digest == target.digest):
        return champion
    failure = record.failures.get(target.digest)
    if failure and (failure.retry_at is None or now < failure.retry_at):
        return champion
    return target


def weight(candidate: Candidate) -> int:
    """Return the share of the traffic, in percent, that a candidate should have now."""
    return candidate.predictor.spec.rollout.weights[candidate.step] if candidate.step >= 0 else 0


def choose(record: Record, wanted: Wanted, now: float, *, may_start: bool) -> tuple[Record, str]:
    """Choose the candidate of the rollout, if there should be a rollout."""
    relevant = {p.digest for p in (wanted.champion, record.champion) if p}
    failures = {d: f for d, f in record.failures.items() if d in relevant}
    record = replace(record, failures=failures)
    target, candidate = destination(record, wanted, now), record.candidate
    if target is None or target is record.champion:
        return abandon(record), ""
    if candidate and candidate.predictor.digest == target.digest:
        return twin.ensure(replace(record, candidate=_guided(candidate, target))), ""
    record = abandon(record)
    if not may_start:
        return record, "other rollouts are under way; it starts when one of them ends"
    # A candidate that still drains goes on draining until it gets a share again: if it is given up
    # before that, it may have requests left.
    return twin.ensure(replace(record, candidate=Candidate(target, since=now))), ""


def _guided(candidate: Candidate, target: Predictor) -> Candidate:
    """Take up another way to get there: the step lasts anew, and so does what it has to show."""
    spec = target.spec
    if spec == candidate.predictor.spec:
        return candidate
    return replace(candidate, predictor=target, step_since=None)


def abandon(record: Record) -> Record:
    """Give up the candidate; drain a candidate that may have taken traffic, do not just end it."""
    candidate = record.candidate
    if candidate is None:
        return record
    if candidate.step >= 0:
        record = maintain.begin_drain(record, candidate.predictor)
    return maintain.drop_candidate(record)


def give_up(record: Record, candidate: Candidate, failure: Failure) -> Record:
    """Give up the candidate for a failure, which the record remembers."""
    failures = {**record.failures, candidate.predictor.digest: failure}
    return replace(abandon(record), failures=failures)


def end(record: Record, observed: Observed, failure: Failure, now: float) -> Record:
    """End the rollout of the candidate, or the bake of the champion; else the same record."""
    if record.candidate:
        return give_up(record, record.candidate, failure)
    if record.standby is None:
        return record
    return maintain.return_to_former(record, observed, failure, now)


def give_back(record: Record, observed: Observed, policy: Policy, now: float) -> Record:
    """Take the traffic away from a candidate that cannot answer, or whose twin cannot.

    A candidate that restarts together with the champion, as after a reboot, has not failed.
    """
    candidate = record.candidate
    seen = observed.predictors.get(candidate.predictor.name) if candidate else None
    if candidate is None or candidate.step < 0 or seen is None:
        return record
    old = observed.predictors.get(record.champion.name) if record.champion else None
    if seen.phase in _BEGINNING and old and old.phase in _BEGINNING:
        return maintain.give_way(record)
    if _awaits_broker(record, seen, observed):
        return record
    if failure := _failure(candidate, seen, observed, now):
        return _fail(record, candidate, seen, failure, policy, now)
    return maintain.give_way(record) if twin.is_away(candidate, observed) else record


def pursue(
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
    if _awaits_broker(record, seen, observed):
        return record, "the broker of its queue", nothing
    if failure := _failure(candidate, seen, observed, now):
        return _fail(record, candidate, seen, failure, policy, now), "", nothing
    if seen.artifact_digest:
        record = _pin(record, predictor, seen.artifact_digest)
    if waiting := _unready(candidate, seen, observed):
        asked = seen.phase is Phase.READY and seen.example is ExampleState.UNASKED
        ask = frozenset({predictor.name}) if asked and _has_to_answer(candidate) else nothing
        return record, waiting, ask
    shifted = _shift(record, candidate, seen, observed, now)
    waiting = "the gateway to shift traffic"
    if shifted is record and seen.live_weight == weight(candidate):
        held = hold_back(candidate, observed, now)
        if isinstance(held, Failure):
            return _fail(record, candidate, seen, held, policy, now), "", nothing
        waiting = held or waiting
    return shifted, waiting, nothing


def _unready(candidate: Candidate, seen: ObservedPredictor, observed: Observed) -> str:
    """Say, as a clause, what a candidate waits for before it may take traffic."""
    if seen.phase is not Phase.READY:
        return _PROGRESS.get(seen.phase, "it to be ready")
    pending = seen.example in (ExampleState.UNASKED, ExampleState.ASKED)
    if pending and _has_to_answer(candidate):
        return "its answer to the model's own example"
    if candidate.step < 0 and candidate.twin and twin.is_away(candidate, observed):
        number = candidate.twin.version.number
        return f"a fresh process of version {number} to compare it with"
    return ""


def _awaits_broker(record: Record, seen: ObservedPredictor, observed: Observed) -> bool:
    """Decide whether the broker keeps a candidate from answering, and the champion as well."""
    champion = observed.predictors.get(record.champion.name) if record.champion else None
    both = (seen, champion) if champion else ()
    return bool(both) and all(
        one.phase is Phase.UNREADY and one.reason in OF_A_BROKER for one in both
    )


def _has_to_answer(candidate: Candidate) -> bool:
    return candidate.step < 0 and candidate.predictor.spec.rollout.example != "skip"


_PROGRESS = {
    Phase.FETCHING: "its artifact to be fetched",
    Phase.BUILDING: "its environment to be built",
    Phase.STARTING: "the model to load",
}


def _failure(
    candidate: Candidate, seen: ObservedPredictor, observed: Observed, now: float
) -> Failure | None:
    rollout = candidate.predictor.spec.rollout
    version = candidate.predictor.version.number
    if seen.phase is Phase.FAILED:
        return Failure(seen.reason, seen.message, seen.hint, now)
    if candidate.step >= 0 and seen.phase is not Phase.READY:
        message = f"Version {version} stopped being ready while traffic was shifted to it."
        why = f" {seen.message}" if seen.message else ""
        return Failure(seen.reason or Reason.NOT_READY, message + why, seen.hint, now)
    waited = now - max(seen.since, candidate.since)
    if seen.phase in (Phase.STARTING, Phase.UNREADY) and waited > rollout.ready_timeout:
        if seen.reason:
            text = f"{seen.message.rstrip('.')}, for longer than {rollout.ready_timeout:g} s."
            return Failure(seen.reason, text, seen.hint, now)
        message = (
            f"Version {version} was not ready within {rollout.ready_timeout:g} s of its start."
        )
        hint = "Raise rollout.ready_timeout in serving.yaml, or look at why it loads so slowly."
        return Failure(Reason.NOT_READY_IN_TIME, message, hint, now)
    if seen.example is ExampleState.REFUSED and rollout.example != "skip":
        hint = seen.example_hint or "Log it again with an example that its signature accepts."
        return Failure(ExampleRefused.reason, seen.example_message, hint, now)
    return harm(candidate, observed, now) or twin.failure(candidate, observed, now)


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
    # was not the candidate's. So does one that was shown to be worse.
    judged = failure.reason == Reason.ROLLED_BACK
    tried = failure.reason == Reason.BASELINE_FAILED or seen.transient
    if judged or not tried or (candidate.step >= 0 and seen.phase is Phase.FAILED):
        failure = replace(failure, retry_at=None)
    return give_up(record, candidate, failure)


def _pin(record: Record, predictor: Predictor, digest: str) -> Record:
    key = predictor.version.key
    if key in record.artifacts:
        return record
    return replace(record, artifacts={**record.artifacts, key: digest})


def _shift(
    record: Record, candidate: Candidate, seen: ObservedPredictor, observed: Observed, now: float
) -> Record:
    """Shift the next step of traffic once the last step is live and has lasted.

    Without a healthy predictor to share the traffic with, all traffic is shifted at once; so it is
    to a predictor that was the champion not long ago, and to one that an operator hurries.
    """
    predictor = candidate.predictor
    steps = predictor.spec.rollout.weights
    old = observed.predictors.get(record.champion.name) if record.champion else None
    step = candidate.step
    since: float | None = None
    returns = step < 0 and _returns(record, candidate, now)
    if old is None or old.phase in _GONE_WRONG or returns or candidate.hurried:
        step = len(steps) - 1
    elif step < 0:
        step = 0
    elif seen.live_weight != steps[step] or observed.gateway_error:
        return record
    elif candidate.step_since is None:
        since = now
    elif hold_back(candidate, observed, now) is None:
        step += 1
    else:
        return record
    record = maintain.cancel_drain(record, predictor)
    if steps[step] < 100:
        return replace(record, candidate=replace(candidate, step=step, step_since=since))
    if record.champion:
        record = maintain.leave(record, now, predictor.spec.rollout.bake)
    failures = {d: f for d, f in record.failures.items() if d != predictor.digest}
    record = replace(maintain.drop_candidate(record), failures=failures, retired_at=None)
    return maintain.crown(record, predictor, now)


def _returns(record: Record, candidate: Candidate, now: float) -> bool:
    """Decide whether a candidate was the champion not long ago, and so takes no steps again."""
    window = candidate.predictor.spec.rollout.return_window
    return any(
        one.digest == candidate.predictor.digest and now - one.until < window
        for one in record.former
    )
