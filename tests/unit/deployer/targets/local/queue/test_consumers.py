"""What a model server of this machine is told of its queue, and how its broker is found."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.world import World

from deployer.config.services import Broker
from deployer.errors import SettingsInvalid
from deployer.spec.model import ServingSpec
from deployer.targets.local.files import PredictorFiles
from deployer.targets.local.queue import broker_files
from deployer.targets.local.queue.consumers import BrokerFiles, Consumers
from serving.predictor import QueueConsumer, parse
from stack.paths import Layout

ABOUT: Any = SimpleNamespace(model="angler", environment="prod")
CONSUMERS = Consumers({"default": BrokerFiles(Path("/secrets/url"), Path("/ca.pem"))}, lambda: b"k")


def predictor(**spec: Any) -> Any:
    world = World()
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.settle()
    assert world.record.champion
    return replace(world.record.champion, spec=ServingSpec.model_validate(spec))


def test_the_server_understands_what_it_is_told(tmp_path):
    files = PredictorFiles(tmp_path, "here", consumers=CONSUMERS)
    own = predictor(
        runtime="queue",
        queue={"results": ["a", {"routing_key": "{prediction}", "other": "o"}], "attempts": 3},
    )
    definition = files.define("angler-prod", "angler", "prod", own)
    told = json.loads(files.configure(definition, own.name, tmp_path, tmp_path).read_text())
    read = parse(told, "predictor.json")
    assert isinstance(read.queue, QueueConsumer)
    assert (read.queue.source, read.queue.dead_letter) == ("angler.prod", "angler.prod.dead")
    assert [(one.routing_key, one.other) for one in read.queue.results] == [
        ("a", ""),
        ("{prediction}", "o"),
    ]
    assert read.queue.share == (0, 0), "it takes no message before it is told its share"
    assert (read.queue.url_file, read.queue.ca_file) == ("/secrets/url", "/ca.pem")
    assert read.queue.attempts == 3
    token = CONSUMERS._token(own.name)
    assert read.admin_token_digest == hashlib.sha256(token.encode()).hexdigest()
    assert token not in json.dumps(told)


def test_each_predictor_has_a_token_of_its_own():
    assert CONSUMERS._token("a") != CONSUMERS._token("b")
    assert CONSUMERS._token("a") != Consumers({}, lambda: b"other")._token("a")


def test_a_server_without_a_queue_is_told_nothing_of_one():
    assert CONSUMERS.section(ABOUT, predictor()) == {}


def test_a_start_forgets_the_share_of_the_start_before(tmp_path):
    files = PredictorFiles(tmp_path, "here", consumers=CONSUMERS)
    own = predictor(runtime="queue", replicas=2)
    definition = files.define("angler-prod", "angler", "prod", own)
    for replica in files.replicas(own):
        files.configure(definition, replica, tmp_path, tmp_path)
    (tmp_path / own.name / "share.json").write_text('{"share": [0.0, 1.0]}')
    (tmp_path / own.name / "share.2.json").write_text('{"share": [0.0, 1.0]}')
    assert files.consumed(own) == 100
    files.configure(definition, own.name, tmp_path, tmp_path)
    assert [files.share(name) for name in files.replicas(own)] == [None, (0.0, 1.0)]
    assert files.consumed(own) == 50


def test_a_predictor_that_is_scaled_has_as_many_replicas_as_it_was_last_given(tmp_path):
    files = PredictorFiles(tmp_path, "here")
    scaled = predictor(runtime="queue", autoscaling={"min": 0, "max": 5, "messages": 10})
    files.define("angler-prod", "angler", "prod", scaled)
    assert files.replicas(scaled) == [scaled.name]
    files.scale(scaled, 3)
    assert files.replicas(scaled) == [scaled.name, f"{scaled.name}.2", f"{scaled.name}.3"]
    files.scale(scaled, 0)
    assert files.replicas(scaled) == []
    assert PredictorFiles(tmp_path, "here").replicas(scaled) == [], "another Deployer sees the same"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "home")


def settings(broker: Broker, host: str | None = None) -> Any:
    return SimpleNamespace(brokers={"default": broker}, local=SimpleNamespace(host=host))


def url_file(consumers: Consumers) -> Path:
    section = consumers.section(ABOUT, predictor(runtime="queue"))
    return Path(section["queue"]["url_file"])


def test_a_secret_in_a_file_stays_there(layout, tmp_path):
    secret = tmp_path / "url"
    secret.write_text("amqp://user:hunter2@broker/")
    broker = Broker(url_ref=f"file:{secret}")
    assert url_file(broker_files.consumers(settings(broker), layout)) == secret


@pytest.mark.parametrize("host", [None, "models"])
def test_a_secret_in_a_variable_goes_to_a_private_file(layout, monkeypatch, host):
    monkeypatch.setenv("RABBIT", "amqp://user:hunter2@broker/")
    broker = Broker(url_ref="env:RABBIT")
    made = url_file(broker_files.consumers(settings(broker, host), layout))
    assert made.read_text() == "amqp://user:hunter2@broker/"
    assert made.is_relative_to(layout.serving)
    assert made.stat().st_mode & 0o077 == 0


def test_a_container_of_model_servers_finds_the_files_in_the_home(layout, tmp_path):
    secret, certificates = tmp_path / "url", tmp_path / "ca.pem"
    secret.write_text("amqps://broker/")
    certificates.write_text("PEM")
    broker = Broker(url_ref=f"file:{secret}", ca_file=certificates)
    consumers = broker_files.consumers(settings(broker, "models"), layout)
    section = consumers.section(ABOUT, predictor(runtime="queue"))["queue"]
    for name, text in (("url_file", "amqps://broker/"), ("ca_file", "PEM")):
        assert Path(section[name]).is_relative_to(layout.home)
        assert Path(section[name]).read_text() == text


def test_a_variable_that_is_not_set_is_told(layout, monkeypatch):
    monkeypatch.delenv("RABBIT", raising=False)
    with pytest.raises(SettingsInvalid, match="RABBIT"):
        broker_files.consumers(settings(Broker(url_ref="env:RABBIT")), layout)


def test_the_key_is_made_once_and_private(layout, tmp_path):
    (tmp_path / "url").write_text("amqp://broker/")
    broker = Broker(url_ref=f"file:{tmp_path / 'url'}")
    first = broker_files.consumers(settings(broker), layout)._token("a")
    assert broker_files.consumers(settings(broker), layout)._token("a") == first
    assert layout.share_key.stat().st_mode & 0o077 == 0
