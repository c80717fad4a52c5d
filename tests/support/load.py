"""Requests to a model at a steady rate, whose client costs little beside what it asks."""

from __future__ import annotations

import select
import socket
import threading
import time
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Self
from urllib.parse import urlsplit

BODY = b'{"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}'
PATH = "invocations"
SECONDS = 60.0
"""To connect, and for each part of an answer."""


@dataclass(frozen=True)
class Answer:
    at: float
    status: int
    version: str
    body: str


class Answered:
    """What a load was answered."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    @property
    def failed(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status != 200]

    def versions(self) -> set[str]:
        return {answer.version for answer in self.answers if answer.status == 200}


class Load(Answered):
    """Requests at a steady rate from several connections, and one of each after it is told to stop.

    What a test has seen before it leaves the block, the last answers show.
    """

    def __init__(
        self,
        url: str,
        rate: float = 50,
        connections: int = 4,
        path: str = PATH,
        body: bytes = BODY,
    ) -> None:
        super().__init__()
        self._url, self._body = f"{url}{path}", body
        self._stop = threading.Event()
        self._pause = connections / rate
        self._threads = [threading.Thread(target=self._ask) for _ in range(connections)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        connection = _Connection(self._url, self._body)
        following = time.monotonic()
        last = False
        while not last:
            last = self._stop.is_set()
            self.answers.append(connection.ask())
            following = max(following + self._pause, time.monotonic())
            self._stop.wait(following - time.monotonic())
        connection.close()


class _Connection:
    """A connection that is kept, and made anew where the other side has closed it meanwhile.

    It asks always the same, in one write: an HTTP client for everything costs five times as much.
    """

    def __init__(self, url: str, body: bytes) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._request = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        self._socket: socket.socket | None = None

    def ask(self) -> Answer:
        try:
            if self._socket is None or _is_over(self._socket):
                self._connect()
            return self._exchange()
        except (OSError, HTTPException) as error:
            self.close()
            return Answer(time.time(), 0, "", repr(error))

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def _connect(self) -> None:
        self.close()
        self._socket = socket.create_connection(self._address, SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _exchange(self) -> Answer:
        assert self._socket
        self._socket.sendall(self._request)
        with HTTPResponse(self._socket, method="POST") as answer:
            answer.begin()
            body = answer.read().decode(errors="replace")
            version = answer.headers.get("x-schnitzel-model-version", "")
            if answer.will_close:
                self.close()
        return Answer(time.time(), answer.status, version, body[:300])


def _is_over(connection: socket.socket) -> bool:
    """Whether the other side has closed a connection on which nothing is asked."""
    return bool(select.select([connection], [], [], 0)[0])
