"""However many champions disappear at once, and many passes run: only so many are retired."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from deployer.controller.retirements import RetirementBudget
from deployer.spec.model import ServingSpec
from deployer.state.deployment import Policy
from deployer.state.predictor import Predictor, Role
from deployer.state.record import Absence, Record
from deployer.state.registry import VersionId

POLICY = Policy(max_retirements=1, max_retirement_share=0.1)
WINDOW = 600.0
NOW = 1_000_000.0


class World:
    """Records, passes over them that retire a champion, and how often all were walked."""

    def __init__(self, count: int, *, noted: bool) -> None:
        absence = Absence(NOW - 700, 9, NOW) if noted else None
        self.records = {f"m{n:03}-prod": record(n, absence) for n in range(count)}
        self.walks = 0
        self.departures = RetirementBudget(self.walk, WINDOW)

    def walk(self) -> list[Record]:
        self.walks += 1
        return list(self.records.values())

    def retire(self, key: str, now: float = NOW) -> bool:
        """What one pass does; whether it might."""
        found = self.departures.count(self.records[key], POLICY, now)
        if found.exceed(POLICY) and not self.records[key].allow_retire:
            return False
        self.records[key] = replace(self.records[key], retired_at=now).with_champion(None)
        return True


def record(number: int, absence: Absence | None) -> Record:
    version = VersionId(f"m{number:03}", 1, 1)
    predictor = Predictor(f"p{number}", version, Role.CHAMPION, "d", "s", ServingSpec())
    record = Record(f"m{number:03}-prod", version.model, "prod", absence=absence)
    return record.with_champion(predictor)


def in_parallel(world: World, keys: list[str], workers: int = 8) -> int:
    """How many were retired by passes that run beside one another."""
    begin = threading.Barrier(workers)
    went: list[str] = []

    def work(mine: list[str]) -> None:
        begin.wait()
        went.extend(key for key in mine if world.retire(key))

    threads = [threading.Thread(target=work, args=(keys[n::workers],)) for n in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(went)


@pytest.mark.parametrize(("count", "most"), [(8, 1), (40, 4), (200, 20)])
def test_passes_beside_one_another_let_no_more_go_than_the_policy_allows(count, most):
    # That the others are absent too is not on record yet: each pass would be the first to see it.
    world = World(count, noted=False)
    assert in_parallel(world, list(world.records)) == most


@pytest.mark.parametrize("count", [8, 200])
def test_where_all_are_known_to_be_absent_none_is_let_go(count):
    world = World(count, noted=True)
    assert in_parallel(world, list(world.records)) == 0


def test_what_was_let_go_counts_for_the_window_and_over_a_restart():
    world = World(40, noted=False)
    keys = list(world.records)
    assert [world.retire(key) for key in keys[:5]] == [True] * 4 + [False]
    assert not world.retire(keys[5], NOW + WINDOW - 1)
    world.departures = RetirementBudget(world.walk, WINDOW)
    assert not world.retire(keys[5], NOW + WINDOW - 1)
    assert world.retire(keys[5], NOW + WINDOW)


def test_a_persons_word_lets_one_go_and_it_counts():
    world = World(8, noted=False)
    keys = list(world.records)
    assert world.retire(keys[0])
    assert not world.retire(keys[1])
    world.records[keys[1]] = replace(world.records[keys[1]], allow_retire=True)
    assert world.retire(keys[1])
    assert not world.retire(keys[2], NOW + 5)


def test_all_records_are_walked_once_for_many_passes():
    world = World(200, noted=True)
    in_parallel(world, list(world.records))
    assert world.walks == 1
    world.retire("m000-prod", NOW + 2)
    assert world.walks == 2
