"""Maintain the predictors of a deployment beside a rollout.

A serving predictor is adopted where the record was lost, retired where nothing promotes it,
restarted where it gave up, taken back where its successor breaks at once, and drained before it is
removed.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from deployer.rollout import gate
from deployer.state.deployment import Policy
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import Phase, Predictor, Role
from deployer.state.record import Draining, Failure, FormerChampion, Record

FORMER = 5
"""How many former champions a record keeps."""


def adopt(record: Record, observed: Observed) -> Record:
    """Adopt the serving predictor where the record is lost; drain unknown ones with traffic."""
    live = sorted(
        (seen for seen in observed.predictors.values() if seen.live_weight > 0),
        key=lambda s: (s.predictor.role is Role.TWIN, -s.live_weight, s.predictor.name),
    )
    if record.champion is None and record.candidate is None and not record.draining and live:
        record = crown(record, live[0].predictor, observed.at)
    known = {predictor.name for predictor in record.every_predictor}
    foreign = [Draining(s.predictor) for s in live if s.predictor.name not in known]
    return replace(record, draining=(*record.draining, *foreign)) if foreign else record


def retire(record: Record, now: float) -> Record:
    """Drain the champion and the candidate; the record of them stays."""
    candidate = record.candidate
    if record.champion is None and candidate is None:
        return record
    record = end_bake(record)
    if record.champion:
        record = leave(record, now).with_champion(None)
    if candidate:
        record = begin_drain(record, candidate.predictor)
    return replace(drop_candidate(record), retired_at=now, allow_retire=False)


def give_way(record: Record) -> Record:
    """Give the candidate's share back to the champion; the candidate begins with its first step."""
    candidate = record.candidate
    assert candidate is not None  # noqa: S101 - the caller checked
    record = begin_drain(record, candidate.predictor)
    return replace(record, candidate=replace(candidate, step=-1, step_since=None))


def drop_candidate(record: Record) -> Record:
    """End a rollout: its candidate is none any more, and its twin drains."""
    twin = record.candidate.twin if record.candidate else None
    record = replace(record, candidate=None)
    return begin_drain(record, twin) if twin else record


def crown(record: Record, predictor: Predictor, now: float) -> Record:
    """Make a predictor the champion."""
    return replace(record, former=_without(record, predictor)).with_champion(predictor, now)


def leave(record: Record, now: float, bake: float = 0.0) -> Record:
    """Begin to drain the champion, which remains known as a former champion.

    It stays warm for `bake` seconds.
    """
    champion = record.champion
    assert champion is not None  # noqa: S101 - the caller checked
    former = FormerChampion(champion.version, champion.digest, now)
    kept = (former, *_without(record, champion))[:FORMER]
    return replace(begin_drain(record, champion, now + bake if bake else None), former=kept)


def _without(record: Record, predictor: Predictor) -> tuple[FormerChampion, ...]:
    return tuple(one for one in record.former if one.digest != predictor.digest)


def roll_back(record: Record, observed: Observed, now: float) -> Record:
    """Return to a ready predictor that still drains if its successor breaks or does harm."""
    champion = record.champion
    seen = observed.predictors.get(champion.name) if champion else None
    if champion is None or seen is None:
        return record
    failure = gate.harm_in_bake(record, observed, now)
    if seen.phase is Phase.FAILED:
        failure = Failure(seen.reason, seen.message, seen.hint, now)
    return return_to_former(record, observed, failure, now) if failure else record


def return_to_former(record: Record, observed: Observed, failure: Failure, now: float) -> Record:
    """Give the champion's traffic to a ready predictor that still drains, if there is one."""
    champion = record.champion
    assert champion is not None  # noqa: S101 - the caller checked
    for old in reversed(record.draining):
        before = observed.predictors.get(old.predictor.name)
        if before and before.phase is Phase.READY:
            candidate = record.candidate
            same = candidate is not None and candidate.predictor.name == old.predictor.name
            record = begin_drain(cancel_drain(record, old.predictor), champion)
            record = drop_candidate(record) if same else record
            failures = {**record.failures, champion.digest: failure}
            return crown(replace(record, failures=failures), old.predictor, now)
    return record


def restart_failed(
    record: Record, observed: Observed, policy: Policy, now: float
) -> tuple[Record, frozenset[str]]:
    """Restart, with backoff, a champion that gave up; clear its failure once it is ready."""
    nothing: frozenset[str] = frozenset()
    champion = record.champion
    seen = observed.predictors.get(champion.name) if champion else None
    if champion is None or seen is None:
        return record, nothing
    failure = record.failures.get(champion.digest)
    if seen.phase is Phase.READY and failure:
        failures = {d: f for d, f in record.failures.items() if d != champion.digest}
        return replace(record, failures=failures), nothing
    if seen.phase is not Phase.FAILED:
        return record, nothing
    if failure is None:
        return _record_failure(record, champion, seen, None, policy, now), nothing
    if failure.retry_at is None or now >= failure.retry_at:
        record = _record_failure(record, champion, seen, failure, policy, now)
        return record, frozenset({champion.name})
    return record, nothing


def _record_failure(
    record: Record,
    champion: Predictor,
    seen: ObservedPredictor,
    before: Failure | None,
    policy: Policy,
    now: float,
) -> Record:
    failure = Failure(seen.reason, seen.message, seen.hint, now)
    failure = with_backoff(before, failure, policy, champion, now)
    return replace(record, failures={**record.failures, champion.digest: failure})


def begin_drain(record: Record, predictor: Predictor, keep_until: float | None = None) -> Record:
    """Begin to drain a predictor, from the start if it drained before."""
    record = cancel_drain(record, predictor)
    going = Draining(predictor, keep_until=keep_until)
    return replace(record, draining=(*record.draining, going))


def cancel_drain(record: Record, predictor: Predictor) -> Record:
    """Stop draining a predictor, which gets requests again."""
    left = tuple(d for d in record.draining if d.predictor.name != predictor.name)
    return replace(record, draining=left)


def finish_drains(record: Record, observed: Observed, now: float) -> Record:
    """Remove a predictor once the gateway has been without it for its drain time.

    One that stays warm is kept until then. An observation without any predictor is no evidence that
    a predictor is gone.
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
        elif is_kept(draining, now) or (
            now - draining.since < draining.predictor.spec.rollout.drain
        ):
            left.append(draining)
    return replace(record, draining=tuple(left))


def end_bake(record: Record) -> Record:
    """Let the predictors that stay warm leave as soon as they have drained."""
    return replace(record, draining=tuple(replace(one, keep_until=None) for one in record.draining))


def is_kept(draining: Draining, now: float) -> bool:
    """Decide whether a predictor still stays warm."""
    return draining.keep_until is not None and now < draining.keep_until


def with_backoff(
    before: Failure | None, failure: Failure, policy: Policy, predictor: Predictor, now: float
) -> Failure:
    """Count a failure and set its backoff, with a jitter derived from the predictor's digest."""
    attempts = before.attempts + 1 if before else 1
    pause = min(policy.retry_most, policy.retry_first * 2.0 ** min(attempts - 1, 30))
    jitter = 0.75 + hashlib.sha256(f"{predictor.digest}{attempts}".encode()).digest()[0] / 512
    return replace(failure, attempts=attempts, retry_at=now + pause * jitter)
