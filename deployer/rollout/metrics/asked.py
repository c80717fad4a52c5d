"""Judge by a metric of a team's own: what Prometheus answers to a query, now and then.

An answer with a count is a rate, and judged as the errors are. One without is a bare value, of
which nobody knows how much chance is in it: it has a limit, and fails above it three times running.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Final

from deployer.rollout.metrics import rates
from deployer.rollout.metrics.rates import Counts, Rate
from deployer.spec.rollout import QueryLimits
from deployer.state.evidence import Arm, MetricVerdict, Outcome

RUNNING: Final = 3
"""So many bare values in a row above their limit show harm."""

STALE: Final = 3
"""Stretches of time without an answer after which nothing is known."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the answers to one query amount to.

    Attributes:
        rate: The evidence over the whole rollout, of answers with a count.
        mine: The candidate's counts in the present step.
        others: The champion's.
        values: The last values of both.
        above: The candidate's values in a row above the limit.
        until: The number of the window that brought the last answer; 0 before the first.
    """

    rate: Rate = field(default_factory=Rate)
    mine: Counts = (0, 0)
    others: Counts = (0, 0)
    values: tuple[float | None, float | None] = (None, None)
    above: int = 0
    until: int = 0

    def at_next_step(self) -> Asked:
        """Keep what speaks for harm, and forget what the last step has shown."""
        return Asked(self.rate, above=self.above)


def fold(asked: Asked, name: str, arms: tuple[Arm, Arm], limit: QueryLimits, until: int) -> Asked:
    """Add the answers that a window brings, if it brings any."""
    answers = (arm.asked.get(name, ()) for arm in arms)
    for (mine, own), (others, champions) in zip(*answers, strict=True):
        asked = replace(asked, values=(mine, others), until=until)
        if own is None or champions is None:
            is_above = limit.max is not None and mine > limit.max
            asked = replace(asked, above=asked.above + 1 if is_above else 0)
            continue
        events = round(mine * own), round(others * champions)
        if own and champions:
            asked = replace(asked, rate=asked.rate.after(events, (own, champions)))
        asked = replace(
            asked,
            mine=(asked.mine[0] + events[0], asked.mine[1] + own),
            others=(asked.others[0] + events[1], asked.others[1] + champions),
        )
    return asked


def judge(
    name: str, asked: Asked, limit: QueryLimits, alphas: tuple[float, float], stale_from: int
) -> MetricVerdict:
    """Judge by the answers so far; NO_DATA where the last came before the window `stale_from`.

    Args:
        name: The metric's name.
        asked: The answers.
        limit: The limits.
        alphas: The error rates of FAIL and of PASS.
        stale_from: The number of the first window in which an answer should have come.
    """
    if limit.count is None:
        found = _bare(name, asked, limit)
    else:
        counts = asked.mine, asked.others
        found = rates.judge(name, asked.rate, counts, limit.bounds, alphas, of="cases")
    if found.outcome is Outcome.FAIL or (asked.until and asked.until >= stale_from):
        return found
    message = f"{name} has no answer of Prometheus yet"
    if asked.until:
        message = f"{name} has had no answer of Prometheus for a while"
    return replace(found, outcome=Outcome.NO_DATA, message=message)


def _bare(name: str, asked: Asked, limit: QueryLimits) -> MetricVerdict:
    mine, others = asked.values
    if mine is None or others is None:
        return MetricVerdict(name, Outcome.NO_DATA, f"{name} has no value", margin=limit.max)
    outcome = Outcome.UNDECIDED if asked.above else Outcome.PASS
    message = f"{name} {mine:.4g}, of the champion {others:.4g}"
    if asked.above >= RUNNING:
        outcome = Outcome.FAIL
        message = f"{name} {mine:.4g}, above {limit.max:.4g} {asked.above} times running"
    return MetricVerdict(name, outcome, message, mine, others, margin=limit.max)


def windows_of(limit: QueryLimits, seconds: int) -> int:
    """Return in how many windows of so many seconds an answer should have come."""
    return math.ceil(STALE * limit.every / seconds)
