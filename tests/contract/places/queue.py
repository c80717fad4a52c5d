"""Places whose models are asked by queues of a real RabbitMQ: this machine, and a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pamqp.commands import Basic
from support.load import BODY
from support.messages import MessageLoad
from support.run.wait import wait_for
from support.systems.cluster import Cluster
from support.systems.rabbitmq import Broker, running_rabbitmq

from contract.places.base import Place
from contract.places.kubernetes import ClusterPlace
from contract.places.local import LocalPlace


class Queues(Place):
    """Models that answer the messages of queues, which are there before anything is promoted."""

    rate: ClassVar[float] = 20
    """Messages per second."""

    broker: Broker

    def models(self, models: Iterable[Mapping[str, Any]]) -> None:
        models = list(models)
        for name in sorted({model["name"] for model in models}):
            source = self.source(name)
            self.broker.declare(source, f"{source}.results", f"{source}.dead")
        super().models(models)

    def load(self, name: str, rate: float = 0, connections: int = 2) -> Any:  # noqa: ARG002 - one
        source = self.source(name)
        return MessageLoad(self.broker, source, f"{source}.results", rate or self.rate)

    def source(self, name: str) -> str:
        """The queue of a model's deployment."""
        return f"{self.model(name)}.{self.environment}"

    def send(self, name: str, prefix: str, count: int) -> None:
        """Send messages whose ids begin with a prefix."""
        sent = [
            Basic.Properties(
                delivery_mode=2, message_id=f"{prefix}-{n}", content_type="application/json"
            )
            for n in range(count)
        ]
        self.broker.send_all(self.source(name), [(BODY, one) for one in sent])

    def results(self, name: str, prefix: str, count: int) -> dict[str, Any]:
        """Read results until so many messages have one; the id of each message's result."""
        found: dict[str, Any] = {}

        def enough() -> bool:
            for one in self.broker.take(f"{self.source(name)}.results"):
                asked, result = str(one.headers["x-schnitzel-input-id"]), one.properties.message_id
                if asked.startswith(prefix):
                    assert found.setdefault(asked, result) == result
            return len(found) >= count

        wait_for(enough, f"{count} results of {name}", 120)
        return found

    def consumers(self, name: str) -> int:
        """How many consumers a model's queue has."""
        listed = self.broker.ctl("list_consumers", "queue_name")
        return listed.split().count(self.source(name))


class QueuePlace(Queues, LocalPlace):
    """This machine."""

    turns: ClassVar[Mapping[str, str]] = LocalPlace.turns | {"routing": "Consumers.put"}

    def __init__(self, home: Path) -> None:
        self._ends = ExitStack()
        self.broker = self._ends.enter_context(running_rabbitmq())
        super().__init__(home)
        file = home / "platform.yaml"
        settings = yaml.safe_load(file.read_text())
        settings["brokers"] = _brokers(home, self.broker)
        overlay = settings["environments"]["prod"].setdefault("overlay", {})
        settings["environments"]["prod"]["overlay"] = overlay | {"runtime": "queue"}
        file.write_text(yaml.safe_dump(settings))

    def end(self) -> None:
        try:
            super().end()
        finally:
            self._ends.close()


class BusyQueuePlace(QueuePlace):
    """This machine, with many messages."""

    rate: ClassVar[float] = 200


class ClusterQueuePlace(Queues, ClusterPlace):
    """A namespace of a cluster, whose pods reach a broker on this machine."""

    shifts_at_once = False
    turns: ClassVar = ClusterPlace.turns | {"routing": "Client.json_patch Pod"}
    secret = "broker"

    def __init__(self, cluster: Cluster, home: Path, **more: Any) -> None:
        self._ends = ExitStack()
        host = cluster.fact("node_ip")
        self.broker = self._ends.enter_context(running_rabbitmq(host=host))
        super().__init__(cluster, home, **more)
        file = home / "platform.yaml"
        settings = yaml.safe_load(file.read_text())
        settings["brokers"] = _brokers(home, self.broker)
        settings["clusters"]["tests"]["brokers"] = {"default": {"secret": self.secret}}
        settings["environments"][self.environment]["overlay"]["runtime"] = "queue"
        file.write_text(yaml.safe_dump(settings))
        data = {"url": self.broker.url()}
        meta = {"name": self.secret, "namespace": self.environment}
        self.cluster.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data},
            namespace=self.environment,
        )

    def end(self) -> None:
        try:
            super().end()
        finally:
            self._ends.close()


def _brokers(home: Path, broker: Broker) -> dict[str, Any]:
    """The settings of the broker, whose address is in a private file."""
    url = home / "broker.url"
    url.write_text(broker.url())
    url.chmod(0o600)
    return {"default": {"url_ref": f"file:{url}"}}
