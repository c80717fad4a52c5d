"""Start and stop the consumption of the source queue, and acknowledge its messages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiormq import exceptions

from serving.queue.amqp import wire
from serving.queue.amqp.acks import Acks

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiormq.abc import AbstractChannel, DeliveredMessage

    from serving.queue.amqp.connection import Connection


class Consumer:
    """The consumer of one server, on one channel that does nothing else.

    Args:
        connection: the channel's connection.
        channel: the channel that consumes.
        source: the source queue.
        tag: how the broker's lists show the consumer.
        take: called with each delivered message; must not wait, nor raise.

    Attributes:
        prefetch: the most messages in flight; 0: it never consumed.
        consumes: whether messages are delivered.
    """

    def __init__(
        self,
        connection: Connection,
        channel: AbstractChannel,
        source: str,
        tag: str,
        take: Callable[[wire.Delivery], None],
    ) -> None:
        self._connection, self._channel = connection, channel
        self._source, self._tag, self._take = source, tag, take
        self._loop = asyncio.get_running_loop()
        self._delivery: tuple[int, bool] | None = None
        self._content = wire.Content()
        self._acks, self._answered = Acks(), set[int]()
        self.prefetch = 0
        self.consumes = False
        connection.attach(channel.number, self._read)

    async def start(self, prefetch: int) -> None:
        """Consume, with at most `prefetch` messages in flight.

        Raises:
            AMQPError, RuntimeError: the channel is closed.
        """
        if self.consumes and prefetch == self.prefetch:
            return
        await self.stop()
        if prefetch != self.prefetch:  # it counts for consumers that begin after it
            await self._channel.basic_qos(prefetch_count=prefetch)
            self.prefetch = prefetch
        await self._channel.basic_consume(self._source, _unused, consumer_tag=self._tag)
        self.consumes = True

    async def stop(self) -> None:
        """Let nothing more be delivered; what is in flight is still to be answered.

        Raises:
            AMQPError, RuntimeError: the channel is closed.
        """
        if self.consumes:
            await self._channel.basic_cancel(self._tag)
            self.consumes = False

    def acknowledge(self, tag: int) -> None:
        """Acknowledge a message, in one frame with those that end in the same moment.

        Raises:
            RuntimeError: the channel is closed.
        """
        self._check_open()
        if not self._answered:
            self._loop.call_soon(self._flush)
        self._answered.add(tag)

    def give_back(self, tag: int) -> None:
        """Put a message into its queue again.

        Raises:
            RuntimeError: the channel is closed.
        """
        self._check_open()
        self._acks.given_back(tag)
        self._connection.send((wire.give_back(self._channel.number, tag),))

    def _check_open(self) -> None:
        if self._channel.is_closed:
            raise exceptions.ChannelInvalidStateError("the channel is closed")

    def _flush(self) -> None:
        number = self._channel.number
        ends = self._acks.frames(self._answered)
        self._answered.clear()
        if not self._channel.is_closed:
            self._connection.send(
                [wire.acknowledgement(number, tag, multiple=multiple) for tag, multiple in ends]
            )

    def _read(self, kind: int, frame: bytes) -> bool:
        if kind == wire.METHOD:
            if wire.method_of(frame) != wire.DELIVER:
                return False
            self._delivery, self._content = wire.delivered(frame), wire.Content()
            return True
        if self._delivery is None:
            return False
        content = self._content
        if content.header(frame) if kind == wire.HEADER else content.body(frame):
            tag, redelivered = self._delivery
            self._delivery = None
            self._take(wire.Delivery(tag, redelivered, content.properties, content.whole()))
        return True


async def _unused(_: DeliveredMessage) -> None:
    """Stand for the consumer in the library, which sees no delivery."""
