"""A raw ASGI request goes in; its headers and body come out.

An answer goes in; ASGI messages come out.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from serving.protocols.answer import Answer

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

Headers = list[tuple[bytes, bytes]]
PATIENCE = 4
"""How many times the limit is read of a body that is too large."""


class TooLarge(Exception):  # noqa: N818 - it is an answer: a 413
    """The body is larger than allowed."""


class ClientLeft(Exception):  # noqa: N818 - nobody to tell
    """The client closed the connection before its request was whole."""


def header(headers: Headers, name: bytes) -> bytes:
    """Return the value of the first header `name` (lower case), empty if there is none."""
    return next((value for key, value in headers if key == name), b"")


async def body(receive: Receive, limit: int) -> bytes:
    """Return the whole body. Raises TooLarge beyond `limit` bytes, and ClientLeft.

    A body somewhat too large is read to its end, though not kept: many clients look for an answer
    only after they have sent all.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientLeft
        size += len(message.get("body", b""))
        if size > limit:
            parts.clear()
            if not message.get("more_body") or size > PATIENCE * limit:
                raise TooLarge
            continue
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def reply(send: Send, answer: Answer, headers: Headers) -> None:
    """Send an answer with these headers besides its own.

    A client that left is no error: the server drops what it is sent.
    """
    headers.append((b"content-type", answer.content_type))
    headers.append((b"content-length", str(len(answer.body)).encode()))
    headers.extend(answer.headers)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
