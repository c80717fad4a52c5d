"""Judge a candidate by what it and the champion counted at the same time.

Evidence is folded window by window, so that a judgement costs the same after a day as after a
minute, and a replay of the windows gives the same verdict. Harm is weighed over the whole rollout,
and shown at most once in 20 rollouts of a version that does none, all metrics together. What a step
requires is shown anew at each step, since shares and times differ, and by each metric for itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from deployer.rollout import answers, latency
from deployer.rollout.sequential import Harm, Series, rate_limits
from deployer.spec.rollout import RateLimits, Require
from deployer.state.evidence import Arm, MetricVerdict, Outcome, Window

REFERENCE: Final = 100
"""Requests of the champion from which its quantile is read."""


SPLIT_ROOM: Final = 0.2
ALPHA_SPLIT: Final = 1e-3
"""The probability that a gateway which splits as asked is taken for one that does not."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """The criteria of a judgement.

    Attributes:
        min_requests: Requests of each arm below which nothing is said.
        rates: The limits of "errors" and of "rejected".
        latency: How many times the champion's quantile the candidate's may be, by its name: "p99".
        distance: The allowed distance of the answers' distributions; None to report it only.
        alpha_fail: The probability that harm is shown where there is none.
        alpha_pass: The probability, for each metric, that a version that is worse passes.
    """

    min_requests: int = 100
    rates: Mapping[str, RateLimits] = field(default_factory=dict)
    latency: Mapping[str, float] = field(default_factory=dict)
    distance: float | None = None
    alpha_fail: float = 0.05
    alpha_pass: float = 0.05

    @property
    def alpha_each(self) -> float:
        """One metric's part of `alpha_fail` (Bonferroni)."""
        asked = len(self.rates) + len(self.latency) + (self.distance is not None)
        return self.alpha_fail / max(1, asked)


