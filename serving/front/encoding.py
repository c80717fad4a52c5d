"""Take the Content-Encoding off a body, within its bound."""

from __future__ import annotations

import asyncio
import zlib


class NotDecoded(Exception):  # noqa: N818 - it is an answer: a 400, a 413 or a 415
    """The body's encoding is none of ours, or the body is not encoded so, or too large."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def is_encoded(encoding: bytes) -> bool:
    """Whether a Content-Encoding changes the body."""
    return encoding.strip().lower() not in (b"", b"identity")


async def decoded(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Return the body as it was before its Content-Encoding, and no more than `limit` bytes of it.

    Raises:
        NotDecoded: with the status that says why.
    """
    name = encoding.strip().lower()
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
        raise NotDecoded(413, f"the body is larger than {limit} bytes, the most that is taken")
    if not stream.eof or stream.unused_data:
        raise NotDecoded(400, "the body is not one whole gzip stream")
    return content
