"""Connect as aiormq does, and take deliveries and confirms out of the stream before it.

aiormq opens, watches and closes connections and channels. A message costs it a dozen wakeups, two
tasks and two queues; a `Sink` reads the frames of its channel in the moment in which they arrive.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiormq
from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError

from serving.queue.amqp import wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from yarl import URL

    Sink = Callable[[int, bytes], bool]
    """Takes kind and bytes of a frame; returns whether the frame was its own."""

PROOF_SECONDS = 1.0
"""So often the library sees a heartbeat while others take all frames: it watches the silence."""
TOGETHER = 64 * 1024
"""Bytes that are written without waiting for more."""
FRAME_MAX = 131_072
"""The most bytes of a frame where the broker sets no limit."""


class Tap(asyncio.StreamReaderProtocol):
    """The protocol of one connection.

    Attributes:
        sinks: who reads the frames of a channel, by its number.
        full: whether the socket takes no more for now.
    """

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self._clock = loop.time
        self._splitter = wire.Splitter()
        self._proved = self._clock()
        self.sinks: dict[int, Sink] = {}
        self.full = False

    def data_received(self, data: bytes) -> None:
        """Give each frame to the sink of its channel, and the others to the library."""
        passed = []
        for kind, channel, frame in self._splitter.feed(data):
            sink = self.sinks.get(channel)
            if sink is None or not sink(kind, frame):
                passed.append(frame)
        now = self._clock()
        if not passed and now - self._proved > PROOF_SECONDS:
            passed.append(wire.HEARTBEAT)
        if passed:
            self._proved = now
            super().data_received(b"".join(passed))

    def pause_writing(self) -> None:
        """Note that the socket is full."""
        super().pause_writing()
        self.full = True

    def resume_writing(self) -> None:
        """Note that the socket has room."""
        super().resume_writing()
        self.full = False


class Connection(aiormq.Connection):
    """A connection whose frames can be read and written past the library."""

    def __init__(self, url: URL, context: ssl.SSLContext | None) -> None:
        self._transport = _Transport(context)
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        super().__init__(url, context=context, transport_factory=self._transport)

    @property
    def frame_max(self) -> int:
        """The most bytes of one frame."""
        return self.connection_tune.frame_max or FRAME_MAX

    def attach(self, channel: int, sink: Sink) -> None:
        """Let `sink` read the frames of a channel first."""
        assert self._transport.tap is not None  # noqa: S101 - connected
        self._transport.tap.sinks[channel] = sink

    def send(self, frames: Iterable[bytes]) -> None:
        """Write whole frames, together with those of the same moment.

        The frames of one content come in one call, since nothing may come between them.
        """
        if not self._unsent:
            self.loop.call_soon(self._flush)
        for frame in frames:
            self._unsent.append(frame)
            self._unsent_bytes += len(frame)
        if self._unsent_bytes > TOGETHER:
            self._flush()

    def _flush(self) -> None:
        writer = self._transport.writer
        if self._unsent and writer is not None and not writer.is_closing():
            writer.write(b"".join(self._unsent))
        self._unsent.clear()
        self._unsent_bytes = 0

    async def room(self) -> None:
        """Wait while the socket is full.

        Raises:
            OSError: the connection was lost.
        """
        tap, writer = self._transport.tap, self._transport.writer
        if tap is not None and writer is not None and tap.full:
            await writer.drain()


class _Transport(TransportFactory):
    """Opens the socket for aiormq, with a `Tap` on it."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self.tap: Tap | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **_: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop, host, port = asyncio.get_running_loop(), url.host, url.port
        assert host is not None  # noqa: S101 - broker.py checks the URL
        assert port is not None  # noqa: S101 - aiormq fills it in
        reader = asyncio.StreamReader(loop=loop)
        self.tap = tap = Tap(reader, loop)
        try:
            transport, _protocol = await loop.create_connection(
                lambda: tap, host, port, ssl=self._context
            )
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        self.writer = asyncio.StreamWriter(transport, tap, reader, loop)
        return reader, self.writer
