"""Keep one connection to a broker, opened on demand and again after each fault."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiormq
from yarl import URL

from deployer.brokers.faults import FAULTS
from deployer.errors import SettingsInvalid

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel, AbstractConnection

SECONDS: Final = 5.0
"""The time limit of a call."""

CLOSING_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 20
NAME: Final = "schnitzel-deployer"
"""How the broker's list of connections shows this one."""


# It logs each refused connection as an error of its own; a reading says the same, to who asks.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)


class Connection:
    """A connection to one broker. Its methods are for the event loop alone.

    Attributes:
        name: The broker's name in platform.yaml.
        place: Its host and port, once it was read.

    Args:
        name: The broker's name in platform.yaml.
        url: Reads the broker's URL, at each connection anew: a password may have changed.
        ca_file: Certificates that the broker's own is checked against; None: the system's.
    """

    def __init__(self, name: str, url: Callable[[], str], ca_file: Path | None) -> None:
        self.name = name
        self.place = "an unknown address"
        self._url = url
        self._ca_file = ca_file
        self._open: AbstractConnection | None = None
        self._opening = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """Open a channel that confirms what it publishes, and raises what nobody takes."""
        connection = await self._connected()
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        try:
            yield channel
        finally:
            with suppress(TimeoutError, *FAULTS):
                async with asyncio.timeout(CLOSING_SECONDS):
                    await channel.close()

    async def version(self) -> str:
        """Return the version of the broker."""
        connection = await self._connected()
        found = connection.server_properties.get("version", b"")
        return found.decode() if isinstance(found, bytes) else str(found)

    def drop(self) -> None:
        """Give the connection up; the next call opens another one."""
        connection, self._open = self._open, None
        if connection is not None:
            closing = asyncio.ensure_future(_close(connection))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _connected(self) -> AbstractConnection:
        async with self._opening:
            if self._open is None or self._open.is_closed:
                self._open = await self._connect()
            return self._open

    async def _connect(self) -> AbstractConnection:
        url = self._read_url()
        context = self._tls() if url.scheme == "amqps" else None
        named = url.update_query(name=NAME, heartbeat=str(HEARTBEAT_SECONDS))
        connection = aiormq.Connection(named, context=context)
        try:
            await connection.connect()
        except BaseException:
            await _close(connection)
            raise
        return connection

    def _read_url(self) -> URL:
        """Read and check the URL.

        Raises:
            SettingsInvalid: There is none, or it is no URL of a broker.
        """
        text = self._url()
        try:
            url = URL(text.strip())
            if url.scheme in ("amqp", "amqps") and url.host:
                self.place = f"{url.host}:{url.port or (5671 if url.scheme == 'amqps' else 5672)}"
                return url
        except ValueError:
            pass  # its message may repeat the URL
        raise SettingsInvalid(
            f"The secret that brokers.{self.name}.url_ref names is no URL of a broker.",
            "Write it as amqps://user:password@host/virtual-host, with %2F for a slash in a name.",
        )

    def _tls(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except (OSError, ssl.SSLError) as error:
            raise SettingsInvalid(
                f"{self._ca_file} holds no certificates.",
                f"Correct brokers.{self.name}.ca_file in platform.yaml.",
            ) from error


async def _close(connection: AbstractConnection) -> None:
    with suppress(TimeoutError, *FAULTS):
        async with asyncio.timeout(CLOSING_SECONDS):
            await connection.close()
