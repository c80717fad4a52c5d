"""Judge a champion that took all of the traffic, by what its predecessor counted before.

The predecessor stays warm for a while, and gets the traffic back where harm is shown. Nothing is
counted at the same time any more, so that a change of the traffic could look like one of the
version: the limits of both rates must be apart, and durations count only where the rollout was
judged by them. Without requests nothing is shown, and the bake ends with its time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from deployer.rollout.judge import REFERENCE, Criteria
from deployer.rollout.metrics import answers, latency
from deployer.rollout.metrics.rates import percent, share
from deployer.rollout.metrics.sequential import Series, rate_limits
from deployer.spec.rollout import RateLimits
from deployer.state.evidence import Arm, MetricVerdict, Outcome


@dataclass(frozen=True, slots=True)
class BakeEvidence:
    """What a champion counted since it took all of the traffic.

    Attributes:
        champion: Its counts.
        slower: By quantile, by how much more of its requests were slower than the predecessor's
            quantile allows.
        until: The number of the last window; 0 before the first.
    """

    champion: Arm = field(default_factory=Arm)
    slower: Mapping[str, Series] = field(default_factory=dict)
    until: int = 0


def fold(
    evidence: BakeEvidence, number: int, arm: Arm, before: Arm, criteria: Criteria, *, warm: bool
) -> BakeEvidence:
    """Add a window of the champion; one that is there already adds nothing.

    Args:
        evidence: The evidence so far.
        number: The window's number.
        arm: What the champion counted in it.
        before: What the predecessor counted before it lost the traffic.
        criteria: The criteria.
        warm: False during the warm-up, whose durations do not count.
    """
    if number <= evidence.until:
        return evidence
    slower = dict(evidence.slower)
    if warm and arm.answered and sum(before.seconds.values()) >= REFERENCE:
        for name, factor in criteria.latency.items():
            value = latency.excess(arm.seconds, before.seconds, before.seconds, name, factor)
            slower[name] = slower.get(name, Series()).after(value)
    return BakeEvidence(evidence.champion.plus(arm), slower, number)


def judge(
    evidence: BakeEvidence, before: Arm, criteria: Criteria
) -> tuple[Outcome, tuple[MetricVerdict, ...]]:
    """Judge by all metrics: FAIL where one shows harm; NO_DATA with too few requests."""
    found = tuple(_metrics(evidence, before, criteria))
    if any(one.outcome is Outcome.FAIL for one in found):
        return Outcome.FAIL, found
    if min(evidence.champion.answered, before.answered) < criteria.min_requests:
        return Outcome.NO_DATA, found
    return Outcome.PASS, found


def _metrics(evidence: BakeEvidence, before: Arm, criteria: Criteria) -> Iterator[MetricVerdict]:
    for name, limit in criteria.rates.items():
        yield _rate(name, limit, evidence.champion, before, criteria.alpha_each)
    for name, factor in criteria.latency.items():
        yield _latency(name, factor, evidence, before, criteria.alpha_each)
    yield answers.constant(evidence.champion, before)
    reported = answers.distance(
        evidence.champion, before, None, (criteria.alpha_each, criteria.alpha_pass)
    )
    yield replace(reported, outcome=Outcome.PASS)


def _rate(name: str, limit: RateLimits, arm: Arm, before: Arm, alpha: float) -> MetricVerdict:
    mine = getattr(arm, name), arm.answered
    others = getattr(before, name), before.answered
    limits = sum(bound is not None for bound in (limit.worse_by, limit.max))
    least, most = rate_limits(*mine, alpha / max(1, limits) / 2)
    least_before, most_before = rate_limits(*others, alpha / max(1, limits) / 2)
    low, high = least - most_before, most - least_before
    worse = limit.worse_by is not None and low > limit.worse_by
    outcome = Outcome.PASS
    if worse or (limit.max is not None and least > limit.max):
        outcome = Outcome.FAIL
    message = (
        f"{name} {percent(*mine)} of {arm.answered:,} requests, "
        f"before it {percent(*others)} of {before.answered:,}"
    )
    return MetricVerdict(
        name, outcome, message, share(*mine), share(*others), low, high, limit.worse_by
    )


def _latency(
    name: str, factor: float, evidence: BakeEvidence, before: Arm, alpha: float
) -> MetricVerdict:
    low, high = evidence.slower.get(name, Series()).limits(alpha)
    mine, others = (latency.measured(arm.seconds, name) for arm in (evidence.champion, before))
    message = latency.compared(name, mine, others, "before it")
    outcome = Outcome.FAIL if low > 0 else Outcome.PASS
    return MetricVerdict(f"latency.{name}", outcome, message, mine, others, low, high, factor)
