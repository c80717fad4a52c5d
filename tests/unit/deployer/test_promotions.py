"""What a promotion means, told as stories."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.world import POLICY, World

from deployer.state import Phase, Record


def served(*stages: str) -> World:
    world = World()
    for stage in stages:
        world.registry.stage(world.registry.add(), stage)
    world.list_registry()
    world.settle()
    return world


def test_a_promoted_version_is_served():
    assert served("Production").serves == 1


def test_nothing_promoted_serves_nothing():
    world = served("None", "Archived")
    assert world.serves is None
    assert not world.running


def test_the_last_promotion_wins_over_the_higher_number():
    world = served("None", "Production")
    world.registry.stage(1, "Production")
    world.poll_registry()
    world.settle()
    assert world.serves == 1
    [losing] = world.wanted.losing
    assert losing.version.number == 2
    assert "Archive" in losing.message or "archive" in losing.message


def test_a_version_that_serves_in_place_of_a_broken_newer_one_is_not_said_to_be_out_of_service():
    world = served("Production")
    world.broken.add(world.registry.add())
    world.registry.stage(2, "Production")
    world.list_registry()
    world.settle()
    assert world.serves == 1
    [losing] = world.wanted.losing
    assert losing.version.number == 1
    assert "serves in prod only until version 2 does" in losing.message
    assert "not served" not in losing.message


def test_an_alias_set_later_wins_over_a_stage():
    world = served("Production", "Production")
    world.registry.aliases["champion"] = 1
    world.list_registry()
    world.settle()
    assert world.serves == 1


def test_with_no_memory_the_alias_wins_and_the_note_says_so():
    world = World()
    for _ in range(3):
        world.registry.stage(world.registry.add(), "Production")
    world.registry.aliases["champion"] = 2
    world.list_registry()
    world.settle()
    assert world.serves == 2
    assert "alias champion" in world.record.note


def test_with_no_memory_what_serves_stays():
    world = served("Production", "None", "None")
    world.record = Record("angler-prod", "angler", "prod")
    for number in (2, 3):
        world.registry.stage(number, "Production")
    world.list_registry()
    world.settle()
    assert world.serves == 1
    assert "already serving" in world.record.note


def test_an_alias_deleted_and_set_again_changes_nothing():
    world = World()
    world.registry.add()
    world.registry.aliases["champion"] = 1
    world.list_registry()
    world.settle()
    before = world.running.copy()
    del world.registry.aliases["champion"]
    for _ in range(30):
        world.list_registry()
        world.pass_once()
        world.tick()
        assert world.serves == 1
    world.registry.aliases["champion"] = 1
    world.list_registry()
    world.settle()
    assert world.serves == 1
    assert set(world.running) == set(before)


def test_archiving_the_old_version_while_the_new_one_rolls_out_takes_nothing_away():
    world = served("None", "Production", "None")
    world.registry.stage(3, "Production")
    world.registry.stage(2, "Archived")
    world.poll_registry()
    for _ in range(20):
        world.pass_once()
        assert world.serves in (2, 3)
        world.tick()
    assert world.serves == 3


def test_nothing_promoted_retires_only_after_time_and_listings():
    world = served("Production")
    world.registry.stage(1, "Archived")
    world.poll_registry()
    world.settle(5)
    world.now += 10 * POLICY.retire_after
    world.settle(5)
    assert world.serves == 1, "time alone is no evidence"
    world.list_registry()
    world.settle(5)
    assert world.serves == 1, "one listing is not enough"
    world.list_registry()
    world.settle(20)
    assert world.serves is None
    assert not world.running


def test_an_empty_listing_retires_nothing_and_a_second_one_only_starts_the_clock():
    world = served("Production")
    for _ in range(2):
        world.list_registry(lacking=frozenset({1}))
        world.settle(3)
    assert world.serves == 1
    world.list_registry()
    world.settle(3)
    assert world.record.absence is None


def dark(world: World, listings: int = 3) -> None:
    """The registry answers, and shows nothing at all."""
    for _ in range(listings):
        world.list_registry(lacking=frozenset(world.registry.stages))
        world.settle(3)


def contested() -> World:
    """Version 3 serves, promoted by stage after the alias named 2, and 4 is promoted nowhere."""
    world = served("Production")
    for _ in range(3):
        world.registry.add()
    world.registry.aliases["champion"] = 2
    world.list_registry()
    world.settle()
    world.registry.stage(3, "Production")
    world.poll_registry()
    world.settle()
    assert world.serves == 3
    return world


def test_a_registry_that_was_empty_for_long_comes_back_with_its_promotions_in_their_order():
    world = contested()
    before = world.record.marks
    dark(world)
    assert not world.record.marks, "nothing is promoted, and that is to be seen"
    world.list_registry()
    world.settle()
    assert world.serves == 3
    assert world.record.marks == before
    assert {one.version.number for one in world.wanted.losing} == {1, 2}


def test_a_registry_that_comes_back_bit_by_bit_has_its_old_order_from_the_first_bit_on():
    world = contested()
    dark(world)
    half = world.registry.snapshot(world.snapshot.listed_at, lacking=frozenset({1, 3}))
    world.snapshot = half  # as a poll sees it: no listing
    for _ in range(10):
        world.pass_once()
        assert world.wanted.version.number == 3
        world.tick()
    world.list_registry()
    world.settle()
    assert world.serves == 3


def test_what_is_promoted_while_the_registry_is_empty_wins_when_it_is_back():
    for promote in (
        lambda registry: registry.stage(4, "Production"),
        lambda registry: registry.aliases.update(champion=4),
    ):
        world = contested()
        dark(world)
        promote(world.registry)
        world.list_registry()
        world.settle()
        assert world.serves == 4


def test_what_was_archived_while_the_registry_was_empty_does_not_come_back():
    world = contested()
    dark(world)
    world.registry.stage(3, "Archived")
    world.list_registry()
    world.settle()
    assert world.serves == 2


def test_what_was_deleted_while_the_registry_was_empty_is_missed_twice_and_forgotten():
    world = contested()
    dark(world)
    gone = frozenset({3})
    for _ in range(2):
        world.list_registry(lacking=gone)
        world.settle(3)
    assert world.wanted.version.number == 2
    world.list_registry()
    world.settle()
    assert world.serves == 3, "it is there again, and so it is new"


def test_a_deployment_that_was_retired_while_the_registry_was_empty_serves_the_same_again():
    world = contested()
    dark(world)
    world.tick(2 * POLICY.retire_after)
    dark(world)
    world.settle(20)
    assert world.serves is None
    world.list_registry()
    world.settle()
    assert world.serves == 3


def test_half_a_listing_does_not_bring_an_older_promotion_back():
    world = served("Production", "Production")
    world.registry.stage(2, "None")
    world.registry.stage(2, "Production")
    world.poll_registry()
    world.settle()
    assert world.serves == 2
    world.list_registry(lacking=frozenset({2}))
    world.settle()
    assert world.serves == 2


def test_a_version_that_does_not_load_leaves_the_old_one_and_is_not_tried_again():
    world = served("Production", "None")
    world.broken.add(2)
    world.registry.stage(2, "Production")
    world.poll_registry()
    world.settle()
    assert world.serves == 1
    [failure] = world.record.failures.values()
    assert failure.reason == "LoadError"
    assert failure.retry_at is None
    assert len(world.running) == 1


def test_a_version_that_ran_out_of_memory_is_tried_again_with_growing_pauses():
    world = served("Production", "None")
    world.starving.add(2)
    world.registry.stage(2, "Production")
    world.poll_registry()
    world.settle(30)
    tries = []
    for _ in range(8):
        [failure] = world.record.failures.values()
        assert failure.reason == "OutOfMemory"
        tries.append(failure.retry_at - world.now)
        assert world.serves == 1
        world.tick(POLICY.retry_most * 1.5)
        world.settle(30)
    assert max(tries) <= POLICY.retry_most * 1.25, "the pauses are capped"
    assert next(iter(world.record.failures.values())).attempts >= 8
    world.starving.clear()
    world.tick(POLICY.retry_most * 1.5)
    world.settle(30)
    assert world.serves == 2
    assert world.record.failures == {}


def test_a_version_that_ran_out_of_memory_under_traffic_waits_for_a_person():
    world = served("Production", "None")
    world.serving_file = {"rollout": {"steps": [50, 100], "step_seconds": 60}}
    world.registry.stage(2, "Production")
    world.poll_registry()
    world.settle(20)
    assert world.record.candidate.step == 0
    name = world.record.candidate.predictor.name
    world.running[name] = replace(
        world.running[name], phase=Phase.FAILED, reason="OutOfMemory", passing=True
    )
    world.settle(20)
    assert world.serves == 1
    [failure] = world.record.failures.values()
    assert failure.retry_at is None
    world.tick(POLICY.retry_most * 10)
    world.settle(20)
    assert world.serves == 1


def test_a_version_that_refuses_its_example_takes_no_request():
    world = served("Production", "None")
    world.unanswering.add(2)
    world.registry.stage(2, "Production")
    world.poll_registry()
    for _ in range(30):
        world.pass_once()
        world.tick()
        assert world.serves == 1
    assert next(iter(world.record.failures.values())).reason == "ExampleRefused"


def test_a_restart_of_everything_with_the_newest_broken_serves_the_last_good_one():
    world = served("Production", "None")
    world.broken.add(2)
    world.registry.stage(2, "Production")
    world.poll_registry()
    world.settle()
    world.running, world.route, world.live, world.snapshot = {}, {}, {}, None
    world.settle(10)
    assert world.serves == 1
    world.list_registry()
    world.settle()
    assert world.serves == 1


def test_a_champion_that_breaks_while_the_old_one_drains_gives_way_to_it():
    world = served("Production", "None")
    world.registry.stage(2, "Production")
    world.poll_registry()
    while not world.record.draining:
        world.pass_once()
        world.tick()
    name = world.record.serving.name
    world.running[name] = replace(world.running[name], phase=Phase.FAILED, reason="CrashLoop")
    world.settle(20)
    assert world.serves == 1
    assert next(iter(world.record.failures.values())).reason == "CrashLoop"


def test_a_recreated_version_of_the_same_number_is_another_one():
    world = served("Production")
    first = world.record.serving
    snapshot = world.registry.snapshot(world.now)
    row = snapshot.models["angler"].versions[0]
    again = replace(row, id=replace(row.id, created=row.id.created + 1, model_id="m-new"))
    world.snapshot = replace(
        snapshot, models={"angler": replace(snapshot.models["angler"], versions=(again,))}
    )
    world.settle()
    assert world.record.serving.digest != first.digest
    assert world.record.serving.version == again.id


def test_paused_changes_nothing_and_says_by_whom():
    from deployer.state import Pause
    from deployer.status import judge

    world = served("Production", "None")
    world.record = replace(world.record, pause=Pause("ada", world.now, "the launch"))
    world.registry.stage(2, "Production")
    world.poll_registry()
    world.settle(10)
    assert world.serves == 1
    verdict = judge(world.record, world.wanted, world.observed(), "")
    assert verdict.reason == "Paused"
    assert "ada" in verdict.message


@pytest.mark.parametrize("crash", ["before saving", "before acting"])
def test_killed_at_any_pass_it_converges(crash):
    for killed_at in range(12):
        world = served("Production", "None")
        world.registry.stage(2, "Production")
        world.poll_registry()
        for number in range(40):
            world.pass_once(crash if number == killed_at else "")
            assert world.serves in (1, 2)
            world.tick()
        assert world.serves == 2
        assert len(world.running) == 1
