"""Decide when the next pass over a deployment is due.

A pass reads all that it decides on; what reports a change only runs a pass sooner. So passes are
frequent while a deployment moves or waits for something that nobody reports, and rare at rest.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable

from deployer.background.queue import Turn
from deployer.controller.publish import Pass
from deployer.rollout.advance import Step
from deployer.state.observed import Observed
from deployer.state.predictor import Phase
from deployer.state.record import Record
from deployer.status.verdict import Status

MOVING_SECONDS = 0.1  # between passes while a rollout is under way
STEADY_SECONDS = 2.0  # between passes while something may change that nobody reports
RESYNC_SECONDS = (30.0, 60.0)  # between passes at rest, the least and the most
BACKOFF_SECONDS = (0.5, 30.0)  # the first and the longest, after a pass that failed

PATIENCE_SECONDS = 5.0  # for which a pass that nobody waits for gives way to others
EVENTUALLY = Turn(patience=PATIENCE_SECONDS)


class Pace:
    """The times between the passes over each deployment.

    Args:
        clock: Seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: dict[Hashable, int] = {}

    def after(self, key: Hashable, done: Pass) -> Turn:
        """Return when the next pass is due after a pass."""
        if done.error:
            return self._back_off(key)
        self._failures.pop(key, None)
        if not done.status.settled and not _lasts(done.status.record):
            return Turn(MOVING_SECONDS)
        turn = resync() if done.at_rest else Turn(STEADY_SECONDS * _between(0.9, 1.1))
        if done.wake_at is None:
            return turn
        left = max(0.0, done.wake_at - self._clock())
        return turn if turn.delay <= left else Turn(left)

    def _back_off(self, key: Hashable) -> Turn:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        first, most = BACKOFF_SECONDS
        pause = min(most, first * 2.0 ** min(failures - 1, 20))
        return Turn(pause * _between(0.75, 1.25))


def resync() -> Turn:
    """Return when the next pass is due over a deployment whose every change is reported."""
    return Turn(_between(*RESYNC_SECONDS), PATIENCE_SECONDS)


def at_rest(step: Step, status: Status, server: str) -> bool:
    """Decide whether every change that could concern a deployment now would be reported.

    The target reports changes of what runs and of what the gateway serves; the watch on the
    registry those of promotions; an operator's request runs a pass itself. Nobody reports the turn
    of a deployment that waits for other rollouts, for the retirements of others or for its batch of
    an upgrade, a file of MLflow's that can be read again, or how a start goes on.

    Args:
        step: The step of the pass.
        status: The status that the pass published.
        server: The version of chart and server that new predictors get.
    """
    wanted, record, held = status.wanted, status.record, status.plan.held_by
    decided = wanted.version is None or wanted.champion is not None or status.invalid
    waits = step.waiting or status.plan.pending or (held and held.unsafe)
    upgraded = record.champion is None or record.champion.server == server
    return (
        step.settled
        and decided
        and upgraded
        and not waits
        and record.candidate is None
        and not record.draining
        and not _counts(record)
        and _is_well(status.observed)
    )


def _lasts(record: Record) -> bool:
    """Return whether a step of a rollout is live, and waits for its time or its evidence."""
    candidate = record.candidate
    drained = all(one.keep_until is not None for one in record.draining)
    return candidate is not None and candidate.step_since is not None and drained


def _counts(record: Record) -> bool:
    """Return whether the grace time of a champion or a promotion that is not shown is under way."""
    missed = any(one.missed_at is not None for one in record.promotions)
    return missed or (record.absence is not None and record.champion is not None)


def _is_well(observed: Observed) -> bool:
    """Return whether everything that runs is ready, without any problem."""
    predictors = observed.predictors.values()
    ready = all(seen.phase is Phase.READY and not seen.reason for seen in predictors)
    return ready and not observed.gateway_error


def _between(least: float, most: float) -> float:
    return random.uniform(least, most)  # noqa: S311 - jitter, no secret
