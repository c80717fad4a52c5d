"""Whom the store tells of what, as objects come, change and go."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.targets.kubernetes.cache.objects import LiveObject, Packer
from deployer.targets.kubernetes.cache.store import Store
from deployer.targets.kubernetes.client import kinds


def packed(deployment: str, version: int = 7) -> LiveObject:
    labels = {"schnitzel.dev/platform": "p", "schnitzel.dev/deployment": deployment}
    obj: dict[str, Any] = {
        "metadata": {
            "name": deployment,
            "namespace": "prod",
            "labels": labels,
            "uid": f"uid-of-{deployment}",
            "resourceVersion": str(version),
        }
    }
    return Packer(kinds.SERVICE).pack(obj)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def deleted() -> list[str]:
    return []


@pytest.fixture
def store(told: list[str], deleted: list[str]) -> Store:
    made = Store(told.append, lambda obj, _: deleted.append(obj.deployment))
    for name in ("a", "b"):
        made.put(packed(name))
    told.clear()
    return made


def test_a_listing_tells_of_what_differs_alone(store, told):
    store.put(packed("a"))
    store.put(packed("b", 8))
    assert told == ["b"]
    store.replace(kinds.SERVICE, "prod", {packed("b").key}, "9")
    assert told == ["b", "a"]


def test_what_a_restored_cluster_may_lack_is_told_before_it_is_listed_anew(store, told, deleted):
    store.forget(kinds.SERVICE, "prod")
    assert sorted(told) == ["a", "b"]
    assert deleted == [], "whether they are gone, nobody knows yet"
    assert store.deployments() == set()
