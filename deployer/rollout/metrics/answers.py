"""Compare the answers of two versions by their distributions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from deployer.rollout.metrics.sequential import distribution_band, rate_limits
from deployer.state.evidence import Arm, MetricVerdict, Outcome

LEAST: Final = 100
"""Values of each version below which distributions are not compared."""

CHANCE: Final = 1e-3
"""The probability with which the champion's answers, too, would all have been equal."""


def constant(candidate: Arm, champion: Arm) -> MetricVerdict:
    """Find a candidate that answers always the same, or nothing, where the champion does not."""
    message = "The answers differ from one another."
    for share, name in ((_top, "the same"), (_missing, "NaN or no value")):
        mine, of_mine = share(candidate)
        others, of_others = share(champion)
        if mine and mine == of_mine and of_others:
            likely = rate_limits(others, of_others, CHANCE)[1]
            if likely < 1 and mine * math.log(likely) < math.log(CHANCE):
                message = f"All {mine:,} answers are {name}, and the champion's are not"
                return MetricVerdict("constant_answers", Outcome.FAIL, message)
    return MetricVerdict("constant_answers", Outcome.PASS, message)


def distance(
    candidate: Arm, champion: Arm, most: float | None, alphas: tuple[float, float]
) -> MetricVerdict:
    """Measure how far the answers' distributions are apart: 0 for equal ones, 1 for disjoint ones.

    The largest difference of the distribution functions of numbers (Kolmogorov and Smirnov); of
    labels, the total variation. An improved model should answer otherwise, so that only a limit in
    serving.yaml decides anything.

    Args:
        candidate: The candidate's counts.
        champion: The champion's.
        most: The largest distance that is allowed; None for none.
        alphas: The error rates of FAIL and of PASS.
    """
    of_labels = bool(candidate.labels or champion.labels)
    measure = _total_variation if of_labels else _kolmogorov
    if min(candidate.values, champion.values) < LEAST:
        undecided = Outcome.PASS if most is None else Outcome.UNDECIDED
        return MetricVerdict("answers", undecided, "Too few answers to compare.", margin=most)
    found, low, _ = measure(candidate, champion, alphas[0])
    _, _, high = measure(candidate, champion, alphas[1])
    outcome = Outcome.UNDECIDED
    if most is None or high <= most:
        outcome = Outcome.PASS
    elif low > most:
        outcome = Outcome.FAIL
    message = f"answers differ by {found:.2f} ({low:.2f} to {high:.2f})"
    return MetricVerdict("answers", outcome, message, found, 0.0, low, high, most)


def _kolmogorov(one: Arm, other: Arm, alpha: float) -> tuple[float, float, float]:
    """Return the distance and its limits; a value that is missing lies below all others."""
    place, apart = [one.missing / one.values, other.missing / other.values], 0.0
    apart = abs(place[0] - place[1])
    for index in sorted({*one.bins, *other.bins}):
        for number, arm in enumerate((one, other)):
            place[number] += arm.bins.get(index, 0) / arm.values
        apart = max(apart, abs(place[0] - place[1]))
    band = sum(distribution_band(arm.values, alpha / 2, LEAST) for arm in (one, other))
    return apart, max(0.0, apart - band), min(1.0, apart + band)


def _total_variation(one: Arm, other: Arm, alpha: float) -> tuple[float, float, float]:
    """Return the distance and its limits, from the limits of each label's share."""
    shares = [_shares(one), _shares(other)]
    labels = sorted({*shares[0], *shares[1]})
    apart = low = high = 0.0
    for label in labels:
        counts = [
            (of.get(label, 0), arm.values) for of, arm in zip(shares, (one, other), strict=True)
        ]
        mine, others = (rate_limits(*count, alpha / 2 / len(labels)) for count in counts)
        apart += abs(counts[0][0] / counts[0][1] - counts[1][0] / counts[1][1]) / 2
        low += max(0.0, mine[0] - others[1], others[0] - mine[1]) / 2
        high += max(mine[1] - others[0], others[1] - mine[0]) / 2
    return apart, low, min(1.0, high)


def _shares(arm: Arm) -> Mapping[str, int]:
    """Count each label; the rarer labels and the missing values are one each."""
    rest = arm.values - arm.missing - sum(arm.labels.values())
    return {**arm.labels, "(other)": rest, "(missing)": arm.missing}


def _top(arm: Arm) -> tuple[int, int]:
    found = [*arm.labels.values(), *arm.bins.values()]
    return max(found, default=0), arm.values


def _missing(arm: Arm) -> tuple[int, int]:
    return arm.missing, arm.values
