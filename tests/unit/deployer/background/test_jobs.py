import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from queue import Queue

import pytest
from support.run.wait import wait_for

from deployer.background.filelock import file_lock
from deployer.background.jobs import MOST_RETRY, Jobs, Stopped, each
from deployer.errors import ArtifactMissing, ArtifactUnreachable, RegistryUnreachable


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jobs(clock: Clock) -> Iterator[Jobs[int]]:
    with closing(Jobs[int]("test", 2, clock)) as made:
        yield made


def ended(jobs: Jobs[int], key: str) -> str:
    def look() -> str:
        job = jobs.peek(key)
        return job.phase if job and job.phase != "running" else ""

    return wait_for(look, f"the end of {key}", every=0.002)


def failing(error: Exception, calls: list[int]) -> Callable[[], int]:
    def work() -> int:
        calls.append(1)
        raise error

    return work


def test_work_is_started_and_not_waited_for(jobs: Jobs[int]) -> None:
    go = threading.Event()
    assert jobs.ensure("a", lambda: go.wait(60) and 7).phase == "running"
    assert jobs.ensure("a", lambda: 8).phase == "running"
    go.set()
    assert ended(jobs, "a") == "done"
    assert jobs.ensure("a", lambda: 8).result == 7


def test_what_was_done_before_is_not_begun(jobs: Jobs[int]) -> None:
    job = jobs.ensure("a", lambda: 8, lambda: 7)
    assert (job.phase, job.result) == ("done", 7)


def test_a_lasting_failure_is_not_tried_again_until_forgotten(
    jobs: Jobs[int], clock: Clock
) -> None:
    calls: list[int] = []
    jobs.ensure("a", failing(ArtifactMissing("gone"), calls))
    assert ended(jobs, "a") == "failed"
    clock.now += 1e9
    job = jobs.ensure("a", failing(ArtifactMissing("gone"), calls))
    assert (job.phase, job.retry_at, len(calls)) == ("failed", None, 1)
    jobs.forget("a")
    jobs.ensure("a", lambda: 7)
    assert ended(jobs, "a") == "done"


def test_a_passing_failure_is_tried_again_after_a_growing_wait(
    jobs: Jobs[int], clock: Clock
) -> None:
    calls: list[int] = []
    waits = []
    for attempt in range(1, 12):
        jobs.ensure("a", failing(ArtifactUnreachable("down"), calls))
        assert ended(jobs, "a") == "failed"
        assert len(calls) == attempt
        job = jobs.ensure("a", failing(ArtifactUnreachable("down"), calls))
        assert job.retry_at is not None
        waits.append(job.retry_at - clock.now)
        clock.now = job.retry_at - 0.01
        assert jobs.ensure("a", failing(ArtifactUnreachable("down"), calls)).phase == "failed"
        clock.now += 0.02
    assert 8 <= waits[0] <= 12
    assert waits[2] > waits[0]
    assert max(waits) <= MOST_RETRY * 1.2


def test_a_passing_failure_waits_to_be_forgotten_where_a_rollout_decides(clock: Clock) -> None:
    calls: list[int] = []
    with closing(Jobs[int]("test", 2, clock, retry=None)) as jobs:
        jobs.ensure("a", failing(ArtifactUnreachable("down"), calls))
        assert ended(jobs, "a") == "failed"
        clock.now += 1e9
        job = jobs.ensure("a", failing(ArtifactUnreachable("down"), calls))
        assert (job.phase, job.retry_at, len(calls)) == ("failed", None, 1)
        jobs.forget("a")
        assert jobs.ensure("a", lambda: 7).phase == "running"


def test_a_defect_of_ours_shows_as_a_failure(jobs: Jobs[int]) -> None:
    jobs.ensure("a", failing(ZeroDivisionError("oops"), []))
    assert ended(jobs, "a") == "failed"
    job = jobs.peek("a")
    assert job is not None
    assert job.error is not None
    assert "ZeroDivisionError: oops" in job.error.message


def test_slow_work_does_not_hold_up_other_work(jobs: Jobs[int]) -> None:
    go = threading.Event()
    jobs.ensure("slow", lambda: go.wait(60) and 1)
    for key in "abc":
        jobs.ensure(key, lambda: 2)
        assert ended(jobs, key) == "done"
    go.set()


