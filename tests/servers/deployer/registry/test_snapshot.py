"""The registry, its marker and its claims, on a real MLflow."""

from __future__ import annotations

import shutil

import pytest
from support.faults.proxy import FaultyProxy
from support.systems.mlflow import MlflowServer

from deployer.errors import RegistryFrozen, RegistryUnreachable
from deployer.registry.client import RegistryClient
from deployer.registry.identity import RegistryIdentity
from deployer.registry.snapshot import Registry, RegistryRolledBack
from deployer.store.records import Records
from deployer.store.sqlite import Database

VERSIONS = (
    "model-versions/search",
    "model_versions",
    {"max_results": 1000, "order_by": "name ASC"},
)


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    server = MlflowServer(tmp_path_factory.mktemp("mlflow")).start()
    yield server
    server.close()


@pytest.fixture
def records(tmp_path):
    database = Database(tmp_path / "deployer.db")
    yield Records(database)
    database.close()


@pytest.fixture
def registry(mlflow):
    rest = RegistryClient(mlflow.url)
    yield Registry(rest, lambda: None)
    rest.close()


def test_a_listing_shows_stages_aliases_and_hostile_names(mlflow, registry):
    for name in ("Ünïcode 'quoted' \"twice\"", "a" * 256, "lower", "Lower"):
        mlflow.model(name)
        mlflow.version(name)
        mlflow.stage(name, 1, "Production")
        mlflow.alias(name, "champion", 1)
        registry.list_all(1.0)
        [version] = registry.snapshot.models[name].versions
        assert (version.stage, version.aliases) == ("Production", {"champion"})
        assert registry.refresh(name) == set()


def test_a_poll_sees_a_stage_change_and_a_hint_sees_an_alias(mlflow, registry):
    mlflow.model("polled")
    for _ in range(2):
        mlflow.version("polled")
    registry.list_all(1.0)
    mlflow.stage("polled", 1, "Production")
    assert registry.poll() == {"polled"}
    assert registry.snapshot.models["polled"].versions[0].stage == "Production"
    assert registry.poll() == set()
    mlflow.alias("polled", "champion", 2)
    assert registry.poll() == set(), "an alias moves no timestamp"
    assert registry.refresh("polled") == {"polled"}
    assert registry.snapshot.models["polled"].versions[1].aliases == {"champion"}
    assert registry.snapshot.listed_at == 1.0


def test_a_poll_reads_the_aliases_of_a_model_that_no_listing_has_shown(mlflow, registry):
    registry.list_all(1.0)
    mlflow.model("polled anew")
    for _ in range(2):
        mlflow.version("polled anew")
    mlflow.alias("polled anew", "champion", 1)
    mlflow.stage("polled anew", 2, "Production")
    assert registry.poll() == {"polled anew"}
    found = registry.snapshot.models["polled anew"].versions
    assert [(v.stage, v.aliases) for v in found] == [
        ("None", {"champion"}),
        ("Production", frozenset()),
    ]
    assert registry.poll() == set()


def test_a_recreated_model_is_another_identity(mlflow, registry):
    mlflow.model("again")
    mlflow.version("again")
    registry.list_all(1.0)
    first = registry.snapshot.models["again"].versions[0].id
    mlflow.delete("registered-models/delete", name="again")
    mlflow.model("again")
    mlflow.version("again")
    registry.list_all(2.0)
    second = registry.snapshot.models["again"].versions[0].id
    assert second.number == first.number == 1
    assert second != first


def test_a_deleted_version_goes_with_the_next_listing_only(mlflow, registry):
    mlflow.model("deleted")
    for _ in range(2):
        mlflow.version("deleted")
    registry.list_all(1.0)
    mlflow.delete("model-versions/delete", name="deleted", version="2")
    registry.poll()
    assert len(registry.snapshot.models["deleted"].versions) == 2
    assert "deleted" in registry.list_all(2.0)
    assert len(registry.snapshot.models["deleted"].versions) == 1


@pytest.fixture
def proxy(mlflow):
    made = FaultyProxy(mlflow.url)
    yield made
    made.close()


@pytest.fixture
def doubts():
    return {}


