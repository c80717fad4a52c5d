"""Send requests to one HTTP/1.1 server, on connections that are kept.

For requests of the front on loopback: no TLS, no redirects, no proxies, no compression.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools

IDLE = 64
"""The most idle connections that are kept."""


class Response(NamedTuple):
    """A whole response."""

    status: int
    content_type: bytes
    body: bytes


class Gone(ConnectionError):  # noqa: N818 - named for what happened
    """No server listens there, or the connection ended before the response was whole."""


class _Connection(asyncio.Protocol):
    """A connection, with at most one request under way."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Response] | None = None
        self._reset()

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._type, self._parts = b"", list[bytes]()
        self.untouched = True
        """Whether no byte of an answer has come yet."""

    @property
    def usable(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes) -> Response:
        """Send a request, and return its response.

        Raises:
            Gone: the connection ended before the response was whole.
        """
        if self._transport is None:
            raise Gone("the connection is closed")
        self._reset()
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        finally:
            if not self._waiting.done() or self._waiting.cancelled():
                self.abort()  # no request waits for an answer that still comes

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Feed the parser; data that the parser rejects ends the connection."""
        self.untouched = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"it does not speak HTTP: {error}")
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Fail the request that waits."""
        self._transport = None
        self._fail("the connection was closed before the response was whole")

    def _fail(self, why: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Gone(why))

    # -- the parser's side

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the content type."""
        if name.lower() == b"content-type":
            self._type = value

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Hand the response to the request that waits."""
        if self._waiting is None or self._waiting.done():
            return
        status = self._parser.get_status_code()
        if not self._parser.should_keep_alive() and self._transport is not None:
            self._transport.close()
        self._waiting.set_result(Response(status, self._type, b"".join(self._parts)))


class Client:
    """A client of one server, such as http://127.0.0.1:8501, on as many connections as needed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._authority = parts.netloc.encode("ascii")
        self._idle: list[_Connection] = []

    async def ask(
        self, method: str, target: bytes, body: bytes = b"", kind: bytes = b"application/json"
    ) -> Response:
        """Send a request, and return its response.

        A kept connection that the server has closed is replaced: no request here changes anything
        at the server, so that each may be sent twice. For a time limit, cancel the call.

        Args:
            method: the HTTP method.
            target: path and query, percent-encoded.
            body: of a POST.
            kind: the body's content type.

        Raises:
            Gone: no server listens, or the connection ended before the response was whole.
        """
        head = [b"%s %s HTTP/1.1" % (method.encode("ascii"), target), b"host: " + self._authority]
        if method == "POST":
            head += [b"content-type: " + kind, b"content-length: %d" % len(body)]
        request = b"\r\n".join([*head, b"", body])
        while True:
            kept = self._reuse()
            connection = kept or await self._connect()
            try:
                response = await connection.exchange(request)
            except Gone:
                if kept is not None and kept.untouched:
                    continue
                raise
            if connection.usable and len(self._idle) < IDLE:
                self._idle.append(connection)
            else:
                connection.abort()
            return response

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().abort()

    def _reuse(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            _, made = await loop.create_connection(_Connection, self._host, self._port)
        except OSError as error:
            raise Gone(f"nobody listens at {self._host}:{self._port}") from error
        return made
