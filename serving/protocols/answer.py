"""An answer, as every protocol gives it to whoever asked."""

from __future__ import annotations

from typing import NamedTuple

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
