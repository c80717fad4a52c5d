"""When the registry is looked at, on a clock that only moves where something costs time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from deployer.errors import RegistryUnreachable
from deployer.registry.watch import SHARE, Watch

POLL, LISTING = 1.0, 30.0


class Registry:
    """A registry whose looks cost time, and may fail after it."""

    def __init__(self) -> None:
        self.timer, self.epoch = 0.0, 1_700_000_000.0
        self.costs = {"poll": 0.01, "list": 0.1}
        self.failing = False
        self.looks: list[tuple[str, float]] = []
        self.snapshot: object = None
        self.changes: set[str] = set()
        self.held: dict[str, str] = {}
        self.told: list[set[str] | None] = []

    def _look(self, what: str) -> None:
        self.looks.append((what, self.timer))
        self.timer += self.costs[what]
        self.epoch += self.costs[what]
        if self.failing:
            raise RegistryUnreachable("MLflow does not answer.")

    def list_all(self, now: float) -> set[str]:
        assert now == self.epoch
        self._look("list")
        self.snapshot = object()
        return self._take()

    def poll(self) -> set[str]:
        self._look("poll")
        return self._take()

    def refresh(self, model: str) -> set[str]:
        self.looks.append((model, self.timer))
        return {model}

    def claim(self, _: list[str]) -> dict[str, str]:
        return self.held

    def _take(self) -> set[str]:
        changes, self.changes = self.changes, set()
        return changes

    def times(self, what: str) -> list[float]:
        return [at for look, at in self.looks if look == what]


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def watch(registry):
    return Watch(
        registry,
        registry,  # its marker, too
        ["prod"],
        lambda: False,
        registry.told.append,
        POLL,
        LISTING,
        lambda: registry.epoch,
        timer=lambda: registry.timer,
    )


def go_on(watch: Watch, registry: Registry, seconds: float) -> list[float]:
    """Let time pass; returns the pauses."""
    end, pauses = registry.timer + seconds, []
    while registry.timer < end:
        pauses.append(watch.poll_once())
        registry.timer += pauses[-1]
        registry.epoch += pauses[-1]
    return pauses


def gaps(times: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(times)]


def test_polls_and_listings_keep_their_periods_while_they_are_cheap(watch, registry):
    pauses = go_on(watch, registry, 300)
    assert set(pauses) == {POLL}
    assert all(LISTING <= gap <= LISTING + 2 * POLL for gap in gaps(registry.times("list")))
    assert len(registry.times("list")) == 10


def test_polls_that_cost_more_than_their_share_become_rare_and_frequent_again(watch, registry):
    go_on(watch, registry, 10)
    registry.costs["poll"] = 0.5
    began = registry.timer
    assert max(go_on(watch, registry, 300)) == 0.5 * (1 / SHARE - 1)
    spent = 0.5 * sum(at >= began for at in registry.times("poll"))
    assert spent <= 1.1 * SHARE * (registry.timer - began)
    registry.costs["poll"] = 0.01
    go_on(watch, registry, 10)
    assert set(go_on(watch, registry, 100)) == {POLL}


def test_one_poll_that_hangs_delays_the_next_by_no_more_than_a_listing(watch, registry):
    go_on(watch, registry, 5)
    registry.costs["poll"] = 10.0
    assert watch.poll_once() == LISTING
    registry.costs["poll"] = 0.01
    registry.timer += LISTING
    assert watch.poll_once() == POLL


def test_a_listing_that_takes_long_makes_listings_rare_and_no_poll(watch, registry):
    registry.costs["list"] = 10.0
    pauses = go_on(watch, registry, 1000)
    assert set(pauses) == {POLL}
    assert all(gap >= 10.0 / SHARE for gap in gaps(registry.times("list")))
    assert len(registry.times("poll")) > 800
    registry.costs["list"] = 0.1
    go_on(watch, registry, 10.0 / SHARE)
    registry.looks.clear()
    go_on(watch, registry, 300)
    assert len(registry.times("list")) >= 9


def test_a_registry_that_hangs_is_asked_again_soon_and_listed_when_it_is_back(watch, registry):
    go_on(watch, registry, 5)
    registry.costs, registry.failing = {"poll": 10.0, "list": 10.0}, True
    assert max(go_on(watch, registry, 300)) == LISTING
    assert watch.health.state == "Stale"
    registry.costs, registry.failing = {"poll": 0.01, "list": 0.1}, False
    back = registry.timer
    watch.poll_once()
    assert watch.health.state == "Fresh"
    assert registry.times("list")[-1] == back


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_clock_that_is_set_while_it_runs_changes_no_period(watch, registry, jump):
    go_on(watch, registry, 45)
    registry.epoch += jump
    registry.looks.clear()
    assert set(go_on(watch, registry, 300)) == {POLL}
    assert len(registry.times("list")) == 10


def test_hints_are_looked_at_once_each_with_the_next_poll(watch, registry):
    go_on(watch, registry, 5)
    for name in ("angler", "angler", "other"):
        watch.hint(name)
    registry.looks.clear()
    watch.poll_once()
    assert sorted(what for what, _ in registry.looks) == ["angler", "other", "poll"]
    registry.looks.clear()
    watch.hint(None)
    watch.poll_once()
    watch.poll_once()
    assert [what for what, _ in registry.looks] == ["list", "poll"]


def test_after_the_first_listing_only_what_changed_is_told(watch, registry):
    watch.poll_once()
    assert registry.told == [None]
    go_on(watch, registry, LISTING + 2 * POLL)
    assert registry.told == [None, set()], "a listing is told, for those whose absence it counts"
    registry.changes = {"angler"}
    watch.poll_once()
    assert registry.told[2:] == [{"angler"}]
    registry.changes = {"baker"}
    watch.hint(None)
    watch.poll_once()
    assert registry.told[3:] == [{"baker"}]


def test_everything_is_told_once_more_when_the_registry_is_back_or_an_environment_moves(
    watch, registry
):
    go_on(watch, registry, 2)
    registry.failing = True
    watch.poll_once()
    registry.failing = False
    registry.told.clear()
    watch.poll_once()
    assert registry.told == [None]
    registry.snapshot = None  # somebody accepted another registry
    watch.poll_once()
    assert registry.told == [None, None]
    registry.told.pop()
    registry.held = {"prod": "another platform"}
    for told in ([None, None], [None, None, set()]):
        watch.hint(None)
        watch.poll_once()
        assert registry.told == told
