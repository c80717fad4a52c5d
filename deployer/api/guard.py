"""In: requests, before anything of them is read. Out: those that may go on to the API.

Plain ASGI, since it stands before the body, where FastAPI's own dependencies come after it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployer.access import tokens
from deployer.errors import SchnitzelError, Unauthorised

READS = ("GET", "HEAD", "OPTIONS")
LARGEST = 4 * 2**20
"""Bytes of a request's body: what the page's form may ask a model, percent-encoded."""


class BodyLimit:
    """Refuse a request whose body is too large (413), however its length is given."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count what is read of it."""
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > LARGEST:
                raise HTTPException(413, f"A request may have a body of {LARGEST} bytes at most.")
            return message

        await self._app(scope, counted if scope["type"] == "http" else receive, send)


class TokenFirst:
    """Ask for the token of a change before its body is read; the subject is in the state.

    Args:
        app: the API.
        file: that with the SHA-256 of each token and its subject, read at each change.
        explained: the answer of an error.
    """

    def __init__(
        self, app: ASGIApp, file: Path, explained: Callable[[SchnitzelError], Response]
    ) -> None:
        self._app, self._file, self._explained = app, file, explained

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless it is a change of nobody's."""
        changes = scope["type"] == "http" and scope["method"] not in READS
        if changes and scope["path"].startswith("/api/"):
            try:
                subject = tokens.subject(
                    _known(self._file), Headers(scope=scope).get("authorization")
                )
            except Unauthorised as error:
                await self._explained(error)(scope, receive, send)
                return
            scope.setdefault("state", {})["subject"] = subject
        await self._app(scope, receive, send)


def _known(file: Path) -> dict[str, Any]:
    """The subjects by the hashes of their tokens; none where the file cannot be read."""
    try:
        known = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
