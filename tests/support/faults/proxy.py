"""A proxy that can be told to misbehave, in front of a real server; a server that says nothing."""

from __future__ import annotations

import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx


class FaultyProxy:
    """Forwards to `upstream`; `mode` is ok, refuse, error, empty, half or nonsense.

    `upstream` may become another server's address meanwhile. Requests for a path that matches
    `hold` get no answer; `held` says that there was one.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.mode = "ok"
        self.spoiled = 0
        self.hold: re.Pattern[str] | None = None
        self.held = threading.Event()
        self._closing = threading.Event()
        proxy = self
        client = httpx.Client(timeout=30, trust_env=False)

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if proxy.hold and proxy.hold.search(self.path):
                    proxy.held.set()
                    proxy._closing.wait()
                    self.close_connection = True
                    return
                if proxy.mode == "refuse":
                    proxy.spoiled += 1
                    self.close_connection = True
                    return
                status, data = 500, b"<html>Internal Server Error</html>"
                if proxy.mode != "error":
                    headers = {"Content-Type": self.headers.get("Content-Type") or "text/plain"}
                    url = proxy.upstream + self.path
                    answer = client.request(self.command, url, content=body, headers=headers)
                    status, data = answer.status_code, answer.content
                    if "/search" in self.path and status == 200:
                        data = proxy._spoil(data)
                else:
                    proxy.spoiled += 1
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = _any  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._client = client
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}
        )
        self._thread.start()

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
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._client.close()


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
