"""Connect to RabbitMQ, and publish so that nothing is lost."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from sentiment_router.routing import TOO_LARGE, Received, Sending, Unreadable
from sentiment_router.settings import BadSettings


class Refused(Exception):  # noqa: N818 - named for what the message is
    """A queue that takes no message; the one that was refused stays where it was."""


TROUBLES = (aio_pika.exceptions.AMQPError, OSError, RuntimeError, BadSettings, Refused)
"""What goes wrong with a broker; all of it may pass."""
CONNECT_SECONDS = 10
HEARTBEAT_SECONDS = 20
CLOSE_SECONDS = 2
FIRST_HOP, LATER = 7 / 8, 63 / 64
"""The share of a frame that a message's headers may fill. Each hop adds some, and whoever finds
that they no longer fit would have to lose them."""


@asynccontextmanager
async def connected(url: str, name: str) -> AsyncIterator[AbstractConnection]:
    """Connect; the broker's lists show the connection by its name."""
    connection = await aio_pika.connect(
        url,
        timeout=CONNECT_SECONDS,
        heartbeat=HEARTBEAT_SECONDS,
        client_properties={"connection_name": name},
    )
    try:
        yield connection
    finally:
        closing = asyncio.ensure_future(connection.close())
        await asyncio.wait((closing,), timeout=CLOSE_SECONDS)
        if closing.done() and not closing.cancelled():
            closing.exception()  # of a connection that is lost anyway


def received(message: AbstractIncomingMessage) -> Received:
    """Take in a delivered message; one without an id gets a new one, and so do its doubles."""
    return Received(
        body=message.body,
        name=message.message_id or message.correlation_id or uuid.uuid4().hex,
        content_type=message.content_type,
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        headers=message.headers,
    )


def said(error: BaseException) -> str:
    """Return an error's sentence, without credentials."""
    text = " ".join(str(each) for each in error.args if each is not None) or type(error).__name__
    return re.sub(r"amqps?://\S+", "the broker", text)[:300]


class Publisher:
    """A channel that publishes: persistent, mandatory, and confirmed by the broker."""

    def __init__(self, channel: AbstractChannel, frame: int) -> None:
        self._channel, self._frame = channel, frame
        self._in_flight: dict[str, asyncio.Event] = {}

    @classmethod
    async def on(cls, connection: AbstractConnection) -> "Publisher":
        """Open a channel that reports a message that no queue takes: by default it is dropped."""
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        underlay = await channel.get_underlay_channel()
        frame: Any = getattr(underlay, "connection").connection_tune.frame_max  # noqa: B009 - not in its abstract class
        return cls(channel, int(frame or 131_072))

    def message(self, sending: Sending, share: float = LATER) -> aio_pika.Message:
        """Build a message.

        Raises:
            Unreadable: its headers do not fit into a frame, or cannot be written; the broker would
                end the connection, again and again.
        """
        message = aio_pika.Message(
            sending.body,
            content_type=sending.content_type,
            message_id=sending.message_id or uuid.uuid4().hex,
            correlation_id=sending.correlation_id,
            headers=sending.headers,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            app_id="sentiment-router",
        )
        try:
            size = len(message.properties.marshal())
        except (TypeError, ValueError, OverflowError) as error:
            raise Unreadable(TOO_LARGE, "the headers cannot be written") from error
        if size > self._frame * share:
            raise Unreadable(
                TOO_LARGE, f"text and headers have {size} bytes, and a frame {self._frame}"
            )
        return message

    async def publish(self, queue: str, message: aio_pika.Message) -> None:
        """Publish a message, and return once the broker has it.

        The client library finds a refused message by its id, so that of two messages with one id
        the second waits.

        Raises:
            Refused: the queue is missing or full.
        """
        name = str(message.message_id)
        while other := self._in_flight.get(name):
            await other.wait()
        done = self._in_flight[name] = asyncio.Event()
        try:
            await self._channel.default_exchange.publish(message, queue, mandatory=True)
        except aio_pika.exceptions.PublishError as error:
            raise Refused(f"there is no queue '{queue}'") from error
        except aio_pika.exceptions.DeliveryError as error:
            raise Refused(f"queue '{queue}' takes no message: is it full?") from error
        finally:
            del self._in_flight[name]
            done.set()
