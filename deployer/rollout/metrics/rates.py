"""Compare how often something bad happens to two versions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from deployer.rollout.metrics.sequential import Harm, rate_limits
from deployer.spec.rollout import RateLimits
from deployer.state.evidence import MetricVerdict, Outcome

Counts = tuple[int, int]
"""How often it happened, and of how many."""

MOST: Final = 100
"""How many times as many requests an estimate may ask for."""


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

    def after(self, events: tuple[int, int], totals: tuple[int, int]) -> Rate:
        """Add the counts of one window, the candidate's before the champion's."""
        (mine, others), (own, champions) = events, totals
        together = own + champions
        return Rate(
            self.harm.after(events, totals),
            self.difference + (mine * champions - others * own) / together,
            self.weight + own * champions / together,
        )


def judge(
    name: str,
    rate: Rate,
    counts: tuple[Counts, Counts],
    limit: RateLimits,
    alphas: tuple[float, float],
    of: str = "requests",
) -> MetricVerdict:
    """Judge a rate: FAIL where harm is shown, PASS where every limit is shown to hold.

    Args:
        name: The metric's name.
        rate: The evidence over the whole rollout.
        counts: The candidate's and the champion's counts in the present step.
        limit: The limits.
        alphas: The error rates of FAIL and of PASS.
        of: What is counted.
    """
    mine, others = counts
    limits = sum(bound is not None for bound in (limit.worse_by, limit.max))
    alpha, alpha_pass = alphas[0] / max(1, limits), alphas[1]
    least, _ = rate_limits(*mine, alpha)
    low_mine, high_mine = rate_limits(*mine, alpha_pass / 2)
    low_others, high_others = rate_limits(*others, alpha_pass / 2)
    low, high = low_mine - high_others, high_mine - low_others
    shown = rate.harm.log_e >= -math.log(alpha)
    worse = limit.worse_by is not None and shown and rate.worse_by > limit.worse_by
    if worse or (limit.max is not None and least > limit.max):
        outcome = Outcome.FAIL
    elif is_not_worse(mine, others, limit, alpha_pass):
        outcome = Outcome.PASS
    else:
        outcome = Outcome.UNDECIDED
    message = (
        f"{name} {percent(*mine)} of {mine[1]:,} {of}, "
        f"of the champion {percent(*others)} of {others[1]:,}"
    )
    return MetricVerdict(
        name, outcome, message, share(*mine), share(*others), low, high, limit.worse_by
    )


def is_not_worse(mine: Counts, others: Counts, limit: RateLimits, alpha: float) -> bool:
    """Decide whether every limit of a rate is shown to hold."""
    if limit.max is not None and rate_limits(*mine, alpha)[1] > limit.max:
        return False
    if limit.worse_by is None:
        return True
    most, least = rate_limits(*mine, alpha / 2)[1], rate_limits(*others, alpha / 2)[0]
    return most - least <= limit.worse_by


def more(mine: Counts, others: Counts, limit: RateLimits, alpha: float) -> int | None:
    """Estimate how many more requests of the candidate show every limit to hold.

    At the present rates and shares; None if even a hundred times as many would not.
    """

    def enough(factor: float) -> bool:
        scaled = [(round(count * factor), round(total * factor)) for count, total in (mine, others)]
        return is_not_worse(scaled[0], scaled[1], limit, alpha)

    least, most = 1.0, float(MOST)
    if not mine[1] or not others[1] or not enough(most):
        return None
    for _ in range(12):
        middle = math.sqrt(least * most)
        least, most = (least, middle) if enough(middle) else (middle, most)
    return math.ceil(mine[1] * (most - 1))


def share(count: int, total: int) -> float | None:
    """Return a rate; None of nothing."""
    return count / total if total else None


def percent(count: int, total: int) -> str:
    """Write a rate, such as "1.25 %"; "unknown" of nothing."""
    return f"{100 * count / total:.3g} %" if total else "unknown"
