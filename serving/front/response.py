"""Write an answer as HTTP/1.1."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.protocols.answer import Answer

PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
LARGE = 64 * 1024
"""Bytes from which on another write costs less than a copy."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def response(answer: Answer, method: bytes, *, keep: bool) -> list[bytes | memoryview]:
    """Return the bytes of the answer to a `method`; a large body is a piece of its own, not copied.

    `keep`: whether the connection goes on after the answer.
    """
    lines = [b"HTTP/1.1 %d %b" % (answer.status, PHRASES.get(answer.status, b""))]
    lines += [b"%b: %b" % header for header in answer.headers]
    lines.append(b"content-type: " + answer.content_type)
    lines.append(b"content-length: %d" % len(answer.body))
    if not keep:
        lines.append(b"connection: close")
    lines += [b"", b""]
    head, body = b"\r\n".join(lines), b"" if method == b"HEAD" else answer.body
    return [head + body] if len(body) < LARGE else [head, memoryview(body)]
