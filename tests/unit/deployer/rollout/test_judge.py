"""The judge: what a verdict rests on, and how often it errs."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st
from support.traffic import Truth, windows, z_test

from deployer.rollout.judge import Criteria, Evidence, estimated, fold, judge, misrouted
from deployer.rollout.metrics import answers
from deployer.rollout.metrics.latency import quantile, seconds, share_above, times
from deployer.spec.rollout import RateLimits
from deployer.state.evidence import Arm, MetricVerdict, Outcome, Window, added

ERRORS = Criteria(rates={"errors": RateLimits(worse_by=0.02)})
LATENCY = Criteria(latency={"p99": 1.2})
BOTH = Criteria(rates={"errors": RateLimits(worse_by=0.02)}, latency={"p50": 1.2, "p99": 1.2})


def evidence_of(found: Iterable[Window], criteria: Criteria) -> Evidence:
    evidence = Evidence()
    for window in found:
        evidence = fold(evidence, window, criteria)
    return evidence


def window(number: int, own: tuple[int, int], champions: tuple[int, int]) -> Window:
    """Errors and requests of each."""
    return Window(number, number, Arm(own[1], own[0]), Arm(champions[1], champions[0]))


def verdict(evidence: Evidence, criteria: Criteria, name: str) -> MetricVerdict:
    [found] = [one for one in judge(evidence, criteria, "not_worse")[1] if one.metric == name]
    return found


def first(truth: Truth, seed: int, criteria: Criteria, most: int) -> tuple[Outcome, int]:
    """The first outcome that decides, and after how many windows."""
    evidence = Evidence()
    for number, found in enumerate(windows(truth, seed, most)):
        evidence = fold(evidence, found, criteria)
        outcome, _ = judge(evidence, criteria, "not_worse")
        if outcome in (Outcome.FAIL, Outcome.PASS):
            return outcome, number + 1
    return Outcome.UNDECIDED, most


def share_of(
    outcome: Outcome, truth: Truth, criteria: Criteria, runs: int = 20, most: int = 60
) -> float:
    return sum(first(truth, seed, criteria, most)[0] is outcome for seed in range(runs)) / runs


def test_an_equal_version_passes() -> None:
    assert share_of(Outcome.PASS, Truth(), BOTH, most=120) >= 0.95


@pytest.mark.parametrize(
    "truth",
    [Truth(errors=0.05), Truth(errors=0.05, swing=10), Truth(share=0.05, errors=0.3)],
    ids=["steady", "day-and-night", "many-errors"],
)
def test_an_equal_version_is_hardly_ever_rolled_back(truth: Truth) -> None:
    assert share_of(Outcome.FAIL, truth, ERRORS) <= 0.1


def test_a_repeated_z_test_would_roll_back_equal_versions() -> None:
    """The tests above can fail: what they ask of the judge, an ordinary test does not do."""
    alarms = 0
    for seed in range(40):
        evidence = Evidence()
        for found in windows(Truth(errors=0.05), seed, 120):
            evidence = fold(evidence, found, ERRORS)
            if evidence.candidate.errors + evidence.champion.errors > 5 and z_test(evidence):
                alarms += 1
                break
    assert alarms / 40 > 0.2


def test_a_version_with_far_more_errors_is_rolled_back_soon() -> None:
    found = [first(Truth(ratio=20.0), seed, ERRORS, 60) for seed in range(20)]
    assert {outcome for outcome, _ in found} == {Outcome.FAIL}
    assert sorted(windows for _, windows in found)[10] <= 3


def test_a_version_that_is_worse_than_the_margin_hardly_ever_passes() -> None:
    assert share_of(Outcome.PASS, Truth(errors=0.02, ratio=2.05), ERRORS) <= 0.1


def test_more_errors_within_the_tolerance_are_no_reason_to_roll_back() -> None:
    """Ten times the champion's errors, shown beyond doubt, and 0.9 points: the team allows two."""
    evidence = evidence_of(
        windows(Truth(share=0.5, requests=4000, errors=0.001, ratio=10), 1, 40), ERRORS
    )
    assert evidence.rates["errors"].harm.log_e > math.log(1e6)
    assert verdict(evidence, ERRORS, "errors").outcome is Outcome.PASS


