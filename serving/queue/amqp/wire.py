"""Read and write the frames that each message needs. Pure.

The client library spends more time on these few frames than the rest of the server on a message;
everything else (connections, channels, queues) is its own work. Sections are those of the
specification: https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf
"""

from __future__ import annotations

import struct
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from pamqp import decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

METHOD, HEADER, BODY = 1, 2, 3
"""Kinds of frames (4.2.3)."""
HEARTBEAT = b"\x08\0\0\0\0\0\0\xce"
END = 0xCE
AROUND = 8
"""Bytes of a frame around its payload."""
PUBLISH, RETURN, DELIVER = b"\0\x3c\0\x28", b"\0\x3c\0\x32", b"\0\x3c\0\x3c"
ACK, NACK = b"\0\x3c\0\x50", b"\0\x3c\0\x78"
"""Class and method in front of a METHOD frame (1.8.3)."""
_MULTIPLE, _REQUEUE, _MANDATORY = 1, 2, 1
_FRAME, _SIZE = Struct(">BHL"), Struct(">L")
_TAG = Struct(">QB")
_CONTENT = Struct(">HHQ")
_FLAGS = Struct(">H")
_TIMESTAMP = Struct(">Q")


class MalformedFrame(ValueError):  # noqa: N818 - named for what it is
    """The bytes are not AMQP's."""


class Properties(NamedTuple):
    """The properties of a message (4.2.6.1), in their order on the wire; empty: not there.

    Attributes:
        headers: the entries of the table as they are on the wire, without their length.
    """

    content_type: str = ""
    content_encoding: str = ""
    headers: bytes = b""
    delivery_mode: int = 0
    priority: int = 0
    correlation_id: str = ""
    reply_to: str = ""
    expiration: str = ""
    message_id: str = ""
    timestamp: int = 0
    message_type: str = ""
    user_id: str = ""
    app_id: str = ""

    @property
    def table(self) -> dict[str, Any]:
        """Decode the headers.

        Raises:
            MalformedFrame: they are no table.
        """
        return _decoded_table(self.headers)


_TABLE, _OCTETS, _LONG = 2, (3, 4), 9
"""Places of the properties that are no short texts."""


class Message(NamedTuple):
    """A message to publish."""

    exchange: str
    routing_key: str
    body: bytes
    properties: Properties


class Delivery(NamedTuple):
    """A delivered message."""

    tag: int
    redelivered: bool
    properties: bytes
    """Flags and properties, as they are on the wire."""
    body: bytes


class Splitter:
    """Cuts a stream into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Return each frame that is complete: its kind, its channel, and all of its bytes.

        Raises:
            MalformedFrame: a frame does not end where it says.
        """
        if self._rest:
            data = self._rest + data
        begin, length = 0, len(data)
        while length - begin >= AROUND:
            kind, channel, size = _FRAME.unpack_from(data, begin)
            end = begin + size + AROUND
            if end > length:
                break
            if data[end - 1] != END:
                raise MalformedFrame(f"a frame of {size} bytes has no end")
            yield kind, channel, data[begin:end]
            begin = end
        self._rest = data[begin:]


