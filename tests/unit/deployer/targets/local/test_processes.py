"""One listing of the model servers' processes for all, on a clock that the tests move."""

from __future__ import annotations

import threading

import pytest
from support.run.wait import wait_for

from deployer.errors import TargetUnavailable
from deployer.targets.local.processes import ALIVE_SECONDS, LIST_SECONDS, Processes
from stack.errors import SupervisorUnavailable
from stack.supervision.supervisor import Process


class Supervisord:
    """One that says how often it was asked, and dies as it is told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pids = {"a": 1}
        self.changes: int | None = 0
        self.dead = self.broken = False
        self.listings = self.connections = self.starts = self.attempts = 0
        self.held = threading.Event()
        self.held.set()

    def ensure(self) -> bool:
        self.attempts += 1
        self.held.wait(60)
        if self.broken:
            raise SupervisorUnavailable("It does not start.", "See its log.")
        self.starts += self.dead
        was, self.dead = self.dead, False
        return was

    def listens(self) -> bool:
        self.connections += 1
        return not self.dead

    def mark(self) -> object | None:
        return self.changes

    def processes(self) -> dict[str, Process]:
        self.listings += 1
        if self.dead:
            raise SupervisorUnavailable("Nobody listens.", "schnitzel up")
        return {n: Process(n, "RUNNING", pid, 1.0, None, "") for n, pid in self.pids.items()}


@pytest.fixture
def supervisord() -> Supervisord:
    return Supervisord()


@pytest.fixture
def processes(supervisord: Supervisord) -> Processes:
    return Processes(supervisord, timer=lambda: supervisord.now)


def pids(processes: Processes) -> dict[str, int | None]:
    return {name: each.pid for name, each in processes.all().items()}


def test_it_is_listed_once_for_all_until_it_may_differ(supervisord, processes):
    for _ in range(100):
        assert pids(processes) == {"a": 1}
        processes.look()
    assert (supervisord.listings, supervisord.connections) == (1, 0)
    supervisord.pids, supervisord.changes = {"a": 2, "b": 3}, 1
    assert pids(processes) == {"a": 2, "b": 3}
    assert supervisord.listings == 2


def test_what_changes_while_it_is_listed_is_seen_the_next_time(supervisord, processes, monkeypatch):
    listed = supervisord.processes

    def slow() -> dict[str, Process]:
        found = listed()
        supervisord.pids, supervisord.changes = {"a": 2}, 1
        return found

    monkeypatch.setattr(supervisord, "processes", slow)
    assert pids(processes) == {"a": 1}
    monkeypatch.undo()
    assert pids(processes) == {"a": 2}


def test_a_listing_is_made_anew_in_the_end_whatever_the_log_says(supervisord, processes):
    processes.all()
    supervisord.pids = {"a": 2}
    supervisord.now += LIST_SECONDS - 1
    assert pids(processes) == {"a": 1}
    supervisord.now += 1
    assert pids(processes) == {"a": 2}


def test_without_a_log_it_is_listed_each_time(supervisord, processes):
    supervisord.changes = None
    for number in range(1, 4):
        supervisord.pids = {"a": number}
        assert pids(processes) == {"a": number}


def test_a_supervisord_that_died_is_missed_soon_and_started_by_a_pass_alone(supervisord, processes):
    processes.all()
    supervisord.dead = True
    supervisord.now += ALIVE_SECONDS
    with pytest.raises(TargetUnavailable, match="does not answer"):
        processes.look()
    with pytest.raises(TargetUnavailable, match="does not answer"):
        processes.look()
    assert supervisord.starts == 0
    supervisord.pids = {"a": 2}
    assert pids(processes) == {"a": 2}
    assert supervisord.starts == 1


def test_one_that_does_not_start_is_tried_once_for_all_who_wait(supervisord, processes):
    """The clock stands still: all asked before the one that tries has failed."""
    supervisord.broken = True
    supervisord.held.clear()
    told: list[str] = []

    def ask() -> None:
        try:
            processes.all()
        except TargetUnavailable as error:
            told.append(f"{error.message} {error.hint}")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    supervisord.held.set()
    for thread in threads:
        thread.join(60)
    said = "The model servers' supervisord does not answer: It does not start. schnitzel up"
    assert told == [said] * 8
    assert supervisord.attempts == 1
    supervisord.broken = False
    supervisord.now += 0.1
    wait_for(lambda: pids(processes) == {"a": 1}, "it to be tried again")


def test_of_one_elsewhere_the_hint_is_its_own(supervisord):
    processes = Processes(supervisord, elsewhere=True, timer=lambda: supervisord.now)
    supervisord.broken = True
    with pytest.raises(TargetUnavailable) as caught:
        processes.all()
    assert caught.value.hint == "See its log."
