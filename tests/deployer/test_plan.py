from __future__ import annotations

from dataclasses import replace

import pytest
from world import POLICY, World

from deployer import plan
from deployer.errors import PlanChanged, TooManyRetirements


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
    world.pass_once()
    [start] = world.todo.changes
    assert start.action == "start"
    assert start.version == "1"
    assert "version 1" in start.why


def test_the_digest_names_what_would_be_done():
    world = World()
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.pass_once("before saving")
    first = world.todo
    world.pass_once("before saving")
    assert world.todo.digest == first.digest
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.pass_once("before saving")
    assert world.todo.digest != first.digest


def test_another_plan_than_the_reviewed_one_is_refused():
    world = rolled_out()
    world.pass_once()
    with pytest.raises(PlanChanged, match="changed since"):
        plan.raise_if_unsafe(world.todo, world.record, plan.Retirements(0, 1), POLICY, "other")


@pytest.mark.parametrize(
    ("going", "deployments", "refused"),
    [(1, 1, False), (1, 50, False), (2, 2, True), (2, 19, True), (2, 20, False), (6, 50, True)],
)
def test_many_retirements_at_a_time_need_a_word(going, deployments, refused):
    world = rolled_out()
    world.pass_once()
    retiring = replace(world.todo, retires_champion=True)
    numbers = plan.Retirements(going, deployments)
    if not refused:
        plan.raise_if_unsafe(retiring, world.record, numbers, POLICY)
        return
    with pytest.raises(TooManyRetirements) as caught:
        plan.raise_if_unsafe(retiring, world.record, numbers, POLICY)
    assert "--allow-retire" in caught.value.hint
    allowed = replace(world.record, allow_retire=True)
    plan.raise_if_unsafe(retiring, allowed, numbers, POLICY)
