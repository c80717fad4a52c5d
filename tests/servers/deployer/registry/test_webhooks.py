"""Where MLflow reaches us, and the one webhook that we keep there, on a real MLflow."""

from __future__ import annotations

import pytest
from support.run.ports import free_port
from support.systems.mlflow import MlflowServer

from deployer.registry import webhooks
from deployer.registry.client import RegistryClient


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    server = MlflowServer(tmp_path_factory.mktemp("mlflow")).start()
    yield server
    server.close()


@pytest.fixture
def rest(mlflow):
    made = RegistryClient(mlflow.url)
    yield made
    made.close()


def standing(mlflow):
    listed = mlflow.get("webhooks").get("webhooks", [])
    return [(w["webhook_id"], w["name"], w["url"], w["status"]) for w in listed]


def test_there_is_one_webhook_of_each_platform_and_it_stays(mlflow, rest):
    url = "http://127.0.0.1:8090/webhooks/mlflow"
    other = webhooks.Subscription(rest, url, "another secret", "another")
    assert other.ensure()
    ours = webhooks.Subscription(rest, url, "secret", "ours")
    assert ours.ensure()
    before = standing(mlflow)
    assert {name for _, name, _, _ in before} == {"schnitzel-another", "schnitzel-ours"}
    assert ours.ensure()
    assert standing(mlflow) == before

    again = webhooks.Subscription(rest, "http://127.0.0.1:9999/webhooks/mlflow", "secret", "ours")
    assert again.ensure()
    now = {name: (number, where) for number, name, where, _ in standing(mlflow)}
    assert len(standing(mlflow)) == 2
    assert now["schnitzel-ours"][1].startswith("http://127.0.0.1:9999/")

    mlflow.delete(f"webhooks/{now['schnitzel-ours'][0]}")
    assert again.ensure(), "one that somebody deleted is made again"
    assert len(standing(mlflow)) == 2


def test_where_it_cannot_be_the_reason_is_said_once(mlflow, rest, caplog):
    unreachable = webhooks.Subscription(rest, None, "secret", "far")
    nobody = RegistryClient(f"http://127.0.0.1:{free_port()}")
    away = webhooks.Subscription(nobody, "http://127.0.0.1:1/", "secret", "far")
    for _ in range(3):
        assert not unreachable.ensure()
        assert not away.ensure()
    nobody.close()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "deployer.public_url" in said[0]
