"""Maintain the predictors of a deployment beside a rollout.

A serving predictor is adopted where the record was lost, retired where nothing promotes it,
restarted where it gave up, taken back where its successor breaks at once, and drained before it is
removed.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from deployer.state.deployment import Policy
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import Phase, Predictor
from deployer.state.record import Draining, Failure, Record


def adopt(record: Record, observed: Observed) -> Record:
    """Adopt the serving predictor where the record is lost; drain unknown ones with traffic."""
    live = sorted(
        (seen for seen in observed.predictors.values() if seen.live_weight > 0),
        key=lambda seen: (-seen.live_weight, seen.predictor.name),
    )
    if record.serving is None and record.candidate is None and not record.draining and live:
        record = replace(record, serving=live[0].predictor, serving_since=observed.at)
    known = {p.name for p in _known(record)}
    foreign = [Draining(s.predictor) for s in live if s.predictor.name not in known]
    return replace(record, draining=(*record.draining, *foreign)) if foreign else record


def _known(record: Record) -> list[Predictor]:
    own = [record.serving, record.candidate.predictor if record.candidate else None]
    return [p for p in own if p] + [d.predictor for d in record.draining]


def retire(record: Record, now: float) -> Record:
    """Drain the champion and the candidate; the record of them stays."""
    leaving = [p for p in (record.serving, _candidate_predictor(record)) if p]
    if not leaving:
        return record
    for predictor in leaving:
        record = begin_drain(record, predictor)
    return replace(
        record,
        serving=None,
        serving_since=None,
        candidate=None,
        retired_at=now,
        allow_retire=False,
    )


def _candidate_predictor(record: Record) -> Predictor | None:
    return record.candidate.predictor if record.candidate else None


def roll_back(record: Record, observed: Observed, now: float) -> Record:
    """Return to a ready predictor that still drains if its successor breaks at once."""
    serving = record.serving
    if serving is None:
        return record
    seen = observed.predictors.get(serving.name)
    if seen is None or seen.phase is not Phase.FAILED:
        return record
    for old in reversed(record.draining):
        before = observed.predictors.get(old.predictor.name)
        if before and before.phase is Phase.READY:
            failure = Failure(seen.reason, seen.message, seen.hint, now)
            candidate = _candidate_predictor(record)
            same = candidate is not None and candidate.name == old.predictor.name
            return replace(
                begin_drain(cancel_drain(record, old.predictor), serving),
                serving=old.predictor,
                serving_since=now,
                candidate=None if same else record.candidate,
                failures={**record.failures, serving.digest: failure},
            )
    return record


def restart_failed(
    record: Record, observed: Observed, policy: Policy, now: float
) -> tuple[Record, frozenset[str]]:
    """Restart, with backoff, a champion that gave up; clear its failure once it is ready."""
    nothing: frozenset[str] = frozenset()
    serving = record.serving
    seen = observed.predictors.get(serving.name) if serving else None
    if serving is None or seen is None:
        return record, nothing
    failure = record.failures.get(serving.digest)
    if seen.phase is Phase.READY and failure:
        failures = {d: f for d, f in record.failures.items() if d != serving.digest}
        return replace(record, failures=failures), nothing
    if seen.phase is not Phase.FAILED:
        return record, nothing
    if failure is None:
        return _record_failure(record, serving, seen, None, policy, now), nothing
    if failure.retry_at is None or now >= failure.retry_at:
        record = _record_failure(record, serving, seen, failure, policy, now)
        return record, frozenset({serving.name})
    return record, nothing


def _record_failure(
    record: Record,
    serving: Predictor,
    seen: ObservedPredictor,
    before: Failure | None,
    policy: Policy,
    now: float,
) -> Record:
    failure = Failure(seen.reason, seen.message, seen.hint, now)
    failure = with_backoff(before, failure, policy, serving, now)
    return replace(record, failures={**record.failures, serving.digest: failure})


def begin_drain(record: Record, predictor: Predictor) -> Record:
    """Begin to drain a predictor, from the start if it drained before."""
    record = cancel_drain(record, predictor)
    return replace(record, draining=(*record.draining, Draining(predictor)))


def cancel_drain(record: Record, predictor: Predictor) -> Record:
    """Stop draining a predictor, which gets requests again."""
    left = tuple(d for d in record.draining if d.predictor.name != predictor.name)
    return replace(record, draining=left)


def finish_drains(record: Record, observed: Observed, now: float) -> Record:
    """Remove a predictor once the gateway has been without it for its drain time.

    An observation without any predictor is no evidence that a predictor is gone.
    """
    left: list[Draining] = []
    for draining in record.draining:
        seen = observed.predictors.get(draining.predictor.name)
        if seen is None and observed.predictors:
            continue
        if seen is None or observed.gateway_error or seen.live_weight > 0:
            left.append(replace(draining, since=None))
        elif draining.since is None:
            left.append(replace(draining, since=now))
        elif now - draining.since < float(draining.predictor.spec["rollout"]["drain"]):
            left.append(draining)
    return replace(record, draining=tuple(left))


def with_backoff(
    before: Failure | None, failure: Failure, policy: Policy, predictor: Predictor, now: float
) -> Failure:
    """Count a failure and set its backoff, with a jitter derived from the predictor's digest."""
    attempts = before.attempts + 1 if before else 1
    pause = min(policy.retry_most, policy.retry_first * 2.0 ** min(attempts - 1, 30))
    jitter = 0.75 + hashlib.sha256(f"{predictor.digest}{attempts}".encode()).digest()[0] / 512
    return replace(failure, attempts=attempts, retry_at=now + pause * jitter)
