"""A proxy in front of a real API server that loses, refuses or breaks off what it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import yaml
from urllib3.exceptions import HTTPError

from deployer.targets.kubernetes.client.errors import ApiError
from deployer.targets.kubernetes.client.session import ClusterAccess, Session
from support.faults.proxy import FaultProxy, drop, reply

__all__ = ["ApiProxy", "drop", "lose", "status"]

Fault = Callable[[BaseHTTPRequestHandler], None]


class ApiProxy(FaultProxy):
    """Forwards to the API server of `kubeconfig`, with its credentials; plain HTTP before it.

    Attributes:
        kubeconfig: for clients of the proxy.
        requests: method and path of each request, as they came.
        faults: each is done, once, to the next request that its condition holds for.
        standing: each is done to every request that its condition holds for.
    """

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.requests: list[tuple[str, str]] = []
        self.faults: list[tuple[Callable[[str, str], bool], Fault]] = []
        self.standing: list[tuple[Callable[[str, str], bool], Fault]] = []
        self._session = Session(ClusterAccess(kubeconfig))
        self._lock = threading.Lock()
        self._streams: set[Any] = set()
        super().__init__()
        named = {"name": "proxy"}
        self.kubeconfig = folder / "proxy.kubeconfig"
        self.kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "proxy",
                    "clusters": [named | {"cluster": {"server": self.url}}],
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

    def always(self, fault: Fault, *, path: str) -> None:
        """Do this to every request with such a word in its path."""
        self.standing.append((lambda _, p: path in p, fault))

    def listings(self) -> int:
        """Count the requests for a list, streamed or by pages."""
        return sum("limit=" in p or "sendInitialEvents=" in p for _, p in self.requests)

    def watches(self) -> int:
        """Count the requests for a watch that is no list."""
        return sum("watch=true" in p and "sendInitialEvents=" not in p for _, p in self.requests)

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
        super().close()
        self._session.close()

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Forward a request, or do the fault to it whose turn it is."""
        self.requests.append((request.command, request.path))
        fault = self._fault(request)
        if self.down or fault is drop:
            drop(request)
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
            drop(request)
            return
        if fault is lose:
            answer.read()
            drop(request)
            return
        self._forward(request, answer)

    def _fault(self, request: BaseHTTPRequestHandler) -> Fault | None:
        with self._lock:
            for place, (holds, fault) in enumerate(self.faults):
                if holds(request.command, request.path):
                    del self.faults[place]
                    return fault
        for holds, fault in self.standing:
            if holds(request.command, request.path):
                return fault
        return None

    def _forward(self, request: BaseHTTPRequestHandler, answer: Any) -> None:
        kind = answer.headers.get("Content-Type", "")
        if "watch=true" not in request.path:
            reply(request, answer.status, answer.read(), Content_Type=kind)
            answer.release_conn()
            return
        request.send_response(answer.status)
        request.send_header("Content-Type", kind)
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


def lose(request: BaseHTTPRequestHandler) -> None:
    """The request takes effect; its answer is lost."""


def status(code: int, reason: str, message: str, **headers: str) -> Fault:
    """Answer with a Status of the Kubernetes API."""
    told = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    }  # fmt: skip
    return lambda request: reply(request, code, json.dumps(told).encode(), **headers)
