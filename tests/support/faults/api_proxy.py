"""A proxy in front of a real API server that loses, refuses or breaks off what it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from urllib3.exceptions import HTTPError

from deployer.targets.kubernetes.access import ClusterAccess, Session
from deployer.targets.kubernetes.apierrors import ApiError

Fault = Callable[[BaseHTTPRequestHandler], None]


class ApiProxy:
    """Forwards to the API server of `kubeconfig`, with its credentials; plain HTTP before it.

    Attributes:
        kubeconfig: for clients of the proxy.
        requests: method and path of each request, as they came.
        faults: each is done, once, to the next request that its condition holds for.
        down: drop every connection.
    """

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.requests: list[tuple[str, str]] = []
        self.faults: list[tuple[Callable[[str, str], bool], Fault]] = []
        self.down = False
        self._session = Session(ClusterAccess(kubeconfig))
        self._lock = threading.Lock()
        self._streams: set[Any] = set()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                proxy._answer(self)

            do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = _any  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        url = f"http://127.0.0.1:{self._server.server_port}"
        named = {"name": "proxy"}
        self.kubeconfig = folder / "proxy.kubeconfig"
        self.kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "proxy",
                    "clusters": [named | {"cluster": {"server": url}}],
                    "users": [named | {"user": {}}],
                    "contexts": [named | {"context": {"cluster": "proxy", "user": "proxy"}}],
                }
            )
        )

    def writes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.requests if method != "GET"]

    def once(self, fault: Fault, *, method: str = "", path: str = "") -> None:
        """Do this to the next request of such a method with such a word in its path."""
        self.faults.append((lambda m, p: method in ("", m) and path in p, fault))

    def cut(self) -> None:
        """Break off every answer that goes on."""
        with self._lock:
            streams = list(self._streams)
        for response in streams:
            with suppress(HTTPError, OSError, ValueError):
                response.shutdown()

    def close(self) -> None:
        self.down = True
        self.cut()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._session.close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.requests.append((request.command, request.path))
        fault = self._fault(request)
        if self.down or fault is drop:
            request.close_connection = True
            return
        if fault and fault is not lose:
            fault(request)
            return
        try:
            answer = self._session.request(
                request.command,
                request.path,
                None,
                body or None,
                request.headers.get("Content-Type") or "application/json",
                seconds=120,
                stream=True,
            )
        except ApiError:
            request.close_connection = True
            return
        if fault is lose:
            answer.read()
            request.close_connection = True
            return
        self._forward(request, answer)

    def _fault(self, request: BaseHTTPRequestHandler) -> Fault | None:
        with self._lock:
            for place, (holds, fault) in enumerate(self.faults):
                if holds(request.command, request.path):
                    del self.faults[place]
                    return fault
        return None

    def _forward(self, request: BaseHTTPRequestHandler, answer: Any) -> None:
        request.send_response(answer.status)
        request.send_header("Content-Type", answer.headers.get("Content-Type", ""))
        if "watch=true" not in request.path:
            data = answer.read()
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
            request.wfile.write(data)
            answer.release_conn()
            return
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        with self._lock:
            self._streams.add(answer)
            if self.down:  # it was cut while this answer was under way
                answer.shutdown()
        try:
            for chunk in answer.stream(65536):
                request.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                request.wfile.flush()
            request.wfile.write(b"0\r\n\r\n")
        except (HTTPError, OSError):
            pass
        finally:
            request.close_connection = True
            with self._lock:
                self._streams.discard(answer)
            answer.close()


def drop(request: BaseHTTPRequestHandler) -> None:
    """The request never reaches the server."""


def lose(request: BaseHTTPRequestHandler) -> None:
    """The request takes effect; its answer is lost."""


def status(code: int, reason: str, message: str, **headers: str) -> Fault:
    """Answer with a Status of the Kubernetes API."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        told = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code,
        }  # fmt: skip
        data = json.dumps(told).encode()
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    return answer
