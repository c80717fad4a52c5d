"""A fresh process of the champion's version beside the candidate: its share, its life, its loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.world import World, version_of

from deployer.analysis.cases import case_of
from deployer.analysis.criteria import policy_digest
from deployer.rollout import twin
from deployer.state.evidence import Outcome, Verdict
from deployer.state.observed import ObservedPredictor
from deployer.state.predictor import Phase, Predictor, Role
from deployer.state.record import Candidate, Record
from deployer.store.recordformat import FORMAT, body, record_of

OVERLAY: dict[str, Any] = {
    "rollout": {
        "steps": [
            {"weight": 30, "require": "no_harm"},
            {"weight": 70, "require": "not_worse"},
            100,
        ],
        "bake": 0,
    },
    "analysis": {"baseline": "twin"},
}


def said(outcome: Outcome) -> Any:
    """What the judge says of whatever is on trial."""

    def judged(record: Record) -> Verdict | None:
        case = case_of(record, None)
        candidate = record.candidate
        if case is None or candidate is None or candidate.step_since is None:
            return None
        since, at = candidate.step_since, candidate.step_since + 10
        digests = case.subject.digest, case.baseline.digest, policy_digest(case.subject.spec)
        return Verdict(*digests, candidate.step, since, at, outcome, message="errors 40 %")

    return judged


@pytest.fixture
def world() -> World:
    """Version 1 serves, and version 2 is promoted."""
    made = World(overlay=OVERLAY)
    for number in (1, 2):
        made.registry.stage(made.registry.add(), "Production" if number == 1 else "None")
    made.list_registry()
    made.settle()
    assert made.serves == 1
    made.judged = said(Outcome.NO_DATA)
    made.registry.stage(2, "Production")
    made.list_registry()
    return made


def candidate_of(world: World) -> Candidate:
    assert world.record.candidate
    return world.record.candidate


def twins(world: World) -> list[ObservedPredictor]:
    return [one for one in world.running.values() if one.predictor.role is Role.TWIN]


def shares(world: World) -> dict[str, int]:
    """The live share of candidate, twin and champion."""
    candidate = candidate_of(world)
    names = {
        "candidate": candidate.predictor,
        "twin": candidate.twin,
        "champion": world.record.champion,
    }
    return {role: world.live.get(one.name, 0) for role, one in names.items() if one}


def test_it_has_the_candidate_s_share_and_the_champion_the_rest(world: World) -> None:
    world.settle(10)
    assert shares(world) == {"candidate": 30, "twin": 30, "champion": 40}
    [beside] = twins(world)
    assert version_of(beside.predictor) == 1
    world.judged = said(Outcome.PASS)
    world.pass_once()
    world.judged = said(Outcome.NO_DATA)
    world.settle(5)
    assert shares(world) == {"candidate": 70, "twin": 30, "champion": 0}
    world.judged = said(Outcome.PASS)
    world.settle()
    assert world.serves == 2
    assert not twins(world)
    assert not world.cut, "it drained before it ended"


def test_nothing_is_shifted_before_it_is_ready(world: World) -> None:
    world.pass_once()
    [beside] = twins(world)
    for _ in range(5):
        world.tick()
        name = beside.predictor.name
        world.running[name] = replace(world.running[name], phase=Phase.STARTING, since=world.now)
        step = world.pass_once()
    assert step.waiting == "a fresh process of version 1 to compare it with"
    assert candidate_of(world).step == -1
    assert world.serves == 1


def test_harm_beside_it_gives_everything_back_and_it_leaves(world: World) -> None:
    world.settle(10)
    world.judged = said(Outcome.FAIL)
    world.settle()
    assert (world.serves, world.record.candidate) == (1, None)
    assert not twins(world)
    assert not world.cut


def test_one_that_cannot_start_ends_the_rollout_which_is_tried_again(world: World) -> None:
    world.pass_once()
    world.broken.add(1)  # whatever of version 1 starts from now on
    world.tick()
    world.pass_once()
    [failure] = world.record.failures.values()
    assert failure.reason == "BaselineFailed"
    assert "fresh process of version 1 to compare it with failed: it broke" in failure.message
    assert failure.retry_at
    assert world.serves == 1
    world.broken.clear()
    world.tick(failure.retry_at - world.now)
    world.settle(10)
    assert shares(world)["twin"] == 30


@pytest.mark.parametrize("phase", [Phase.UNREADY, Phase.STARTING])
def test_one_that_is_away_for_a_while_gives_way_and_the_steps_begin_anew(
    world: World, phase: Phase
) -> None:
    world.settle(10)
    [beside] = twins(world)
    world.running[beside.predictor.name] = replace(beside, phase=phase, since=world.now)
    world.pass_once()
    assert candidate_of(world).step == -1
    world.tick()
    assert world.serves == 1
    world.settle(10)
    assert shares(world) == {"candidate": 30, "twin": 30, "champion": 40}
    assert twins(world)[0].predictor == beside.predictor, "its evidence goes on"
    assert not world.cut


def test_a_newer_promotion_gets_one_of_its_own(world: World) -> None:
    world.settle(10)
    [before] = twins(world)
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.settle(15)
    assert version_of(candidate_of(world).predictor) == 3
    assert shares(world)["twin"] == 30
    assert [one.predictor.name for one in twins(world)] != [before.predictor.name]
    assert not world.cut


def test_the_baseline_may_change_amid_a_rollout(world: World) -> None:
    world.settle(10)
    world.overlay = {**OVERLAY, "analysis": {"baseline": "champion"}}
    world.settle(10)
    assert shares(world) == {"candidate": 30, "champion": 70}
    assert not twins(world)
    world.overlay = OVERLAY
    world.settle(10)
    assert shares(world) == {"candidate": 30, "twin": 30, "champion": 40}
    assert not world.cut


def test_a_rollout_that_nobody_judges_has_none(world: World) -> None:
    world.overlay = {**OVERLAY, "rollout": {"steps": [30, 100], "step_seconds": 600, "bake": 0}}
    world.settle(10)
    assert shares(world) == {"candidate": 30, "champion": 70}


def test_it_is_what_the_candidate_is_judged_against(world: World) -> None:
    world.settle(10)
    case = case_of(world.record, None)
    assert case
    assert case.baseline == candidate_of(world).twin
    assert [twin.share(own) for own in (5, 50, 80)] == [5, 50, 20]


def test_it_has_as_many_replicas_as_the_candidate(world: World) -> None:
    world.overlay = {**OVERLAY, "replicas": 3}
    world.settle(10)
    beside: Predictor | None = candidate_of(world).twin
    assert beside
    assert beside.spec.replicas == 3


def test_a_record_with_one_is_read_back(world: World) -> None:
    world.settle(10)
    assert record_of(body(world.record), FORMAT, "here") == world.record


def test_where_the_record_is_lost_the_champion_is_adopted_and_not_its_twin(world: World) -> None:
    world.settle(10)
    champion = world.record.champion
    world.record = Record("angler-prod", "angler", "prod")
    world.snapshot = None
    world.registry.stage(2, "None")
    world.pass_once()
    assert world.record.champion == champion
