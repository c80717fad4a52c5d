"""The limits that hold at every look, against scipy and by simulation."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, strategies as st

from deployer.rollout.metrics.sequential import (
    RATIOS,
    Harm,
    Series,
    distribution_band,
    rate_limits,
)

COUNTS = st.integers(1, 3000).flatmap(
    lambda total: st.tuples(st.integers(0, total), st.just(total))
)


@pytest.mark.parametrize(
    ("total", "high"), [(100, 0.057), (300, 0.0212), (1000, 0.0070), (3000, 0.0025)]
)
def test_without_an_event_the_rate_has_an_upper_limit(total: int, high: float) -> None:
    assert rate_limits(0, total, 0.05) == (0.0, pytest.approx(high, abs=5e-5))
    assert rate_limits(total, total, 0.05) == (pytest.approx(1 - high, abs=5e-5), 1.0)


@given(COUNTS, st.sampled_from([0.05, 0.025, 0.01]))
def test_the_limits_are_where_the_mixture_says(counts: tuple[int, int], alpha: float) -> None:
    from scipy import special

    count, total = counts
    other = total - count
    for rate in rate_limits(count, total, alpha):
        if 0 < rate < 1:
            likelihood = special.xlogy(count, rate) + special.xlog1py(other, -rate)
            mixture = special.betaln(0.5 + count, 0.5 + other) - special.betaln(0.5, 0.5)
            assert likelihood - mixture == pytest.approx(math.log(alpha), abs=1e-4)


@given(COUNTS, st.integers(1, 50))
def test_more_events_move_both_limits_up(counts: tuple[int, int], more: int) -> None:
    count, total = counts
    risen = rate_limits(min(total, count + more), total, 0.05)
    before = rate_limits(count, total, 0.05)
    assert risen[0] >= before[0] - 1e-12
    assert risen[1] >= before[1] - 1e-12


def test_nothing_is_known_of_a_rate_without_trials() -> None:
    assert rate_limits(0, 0, 0.05) == (0.0, 1.0)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 20), st.integers(0, 20))
def test_harm_is_a_mixture_of_likelihood_ratios(
    own: int, champions: int, mine: int, others: int
) -> None:
    from scipy import stats

    errors, share = mine + others, own / (own + champions)
    ratios = [
        stats.binom.pmf(mine, errors, share * r / (share * r + 1 - share))
        / stats.binom.pmf(mine, errors, share)
        for r in RATIOS
    ]
    found = Harm().after((mine, others), (own, champions))
    assert math.exp(found.log_e) == pytest.approx(sum(ratios) / len(RATIOS), rel=1e-6)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 20), st.integers(0, 20))
def test_an_error_more_of_the_candidate_is_more_evidence_of_harm(
    own: int, champions: int, mine: int, others: int
) -> None:
    requests = own, champions
    assert Harm().after((mine + 1, others), requests).log_e > (
        Harm().after((mine, others), requests).log_e
    )


def test_windows_without_an_arm_or_an_error_say_nothing_of_harm() -> None:
    for errors, requests in (((5, 0), (5, 0)), ((0, 5), (0, 5)), ((0, 0), (90, 90))):
        assert Harm().after(errors, requests) == Harm()


def alarms(runs: int, ratio: float, shares: tuple[float, ...], base: float = 0.01) -> float:
    """The share of runs of 6,000 requests in which harm was shown at 5 %, looked at each 50."""
    found = 0
    for seed in range(runs):
        draw = random.Random(seed)  # noqa: S311 - no secret
        harm = Harm()
        for look in range(120):
            share = shares[look * len(shares) // 120]
            own = sum(draw.random() < share for _ in range(50))
            mine = sum(draw.random() < base * ratio for _ in range(own))
            others = sum(draw.random() < base for _ in range(50 - own))
            harm = harm.after((mine, others), (own, 50 - own))
            if harm.log_e >= math.log(20):
                found += 1
                break
    return found / runs


@pytest.mark.parametrize("shares", [(0.05,), (0.5,), (0.05, 0.25, 0.5)])
def test_a_version_that_is_no_worse_is_hardly_ever_shown_to_harm(shares: tuple[float, ...]) -> None:
    assert alarms(60, 1.0, shares) <= 0.1


def test_a_version_that_fails_twenty_times_as_often_is_shown_to_harm() -> None:
    assert alarms(20, 20.0, (0.05,)) == 1.0


@given(st.lists(st.floats(-1, 1).map(lambda v: round(v, 6)), min_size=3, max_size=60))
def test_a_series_has_mean_variance_and_autocorrelation(values: list[float]) -> None:
    import numpy as np

    series = Series()
    for value in values:
        series = series.after(value)
    data = np.array(values)
    assert series.mean == pytest.approx(data.mean(), abs=1e-9)
    centred = data - data.mean()
    spread = float((centred**2).sum())
    if spread > 1e-6:
        alike = min(0.97, max(0.0, float((centred[1:] * centred[:-1]).sum()) / spread))
        wanted = spread / (len(values) - 1) * (1 + alike) / (1 - alike)
        assert series.variance == pytest.approx(wanted, rel=1e-3, abs=1e-9)


def test_a_mean_has_no_limits_before_twenty_windows() -> None:
    series = Series()
    for _ in range(19):
        series = series.after(0.5)
    assert series.limits(0.05) == (-math.inf, math.inf)
    assert series.after(0.5).limits(0.05) == (0.5, 0.5)


def test_the_limits_of_a_mean_hold_at_all_looks_together() -> None:
    outside = 0
    for seed in range(100):
        draw, series = random.Random(seed), Series()  # noqa: S311 - no secret
        for _ in range(300):
            series = series.after(draw.gauss(0.0, 1.0))
            low, high = series.limits(0.025)
            if not low <= 0 <= high:
                outside += 1
                break
    assert outside <= 10


@pytest.mark.parametrize(("total", "half"), [(700, 0.10), (2000, 0.06), (5000, 0.04)])
def test_a_distribution_is_known_within_a_band(total: int, half: float) -> None:
    assert distribution_band(total, 0.05, 100) == pytest.approx(half, rel=0.15)
    assert distribution_band(99, 0.05, 100) == 1.0
