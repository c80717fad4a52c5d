"""How often the judge errs, over 2,000 rollouts of a kind: at most as often as it claims."""

from __future__ import annotations

import pytest
from support.traffic import Truth, windows, z_test

from deployer.rollout import bake
from deployer.rollout.bake import BakeEvidence
from deployer.rollout.judge import Criteria, Evidence, fold, judge
from deployer.spec.rollout import RateLimits
from deployer.state.evidence import Arm, Outcome

RUNS, WINDOWS, KEPT = 2_000, 60, 30
ERRORS = Criteria(rates={"errors": RateLimits(worse_by=0.0)})
MARGIN = Criteria(rates={"errors": RateLimits(worse_by=0.02)})
LATENCY = Criteria(latency={"p99": 1.2})
SLACK = 0.015
"""Three standard deviations of a share of 5 % in 2,000 runs."""

STATIONARY = [
    Truth(share=0.05, errors=0.01, spread=0),
    Truth(share=0.05, errors=0.01, spread=0, swing=10.0),
    Truth(share=0.5, errors=0.01, spread=0),
    Truth(share=0.25, errors=0.2, spread=0, swing=10.0),
]


def outcomes(truth: Truth, criteria: Criteria, runs: int, *, moving: bool = False) -> list[Outcome]:
    """What each run came to: the first outcome that decides, looked at after each window."""
    found = []
    for seed in range(runs):
        evidence, decided = Evidence(), Outcome.UNDECIDED
        share = (lambda number: (0.05, 0.25, 0.5)[3 * number // WINDOWS]) if moving else None
        for window in windows(truth, seed, WINDOWS, share):
            evidence = fold(evidence, window, criteria)
            outcome, _ = judge(evidence, criteria, "not_worse")
            if outcome is Outcome.FAIL or (outcome is Outcome.PASS and criteria is not ERRORS):
                decided = outcome
                break
        found.append(decided)
    return found


@pytest.mark.parametrize("truth", STATIONARY, ids=("5%", "5%-daily", "50%", "25%-daily"))
def test_false_alarms_of_errors_are_as_rare_as_claimed(truth: Truth) -> None:
    """With no tolerance at all, which is the hardest."""
    assert outcomes(truth, ERRORS, RUNS).count(Outcome.FAIL) / RUNS <= 0.05 + SLACK


def test_false_alarms_are_as_rare_while_weights_change() -> None:
    found = outcomes(Truth(errors=0.05, spread=0, swing=10.0), ERRORS, RUNS, moving=True)
    assert found.count(Outcome.FAIL) / RUNS <= 0.05 + SLACK


def test_a_version_worse_than_the_margin_passes_as_rarely_as_claimed() -> None:
    truth = Truth(share=0.5, requests=800, errors=0.02, spread=0, ratio=2.01)
    assert outcomes(truth, MARGIN, RUNS).count(Outcome.PASS) / RUNS <= 0.05 + SLACK


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
def test_an_equal_version_is_as_fast_whatever_the_load_does(noise: float) -> None:
    found = outcomes(Truth(noise=noise), LATENCY, RUNS // 4)
    assert found.count(Outcome.FAIL) / len(found) <= 0.05 + 2 * SLACK


def test_a_version_twice_as_slow_is_found() -> None:
    found = outcomes(Truth(noise=0.1, slower=2.0), LATENCY, RUNS // 4)
    assert found.count(Outcome.FAIL) / len(found) >= 0.95


def baked(truth: Truth, runs: int) -> list[Outcome]:
    """What bakes came to: the first windows are of the old version, the others of the new one."""
    found = []
    for seed in range(runs):
        before, evidence, outcome = Arm(), BakeEvidence(), Outcome.NO_DATA
        for number, window in enumerate(windows(truth, seed, KEPT + WINDOWS), 1):
            if number <= KEPT:
                before = before.plus(window.champion)
                continue
            evidence = bake.fold(evidence, number, window.candidate, before, ERRORS, warm=True)
            outcome, _ = bake.judge(evidence, before, ERRORS)
            if outcome is Outcome.FAIL:
                break
        found.append(outcome)
    return found


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_bake_of_an_equal_version_hardly_ever_goes_back(share: float) -> None:
    found = baked(Truth(share=share, errors=0.01, spread=0), RUNS // 4)
    assert found.count(Outcome.FAIL) / len(found) <= 0.05
    worse = baked(Truth(share=share, errors=0.01, spread=0, ratio=10.0), RUNS // 10)
    assert worse.count(Outcome.FAIL) / len(worse) >= 0.95


def test_a_repeated_z_test_fails_these_tests() -> None:
    alarms = 0
    for seed in range(RUNS // 4):
        evidence = Evidence()
        for window in windows(STATIONARY[2], seed, WINDOWS):
            evidence = fold(evidence, window, ERRORS)
            if evidence.candidate.errors + evidence.champion.errors > 5 and z_test(evidence):
                alarms += 1
                break
    assert alarms / (RUNS // 4) > 0.2