class Content:
    """Puts together the header and the bodies that follow a method."""

    def __init__(self) -> None:
        self._left = -1
        self._parts: list[bytes] = []
        self.properties = b""

    def header(self, frame: bytes) -> bool:
        """Take a HEADER frame; return whether the content is complete."""
        _, _, self._left = _CONTENT.unpack_from(frame, 7)
        self.properties = frame[7 + _CONTENT.size : -1]
        return self._left == 0

    def body(self, frame: bytes) -> bool:
        """Take a BODY frame; return whether the content is complete."""
        self._parts.append(frame[7:-1])
        self._left -= len(frame) - AROUND
        return self._left <= 0

    def whole(self) -> bytes:
        """Return the body."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


def method_of(frame: bytes) -> bytes:
    """Return class and method of a METHOD frame."""
    return frame[7:11]


def delivered(frame: bytes) -> tuple[int, bool]:
    """Return delivery tag and redelivered of Basic.Deliver."""
    tag, redelivered = _TAG.unpack_from(frame, 12 + frame[11])  # after the consumer's tag
    return tag, bool(redelivered)


def confirmed(frame: bytes) -> tuple[int, bool]:
    """Return delivery tag and multiple of Basic.Ack and Basic.Nack."""
    tag, bits = _TAG.unpack_from(frame, 11)
    return tag, bool(bits & _MULTIPLE)


def acknowledgement(channel: int, tag: int, *, multiple: bool) -> bytes:
    """Write Basic.Ack."""
    return _framed(METHOD, channel, ACK + _TAG.pack(tag, _MULTIPLE if multiple else 0))


def give_back(channel: int, tag: int) -> bytes:
    """Write Basic.Nack, which puts a message into its queue again."""
    return _framed(METHOD, channel, NACK + _TAG.pack(tag, _REQUEUE))


@lru_cache(maxsize=1024)
def published(channel: int, exchange: str, routing_key: str) -> bytes:
    """Write Basic.Publish, mandatory; its content follows.

    Raises:
        ValueError: exchange or routing key is longer than 255 bytes.
    """
    to = _short(exchange) + _short(routing_key)
    return _framed(METHOD, channel, PUBLISH + b"\0\0" + to + bytes((_MANDATORY,)))


def content(channel: int, properties: bytes, body: bytes, frame_max: int) -> list[bytes]:
    """Write the frames of a content.

    Args:
        channel: the channel.
        properties: as `encoded` returns them.
        body: the body.
        frame_max: the most bytes of one frame.
    """
    head = _CONTENT.pack(60, 0, len(body)) + properties
    frames, step = [_framed(HEADER, channel, head)], frame_max - AROUND
    if len(body) <= step:
        return [*frames, _framed(BODY, channel, body)] if body else frames
    view = memoryview(body)
    steps = range(0, len(body), step)
    return frames + [_framed(BODY, channel, view[begin : begin + step]) for begin in steps]


def encoded(properties: Properties) -> bytes:
    """Write flags and properties.

    Raises:
        ValueError: a text is longer than 255 bytes.
    """
    flags, parts = 0, [b""]
    for place, value in enumerate(properties):
        if not value:
            continue
        flags |= 0x8000 >> place
        if isinstance(value, bytes):
            parts += (_SIZE.pack(len(value)), value)
        elif isinstance(value, int):
            parts.append(_TIMESTAMP.pack(value) if place == _LONG else bytes((value,)))
        else:
            parts.append(_short(str(value)))
    parts[0] = _FLAGS.pack(flags)
    return b"".join(parts)


def decoded(data: bytes) -> Properties:
    """Read flags and properties.

    Raises:
        MalformedFrame: they end too early.
    """
    try:
        (flags,) = _FLAGS.unpack_from(data)
        at, values = 2, list(_NONE)
        for place in range(len(values)):
            if not flags & 0x8000 >> place:
                continue
            if place == _TABLE:
                end = at + 4 + _SIZE.unpack_from(data, at)[0]
                values[place] = data[at + 4 : end]
            elif place in _OCTETS:
                end = at + 1
                values[place] = data[at]
            elif place == _LONG:
                end = at + 8
                (values[place],) = _TIMESTAMP.unpack_from(data, at)
            else:
                end = at + 1 + data[at]
                values[place] = data[at + 1 : end].decode("utf-8", "surrogateescape")
            at = end
    except (IndexError, struct.error) as error:
        raise MalformedFrame(_TOO_SHORT) from error
    if at > len(data):
        raise MalformedFrame(_TOO_SHORT)
    return Properties(*values)


_TOO_SHORT = "the properties of the message end too early"
_NONE: tuple[Any, ...] = tuple(Properties())


def entries(table: dict[str, Any]) -> bytes:
    """Write the entries of a table, without their length."""
    return encode.field_table(table)[4:]


def text_entry(name: str, text: str) -> bytes:
    """Write one entry of a table, a text: what `entries` writes, in a tenth of the time."""
    data = text.encode("utf-8", "surrogateescape")
    return b"".join((_head(name), _SIZE.pack(len(data)), data))


@lru_cache(maxsize=64)
def _head(name: str) -> bytes:
    return _short(name) + b"S"


def _decoded_table(data: bytes) -> dict[str, Any]:
    try:
        return decode.field_table(_SIZE.pack(len(data)) + data)[1]
    except Exception as error:  # the library raises whatever its own code meets
        raise MalformedFrame("the headers of the message cannot be read") from error


def _framed(kind: int, channel: int, payload: bytes | memoryview) -> bytes:
    return b"".join((_FRAME.pack(kind, channel, len(payload)), payload, b"\xce"))


def _short(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    if len(data) > 255:
        raise ValueError(f"a text of {len(data)} bytes: AMQP has at most 255")
    return bytes((len(data),)) + data
