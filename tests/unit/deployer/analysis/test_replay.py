"""What other limits would have said of a rollout."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.analysis.criteria import bake_criteria_of, criteria_of
from deployer.analysis.replay import Kept, replay, with_criteria
from deployer.errors import SpecInvalid
from deployer.rollout import bake
from deployer.rollout.bake import BakeEvidence
from deployer.rollout.judge import Evidence, fold, judge
from deployer.spec.model import ServingSpec
from deployer.state.evidence import Arm, Outcome, Window

STEPS: list[Any] = [
    {"weight": 20, "require": "no_harm"},
    {"weight": 50, "require": "not_worse"},
    100,
]
SPEC = ServingSpec.model_validate(
    {"rollout": {"steps": STEPS}, "analysis": {"min_requests": 50, "warmup": 0}}
)
SECTIONS = SPEC.model_dump(mode="json", include={"rollout", "analysis"})
FAST, SLOW = {140: 90, 150: 10}, {146: 90, 156: 10}
"""Durations: the second are a third longer (1.05 ** 6)."""


def arm(errors: int = 0, seconds: dict[int, int] | None = None) -> Arm:
    return Arm(100, errors, 0, seconds or FAST)


def trial(
    errors: tuple[int, int] = (0, 0), seconds: dict[int, int] | None = None, windows: int = 30
) -> list[Kept]:
    """Two steps, of so many windows each, with so many errors of the candidate in each."""
    reference = {index: 30 * count for index, count in FAST.items()}
    return [
        (step, Window(n, n, arm(count, seconds), arm(), reference))
        for step, count in enumerate(errors)
        for n in range(1 + windows * step, 1 + windows * (step + 1))
    ]


def test_a_replay_with_the_same_criteria_says_what_was_said() -> None:
    kept = trial((0, 1))
    evidence, criteria = Evidence(), criteria_of(SPEC)
    said = []
    for step in (0, 1):
        evidence = evidence.at_next_step()
        for _, window in kept[30 * step : 30 * (step + 1)]:
            evidence = fold(evidence, window, criteria)
        said.append(judge(evidence, criteria, ("no_harm", "not_worse")[step]))  # type: ignore[arg-type]
    found = replay(SPEC, kept)
    assert [(one.outcome, one.metrics) for one in found] == said
    assert [(one.step, one.since, one.until, one.requests) for one in found] == [
        (0, 10, 310, 3_000),
        (1, 310, 610, 3_000),
    ]


@pytest.mark.parametrize(
    ("change", "outcome"), [("latency.p50=1.5x", Outcome.PASS), ("latency.p50=1.1x", Outcome.FAIL)]
)
def test_another_limit_of_latency_says_otherwise_and_names_when(
    change: str, outcome: Outcome
) -> None:
    spec = with_criteria(SECTIONS, [change, "latency.p99=null"])
    found = replay(spec, trial(seconds=SLOW))
    assert found[0].outcome is outcome
    if outcome is Outcome.FAIL:
        assert len(found) == 1, "after a harm nothing follows"
        assert found[0].until < 310
        assert "latency p50" in found[0].message


def test_more_requests_or_no_metric_at_all() -> None:
    kept = trial((1, 1), windows=10)
    assert [one.outcome for one in replay(SPEC, kept)] == [Outcome.PASS, Outcome.UNDECIDED]
    asked = with_criteria(SECTIONS, ["min_requests=100000"])
    assert {one.outcome for one in replay(asked, kept)} == {Outcome.NO_DATA}
    none = with_criteria(SECTIONS, ["errors=null", "rejected=null", "latency=null"])
    assert {one.outcome for one in replay(none, kept)} == {Outcome.PASS}
    strict = with_criteria(SECTIONS, ["errors.max=0.1%"])
    assert replay(strict, kept)[0].outcome is Outcome.FAIL


def test_a_bake_is_replayed_against_what_came_before_it() -> None:
    before = Arm(3_000, 30, 0, FAST)
    kept = [(3, Window(9, 9, Arm(), before))]
    kept += [(3, Window(n, n, arm(8), Arm())) for n in range(10, 20)]
    criteria, evidence = bake_criteria_of(SPEC), BakeEvidence()
    (found,) = replay(SPEC, kept)
    for _, window in kept[1:]:
        evidence = bake.fold(evidence, window.number, window.candidate, before, criteria, warm=True)
        outcome, metrics = bake.judge(evidence, before, criteria)
        if outcome is Outcome.FAIL:
            break
    assert (found.outcome, found.metrics, found.since) == (outcome, metrics, 100)
    assert outcome is Outcome.FAIL
    (lax,) = replay(with_criteria(SECTIONS, ["errors.worse_by=10pp"]), kept)
    assert lax.outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("latency.p99", "'latency.p99' changes nothing."),
        ("latency.p98=1.1x", "analysis.metrics.latency.p98 is not a known field"),
        ("errors.worse_by=much", "analysis.metrics.errors.worse_by"),
        ("speed=1x", "analysis.metrics has no metric 'speed'; one of your own needs a query"),
    ],
)
def test_a_change_that_is_none_is_named_with_the_remedy(change: str, said: str) -> None:
    with pytest.raises(SpecInvalid, match=said) as refused:
        with_criteria(SECTIONS, [change])
    assert refused.value.hint
