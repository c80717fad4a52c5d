"""The old version stays warm for a while, and gets the traffic back where harm is shown."""

from __future__ import annotations

import random
from typing import Any

import pytest
from support.world import World

from deployer.rollout import bake
from deployer.rollout.bake import BakeEvidence
from deployer.rollout.judge import Criteria
from deployer.spec.rollout import RateLimits
from deployer.state.evidence import Arm, Outcome, Verdict
from deployer.state.reasons import Reason
from deployer.state.record import Record

CRITERIA = Criteria(100, {"errors": RateLimits(worse_by=0.02)})


def harm(record: Record) -> Verdict | None:
    """Harm of the champion, as long as another one is warm."""
    champion, standby = record.champion, record.standby
    if champion is None or standby is None:
        return None
    digests = champion.digest, standby.predictor.digest
    return Verdict(*digests, "policy", 0, 0.0, 0.0, Outcome.FAIL, message="errors 40 % of 50")


def promoted(**rollout: Any) -> World:
    """Version 1 served, and version 2 has just taken its place."""
    world = World(overlay={"rollout": {"bake": 30, "drain": 2} | rollout})
    serve(world, 1)
    serve(world, 2)
    return world


def promote(world: World, number: int) -> None:
    """Make it the last promotion, whatever it was before."""
    if number not in world.registry.stages:
        world.registry.add()
    for stage in ("None", "Production"):
        world.registry.stage(number, stage)
        world.list_registry()
        world.pass_once()


def serve(world: World, number: int) -> None:
    promote(world, number)
    for _ in range(120):
        if world.serves == number:
            return
        world.pass_once()
        world.tick()
    raise AssertionError(f"version {number} never served")


def runs(world: World) -> set[int]:
    return {one.predictor.version.number for one in world.running.values()}


def test_the_old_version_is_warm_for_the_time_of_the_bake_and_the_deployment_is_settled() -> None:
    world = promoted()
    for _ in range(28):
        step = world.pass_once()
        world.tick()
        assert runs(world) == {1, 2}
    assert step.settled
    assert step.wake_at
    assert 0 < step.wake_at - world.now <= 30
    world.settle(8)
    assert runs(world) == {2}
    assert not world.cut


def test_without_a_bake_it_only_drains() -> None:
    world = promoted(bake=0)
    world.settle(5)
    assert runs(world) == {2}


@pytest.mark.parametrize("held", [False, True])
def test_harm_gives_the_traffic_back_in_one_step_paused_or_not(held: bool) -> None:
    world = promoted()
    world.settle(3)
    if held:
        world.pause()
    world.judged = harm
    step = world.pass_once()
    assert {one.predictor.version.number: one.weight for one in step.deployment.predictors} == {
        1: 100, 2: 0,
    }  # fmt: skip
    assert [one.kind for one in step.transitions] == ["fall back"]
    (failure,) = world.record.failures.values()
    assert (failure.reason, failure.retry_at) == (Reason.ROLLED_BACK, None)
    assert failure.message == (
        "Version 2 was rolled back after it took all of the traffic: errors 40 % of 50."
    )
    world.resume()
    world.settle(40)
    assert world.serves == 1
    assert runs(world) == {1}, "what did harm is not tried again, and is no longer kept"
    assert not world.cut


def test_a_verdict_on_another_pair_changes_nothing() -> None:
    world = promoted()
    late = harm(world.record)
    world.settle(40)
    world.judged = lambda _: late
    serve(world, 3)
    world.settle(3)
    assert world.serves == 3


def test_a_newer_promotion_takes_over_from_a_champion_that_bakes() -> None:
    world = promoted()
    serve(world, 3)
    assert world.record.standby
    assert world.record.standby.predictor.version.number == 2
    world.judged = harm
    world.settle(3)
    assert world.serves == 2


def test_while_a_newer_version_shares_the_traffic_it_returns_to_its_champion_alone() -> None:
    world = promoted(steps=[10, 100], step_seconds=20)
    assert world.record.standby
    promote(world, 3)
    world.settle(6)
    assert world.record.candidate
    assert world.record.candidate.step == 0
    assert world.record.standby is None


def test_what_nothing_promotes_any_more_keeps_nothing_warm() -> None:
    world = promoted(bake=5_000)
    for number in (1, 2):
        world.registry.stage(number, "Archived")
    world.list_registry()
    for _ in range(4):
        world.tick(400)
        world.list_registry()
        world.pass_once()
    world.settle(8)
    assert runs(world) == set()
    assert not world.cut


def shares(world: World, passes: int) -> set[int]:
    """Every share of the traffic that was asked for meanwhile."""
    found = set()
    for _ in range(passes):
        step = world.pass_once()
        world.tick()
        found |= {one.weight for one in step.deployment.predictors}
    return found


@pytest.mark.parametrize(("window", "steps"), [(0, {0, 10, 90, 100}), (3600, {0, 100})])
def test_a_version_that_served_not_long_ago_returns_without_steps(
    window: int, steps: set[int]
) -> None:
    world = promoted(steps=[10, 100], step_seconds=5, return_window=window)
    world.settle(60)
    promote(world, 1)
    assert shares(world, 30) == steps
    assert world.serves == 1


def test_a_version_that_returns_is_ready_and_answers_its_example_before() -> None:
    world = promoted()
    world.settle(60)
    world.unanswering.add(1)
    promote(world, 1)
    assert shares(world, 10) == {0, 100}
    assert world.serves == 2
    assert any("example" in str(one) for one in world.record.failures.values())


def errors_after(rate: float, before: float, seed: int, windows: int = 30) -> Outcome:
    """Judge after each window, as a bake does; FAIL stays."""
    draw = random.Random(seed)  # noqa: S311 - no secret

    def arm(rate: float, requests: int) -> Arm:
        return Arm(requests, sum(draw.random() < rate for _ in range(requests)))

    reference, evidence = arm(before, 3_000), BakeEvidence()
    for number in range(1, windows + 1):
        evidence = bake.fold(evidence, number, arm(rate, 100), reference, CRITERIA, warm=True)
        outcome, _ = bake.judge(evidence, reference, CRITERIA)
        if outcome is Outcome.FAIL:
            return outcome
    return outcome


def test_a_version_that_is_as_good_keeps_the_traffic_and_one_that_is_worse_loses_it() -> None:
    good = [errors_after(0.01, 0.01, seed) for seed in range(40)]
    assert good.count(Outcome.FAIL) == 0
    bad = [errors_after(0.10, 0.01, seed) for seed in range(40)]
    assert bad.count(Outcome.FAIL) == 40


def test_a_window_counts_once_and_a_limit_of_its_own_needs_no_predecessor() -> None:
    evidence = bake.fold(BakeEvidence(), 5, Arm(50, 25), Arm(), CRITERIA, warm=True)
    assert bake.fold(evidence, 5, Arm(50, 25), Arm(), CRITERIA, warm=True) == evidence
    assert bake.judge(evidence, Arm(), CRITERIA)[0] is Outcome.NO_DATA
    limited = Criteria(100, {"errors": RateLimits(max=0.1)})
    assert bake.judge(evidence, Arm(), limited)[0] is Outcome.FAIL
