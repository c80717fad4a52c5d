"""What a candidate waits for at a step that is judged, and what ends its rollout."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from deployer.desired.wanted import predictor_digest
from deployer.rollout.advance import Step, advance
from deployer.spec.model import ServingSpec
from deployer.spec.resolve import spec_digest
from deployer.state.deployment import Policy, Wanted
from deployer.state.evidence import Outcome, Verdict
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import ExampleState, Phase, Predictor, Role
from deployer.state.reasons import Reason
from deployer.state.record import Candidate, Pause, Record
from deployer.state.registry import VersionId

NOW = 1_000_000.0
STEPS: list[Any] = [
    {"weight": 10, "min_time": "1m", "require": "no_harm"},
    {"weight": 50, "max_time": "1h", "require": "not_worse"},
    {"weight": 80, "pause": True},
    100,
]
HELD = Pause("ada", NOW, "")


def predictor(number: int, **rollout: Any) -> Predictor:
    spec = ServingSpec.model_validate({"rollout": rollout} if rollout else {})
    version = VersionId("angler", number, number)
    digest = predictor_digest(version, Role.CHAMPION, spec_digest(spec))
    return Predictor(f"angler-v{number}", version, Role.CHAMPION, digest, "s", spec)


OLD = predictor(1)


class Canary:
    """A candidate at a step, whose step is live since `lasted` seconds."""

    def __init__(self, step: int, lasted: float, **rollout: Any) -> None:
        self.predictor = predictor(2, steps=STEPS, **rollout)
        since = NOW - lasted
        record = Record("angler-prod", "angler", "prod").with_champion(OLD, 0.0)
        self.record = replace(record, candidate=Candidate(self.predictor, 0.0, step, since))

    def verdict(self, outcome: Outcome, **other: Any) -> Verdict:
        candidate = self.record.candidate
        assert candidate
        assert candidate.step_since is not None
        found = Verdict(
            self.predictor.digest,
            OLD.digest,
            "policy",
            candidate.step,
            candidate.step_since,
            NOW - 5,
            outcome,
            message="errors 4 % of 240 requests",
        )
        return replace(found, **other)

    def goes_on(self, verdict: Verdict | None = None, *, hold: bool = False, **seen: Any) -> Step:
        candidate = self.record.candidate
        assert candidate
        share = self.predictor.spec.rollout.weights[candidate.step]
        ready = {"phase": Phase.READY, "since": 0.0, "example": ExampleState.PASSED}
        found = {
            OLD.name: ObservedPredictor(OLD, **ready | {"live_weight": 100 - share} | seen),
            self.predictor.name: ObservedPredictor(self.predictor, **ready, live_weight=share),
        }
        observed = Observed(found, NOW, verdict=verdict)
        wanted = Wanted(self.predictor, self.predictor.version)
        return advance(wanted, observed, self.record, Policy(), NOW, hold=hold)


def step_of(found: Step) -> int | None:
    return found.record.candidate.step if found.record.candidate else None


def test_a_step_is_left_once_its_time_is_over_and_its_evidence_is_there() -> None:
    young, old = Canary(0, 59), Canary(0, 61)
    assert step_of(young.goes_on(young.verdict(Outcome.PASS))) == 0
    assert step_of(old.goes_on(old.verdict(Outcome.PASS))) == 1
    for outcome in (Outcome.UNDECIDED, Outcome.NO_DATA):
        found = old.goes_on(old.verdict(outcome))
        assert step_of(found) == 0
        assert found.waiting == "evidence at 10 % (errors 4 % of 240 requests)"
    assert old.goes_on(None).waiting == "evidence at 10 % (nothing is counted yet)"


@pytest.mark.parametrize(
    "other",
    [
        {"subject": "another candidate"},
        {"step": 1},
        {"since": NOW - 62},
        {"until": NOW - 61},
    ],
    ids=["another-candidate", "another-step", "from-before-the-step", "old"],
)
def test_a_verdict_on_something_else_lets_nothing_go_on(other: dict[str, Any]) -> None:
    canary = Canary(0, 61)
    assert step_of(canary.goes_on(canary.verdict(Outcome.PASS, **other))) == 0


@pytest.mark.parametrize("step", [0, 1, 2])
@pytest.mark.parametrize("held", ["", "paused", "frozen"])
def test_harm_takes_the_traffic_back_at_once_whatever_holds_the_rollout(
    step: int, held: str
) -> None:
    canary = Canary(step, 5)
    if held == "paused":
        canary.record = replace(canary.record, pause=HELD)
    found = canary.goes_on(canary.verdict(Outcome.FAIL), hold=held == "frozen")
    assert found.record.candidate is None
    assert found.record.champion == OLD
    failure = found.record.failures[canary.predictor.digest]
    assert (failure.reason, failure.retry_at) == (Reason.ROLLED_BACK, None)
    assert "errors 4 % of 240 requests" in failure.message
    weights = {one.predictor.name: one.weight for one in found.deployment.predictors}
    assert weights == {OLD.name: 100, canary.predictor.name: 0}


def test_the_harm_of_another_candidate_is_not_this_one_s() -> None:
    canary = Canary(0, 5)
    assert step_of(canary.goes_on(canary.verdict(Outcome.FAIL, subject="other"))) == 0


@pytest.mark.parametrize(
    ("outcome", "rollout", "ends"),
    [
        (Outcome.UNDECIDED, {}, "back"),
        (Outcome.UNDECIDED, {"on_undecided": "wait"}, "wait"),
        (Outcome.UNDECIDED, {"on_undecided": "advance"}, "advance"),
        (Outcome.NO_DATA, {}, "wait"),
        (Outcome.NO_DATA, {"on_no_data": "back"}, "back"),
        (Outcome.NO_DATA, {"on_undecided": "advance"}, "wait"),
        (None, {"on_undecided": "advance"}, "wait"),
    ],
)
def test_after_the_longest_time_the_spec_says_what_happens(
    outcome: Outcome | None, rollout: dict[str, str], ends: str
) -> None:
    canary = Canary(1, 3601, **rollout)
    found = canary.goes_on(canary.verdict(outcome) if outcome else None)
    assert {"back": None, "wait": 1, "advance": 2}[ends] == step_of(found)
    if ends == "back":
        [failure] = found.record.failures.values()
        assert failure.message == (
            "Version 2 was rolled back from 50 % of the traffic: nothing was shown within 1h "
            "(errors 4 % of 240 requests)."
        )


def test_a_step_with_a_pause_waits_for_an_operator_and_goes_back_all_the_same() -> None:
    canary = Canary(2, 5)
    found = canary.goes_on(canary.verdict(Outcome.PASS))
    assert (step_of(found), found.waiting) == (2, "an operator to let it leave the step at 80 %")
    candidate = canary.record.candidate
    assert candidate
    canary.record = replace(canary.record, candidate=replace(candidate, released=2))
    assert canary.goes_on(canary.verdict(Outcome.PASS)).record.champion == canary.predictor


def test_a_word_for_an_earlier_step_opens_no_later_one() -> None:
    canary = Canary(2, 5)
    candidate = canary.record.candidate
    assert candidate
    canary.record = replace(canary.record, candidate=replace(candidate, released=1))
    assert step_of(canary.goes_on()) == 2


def test_without_a_champion_that_answers_all_traffic_is_shifted_at_once() -> None:
    canary = Canary(0, 5)
    found = canary.goes_on(canary.verdict(Outcome.UNDECIDED), phase=Phase.FAILED)
    assert found.record.champion == canary.predictor


def test_another_way_to_get_there_keeps_the_predictor_and_begins_the_step_anew() -> None:
    canary = Canary(0, 61)
    before = canary.predictor
    canary.predictor = predictor(2, steps=[{"weight": 10, "require": "not_worse"}, *STEPS[1:]])
    assert canary.predictor.digest == before.digest
    found = canary.goes_on(None)
    candidate = found.record.candidate
    assert candidate
    assert candidate.predictor.spec == canary.predictor.spec
    assert (candidate.step, candidate.step_since) == (0, NOW)


VERDICTS = st.sampled_from([None, *Outcome])


@given(st.integers(0, 2), st.floats(0, 8000), VERDICTS, st.booleans(), st.integers(-1, 3))
def test_nothing_goes_on_without_evidence_and_harm_always_goes_back(
    step: int, lasted: float, outcome: Outcome | None, hold: bool, released: int
) -> None:
    canary = Canary(step, lasted)
    candidate = canary.record.candidate
    assert candidate
    canary.record = replace(canary.record, candidate=replace(candidate, released=released))
    found = canary.goes_on(canary.verdict(outcome) if outcome else None, hold=hold)
    assert sum(one.weight for one in found.deployment.predictors) == 100
    if outcome is Outcome.FAIL:
        assert found.record.champion == OLD
        assert found.record.candidate is None
        return
    went = found.record.champion == canary.predictor or (step_of(found) or -1) > step
    if went:
        assert not hold
        assert outcome is Outcome.PASS or step == 2
        assert step != 2 or released >= 2


@pytest.mark.parametrize("step", [-1, 0, 2])
def test_an_operator_may_have_a_version_skip_the_steps_but_not_its_example(step: int) -> None:
    canary = Canary(max(step, 0), 1)
    candidate = canary.record.candidate
    assert candidate
    hurried = replace(candidate, step=step, hurried=True)
    canary.record = replace(canary.record, candidate=hurried)
    asked = canary.goes_on(None) if step >= 0 else None
    if asked:
        assert asked.record.champion == canary.predictor
    for phase, example in (
        (Phase.UNREADY, ExampleState.PASSED),
        (Phase.READY, ExampleState.ASKED),
        (Phase.READY, ExampleState.REFUSED),
    ):
        canary.record = replace(canary.record, candidate=replace(hurried, step=-1))
        seen = {
            OLD.name: ObservedPredictor(OLD, Phase.READY, 0.0, live_weight=100),
            canary.predictor.name: ObservedPredictor(canary.predictor, phase, NOW, example=example),
        }
        wanted = Wanted(canary.predictor, canary.predictor.version)
        found = advance(wanted, Observed(seen, NOW), canary.record, Policy(), NOW)
        assert found.record.champion == OLD


@pytest.mark.parametrize("held", ["paused", "frozen"])
def test_what_holds_a_rollout_holds_one_that_is_hurried(held: str) -> None:
    canary = Canary(0, 1)
    assert canary.record.candidate
    canary.record = replace(
        canary.record,
        candidate=replace(canary.record.candidate, hurried=True),
        pause=HELD if held == "paused" else None,
    )
    assert step_of(canary.goes_on(None, hold=held == "frozen")) == 0
