"""Decide the next step of a rollout.

A new predictor starts at weight 0, becomes ready, answers the model's own example, and takes
traffic step by step (each step confirmed at the gateway). Only then is the old predictor drained
and retired. A failure on the way leaves the old predictor serving. `advance` is pure and is called
again and again: each call takes the step that is possible now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from deployer.rollout import candidates, maintain, twin
from deployer.rollout.transition import Kind, Transition
from deployer.state.deployment import Deployment, Policy, Wanted, WeightedPredictor
from deployer.state.observed import Observed
from deployer.state.predictor import Predictor
from deployer.state.record import Candidate, Record


@dataclass(frozen=True, slots=True)
class Step:
    """The next deployment and record, and the latest time of the next pass.

    Attributes:
        deployment: The predictors and weights that should exist now.
        record: The record to save before anything is applied.
        champion: The champion that the rollout leads to, whether or not it may go on now.
        transitions: The transitions from the record before to this one, in their order.
        waiting: The event that the rollout waits for, as a clause; empty when it waits for none.
        settled: False while a rollout or a drain is under way; its passes are frequent.
        wake_at: The latest time of the next pass, in seconds since the epoch; None for no limit.
    """

    deployment: Deployment
    record: Record
    champion: Predictor | None
    transitions: tuple[Transition, ...]
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
    hold = hold or record.pause is not None
    waiting = ""
    ask: frozenset[str] = frozenset()
    made: list[Transition] = []
    record = maintain.adopt(begin := record, observed)
    if record.champion is not begin.champion:
        made.append(Transition(Kind.ADOPT, None, record.champion))
    if wanted.retire and not hold:
        if record.champion:
            made.append(Transition(Kind.RETIRE, record.champion, None))
        record = maintain.retire(record, now)
    record = candidates.give_back(record, observed, policy, now)
    if not hold:
        record, waiting = candidates.choose(begin := record, wanted, now, may_start=may_start)
        if record.candidate and _differ(record.candidate, begin.candidate):
            made.append(Transition(Kind.ROLLOUT, record.champion, record.candidate.predictor))
    # After `choose`, because the candidate that it gave up may be the only one that answers.
    record = maintain.roll_back(begin := record, observed, now)
    if (broken := begin.champion) and record.champion is not broken:
        why = record.failures[broken.digest].message
        made.append(Transition(Kind.FALL_BACK, broken, record.champion, why=why))
    if record.candidate and not hold:
        record, waiting, ask = candidates.pursue(begin := record, observed, policy, now)
        made += _progress(begin, record)
    record, restart = maintain.restart_failed(record, observed, policy, now)
    record = maintain.finish_drains(record, observed, now)
    slots = _slots(record)
    deployment = Deployment(record.id, record.model, record.environment, slots, ask, restart)
    moving = record.candidate is not None and not hold
    settled = not moving and all(maintain.is_kept(one, now) for one in record.draining)
    champion = None if wanted.retire else candidates.destination(record, wanted, now)
    wake_at = _wake_at(record, policy, now)
    return Step(deployment, record, champion, tuple(made), waiting, settled, wake_at)


def _progress(before: Record, after: Record) -> Iterator[Transition]:
    """Name the transition of a candidate that got another share or became the champion."""
    candidate = before.candidate
    if candidate and after.champion and after.champion.digest == candidate.predictor.digest:
        yield Transition(Kind.SHIFT, before.champion, after.champion)
    elif candidate and after.candidate and candidate.step != after.candidate.step:
        share, predictor = candidates.weight(after.candidate), after.candidate.predictor
        yield Transition(Kind.STEP, before.champion, predictor, share)


def _differ(candidate: Candidate, other: Candidate | None) -> bool:
    return other is None or candidate.predictor.digest != other.predictor.digest


def _slots(record: Record) -> tuple[WeightedPredictor, ...]:
    candidate = record.candidate
    shifted, beside = (
        (candidates.weight(candidate), twin.weight(candidate)) if candidate else (0, 0)
    )
    shares: dict[str, tuple[Predictor, int]] = {}
    if record.champion:
        shares[record.champion.name] = (record.champion, 100 - shifted - beside)
    if candidate:
        shares[candidate.predictor.name] = (candidate.predictor, shifted)
    if candidate and candidate.twin:
        shares[candidate.twin.name] = (candidate.twin, beside)
    for draining in record.draining:
        shares.setdefault(draining.predictor.name, (draining.predictor, 0))
    pins = record.artifacts
    return tuple(
        WeightedPredictor(replace(predictor, artifact=pins.get(predictor.version.key, "")), share)
        for predictor, share in shares.values()
    )


def _wake_at(record: Record, policy: Policy, now: float) -> float | None:
    times = [f.retry_at for f in record.failures.values() if f.retry_at is not None]
    times += [one.keep_until for one in record.draining if one.keep_until is not None]
    if record.absence and record.champion:
        times.append(record.absence.since + policy.retire_after)
    if (candidate := record.candidate) and candidate.step_since is not None:
        step = candidate.predictor.spec.rollout.step(candidate.step)
        times += [candidate.step_since + (late or 0) for late in (step.min_time, step.max_time)]
    return min((time for time in times if time > now), default=None)
