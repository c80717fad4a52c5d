"""An answer goes in; the bytes that say it in HTTP/1.1 come out."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.protocols.answer import Answer

PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def response(answer: Answer, method: bytes, *, keep: bool) -> bytes:
    """Return the bytes of the answer to a `method`; `keep`: the connection goes on after it."""
    lines = [b"HTTP/1.1 %d %b" % (answer.status, PHRASES.get(answer.status, b""))]
    lines += [b"%b: %b" % header for header in answer.headers]
    lines.append(b"content-type: " + answer.content_type)
    lines.append(b"content-length: %d" % len(answer.body))
    if not keep:
        lines.append(b"connection: close")
    lines += [b"", b"" if method == b"HEAD" else answer.body]
    return b"\r\n".join(lines)
