"""The collector of unused Python environments, over a place that is a few values."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from support.run.wait import wait_for

from deployer.background.jobs import Job
from deployer.errors import TargetUnavailable
from deployer.python_env.collector import Collector, Survey
from deployer.python_env.retention import KeptEnvironment, Need, Needs, Removed
from deployer.state.registry import VersionId

NOW, DAY = 1_800_000_000.0, 86400.0
GRACE = 14 * DAY


@dataclass
class Place:
    """Python environments by name, what runs in them, and which one a version needs."""

    names: Sequence[str] = ("a", "b", "c")
    live: dict[str, set[str]] = field(default_factory=dict)
    needed: dict[int, str | None] = field(default_factory=dict)
    foreign: dict[str, set[str]] = field(default_factory=dict)
    requested: set[str] = field(default_factory=set)
    noted: dict[str, float] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)
    gone: list[str] = field(default_factory=list)
    stays: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None
    surveyed: list[bool] = field(default_factory=list)

    def survey(self, *, every_process: bool) -> Survey:
        self.surveyed.append(every_process)
        built = [
            KeptEnvironment(name, f"r/e@{name}", "l", "3.11.2", 1, NOW - 30 * DAY, 0.0)
            for name in self.names
            if name not in self.gone
        ]
        noted = {name: self.noted.get(name, 0.0) for name in self.names}
        live = {**self.live, **(self.foreign if every_process else {})}
        return Survey("r/e", built, live, noted, self._find, self._note)

    @contextmanager
    def claim(self, names: Collection[str], unused_since: float) -> Iterator[Collection[str]]:
        assert unused_since == NOW - GRACE
        self.claimed = set(names) - self.requested
        yield self.claimed
        self.claimed = set()

    def remove(
        self, chosen: Sequence[KeptEnvironment], unused_since: float, stopping: threading.Event
    ) -> Removed:
        assert unused_since == NOW - GRACE
        assert {each.name for each in chosen} <= self.claimed
        assert not stopping.is_set()
        if self.error:
            raise self.error
        self.gone += [each.name for each in chosen if each.name not in self.stays]
        return Removed(tuple(self.gone), self.stays)

    def _find(self, need: Need) -> Collection[str] | None:
        name = self.needed.get(need.version.number, "")
        return None if name is None else [name] if name else ()

    def _note(self, name: str) -> None:
        self.noted[name] = NOW


@pytest.fixture
def make() -> Iterator[Callable[..., tuple[Place, Collector]]]:
    made: list[Collector] = []

    def make(**fields: Any) -> tuple[Place, Collector]:
        place = Place(**fields)
        made.append(Collector(place, "test-removal", lambda: NOW))
        return place, made[-1]

    yield make
    for each in made:
        each.close()


def need(number: int, predictor: str = "", part: Any = "serving") -> Need:
    return Need("angler", "prod", VersionId("angler", number, 1), "s3://a", part, predictor)


def removal(collector: Collector) -> Job[Removed]:
    def ended() -> Job[Removed] | None:
        job = collector.inventory(Needs()).removal
        return job if job and job.phase != "running" else None

    found: Job[Removed] = wait_for(ended, "the removal")
    return found


def users(collector: Collector, *needs: Need) -> dict[str, list[str]]:
    return {
        each.name: [f"{user.model} {user.version} {user.part}" for user in each.users]
        for each in collector.inventory(Needs(needs)).built
    }


def test_what_runs_counts_before_what_is_asked_for(make):
    _, collector = make(live={"p1": {"a"}, "process 7": {"c"}}, needed={1: "b", 2: "b"})
    assert users(collector, need(1, "p1"), need(2, part="previous")) == {
        "a": ["angler 1 serving"],
        "b": ["angler 2 previous"],
        "c": ["process 7  running"],
    }


def test_a_predictor_that_runs_in_none_of_ours_needs_none_and_is_not_asked_about(make):
    _, collector = make(live={"p1": set()}, needed={1: None, 2: "b"})
    found = collector.inventory(Needs((need(1, "p1"), need(2, part="promoted"))))
    assert found.unknown == ""
    assert [bool(each.users) for each in found.built] == [False, True, False]


def test_what_is_not_known_yet_is_said_and_nothing_goes(make):
    place, collector = make(needed={1: None})
    needs = Needs((need(1),))
    assert "not known yet" in collector.inventory(needs).unknown
    collector.collect(["a", "b"], lambda: needs, GRACE)
    result = removal(collector).result
    assert result is not None
    assert (result.names, set(result.kept)) == ((), {"a", "b"})
    assert place.gone == []


def test_the_unused_go_and_each_of_the_others_stays_for_a_reason(make):
    place, collector = make(
        names=tuple("abcdef"),
        live={"p1": {"a"}},
        needed={2: "b"},
        foreign={"the pod x/y": {"d"}},
        requested={"c"},
        stays={"e": "it cannot be removed"},
    )
    collector.collect(list("abcdef"), lambda: Needs((need(1, "p1"), need(2))), GRACE)
    result = removal(collector).result
    assert result is not None
    assert result.names == ("f",)
    assert {name: why.partition(" (")[0] for name, why in result.kept.items()} == {
        "a": "angler@prod version 1",
        "b": "angler@prod version 2",
        "c": "it was asked for meanwhile",
        "d": "the pod x/y",
        "e": "it cannot be removed",
    }
    assert True in place.surveyed


def test_needs_are_read_once_nothing_can_begin_to_use_what_is_claimed(make):
    place, collector = make()
    seen: list[set[str]] = []

    def needs() -> Needs:
        seen.append(place.claimed)
        return Needs()

    collector.collect(["a"], needs, GRACE)
    removal(collector)
    assert seen == [{"a"}]
    assert place.claimed == set()


def test_a_removal_that_fails_is_shown_and_another_one_begins_anew(make):
    place, collector = make(error=TargetUnavailable("away"))
    collector.collect(["a"], Needs, GRACE)
    error = removal(collector).error
    assert error is not None
    assert error.message == "away"
    place.error = None
    collector.collect(["a"], Needs, GRACE)
    wait_for(lambda: place.gone == ["a"], "the removal")


def test_a_use_is_noted_once_a_day(make):
    place, collector = make(
        live={"p1": {"a"}, "p2": {"b"}, "p3": set()}, noted={"a": NOW - 2 * DAY, "b": NOW - DAY / 2}
    )
    collector.note_uses()
    assert place.noted == {"a": NOW, "b": NOW - DAY / 2}
    assert place.surveyed == [False]


def test_an_inventory_names_the_place_and_what_nobody_knows(make):
    _, collector = make()
    found = collector.inventory(Needs(unknown="the registry was not read yet"))
    assert (found.where, found.unknown, found.removal) == (
        "r/e", "the registry was not read yet", None,
    )  # fmt: skip
    assert all(each == replace(each, users=()) for each in found.built)
