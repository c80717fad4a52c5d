from __future__ import annotations

import threading

from support.run.wait import wait_for

from deployer.controller.queue import WorkQueue


def test_an_item_added_twice_comes_once_and_at_the_earlier_time():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", 3600)
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
        queue.add(item, (item % 7) / 1000)
    wait_for(lambda: set(seen) == set(range(200)), "every item")
    queue.close()
    for worker in workers:
        worker.join(timeout=60)
    assert not overlaps
