"""Keep an HTTP server busy from one process, and note how long each answer took."""

import asyncio
import time
from dataclasses import dataclass, field

import httptools
import uvloop


def post(path: str, body: bytes) -> bytes:
    """Return the bytes of a POST of JSON."""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body


@dataclass
class Taken:
    """What a load took: seconds of each answer, by its status, and of all together."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    whole: float = 0.0

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.seconds) / self.whole

    def quantile(self, share: float) -> float:
        """Return the milliseconds that this share of the good answers took at most."""
        ordered = sorted(self.seconds)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1000


class _Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, request: bytes, until: float, taken: Taken) -> None:
        self._request, self._until, self._taken = request, until, taken
        self._parser = httptools.HttpResponseParser(self)
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Read the answer."""
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """End with it."""
        if not self.done.done():
            self.done.set_result(None)

    def on_message_complete(self) -> None:
        """Note it, and ask again."""
        now = time.perf_counter()
        if self._parser.get_status_code() == 200:
            self._taken.seconds.append(now - self._began)
        else:
            self._taken.refused += 1
        if now < self._until:
            self._ask()
        else:
            self._transport.close()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._request)  # type: ignore[attr-defined]


def load(port: int, request: bytes, connections: int, seconds: float) -> Taken:
    """Keep so many connections to a port busy for so long."""

    async def run() -> Taken:
        taken, begin = Taken(), time.perf_counter()
        loop = asyncio.get_running_loop()
        clients = []
        for _ in range(connections):
            _, client = await loop.create_connection(
                lambda: _Client(request, begin + seconds, taken), "127.0.0.1", port
            )
            clients.append(client.done)
        await asyncio.gather(*clients)
        taken.whole = time.perf_counter() - begin
        return taken

    return uvloop.run(run())