@pytest.fixture
def doubting(proxy, doubts):
    rest = RegistryClient(proxy.url)
    yield Registry(rest, lambda: None, lambda _: doubts)
    rest.close()


@pytest.mark.parametrize("mode", ["empty", "half"])
def test_what_a_listing_lacks_is_asked_for_by_name(mlflow, proxy, doubting, doubts, mode):
    name = f"zz {mode}"
    mlflow.model(name)
    for _ in range(3):
        mlflow.version(name)
    mlflow.stage(name, 1, "Production")
    mlflow.alias(name, "champion", 2)
    mlflow.delete("model-versions/delete", name=name, version="3")
    never = f"never {mode}"
    doubts |= {"": {1}, name: {1, 2, 3}, never: {1}}  # MLflow refuses the first as no name at all
    proxy.mode = mode
    doubting.list_all(1.0)
    shown = doubting.snapshot
    assert [(v.id.number, v.stage, v.aliases) for v in shown.models[name].versions] == [
        (1, "Production", frozenset()),
        (2, "None", {"champion"}),
    ]
    assert never not in shown.models
    assert shown.asked == {name, never}
    doubting.poll()
    assert doubting.snapshot.asked == {name, never}, "a poll takes no evidence away"


def test_a_version_whose_model_a_listing_lacks_is_not_shown_without_its_aliases(
    mlflow, registry, proxy, doubting
):
    name, many = "zzz last by name", 2 * len(list(registry.rest.pages(*VERSIONS)))
    mlflow.model(name)
    for _ in range(many):
        mlflow.version(name)
    for number in (1, many):
        mlflow.alias(name, f"alias-{number}", number)
    registry.list_all(1.0)
    proxy.mode = "half"
    assert name in {row["name"] for row in doubting.rest.pages(*VERSIONS)}
    doubting.list_all(1.0)
    whole, half = registry.snapshot.models, doubting.snapshot.models
    assert 0 < len(half) < len(whole)
    for model in half.values():
        assert all(version in whole[model.name].versions for version in model.versions)


def test_platforms_claim_environments_and_only_one_holds_each(mlflow, records, tmp_path):
    rest = RegistryClient(mlflow.url)
    first = RegistryIdentity(rest, records, "first")
    other_database = Database(tmp_path / "other.db")
    second = RegistryIdentity(rest, Records(other_database), "second")
    first.check()
    second.check()
    assert first.claim(["prod", "staging"]) == {}
    assert first.claim(["prod"]) == {}
    assert second.claim(["prod", "team-b"]) == {"prod": "first"}
    other_database.close()
    rest.close()


def test_a_lost_or_restored_registry_freezes_until_a_person_accepts(tmp_path, records):
    server = MlflowServer(tmp_path / "mlflow").start()
    rest = RegistryClient(server.url)
    marker = RegistryIdentity(rest, records, "us")
    registry = Registry(rest, marker.check)
    server.model("angler")
    server.version("angler")
    registry.list_all(1.0)
    server.stop()
    server.copy(tmp_path / "backup")
    server.start()
    server.stage("angler", 1, "Production")
    marker.advance()
    registry.poll()

    server.stop()
    with pytest.raises(RegistryUnreachable):
        registry.list_all(2.0)

    shutil.rmtree(server.folder)
    shutil.copytree(tmp_path / "backup", server.folder)
    server.start()
    before = registry.snapshot
    with pytest.raises(RegistryRolledBack):
        registry.list_all(3.0)
    with pytest.raises(RegistryFrozen, match="went back from 2 to 1"):
        marker.check()
    with pytest.raises(RegistryFrozen):
        Registry(rest, marker.check).list_all(3.0)
    assert registry.snapshot is before

    marker.accept()
    registry.forget()
    registry.list_all(4.0)
    assert registry.snapshot.models["angler"].versions[0].stage == "None"

    server.stop()
    shutil.rmtree(server.folder)
    server.start()
    with pytest.raises(RegistryFrozen, match="no longer carries"):
        registry.list_all(5.0)
    assert "angler" in registry.snapshot.models
    rest.close()
    server.close()
