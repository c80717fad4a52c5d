"""Speak HTTP/1.1 with clients: parse requests, have the application answer, write the answers.

Everything that a client can make large, many or slow has a limit here, and each limit its status
and its message. llhttp (httptools) parses strictly; this module adds the limits and checks that
llhttp lacks. https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING

import httptools

from serving.front import head
from serving.front.listener import Headers, Refused, Request, too_large
from serving.front.response import CONTINUE, response
from serving.protocols.answer import Answer

if TYPE_CHECKING:
    from serving.front.listener import Listener

MIB = 2**20
PIPELINED = 100
"""Requests of one connection that may wait for the answer before theirs."""
PARTS = 16_384
"""Pieces of a body that are kept as received; a piece of two bytes takes twenty times its size."""
TURNED_AWAY = 100
"""Connections beyond the limit that still get an answer; further ones are closed without an
answer."""


class _Phase(Enum):
    IDLE = auto()  # no byte of a request has come
    HEAD = auto()
    BODY = auto()
    DEAF = auto()  # the connection is closing: further input is discarded


class Connection(asyncio.Protocol):
    """A connection; its requests are answered one after the other."""

    def __init__(self, listener: Listener) -> None:
        self._listener, self._limits = listener, listener.limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._phase = _Phase.IDLE
        self._since = self._loop.time()
        self._silent = 0
        self._received = 0
        self._waiting: deque[tuple[Request | Answer, bool]] = deque()
        """Requests, or refusals in their place; and whether the connection goes on after each."""
        self._task: asyncio.Task[Answer] | None = None
        self._refused = b""
        """Method of the request that was refused."""
        self._held = 0
        self._writing: tuple[float, int] | None = None
        """Since when, and how many bytes, the client has not read."""
        self._clear()

    def _clear(self) -> None:
        self._target = self._method = b""
        self._expects = False
        self._headers: Headers = []
        self._parts: list[bytes] = []
        self._size = 0

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection, unless there are too many."""
        self._transport = transport  # type: ignore[assignment]
        beyond = len(self._listener.connections) - self._limits.connections
        if beyond >= TURNED_AWAY:
            self.abort()
            return
        self._listener.connections.add(self)
        if beyond >= 0:
            self._refuse(503, "there are too many connections: try again")
            self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Drop the connection and its requests."""
        self._transport = None
        self._listener.connections.discard(self)
        self._release(self._held)
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse the data, in pieces so small that no head can grow beyond its limit."""
        view = memoryview(data)
        while view and self._phase is not _Phase.DEAF:
            room = self._limits.head // 8  # in a body, too: a head may follow in the same piece
            piece, view = view[:room], view[room:]
            self._silent += len(piece)
            try:
                self._parser.feed_data(piece)
                self._check_silence()
            except httptools.HttpParserError as error:
                found = error.__context__  # what a callback raised, if one did
                text = f"this is not an HTTP/1.1 request: {error}"
                refused = found if isinstance(found, Refused) else Refused(400, text)
                self._refuse(refused.status, str(refused))
            except Refused as refused:
                self._refuse(refused.status, str(refused))
        if self._phase is _Phase.DEAF:
            self._received += len(view)
            if self._received > 4 * self._limits.body + MIB:
                self.abort()
                return
        self._go_on()

    def pause_writing(self) -> None:
        """Note that the client reads more slowly than the server writes."""
        assert self._transport is not None  # noqa: S101 - the transport calls this
        self._writing = self._loop.time(), self._transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        """Note that the client has read nearly all."""
        self._writing = None

    # -- the parser's side

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._clear()
        self._phase, self._since, self._silent = _Phase.HEAD, self._loop.time(), 0

    def on_url(self, url: bytes) -> None:
        """Keep a piece of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; a trailer is counted and dropped."""
        if len(self._headers) >= self._limits.headers:
            raise Refused(431, f"the request has more than {self._limits.headers} headers")
        self._headers.append((name.lower() if self._phase is _Phase.HEAD else b"", value))

    def on_headers_complete(self) -> None:
        """Check the head before the body is read."""
        if self._silent >= self._limits.head // 2:  # its first and last piece are not counted
            head.raise_if_large(self._target, self._headers, self._limits.head)
        self._phase, self._silent = _Phase.BODY, 0
        self._since, self._received = self._loop.time(), 0
        self._method = self._parser.get_method()
        if self._parser.should_upgrade():
            raise Refused(400, "the protocol cannot be changed: send neither Upgrade nor CONNECT")
        framing = head.framing(self._parser.get_http_version(), self._headers)
        self._target = head.origin_form(self._method, self._target)
        self._take(framing.length, declared=True)
        self._expects = framing.expects

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._silent, self._expects = 0, False
        self._received += len(body)
        self._take(len(body))
        self._parts.append(body)
        if len(self._parts) > PARTS:
            self._parts = [b"".join(self._parts)]

    def on_message_complete(self) -> None:
        """Put the request into its connection's queue."""
        if len(self._waiting) >= PIPELINED:
            raise Refused(400, f"more than {PIPELINED} requests were sent before an answer")
        path, _, query = self._target.partition(b"?")
        request = Request(self._method, path, query, self._headers, b"".join(self._parts))
        self._waiting.append((request, self._parser.should_keep_alive()))
        self._phase, self._since, self._silent = _Phase.IDLE, self._loop.time(), 0
        self._clear()  # the request owns the parts now

    def _take(self, size: int, *, declared: bool = False) -> None:
        """Reserve room for `size` bytes of a body, or refuse it; only check a declared length."""
        limit, listener = self._limits, self._listener
        if self._size + size > limit.body:
            raise too_large(limit.body)
        if listener.held + size > limit.held:
            raise Refused(503, "too many requests wait for their answer: try again")
        if not declared:
            self._size += size
            self._held += size
            listener.held += size

    def _check_silence(self) -> None:
        if self._silent >= self._limits.head and self._phase is _Phase.BODY:
            raise Refused(400, "the chunks of the body carry too much beside it")
        if self._silent >= self._limits.head:
            raise head.too_large(self._limits.head)

    # -- answering

    @property
    def _busy(self) -> bool:
        return self._task is not None or bool(self._waiting)

    def _refuse(self, status: int, message: str) -> None:
        """Answer in place of a refused request, and close after the answer."""
        path = self._target.partition(b"?")[0]
        self._waiting.append((self._listener.application.refuse(path, status, message), False))
        self._phase, self._received, self._refused = _Phase.DEAF, 0, self._method
        self._release(self._size)
        self._clear()

    def _go_on(self) -> None:
        """Answer waiting requests until an answer takes time; read on while no request waits."""
        while self._task is None and self._waiting and self._transport is not None:
            next_, keep = self._waiting.popleft()
            if isinstance(next_, Answer):
                self._send(next_, self._refused, keep=keep)
                continue
            answer = self._listener.application.answer(next_)
            if isinstance(answer, Answer):
                self._send(answer, next_.method, keep=keep, size=len(next_.body))
                continue
            self._task = self._loop.create_task(answer)
            self._task.add_done_callback(partial(self._answered, request=next_, keep=keep))
        if self._transport is None or self._transport.is_closing():
            return
        if self._expects and self._phase is _Phase.BODY and not self._busy:
            self._expects = False
            self._transport.write(CONTINUE)
        if self._waiting and self._transport.is_reading():
            self._transport.pause_reading()
        elif not self._waiting and not self._transport.is_reading():
            self._since = self._loop.time()  # until now the server did not read
            self._transport.resume_reading()

    def _answered(self, task: asyncio.Task[Answer], request: Request, *, keep: bool) -> None:
        self._task = None
        if task.cancelled() or self._transport is None:
            return
        self._send(task.result(), request.method, keep=keep, size=len(request.body))
        self._go_on()

    def _send(self, answer: Answer, method: bytes, *, keep: bool, size: int = 0) -> None:
        assert self._transport is not None  # noqa: S101 - the callers looked
        self._release(size)
        keep = keep and not self._listener.draining
        for part in response(answer, method, keep=keep):
            self._transport.write(part)
        self._since = self._loop.time()
        if not keep:
            self._waiting.clear()
            self._close()

    def _close(self) -> None:
        """Close after the answer is read: a client that is cut off while it sends reads none."""
        if self._transport is None:
            return
        unfinished = self._phase in (_Phase.HEAD, _Phase.BODY, _Phase.DEAF)
        if unfinished and self._transport.can_write_eof():
            self._phase, self._received = _Phase.DEAF, 0
            self._transport.write_eof()
        else:
            self._transport.close()

    def _release(self, size: int) -> None:
        self._held -= size
        self._listener.held -= size

    # -- time

    def check_timeouts(self, now: float) -> None:
        """End the connection if the client is too slow."""
        limits = self._limits
        if (
            self._writing is not None
            and now > self._writing[0] + limits.grace + self._writing[1] / limits.rate
        ):
            self.abort()  # the client does not read its answer
            return
        if self._waiting:
            return  # the server does not read while requests wait
        waited = now - self._since
        match self._phase:
            case _Phase.HEAD if waited > limits.head_seconds:
                self._refuse(408, f"the head was not whole within {limits.head_seconds:g} s")
            case _Phase.BODY if waited > limits.grace + self._received / limits.rate:
                self._refuse(408, "the body came too slowly")
            case _Phase.IDLE if not self._busy and waited > limits.idle_seconds:
                self.abort()
            case _Phase.DEAF if not self._busy and waited > limits.grace:
                self.abort()
        self._go_on()

    def close_if_idle(self) -> None:
        """Close the connection unless a request is under way."""
        if self._phase is _Phase.IDLE and not self._busy and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()
