"""Questions for the worker go in; futures of its answers come out.

The front's end of the socket, on the event loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from serving.backends.base import Unavailable
from serving.worker import framing

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.worker.framing import Frame


class WorkerGone(Unavailable):
    """The worker ended before it answered, or is not there."""


class Link(asyncio.Protocol):
    """One connection to one worker.

    `on_news` gets frames that answer no request; `lost` is set at the end.

    No answer can harm it: one whose request has gone (the client left, the time was up) is dropped.
    An exception in data_received would make the event loop close the socket, and with it end the
    worker.
    """

    def __init__(self, on_news: Callable[[Frame], None]) -> None:
        self._on_news = on_news
        self._cutter = framing.Cutter()
        self._waiting: dict[int, asyncio.Future[Frame]] = {}
        self._transport: asyncio.WriteTransport | None = None
        self._last = 0
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Hand each answer to the request that waits for it, if one still does."""
        for frame in self._cutter.feed(data):
            if frame.id == 0:
                self._on_news(frame)
                continue
            future = self._waiting.pop(frame.id, None)
            if future is not None and not future.done():
                future.set_result(frame)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell everybody who waits that no answer will come."""
        self._transport = None
        self.lost.set()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(WorkerGone("the model's process ended before it answered"))

    async def ask(self, kind: int, payload: bytes, seconds: float) -> Frame:
        """Return the worker's answer, waited for `seconds` at most.

        Raises TimeoutError (and tells the worker to forget it) or WorkerGone.
        """
        if self._transport is None or self._transport.is_closing():
            raise WorkerGone("the model's process is not running")
        self._last += 1
        request_id = self._last
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        self._transport.write(framing.pack(request_id, kind, payload))
        try:
            async with asyncio.timeout(seconds):
                return await future
        finally:
            # Not answered: the time was up or the client's task was cancelled; nobody needs it now.
            if self._waiting.pop(request_id, None) is not None and self._transport is not None:
                self._transport.write(framing.pack(request_id, framing.CANCEL))

    def close(self) -> None:
        """Close the socket; the worker ends."""
        if self._transport is not None:
            self._transport.close()
