"""Send questions to one worker, and take its answers. The front's end of the socket."""

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
"""Groups of requests in the worker: one that it works on, and the next, so that it never waits."""

PIECE = 256 * 1024
"""Bytes that are handed to the socket at a time: the event loop goes on between two of them."""


class WorkerGone(Unavailable):
    """The worker is not there."""


class Link(asyncio.Protocol):
    """One connection to one worker.

    `on_news` gets frames that answer no request, `on_room` is called when a group is answered;
    `lost` is set at the end. No answer can harm it: one that nobody waits for is dropped. An
    exception in data_received would make the event loop close the socket, and with it end the
    worker.
    """

    def __init__(self, on_news: Callable[[Frame], None], on_room: Callable[[], None]) -> None:
        self._on_news, self._on_room = on_news, on_room
        self._loop = asyncio.get_running_loop()
        self._cutter = framing.Cutter()
        self._transport: asyncio.WriteTransport | None = None
        self._asked: dict[int, Ticket] = {}
        self._groups: list[set[int]] = []
        self._last = 0
        self._suspects = False
        self._heard = 0.0
        self._unsent: deque[bytes | memoryview] = deque()
        self._full = False
        self.call: frozenset[int] | None = None
        """The requests of the call of the model that is under way; None: there is none."""
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Hand each answer to the request that waits for it, if one still does."""
        self._heard = self._loop.time()
        for frame in self._cutter.feed(data):
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
        """Wait until the worker has read what it was sent."""
        self._full = True

    def resume_writing(self) -> None:
        """Send on."""
        self._full = False
        self._send_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Say that no answer will come."""
        self._transport = None
        self.lost.set()

    @property
    def has_room(self) -> bool:
        """Whether another group can be sent; none beside one that is suspected."""
        if self._transport is None or self._transport.is_closing():
            return False
        return len(self._groups) < (1 if self._suspects else GROUPS)

    @property
    def is_idle(self) -> bool:
        """Whether the worker has been asked nothing."""
        return not self._groups

    def silent_for(self) -> float:
        """Return how many seconds the worker has said nothing, though it has something to do."""
        busy = self.call is not None or self._groups
        return self._loop.time() - self._heard if busy else 0.0

    def send(self, group: list[Ticket]) -> None:
        """Ask the worker these requests."""
        if self._transport is None:
            raise WorkerGone("the model's process is not running")
        if self.is_idle:
            self._heard = self._loop.time()
        self._suspects = any(ticket.deaths for ticket in group)
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
        """Tell the worker that nobody waits for a request any longer.

        What it has not begun it leaves out, and says so; what it has, it answers to nobody.
        """
        found = next((id_ for id_, each in self._asked.items() if each is ticket), None)
        if found is not None and self._transport is not None:
            self._unsent.append(framing.pack(found, framing.CANCEL))
            self._send_on()

    def unanswered(self) -> tuple[list[Ticket], frozenset[Ticket]]:
        """Return what was asked and not answered, in order, and those that it may have died of.

        These are the requests of the call under way; without one it was reading, any of them.
        """
        ids = self.call if self.call is not None else frozenset(self._asked)
        started = frozenset(ticket for id_, ticket in self._asked.items() if id_ in ids)
        return list(self._asked.values()), started

    def _send_on(self) -> None:
        """Send what is to be sent as far as the socket takes it, and copy nothing that is large."""
        while self._unsent and not self._full and self._transport is not None:
            part = memoryview(self._unsent.popleft())
            if len(part) > PIECE:
                self._unsent.appendleft(part[PIECE:])
            self._transport.write(part[:PIECE])

    def close(self) -> None:
        """Close the socket; the worker ends."""
        if self._transport is not None:
            self._transport.close()

    def _note_call(self, ids: Iterable[int]) -> None:
        now = time.perf_counter()
        for id_ in ids:
            if (ticket := self._asked.get(id_)) is not None:
                ticket.called = now

    def _note_end(self, seconds: float) -> None:
        latest = time.perf_counter() - seconds  # word of the call may have been read late
        for id_ in self.call or ():
            if (ticket := self._asked.get(id_)) is not None:
                ticket.called = min(ticket.called, latest)
                ticket.predicted = seconds

    def _shorten(self, frame: Frame) -> None:
        ticket = self._asked.get(frame.id)
        if ticket is not None and ticket.limit is not None and not ticket.answer.done():
            ticket.limit.shorten(framing.unpack_seconds(frame.payload))

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
