"""Start and stop the consumption of the source queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiormq.abc import AbstractChannel, DeliveredMessage

IN_FLIGHT = 256
"""Messages in flight of a server that consumes all the time: as many as one batch has rows."""
IN_FLIGHT_BY_TURNS = 32
"""Messages in flight of a server that consumes by turns: what it takes beyond its turn."""


class Consumer:
    """The consumer of one server, on one channel.

    Args:
        channel: the channel that consumes.
        source: the source queue.
        tag: how the broker's lists show the consumer.
        take: called with each delivered message; must not wait.

    Attributes:
        prefetch: the most messages in flight; 0: it never consumed.
        consumes: whether messages are delivered.
    """

    def __init__(
        self,
        channel: AbstractChannel,
        source: str,
        tag: str,
        take: Callable[[DeliveredMessage], None],
    ) -> None:
        self._channel, self._source, self._tag, self._take = channel, source, tag, take
        self.prefetch = 0
        self.consumes = False

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
        await self._channel.basic_consume(self._source, self._deliver, consumer_tag=self._tag)
        self.consumes = True

    async def stop(self) -> None:
        """Let nothing more be delivered; what is in flight is still to be answered.

        Raises:
            AMQPError, RuntimeError: the channel is closed.
        """
        if self.consumes:
            await self._channel.basic_cancel(self._tag)
            self.consumes = False

    async def _deliver(self, message: DeliveredMessage) -> None:
        # Runs in a task that the library cancels when the channel closes.
        self._take(message)
