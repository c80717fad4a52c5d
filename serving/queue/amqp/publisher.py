"""Publish messages so that none is lost: persistent, mandatory, and confirmed by the broker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiormq import exceptions

from serving.queue.amqp import wire
from serving.queue.amqp.broker import RESULT_REFUSED, Trouble, trouble_of

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel

    from serving.queue.amqp.connection import Connection


class Refused(Trouble):
    """The broker does not take a message; the channel goes on, and may take it later."""

    def __init__(self, message: str) -> None:
        super().__init__(RESULT_REFUSED, message)


class Unroutable(Refused):
    """No queue is bound for the routing key."""


class _Returned(Exception):  # noqa: N818 - named for what it is
    """The broker found no queue."""


class _NotTaken(Exception):  # noqa: N818 - named for what it is
    """A queue was there, and took nothing."""


class Publisher:
    """A channel in confirm mode, on a connection that publishes only.

    The broker returns a message without its number; it is found by its message id. Two messages of
    one id, which doubles of an input have, are therefore never in flight together.
    """

    def __init__(self, connection: Connection, channel: AbstractChannel) -> None:
        self._connection, self._channel = connection, channel
        self._loop = asyncio.get_running_loop()
        self._last = 0
        self._unconfirmed: dict[int, asyncio.Future[None]] = {}  # in the order of their numbers
        self._sending: dict[str, asyncio.Future[None]] = {}
        self._returned: wire.Content | None = None
        connection.attach(channel.number, self._read)
        channel.closing.add_done_callback(self._closed)

    async def publish(self, message: wire.Message) -> None:
        """Publish a message, and return once the broker has it.

        Raises:
            Unroutable: no queue takes it.
            Refused: the queue is full.
            Trouble: the exchange is missing, or the connection broke.
        """
        name = message.properties.message_id
        try:
            await self._connection.room()
            while (other := self._sending.get(name)) is not None:
                await asyncio.wait((other,))
            confirmation = self._write(message)
            self._sending[name] = confirmation
            try:
                await confirmation
            finally:
                del self._sending[name]
        except _Returned as error:
            raise Unroutable(f"no queue takes results for {_where(message)}") from error
        except _NotTaken as error:
            said = f"the broker does not take results for {_where(message)}: is the queue full?"
            raise Refused(said) from error
        except exceptions.ChannelNotFoundEntity as error:
            raise Trouble(RESULT_REFUSED, f"there is no {_where(message)}") from error
        except (exceptions.AMQPError, OSError, RuntimeError) as error:
            raise trouble_of(error, _where(message)) from error

    def _write(self, message: wire.Message) -> asyncio.Future[None]:
        if self._channel.is_closed:
            raise exceptions.ChannelInvalidStateError("the channel is closed")
        number = self._channel.number
        publish = wire.published(number, message.exchange, message.routing_key)
        properties = wire.encoded(message.properties)
        frames = wire.content(number, properties, message.body, self._connection.frame_max)
        self._connection.send((publish, *frames))
        self._last += 1
        confirmation = self._unconfirmed[self._last] = self._loop.create_future()
        return confirmation

    # -- what the broker says

    def _read(self, kind: int, frame: bytes) -> bool:
        if kind == wire.METHOD:
            method = wire.method_of(frame)
            if method == wire.ACK:
                self._confirm(*wire.confirmed(frame), error=None)
            elif method == wire.NACK:
                self._confirm(*wire.confirmed(frame), error=_NotTaken())
            elif method == wire.RETURN:
                self._returned = wire.Content()
            else:
                return False
            return True
        if self._returned is None:
            return False
        content = self._returned
        if content.header(frame) if kind == wire.HEADER else content.body(frame):
            self._returned = None
            self._give_up(wire.decoded(content.properties).message_id)
        return True

    def _give_up(self, name: str) -> None:
        confirmation = self._sending.get(name)
        if confirmation is not None and not confirmation.done():
            confirmation.set_exception(_Returned())  # its confirm comes after this, and is ignored

    def _confirm(self, number: int, multiple: bool, error: Exception | None) -> None:
        numbers = [number]
        if multiple:
            numbers = []
            for each in self._unconfirmed:
                if each > number:
                    break
                numbers.append(each)
        for each in numbers:
            confirmation = self._unconfirmed.pop(each, None)
            if confirmation is None or confirmation.done():
                continue
            if error is None:
                confirmation.set_result(None)
            else:
                confirmation.set_exception(error)

    def _closed(self, closing: asyncio.Future[object]) -> None:
        error = None if closing.cancelled() else closing.exception()
        if not isinstance(error, Exception):
            error = exceptions.ChannelClosed(None, "the channel was closed")
        for confirmation in self._unconfirmed.values():
            if not confirmation.done():
                confirmation.set_exception(error)
        self._unconfirmed.clear()


def _where(message: wire.Message) -> str:
    if message.exchange:
        return f"exchange '{message.exchange}' with routing key '{message.routing_key}'"
    return f"queue '{message.routing_key}'"
