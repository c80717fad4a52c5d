"""What a story writes into the history: from, to, why and who."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.world import World

from deployer.controller import events
from deployer.state.predictor import Phase
from deployer.store.history import History
from deployer.store.sqlite import Database


class Told:
    """A world whose history is written."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.world = World()
        for _ in range(2):
            self.world.registry.add()

    def promote(self, number: int, by: str = "") -> None:
        self.world.registry.stage(3 - number, "None")
        self.world.registry.stage(number, "Production")
        self.world.list_registry()
        self.settle(by)

    def settle(self, by: str = "", passes: int = 30) -> None:
        for _ in range(passes):
            before = self.world.record
            step = self.world.pass_once()
            fresh = self.world.record.next_sequence > before.next_sequence
            if fresh:
                promoted = tuple(replace(each, by=by) for each in self.world.record.promotions)
                self.world.record = replace(self.world.record, promotions=promoted)
            step = replace(step, record=self.world.record)
            events.record_intent(self.history, step, self.world.wanted, None, self.world.now)
            self.world.tick()

    def lines(self) -> list[tuple[str, ...]]:
        rows = self.history.of("angler-prod")
        return [(row["action"], row["from"], row["to"], row["who"]) for row in rows]


@pytest.fixture
def told(tmp_path):
    database = Database(tmp_path / "deployer.db")
    yield Told(History(database))
    database.close()


def test_a_rollout_says_who_promoted_and_a_shift_is_ours(told):
    told.promote(1)
    told.promote(2, "alice")
    assert told.lines() == [
        ("rollout", None, "1", "unknown (MLflow)"),
        ("shift", None, "1", "deployer"),
        ("rollout", "1", "2", "alice (by the CLI)"),
        ("shift", "1", "2", "deployer"),
    ]


def test_a_way_back_that_takes_one_pass_is_told_with_its_cause_too(told):
    told.promote(1)
    told.world.registry.stage(1, "None")
    told.world.registry.stage(2, "Production")
    told.world.list_registry()
    while not told.world.record.draining:
        told.settle(passes=1)
    before = len(told.lines())
    told.promote(1, "bob")
    assert told.lines()[before:] == [
        ("rollout", "2", "1", "bob (by the CLI)"),
        ("shift", "2", "1", "deployer"),
    ]


def test_a_fall_back_is_told_as_one(told):
    told.promote(1)
    told.world.registry.stage(2, "Production")
    told.world.list_registry()
    while not told.world.record.draining:
        told.settle(passes=1)
    name = told.world.record.champion.name
    running = told.world.running
    running[name] = replace(running[name], phase=Phase.FAILED, reason="CrashLoop", message="oh")
    told.settle()
    assert told.lines()[-1] == ("fall back", "2", "1", "deployer")


def test_a_new_version_after_a_broken_one_is_no_fall_back(told):
    told.promote(1)
    name = told.world.record.champion.name
    running = told.world.running
    running[name] = replace(running[name], phase=Phase.FAILED, reason="CrashLoop", message="oh")
    told.promote(2)
    assert [line[0] for line in told.lines()[-2:]] == ["rollout", "shift"]


def test_a_changed_spec_is_nobodys_promotion(told):
    told.promote(1, "alice")
    told.world.serving_file = {"timeout_seconds": 5}
    told.world.record = replace(told.world.record, descriptions={})
    told.settle()
    assert told.lines()[-2:] == [("rollout", "1", "1", "deployer"), ("shift", "1", "1", "deployer")]


def test_each_step_of_the_requests_is_told_once_and_in_order(told):
    told.promote(1)
    told.world.overlay = {"rollout": {"steps": [10, 60, 100], "step_seconds": 3}}
    told.settle()
    before = len(told.lines())
    told.promote(2)
    rows = told.history.of("angler-prod")[before:]
    assert [
        (row["action"], row["from"], row["to"], row["why"].split(" of ")[0]) for row in rows
    ] == [
        ("rollout", "1", "2", "stage Production names version 2"),
        ("step", "1", "2", "10 %"),
        ("step", "1", "2", "60 %"),
        ("shift", "1", "2", "it is ready and answered the model's own example"),
    ]
