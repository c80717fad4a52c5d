"""Who says to have promoted a version, by a tag on a real MLflow."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from support.run.wait import wait_for
from support.systems.mlflow import MlflowServer

from deployer.registry.client import RegistryClient
from deployer.registry.promoters import Promoters
from deployer.registry.snapshot import Registry
from deployer.state.record import Promotion, Record

NOW = 1000.0
TAG = "schnitzel.prod.promoted_by"


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    server = MlflowServer(tmp_path_factory.mktemp("mlflow")).start()
    server.model("angler")
    for _ in range(3):
        server.version("angler")
    yield server
    server.close()


class Story:
    """A registry that is read as the watch does, and promotions that are signed."""

    def __init__(self, mlflow: MlflowServer) -> None:
        self.mlflow = mlflow
        self.rest = RegistryClient(mlflow.url)
        self.registry = Registry(self.rest, lambda: None)
        self.promoters = Promoters(self.registry)
        self.record = Record("angler-prod", "angler", "prod")

    def list(self, now: float) -> None:
        self.registry.list_all(now)
        self.promoters.note(self.registry.snapshot, now)

    def tag(self, number: int, value: str, key: str = TAG) -> None:
        self.mlflow.post(
            "model-versions/set-tag", name="angler", version=str(number), key=key, value=value
        )

    def promoted(self, number: int, now: float, via: str = "alias champion") -> str:
        """A promotion by alias or stage, and a pass that sees it; returns by whom it says it is."""
        if via.startswith("alias "):
            self.mlflow.alias("angler", "champion", number)
            self.registry.refresh("angler")
        else:
            self.mlflow.stage("angler", number, "Production")
            self.registry.poll()
        return self.looked(number, now, via)

    def looked(self, number: int, now: float, via: str = "alias champion") -> str:
        """A pass that sees a promotion in what was read last."""
        version = self.registry.snapshot.models["angler"].versions[number - 1].id
        sequence = len(self.record.promotions) + 1
        promotions = (*self.record.promotions, Promotion(version, via, sequence, now))
        record = replace(self.record, promotions=promotions)
        self.record = self.promoters.sign(record, sequence, self.registry.snapshot, now)
        self.promoters.settle(self.record, sequence, now)
        return self.record.promotions[-1].by

    def settled(self) -> bool:
        """Whether every tag that was used is deleted; waits for it."""
        return wait_for(lambda: not self.promoters._used, "the tags to be deleted")

    def close(self) -> None:
        self.promoters.close()
        self.rest.close()


@pytest.fixture
def story(mlflow):
    made = Story(mlflow)
    made.list(NOW)
    yield made
    made.close()


@pytest.mark.parametrize("read", ["poll", "look", "list"])
def test_each_read_that_shows_a_promotion_shows_its_claim(story, read):
    """As the CLI does it: the tag first, and then the alias or the stage."""
    for number in (1, 2):
        story.tag(number, f"{read}{number}")
        if read == "poll":
            story.mlflow.stage("angler", number, "Production")
            assert story.registry.poll() == {"angler"}
        else:
            story.mlflow.alias("angler", "champion", number)
            story.registry.refresh("angler") if read == "look" else story.list(NOW + number)
        assert story.looked(number, NOW + 5) == f"{read}{number}"
        assert story.settled()
        assert TAG not in story.mlflow.tags("angler", number)
        if read == "poll":
            story.mlflow.stage("angler", number, "Archived")


def test_a_tag_names_the_promotion_that_follows_it_and_no_other(story):
    story.tag(1, "alice")
    assert story.promoted(1, NOW + 5) == "alice"
    assert story.promoted(2, NOW + 6) == ""
    assert story.promoted(1, NOW + 500) == ""
    assert story.settled()
    assert TAG not in story.mlflow.tags("angler", 1)
    assert story.promoted(1, NOW + 501) == ""


def test_an_alias_and_a_stage_of_one_command_have_one_promoter(story):
    story.mlflow.stage("angler", 2, "None")
    story.tag(2, "alice")
    assert story.promoted(2, NOW + 5) == "alice"
    assert story.settled()
    assert story.promoted(2, NOW + 6, "stage Production") == "alice"
    story.mlflow.stage("angler", 2, "None")
    assert story.promoted(2, NOW + 500, "stage Production") == ""


def test_a_tag_of_another_environment_says_nothing_here(story):
    story.tag(1, "alice", "schnitzel.staging.promoted_by")
    assert story.promoted(1, NOW + 5) == ""


def test_a_tag_that_was_there_for_a_minute_is_not_believed_and_taken_away(story):
    story.tag(1, "alice")
    story.list(NOW + 10)
    story.list(NOW + 40)
    assert story.promoted(1, NOW + 71) == ""
    assert story.settled()
    assert TAG not in story.mlflow.tags("angler", 1)
    story.tag(1, "alice")
    story.list(NOW + 100)
    assert story.promoted(1, NOW + 159) == "alice"
    assert story.settled()


def test_a_tag_from_before_our_start_is_not_believed(story):
    story.tag(1, "alice")
    later = Story(story.mlflow)
    later.list(NOW)
    assert later.promoted(1, NOW + 1) == ""
    assert later.settled()
    later.tag(1, "alice")
    assert later.promoted(1, NOW + 2) == "alice"
    assert later.settled()
    later.close()


def test_a_claim_counts_while_mlflow_is_away_and_its_tag_goes_once_it_is_back(story):
    story.tag(3, "alice")
    story.mlflow.alias("angler", "champion", 3)
    story.registry.refresh("angler")
    story.mlflow.stop()
    try:
        assert story.looked(3, NOW + 5) == "alice"
        jobs = story.promoters._jobs._jobs
        wait_for(lambda: [job.phase for job in jobs.values()] == ["failed"], "MLflow to be away")
    finally:
        story.mlflow.start()
    assert TAG in story.mlflow.tags("angler", 3)
    story.promoters._jobs._clock = lambda: time.time() + 1e6  # the pause is over
    story.list(NOW + 30)
    assert story.settled()
    assert TAG not in story.mlflow.tags("angler", 3)
