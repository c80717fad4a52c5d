"""What a step says that it does: each transition once, in order, with its cause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.world import World, version_of

from deployer.rollout.maintain import FORMER
from deployer.rollout.transition import Kind, Transition
from deployer.state.record import Absence, Record

Line = tuple[Kind, int | None, int | None]


def promote(world: World, *, broken: bool = False) -> None:
    number = world.registry.add()
    if broken:
        world.broken.add(number)
    for other in range(1, number):
        world.registry.stage(other, "None")
    world.registry.stage(number, "Production")
    world.list_registry()


def made(world: World, passes: int = 40) -> Iterator[Transition]:
    for _ in range(passes):
        yield from world.pass_once().transitions
        world.tick()


def lines(world: World, passes: int = 40) -> list[Line]:
    return [
        (one.kind, version_of(one.before), version_of(one.after)) for one in made(world, passes)
    ]


@pytest.fixture
def world() -> World:
    found = World()
    promote(found)
    found.settle()
    return found


def test_a_rollout_begins_and_shifts_and_each_share_is_a_step(world):
    world.overlay = {"rollout": {"steps": [10, 50, 100]}}
    world.settle()
    promote(world)
    found = list(made(world))
    assert [one.kind for one in found] == [Kind.ROLLOUT, Kind.STEP, Kind.STEP, Kind.SHIFT]
    assert [one.share for one in found if one.kind is Kind.STEP] == [10, 50]
    assert {(version_of(one.before), version_of(one.after)) for one in found} == {(1, 2)}
    assert lines(world) == [], "what is done is not done again"


def test_a_version_that_fails_before_its_first_share_makes_no_other_transition(world):
    promote(world, broken=True)
    assert lines(world) == [(Kind.ROLLOUT, 1, 2)]


def test_a_way_back_says_what_broke(world):
    promote(world)
    while not world.record.draining:
        world.pass_once()
        world.tick()
    world.collapse(2)
    [back] = made(world, 3)
    assert (back.kind, version_of(back.before), version_of(back.after)) == (Kind.FALL_BACK, 2, 1)
    assert back.why == world.record.failures[back.before.digest].message


def test_a_champion_that_nothing_promotes_is_retired_once(world):
    world.registry.stage(1, "None")
    world.list_registry()
    gone = Absence(world.now - 7200, 9, world.now)
    world.record = replace(world.record, promotions=(), absence=gone)
    assert lines(world) == [(Kind.RETIRE, 1, None)]


def test_a_record_that_was_lost_adopts_what_serves_and_rolls_nothing_out(world):
    world.record = Record("angler-prod", "angler", "prod")
    assert lines(world) == [(Kind.ADOPT, None, 1)]


def former(world: World) -> list[int]:
    return [one.version.number for one in world.record.former]


def test_the_champions_before_are_remembered_the_newest_first_and_not_all_of_them(world):
    for _ in range(FORMER + 2):
        promote(world)
        world.settle(40)
    newest = FORMER + 3
    assert world.serves == newest
    assert former(world) == list(range(newest - 1, newest - 1 - FORMER, -1))
    world.registry.stage(newest, "None")
    world.registry.stage(newest - 1, "Production")
    world.list_registry()
    world.settle(40)
    assert former(world)[:2] == [newest, newest - 2], "the champion is none of them"


def test_one_that_broke_is_no_former_champion(world):
    promote(world)
    while not world.record.draining:
        world.pass_once()
        world.tick()
    world.collapse(2)
    world.settle(40)
    assert world.serves == 1
    assert former(world) == []
