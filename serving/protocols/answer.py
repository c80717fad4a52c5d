"""Define the answer that every protocol gives to a client."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


def dumps(content: Any) -> bytes:
    """Return content as JSON; a lone surrogate, which UTF-8 cannot carry, becomes "?"."""
    try:
        return orjson.dumps(content)
    except TypeError:
        return orjson.dumps(_encodable(content))


def _encodable(content: Any) -> Any:
    if isinstance(content, str):
        return content.encode("utf-8", "replace").decode()
    if isinstance(content, dict):
        return {_encodable(key): _encodable(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_encodable(each) for each in content]
    return content
