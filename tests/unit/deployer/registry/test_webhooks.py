"""Where MLflow reaches us, and the one webhook that we keep there, on a real MLflow."""

from __future__ import annotations

import json
import socket

import pytest

from deployer.registry import webhooks


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.3.2.1", socket.gethostname()])
def test_an_mlflow_of_this_machine_reaches_us_on_loopback(host):
    url = webhooks.address(None, 8090, f"http://{host}:5000")
    assert url == "http://127.0.0.1:8090/webhooks/mlflow"


@pytest.mark.parametrize("host", ["192.0.2.1", "mlflow.invalid"])
def test_an_mlflow_elsewhere_does_not_reach_loopback(host):
    assert webhooks.address(None, 8090, f"http://{host}:5000") is None
    public = webhooks.address("https://deployer.example/s/", 8090, f"http://{host}:5000")
    assert public == "https://deployer.example/s/webhooks/mlflow"


@pytest.mark.parametrize(
    ("data", "echo"),
    [
        ({"name": "angler", "version": "2", "key": "schnitzel.prod.status", "value": "x"}, True),
        ({"name": "angler", "version": "2", "key": "team", "value": "x"}, True),
        ({"name": "angler", "version": "2", "key": "schnitzel.prod.rollout"}, False),
        ({"name": "angler", "alias": "champion", "version": "2"}, False),
        ({}, False),
    ],
)
def test_a_tag_that_orders_nothing_is_no_reason_to_look(data, echo):
    assert webhooks.is_echo(json.dumps({"data": data}).encode()) is echo
    assert not webhooks.is_echo(b"no JSON")
    assert webhooks.model_of(json.dumps({"data": data}).encode()) == data.get("name")
