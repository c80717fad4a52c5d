"""Pods that fail on a real node, each for one reason, and what is said of them.

With SCHNITZEL_RECORD=1 what the API server says is kept in recorded/, which the fast tests judge.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from support.kubernetes.judged import RECORDED, judge
from support.kubernetes.pod_failures import CASES, Case, objects
from support.kubernetes.provoked import Place, node, trimmed
from support.run.wait import wait_for
from support.systems.cluster import cluster

from deployer.state.predictor import Phase

Make = Callable[..., Place]


@pytest.fixture(scope="module")
def make() -> Iterator[Make]:
    """Namespaces with cases in them, by name; all are gone at the end."""
    there = cluster()
    _, _, base = there.fact("base_image").partition("/")
    registry = there.fact("registry_pull")
    with ExitStack() as stack:

        def made(**cases: Case) -> Place:
            place = Place(there, stack.enter_context(there.namespace()))
            stack.callback(place.close)
            image = f"{registry}/{base}"
            each = [objects(name, case, image, registry) for name, case in cases.items()]
            place.provoke(*(thing for things in each for thing in things))
            return place

        yield made


def test_a_node_that_stops_answering_is_named(make: Make) -> None:
    """A node whose kubelet is this test: it says once that all is well, and then no more."""
    with node(cluster()) as ghost:
        tolerations = [{"operator": "Exists", "effect": "NoSchedule"}]
        pod = {"nodeName": ghost.name, "tolerations": tolerations}
        name = "node-lost"
        place = make(**{name: replace(CASES["ready"], pod=pod)})
        wait_for(lambda: place.read(name)["pods"], "a pod", 30)
        ghost.serve(place, name)
        ready(place, name)

        def told() -> dict[str, Any] | None:
            read = place.read(name)
            seen = judge(name, read)
            lost = seen.reason == "NodeLost" and seen.phase is Phase.UNREADY
            return read if lost and ghost.name in seen.message else None

        keep(name, wait_for(told, "the node's silence to be told", 180, 0.5))


def ready(place: Place, name: str) -> None:
    wait_for(lambda: judge(name, place.read(name)).phase is Phase.READY, f"{name} ready", 120, 0.5)


def keep(name: str, read: dict[str, Any]) -> None:
    if os.environ.get("SCHNITZEL_RECORD"):
        RECORDED.mkdir(exist_ok=True)
        text = json.dumps(trimmed(read), indent=1, sort_keys=True)
        (RECORDED / f"{name}.json").write_text(f"{text}\n")