def test_an_absolute_limit_holds_whatever_the_champion_does() -> None:
    criteria = Criteria(rates={"errors": RateLimits(max=0.05)})
    sick = evidence_of((window(n, (20, 100), (50, 100)) for n in range(1, 6)), criteria)
    assert judge(sick, criteria, "no_harm")[0] is Outcome.FAIL
    well = evidence_of((window(n, (1, 200), (50, 200)) for n in range(1, 11)), criteria)
    assert judge(well, criteria, "not_worse")[0] is Outcome.PASS


def test_too_few_requests_are_no_data_and_never_a_pass() -> None:
    evidence = evidence_of([window(1, (0, 99), (0, 900))], ERRORS)
    assert judge(evidence, ERRORS, "no_harm")[0] is Outcome.NO_DATA
    evidence = fold(evidence, window(2, (0, 1), (0, 9)), ERRORS)
    assert judge(evidence, ERRORS, "no_harm")[0] is Outcome.PASS
    assert judge(evidence, ERRORS, "not_worse")[0] is Outcome.UNDECIDED
    assert judge(Evidence(), Criteria(), "not_worse")[0] is Outcome.NO_DATA


def test_harm_needs_no_minimum() -> None:
    evidence = evidence_of([window(1, (12, 12), (0, 228))], ERRORS)
    assert judge(evidence, ERRORS, "no_harm")[0] is Outcome.FAIL


def test_an_undecided_metric_says_how_many_more_requests_it_takes() -> None:
    evidence = evidence_of([window(n, (0, 10), (0, 190)) for n in range(1, 13)], ERRORS)
    found = estimated(verdict(evidence, ERRORS, "errors"), evidence, ERRORS)
    assert found.outcome is Outcome.UNDECIDED
    assert found.more
    enough = evidence_of([window(1, (0, 120 + found.more), (0, 19 * (120 + found.more)))], ERRORS)
    assert verdict(enough, ERRORS, "errors").outcome is Outcome.PASS
    fewer = 120 + found.more // 2
    less = evidence_of([window(1, (0, fewer), (0, 19 * fewer))], ERRORS)
    assert verdict(less, ERRORS, "errors").outcome is Outcome.UNDECIDED


def test_where_no_number_of_requests_would_do_none_is_named() -> None:
    evidence = evidence_of([window(1, (6, 200), (2, 200))], ERRORS)
    found = estimated(verdict(evidence, ERRORS, "errors"), evidence, ERRORS)
    assert (found.outcome, found.more) == (Outcome.UNDECIDED, None)


def test_a_new_step_shows_anew_what_it_requires_and_keeps_what_speaks_for_harm() -> None:
    criteria = Criteria(rates={"errors": RateLimits(worse_by=0.02)}, latency={"p50": 1.2})
    evidence = evidence_of(windows(Truth(share=0.5, requests=1000), 1, 40), criteria)
    assert judge(evidence, criteria, "not_worse")[0] is Outcome.PASS
    later = evidence.at_next_step()
    assert judge(later, criteria, "not_worse")[0] is Outcome.NO_DATA
    assert (later.rates, later.slower) == (evidence.rates, evidence.slower)


def test_windows_without_an_arm_are_merged_with_the_next() -> None:
    apart = [window(1, (0, 0), (3, 50)), window(2, (0, 0), (0, 50)), window(3, (2, 10), (1, 50))]
    evidence = evidence_of(apart, ERRORS)
    assert evidence.pending is None
    assert evidence.rates == evidence_of([window(3, (2, 10), (4, 150))], ERRORS).rates
    assert evidence.until == 3


def test_a_window_counts_once() -> None:
    evidence = evidence_of([window(7, (2, 10), (1, 50))], ERRORS)
    assert fold(evidence, window(7, (2, 10), (1, 50)), ERRORS) is evidence


WINDOWS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 200), st.integers(0, 10), st.integers(0, 10)),
    min_size=1,
    max_size=12,
)


