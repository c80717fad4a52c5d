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
ANOTHER_RUNTIME = ("seldon", "tfserving")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What says little of a runtime is not asked of each in every run."""
    for item in items:
        chosen = getattr(item, "callspec", None)
        again = chosen is not None and chosen.params.get("place") in ANOTHER_RUNTIME
        if again and item.get_closest_marker("whatever_serves"):
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
