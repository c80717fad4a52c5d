"""Pods are told their share until they have it, and scaled as decided."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from deployer.spec.model import ServingSpec
from deployer.state.deployment import Deployment, WeightedPredictor
from deployer.state.predictor import Predictor, Role
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.cache.objects import (
    DEPLOYMENT_ID,
    PLATFORM,
    PREDICTOR,
    LiveObject,
    Packer,
)
from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.client.errors import Conflict
from deployer.targets.kubernetes.queue.consumers import AGAIN_SECONDS, Consumers
from deployer.targets.kubernetes.render import consumption

Share = tuple[float, float]


def predictor(name: str, **spec: Any) -> Predictor:
    whole = ServingSpec.model_validate({"runtime": "queue"} | spec)
    return Predictor(name, VersionId("angler", 1, 1), Role.CHAMPION, "d", "s", whole)


def deployment(*weighted: tuple[Predictor, int], **more: Any) -> Deployment:
    pairs = tuple(WeightedPredictor(one, weight) for one, weight in weighted)
    return Deployment("angler--prod", "angler", "prod", pairs, **more)


def live(kind: kinds.Kind, name: str, of: str = "", **body: Any) -> LiveObject:
    labels = {PLATFORM: "p", DEPLOYMENT_ID: "angler--prod"} | ({PREDICTOR: of} if of else {})
    meta = {"name": name, "namespace": "prod", "uid": f"uid-{name}", "resourceVersion": "1"}
    head = {"apiVersion": kind.api_version, "kind": kind.name}
    return Packer(kind).pack({**head, "metadata": {**meta, "labels": labels}, **body})


def pod(name: str, of: str, container: str = "c-1") -> LiveObject:
    running = {"containerStatuses": [{"state": {"running": {}}, "containerID": container}]}
    return live(kinds.POD, name, of, status=running)


def shares_of(wanted: Deployment) -> LiveObject:
    found = consumption.manifest(wanted, "prod", "p")
    assert found
    return live(kinds.CONFIG_MAP, wanted.id, data=found["data"])


@dataclass
class Cluster:
    """Pods that have taken up shares, and what is written to the cluster."""

    taken: dict[str, Share] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    written: list[tuple[str, str, Any]] = field(default_factory=list)
    now: float = 0.0
    changed_meanwhile: bool = False

    @property
    def pods(self) -> Cluster:
        return self

    def get(self, pod: dict[str, Any], _: int, __: str) -> bytes:
        name = pod["metadata"]["name"]
        self.asked.append(name)
        if name not in self.taken:
            return b""
        said = {"share": self.taken[name], "consumes": True, "in_flight": 0}
        return json.dumps(said | {"reason": "", "message": "", "since": 1}).encode()

    def json_patch(self, kind: kinds.Kind, _: str, name: str, operations: list[Any]) -> None:
        uid, change = operations
        assert uid["value"] == f"uid-{name}"
        if self.changed_meanwhile:
            raise Conflict("it is another one")
        self.written.append((f"{kind.name} {name}", change["path"], change["value"]))

    def consumers(self) -> Consumers:
        client: Any = self
        return Consumers(client, lambda: self.now)


ONE, TWO = predictor("one"), predictor("two")
STEP = deployment((ONE, 90), (TWO, 10))


def test_the_shares_are_the_weights_side_by_side():
    assert consumption.wanted(shares_of(STEP).object()) == {"one": (0, 0.9), "two": (0.9, 1)}
    http = Predictor("h", VersionId("m", 1, 1), Role.CHAMPION, "d", "s", ServingSpec())
    assert consumption.manifest(deployment((http, 100)), "prod", "p") is None
    assert consumption.wanted({"data": {"one": "[0", "two": "[1]"}}) == {}


def test_a_pod_that_has_another_share_is_told_and_then_told_again():
    cluster = Cluster({"a": (0, 1)})
    objects = [shares_of(STEP), pod("a", "one", "c-a"), pod("b", "two", "c-b")]
    consumers = cluster.consumers()
    consumers.apply(STEP, objects)
    assert [(what, path) for what, path, _ in cluster.written] == [
        ("Pod a", "/metadata/annotations/schnitzel.dev~1share"),
        ("Pod b", "/metadata/annotations/schnitzel.dev~1share"),
    ]
    consumers.apply(STEP, objects)
    assert len(cluster.written) == 2
    cluster.now = AGAIN_SECONDS
    consumers.apply(STEP, objects)
    assert len(cluster.written) == 4


def test_a_pod_with_the_wanted_share_is_neither_told_nor_asked_again():
    cluster = Cluster({"a": (0, 0.9)})
    consumers, a = cluster.consumers(), pod("a", "one")
    objects = [shares_of(STEP), a]
    assert consumers.consumed(objects, "one", [a.object()]) == (90, 90)
    assert consumers.consumed(objects, "one", [a.object()]) == (90, 90)
    consumers.apply(STEP, objects)
    assert (cluster.asked, cluster.written) == (["a"], [])
    restarted = pod("a", "one", "c-2")
    consumers.consumed([objects[0], restarted], "one", [restarted.object()])
    assert cluster.asked == ["a", "a"]


def test_what_pods_have_taken_up_is_what_counts():
    cluster = Cluster({"a": (0, 1), "b": (0, 0.9)})
    consumers, objects = cluster.consumers(), [shares_of(STEP)]
    pods = [pod(name, "one", name).object() for name in ("a", "b")]
    assert consumers.consumed(objects, "one", pods) == (95, 90)
    cluster.taken["a"] = (0, 0.9)
    assert consumers.consumed(objects, "one", pods) == (90, 90)


def test_only_one_pod_that_does_not_answer_is_waited_for():
    cluster = Cluster()
    pods = [pod(name, "one", name).object() for name in "abc"]
    assert cluster.consumers().consumed([shares_of(STEP)], "one", pods) == (0, 90)
    assert cluster.asked == ["a"]


def test_a_pod_that_does_not_answer_any_more_has_the_share_that_it_had():
    cluster, silent = Cluster({"a": (0, 1)}), deployment((ONE, 0), (TWO, 100))
    consumers, a = cluster.consumers(), pod("a", "one").object()
    assert consumers.consumed([shares_of(deployment((ONE, 100)))], "one", [a]) == (100, 100)
    cluster.taken.clear()
    assert consumers.consumed([shares_of(silent)], "one", [a]) == (100, 0)
    assert consumers.consumed([shares_of(silent)], "one", [a]) == (100, 0)
    cluster.taken["a"] = (0, 0)
    assert consumers.consumed([shares_of(silent)], "one", [a]) == (0, 0)


def test_without_a_pod_that_runs_a_predictor_takes_what_it_is_to_take():
    waiting = live(kinds.POD, "a", "one", status={}).object()
    for pods in ([], [waiting]):
        assert Cluster().consumers().consumed([shares_of(STEP)], "one", pods) == (90, 90)
    assert Cluster().consumers().consumed([], "one", []) == (0, 0)


@pytest.mark.parametrize(
    ("replicas", "least", "decided", "expected"),
    [
        (1, 0, 3, 3),
        (3, 0, 0, 0),
        (2, 1, 2, None),
        (2, 1, None, None),  # nothing is decided: it keeps what it has
        (1, 2, None, 2),
        (0, 0, None, 1),  # a new one is asked its example, which takes a pod
    ],
)
def test_replicas_are_as_decided(replicas, least, decided, expected):
    scaled = predictor("one", autoscaling={"min": least, "max": 4, "messages": 5})
    numbers = {} if decided is None else {"one": decided}
    cluster = Cluster()
    owner = live(kinds.DEPLOYMENT, "one", "one", spec={"replicas": replicas})
    cluster.consumers().apply(deployment((scaled, 100), replicas=numbers), [owner])
    written = [] if expected is None else [("Deployment one", "/spec/replicas", expected)]
    assert cluster.written == written


def test_the_replicas_of_others_are_their_own_affair():
    cluster = Cluster()
    owner = live(kinds.DEPLOYMENT, "one", "one", spec={"replicas": 7})
    cluster.consumers().apply(deployment((ONE, 100)), [owner])
    assert cluster.written == []


def test_an_object_that_is_another_one_by_now_is_left_for_the_next_pass():
    cluster = Cluster(changed_meanwhile=True)
    cluster.consumers().apply(STEP, [shares_of(STEP), pod("a", "one")])
    assert cluster.written == []
