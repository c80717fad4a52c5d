"""When the next pass is due: rare at rest, and frequent while nobody would report a change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.world import served

from deployer.controller import pace
from deployer.controller.pace import Pace, at_rest
from deployer.controller.publish import Pass
from deployer.errors import SpecInvalid, TargetUnavailable
from deployer.plan.plan import Change, Hold, Plan
from deployer.rollout.advance import Step
from deployer.state.deployment import Deployment, Wanted
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import Phase
from deployer.state.record import Absence, Candidate, Failure, Pause
from deployer.status import verdict
from deployer.status.verdict import Status

NOW = 1_000.0


def settled() -> tuple[Step, Status]:
    """A pass over a deployment that serves its first version, and waits for nothing."""
    record = served()
    champion = record.champion
    assert champion is not None
    observed = Observed({champion.name: ObservedPredictor(champion, Phase.READY, 1.0)}, NOW)
    wanted = Wanted(champion, champion.version)
    nothing = Deployment("angler-prod", "angler", "prod", ())
    step = Step(nothing, record, champion, (), "", True, None)
    status = Status(
        verdict=verdict.judge(record, wanted, observed, ""),
        sync=verdict.sync(record, wanted, frozen=False),
        record=record,
        wanted=wanted,
        observed=observed,
        url="",
        target="local",
        changed_at=NOW,
        settled=True,
        plan=Plan((), nothing),
    )
    return step, status


def rests(step: Step, status: Status, *, server: str = "") -> bool:
    return at_rest(step, status, server)


def test_a_deployment_that_serves_what_is_promoted_is_at_rest():
    assert rests(*settled())


def test_so_is_one_where_nothing_is_promoted_and_nothing_serves():
    step, status = settled()
    record = replace(status.record, absence=Absence(1.0, 0, 1.0)).with_champion(None)
    nothing = replace(status, record=record, wanted=Wanted(None), observed=Observed({}, NOW))
    assert rests(step, nothing)


def test_so_is_one_that_is_paused_or_whose_candidate_failed_for_good():
    step, status = settled()
    paused = replace(status.record, pause=Pause("ada", 1.0, "the launch"))
    assert rests(step, replace(status, record=paused))
    problem = Failure(SpecInvalid.reason, "replicas is no number", "", 1.0)
    unusable = replace(status, wanted=replace(status.wanted, champion=None, problem=problem))
    assert rests(step, unusable)


def test_what_nobody_reports_keeps_passes_frequent():
    step, status = settled()
    record = status.record
    champion = record.champion
    assert champion is not None
    [(name, seen)] = status.observed.predictors.items()
    missed = replace(record.promotions[0], missed_at=1.0)
    change = Change("start", name, "1", "it does not run")
    hold = Hold("TooManyRetirements", "", "", unsafe=True)
    later = {
        "a step of the rollout": (replace(step, settled=False), status),
        "the end of other rollouts": (replace(step, waiting="other rollouts"), status),
        "a change to make": (step, replace(status, plan=replace(status.plan, changes=(change,)))),
        "retirements of others": (
            step,
            replace(status, plan=replace(status.plan, held_by=hold)),
        ),
        "its spec to be read": (step, replace(status, wanted=Wanted(None, champion.version))),
        "the gateway": (
            step,
            replace(status, observed=replace(status.observed, gateway_error="away")),
        ),
    }
    records = {
        "a listing without it": replace(record, promotions=(missed,)),
        "the end of its grace time": replace(record, absence=Absence(1.0, 0, 1.0)),
        "a candidate that is held": replace(record, candidate=Candidate(champion, 1.0)),
    }
    later |= {what: (step, replace(status, record=one)) for what, one in records.items()}
    for phase in set(Phase) - {Phase.READY}:
        observed = Observed({name: replace(seen, phase=phase)}, NOW)
        later[f"what is {phase}"] = (step, replace(status, observed=observed))
    degraded = Observed({name: replace(seen, reason="FewerReplicas")}, NOW)
    later["a replica"] = (step, replace(status, observed=degraded))
    assert [what for what, (step, status) in later.items() if rests(step, status)] == []
    assert not rests(step, status, server="2.0")  # its batch of an upgrade


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def steady() -> Pace:
    return Pace(Clock())


def test_a_pass_at_rest_is_rare_and_gives_way_to_others(steady):
    status = settled()[1]
    turns = [steady.after("a", Pass(status, at_rest=True)) for _ in range(200)]
    least, most = pace.RESYNC_SECONDS
    assert all(least <= turn.delay <= most for turn in turns)
    assert len({turn.delay for turn in turns}) > 100, "they do not come all at once"
    assert {turn.patience for turn in turns} == {pace.PATIENCE_SECONDS}


def test_a_time_that_is_known_is_met_and_waits_for_nobody(steady):
    status = settled()[1]
    turn = steady.after("a", Pass(status, at_rest=True, wake_at=NOW + 7))
    assert (turn.delay, turn.patience) == (7, 0)
    assert steady.after("a", Pass(status, at_rest=True, wake_at=NOW - 7)).delay == 0
    assert steady.after("a", Pass(status, wake_at=NOW + 3600)).delay < 3


def test_passes_that_move_are_frequent_and_those_that_fail_back_off(steady):
    status = settled()[1]
    moving = Pass(replace(status, settled=False), at_rest=True)
    assert steady.after("a", moving).delay == pace.MOVING_SECONDS
    failed = Pass(status, error=TargetUnavailable("away"))
    pauses = [steady.after("a", failed).delay for _ in range(12)]
    assert pauses[0] < 1
    assert 20 < pauses[-1] < 40
    assert steady.after("b", failed).delay < 1
    steady.after("a", moving)
    assert steady.after("a", failed).delay < 1
