"""A team's own metrics in the judge: what Prometheus answered, and what comes of it."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from deployer.rollout.judge import Criteria, Evidence, fold, judge
from deployer.spec.rollout import QueryLimits
from deployer.state.evidence import Answer, Arm, MetricVerdict, Outcome, Window

QUERY = 'bad{predictor="{predictor}"}'
RATE = QueryLimits(query=QUERY, count=QUERY, worse_by=0.02)
BARE = QueryLimits(query=QUERY, max=0.5)


def asked(
    limit: QueryLimits, answers: Sequence[tuple[Answer, Answer] | None], every: int = 6
) -> Evidence:
    """Evidence of windows with traffic, some of which bring the answers for both."""
    evidence, criteria = Evidence(), Criteria(asked={"basket": limit})
    for index, found in enumerate(answers):
        for number in range(index * every + 1, index * every + every + 1):
            pair = found if number == index * every + every else None
            arms = [
                Arm(100, asked={"basket": (each,)} if each else {}) for each in pair or (None,) * 2
            ]
            evidence = fold(evidence, Window(number, number, *arms), criteria)
    return evidence


def basket(evidence: Evidence, limit: QueryLimits) -> tuple[Outcome, MetricVerdict]:
    outcome, found = judge(evidence, Criteria(asked={"basket": limit}), "no_harm")
    [one] = [each for each in found if each.metric == "basket"]
    return outcome, one


def test_without_an_answer_not_even_no_harm_is_satisfied() -> None:
    for limit in (RATE, BARE):
        outcome, found = basket(asked(limit, [None]), limit)
        assert (outcome, found.outcome) == (Outcome.NO_DATA, Outcome.NO_DATA)
        assert found.message == "basket has no answer of Prometheus yet"


def test_an_answer_that_does_not_come_any_more_is_no_data_and_never_a_success() -> None:
    good: tuple[Answer, Answer] = (0.1, None), (0.1, None)
    for gone, outcome in ((0, Outcome.PASS), (3, Outcome.PASS), (4, Outcome.NO_DATA)):
        assert basket(asked(BARE, [good, *[None] * gone]), BARE)[0] is outcome, gone


def test_a_rate_that_is_worse_does_harm_as_errors_do_and_one_that_is_not_passes() -> None:
    good, bad = (0.01, 300), (0.1, 300)
    outcome, found = basket(asked(RATE, [(good, good)] * 12), RATE)
    assert (outcome, found.outcome) == (Outcome.PASS, Outcome.PASS)
    assert found.message == "basket 1 % of 3,600 cases, of the champion 1 % of 3,600"
    outcome, found = basket(asked(RATE, [(bad, good)] * 12), RATE)
    assert (outcome, found.outcome) == (Outcome.FAIL, Outcome.FAIL)
    assert (found.candidate, found.champion, found.margin) == (0.1, 0.01, 0.02)


def test_an_equal_rate_is_rarely_taken_for_harm() -> None:
    """The test of harm holds at all looks; so it does for answers that Prometheus rounded."""
    chance = random.Random(1)  # noqa: S311 - a simulation
    failed = 0
    for _ in range(60):
        pairs = []
        for _ in range(30):
            counts = [sum(chance.random() < 0.05 for _ in range(60)) for _ in range(2)]
            pairs.append(((counts[0] / 60, 60), (counts[1] / 60, 60)))
        failed += basket(asked(RATE, pairs, every=1), RATE)[0] is Outcome.FAIL
    assert failed <= 3


def test_of_no_case_nothing_is_said() -> None:
    outcome, found = basket(asked(RATE, [((0.0, 0), (0.01, 300))] * 5), RATE)
    assert found.outcome is Outcome.UNDECIDED
    assert outcome is Outcome.PASS, "no harm is shown"


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ((0.6, 0.6), Outcome.UNDECIDED),
        ((0.6, 0.6, 0.6), Outcome.FAIL),
        ((0.6, 0.6, 0.4, 0.6), Outcome.UNDECIDED),
        ((0.6, 0.6, 0.4), Outcome.PASS),
    ],
)
def test_a_bare_value_fails_above_its_limit_three_times_in_a_row(
    values: tuple[float, ...], outcome: Outcome
) -> None:
    found = basket(asked(BARE, [((value, None), (0.9, None)) for value in values]), BARE)[1]
    assert found.outcome is outcome
    assert f"{values[-1]:.4g}" in found.message


def test_another_step_asks_anew_and_harm_stays() -> None:
    good, bad = (0.01, 300), (0.03, 300)
    evidence = asked(RATE, [(bad, good)] * 4).at_next_step()
    assert basket(evidence, RATE)[1].outcome is Outcome.NO_DATA
    assert evidence.asked["basket"].rate.harm.log_e > 0
    twice = asked(BARE, [((0.6, None), (0.1, None))] * 2).at_next_step()
    assert twice.asked["basket"].above == 2


def test_answers_of_windows_that_are_merged_all_count() -> None:
    """An arm had no request in the first: the window waits for the next, and so does its answer."""
    criteria = Criteria(asked={"basket": RATE})
    evidence = Evidence()
    for number, requests in ((1, 0), (2, 100)):
        arms = [Arm(requests, asked={"basket": ((0.1, 50),)}) for _ in range(2)]
        evidence = fold(evidence, Window(number, number, *arms), criteria)
    assert evidence.asked["basket"].mine == (10, 100)
    assert not evidence.candidate.asked
