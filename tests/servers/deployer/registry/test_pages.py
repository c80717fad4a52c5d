"""What a real MLflow's searches promise: order, ties, pages; and what the registry reads of them.

The unit tests of the watermark ask `SimulatedMlflow`, which is held against the real one here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from support.mlflow_searches import Row, SimulatedMlflow, stages
from support.systems.mlflow import MlflowServer

from deployer.errors import NotFound
from deployer.registry import snapshot
from deployer.registry.client import RegistryClient
from deployer.registry.snapshot import OVERLAP_MS, POLL_ROWS, Registry

NOW = 1_800_000_000_000
MODELS = ("Upper", "angler", "of 'quotes' and ü")
EACH = POLL_ROWS + 2
"""Versions of each model, all of the same millisecond: more than three pages of a poll."""


class Timed(MlflowServer):
    """A server whose versions get the timestamps that a test wants."""

    def set_times(self, updated: int, *names: str, above: int = 0) -> None:
        """Set when the versions of models, from a number on, were last updated."""
        with closing(sqlite3.connect(self.folder / "mlflow.db", timeout=60)) as database, database:
            for name in names:
                database.execute(
                    "UPDATE model_versions SET last_updated_time = ?"
                    " WHERE name = ? AND version > ?",
                    (updated, name, above),
                )


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Timed]:
    """Three models with many versions, all of the same millisecond."""
    with closing(Timed(tmp_path_factory.mktemp("mlflow"))) as server:
        server.start()
        for name in MODELS:
            server.model(name)
            for _ in range(EACH):
                server.version(name)
        yield server


@pytest.fixture
def rest(mlflow: Timed) -> Iterator[RegistryClient]:
    mlflow.set_times(NOW, *MODELS)
    with closing(RegistryClient(mlflow.url)) as made:
        yield made


@pytest.fixture
def simulated(rest: RegistryClient) -> SimulatedMlflow:
    """The same versions in memory."""
    found = SimulatedMlflow()
    for row in rest.pages("model-versions/search", "model_versions", {"max_results": 1000}):
        key = row["name"], int(row["version"])
        found.rows[key] = Row(*key, row["last_updated_timestamp"], row["current_stage"])
    return found


@pytest.mark.parametrize("rows_a_page", [7, 1000])
@pytest.mark.parametrize("order", ["last_updated_timestamp DESC", "name ASC"])
def test_the_simulated_searches_answer_as_the_real_ones(
    mlflow, rest, simulated, order, rows_a_page
):
    mlflow.set_times(NOW + 1, "angler", above=3)
    for row in simulated.rows.values():
        if row.name == "angler" and row.number > 3:
            row.updated = NOW + 1
    query = {"max_results": rows_a_page, "order_by": order}

    def read(of: RegistryClient) -> list[tuple[str, str, int]]:
        found = of.pages("model-versions/search", "model_versions", query)
        return [(row["name"], row["version"], row["last_updated_timestamp"]) for row in found]

    assert read(rest) == read(simulated)
    assert len(read(rest)) == len(simulated.rows)


def test_the_simulated_models_have_the_fields_that_the_real_ones_have(rest, simulated):
    def asked(of: RegistryClient, path: str, **query: Any) -> Any:
        with suppress(NotFound):
            return of.get(path, query)
        return None

    for path, query in (
        ("registered-models/get", {"name": "angler"}),
        ("registered-models/get", {"name": "none"}),
        ("model-versions/get", {"name": "angler", "version": "1"}),
        ("model-versions/get", {"name": "angler", "version": "99999"}),
    ):
        real, ours = asked(rest, path, **query), asked(simulated, path, **query)
        assert (real is None) == (ours is None), (path, query)
        for kind in real or ():
            missing = ours[kind].keys() - real[kind].keys() - {"aliases", "source", "run_id"}
            assert not missing, (path, missing)


def test_ties_beyond_a_page_are_all_polled(mlflow, rest):
    registry = Registry(rest, lambda: None)
    mlflow.set_times(NOW - 10 * OVERLAP_MS, *MODELS)
    registry.list_all(1.0)
    for name in MODELS:
        mlflow.stage(name, 2, "Production")
        mlflow.stage(name, EACH - 1, "Staging")
    mlflow.set_times(NOW, *MODELS)  # all of one millisecond, on four pages
    assert registry.poll() == set(MODELS)
    of_the_real = Registry(rest, lambda: None)
    of_the_real.list_all(1.0)
    assert stages(registry) == stages(of_the_real)
    assert set(stages(registry).values()) == {"None", "Production", "Staging"}


@pytest.mark.parametrize(("late", "polled"), [(OVERLAP_MS - 1, True), (OVERLAP_MS + 1, False)])
def test_a_late_commit_within_the_overlap_is_polled_and_later_ones_are_listed(
    mlflow, rest, late, polled
):
    """A transaction takes its timestamp, and commits after others that took theirs later."""
    registry = Registry(rest, lambda: None)
    registry.list_all(1.0)
    mlflow.stage("angler", 1, "Archived" if polled else "Staging")
    mlflow.set_times(NOW, "angler")
    mlflow.set_times(NOW + late, "Upper")
    registry.poll()
    before = stages(registry)["angler", 1]
    mlflow.stage("angler", 1, "Production")
    mlflow.set_times(NOW, "angler")
    assert (registry.poll() == {"angler"}) is polled
    assert stages(registry)["angler", 1] == ("Production" if polled else before)
    registry.list_all(2.0)
    assert stages(registry)["angler", 1] == "Production"


def test_a_listing_of_many_pages_is_whole(mlflow, rest, monkeypatch):
    monkeypatch.setattr(snapshot, "PAGE", 7)
    registry = Registry(rest, lambda: None)
    registry.list_all(1.0)
    assert len(stages(registry)) == len(MODELS) * EACH
