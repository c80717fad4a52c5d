"""What is read of a deployment at the beginning of a pass, in one look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from support.kubernetes.contexts import context_of

from deployer.state.record import Record
from deployer.targets.kubernetes.cache.cache import Cache
from deployer.targets.kubernetes.cache.informer import Informer
from deployer.targets.kubernetes.cache.objects import PREDICTOR, LiveObject, Owner, Packer
from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.client.errors import Unavailable
from deployer.targets.kubernetes.context import ClusterContext
from deployer.targets.kubernetes.records import crd
from deployer.targets.kubernetes.records.records import ClusterRecords

RECORD = Record("angler-prod", "angler", "prod", project="fishing")


@dataclass
class Cached:
    """What a cache shows of one deployment."""

    objects: Sequence[LiveObject]
    platform: str = "p1"
    looks: list[str] = field(default_factory=list)

    def find(self, kind: kinds.Kind, deployment: str) -> LiveObject | None:
        self.looks.append(f"find {deployment}")
        return next((obj for obj in self.objects if obj.kind == kind), None)

    def of(self, namespace: str, deployment: str) -> tuple[LiveObject, ...]:
        self.looks.append(f"of {namespace}/{deployment}")
        return tuple(self.objects)


def stored(record: Record, uid: str = "u-1") -> LiveObject:
    found = crd.manifest(record, "p1", "prod-fishing")
    found["metadata"] |= {"uid": uid, "resourceVersion": "3"}
    return Packer(kinds.MODEL_DEPLOYMENT).pack(found)


def service(predictor: str) -> LiveObject:
    labels = {"schnitzel.dev/deployment": RECORD.id, PREDICTOR: predictor}
    meta = {"name": predictor, "namespace": "prod-fishing", "uid": predictor, "labels": labels}
    return Packer(kinds.SERVICE).pack({"metadata": {**meta, "resourceVersion": "4"}, "spec": {}})


def reading(*objects: LiveObject) -> tuple[ClusterContext, Cached, list[tuple[str, str]]]:
    cache: Any = Cached(objects)
    asked: list[tuple[str, str]] = []

    def namespace(environment: str, project: str) -> str:
        asked.append((environment, project))
        return f"{environment}-{project}"

    records = ClusterRecords(cache, cache, namespace)
    return context_of(cache=cache, records=records), cache, asked


def test_one_look_gives_record_owner_and_objects_by_predictor():
    context, cache, _ = reading(stored(RECORD), service("v1"), service("v2"))
    there = context.read("angler-prod")
    assert there is not None
    assert there.record == RECORD
    assert there.owner == Owner("p1", "angler-prod", "u-1")
    assert there.namespace == "prod-fishing"
    assert [obj.key.name for obj in there.of("v2")] == ["v2"]
    assert cache.looks == ["find angler-prod", "of prod-fishing/angler-prod"]


def test_without_a_record_there_is_nothing_but_what_a_first_pass_would_meet():
    context, _, _ = reading(service("v1"))
    assert context.read("angler-prod") is None
    there = context.read_unstored(RECORD)
    assert there.owner == Owner("p1", "angler-prod", "")
    assert [obj.key.name for obj in there.objects] == ["v1"]


def test_a_record_is_parsed_once_until_its_object_changes():
    context, cache, asked = reading(stored(RECORD))
    first, again = context.read("angler-prod"), context.read("angler-prod")
    assert first is not None
    assert again is not None
    assert first.record is again.record
    assert asked == [("prod", "fishing")]
    cache.objects = [stored(replace(RECORD, note="changed"))]
    changed = context.read("angler-prod")
    assert changed is not None
    assert changed.record.note == "changed"
    cache.objects = [stored(replace(RECORD, note="changed"), uid="u-2")]
    renewed = context.read("angler-prod")
    assert renewed is not None
    assert renewed.owner.uid == "u-2"


@pytest.mark.parametrize(("watched", "seen"), [("prod", ["prod"]), ("", ["prod", "staging"])])
def test_a_namespace_is_seen_by_its_own_watch_or_by_that_of_the_whole_cluster(
    monkeypatch, watched, seen
):
    monkeypatch.setattr(Informer, "raise_if_blind", lambda _: None)
    nobody: Any = None
    cache = Cache(nobody, "p1", [watched])
    for namespace in ("prod", "staging"):
        assert cache.watches(namespace) == (namespace in seen)
        if namespace in seen:
            assert cache.of(namespace, "angler-prod") == ()
        else:
            with pytest.raises(Unavailable, match="not watched"):
                cache.of(namespace, "angler-prod")
    assert cache.all(kinds.SELDON_DEPLOYMENT) == [], "a kind that is not watched has none"
