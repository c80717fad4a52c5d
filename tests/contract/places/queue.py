"""This machine as a place whose models are asked by queues of a real RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import yaml
from support.messages import MessageLoad
from support.systems.rabbitmq import running_rabbitmq

from contract.places.local import LocalPlace


class QueuePlace(LocalPlace):
    """Models that answer the messages of queues, which are there before anything is promoted."""

    rate: ClassVar[float] = 20
    """Messages per second."""

    turns: ClassVar[Mapping[str, str]] = LocalPlace.turns | {"routing": "Consumers.put"}

    def __init__(self, home: Path) -> None:
        self._ends = ExitStack()
        self.broker = self._ends.enter_context(running_rabbitmq())
        super().__init__(home)
        file = home / "platform.yaml"
        settings = yaml.safe_load(file.read_text())
        url = home / "broker.url"
        url.write_text(self.broker.url())
        url.chmod(0o600)
        settings["brokers"] = {"default": {"url_ref": f"file:{url}"}}
        overlay = settings["environments"]["prod"].setdefault("overlay", {})
        settings["environments"]["prod"]["overlay"] = overlay | {"runtime": "queue"}
        file.write_text(yaml.safe_dump(settings))

    def models(self, models: Iterable[Mapping[str, Any]]) -> None:
        models = list(models)
        for name in sorted({model["name"] for model in models}):
            source = f"{name}.{self.environment}"
            self.broker.declare(source, f"{source}.results", f"{source}.dead")
        super().models(models)

    def load(self, name: str, rate: float = 0, connections: int = 2) -> Any:  # noqa: ARG002 - one
        source = f"{name}.{self.environment}"
        return MessageLoad(self.broker, source, f"{source}.results", rate or self.rate)

    def end(self) -> None:
        try:
            super().end()
        finally:
            self._ends.close()


class BusyQueuePlace(QueuePlace):
    """The same, with many messages."""

    rate: ClassVar[float] = 200
