"""Who says to have promoted a version, by a tag on a real MLflow."""

from __future__ import annotations

import pytest
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
    for _ in range(2):
        server.version("angler")
    yield server
    server.close()


class Story:
    """A registry that is listed from time to time, and promotions that are signed."""

    def __init__(self, mlflow: MlflowServer) -> None:
        self.mlflow = mlflow
        self.rest = RegistryClient(mlflow.url)
        self.registry = Registry(self.rest, lambda: None)
        self.promoters = Promoters(self.rest)
        self.record = Record("angler-prod", "angler", "prod")

    def list(self, now: float) -> None:
        self.registry.list_all(now)
        self.promoters.note(self.registry.snapshot, now)

    def tag(self, number: int, value: str, key: str = TAG) -> None:
        self.mlflow.post(
            "model-versions/set-tag", name="angler", version=str(number), key=key, value=value
        )

    def promoted(self, number: int, now: float, via: str = "alias champion") -> str:
        """A pass that sees a promotion; returns by whom it says that it is."""
        version = self.registry.snapshot.models["angler"].versions[number - 1].id
        sequence = len(self.record.promotions) + 1
        promotions = (*self.record.promotions, Promotion(version, via, sequence, now))
        from dataclasses import replace

        self.record = self.promoters.sign(
            replace(self.record, promotions=promotions), sequence, now
        )
        return self.record.promotions[-1].by


@pytest.fixture
def story(mlflow):
    made = Story(mlflow)
    made.list(NOW)
    yield made
    made.rest.close()


def test_a_tag_names_the_promotion_that_follows_it_and_no_other(story):
    story.tag(1, "alice")
    assert story.promoted(1, NOW + 5) == "alice"
    assert TAG not in story.mlflow.tags("angler", 1)
    assert story.promoted(2, NOW + 6) == ""
    assert story.promoted(1, NOW + 500) == ""


def test_an_alias_and_a_stage_of_one_command_have_one_promoter(story):
    story.tag(2, "alice")
    assert story.promoted(2, NOW + 5) == "alice"
    assert story.promoted(2, NOW + 6, "stage Production") == "alice"
    assert story.promoted(2, NOW + 500, "stage Production") == ""


def test_a_tag_of_another_environment_says_nothing_here(story):
    story.tag(1, "alice", "schnitzel.staging.promoted_by")
    assert story.promoted(1, NOW + 5) == ""


def test_a_tag_that_was_there_for_a_minute_is_not_believed_and_taken_away(story):
    story.tag(1, "alice")
    story.list(NOW + 10)
    story.list(NOW + 40)
    assert story.promoted(1, NOW + 71) == ""
    assert TAG not in story.mlflow.tags("angler", 1)
    story.tag(1, "alice")
    story.list(NOW + 100)
    assert story.promoted(1, NOW + 159) == "alice"


def test_a_tag_from_before_our_start_is_not_believed(story):
    story.tag(1, "alice")
    later = Story(story.mlflow)
    later.list(NOW)
    assert later.promoted(1, NOW + 1) == ""
    later.tag(1, "alice")
    assert later.promoted(1, NOW + 2) == "alice"
    later.rest.close()


def test_what_cannot_be_asked_is_unknown(story):
    story.mlflow.stop()
    try:
        assert story.promoted(1, NOW + 5) == ""
    finally:
        story.mlflow.start()
