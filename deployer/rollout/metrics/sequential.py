"""Compare two versions while requests arrive, with limits that hold at every look.

A test that is repeated after each window finds a difference by chance, sooner or later: a z-test
at 5 % does so in a third of all rollouts. Every limit here holds at all looks together, with
probability 1 - alpha, however often and for whatever reason somebody looks. Only the standard
library computes; `tests/unit/deployer/rollout/test_sequential.py` compares with scipy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

RATIOS: Final = (1.25, 1.5, 2, 3, 5, 10, 20, 50, 100)
"""The alternatives that the test of harm bets on: so many times the champion's errors."""

PLANNED: Final = 60
"""Windows at which the limits of a mean are tightest: ten minutes."""

FEWEST: Final = 20
"""Windows below which the limits of a mean, which hold for many windows, say nothing."""

MOST_CORRELATED: Final = 0.97


@dataclass(frozen=True, slots=True)
class Harm:
    """The evidence that a candidate fails more often than the champion: a test martingale.

    Given that a request failed, it was the candidate's with a probability that follows from both
    arms' requests and from the ratio of their rates. The rate itself cancels, so that day and night
    do not matter. Windows of different weights multiply. Lindon and Malek, "Anytime-Valid Inference
    for Multinomial Count Data" (NeurIPS 2022); Ville's inequality bounds false alarms by alpha.

    Attributes:
        logs: The logarithm of the likelihood ratio against each of RATIOS.
    """

    logs: tuple[float, ...] = (0.0,) * len(RATIOS)

    @property
    def log_e(self) -> float:
        """The logarithm of the evidence; harm is shown at log(1 / alpha)."""
        most = max(self.logs)
        total = sum(math.exp(each - most) for each in self.logs)
        return most + math.log(total / len(RATIOS))

    def after(self, errors: tuple[int, int], requests: tuple[int, int]) -> Harm:
        """Add the counts of one window, the candidate's before the champion's."""
        (mine, others), (own, champions) = errors, requests
        if not own or not champions or not mine + others:
            return self
        share = own / (own + champions)
        logs = []
        for ratio, log in zip(RATIOS, self.logs, strict=True):
            risen = share * ratio / (share * ratio + 1 - share)
            gained = mine * math.log(risen / share) + others * math.log((1 - risen) / (1 - share))
            logs.append(log + gained)
        return Harm(tuple(logs))


@lru_cache(maxsize=256)
def rate_limits(count: int, total: int, alpha: float) -> tuple[float, float]:
    """Bound the probability of an event that happened `count` times in `total` trials.

    The beta-binomial mixture with a = b = 1/2: Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform,
    nonparametric, nonasymptotic confidence sequences" (Annals of Statistics 49(2), 2021).
    """
    if not total:
        return 0.0, 1.0
    other = total - count
    mixture = _log_beta(0.5 + count, 0.5 + other) - _log_beta(0.5, 0.5)
    least = mixture + math.log(alpha)

    def likely(rate: float) -> bool:
        here = count * math.log(rate) if count else 0.0
        there = other * math.log1p(-rate) if other else 0.0
        return here + there > least

    middle = count / total
    low = _edge(middle, 0.0, likely) if count else 0.0
    high = _edge(middle, 1.0, likely) if other else 1.0
    return low, high


def _edge(inside: float, outside: float, likely: Callable[[float], bool]) -> float:
    """Find where a rate stops being likely, by bisection, within 1e-12."""
    for _ in range(40):
        middle = (inside + outside) / 2
        if likely(middle):
            inside = middle
        else:
            outside = middle
    return outside


def _log_beta(one: float, other: float) -> float:
    return math.lgamma(one) + math.lgamma(other) - math.lgamma(one + other)


@dataclass(frozen=True, slots=True)
class Series:
    """Sums over a series of windows, from which its mean and the limits of the mean follow.

    Attributes:
        count: The number of windows.
        total: The sum of the values.
        squares: The sum of their squares.
        products: The sum of the products of neighbours.
        first: The first value.
        last: The last value.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    products: float = 0.0
    first: float = 0.0
    last: float = 0.0

    def after(self, value: float) -> Series:
        """Add the value of the next window."""
        if not self.count:
            return Series(1, value, value * value, 0.0, value, value)
        return Series(
            self.count + 1,
            self.total + value,
            self.squares + value * value,
            self.products + value * self.last,
            self.first,
            value,
        )

    @property
    def mean(self) -> float:
        """The mean of the values; 0 without any."""
        return self.total / self.count if self.count else 0.0

    @property
    def variance(self) -> float:
        """The variance of a value, inflated for values that resemble their neighbours."""
        count, mean = self.count, self.mean
        if count < 2:
            return math.inf
        spread = self.squares - count * mean * mean
        if spread <= 1e-12 * max(self.squares, 1e-300):
            return 0.0
        inner = 2 * self.total - self.first - self.last
        along = self.products - mean * inner + (count - 1) * mean * mean
        alike = min(MOST_CORRELATED, max(0.0, along / spread))
        return spread / (count - 1) * (1 + alike) / (1 - alike)

    def limits(self, alpha: float) -> tuple[float, float]:
        """Bound the mean, each side with alpha; without limits below FEWEST windows.

        The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
        "Time-uniform central limit theory" (Annals of Statistics 52(6), 2024), one-sided.
        """
        count = self.count
        if count < FEWEST:
            return -math.inf, math.inf
        twice = -2 * math.log(alpha)
        rho2 = (twice + math.log(1 + twice)) / PLANNED
        grown = count * rho2 + 1
        wide = 2 * grown / (count * count * rho2) * math.log1p(math.sqrt(grown) / (2 * alpha))
        half = math.sqrt(self.variance * wide)
        return self.mean - half, self.mean + half


def distribution_band(total: int, alpha: float, least: int) -> float:
    """Bound the distance of a measured distribution function from the true one, at every value.

    Valid from `least` values on; 1 below. Howard and Ramdas, "Sequential estimation of quantiles
    with applications to A/B testing and best-arm identification" (Bernoulli 28(3), 2022).
    """
    if total < least or least < 1:
        return 1.0
    spread = math.log1p(math.log(total / least)) + 0.8 * math.log(1612 / alpha)
    return min(1.0, 0.85 * math.sqrt(spread / total))
