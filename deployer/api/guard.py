"""Refuse requests that are too large or lack a token, before the API reads their body.

The guards are plain ASGI because FastAPI's own dependencies run only after the body is read.
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
"""The most bytes of a request's body: the largest percent-encoded input of the page's form."""


class BodyLimit:
    """Refuse a request whose body is too large (413), however the client declares its length."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count the bytes read of its body."""
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
    """Check the token of a change before its body is read, and put its subject into the state.

    Args:
        app: the API.
        file: the file with the SHA-256 and the subject of each token, read at each change.
        explained: builds the response to an error.
    """

    def __init__(
        self, app: ASGIApp, file: Path, explained: Callable[[SchnitzelError], Response]
    ) -> None:
        self._app, self._file, self._explained = app, file, explained

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless it is a change without a known token."""
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
    """Read the subjects by the hashes of their tokens; none where the file is unreadable."""
    try:
        known = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
