"""Accept connections on listening sockets, within limits for all of them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Any

    from serving.protocols.answer import Answer

Headers = list[tuple[bytes, bytes]]
SWEEP_SECONDS = 0.5


class Limits(NamedTuple):
    """The limits for clients, in bytes, seconds and numbers.

    Attributes:
        body: bytes of one body.
        held: bytes of all bodies that were not answered yet.
        head: bytes of a request's head, and of anything else between two pieces of a body.
        headers: fields of one head.
        head_seconds: from the first byte of a head to its last.
        idle_seconds: between two requests; longer than gateways keep idle connections (Traefik: 90
            s), else a gateway may send its request into a connection that was just closed.
        connections: open at once.
        grace: seconds before `rate` applies.
        rate: bytes a second that a body, or the client's reading of an answer, must make on
            average.
    """

    body: int
    held: int
    head: int = 65_536
    headers: int = 100
    head_seconds: float = 10.0
    idle_seconds: float = 150.0
    connections: int = 1_000
    grace: float = 30.0
    rate: int = 50_000


class Request(NamedTuple):
    """A whole request; its path as received, percent-encoded."""

    method: bytes
    path: bytes
    query: bytes
    headers: Headers
    body: bytes

    def header(self, name: bytes) -> bytes:
        """Return the value of the first header `name` (lower case), empty if there is none."""
        return next((value for key, value in self.headers if key == name), b"")


class Refused(Exception):  # noqa: N818 - it is an answer
    """The server refuses a request; carries the status of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def too_large(limit: int) -> Refused:
    """Build the refusal of a body of more than `limit` bytes."""
    return Refused(413, f"the body is larger than {limit} bytes, the most that is taken")


class Application(Protocol):
    """Answers requests."""

    def answer(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        """Answer at once, or return a coroutine, which is cancelled if the client leaves."""

    def refuse(self, path: bytes, status: int, message: str) -> Answer:
        """Answer for a refused request, in the protocol of `path`."""


class Connection(Protocol):
    """A connection, as its listener sees it."""

    def check_timeouts(self, now: float) -> None:
        """End the connection if it has taken too long."""

    def close_if_idle(self) -> None:
        """Close the connection unless it is being asked something."""

    def abort(self) -> None:
        """Close the connection at once."""


class Listener:
    """Listening sockets and their connections."""

    def __init__(
        self,
        application: Application,
        limits: Limits,
        connect: Callable[[Listener], asyncio.Protocol],
    ) -> None:
        self.application, self.limits, self._connect = application, limits, connect
        self.connections: set[Connection] = set()
        self.held = 0
        self.draining = False
        """Whether connections end with the next answer, so that clients go elsewhere."""
        self._servers: list[asyncio.Server] = []
        self._sockets: list[socket.socket] = []
        self._sweeper: asyncio.Task[None] | None = None

    async def open(self, sockets: Iterable[socket.socket]) -> None:
        """Begin to accept connections."""
        loop = asyncio.get_running_loop()
        self._sockets = list(sockets)
        for each in self._sockets:
            self._servers.append(await loop.create_server(partial(self._connect, self), sock=each))
        self._sweeper = loop.create_task(self._sweep())

    async def close(self, seconds: float) -> None:
        """Stop accepting, wait at most `seconds` for answers under way, and end the rest."""
        self.draining = True
        for server in self._servers:
            server.close()
        for each in self._sockets:
            each.close()
        for connection in list(self.connections):
            connection.close_if_idle()
        deadline = asyncio.get_running_loop().time() + seconds
        while self.connections and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _sweep(self) -> None:
        """Check all connections for timeouts now and then: cheaper than a timer for each."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            for connection in list(self.connections):
                connection.check_timeouts(now)
