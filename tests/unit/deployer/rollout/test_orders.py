"""What a tag in MLflow orders of a rollout: it holds back, and never hastens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.world import World

from deployer.rollout import orders
from deployer.state.reasons import Reason
from deployer.state.registry import RegistrySnapshot

ENVIRONMENT = "prod"


def tagged(world: World, number: int, value: str, name: str = "") -> RegistrySnapshot:
    snapshot = world.registry.snapshot(world.now)
    model = snapshot.models["angler"]
    tag = {name or orders.TAG.format(ENVIRONMENT): value}
    versions = tuple(
        replace(one, tags=tag) if one.id.number == number else one for one in model.versions
    )
    return replace(snapshot, models={"angler": replace(model, versions=versions)})


def rolling(**rollout: Any) -> World:
    """Version 1 serves, and version 2 is on its way."""
    world = World(overlay={"rollout": {"steps": [10, 100], "step_seconds": 20} | rollout})
    for number, passes in ((1, 8), (2, 6)):
        world.registry.stage(world.registry.add(), "Production")
        world.list_registry()
        world.settle(passes * number)
    return world


@pytest.mark.parametrize("word", ["pause", "abort", " Abort\n", "PAUSE"])
def test_a_tag_orders_a_pause_or_the_end(word: str) -> None:
    world = rolling()
    assert world.record.candidate
    version = world.record.candidate.predictor.version
    found = orders.order_of(tagged(world, 2, word), version, ENVIRONMENT)
    assert found == word.strip().lower()


@pytest.mark.parametrize(
    ("number", "value", "name"),
    [
        (2, "advance", ""),
        (2, "promote-now", ""),
        (2, "", ""),
        (1, "abort", ""),
        (2, "abort", "schnitzel.staging.rollout"),
        (2, "abort", "rollout"),
    ],
    ids=[
        "advance",
        "promote-now",
        "empty",
        "another-version",
        "another-environment",
        "another-tag",
    ],
)
def test_nothing_else_is_an_order(number: int, value: str, name: str) -> None:
    world = rolling()
    snapshot = tagged(world, number, value, name)
    found, order = orders.carry_out(world.record, snapshot, world.observed(), world.now)
    assert (found, order) == (world.record, "")


def test_an_abort_gives_the_champion_everything_back_and_says_what_to_do() -> None:
    world = rolling()
    snapshot = tagged(world, 2, "abort")
    world.record, order = orders.carry_out(world.record, snapshot, world.observed(), world.now)
    assert order == "abort"
    (failure,) = world.record.failures.values()
    assert failure.reason == Reason.ABORTED
    assert "schnitzel.prod.rollout of version 2" in failure.message
    assert failure.hint.startswith("Delete the tag schnitzel.prod.rollout of version 2 in MLflow")
    world.settle(30)
    assert world.serves == 1
    assert not world.cut


def test_an_abort_of_a_champion_that_bakes_returns_and_later_it_changes_nothing() -> None:
    world = rolling(steps=[100], bake=30)
    world.settle(6)
    assert world.serves == 2
    snapshot = tagged(world, 2, "abort")
    world.record, _ = orders.carry_out(world.record, snapshot, world.observed(), world.now)
    world.settle(3)
    assert world.serves == 1
    world = rolling(steps=[100], bake=0)
    world.settle(12)
    before = world.record
    found, _ = orders.carry_out(before, tagged(world, 2, "abort"), world.observed(), world.now)
    assert found == before, "what serves is not taken down by a tag"


def test_where_the_registry_is_not_trusted_nothing_is_ordered() -> None:
    world = rolling()
    assert orders.carry_out(world.record, None, world.observed(), world.now) == (world.record, "")
