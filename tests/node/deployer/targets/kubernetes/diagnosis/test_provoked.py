"""Pods that fail on a real node, each for one reason, and what is said of them.

With SCHNITZEL_RECORD=1 what the API server says is kept in recorded/, which the fast tests judge.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.kubernetes.judged import RECORDED, judge
from support.kubernetes.pod_failures import CASES, PATIENT, Case, objects
from support.kubernetes.provoked import Place, trimmed
from support.run.wait import wait_for
from support.systems.cluster import cluster

from deployer.state.observed import ObservedPredictor
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


@pytest.fixture(scope="module")
def places(make: Make) -> dict[str, Place]:
    """Where each case is, all provoked at the same time: alone if it has something beside it.

    A case to be fixed is there twice, the second time as "fixed NAME".
    """
    shared = make(**{name: case for name, case in CASES.items() if not case.beside})
    alone = {name: make(**{name: case}) for name, case in CASES.items() if case.beside}
    fixed = {f"fixed {name}": make(**{name: CASES[name]}) for name in PATIENT}
    return dict.fromkeys(CASES, shared) | alone | fixed


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_said_in_one_sentence(name: str, places: dict[str, Place]) -> None:
    case, place = CASES[name], places[name]
    others: list[ObservedPredictor] = []

    def told() -> tuple[ObservedPredictor, dict[str, Any]] | None:
        read = place.read(name)
        seen = judge(name, read)
        expected = (case.phase, case.reason, case.transient)
        if (seen.phase, seen.reason, seen.transient) == expected and case.says in seen.message:
            return seen, read
        others.append(seen)
        return None

    try:
        seen, read = wait_for(told, f"{name} to be {case.phase} for {case.reason}", 120, 0.5)
    except AssertionError as error:
        error.add_note(f"what was seen instead: {others[-1]}")
        raise
    assert "\n" not in seen.message
    assert seen.message.endswith(".") or not seen.message
    keep(name, read)


@pytest.mark.parametrize("name", PATIENT)
def test_what_is_waited_for_goes_on_by_itself_once_it_is_mended(
    name: str, places: dict[str, Place]
) -> None:
    place = places[f"fixed {name}"]
    wait_for(lambda: judge(name, place.read(name)).reason == CASES[name].reason, f"{name}", 60, 0.5)
    place.provoke(PATIENT[name])
    ready(place, name)


def test_an_evicted_pod_is_told_of_until_another_one_serves(make: Make) -> None:
    place = make(evicted=CASES["ready"])
    ready(place, "evicted")
    (pod,) = place.read("evicted")["pods"]
    place.evict(pod["metadata"]["name"])

    def told() -> dict[str, Any] | None:
        read = place.read("evicted")
        return read if judge("evicted", read).reason == "Evicted" else None

    keep("evicted", wait_for(told, "the eviction to be seen", 30, 0.01))
    ready(place, "evicted")


def ready(place: Place, name: str) -> None:
    wait_for(lambda: judge(name, place.read(name)).phase is Phase.READY, f"{name} ready", 120, 0.5)


def keep(name: str, read: dict[str, Any]) -> None:
    if os.environ.get("SCHNITZEL_RECORD"):
        RECORDED.mkdir(exist_ok=True)
        text = json.dumps(trimmed(read), indent=1, sort_keys=True)
        (RECORDED / f"{name}.json").write_text(f"{text}\n")