def test_closing_ends_waiting_and_running_work(
    jobs: Jobs[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = Queue[int](), Queue[int]()

    def work() -> int:
        begun.put(1)
        jobs.stopping.wait()
        ended.put(1)
        raise Stopped

    for key in "abcdef":
        jobs.ensure(key, work)
    wait_for(lambda: begun.qsize() == 2, "all that work side by side")
    monkeypatch.setattr("deployer.background.jobs.CLOSING_SECONDS", 3600.0)
    jobs.close()
    assert (begun.qsize(), ended.qsize()) == (2, 2)
    assert jobs.ensure("later", lambda: 1).phase == "running"
    assert jobs.peek("later") is None


def test_each_item_is_worked_on_and_the_first_failure_raised() -> None:
    done: list[int] = []
    each(done.append, range(20), 4, "test")
    assert sorted(done) == list(range(20))

    def work(item: int) -> None:
        done.append(item)
        if item == 3:
            raise ArtifactMissing("three")

    done.clear()
    with pytest.raises(ArtifactMissing, match="three"):
        each(work, range(1000), 2, "test")
    assert len(done) < 1000


def test_a_file_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []

    def work(item: int) -> None:
        with file_lock(tmp_path / "lock", lambda: False):
            inside.append(item)
            assert len(inside) == 1
            inside.remove(item)

    each(work, range(20), 4, "test")


def test_waiting_for_a_file_lock_can_be_stopped(tmp_path: Path) -> None:
    held = file_lock(tmp_path / "lock", lambda: False)
    with held, pytest.raises(Stopped), file_lock(tmp_path / "lock", lambda: True):
        pass


def test_the_end_of_work_is_reported_whatever_the_end_and_the_report(clock: Clock) -> None:
    reported = Queue[str]()

    def report(key: str) -> None:
        reported.put(key)
        raise RuntimeError("the report is refused")

    with closing(Jobs[int]("test", 1, clock, ended=report)) as jobs:
        jobs.ensure("a", lambda: 7)
        assert reported.get(timeout=60) == "a"
        assert ended(jobs, "a") == "done"
        jobs.ensure("b", failing(ArtifactMissing("gone"), []))
        assert reported.get(timeout=60) == "b"
        assert ended(jobs, "b") == "failed"


def test_any_error_of_a_service_is_transient_and_kept_while_the_work_runs_again(
    clock: Clock,
) -> None:
    with closing(Jobs[int]("test", 1, clock, retry=(1.0, 3.0))) as jobs:
        for most in (1.2, 2.4, 3.6, 3.6):
            jobs.ensure("a", failing(RegistryUnreachable("MLflow is away", "schnitzel status"), []))
            assert ended(jobs, "a") == "failed"
            job = jobs.peek("a")
            assert job
            assert job.error
            assert (job.error.message, job.error.hint) == ("MLflow is away", "schnitzel status")
            assert isinstance(job.error.__cause__, RegistryUnreachable)
            assert job.retry_at
            assert 0 < job.retry_at - clock.now <= most
            clock.now = job.retry_at
        go = threading.Event()
        job = jobs.ensure("a", lambda: go.wait(60) and 7)
        assert (job.phase, job.error) == ("running", None)
        assert job.failed
        assert job.failed.message == "MLflow is away"
        go.set()
        assert ended(jobs, "a") == "done"
        assert jobs.ensure("a", lambda: 8).failed is None


def test_work_that_hangs_gives_its_place_to_other_work_and_no_thread_too_many_is_left() -> None:
    go = threading.Event()
    with closing(Jobs[int]("hung", 2, patience=0.05)) as jobs:
        for key in ("x", "y"):
            jobs.ensure(key, lambda: go.wait(60) and 1)

        def begun() -> bool:
            job = jobs.ensure("a", lambda: 2)  # as each pass does
            return job.phase == "done"

        wait_for(begun, "work beside the work that hangs", every=0.01)
        go.set()
        for key in ("x", "y"):
            assert ended(jobs, key) == "done"
        for key in "bcde":
            jobs.ensure(key, lambda: 2)
            assert ended(jobs, key) == "done"

        def threads() -> int:
            return sum(thread.name == "hung" for thread in threading.enumerate())

        wait_for(lambda: threads() <= 2, "the surplus to end")


def test_a_request_may_wait_for_the_end_of_work_and_no_longer_than_it_says(
    jobs: Jobs[int],
) -> None:
    go = threading.Event()
    jobs.ensure("a", lambda: go.wait(60) and 7)
    jobs.wait("a", 0.01)
    assert (job := jobs.peek("a"))
    assert job.phase == "running"
    threading.Timer(0.05, go.set).start()
    jobs.wait("a", 60)
    assert (job := jobs.peek("a"))
    assert job.result == 7
    jobs.wait("unknown", 60)
