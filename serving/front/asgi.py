"""A raw ASGI request goes in; its headers and body come out.

An answer goes in; ASGI messages come out.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
import zlib
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


class NotDecoded(Exception):  # noqa: N818 - it is an answer: a 400 or a 415
    """The body's Content-Encoding is none of ours, or the body is not encoded so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


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


async def decoded(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Return the body without its Content-Encoding. Raises NotDecoded, and TooLarge.

    Never more than `limit` bytes come out, however small the body is.
    """
    name = encoding.strip().lower()
    if name in (b"", b"identity"):
        return body
    if name not in (b"gzip", b"x-gzip"):
        said = name.decode("latin-1")[:40]
        raise NotDecoded(415, f"Content-Encoding {said!r} is not known: send gzip, or none")
    return await asyncio.to_thread(_inflated, body, limit)


def _inflated(body: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise NotDecoded(400, f"the body is not gzip: {error}") from error
    if len(content) > limit:
        raise TooLarge
    if not stream.eof or stream.unused_data:
        raise NotDecoded(400, "the body is not one whole gzip stream")
    return content


async def reply(send: Send, answer: Answer, headers: Headers) -> None:
    """Send an answer with these headers besides its own.

    A client that left is no error: the server drops what it is sent.
    """
    headers.append((b"content-type", answer.content_type))
    headers.append((b"content-length", str(len(answer.body)).encode()))
    headers.extend(answer.headers)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
