"""A broker that holds messages in memory, for tests of what stands above the way to a real one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from deployer.brokers.contract import Chosen, Depth, Message, Waiting, waiting
from deployer.brokers.faults import missing
from deployer.brokers.messages import Looked, Replayed
from deployer.brokers.queues import Found, Kind, Made, NewQueue
from deployer.errors import SchnitzelError
from deployer.spec.model import ServingSpec
from deployer.state.predictor import Predictor, Role
from deployer.state.registry import VersionId


@dataclass
class MemoryBroker:
    """What `deployer.brokers.client.Broker` does; `error` is raised by each call."""

    queues: dict[str, list[Waiting]] = field(default_factory=dict)
    consumers: dict[str, int] = field(default_factory=dict)
    chosen: list[Chosen] = field(default_factory=list)
    error: SchnitzelError | None = None

    def depths(self, names: Iterable[str]) -> dict[str, Found]:
        self._raise()
        return {
            name: Depth(len(self.queues[name]), self.consumers.get(name, 0))
            if name in self.queues
            else missing("default", name)
            for name in names
        }

    def send(self, queue: str, messages: Sequence[Message]) -> list[str]:
        self._raise()
        found = [waiting(m.body, m.properties(), redelivered=False) for m in messages]
        self._get(queue).extend(found)
        return [one.id for one in found]

    def peek(self, queue: str, limit: int) -> Looked:
        self._raise()
        return Looked(self._get(queue)[:limit], len(self._get(queue)))

    def replay(self, dead: str, source: str, chosen: Chosen, limit: int) -> Replayed:
        self._raise()
        self.chosen.append(chosen)
        moved, self.queues[dead] = self._get(dead)[:limit], self._get(dead)[limit:]
        self._get(source).extend(moved)
        return Replayed(len(moved), 0, len(self.queues[dead]))

    def create(self, wanted: Iterable[NewQueue], _: Kind) -> dict[str, Made]:
        self._raise()
        made: dict[str, Made] = {}
        for one in wanted:
            made[one.name] = "there" if one.name in self.queues else "made"
            self.queues.setdefault(one.name, [])
        return made

    def _get(self, queue: str) -> list[Waiting]:
        if queue not in self.queues:
            raise missing("default", queue)
        return self.queues[queue]

    def _raise(self) -> None:
        if self.error:
            raise self.error


def queue_predictor(number: int = 1, **queue: Any) -> Predictor:
    """A predictor of the model angler that answers a queue."""
    spec = ServingSpec.model_validate({"runtime": "queue", "queue": queue})
    version = VersionId("angler", number, number)
    return Predictor(f"angler-prod-v{number}", version, Role.CHAMPION, f"d{number}", "s", spec)


def server_says(**changed: Any) -> bytes:
    """What a model server that consumes says of its queue."""
    found = {
        "source": "angler.prod", "share": [0.0, 1.0], "consumes": True, "in_flight": 3,
        "reason": "", "message": "", "since": 1.0,
    }  # fmt: skip
    return json.dumps(found | changed).encode()
