from __future__ import annotations

from dataclasses import replace

import pytest
from support.world import POLICY, World

from deployer.errors import TooManyRetirements
from deployer.plan import plan
from deployer.plan.preview import Preview
from deployer.state.record import Pause


def digest(world: World, rendered: str = "") -> str:
    return world.todo.digest(Preview(digest=rendered))


def rolled_out() -> World:
    world = World()
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.settle()
    return world


def test_a_steady_deployment_has_nothing_to_do():
    world = rolled_out()
    world.pass_once()
    assert not world.todo.pending


def test_a_plan_says_why_and_what_in_the_order_of_doing():
    world = World()
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.pass_once("before saving")
    assert [change.action for change in world.todo.changes] == ["start", "ask", "route"]
    assert {change.version for change in world.todo.changes} == {"1"}
    assert "version 1" in world.todo.changes[0].why


def test_a_plan_reaches_from_what_serves_to_the_promoted_version():
    world = rolled_out()
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.pass_once("before saving")
    told = [(change.action, change.version) for change in world.todo.changes]
    assert told == [("start", "2"), ("ask", "2"), ("route", "2"), ("retire", "1")]


def test_a_plan_gets_shorter_on_the_way_and_keeps_its_digest():
    world = rolled_out()
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    told, digests = [], set()
    for _ in range(30):
        world.pass_once()
        told.append(tuple(change.action for change in world.todo.changes))
        digests.add(digest(world))
        world.tick()
    assert told[0] == ("start", "ask", "route", "retire")
    assert told[-1] == ()
    assert [len(now) for now in told] == sorted((len(now) for now in told), reverse=True)
    assert len(digests) == 1
    assert world.serves == 2


def test_a_version_that_failed_for_good_is_not_planned():
    world = rolled_out()
    world.broken.add(world.registry.add())
    world.registry.stage(2, "Production")
    world.list_registry()
    world.settle()
    world.pass_once()
    assert not world.todo.pending


def test_the_digest_names_what_would_be_done():
    world = World()
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.pass_once("before saving")
    first = digest(world)
    world.pass_once("before saving")
    assert digest(world) == first
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.pass_once("before saving")
    assert digest(world) != first


def test_the_digest_covers_what_is_rendered():
    world = rolled_out()
    world.pass_once()
    assert digest(world, "one chart") == digest(world, "one chart") != digest(world, "another")


def test_a_goal_is_rendered_with_the_artifact_that_was_pinned():
    world = rolled_out()
    serving = world.record.champion
    assert serving
    world.record = replace(world.record, artifacts={serving.version.key: "abc"})
    world.pass_once()
    [weighted] = world.todo.goal.predictors
    assert weighted.predictor.artifact == "abc"


def test_a_plan_shows_where_it_leads_though_it_is_paused():
    world = rolled_out()
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.pause()
    world.pass_once()
    assert [(one.action, one.version) for one in world.todo.changes] == [
        ("start", "2"), ("ask", "2"), ("route", "2"), ("retire", "1"),
    ]  # fmt: skip
    assert world.record.candidate is None


def test_a_plan_says_what_holds_it_and_which_command_changes_that():
    record = rolled_out().record
    paused = replace(record, pause=Pause("ada", 1.0, "the launch"))
    refused = TooManyRetirements("9 of 9 have nothing promoted.", "--allow-retire")
    held = [
        plan.held_by(record, None, frozen=""),
        plan.held_by(paused, None, frozen=""),
        plan.held_by(paused, refused, frozen=""),
        plan.held_by(record, None, frozen="It lost its marker."),
    ]
    assert [one and (one.reason, one.unsafe) for one in held] == [
        None, ("Paused", False), ("TooManyRetirements", True), ("Frozen", False),
    ]  # fmt: skip
    assert [one.hint for one in held if one] == [
        "schnitzel deploy resume angler -e prod", "--allow-retire", "schnitzel status",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("going", "deployments", "refused"),
    [(1, 1, False), (1, 50, False), (2, 2, True), (2, 19, True), (2, 20, False), (6, 50, True)],
)
def test_many_retirements_at_a_time_need_a_word(going, deployments, refused):
    world = rolled_out()
    world.pass_once()
    numbers = plan.Retirements(going, deployments)
    if not refused:
        plan.raise_if_unsafe(world.record, numbers, POLICY)
        return
    with pytest.raises(TooManyRetirements) as caught:
        plan.raise_if_unsafe(world.record, numbers, POLICY)
    assert "--allow-retire" in caught.value.hint
    allowed = replace(world.record, allow_retire=True)
    plan.raise_if_unsafe(allowed, numbers, POLICY)
