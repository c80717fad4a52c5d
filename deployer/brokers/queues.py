"""Read the depths of queues, and make queues, on channels of their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from aiormq import exceptions

from deployer.brokers.connection import Connection
from deployer.brokers.contract import Depth
from deployer.brokers.faults import of_queue
from deployer.errors import BrokerRefused, QueueMissing

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel

Kind = Literal["quorum", "classic"]
Found = Depth | QueueMissing | BrokerRefused
"""What a broker says of a queue."""

Made = Literal["made", "there", "differs"]
"""Whether a queue was made, or was there already, or was there with other arguments."""

_LIMITS_BY_DEFAULT: Final = 4
"""The major version of RabbitMQ since which a quorum queue drops what was delivered 20 times."""


@dataclass(frozen=True, slots=True)
class NewQueue:
    """A queue to make; what the broker itself gives up goes to `dead_letter`, "" for nowhere."""

    name: str
    dead_letter: str = ""


async def depths(connection: Connection, queues: Iterable[str]) -> dict[str, Found]:
    """Read the depths of queues; a queue that is missing or refused hides none of the others."""
    waiting = list(dict.fromkeys(queues))[::-1]
    found: dict[str, Found] = {}
    while waiting:
        # The broker closes a channel on which a queue was refused.
        async with connection.channel() as channel:
            while waiting and not channel.is_closed:
                name = waiting.pop()
                try:
                    with of_queue(connection.name, name):
                        found[name] = await _depth(channel, name)
                except (QueueMissing, BrokerRefused) as error:
                    found[name] = error
                    break
    return found


async def create(connection: Connection, queues: Iterable[NewQueue], kind: Kind) -> dict[str, Made]:
    """Make durable queues, and leave those that are there as they are.

    Raises:
        BrokerRefused: The user may not make one; those before it were made.
    """
    return {each.name: await _create(connection, each, kind) for each in queues}


async def _create(connection: Connection, queue: NewQueue, kind: Kind) -> Made:
    before = (await depths(connection, [queue.name]))[queue.name]
    if isinstance(before, BrokerRefused):
        raise before
    arguments = _arguments(queue, kind, await connection.version())
    try:
        async with connection.channel() as channel:
            with of_queue(connection.name, queue.name):
                await channel.queue_declare(queue.name, durable=True, arguments=arguments)
    except BrokerRefused as error:
        if isinstance(error.__cause__, exceptions.ChannelPreconditionFailed):
            return "differs"
        raise
    return "there" if isinstance(before, Depth) else "made"


def _arguments(queue: NewQueue, kind: Kind, version: str) -> dict[str, Any]:
    found: dict[str, Any] = {"x-queue-type": kind}
    major = version.partition(".")[0]
    if kind == "quorum" and major.isdigit() and int(major) >= _LIMITS_BY_DEFAULT:
        found["x-delivery-limit"] = -1
    if queue.dead_letter:
        found |= {
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": queue.dead_letter,
        }
    return found


async def _depth(channel: AbstractChannel, name: str) -> Depth:
    said = await channel.queue_declare(name, passive=True)
    return Depth(int(said.message_count or 0), int(said.consumer_count or 0))
