"""Passes and the reading of descriptions, where MLflow or the store hangs, fails, or is slow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from queue import Queue
from typing import Any

import pytest
from support.run.wait import wait_for

from deployer.errors import ArtifactUnreachable, NotFound, RegistryUnreachable
from deployer.registry import describe
from deployer.registry.client import RegistryClient
from deployer.registry.describe import Descriptions
from deployer.registry.snapshot import Registry
from deployer.state.record import Description, Failure, Promotion, Record
from deployer.state.registry import ModelVersion, RegisteredModel, RegistrySnapshot, VersionId

SPEC = b"replicas: 2"


class Mlflow(RegistryClient):
    """MLflow's answer to where the files of a version are; `held` versions hang until released."""

    def __init__(self) -> None:
        """Connect to nothing."""
        self.error: Exception | None = None
        self.held: set[str] = set()
        self.released = threading.Event()
        self.asked: list[str] = []

    def get(
        self, path: str, params: Mapping[str, Any] | None = None, _: Collection[str] = ()
    ) -> dict[str, Any]:
        assert path == "model-versions/get-download-uri"
        name = f"{(params or {})['name']} {(params or {})['version']}"
        self.asked.append(name)
        if name in self.held:
            self.released.wait(60)
        if self.error:
            raise self.error
        return {"artifact_uri": f"files:/{name}"}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Story:
    """A registry with models of three versions, and deployments of them that get passes."""

    def __init__(self) -> None:
        self.mlflow = Mlflow()
        self.clock = Clock()
        self.woken = Queue[str]()
        self.file: bytes | Exception = SPEC
        self.descriptions = Descriptions(
            Registry(self.mlflow, lambda: None), self.read_file, self.woken.put, self.clock
        )
        names = [f"model{number}" for number in range(20)]
        self.snapshot = RegistrySnapshot(
            {name: RegisteredModel(name, tuple(row(name, n) for n in (1, 2, 3))) for name in names},
            listed_at=1.0,
        )

    def read_file(self, source: str, name: str, stopping: Callable[[], bool]) -> bytes | None:
        assert source.startswith("files:/model")
        assert name == "serving.yaml"
        assert not stopping()
        if isinstance(self.file, Exception):
            raise self.file
        return self.file

    def look(self, record: Record, wait: float = 0.0) -> tuple[Description | None, Failure | None]:
        """A pass; returns the description of the winner, and the failure."""
        read, failure = self.descriptions.read(record, self.snapshot, self.clock.now, wait)
        return next(iter(read.descriptions.values()), None), failure

    def found(self, record: Record) -> Description:
        """The description, which the deployment is woken for."""
        assert self.look(record) == (None, None)
        assert self.woken.get(timeout=60) == record.id
        found, failure = self.look(record)
        assert found
        assert failure is None
        return found


def row(model: str, number: int) -> ModelVersion:
    version = VersionId(model, number, 100 + number)
    return ModelVersion(version, "Production", frozenset(), f"models:/{model}", "run", 1)


def record(number: int = 1, model: str = "model0", environment: str = "prod") -> Record:
    marks = (Promotion(row(model, number).id, "stage Production", 1, 1.0),)
    return Record(f"{model}-{environment}", model, environment, promotions=marks)


@pytest.fixture
def story() -> Iterator[Story]:
    made = Story()
    with closing(made.descriptions):
        yield made
        made.mlflow.released.set()


def test_a_pass_goes_on_while_mlflow_hangs_and_the_end_wakes_its_deployment(story: Story) -> None:
    story.mlflow.held = {"model0 1"}
    for _ in range(3):
        assert story.look(record()) == (None, None)
    assert story.found(record(model="model1")).source == "files:/model1 1"
    assert story.look(record()) == (None, None)
    assert story.woken.empty()
    story.mlflow.released.set()
    assert story.woken.get(timeout=60) == "model0-prod"
    assert story.look(record()) == (Description("files:/model0 1", {"replicas": 2}), None)
    assert story.mlflow.asked == ["model0 1", "model1 1"], "each is read once"


def test_as_many_that_hang_as_are_read_side_by_side_hold_up_no_other(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story.descriptions._jobs, "_patience", 0.05)
    hanging = [record(model=f"model{number}") for number in range(describe.PARALLEL)]
    story.mlflow.held = {f"{one.model} 1" for one in hanging}
    for one in hanging:
        assert story.look(one) == (None, None)
    other = record(model="model19")
    wait_for(lambda: story.look(other)[0], "the one that does not hang", every=0.01)


def test_an_error_is_shown_until_a_retry_succeeds_and_is_not_asked_for_at_each_pass(
    story: Story,
) -> None:
    story.mlflow.error = RegistryUnreachable("MLflow does not answer.", "schnitzel status")
    assert story.look(record()) == (None, None)
    assert story.woken.get(timeout=60) == "model0-prod"
    for _ in range(3):
        _, failure = story.look(record())
        assert failure
        assert (failure.reason, failure.message, failure.hint) == (
            "RegistryUnreachable", "MLflow does not answer.", "schnitzel status",
        )  # fmt: skip
    assert story.mlflow.asked == ["model0 1"]
    assert failure.retry_at
    assert story.clock.now < failure.retry_at < story.clock.now + 2
    story.clock.now = failure.retry_at
    story.mlflow.held = {"model0 1"}
    story.mlflow.error = None
    for _ in range(3):
        _, failure = story.look(record())
        assert failure, "a retry that is under way has not succeeded"
        assert failure.retry_at == story.clock.now
    story.mlflow.released.set()
    assert story.woken.get(timeout=60) == "model0-prod"
    assert story.look(record()) == (Description("files:/model0 1", {"replicas": 2}), None)


