"""Proxies that can be told to misbehave, in front of a real server; a server that says nothing."""

from __future__ import annotations

import json
import re
import socket
import threading
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx


class FaultProxy(ABC):
    """A server on loopback that hands each request to `answer`.

    Attributes:
        url: where it listens.
        hold: requests for a path that matches this wait until it is taken back, or the end.
        held: says that one waits, or did.
        down: drop every connection.
    """

    def __init__(self) -> None:
        self.hold: re.Pattern[str] | None = None
        self.held = threading.Event()
        self.down = False
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                pause = threading.Event()
                while (hold := proxy.hold) and hold.search(self.path) and not proxy.down:
                    proxy.held.set()
                    pause.wait(0.02)
                proxy.answer(self, body)

            do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = _any  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @abstractmethod
    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Answer a request, or drop it."""

    def close(self) -> None:
        self.down = True
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class FaultyProxy(FaultProxy):
    """Forwards to `upstream`; `mode` is ok, refuse, error, empty, half or nonsense.

    `upstream` may become another server's address meanwhile. `spoiled` counts what was not
    answered as the upstream would.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.mode = "ok"
        self.spoiled = 0
        self._client = httpx.Client(timeout=30, trust_env=False)
        super().__init__()

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Forward a request, and spoil the answer in the way of `mode`."""
        if self.down or self.mode == "refuse":
            self.spoiled += 1
            drop(request)
            return
        if self.mode == "error":
            self.spoiled += 1
            reply(request, 500, b"<html>Internal Server Error</html>")
            return
        headers = {"Content-Type": request.headers.get("Content-Type") or "text/plain"}
        url = self.upstream + request.path
        told = self._client.request(request.command, url, content=body, headers=headers)
        spoil = "/search" in request.path and told.status_code == 200
        reply(request, told.status_code, self._spoil(told.content) if spoil else told.content)

    def _spoil(self, data: bytes) -> bytes:
        if self.mode == "ok":
            return data
        self.spoiled += 1
        if self.mode == "empty":
            return b"{}"
        if self.mode == "nonsense":
            return b'{"weather": "fine"}'
        answer = json.loads(data)
        half = {k: v[: len(v) // 2] if isinstance(v, list) else v for k, v in answer.items()}
        return json.dumps(half).encode()

    def close(self) -> None:
        super().close()
        self._client.close()


def drop(request: BaseHTTPRequestHandler) -> None:
    """Close the connection of a request without an answer."""
    request.close_connection = True


def reply(request: BaseHTTPRequestHandler, status: int, data: bytes, **headers: str) -> None:
    """Answer with this."""
    request.send_response(status)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    sized = {"Content-Type": "application/json", **given, "Content-Length": str(len(data))}
    for name, value in sized.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(data)


class Silence:
    """A server that takes connections and never answers; `reached` says that one came."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self._connections.append(self._listening.accept()[0])
            except OSError:
                return
            self.reached.set()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._connections:
            connection.close()
