"""Simulate what a champion and a candidate count while they share traffic; seeded."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from deployer.rollout.metrics.latency import LEAST, RATIO
from deployer.state.evidence import Arm, Window

REFERENCE_WINDOWS = 30


@dataclass(frozen=True)
class Truth:
    """How the two versions really are.

    Attributes:
        share: The candidate's share of the requests.
        requests: Of both in one window, on average.
        errors: The champion's rate of errors.
        ratio: The candidate's rate of errors over the champion's.
        slower: The candidate's durations over the champion's.
        spread: Standard deviation of the logarithm of a duration; 0 for no durations at all.
        noise: Of the logarithm of all durations of a window, which resembles the window before;
            half as much again for each arm by itself.
        swing: The most requests and errors of a day over the fewest.
    """

    share: float = 0.25
    requests: float = 200
    errors: float = 0.01
    ratio: float = 1.0
    slower: float = 1.0
    spread: float = 0.5
    noise: float = 0.0
    swing: float = 1.0


def windows(
    truth: Truth, seed: int, count: int, share: Callable[[int], float] | None = None
) -> Iterator[Window]:
    """Yield windows one after the other; `share` gives the candidate's share in each."""
    import numpy as np

    random = np.random.default_rng(seed)
    past: deque[Counter[int]] = deque(maxlen=REFERENCE_WINDOWS)
    before: Counter[int] = Counter()
    drifts = [0.0, 0.0, 0.0]

    def counted(requests: int, errors: float, scale: float) -> tuple[Arm, Counter[int]]:
        failed = int(random.binomial(requests, min(1.0, errors)))
        if not truth.spread:
            return Arm(requests, failed), Counter()
        taken = scale * random.lognormal(math.log(0.02), truth.spread, requests)
        found = np.ceil(np.log(taken / LEAST) / math.log(RATIO)).astype(int)
        buckets = Counter(found.tolist())
        return Arm(requests, failed, 0, dict(buckets)), buckets

    for number in range(count):
        part = share(number) if share else truth.share
        day = truth.swing ** math.sin(number / 30) / math.sqrt(truth.swing)
        total = int(random.poisson(truth.requests * day))
        own = int(random.binomial(total, part))
        for index, size in enumerate((truth.noise, truth.noise / 2, truth.noise / 2)):
            drifts[index] = 0.9 * drifts[index] + size * math.sqrt(0.19) * random.normal()
        scale, mine, others = (math.exp(drift) for drift in drifts)
        errors = truth.errors * day
        candidate, _ = counted(own, errors * truth.ratio, scale * mine * truth.slower)
        champion, buckets = counted(total - own, errors, scale * others)
        yield Window(number + 1, number + 1, candidate, champion, dict(before))
        if len(past) == past.maxlen:
            before = before - past[0]
        past.append(buckets)
        before = before + buckets


def z_test(evidence: Any, alpha: float = 0.05) -> bool:
    """Decide, as an ordinary test would, whether the candidate's errors are more."""
    own, champion = evidence.candidate, evidence.champion
    if not own.answered or not champion.answered:
        return False
    together = (own.errors + champion.errors) / (own.answered + champion.answered)
    spread = math.sqrt(together * (1 - together) * (1 / own.answered + 1 / champion.answered))
    if not spread:
        return False
    z = (own.errors / own.answered - champion.errors / champion.answered) / spread
    return math.erfc(z / math.sqrt(2)) / 2 < alpha
