"""Send messages, look at those that wait, and replay dead letters; each on a channel of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pamqp.commands import Basic

from deployer.brokers.connection import Connection
from deployer.brokers.contract import Chosen, Message, Waiting, revived, waiting
from deployer.brokers.faults import FAULTS, of_queue

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel, DeliveredMessage

AT_ONCE: Final = 100
"""Messages that are published before the first of them is confirmed."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Messages that wait in a queue, the first ones, and how many there are."""

    messages: Sequence[Waiting]
    ready: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of dead letters: sent again, given back, or not looked at in the time."""

    replayed: int
    kept: int
    left: int


async def send(connection: Connection, queue: str, messages: Sequence[Message]) -> list[str]:
    """Publish messages, confirmed by the broker, and return their ids in order.

    Raises:
        QueueMissing: There is no such queue.
        BrokerRefused: The queue is full, or the user may not write.
    """
    properties = [each.properties() for each in messages]
    pairs = list(zip(messages, properties, strict=True))
    async with connection.channel() as channel:
        with of_queue(connection.name, queue):
            for begin in range(0, len(pairs), AT_ONCE):
                sent = [
                    asyncio.ensure_future(_publish(channel, queue, message.body, own))
                    for message, own in pairs[begin : begin + AT_ONCE]
                ]
                try:
                    await asyncio.gather(*sent)
                finally:
                    await asyncio.gather(*sent, return_exceptions=True)
    return [own.message_id or "" for own in properties]


async def peek(connection: Connection, queue: str, limit: int) -> Looked:
    """Read the first messages of a queue, and give all of them back.

    Raises:
        QueueMissing: There is no such queue.
        BrokerRefused: The user may not read it.
    """
    found: list[Waiting] = []
    async with connection.channel() as channel:
        with of_queue(connection.name, queue):
            ready = await _ready(channel, queue)
            last = 0
            try:
                for _ in range(min(limit, ready)):
                    got = await channel.basic_get(queue)
                    if not isinstance(got.delivery, Basic.GetOk):
                        break
                    last = _tag(got)
                    redelivered = bool(got.delivery.redelivered)
                    found.append(waiting(got.body, got.header.properties, redelivered=redelivered))
            finally:
                await _give_back(channel, last)
    return Looked(found, max(ready, len(found)))


async def replay(
    connection: Connection, dead: str, source: str, chosen: Chosen, limit: int, seconds: float
) -> Replayed:
    """Send the chosen dead letters to their source again, and take them off their queue.

    The messages that are there at the beginning are looked at, each once. One whose
    acknowledgement is lost is there twice, with the same id.

    Args:
        connection: The connection to the broker.
        dead: The dead-letter queue.
        source: The queue that they go to.
        chosen: Which ones.
        limit: The most that are sent.
        seconds: After this time, no further one is looked at.

    Raises:
        QueueMissing: One of the queues is missing.
        BrokerRefused: The source is full, or the user may not use a queue.
    """
    replayed = looked = kept = 0
    until = time.monotonic() + seconds
    async with connection.channel() as channel:
        with of_queue(connection.name, dead):
            there = await _ready(channel, dead)
        try:
            while looked < there and replayed < limit and time.monotonic() < until:
                with of_queue(connection.name, dead):
                    got = await channel.basic_get(dead)
                if not isinstance(got.delivery, Basic.GetOk):
                    break
                looked += 1
                properties = got.header.properties
                if not chosen.has(properties):
                    kept = _tag(got)
                    continue
                with of_queue(connection.name, source):
                    await _publish(channel, source, got.body, revived(properties))
                await channel.basic_ack(_tag(got))
                replayed += 1
        finally:
            await _give_back(channel, kept)
    return Replayed(replayed, looked - replayed, max(0, there - looked))


async def _publish(
    channel: AbstractChannel, queue: str, body: bytes, properties: Basic.Properties
) -> None:
    await channel.basic_publish(body, routing_key=queue, properties=properties, mandatory=True)


async def _ready(channel: AbstractChannel, queue: str) -> int:
    return int((await channel.queue_declare(queue, passive=True)).message_count or 0)


async def _give_back(channel: AbstractChannel, last: int) -> None:
    """Give back every message up to this delivery tag, by nack: it counts as no failed try."""
    if last and not channel.is_closed:
        with suppress(*FAULTS):  # a closed channel gives them back, too
            await channel.basic_nack(last, multiple=True, requeue=True)


def _tag(got: DeliveredMessage) -> int:
    return int(got.delivery.delivery_tag or 0)  # type: ignore[union-attr]
