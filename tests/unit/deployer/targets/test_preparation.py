"""Attempts to prepare predictors: who begins one, and whose failure it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest
from support.run.wait import wait_for

from deployer.background.jobs import Jobs
from deployer.errors import EnvironmentUnbuildable
from deployer.state.predictor import Phase, Predictor, Role
from deployer.state.registry import VersionId
from deployer.targets.preparation import Preparing, Progress


@dataclass
class Work:
    """One Python environment, for which some builds fail."""

    broken: bool = True
    builds: list[str] = field(default_factory=list)
    may_end: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.may_end.set()

    def __call__(self) -> str:
        self.builds.append("begun")
        self.may_end.wait(60)
        if self.broken:
            raise EnvironmentUnbuildable("The index does not answer.", transient=True)
        return "built"


class Preparation(Preparing[Progress]):
    """Predictors that all need the same Python environment."""

    def __init__(self, jobs: Jobs[str], work: Work) -> None:
        super().__init__(lambda: 1.0)
        self._jobs, self._work = jobs, work

    def _advance(self, _: Predictor) -> Progress:
        job = self._jobs.ensure("environment", self._work)
        if job.error:
            return Progress(Phase.FAILED, 1.0, error=job.error)
        return Progress(Phase.READY if job.result else Phase.BUILDING, 1.0)

    def _retry(self, *_: object) -> None:
        self._jobs.forget("environment")


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def preparation(work: Work) -> Iterator[Preparation]:
    with closing(Jobs[str]("test", 1, retry=None)) as jobs:
        yield Preparation(jobs, work)


def predictor(name: str) -> Predictor:
    return Predictor(name, VersionId("angler", 1, 1), Role.CHAMPION, name, "s", {})


def settled(preparation: Preparation, name: str) -> Phase:
    def look() -> Phase | None:
        phase = preparation.ensure(predictor(name)).phase
        return None if phase is Phase.BUILDING else phase

    return wait_for(look, "the end of the build", every=0.002)


def test_a_failure_stays_for_as_long_as_the_attempt_lasts(preparation, work):
    assert settled(preparation, "a") is Phase.FAILED
    work.broken = False
    for _ in range(3):
        assert preparation.ensure(predictor("a")).phase is Phase.FAILED
    assert len(work.builds) == 1


def test_another_attempt_begins_the_failed_work_again(preparation, work):
    assert settled(preparation, "a") is Phase.FAILED
    preparation.forget(predictor("a"))
    assert preparation.peek("a") is None
    assert len(work.builds) == 1, "giving up begins nothing"
    work.broken = False
    assert settled(preparation, "a") is Phase.READY
    assert len(work.builds) == 2


def test_predictors_that_wait_for_the_same_work_share_its_failure(preparation, work):
    names = [f"p{number}" for number in range(10)]
    work.may_end.clear()
    for name in names:
        preparation.ensure(predictor(name))
    work.may_end.set()
    assert {settled(preparation, name) for name in names} == {Phase.FAILED}
    for name in names:
        preparation.forget(predictor(name))
    assert len(work.builds) == 1
    work.broken = False
    assert {settled(preparation, name) for name in names} == {Phase.READY}
    assert len(work.builds) == 2


def test_work_that_is_done_is_not_begun_again_by_another_attempt(preparation, work):
    work.broken = False
    assert settled(preparation, "a") is Phase.READY
    preparation.forget(predictor("a"))
    assert preparation.ensure(predictor("a")).phase is Phase.READY
    assert len(work.builds) == 1
