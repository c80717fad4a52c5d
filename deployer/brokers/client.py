"""Call a broker from any thread: each call has a time limit, and an error with a next step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from deployer.brokers import faults, messages, queues
from deployer.brokers.connection import SECONDS, Connection
from deployer.brokers.contract import Chosen, Message
from deployer.brokers.loop import Loop
from deployer.brokers.messages import Looked, Replayed
from deployer.brokers.queues import Found, Kind, Made, NewQueue
from deployer.errors import BrokerUnreachable, NotFound

Value = TypeVar("Value")

REPLAY_SECONDS: Final = 20.0
"""The time after which a replay looks at no further dead letter."""


class Broker:
    """A RabbitMQ broker, with one connection that is opened on demand.

    Each method raises BrokerUnreachable if the broker does not answer within SECONDS (later where
    many messages are sent), BrokerRefused if it refuses the user, and SettingsInvalid if its URL
    cannot be read.

    Args:
        name: The broker's name in platform.yaml.
        url: Reads the broker's URL.
        ca_file: Certificates that the broker's own is checked against; None: the system's.
        loop: Where the calls run.
    """

    def __init__(self, name: str, url: Callable[[], str], ca_file: Path | None, loop: Loop) -> None:
        self.name = name
        self._loop = loop
        self._connection = Connection(name, url, ca_file)

    def depths(self, names: Iterable[str]) -> dict[str, Found]:
        """Read the ready messages and the consumers of queues."""
        return self._call(lambda connection: queues.depths(connection, names))

    def send(self, queue: str, sent: Sequence[Message]) -> list[str]:
        """Publish messages, confirmed by the broker, and return their ids in order."""
        return self._call(
            lambda connection: messages.send(connection, queue, sent),
            SECONDS + len(sent) / messages.AT_ONCE,
        )

    def peek(self, queue: str, limit: int) -> Looked:
        """Read the first messages of a queue, and give all of them back."""
        return self._call(lambda connection: messages.peek(connection, queue, limit))

    def replay(self, dead: str, source: str, chosen: Chosen, limit: int) -> Replayed:
        """Send the chosen dead letters to their source again, for REPLAY_SECONDS at most."""
        return self._call(
            lambda connection: messages.replay(
                connection, dead, source, chosen, limit, REPLAY_SECONDS
            ),
            REPLAY_SECONDS + SECONDS,
        )

    def create(self, wanted: Iterable[NewQueue], kind: Kind) -> dict[str, Made]:
        """Make durable queues, and leave those that are there as they are."""
        return self._call(lambda connection: queues.create(connection, wanted, kind))

    def _call(
        self, work: Callable[[Connection], Awaitable[Value]], seconds: float = SECONDS
    ) -> Value:
        return self._loop.run(self._within(work, seconds))

    async def _within(
        self, work: Callable[[Connection], Awaitable[Value]], seconds: float
    ) -> Value:
        connection = self._connection
        try:
            async with asyncio.timeout(seconds):
                return await work(connection)
        except TimeoutError as error:
            connection.drop()
            raise BrokerUnreachable(
                f"The broker {self.name!r} at {connection.place} did not answer within "
                f"{seconds:g} s.",
                f"Check that it runs, and what brokers.{self.name}.url_ref in platform.yaml names.",
            ) from error
        except faults.FAULTS as error:
            raise faults.of_connection(error, self.name, connection.place) from error


class Brokers:
    """The brokers of platform.yaml.

    Args:
        brokers: Each by its name.
        loop: Where their calls run.
    """

    def __init__(self, brokers: Mapping[str, Broker], loop: Loop) -> None:
        self._brokers = brokers
        self._loop = loop

    def get(self, name: str) -> Broker:
        """Return a broker by its name.

        Raises:
            NotFound: platform.yaml has none of this name.
        """
        if name not in self._brokers:
            raise NotFound(
                f"platform.yaml has no broker {name!r}.", "Add it to brokers in platform.yaml."
            )
        return self._brokers[name]

    def close(self) -> None:
        """Close the connections."""
        self._loop.close()
