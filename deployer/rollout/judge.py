"""Judge a candidate by what it and the champion counted at the same time.

Evidence is folded window by window, so that a judgement costs the same after a day as after a
minute, and a replay of the windows gives the same verdict. Harm is weighed over the whole rollout,
and shown at most once in 20 rollouts of a version that does none, all metrics together. What a step
requires is shown anew at each step, since shares and times differ, and by each metric for itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from deployer.rollout.metrics import answers, asked, latency, rates
from deployer.rollout.metrics.asked import Asked
from deployer.rollout.metrics.rates import Rate
from deployer.rollout.metrics.sequential import Series, rate_limits
from deployer.spec.rollout import QueryLimits, RateLimits, Require
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
        asked: The limits of what a team asks Prometheus, by the metric's name.
        window_seconds: How long a window is.
        alpha_fail: The probability that harm is shown where there is none.
        alpha_pass: The probability, for each metric, that a version that is worse passes.
    """

    min_requests: int = 100
    rates: Mapping[str, RateLimits] = field(default_factory=dict)
    latency: Mapping[str, float] = field(default_factory=dict)
    distance: float | None = None
    asked: Mapping[str, QueryLimits] = field(default_factory=dict)
    window_seconds: int = 10
    alpha_fail: float = 0.05
    alpha_pass: float = 0.05

    @property
    def alpha_each(self) -> float:
        """One metric's part of `alpha_fail` (Bonferroni)."""
        tested = len(self.rates) + len(self.latency) + (self.distance is not None)
        tested += sum(limit.count is not None for limit in self.asked.values())
        return self.alpha_fail / max(1, tested)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the windows of a rollout amount to.

    Attributes:
        rates: By metric, over the whole rollout.
        slower: By quantile, over the whole rollout.
        step_slower: By quantile, over the present step.
        asked: What Prometheus answered, by metric.
        candidate: The candidate's counts in the present step.
        champion: The champion's, in the same windows.
        pending: A window in which an arm had no request, to be merged with the next.
        until: The number of the last window; 0 before the first.
    """

    rates: Mapping[str, Rate] = field(default_factory=dict)
    slower: Mapping[str, Series] = field(default_factory=dict)
    step_slower: Mapping[str, Series] = field(default_factory=dict)
    asked: Mapping[str, Asked] = field(default_factory=dict)
    candidate: Arm = field(default_factory=Arm)
    champion: Arm = field(default_factory=Arm)
    pending: Window | None = None
    until: int = 0

    def at_next_step(self) -> Evidence:
        """Keep what speaks for harm, and forget what the last step has shown."""
        asked = {name: one.at_next_step() for name, one in self.asked.items()}
        fresh = replace(self, step_slower={}, asked=asked, pending=None)
        return replace(fresh, candidate=Arm(), champion=Arm())


def fold(evidence: Evidence, window: Window, criteria: Criteria) -> Evidence:
    """Add a window to the evidence; one that is there already adds nothing."""
    if window.number <= evidence.until:
        return evidence
    whole = evidence.pending.plus(window) if evidence.pending else window
    own, champions = arms = whole.candidate, whole.champion
    if not own.answered or not champions.answered:
        return replace(evidence, pending=whole, until=window.until)
    requests = own.answered, champions.answered
    counted = {
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
    answered = {
        name: asked.fold(evidence.asked.get(name, Asked()), name, arms, limit, window.until)
        for name, limit in criteria.asked.items()
    }
    return Evidence(
        counted,
        slower,
        step_slower,
        answered,
        evidence.candidate.plus(replace(own, asked={})),
        evidence.champion.plus(replace(champions, asked={})),
        None,
        window.until,
    )


def judge(
    evidence: Evidence, criteria: Criteria, require: Require
) -> tuple[Outcome, tuple[MetricVerdict, ...]]:
    """Judge by all metrics: the worst outcome decides.

    With too few requests of an arm, or without an answer of Prometheus that is asked for, the
    outcome is NO_DATA unless harm is shown. Else `no_harm` is satisfied.
    """
    found = tuple(_metrics(evidence, criteria))
    outcomes = {one.outcome for one in found}
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL, found
    fewest = min(evidence.candidate.answered, evidence.champion.answered)
    if fewest < criteria.min_requests or Outcome.NO_DATA in outcomes:
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
    share = rates.percent(own, own + champions)
    return f"{own:,} of {own + champions:,} requests reached it, {share}, and not {100 * asked:g} %"


def _metrics(evidence: Evidence, criteria: Criteria) -> Iterator[MetricVerdict]:
    own, champions = evidence.candidate, evidence.champion
    alphas = criteria.alpha_each, criteria.alpha_pass
    for name, limit in criteria.rates.items():
        counts = tuple((getattr(arm, name), arm.answered) for arm in (own, champions))
        rate = evidence.rates.get(name, Rate())
        yield rates.judge(name, rate, (counts[0], counts[1]), limit, alphas)
    for name, factor in criteria.latency.items():
        yield _latency(name, factor, evidence, criteria)
    for name, query in criteria.asked.items():
        stale_from = evidence.until - asked.windows_of(query, criteria.window_seconds)
        yield asked.judge(name, evidence.asked.get(name, Asked()), query, alphas, stale_from)
    yield answers.constant(own, champions)
    yield answers.distance(own, champions, criteria.distance, alphas)


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
    own, champions = evidence.candidate, evidence.champion
    if verdict.outcome is not Outcome.UNDECIDED or verdict.metric not in criteria.rates:
        return verdict
    mine, others = ((getattr(arm, verdict.metric), arm.answered) for arm in (own, champions))
    limit = criteria.rates[verdict.metric]
    return replace(verdict, more=rates.more(mine, others, limit, criteria.alpha_pass))
