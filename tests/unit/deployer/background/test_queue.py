from __future__ import annotations

import threading

import pytest
from support.run.wait import wait_for

from deployer.background.queue import Turn, WorkQueue


def test_an_item_added_twice_comes_once_and_at_the_earlier_time():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", Turn(3600))
    queue.add("b")
    queue.add("a")
    assert queue.take() == "b"
    assert queue.take() == "a"
    assert queue.depth() == 0


def test_an_item_that_is_being_looked_at_is_not_given_to_another_worker():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.add("b")
    assert queue.take() == "b"
    taken: list[str | None] = []
    worker = threading.Thread(target=lambda: taken.append(queue.take()))
    worker.start()
    assert not taken
    queue.done("a")
    worker.join(timeout=60)
    assert taken == ["a"]


def test_every_item_is_worked_off_by_several_workers():
    queue: WorkQueue[int] = WorkQueue()
    seen: list[int] = []
    guard = threading.Lock()
    busy: set[int] = set()
    overlaps: list[int] = []

    def work() -> None:
        while (item := queue.take()) is not None:
            with guard:
                if item in busy:
                    overlaps.append(item)
                busy.add(item)
            with guard:
                seen.append(item)
                busy.discard(item)
            queue.done(item)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for item in [*range(200), *range(200)]:
        queue.add(item, Turn((item % 7) / 1000))
    wait_for(lambda: set(seen) == set(range(200)), "every item")
    queue.close()
    for worker in workers:
        worker.join(timeout=60)
    assert not overlaps


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[str]:
    return WorkQueue(clock)


def test_what_somebody_waits_for_overtakes_what_has_patience(queue, clock):
    for number in range(100):
        queue.add(f"resync-{number}", Turn(patience=5))
    clock.now += 1
    queue.add("promotion")
    assert queue.take() == "promotion"
    assert queue.depth() == 100


def test_nothing_is_overtaken_for_longer_than_its_patience(queue, clock):
    queue.add("resync", Turn(30, 5))
    clock.now += 36
    queue.add("promotion")
    assert [queue.take(), queue.take()] == ["resync", "promotion"]


def test_what_has_patience_and_is_waited_for_after_all_comes_at_once(queue, clock):
    queue.add("other", Turn(patience=1))
    queue.add("a", Turn(30, 5))
    queue.add("a", Turn(patience=5))
    queue.add("a")
    queue.add("a", Turn(30, 5))
    assert [queue.take(), queue.take()] == ["a", "other"]
    assert queue.depth() == 0


def test_what_is_added_while_it_is_worked_on_keeps_its_earliest_turn(queue, clock):
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.add("a", Turn(30, 5))
    assert queue.depth() == 1
    queue.done("a")
    assert queue.take() == "a"
    assert queue.depth() == 0


def test_what_is_not_due_is_not_taken(queue, clock):
    queue.add("later", Turn(2))
    queue.add("much later", Turn(30, 5))
    assert queue.depth() == 0
    clock.now += 2
    assert queue.take() == "later"
    clock.now += 28
    assert queue.take() == "much later"
