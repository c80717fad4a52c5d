"""Connect to RabbitMQ, check the queues, and name what is wrong.

Queues are not the server's: it declares them passively, and makes none.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from aiormq import exceptions
from yarl import URL

from serving.queue.amqp.connection import Connection
from serving.telemetry import log

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel

    from serving.predictor import QueueConsumer

URL_VARIABLE = "SCHNITZEL_QUEUE_URL"
CONNECT_SECONDS = 10.0
HEARTBEAT_SECONDS = 20
CHECK_SECONDS = 10.0


class Trouble(Exception):  # noqa: N818 - named for what it is
    """Messages cannot be consumed, or their results not be published, for now.

    Attributes:
        reason: QueueUnreachable, QueueMissing, QueueRefused, ResultRefused or BrokerBlocked.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


UNREACHABLE, MISSING, REFUSED = "QueueUnreachable", "QueueMissing", "QueueRefused"
RESULT_REFUSED, BLOCKED = "ResultRefused", "BrokerBlocked"


async def connect(settings: QueueConsumer, name: str) -> Connection:
    """Open a connection, which the broker's lists show by `name`.

    Raises:
        Trouble: the broker does not answer, or refuses the credentials or the virtual host.
    """
    url = broker_url(settings)
    context = _tls(settings) if url.scheme == "amqps" else None
    named = url.update_query(name=name, heartbeat=str(HEARTBEAT_SECONDS))
    connection = Connection(named, context)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect()
    except TimeoutError as error:
        said = f"the broker at {_place(url)} did not answer within {CONNECT_SECONDS:g} s"
        raise Trouble(UNREACHABLE, said) from error
    except (exceptions.AMQPError, OSError, RuntimeError) as error:
        raise trouble_of(error, _place(url)) from error
    return connection


def broker_url(settings: QueueConsumer) -> URL:
    """Read the broker's URL, at each connection anew: a password may have changed.

    Raises:
        Trouble: there is none, or it is no URL of a broker.
    """
    where = settings.url_file or URL_VARIABLE
    try:
        text = (
            Path(settings.url_file).read_text(encoding="utf-8").strip()
            if settings.url_file
            else os.environ.get(URL_VARIABLE, "")
        )
        url = URL(text)
    except (OSError, ValueError) as error:  # a message of yarl may repeat the URL
        raise Trouble(REFUSED, f"the broker's URL cannot be read from {where}") from error
    if url.scheme not in ("amqp", "amqps") or not url.host:
        raise Trouble(REFUSED, f"{where} has no URL such as amqps://user:password@host/vhost")
    return url


async def check(connection: Connection, settings: QueueConsumer) -> None:
    """Check that source, destinations and dead-letter queue are there.

    Raises:
        Trouble: one is not there, or may not be used.
    """
    await _queue(connection, settings.source)
    await _queue(connection, settings.dead_letter)
    for to in settings.results:
        if to.exchange:
            await _declared(connection, f"exchange '{to.exchange}'", exchange=to.exchange)
            continue
        for key in filter(None, (to.routing_key, to.other)):
            if "{" not in key:
                await _queue(connection, key)


async def _queue(connection: Connection, name: str) -> None:
    await _declared(connection, f"queue '{name}'", queue=name)


async def _declared(
    connection: Connection, what: str, *, queue: str = "", exchange: str = ""
) -> None:
    """Declare passively, on a channel of its own: a refusal closes the channel."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            channel = await connection.channel()
            if queue:
                await channel.queue_declare(queue, passive=True)
            else:
                await channel.exchange_declare(exchange, passive=True)
            await channel.close()
    except TimeoutError as error:
        said = f"the broker said nothing of the {what} within {CHECK_SECONDS:g} s"
        raise Trouble(UNREACHABLE, said) from error
    except (exceptions.AMQPError, OSError, RuntimeError) as error:
        raise trouble_of(error, what) from error


def trouble_of(error: BaseException | None, what: str) -> Trouble:
    """Name the trouble of an error of the client library; `what` is what was used."""
    said = _said(error)
    if isinstance(error, exceptions.ChannelNotFoundEntity):
        return Trouble(MISSING, f"there is no {what}" if "'" in what else said)
    if isinstance(
        error,
        exceptions.ChannelAccessRefused
        | exceptions.ChannelLockedResource
        | exceptions.ChannelPreconditionFailed,
    ):
        return Trouble(REFUSED, f"the broker refuses the {what}: {said}")
    if isinstance(
        error,
        exceptions.AuthenticationError
        | exceptions.ProbableAuthenticationError
        | exceptions.ConnectionNotAllowed,
    ):
        return Trouble(
            REFUSED, f"the broker at {what} refuses the user or the virtual host: {said}"
        )
    return Trouble(UNREACHABLE, f"the connection to the broker failed ({what}): {said}")


def fault(error: Exception) -> Trouble:
    """Name the trouble of a fault of the server; its log keeps the traceback."""
    error_id = log.keep_exception(error)
    return Trouble(UNREACHABLE, f"the server failed to use the queues (error {error_id})")


async def usable(channel: AbstractChannel) -> None:
    """Raise what closed a channel, or its connection; return while both are open."""
    for each in (channel.connection, channel):
        if each.is_closed:
            raise trouble_of(await _reason(each.closing), "channel")


async def _reason(closing: asyncio.Future[object]) -> BaseException | None:
    try:
        await closing
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is what is asked for
        return error
    return None


def _said(error: BaseException | None) -> str:
    """Return the broker's sentence, without credentials."""
    text = " ".join(str(each) for each in getattr(error, "args", ()) if each is not None)
    return re.sub(r"amqps?://\S+", "the broker", text)[:300] or type(error).__name__


def _place(url: URL) -> str:
    return f"{url.host}:{url.port or (5671 if url.scheme == 'amqps' else 5672)}"


def _tls(settings: QueueConsumer) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise Trouble(REFUSED, f"{settings.ca_file} holds no certificates: {error}") from error