@dataclass(frozen=True, slots=True)
class Rate:
    """The evidence on one rate over a rollout.

    `difference` and `weight` are the parts of the Mantel-Haenszel difference of two rates: what
    differs between windows (the hour, the shares) does not enter it.
    """

    harm: Harm = field(default_factory=Harm)
    difference: float = 0.0
    weight: float = 0.0

    @property
    def worse_by(self) -> float:
        """The measured difference of the rates, over all windows."""
        return self.difference / self.weight if self.weight else 0.0

    def after(self, events: tuple[int, int], requests: tuple[int, int]) -> Rate:
        """Add the counts of one window, the candidate's before the champion's."""
        (mine, others), (own, champions) = events, requests
        together = own + champions
        return Rate(
            self.harm.after(events, requests),
            self.difference + (mine * champions - others * own) / together,
            self.weight + own * champions / together,
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the windows of a rollout amount to.

    Attributes:
        rates: By metric, over the whole rollout.
        slower: By quantile, over the whole rollout.
        step_slower: By quantile, over the present step.
        candidate: The candidate's counts in the present step.
        champion: The champion's, in the same windows.
        pending: A window in which an arm had no request, to be merged with the next.
        until: The number of the last window; 0 before the first.
    """

    rates: Mapping[str, Rate] = field(default_factory=dict)
    slower: Mapping[str, Series] = field(default_factory=dict)
    step_slower: Mapping[str, Series] = field(default_factory=dict)
    candidate: Arm = field(default_factory=Arm)
    champion: Arm = field(default_factory=Arm)
    pending: Window | None = None
    until: int = 0

    def at_next_step(self) -> Evidence:
        """Keep what speaks for harm, and forget what the last step has shown."""
        return replace(self, step_slower={}, candidate=Arm(), champion=Arm(), pending=None)


def fold(evidence: Evidence, window: Window, criteria: Criteria) -> Evidence:
    """Add a window to the evidence; one that is there already adds nothing."""
    if window.number <= evidence.until:
        return evidence
    whole = evidence.pending.plus(window) if evidence.pending else window
    own, champions = whole.candidate, whole.champion
    if not own.answered or not champions.answered:
        return replace(evidence, pending=whole, until=window.until)
    requests = own.answered, champions.answered
    rates = {
        name: evidence.rates.get(name, Rate()).after(
            (getattr(own, name), getattr(champions, name)), requests
        )
        for name in criteria.rates
    }
    slower, step_slower = dict(evidence.slower), dict(evidence.step_slower)
    if sum(whole.reference.values()) >= REFERENCE:
        for name, factor in criteria.latency.items():
            value = latency.excess(own.seconds, champions.seconds, whole.reference, name, factor)
            slower[name] = slower.get(name, Series()).after(value)
            step_slower[name] = step_slower.get(name, Series()).after(value)
    return Evidence(
        rates,
        slower,
        step_slower,
        evidence.candidate.plus(own),
        evidence.champion.plus(champions),
        None,
        window.until,
    )


def judge(
    evidence: Evidence, criteria: Criteria, require: Require
) -> tuple[Outcome, tuple[MetricVerdict, ...]]:
    """Judge by all metrics: the worst outcome decides.

    With too few requests of an arm, the outcome is NO_DATA unless harm is shown. `no_harm` is
    satisfied once there are enough.
    """
    found = tuple(_metrics(evidence, criteria))
    outcomes = {one.outcome for one in found}
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL, found
    fewest = min(evidence.candidate.answered, evidence.champion.answered)
    if fewest < criteria.min_requests:
        return Outcome.NO_DATA, found
    if require == "no_harm":
        return Outcome.PASS, found
    return min(outcomes, key=lambda one: one.precedence, default=Outcome.PASS), found


def misrouted(evidence: Evidence, asked: float) -> str:
    """Say, as a clause, that the gateway shows to split the traffic otherwise than asked.

    Empty while the candidate's share may be within a fifth of the one that was asked for.
    """
    own, champions = evidence.candidate.answered, evidence.champion.answered
    least, most = rate_limits(own, own + champions, ALPHA_SPLIT)
    room = SPLIT_ROOM * min(asked, 1 - asked)
    if least <= asked + room and most >= asked - room:
        return ""
    share = percent(own, own + champions)
    return f"{own:,} of {own + champions:,} requests reached it, {share}, and not {100 * asked:g} %"


def _metrics(evidence: Evidence, criteria: Criteria) -> Iterator[MetricVerdict]:
    for name, limit in criteria.rates.items():
        yield _rate(name, limit, evidence, criteria)
    for name, factor in criteria.latency.items():
        yield _latency(name, factor, evidence, criteria)
    yield answers.constant(evidence.candidate, evidence.champion)
    yield answers.distance(
        evidence.candidate,
        evidence.champion,
        criteria.distance,
        (criteria.alpha_each, criteria.alpha_pass),
    )


def _rate(name: str, limit: RateLimits, evidence: Evidence, criteria: Criteria) -> MetricVerdict:
    rate = evidence.rates.get(name, Rate())
    own, champions = evidence.candidate, evidence.champion
    mine = getattr(own, name), own.answered
    others = getattr(champions, name), champions.answered
    limits = sum(bound is not None for bound in (limit.worse_by, limit.max))
    alpha = criteria.alpha_each / max(1, limits)
    least, _ = rate_limits(*mine, alpha)
    low_mine, high_mine = rate_limits(*mine, criteria.alpha_pass / 2)
    low_others, high_others = rate_limits(*others, criteria.alpha_pass / 2)
    low, high = low_mine - high_others, high_mine - low_others
    shown = rate.harm.log_e >= -math.log(alpha)
    worse = limit.worse_by is not None and shown and rate.worse_by > limit.worse_by
    if worse or (limit.max is not None and least > limit.max):
        outcome = Outcome.FAIL
    elif _not_worse(mine, others, limit, criteria.alpha_pass):
        outcome = Outcome.PASS
    else:
        outcome = Outcome.UNDECIDED
    message = (
        f"{name} {percent(*mine)} of {own.answered:,} requests, "
        f"of the champion {percent(*others)} of {champions.answered:,}"
    )
    return MetricVerdict(
        name,
        outcome,
        message,
        mine[0] / mine[1] if mine[1] else None,
        others[0] / others[1] if others[1] else None,
        low,
        high,
        limit.worse_by,
    )


def _latency(name: str, factor: float, evidence: Evidence, criteria: Criteria) -> MetricVerdict:
    whole, step = evidence.slower.get(name, Series()), evidence.step_slower.get(name, Series())
    low, _ = whole.limits(criteria.alpha_each)
    step_low, high = step.limits(criteria.alpha_pass)
    outcome = Outcome.UNDECIDED
    if low > 0:
        outcome = Outcome.FAIL
    elif high <= 0:
        outcome = Outcome.PASS
    mine, others = (
        latency.measured(arm.seconds, name) for arm in (evidence.candidate, evidence.champion)
    )
    message = latency.compared(name, mine, others, "of the champion")
    return MetricVerdict(
        f"latency.{name}", outcome, message, mine, others, max(low, step_low), high, factor
    )


def estimated(verdict: MetricVerdict, evidence: Evidence, criteria: Criteria) -> MetricVerdict:
    """Add about how many more requests of the candidate decide an undecided rate.

    At the present rates and shares; nothing is added if even a hundred times as many would not.
    """
    limit = criteria.rates.get(verdict.metric)
    own, champions = evidence.candidate, evidence.champion
    if verdict.outcome is not Outcome.UNDECIDED or limit is None:
        return verdict
    if not own.answered or not champions.answered:
        return verdict

    def enough(factor: float) -> bool:
        mine, others = (
            (round(getattr(arm, verdict.metric) * factor), round(arm.answered * factor))
            for arm in (own, champions)
        )
        return _not_worse(mine, others, limit, criteria.alpha_pass)

    least, most = 1.0, 100.0
    if not enough(most):
        return verdict
    for _ in range(12):
        middle = math.sqrt(least * most)
        least, most = (least, middle) if enough(middle) else (middle, most)
    return replace(verdict, more=math.ceil(own.answered * (most - 1)))


def _not_worse(
    mine: tuple[int, int], others: tuple[int, int], limit: RateLimits, alpha: float
) -> bool:
    """Decide whether every limit of a rate is shown to hold."""
    if limit.max is not None and rate_limits(*mine, alpha)[1] > limit.max:
        return False
    if limit.worse_by is None:
        return True
    most, least = rate_limits(*mine, alpha / 2)[1], rate_limits(*others, alpha / 2)[0]
    return most - least <= limit.worse_by


def percent(count: int, total: int) -> str:
    """Write a rate, such as "1.25 %"; "unknown" of nothing."""
    return f"{100 * count / total:.3g} %" if total else "unknown"
