"""Forward the requests to a standby Deployer to the active Deployer.

A Service spreads requests over both, and either gives the same answer. The active Deployer writes
its address into the database that both share; no other program can write there, so the standby
never sends a token to a foreign address.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from deployer.config.services import Api
from deployer.errors import SchnitzelError

log = logging.getLogger(__name__)

PASSED_ON: Final = "x-schnitzel-passed-on"
"""Header of a request that another Deployer forwarded: it is not forwarded again."""

OWN: Final = ("/healthz", "/metrics")
"""Paths that each Deployer answers for itself."""

SECONDS: Final = httpx.Timeout(30.0, connect=3.0)
UNSHARED: Final = httpx.Limits(max_keepalive_connections=0)
"""No connection is used twice: another Deployer may be active by then."""

HOP_BY_HOP: Final = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
"""Headers that belong to a single connection (RFC 9110, 7.6.1)."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The Lease of a cluster that a Deployer waits for, and its holder ("" if unknown).

    A Deployer that takes over holds the Lease but has not observed the cluster yet.
    """

    cluster: str
    holder: str
    takes_over: bool = False


class Standby:
    """The API of a Deployer, answered by the active Deployer while this Deployer stands by.

    Args:
        app: the API of this Deployer.
        waiting: the Lease that this Deployer waits for; None while it is active and has observed
            the cluster.
        acting: the address of the active Deployer; "" if unknown. May query a database.
        own: the address of this Deployer.
    """

    def __init__(
        self,
        app: ASGIApp,
        waiting: Callable[[], Waiting | None],
        acting: Callable[[], str],
        own: str,
    ) -> None:
        self._app = app
        self._own = urlsplit(own).netloc
        self._waiting = waiting
        self._acting = acting
        self._client: httpx.AsyncClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        waiting = self._waiting()
        if waiting is None or scope["type"] != "http" or scope["path"] in OWN:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if scope["path"] == "/readyz":
            answer: Response = _ready(waiting)
        else:
            answer = await self._forward(request, waiting)
        with suppress(ClientDisconnect):
            await answer(scope, receive, send)

    async def _forward(self, request: Request, waiting: Waiting) -> Response:
        if waiting.takes_over:  # deployments not observed yet would look as if there were none
            return _unavailable(
                f"This Deployer takes over on the cluster {waiting.cluster} just now."
            )
        if PASSED_ON in request.headers:
            return _unavailable(f"Neither Deployer acts on the cluster {waiting.cluster} now.")
        try:
            address = await run_in_threadpool(self._acting)
        except SchnitzelError as error:
            return _unavailable(error.message)
        who = waiting.holder or "another Deployer"
        if not address:
            return _unavailable(
                f"This Deployer stands by; {who} acts, at an address not known here."
            )
        query = request.scope["query_string"].decode()
        asked = httpx.Request(
            request.method,
            address + request.scope["raw_path"].decode() + (f"?{query}" if query else ""),
            headers=self._headers(request, address),
            content=await request.body(),
            extensions={"timeout": SECONDS.as_dict()},
        )
        self._client = self._client or httpx.AsyncClient(trust_env=False, limits=UNSHARED)
        try:
            found = await self._client.send(asked, stream=True)
        except httpx.HTTPError as error:
            log.debug("%s at %s does not answer (%s)", who, address, type(error).__name__)
            return _unavailable(f"This Deployer stands by; {who}, which acts, does not answer.")
        answer = StreamingResponse(
            found.aiter_raw(), found.status_code, background=BackgroundTask(found.aclose)
        )
        answer.raw_headers = _end_to_end(found.headers.raw)
        return answer

    def _headers(self, request: Request, address: str) -> list[tuple[bytes, bytes]]:
        """Return the headers to forward, with the Host that the client asked for.

        The active Deployer accepts that Host too, but not this Deployer's own address: there the
        active Deployer's own address takes its place.
        """
        asked = request.headers.get("host", "")
        host = urlsplit(address).netloc if asked == self._own else asked
        kept = [each for each in _end_to_end(request.headers.raw) if each[0] != b"host"]
        return [(b"host", host.encode()), (PASSED_ON.encode(), b"1"), *kept]


def address_of(api: Api) -> str:
    """Return the URL at which another Deployer of the platform reaches this API."""
    host: str = api.host
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared with, not listened on
        host = os.environ.get("POD_IP") or socket.gethostname()
    return f"http://[{host}]:{api.port}" if ":" in host else f"http://{host}:{api.port}"


def _ready(waiting: Waiting) -> Response:
    """Report readiness: ready once the Lease's holder is known, unready during a takeover."""
    if waiting.takes_over:
        message = f"taking over on the cluster {waiting.cluster}"
    elif waiting.holder:
        message = f"standing by: {waiting.holder} acts on the cluster {waiting.cluster}"
    else:
        message = f"asking for the Lease of the cluster {waiting.cluster}"
    ready = bool(waiting.holder) and not waiting.takes_over
    return JSONResponse({"ready": ready, "message": message}, 200 if ready else 503)


def _unavailable(message: str) -> Response:
    hint = "Try again: a Deployer that ended is taken over from within 15 s."
    return JSONResponse({"error": message, "hint": hint}, 503, {"retry-after": "5"})


def _end_to_end(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower().decode() not in HOP_BY_HOP]
