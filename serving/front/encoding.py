"""Decode a body's Content-Encoding, within a limit."""

from __future__ import annotations

import asyncio
import zlib

from serving.front.listener import Refused, too_large


async def decoded(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Return the decoded body, of at most `limit` bytes.

    Raises:
        Refused: the encoding is unknown, the body is not encoded so, or it is too large.
    """
    name = encoding.strip().lower()
    if name in (b"", b"identity"):
        return body
    if name not in (b"gzip", b"x-gzip"):
        said = name.decode("latin-1")[:40]
        raise Refused(415, f"Content-Encoding {said!r} is not known: send gzip, or none")
    return await asyncio.to_thread(_inflated, body, limit)


def _inflated(body: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise Refused(400, f"the body is not gzip: {error}") from error
    if len(content) > limit:
        raise too_large(limit)
    if not stream.eof or stream.unused_data:
        raise Refused(400, "the body is not one whole gzip stream")
    return content
