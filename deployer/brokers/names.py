"""Name the queues that a deployment's spec speaks of. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from deployer.brokers.queues import NewQueue
from deployer.spec.queue import Queue


@dataclass(frozen=True, slots=True)
class QueueNames:
    """The queues of a deployment.

    Attributes:
        broker: The broker that has them.
        source: The queue whose messages are answered.
        dead_letter: The queue of those that cannot be.
        results: The queues that results go to by name.
        elsewhere: The other destinations: exchanges, and keys that a prediction completes.
    """

    broker: str
    source: str
    dead_letter: str
    results: tuple[str, ...]
    elsewhere: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """All queues that are known by name."""
        return tuple(dict.fromkeys((self.source, *self.results, self.dead_letter)))

    @property
    def new(self) -> list[NewQueue]:
        """The queues to make: what the broker gives up of the source is a dead letter, too."""
        return [
            NewQueue(name, self.dead_letter if name == self.source else "") for name in self.all
        ]


def names_of(queue: Queue) -> QueueNames:
    """Return the names of a section `queue`, in which the deployment's are already."""
    results: list[str] = []
    elsewhere: list[str] = []
    for one in queue.results:
        for key in filter(None, (one.routing_key, one.other)):
            if one.exchange or "{" in key:
                elsewhere.append(f"{one.exchange}/{key}".lstrip("/"))
            else:
                results.append(key)
    return QueueNames(
        queue.broker,
        queue.source,
        queue.dead_letter,
        tuple(dict.fromkeys(results)),
        tuple(dict.fromkeys(elsewhere)),
    )
