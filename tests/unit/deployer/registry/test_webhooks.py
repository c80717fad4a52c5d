"""Where MLflow reaches us, and the one webhook that we keep there, on a real MLflow."""

from __future__ import annotations

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
