"""Every place that models are served at; what is true of one is true of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import cluster
from cluster_place import ClusterPlace
from local_place import LocalPlace
from places import Place
from seldon_contract_place import SeldonPlace
from tfserving_place import TfservingPlace

PLACES = {
    "local": LocalPlace,
    "kubernetes": lambda home: ClusterPlace(cluster(), home),
    "seldon": lambda home: SeldonPlace(cluster(), home),
    "tfserving": lambda home: TfservingPlace(cluster(), home),
}
MARKS = {name: [pytest.mark.cluster] for name in PLACES if name != "local"}
SAME = (
    "test_the_record_is_kept_over_a_restart",
    "test_killed_at_each_turn_of_a_rollout_it_goes_on",
    "test_an_empty_registry_takes_nothing_away",
    "test_another_registry_in_the_old_ones_place_changes_nothing",
)
LONG = {
    "seldon": SAME,
    "tfserving": (*SAME, "test_what_is_changed_by_hand_while_no_deployer_runs_is_put_back"),
}
"""What is told least of a place, and is run there with the long ones only."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is long in one place alone."""
    for item in items:
        name = getattr(item, "originalname", "")
        where = getattr(item, "callspec", None)
        if where and name in LONG.get(where.params.get("place"), ()):
            item.add_marker(pytest.mark.long)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failing test shows the logs of the place where it failed."""
    outcome: Any = yield
    report = outcome.get_result()
    place = getattr(item, "funcargs", {}).get("place")
    if report.when == "call" and report.failed and isinstance(place, Place):
        report.sections.append(("logs of the platform", place.platform.logs()))


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=MARKS.get(name, ())) for name in PLACES]
)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A place with a Deployer, and the module's MODELS in its registry."""
    home: Path = tmp_path_factory.mktemp(request.param) / "home"
    made = PLACES[request.param](home)
    try:
        made.models(request.module.MODELS)
        made.start()
        yield made
    finally:
        made.end()