def as_windows(drawn: list[tuple[int, int, int, int]], more: int = 0) -> list[Window]:
    return [
        window(number, (min(own, mine + more), own), (min(champions, others), champions))
        for number, (own, champions, mine, others) in enumerate(drawn, 1)
    ]


@given(WINDOWS, st.integers(1, 3))
def test_more_errors_never_improve_a_verdict(
    drawn: list[tuple[int, int, int, int]], more: int
) -> None:
    for require in ("no_harm", "not_worse"):
        few, _ = judge(evidence_of(as_windows(drawn), ERRORS), ERRORS, require)
        many, _ = judge(evidence_of(as_windows(drawn, more), ERRORS), ERRORS, require)
        assert many.precedence <= few.precedence


@given(WINDOWS, st.integers(0, 12))
def test_a_replay_gives_what_was_there_live(
    drawn: list[tuple[int, int, int, int]], restart: int
) -> None:
    """A restart of the Deployer reads windows again that it had folded in."""
    found = as_windows(drawn)
    evidence = evidence_of(found[:restart], ERRORS)
    for each in found[max(0, restart - 3) :]:
        evidence = fold(evidence, each, ERRORS)
    assert evidence == evidence_of(found, ERRORS)


ARMS = st.builds(
    Arm,
    answered=st.integers(0, 50),
    errors=st.integers(0, 5),
    seconds=st.dictionaries(st.integers(0, 30), st.integers(1, 9), max_size=5),
    labels=st.dictionaries(st.sampled_from("abc"), st.integers(1, 9), max_size=3),
)


@given(ARMS, ARMS, ARMS)
def test_replicas_add_up_in_any_order(one: Arm, other: Arm, third: Arm) -> None:
    assert one.plus(other) == other.plus(one)
    assert one.plus(other).plus(third) == one.plus(other.plus(third))


# Latency


def test_a_version_as_fast_passes_and_one_twice_as_slow_fails() -> None:
    assert share_of(Outcome.PASS, Truth(noise=0.1), LATENCY, most=120) >= 0.95
    assert share_of(Outcome.FAIL, Truth(noise=0.1, slower=2.0), LATENCY, most=120) >= 0.95


def test_with_little_traffic_it_takes_longer_and_says_the_same() -> None:
    truth = Truth(share=0.1, requests=20, noise=0.1)
    assert share_of(Outcome.FAIL, truth, LATENCY, most=120) <= 0.1
    assert share_of(Outcome.FAIL, replace(truth, slower=2.0), LATENCY, most=120) >= 0.9


@given(
    st.dictionaries(st.integers(0, 400), st.integers(1, 1000), min_size=1, max_size=30),
    st.floats(0.01, 0.99),
)
def test_above_a_quantile_lies_the_rest(buckets: dict[int, int], share: float) -> None:
    assert share_above(buckets, quantile(buckets, share)) == pytest.approx(1 - share, abs=1e-6)


def test_a_place_is_a_duration() -> None:
    from serving.telemetry import sketch

    counted = sketch.Sketch()
    for value in range(1, 1001):
        counted.add(value / 1000)
    middle = quantile(counted.buckets, 0.5)
    assert seconds(middle) == pytest.approx(0.5, rel=0.03)
    assert seconds(times(middle, 1.2)) == pytest.approx(0.6, rel=0.03)


def test_the_buckets_are_those_of_the_model_server() -> None:
    from deployer.rollout.metrics import latency
    from serving.telemetry import sketch

    assert (latency.RATIO, latency.LEAST) == (sketch.RATIO, sketch.LEAST)


# Answers


def labelled(values: int = 0, missing: int = 0, **labels: int) -> Arm:
    return Arm(values=values or sum(labels.values()) + missing, labels=labels, missing=missing)


def numbers(bins: dict[int, int], missing: int = 0) -> Arm:
    return Arm(values=sum(bins.values()) + missing, bins=bins, missing=missing)