def test_an_error_of_the_store_keeps_its_reason_and_passes(story: Story) -> None:
    story.file = ArtifactUnreachable("The bucket is away.")
    for _ in range(8):
        story.look(record())
        story.woken.get(timeout=60)
        _, failure = story.look(record())
        assert failure
        assert (failure.reason, failure.message) == ("ArtifactUnreachable", "The bucket is away.")
        assert failure.retry_at
        assert failure.retry_at - story.clock.now <= 1.2 * describe.RETRY_SECONDS[1]
        story.clock.now = failure.retry_at
    story.file = SPEC
    assert story.look(record(), wait=60)[0]


def test_a_version_that_was_just_deleted_is_no_failure(story: Story) -> None:
    story.mlflow.error = NotFound("no such version")
    story.look(record())
    story.woken.get(timeout=60)
    assert story.look(record()) == (None, None)


def test_a_serving_yaml_that_cannot_be_used_is_a_description_that_says_so(story: Story) -> None:
    story.file = b"replicas: many"
    found = story.found(record())
    assert "replicas" in found.problem
    assert found.source == "models:/model0"
    story.file = SPEC
    assert story.look(record()) == (found, None), "it is read once"


def test_a_description_is_kept_until_it_is_on_disk_and_no_longer(story: Story) -> None:
    found = story.found(record())
    for _ in range(3):  # as if each pass had failed to save it
        assert story.look(record()) == (found, None)
    saved = replace(record(), descriptions={record().promotions[0].version.key: found})
    assert story.look(saved) == (found, None)
    assert not story.descriptions._asked
    assert not story.descriptions._jobs._jobs
    assert story.mlflow.asked == ["model0 1"]


def test_a_promotion_that_moved_on_leaves_nothing_of_its_reading(story: Story) -> None:
    story.mlflow.held = {"model0 1"}
    story.look(record(1))
    wait_for(lambda: story.mlflow.asked, "the reading to begin")
    assert story.found(record(2)).source == "files:/model0 2"
    story.mlflow.released.set()
    jobs = story.descriptions._jobs._jobs
    wait_for(lambda: len(jobs) == 1, "the end of what nobody needs")
    assert story.woken.empty()
    story.look(replace(record(2), promotions=()))
    assert not jobs


def test_an_operator_has_it_read_again_and_the_known_description_holds_meanwhile(
    story: Story,
) -> None:
    key = record().promotions[0].version.key
    known = Description("files:/model0 1", {"replicas": 1})
    saved = replace(record(), descriptions={key: known})
    assert story.look(saved) == (known, None)
    story.mlflow.held = {"model0 1"}
    story.descriptions.forget("model0-prod")
    for _ in range(3):
        assert story.look(saved) == (known, None)
    story.mlflow.released.set()
    assert story.woken.get(timeout=60) == "model0-prod"
    found, failure = story.look(saved)
    assert found == Description("files:/model0 1", {"replicas": 2})
    assert failure is None
    saved = replace(record(), descriptions={key: found})
    for _ in range(2):
        assert story.look(saved) == (found, None)
    assert story.mlflow.asked == ["model0 1"]
    story.mlflow.error = RegistryUnreachable("away")
    story.descriptions.forget("model0-prod")
    story.look(saved)
    story.woken.get(timeout=60)
    assert story.look(saved) == (found, None), "it served before, and goes on"


def test_an_operator_retries_a_failure_at_once(story: Story) -> None:
    story.mlflow.error = RegistryUnreachable("away")
    story.look(record())
    story.woken.get(timeout=60)
    assert story.look(record())[1]
    story.mlflow.error = None
    story.descriptions.forget("model0-prod")
    assert story.found(record())


def test_a_preview_waits_for_it_and_not_for_ever(story: Story) -> None:
    story.mlflow.held = {"model0 1"}
    assert story.look(record(), wait=0.01) == (None, None)
    threading.Timer(0.05, story.mlflow.released.set).start()
    assert story.look(record(), wait=60)[0]


def test_two_environments_of_a_version_are_each_woken(story: Story) -> None:
    story.mlflow.held = {"model0 1"}
    both = [record(environment=name) for name in ("staging", "prod")]
    for one in both:
        assert story.look(one) == (None, None)
    story.mlflow.released.set()
    assert {story.woken.get(timeout=60) for _ in both} == {"model0-staging", "model0-prod"}
    assert all(story.look(one)[0] for one in both)


def test_an_end_does_not_wait_for_mlflow(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    story.mlflow.held = {"model0 1"}
    story.look(record())
    wait_for(lambda: story.mlflow.asked, "the reading to begin")
    monkeypatch.setattr("deployer.background.jobs.CLOSING_SECONDS", 0.1)
    story.descriptions.close()
    assert story.woken.empty()
