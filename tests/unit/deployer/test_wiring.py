"""The parts of a Deployer as they are put together from platform.yaml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from support.run.ports import free_port

from deployer.config import settings as settings_of
from deployer.config.environment import Environment
from deployer.errors import BrokerUnreachable, NotFound, SettingsInvalid
from deployer.wiring import FACTORIES, wire
from stack.paths import Layout


def platform(folder: Path, kubeconfig: Path, *names: str) -> None:
    gateway = {"name": "g", "namespace": "g", "url": "http://models.example"}
    cluster = {"kubeconfig": str(kubeconfig), "gateway": gateway, "server_image": "r.example/s:1"}
    on = {"target": "kubernetes"}
    written = {
        "environments": {
            "dev": {"alias": "dev"},
            "staging": {"alias": "staging", "cluster": "two", **on},
            "prod": {"alias": "champion", "cluster": "one", **on},
            "audit": {"alias": "audit", "cluster": "one", **on},
        },
        "clusters": dict.fromkeys(("one", "two"), cluster),
    }
    written["environments"] = {name: written["environments"][name] for name in names}
    (folder / "platform.yaml").write_text(json.dumps(written))  # JSON is YAML, without anchors


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n"
        f"clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{free_port()}'}}}}]\n"
    )
    return path


def test_each_broker_is_known_by_its_name_and_its_url_is_read_when_it_is_used(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("SCHNITZEL_HOME", str(tmp_path))
    monkeypatch.setenv("SCHNITZEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BROKER_URL", f"amqp://u:hunter2@127.0.0.1:{free_port()}/")
    (tmp_path / "platform.yaml").write_text("brokers: {team: {url_ref: env:BROKER_URL}}\n")
    wiring = wire(settings_of.load(), Layout(tmp_path), lambda _: None)
    context = wiring.context
    try:
        with pytest.raises(BrokerUnreachable) as away:
            context.queues.brokers.get("team").depths(["a"])
        assert "hunter2" not in away.value.message + away.value.hint
        monkeypatch.delenv("BROKER_URL")
        with pytest.raises(SettingsInvalid, match="BROKER_URL, which is not set"):
            context.queues.brokers.get("team").depths(["a"])
        with pytest.raises(NotFound, match="no broker 'other'"):
            context.queues.brokers.get("other")
    finally:
        context.queues.close()
        for target in context.each_target:
            target.close()
        context.tags.close()
        wiring.rest.close()
        wiring.database.close()


def test_each_kind_of_target_that_an_environment_may_name_has_a_factory():
    assert set(get_args(Environment.model_fields["target"].annotation)) == set(FACTORIES)


@pytest.mark.parametrize(
    ("names", "targets"),
    [
        (("dev",), {"dev": "local"}),
        (("prod",), {"prod": "one"}),
        (
            ("dev", "staging", "prod", "audit"),
            {"dev": "local", "staging": "two", "prod": "one", "audit": "one"},
        ),
    ],
)
def test_each_environment_has_the_target_of_its_kind_once_for_each_place(
    tmp_path, monkeypatch, kubeconfig, names, targets
):
    monkeypatch.setenv("SCHNITZEL_HOME", str(tmp_path))
    monkeypatch.setenv("SCHNITZEL_CACHE", str(tmp_path / "cache"))
    platform(tmp_path, kubeconfig, *names)
    wiring = wire(settings_of.load(), Layout(tmp_path), lambda _: None)
    context = wiring.context
    try:
        assert {name: target.name for name, target in context.targets.items()} == targets
        assert len(context.each_target) == len(set(targets.values()))
        assert list(wiring.clusters) == sorted(set(targets.values()) - {"local"})
    finally:
        for target in context.each_target:
            target.close()
        context.tags.close()
        wiring.rest.close()
        wiring.database.close()
