"""What a promotion means, told as stories."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.world import ENVIRONMENT, MODEL, POLICY, SELECTOR, World

from deployer.desired import promotions
from deployer.desired.wanted import draft
from deployer.spec.resolve import Limits
from deployer.state.predictor import Phase
from deployer.state.record import Record


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


PROMOTE = "schnitzel model promote angler@1 --to prod"


@pytest.mark.parametrize("way", ["a second transition", "its description saved"])
def test_a_version_that_is_touched_after_it_lost_is_not_promoted_and_says_what_promotes_it(way):
    world = served("Production", "Production")
    before = world.wanted.losing[0]
    assert (before.version.number, before.touched_at) == (1, None)
    assert before.message.endswith(PROMOTE)
    if way == "a second transition":
        world.registry.stage(1, "Production")
    else:
        world.registry.touch(1)
    world.poll_registry()
    world.settle()
    assert world.serves == 2
    [losing] = world.wanted.losing
    assert losing.touched_at == world.registry.updated[1] / 1000
    assert "touched" in losing.message
    assert "wait 10 s (longer than a poll)" in losing.message
    assert losing.message.endswith(PROMOTE)
    remembered = world.record
    for look in (world.poll_registry, world.list_registry):
        look()
        world.settle()
        assert world.wanted.losing == (losing,), "it says so once, and goes on saying it"
        assert world.record == remembered


def touch_then_promote(world: World) -> None:
    world.registry.touch(1)
    world.poll_registry()
    world.settle()
    world.registry.stage(2, "Production")


def touch_and_promote_at_once(world: World) -> None:
    world.registry.touch(1)
    world.registry.stage(2, "Production")


def touch_and_name_the_other_at_once(world: World) -> None:
    world.registry.touch(1)
    world.registry.aliases["champion"] = 2


def touch_while_the_other_is_not_shown(world: World) -> None:
    world.registry.stage(2, "Production")
    world.registry.touch(1)
    world.list_registry(lacking=frozenset({2}), asked=False)
    world.settle()


@pytest.mark.parametrize(
    "story",
    [
        touch_then_promote,
        touch_and_promote_at_once,
        touch_and_name_the_other_at_once,
        touch_while_the_other_is_not_shown,
    ],
)
def test_what_was_touched_before_it_lost_is_not_said_to_be_touched(story):
    world = served("Production", "None")
    story(world)
    world.list_registry()
    world.settle()
    assert world.serves == 2
    [losing] = world.wanted.losing
    assert losing.touched_at is None
    assert "touched" not in losing.message


def test_what_is_touched_in_the_very_poll_that_shows_its_loss_is_said_to_be_touched():
    world = served("Production", "None")
    world.registry.stage(2, "Production")
    world.registry.stage(1, "Production")
    world.poll_registry()
    world.settle()
    assert world.serves == 2
    assert [one.touched_at for one in world.wanted.losing] == [world.registry.updated[1] / 1000]


def touched() -> World:
    world = served("Production", "Production", "None")
    world.registry.touch(1)
    world.poll_registry()
    world.settle()
    assert world.wanted.losing[0].touched_at
    return world


def test_a_touched_version_is_served_by_the_command_or_out_of_the_stage_and_back():
    world = touched()
    world.registry.aliases["champion"] = 1  # what `schnitzel model promote` does
    world.registry.stage(2, "Archived")
    world.list_registry()
    world.settle()
    assert (world.serves, world.wanted.losing) == (1, ())
    world = touched()
    world.registry.stage(1, "None")
    world.poll_registry()
    world.settle()
    world.registry.stage(1, "Production")
    world.poll_registry()
    world.settle()
    assert world.serves == 1
    assert [(one.version.number, one.touched_at) for one in world.wanted.losing] == [(2, None)]


def test_a_promotion_after_a_touch_makes_it_a_thing_of_the_past():
    world = touched()
    world.registry.stage(3, "Production")
    world.poll_registry()
    world.settle()
    assert world.serves == 3
    assert [one.touched_at for one in world.wanted.losing] == [None, None]


def test_a_record_of_before_knows_of_no_touch_and_sees_the_next_one():
    world = touched()
    unaccounted = tuple(
        replace(promotion, updated=0, touched=0) for promotion in world.record.promotions
    )
    world.record = replace(world.record, promotions=unaccounted)
    world.settle()
    assert world.wanted.losing[0].touched_at is None
    world.registry.touch(1)
    world.poll_registry()
    world.settle()
    assert world.wanted.losing[0].touched_at


def test_an_edit_of_a_version_that_only_an_alias_names_is_no_touch():
    world = served("None", "None")
    world.registry.aliases["champion"] = 1
    world.list_registry()
    world.settle()
    world.registry.stage(2, "Production")
    world.poll_registry()
    world.settle()
    world.registry.touch(1)
    world.poll_registry()
    world.settle()
    assert [(one.via, one.touched_at) for one in world.wanted.losing] == [("alias champion", None)]


def test_the_pause_that_is_asked_for_is_longer_than_the_polls_are_apart():
    world = touched()
    slow = replace(POLICY, poll=60)
    [losing] = draft(world.record, (), Limits(), slow, world.now).wanted.losing
    assert "wait 180 s" in losing.message


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


def for_long(world: World, **how: object) -> None:
    """Let listings go by until far more than enough would have said so."""
    for _ in range(POLICY.retire_listings + 3):
        world.list_registry(**how)
        world.settle(3)
        world.now += POLICY.retire_after


@pytest.mark.parametrize("lacking", [{1, 2, 3}, {3}, {1, 3}], ids=["empty", "half", "most"])
def test_a_listing_that_lacks_it_for_ever_is_no_evidence_where_the_registry_was_not_asked(lacking):
    world = served("Production", "None", "Production")
    before = world.record
    for_long(world, lacking=frozenset(lacking), asked=False)
    assert world.serves == 3
    assert (world.record.promotions, world.record.absence) == (before.promotions, None)
    assert world.wanted.version.number == 3


@pytest.mark.parametrize("lacking", [{2}, {1, 2}], ids=["half", "empty"])
def test_a_champion_that_was_archived_waits_for_the_registry_to_say_what_is_promoted(lacking):
    world = served("Production", "None")
    world.registry.stage(1, "Archived")
    world.poll_registry()
    world.settle(3)
    world.registry.stage(2, "Production")  # and the listing hides it
    for_long(world, lacking=frozenset(lacking), asked=False)
    assert world.serves == 1
    world.list_registry()
    world.settle()
    assert world.serves == 2


@pytest.mark.parametrize("deleted", [{2}, {1, 2}], ids=["the version", "the model"])
def test_what_the_registry_denies_by_name_is_retired_after_the_grace_time(deleted):
    world = served("None", "Production")
    world.list_registry(frozenset(deleted))
    world.settle(3)
    assert world.serves == 2, "denied once"
    for_long(world, lacking=frozenset(deleted))
    world.settle(20)
    assert world.serves is None


def test_the_grace_time_goes_on_only_while_the_registry_answers():
    world = served("Production")
    world.registry.stage(1, "Archived")
    world.poll_registry()
    world.settle(3)
    for _ in range(2):
        for_long(world, lacking=frozenset({1}), asked=False)
        assert world.serves == 1
        world.list_registry()
        world.settle(3)
    world.settle(20)
    assert world.serves is None, "two answers, and the time between them"


def doubts(world: World, **how: frozenset[int]) -> dict[str, set[int]]:
    snapshot = world.registry.snapshot(world.now, asked=False, **how)
    return promotions.doubtful_models([world.record], snapshot, {ENVIRONMENT: SELECTOR})


def test_the_registry_is_asked_by_name_only_where_a_listing_is_no_evidence():
    world = served("Production", "Production", "None")
    assert doubts(world) == {}
    assert doubts(world, lacking=frozenset({3})) == {}, "nobody depends on it"
    assert doubts(world, lacking=frozenset({1})) == {MODEL: {1}}
    assert doubts(world, lacking=frozenset({1, 2, 3})) == {MODEL: {1, 2}}
    world.registry.stage(1, "Archived")
    assert doubts(world) == {}, "it shows what became of it"
    world.registry.stage(2, "Archived")
    assert doubts(world) == {MODEL: set()}, "a champion that nothing promotes"
    assert promotions.doubtful_models([world.record], world.snapshot, {}) == {}, (
        "of another's environment"
    )


def dark(world: World, listings: int = 3) -> None:
    """The registry denies all of the model, by name, too."""
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
    before = world.record.promotions
    dark(world)
    assert not world.record.promotions, "nothing is promoted, and that is to be seen"
    world.list_registry()
    world.settle()
    assert world.serves == 3
    assert world.record.promotions == before
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
        world.running[name], phase=Phase.FAILED, reason="OutOfMemory", transient=True
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
    name = world.record.champion.name
    world.running[name] = replace(world.running[name], phase=Phase.FAILED, reason="CrashLoop")
    world.settle(20)
    assert world.serves == 1
    assert next(iter(world.record.failures.values())).reason == "CrashLoop"


def test_a_recreated_version_of_the_same_number_is_another_one():
    world = served("Production")
    first = world.record.champion
    snapshot = world.registry.snapshot(world.now)
    row = snapshot.models["angler"].versions[0]
    again = replace(row, id=replace(row.id, created=row.id.created + 1, model_id="m-new"))
    world.snapshot = replace(
        snapshot, models={"angler": replace(snapshot.models["angler"], versions=(again,))}
    )
    world.settle()
    assert world.record.champion.digest != first.digest
    assert world.record.champion.version == again.id


def test_paused_changes_nothing_and_says_by_whom():
    from deployer.state.record import Pause
    from deployer.status.verdict import judge

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
