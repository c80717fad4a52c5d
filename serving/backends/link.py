"""Send questions to one worker, and take its answers: the front's end of the socket."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from serving.backends.base import Unavailable
from serving.worker import framing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from serving.backends.queue import Ticket
    from serving.worker.framing import Frame

GROUPS = 2
"""Groups of requests in the worker: the current group, and the next, so that the worker never
waits."""

PIECE = 256 * 1024
"""Bytes handed to the socket at a time: the event loop runs between two pieces."""


class WorkerGone(Unavailable):
    """The worker is not running."""


class Link(asyncio.Protocol):
    """A connection to one worker.

    `on_news` gets frames that answer no request, `on_room` is called when a group is answered;
    `lost` is set at the end. No answer can harm the link: an answer for which no request waits is
    dropped. An exception in data_received would make the event loop close the socket, and thereby
    end the worker.
    """

    def __init__(self, on_news: Callable[[Frame], None], on_room: Callable[[], None]) -> None:
        self._on_news, self._on_room = on_news, on_room
        self._loop = asyncio.get_running_loop()
        self._decoder = framing.FrameDecoder()
        self._transport: asyncio.WriteTransport | None = None
        self._asked: dict[int, Ticket] = {}
        self._groups: list[set[int]] = []
        self._last = 0
        self._suspects = False
        self._heard = 0.0
        self._unsent: deque[bytes | memoryview] = deque()
        self._full = False
        self.call: frozenset[int] | None = None
        """The requests of the model's current call; None: no call is under way."""
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Hand each answer to the request that waits for it, if one still does."""
        self._heard = self._loop.time()
        for frame in self._decoder.feed(data):
            if frame.kind == framing.CALLING:
                ids = framing.unpack_ids(frame.payload)
                self.call = frozenset(ids) if ids is not None else None
                self._note_call(ids or ())
            elif frame.id == 0:
                if frame.kind == framing.BATCH:
                    self._note_end(framing.unpack_batch(frame.payload)[2])
                    self.call = None
                self._on_news(frame)
            elif frame.kind == framing.DEADLINE:
                self._shorten(frame)
            else:
                self._answered(frame)

    def pause_writing(self) -> None:
        """Wait until the worker has read more of its input."""
        self._full = True

    def resume_writing(self) -> None:
        """Continue to send."""
        self._full = False
        self._send_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Report that no answer will come."""
        self._transport = None
        self.lost.set()

    @property
    def has_room(self) -> bool:
        """Whether another group can be sent; a suspected request is sent alone."""
        if self._transport is None or self._transport.is_closing():
            return False
        return len(self._groups) < (1 if self._suspects else GROUPS)

    @property
    def is_idle(self) -> bool:
        """Whether the worker has no unanswered requests."""
        return not self._groups

    def silent_for(self) -> float:
        """Return how many seconds the worker has been silent although it has work."""
        busy = self.call is not None or self._groups
        return self._loop.time() - self._heard if busy else 0.0

    def send(self, group: list[Ticket]) -> None:
        """Send these requests to the worker."""
        if self._transport is None:
            raise WorkerGone("the model's process is not running")
        if self.is_idle:
            self._heard = self._loop.time()
        self._suspects = any(ticket.suspect for ticket in group)
        ids: set[int] = set()
        parts: list[bytes] = []
        for ticket in group:
            self._last += 1
            self._asked[self._last] = ticket
            ids.add(self._last)
            parts += (framing.head(self._last, ticket.kind, ticket.size), *ticket.payload)
        self._groups.append(ids)
        if sum(map(len, parts)) < PIECE:
            parts = [b"".join(parts)]
        self._unsent += parts
        self._send_on()

    def forget(self, ticket: Ticket) -> None:
        """Cancel a request for which no client waits any longer.

        The worker leaves out a request that it has not begun, and reports that; the answer to a
        request that it has begun is dropped.
        """
        found = next((id_ for id_, each in self._asked.items() if each is ticket), None)
        if found is not None and self._transport is not None:
            self._unsent.append(framing.pack(found, framing.CANCEL))
            self._send_on()

    def unanswered(self) -> tuple[list[Ticket], frozenset[Ticket]]:
        """Return the unanswered requests, in order, and those that the worker may have died of.

        The latter are the requests of the current call; without a call the worker was reading, and
        any of its requests may have been the cause.
        """
        ids = self.call if self.call is not None else frozenset(self._asked)
        started = frozenset(ticket for id_, ticket in self._asked.items() if id_ in ids)
        return list(self._asked.values()), started

    def _send_on(self) -> None:
        """Send the outgoing data as far as the socket takes it, without copying large pieces."""
        while self._unsent and not self._full and self._transport is not None:
            part = memoryview(self._unsent.popleft())
            if len(part) > PIECE:
                self._unsent.appendleft(part[PIECE:])
            self._transport.write(part[:PIECE])

    def close(self) -> None:
        """Close the socket, which ends the worker."""
        if self._transport is not None:
            self._transport.close()

    def _note_call(self, ids: Iterable[int]) -> None:
        now = time.perf_counter()
        for id_ in ids:
            if (ticket := self._asked.get(id_)) is not None:
                ticket.called = now

    def _note_end(self, seconds: float) -> None:
        latest = time.perf_counter() - seconds  # the frame of the call may have been read late
        for id_ in self.call or ():
            if (ticket := self._asked.get(id_)) is not None:
                ticket.called = min(ticket.called, latest)
                ticket.predicted = seconds

    def _shorten(self, frame: Frame) -> None:
        ticket = self._asked.get(frame.id)
        if ticket is not None and ticket.deadline is not None and not ticket.answer.done():
            ticket.deadline.shorten(framing.unpack_seconds(frame.payload))

    def _answered(self, frame: Frame) -> None:
        ticket = self._asked.pop(frame.id, None)
        if ticket is not None and not ticket.answer.done() and frame.kind != framing.LEFT_OUT:
            ticket.answer.set_result(frame)
        for group in self._groups:
            if frame.id in group:
                group.discard(frame.id)
                if not group:
                    self._groups.remove(group)
                    self._on_room()
                return
