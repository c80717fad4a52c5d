"""Says bytes to a model server and reads its answers; asks it whether it is well."""

from __future__ import annotations

import http.client
import json
import os
import socket
from contextlib import suppress
from typing import Any, NamedTuple, Self

from support.run.process import lives
from support.systems.model_server import Server

SECONDS = 60.0


class Said(NamedTuple):
    """An answer. `content` is what it says, if that is JSON."""

    status: int
    body: bytes
    content: Any


class Wire:
    """A connection that says bytes and reads answers, one after the other."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), SECONDS)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def say(self, data: bytes) -> None:
        with suppress(ConnectionError):  # it may have been refused, and closed, in the middle
            self._socket.sendall(data)

    def end(self) -> None:
        """Say no more, but go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def answer(self) -> Said | None:
        """Return the next answer, None if the connection was closed; JSON must be strict."""
        try:
            line = self._file.readline()
            if not line:
                return None
            headers = http.client.parse_headers(self._file)
            body = self._file.read(int(headers["content-length"]))
        except ConnectionError:
            return None
        is_json = headers["content-type"] == "application/json"
        return Said(int(line.split()[1]), body, strict(body) if is_json and body else None)

    def status(self) -> int | None:
        said = self.answer()
        return said.status if said is not None else None


def strict(body: bytes) -> Any:
    """Return what JSON says. Fails for NaN, Infinity and bytes that are not UTF-8."""

    def constant(name: str) -> None:
        raise ValueError(f"{name} is no JSON: {body[:200]!r}")

    return json.loads(body.decode("utf-8"), parse_constant=constant)


class Good:
    """Good requests to one server: each carries a number of its own, which its answer must have."""

    def __init__(self, server: Server) -> None:
        self._model, self._last = server.predictor["model"], 0

    def ask(self) -> tuple[bytes, int]:
        """Return a request, and the number that its answer has to have."""
        self._last += 1
        if self._model == "actor":
            columns = {"act": ["good"], "number": [self._last]}
            body = json.dumps({"inputs": columns}).encode()
            return request(b"/invocations", body), self._last
        tensor = {"name": "x", "datatype": "INT8", "shape": [1], "data": [1]}
        body = json.dumps({"id": str(self._last), "inputs": [tensor]}).encode()
        return request(b"/v2/models/%b/infer" % self._model.encode(), body), self._last

    def is_of(self, said: Said | None, number: int) -> bool:
        """Whether an answer is that of the request with this number."""
        if said is None or said.status != 200:
            return False
        if self._model == "actor":
            return bool(said.content["predictions"][0]["number"] == number)
        return bool(said.content["id"] == str(number))

    def is_answered(self, wire: Wire) -> bool:
        """Ask one, on a connection."""
        sent, number = self.ask()
        wire.say(sent)
        return self.is_of(wire.answer(), number)


def request(path: bytes, body: bytes, kind: bytes = b"application/json") -> bytes:
    """Return a whole POST."""
    head = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
    return head % (path, kind, len(body)) + body


class Lives(NamedTuple):
    """The processes of a server, and how often one was replaced."""

    front: int
    worker: int
    restarts: int


def lives_of(server: Server) -> Lives:
    """Return a server's processes; fails if one of them is gone."""
    state = server.state
    assert server.popen.poll() is None, server.log[-2_000:]
    assert lives(state["worker_pid"]), server.log[-2_000:]
    os.kill(state["pid"], 0)
    return Lives(state["pid"], state["worker_pid"], state["restarts"])
