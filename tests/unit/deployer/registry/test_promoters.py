"""Claims of promotions, where MLflow hangs or fails, and where promotions follow fast."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest
from support.mlflow_searches import SimulatedMlflow
from support.run.wait import wait_for

from deployer.desired import promotions
from deployer.errors import RegistryUnreachable
from deployer.registry.promoters import MOST_SECONDS, Promoters
from deployer.registry.snapshot import Registry
from deployer.state.record import Record
from deployer.state.registry import Selector

KEY = "schnitzel.prod.promoted_by"
SELECTOR = Selector(stage="Production", alias="champion")


class Mlflow(SimulatedMlflow):
    """MLflow whose deletions hang or fail; reads of the registry go on."""

    def __init__(self) -> None:
        """Connect to nothing."""
        super().__init__()
        self.free = threading.Event()
        self.free.set()
        self.error: Exception | None = None
        self.reads = 0

    def get(
        self, path: str, params: Mapping[str, Any] | None = None, keys: Collection[str] = ()
    ) -> dict[str, Any]:
        self.reads += 1
        return super().get(path, params, keys)

    def delete(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.free.wait(60)
        if self.error:
            raise self.error
        return super().delete(path, body)


class Story:
    """A registry, and the passes of a deployment that see its promotions."""

    def __init__(self) -> None:
        self.mlflow = Mlflow()
        self.now = 1000.0
        for number in (1, 2, 3):
            self.mlflow.commit("angler", number)
        self.registry = Registry(self.mlflow, lambda: None)
        self.promoters = Promoters(self.registry, lambda: self.now)
        self.saved = Record("angler-prod", "angler", "prod")
        self.list()

    def restart(self) -> None:
        """As after a SIGKILL: all is forgotten but the record."""
        self.promoters.close()
        self.registry = Registry(self.mlflow, lambda: None)
        self.promoters = Promoters(self.registry, lambda: self.now)
        self.list()

    def list(self) -> None:
        self.registry.list_all(self.now)
        self.promoters.note(self.registry.snapshot, self.now)

    def tag(self, number: int, who: str) -> None:
        self.mlflow.tags.setdefault(("angler", number), {})[KEY] = who

    def stage(self, number: int, name: str = "Production") -> None:
        self.mlflow.now += 1000
        self.mlflow.commit("angler", number, name)
        self.registry.poll()

    def alias(self, number: int) -> None:
        self.mlflow.aliases["angler"] = {"champion": number}
        self.registry.refresh("angler")

    def decide(self) -> Record:
        snapshot = self.registry.snapshot
        assert snapshot
        seen = promotions.update(self.saved, snapshot, SELECTOR, self.now)
        return self.promoters.sign(seen, self.saved.next_sequence, snapshot, self.now)

    def save(self, record: Record) -> str:
        """Save the record of a pass; returns who claims the promotion that won."""
        sequence, self.saved = self.saved.next_sequence, record
        self.promoters.settle(record, sequence, self.now)
        won = promotions.winner(record.promotions)
        return won.by if won else ""

    def look(self) -> str:
        """A pass."""
        return self.save(self.decide())

    def settled(self) -> None:
        """Wait until every tag that was used is deleted."""
        wait_for(lambda: not self.promoters._used, "the tags to be deleted", every=0.002)

    def tags(self) -> dict[int, str]:
        return {n: tags[KEY] for (_, n), tags in self.mlflow.tags.items() if KEY in tags}


@pytest.fixture
def story() -> Iterator[Story]:
    made = Story()
    with closing(made.promoters):
        yield made
        made.mlflow.free.set()


def test_a_claim_comes_with_the_promotion_and_a_pass_asks_mlflow_nothing(story: Story) -> None:
    story.mlflow.free.clear()
    for number, moves in ((1, story.alias), (2, story.stage), (3, story.alias)):
        story.tag(number, f"user{number}")
        moves(number)
        reads = story.mlflow.reads
        decided = story.decide()
        assert story.mlflow.reads == reads
        assert story.save(decided) == f"user{number}", "although MLflow hangs"
    story.mlflow.free.set()
    story.settled()
    assert story.tags() == {}


def test_a_tag_signs_one_promotion_also_while_it_cannot_be_deleted(story: Story) -> None:
    story.mlflow.free.clear()
    story.tag(1, "ada")
    story.alias(1)
    assert story.look() == "ada"
    story.alias(2)
    assert story.look() == ""
    story.alias(1)  # by the mouse
    assert story.look() == ""
    story.mlflow.free.set()
    story.settled()
    story.alias(2)
    story.alias(1)
    assert story.look() == "", "the row that was read before the deletion is no claim"


def test_a_second_promotion_by_the_same_user_is_theirs_once_the_first_tag_is_gone(
    story: Story,
) -> None:
    for _ in range(3):
        story.tag(1, "ada")
        story.alias(1)
        assert story.look() == "ada"
        story.settled()
        story.alias(2)
        assert story.look() == ""


def test_a_claim_that_came_before_the_deletion_is_the_next_ones_and_stays(story: Story) -> None:
    story.mlflow.free.clear()
    story.tag(2, "cyd")
    story.alias(2)
    assert story.look() == "cyd"  # the deletion of this tag hangs, and that of the next one waits
    story.tag(1, "ada")
    story.alias(1)
    assert story.look() == "ada"
    story.alias(2)
    story.look()
    story.tag(1, "bob")
    story.mlflow.free.set()
    story.settled()
    assert story.tags() == {1: "bob"}
    story.alias(1)
    assert story.look() == "bob"
    story.settled()
    assert story.tags() == {}


def test_a_pass_that_does_not_save_loses_no_claim(story: Story) -> None:
    story.tag(1, "ada")
    story.alias(1)
    for _ in range(3):
        assert story.decide().promotions[-1].by == "ada"
    assert story.tags() == {1: "ada"}, "nothing is deleted before the record is saved"
    assert story.look() == "ada"
    story.settled()
    assert story.tags() == {}


def test_a_claim_that_was_saved_outlives_a_kill_and_its_tag_does_not(story: Story) -> None:
    story.mlflow.free.clear()
    story.tag(1, "ada")
    story.alias(1)
    assert story.look() == "ada"
    story.restart()
    story.mlflow.free.set()
    assert story.look() == "ada"
    story.settled()
    assert story.tags() == {}
    story.tag(1, "ada")
    story.alias(2)
    story.look()
    story.alias(1)
    assert story.look() == "ada"


def test_a_tag_from_before_the_start_signs_nothing_and_is_deleted(story: Story) -> None:
    story.tag(1, "ada")
    story.restart()
    story.alias(1)
    assert story.look() == ""
    story.settled()
    assert story.tags() == {}


def test_an_old_tag_signs_nothing_and_is_deleted(story: Story) -> None:
    story.tag(1, "ada")
    story.now += 1
    story.list()
    story.now += MOST_SECONDS + 1
    story.list()
    story.alias(1)
    assert story.look() == ""
    story.settled()
    assert story.tags() == {}


def test_an_alias_and_a_stage_of_one_command_have_one_promoter(story: Story) -> None:
    story.tag(2, "ada")
    story.alias(2)
    assert story.look() == "ada"
    story.settled()
    story.stage(2)
    assert story.look() == "ada"
    story.now += 500
    story.stage(2, "None")
    story.look()
    story.stage(2)
    assert story.look() == ""


def test_a_deletion_that_fails_is_tried_again_with_the_listings(story: Story) -> None:
    story.mlflow.error = RegistryUnreachable("MLflow refuses.")
    story.tag(1, "ada")
    story.alias(1)
    assert story.look() == "ada"
    jobs = story.promoters._jobs._jobs
    wait_for(lambda: [job.phase for job in jobs.values()] == ["failed"], "the refusal")
    story.mlflow.error = None
    story.now += 30
    story.list()
    story.settled()
    assert story.tags() == {}
    wait_for(lambda: not jobs, "nothing to be left in memory")


def test_a_tag_that_somebody_else_deleted_is_forgotten(story: Story) -> None:
    story.mlflow.error = RegistryUnreachable("MLflow refuses.")
    story.tag(1, "ada")
    story.alias(1)
    story.look()
    story.mlflow.tags.clear()
    story.now += 30
    story.list()
    assert not story.promoters._used


def test_a_tag_of_another_environment_says_nothing_here(story: Story) -> None:
    story.mlflow.tags["angler", 1] = {"schnitzel.staging.promoted_by": "ada"}
    story.alias(1)
    assert story.look() == ""
    assert story.mlflow.tags["angler", 1]


def test_what_a_tag_says_is_shown_on_one_short_line(story: Story) -> None:
    story.tag(1, "bob\n" + "x" * 500)
    story.alias(1)
    assert story.look() == "bob" + "x" * 61
