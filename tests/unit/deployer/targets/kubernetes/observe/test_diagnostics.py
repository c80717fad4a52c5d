"""Evidence on pods, where the API server hangs, fails, or is only slow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from queue import Queue
from typing import Any

import pytest
from support.run.wait import wait_for

from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import Unavailable
from deployer.targets.kubernetes.client.pods import Pods
from deployer.targets.kubernetes.observe import diagnostics
from deployer.targets.kubernetes.observe.diagnostics import Diagnostics, Evidence

Object = dict[str, Any]


class Cluster(Client):
    """The events and logs of a cluster; those on `held` pods hang until released."""

    def __init__(self) -> None:
        """Connect to nothing."""
        self.events: list[Object] = []
        self.words = ""
        self.error: Exception | None = None
        self.held: set[str] = set()
        self.released = threading.Event()
        self.asked: list[str] = []
        self.pods = Logs(self)

    def list(self, *_: Any, fields: str = "", **__: Any) -> list[Object]:
        name = fields.rpartition("=")[2]
        self.asked.append(name)
        if name in self.held:
            self.released.wait(60)
        if self.error:
            raise self.error
        return [*self.events]


class Logs(Pods):
    """The logs of a cluster, whose pods answer nothing."""

    def __init__(self, cluster: Cluster) -> None:
        """Connect to nothing."""
        self._cluster = cluster

    def logs(self, *_: Any, **__: Any) -> str:
        if self._cluster.error:
            raise self._cluster.error
        return self._cluster.words

    def get(self, *_: Any, **__: Any) -> bytes:
        return b""


class Story:
    """Passes that look at predictors of one pod each."""

    def __init__(self) -> None:
        self.now = 100.0
        self.cluster = Cluster()
        self.woken = Queue[str]()
        self.diagnostics = Diagnostics(self.cluster, self.woken.put, lambda: self.now)

    def ask(self, predictor: str = "a", version: int = 1) -> tuple[Evidence, bool]:
        return self.diagnostics.evidence_of(
            f"{predictor}-prod", predictor, "ns", [pod(predictor, version)]
        )

    def known(self, predictor: str = "a", version: int = 1) -> Evidence:
        """The evidence that its deployment is woken for."""
        assert self.ask(predictor, version)[1]
        assert self.woken.get(timeout=60) == f"{predictor}-prod"
        found, waits = self.ask(predictor, version)
        assert not waits
        return found


def pod(predictor: str, version: int) -> Object:
    ended = {"exitCode": 1, "finishedAt": "2026-01-31T12:00:00Z"}
    server = {"name": "server", "ready": False, "state": {"terminated": ended}}
    meta = {"name": f"{predictor}-pod", "uid": predictor, "resourceVersion": str(version)}
    return {"metadata": meta, "status": {"containerStatuses": [server]}}


@pytest.fixture
def story() -> Iterator[Story]:
    made = Story()
    with closing(made.diagnostics):
        yield made
        made.cluster.released.set()


def test_a_pass_waits_for_evidence_without_being_held_up_and_is_woken(story: Story) -> None:
    story.cluster.held = {"a-pod"}
    story.cluster.events, story.cluster.words = [{"reason": "Killing"}], "it ends"
    for _ in range(3):
        assert story.ask() == (Evidence(), True)
    assert story.known("b") == Evidence([{"reason": "Killing"}], "it ends")
    assert story.ask() == (Evidence(), True)
    story.cluster.released.set()
    assert story.woken.get(timeout=60) == "a-prod"
    assert story.ask() == (Evidence([{"reason": "Killing"}], "it ends"), False)
    assert sorted(story.cluster.asked) == ["a-pod", "b-pod"]


def test_a_pass_goes_without_evidence_that_takes_long(story: Story) -> None:
    story.cluster.held = {"a-pod"}
    assert story.ask() == (Evidence(), True)
    story.now += diagnostics.PATIENCE_SECONDS
    for _ in range(3):
        assert story.ask() == (Evidence(), False)
    story.cluster.released.set()
    assert story.woken.get(timeout=60) == "a-prod"
    assert story.cluster.asked == ["a-pod"]


def test_predictors_whose_evidence_hangs_hold_up_no_other(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story.diagnostics._jobs, "_patience", 0.05)
    names = [f"p{number}" for number in range(diagnostics.PARALLEL)]
    story.cluster.held = {f"{name}-pod" for name in names}
    for name in names:
        assert story.ask(name)[1]
    wait_for(lambda: not story.ask("z")[1], "the evidence on one that does not hang", every=0.01)


def test_evidence_is_renewed_every_few_seconds_and_wakes_only_for_news(story: Story) -> None:
    story.cluster.words = "first"
    assert story.known().log == "first"
    story.cluster.words = "second"
    story.now += diagnostics.FRESH_SECONDS / 2
    assert story.ask() == (Evidence([], "first"), False)
    assert story.ask(version=2) == (Evidence([], "first"), False), "no more often than that"
    story.now += diagnostics.FRESH_SECONDS
    assert story.ask() == (Evidence([], "first"), False), "of a pod that did not change"
    assert story.woken.get(timeout=60) == "a-prod"
    assert story.ask() == (Evidence([], "second"), False)
    story.now += diagnostics.FRESH_SECONDS
    story.ask()
    wait_for(lambda: len(story.cluster.asked) == 3, "the third")
    wait_for(lambda: not story.diagnostics._known["a"].job, "its end")
    assert story.woken.empty()


def test_the_judgement_of_a_pod_that_changed_waits_for_new_evidence(story: Story) -> None:
    story.known()
    story.now += diagnostics.FRESH_SECONDS
    story.cluster.words = "the end"
    story.cluster.held = {"a-pod"}
    assert story.ask(version=2) == (Evidence([]), True)
    story.cluster.released.set()
    assert story.woken.get(timeout=60) == "a-prod"
    assert story.ask(version=2) == (Evidence([], "the end"), False)


def test_what_the_cluster_refuses_is_no_evidence_and_keeps_nobody_waiting(story: Story) -> None:
    story.cluster.error = Unavailable("away")
    assert story.known() == Evidence([])


def test_a_defect_of_ours_is_no_evidence_either(story: Story) -> None:
    story.cluster.error = RuntimeError("a bug")
    assert story.known() == Evidence()


def test_pods_that_are_not_there_yet_are_not_asked_about(story: Story) -> None:
    assert story.diagnostics.evidence_of("a-prod", "a", "ns", []) == (Evidence(), False)
    assert not story.cluster.asked


def test_nothing_is_kept_of_a_predictor_that_is_ready_or_that_nobody_asks_about(
    story: Story,
) -> None:
    story.known("a")
    story.cluster.held = {"b-pod"}
    story.ask("b")
    wait_for(lambda: "b-pod" in story.cluster.asked, "the collection to begin")
    story.diagnostics.forget("a")
    story.diagnostics.forget("b")
    story.cluster.held = set()
    assert story.ask("b", 2)[1], "what was begun for its pods from before is no evidence"
    assert story.woken.get(timeout=60) == "b-prod"
    story.cluster.released.set()
    wait_for(lambda: not story.diagnostics._jobs._jobs, "the end of all")
    assert story.woken.empty()
    assert set(story.diagnostics._known) == {"b"}
    story.now += diagnostics.KEPT_SECONDS
    story.known("c")
    assert set(story.diagnostics._known) == {"c"}


def test_an_end_does_not_wait_for_the_cluster(story: Story) -> None:
    story.cluster.held = {"a-pod"}
    story.ask()
    wait_for(lambda: story.cluster.asked, "the collection to begin")
    story.diagnostics.close()
    assert story.ask() == (Evidence(), True)
