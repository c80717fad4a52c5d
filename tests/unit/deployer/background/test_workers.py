"""Workers where the work on some items hangs, on a clock that the test moves."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from support.run.wait import wait_for

from deployer.background import workers
from deployer.background.queue import Turn, WorkQueue
from deployer.background.workers import HANG_SECONDS, WORKERS, Workers


class Site:
    """Items that are worked on, some of which hang until they are released."""

    def __init__(self) -> None:
        self.now = 0.0
        self.queue: WorkQueue[str] = WorkQueue()
        self.held: dict[str, threading.Event] = {}
        self.at_work: set[str] = set()
        self.done: Counter[str] = Counter()
        self.told: list[str] = []
        self.workers = Workers(self.queue, self._work, self.told.append, lambda: self.now)

    def hang(self, count: int) -> list[str]:
        """Have so many items begin to hang."""
        names = [f"hangs-{number}" for number in range(count)]
        for name in names:
            self.held[name] = threading.Event()
            self.queue.add(name)
        wait_for(lambda: len(self.at_work) >= min(count, self.workers.count()), "them to hang")
        return names

    def go_on(self, name: str) -> None:
        """Wait until an item has been worked on twice more."""
        before = self.done[name]
        self.queue.add(name)
        wait_for(lambda: self.done[name] >= before + 2, f"{name} to go on")

    def _work(self, name: str) -> Turn:
        if name in self.held:
            self.at_work.add(name)
            self.held[name].wait(60)
            self.at_work.discard(name)
            self.done[name] += 1
            return Turn(3600.0)
        self.done[name] += 1
        return Turn(0.001)


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setattr(Workers, "_supervise", lambda _: None)  # the tests do, when it is time
    made = Site()
    made.workers.start()
    yield made
    for event in made.held.values():
        event.set()
    made.workers.close(10)


def test_what_hangs_is_told_once_and_its_worker_replaced(site):
    [name] = site.hang(1)
    site.now += HANG_SECONDS - 1
    site.workers.supervise()
    assert (site.told, site.workers.count()) == ([], WORKERS)
    site.now += 1
    for _ in range(3):
        site.workers.supervise()
        site.now += HANG_SECONDS
    assert (site.told, site.workers.count()) == ([name], WORKERS + 1)
    site.held[name].set()
    wait_for(lambda: site.workers.count() == WORKERS, "the one too many to end")
    assert site.done[name] == 1


def test_as_many_that_hang_as_there_are_workers_do_not_keep_the_others_from_their_work(site):
    names = site.hang(WORKERS)
    site.queue.add("fast")
    assert site.done["fast"] == 0
    site.now += HANG_SECONDS
    site.workers.supervise()
    site.go_on("fast")
    assert sorted(site.told) == sorted(names)
    for name in names:
        site.held.pop(name).set()
    wait_for(lambda: site.workers.count() == WORKERS, "those too many to end")
    site.go_on("fast")


def test_threads_are_bounded_however_many_hang_and_one_that_is_done_goes_on_with_the_rest(
    site, monkeypatch
):
    monkeypatch.setattr(workers, "MOST", WORKERS + 2)
    names = site.hang(WORKERS + 2)
    for _ in range(4):
        site.now += HANG_SECONDS
        site.workers.supervise()
    wait_for(lambda: len(site.at_work) == WORKERS + 2, "all of them to hang")
    assert site.workers.count() == WORKERS + 2
    site.held[names[0]].set()
    site.go_on("fast")


def test_an_end_waits_for_no_worker_that_hangs(site):
    site.hang(2)
    site.now += HANG_SECONDS
    site.workers.supervise()
    site.workers.close(3600)
    assert len(site.at_work) == 2
    assert site.workers.count() == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_broke_is_replaced(site, monkeypatch):
    ended = []

    def broken(_: str) -> float:
        ended.append(threading.current_thread())
        raise SystemExit  # ends its thread, and no other

    work = site.workers._work
    monkeypatch.setattr(site.workers, "_work", broken)
    site.queue.add("broken")
    wait_for(lambda: site.workers.count() == WORKERS - 1, "the worker's end")
    ended[0].join()  # pytest hears of the exception only now: it belongs to this test
    monkeypatch.setattr(site.workers, "_work", work)
    site.workers.supervise()
    assert site.workers.count() == WORKERS