@pytest.mark.parametrize(
    ("candidate", "champion", "outcome"),
    [
        (labelled(a=200), labelled(a=100, b=100), Outcome.FAIL),
        (labelled(a=200), labelled(a=200), Outcome.PASS),
        (labelled(a=5), labelled(a=100, b=100), Outcome.PASS),
        (labelled(a=199, b=1), labelled(a=100, b=100), Outcome.PASS),
        (labelled(a=200), labelled(a=990, b=10), Outcome.PASS),
        (labelled(values=200), labelled(values=200), Outcome.PASS),
        (numbers({3: 500}), numbers({3: 100, 4: 100}), Outcome.FAIL),
        (numbers({}, missing=80), numbers({1: 50, 2: 50}), Outcome.FAIL),
        (numbers({}, missing=80), numbers({}, missing=80), Outcome.PASS),
        (Arm(), Arm(), Outcome.PASS),
    ],
)
def test_answers_that_are_always_the_same_fail_at_once(
    candidate: Arm, champion: Arm, outcome: Outcome
) -> None:
    assert answers.constant(candidate, champion).outcome is outcome


def test_answers_are_compared_only_if_the_team_asks() -> None:
    one, other = labelled(a=900, b=100), labelled(a=100, b=900)
    assert answers.distance(one, other, None, (0.05, 0.05)).outcome is Outcome.PASS
    found = answers.distance(one, other, 0.1, (0.05, 0.05))
    assert (found.outcome, found.candidate) == (Outcome.FAIL, pytest.approx(0.8))
    same = answers.distance(labelled(a=9000, b=1000), labelled(a=9000, b=1000), 0.1, (0.05, 0.05))
    assert same.outcome is Outcome.PASS
    assert answers.distance(labelled(a=9), other, 0.1, (0.05, 0.05)).outcome is Outcome.UNDECIDED


@given(
    st.dictionaries(st.integers(-5, 5), st.integers(50, 300), min_size=2),
    st.dictionaries(st.integers(-5, 5), st.integers(50, 300), min_size=2),
)
def test_the_distance_of_numbers_is_that_of_kolmogorov_and_smirnov(
    one: dict[int, int], other: dict[int, int]
) -> None:
    from scipy import stats

    def spread(bins: dict[int, int]) -> list[int]:
        return [index for index, count in bins.items() for _ in range(count)]

    found = answers.distance(numbers(one), numbers(other), 0.1, (0.05, 0.05))
    if found.candidate is not None:
        wanted: Any = stats.ks_2samp(spread(one), spread(other), method="asymp")
        assert found.candidate == pytest.approx(wanted.statistic, abs=1e-9)


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 500), min_size=1))
def test_equal_answers_are_not_apart(labels: dict[str, int]) -> None:
    found = answers.distance(labelled(**labels), labelled(**labels), 0.1, (0.05, 0.05))
    if found.candidate is not None:
        assert found.candidate == 0
        assert found.low == 0
        assert found.outcome is not Outcome.FAIL
    assert added(labels, labels) == {label: 2 * count for label, count in labels.items()}


@pytest.mark.parametrize(
    ("own", "champions", "asked", "found"),
    [
        (500, 500, 0.5, ""),
        (560, 440, 0.5, ""),
        (700, 300, 0.5, "700 of 1,000 requests reached it, 70 %, and not 50 %"),
        (0, 300, 0.05, "0 of 300 requests reached it, 0 %, and not 5 %"),
        (0, 100, 0.05, ""),
        (20, 0, 0.05, "20 of 20 requests reached it, 100 %, and not 5 %"),
        (0, 0, 0.05, ""),
    ],
)
def test_a_gateway_that_splits_otherwise_than_asked_is_found_out(
    own: int, champions: int, asked: float, found: str
) -> None:
    evidence = Evidence(candidate=Arm(own), champion=Arm(champions))
    assert misrouted(evidence, asked) == found


def test_a_gateway_that_splits_as_asked_is_hardly_ever_suspected() -> None:
    draw = random.Random(7)  # noqa: S311 - no secret
    suspected = 0
    for _ in range(200):
        own = 0
        for total in range(100, 3_001, 100):
            own += sum(draw.random() < 0.05 for _ in range(100))
            evidence = Evidence(candidate=Arm(own), champion=Arm(total - own))
            if misrouted(evidence, 0.05):
                suspected += 1
                break
    assert suspected <= 1
