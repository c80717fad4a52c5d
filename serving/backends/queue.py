"""Hold requests until the worker has room: bounded, in order, each within its time limit.

Pure but for the futures: no socket, no clock.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from serving.backends.base import Deadline, Unavailable

if TYPE_CHECKING:
    import asyncio

    from serving.worker.framing import Frame, Payload

MOST = 1_000
"""Number of requests that may wait."""
GROUP_BYTES = 4 * 2**20
"""Bytes sent to the worker at a time, if that is more than one request."""
DEATHS = 2
"""Deaths of the model's process in calls of one request, after which the request is refused."""
REMEMBERED = 100


class Overloaded(Unavailable):
    """Too many requests wait already."""


class PoisonRequest(Exception):  # noqa: N818 - named for what it is
    """The model's process died of this request, twice."""


@dataclass(eq=False, slots=True)
class Ticket:
    """A request on its way to the worker and back.

    Attributes:
        answer: the future answer; done once the request is answered, or its client has gone.
        deadline: the time limit of the answer, if any.
        alone: whether nothing else is asked with it: it may have ended a server before.
        deaths: how often the model's process died while it worked on this request.
        called: when the model was called (time.perf_counter), 0 before.
        predicted: seconds that the model took.
    """

    kind: int
    payload: Payload = field(repr=False)
    answer: asyncio.Future[Frame]
    deadline: Deadline | None = None
    alone: bool = False
    deaths: int = 0
    called: float = 0.0
    predicted: float = 0.0

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return sum(map(len, self.payload))

    @property
    def suspect(self) -> bool:
        """Whether the worker may die of it, so that it is asked alone."""
        return self.alone or self.deaths > 0


class Queue:
    """Requests that wait, oldest first.

    Args:
        most_bytes: of all waiting requests together.
        group: the most requests that are taken at a time.
    """

    def __init__(self, most_bytes: int, group: int, most: int = MOST) -> None:
        self._most, self._most_bytes, self._group = most, most_bytes, group
        self._tickets: deque[Ticket] = deque()
        self.bytes = 0
        self._poison: OrderedDict[tuple[int, bytes], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def suspects_next(self) -> bool:
        """Whether the worker may die of the next request, which must be asked alone."""
        while self._tickets and self._tickets[0].answer.done():
            self._remove_first()
        return bool(self._tickets and self._tickets[0].suspect)

    def put(self, ticket: Ticket) -> None:
        """Add a request at the end.

        Raises:
            Overloaded: there is no room; the client learns of it at once.
            PoisonRequest: an equal request has ended the model's process twice.
        """
        if self._poison and self._is_poison(ticket):
            raise PoisonRequest
        if len(self._tickets) >= self._most or (
            self.bytes + ticket.size > self._most_bytes and self._tickets
        ):
            raise Overloaded(f"{len(self._tickets)} requests wait already")
        self._tickets.append(ticket)
        self.bytes += ticket.size

    def take(self) -> list[Ticket]:
        """Remove and return the next requests: a group, or one suspected request."""
        group: list[Ticket] = []
        size = 0
        while self._tickets and len(group) < self._group:
            first = self._tickets[0]
            if not first.answer.done():
                if group and (first.suspect or size + first.size > GROUP_BYTES):
                    break
                group.append(first)
                size += first.size
            self._remove_first()
            if first.suspect and group:
                break
        return group

    def forget(self, ticket: Ticket) -> None:
        """Drop a request for which no client waits any longer."""
        if ticket not in self._tickets:  # remove would write down all of it, to say so
            return
        self._tickets.remove(ticket)
        self.bytes -= ticket.size

    def put_back(self, tickets: list[Ticket], started: frozenset[Ticket]) -> None:
        """Take back, at the front, the requests that a dead worker has not answered.

        Requests of the call that the worker died in are asked again, each alone. A request that was
        asked alone before is refused, and so is any equal request.
        """
        for ticket in reversed(tickets):
            if ticket.answer.done():
                continue
            ticket.deaths += ticket in started
            if ticket.deaths >= DEATHS:
                self._poison[ticket.size, _name(ticket)] = None
                while len(self._poison) > REMEMBERED:
                    self._poison.popitem(last=False)
                ticket.answer.set_exception(PoisonRequest())
                continue
            self._tickets.appendleft(ticket)
            self.bytes += ticket.size

    def fail(self, error: Exception) -> None:
        """Fail every request that waits with `error`."""
        while self._tickets:
            ticket = self._remove_first()
            if not ticket.answer.done():
                ticket.answer.set_exception(error)

    def _is_poison(self, ticket: Ticket) -> bool:
        size = ticket.size
        alike = {name for poison, name in self._poison if poison == size}
        return bool(alike) and _name(ticket) in alike

    def _remove_first(self) -> Ticket:
        ticket = self._tickets.popleft()
        self.bytes -= ticket.size
        return ticket


def _name(ticket: Ticket) -> bytes:
    name = hashlib.blake2b(digest_size=16, salt=bytes([ticket.kind]))
    for part in ticket.payload:
        name.update(part)
    return name.digest()
