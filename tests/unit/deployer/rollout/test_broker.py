"""A broker that is away in the midst of a rollout: no version is to blame."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.world import World

from deployer.state.predictor import Phase
from deployer.state.reasons import Reason, State
from deployer.status import verdict


def halfway() -> World:
    """Version 2 answers half of what comes."""
    world = World(overlay={"rollout": {"steps": [50, 100], "step_seconds": 30, "bake": 0}})
    for _ in range(2):
        world.registry.stage(world.registry.add(), "Production")
        world.list_registry()
        world.settle(8)
    for _ in range(20):
        if sorted(world.live.values()) == [50, 50]:
            return world
        world.pass_once()
        world.tick()
    raise AssertionError(world.live)


def lose(world: World, *numbers: int, reason: str = "QueueUnreachable") -> None:
    for name, one in world.running.items():
        away = one.predictor.version.number in numbers
        phase, why = (Phase.UNREADY, reason) if away else (Phase.READY, "")
        world.running[name] = replace(one, phase=phase, reason=why, since=world.now)


def test_a_rollout_waits_for_a_broker_that_both_versions_lack():
    world = halfway()
    for _ in range(200):
        lose(world, 1, 2)
        step = world.pass_once()
        world.tick()
    assert sorted(world.live.values()) == [50, 50]
    assert step.waiting == "the broker of its queue"
    lose(world)
    world.settle(60)
    assert world.serves == 2


def test_a_version_that_alone_lacks_its_queue_gives_its_share_back():
    world = halfway()
    lose(world, 2, reason="ResultRefused")
    world.pass_once()
    world.tick()
    [failure] = world.record.failures.values()
    assert failure.reason == "ResultRefused"
    assert world.serves == 1


def test_another_reason_is_no_brokers():
    world = halfway()
    lose(world, 1, 2, reason="Hung")
    world.pass_once()
    assert world.record.failures


def test_a_champion_without_its_broker_is_degraded_and_stays():
    world = World(overlay={"rollout": {"bake": 0}})
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.settle()
    lose(world, 1)
    step = world.pass_once()
    assert world.seen
    said = verdict.judge(step.record, world.wanted, world.seen, step.waiting, None)
    assert (said.state, said.reason) == (State.DEGRADED, "QueueUnreachable")
    assert "messages, which stay in their queue" in said.message
    assert said.next_step == "schnitzel queue show angler -e prod"
    assert world.serves == 1
    assert not world.record.failures


@pytest.mark.parametrize(
    ("reason", "next_step"),
    [
        (Reason.BACKLOG, "schnitzel queue show angler -e prod"),
        (Reason.DEAD_LETTERING, "schnitzel queue dead angler -e prod"),
    ],
)
def test_a_champion_that_answers_is_told_with_what_there_is_to_know_of_its_queue(reason, next_step):
    world = World(overlay={"rollout": {"bake": 0}})
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.settle()
    lose(world)
    step = world.pass_once()
    assert world.seen
    said = verdict.judge(step.record, world.wanted, world.seen, step.waiting, None, reason)
    assert (said.state, said.reason, said.next_step) == (State.SERVING, reason, next_step)
    lose(world, 1)
    step = world.pass_once()
    said = verdict.judge(step.record, world.wanted, world.seen, step.waiting, None, reason)
    assert said.reason == "QueueUnreachable"
