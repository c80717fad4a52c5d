"""Pack messages into frames for the socket between front and worker, and unpack them.

A frame is `length` (uint32, of the payload), `id` (uint64, of the request; 0 for none), `kind`
(uint8) and the payload, little-endian, without padding. The front and the worker both load this
file; it needs the standard library only.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD = struct.Struct("<IQB")
_ANSWER = struct.Struct("<HB")
_BATCH = struct.Struct("<IId")
_ID = struct.Struct("<Q")
_SECONDS = struct.Struct("<d")

# From the front to the worker.
INVOKE = 1  # MLflow's protocol: content type and body, untouched
COLUMNS = 2  # Open Inference Protocol: typed columns (tensors.py)
INFER = 4  # the same protocol: the request's id and its body, untouched, since the body is large
CANCEL = 3  # the client no longer waits for this request

# From the worker to the front.
READY = 16  # JSON: python, mlflow, signature, seconds
FAILED = 17  # JSON: the model could not be loaded (reason, message, traceback)
ANSWER = 18  # status, content type and body, ready to be sent
RESULT = 19  # typed columns
REJECTED = 20  # JSON: the input is bad (message)
RAISED = 21  # JSON: the model raised (message, traceback)
BATCH = 22  # one call of the model: requests, rows, seconds
BATCHING = 23  # JSON: whether the model is trusted with batches, and on how many rows
CALLING = 24  # the model is called for these requests; no ids: a call for no request has ended
LEFT_OUT = 25  # this request was cancelled before the model was asked
ANSWERS = 26  # JSON: counts of what the model answered (answers.py)
DEADLINE = 27  # seconds that the client of this request waits, as the body says


Payload = tuple[bytes, ...]
"""A payload in pieces: joining large pieces would copy them."""


class Frame(NamedTuple):
    """A message: the request's id (0 for none), its kind and its payload."""

    id: int
    kind: int
    payload: bytes


def pack(request_id: int, kind: int, *parts: bytes) -> bytes:
    """Return the bytes of a frame whose payload is `parts`, joined."""
    return b"".join((head(request_id, kind, sum(map(len, parts))), *parts))


def head(request_id: int, kind: int, size: int) -> bytes:
    """Return the head of a frame with a payload of `size` bytes."""
    return HEAD.pack(size, request_id, kind)


class FrameDecoder:
    """Cuts a stream of bytes, in pieces of any size, into whole frames, in order."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes, perhaps none."""
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        start, size = 0, len(buffer)
        while size - start >= HEAD.size:
            length, request_id, kind = HEAD.unpack_from(buffer, start)
            end = start + HEAD.size + length
            if end > size:
                break
            with memoryview(buffer) as view:  # a large payload is copied once only
                payload = bytes(view[start + HEAD.size : end])
            frames.append(Frame(request_id, kind, payload))
            start = end
        if start:
            del buffer[:start]
        return frames


def pack_invoke(content_type: bytes, body: bytes) -> Payload:
    """Return INVOKE's payload; a content type is cut at 65,535 bytes, a body is not copied."""
    content_type = content_type[:0xFFFF]
    return len(content_type).to_bytes(2, "little") + content_type, body


def unpack_invoke(payload: bytes) -> tuple[str, bytes]:
    """Return the content type and the body of INVOKE's payload."""
    end = 2 + int.from_bytes(payload[:2], "little")
    return payload[2:end].decode("latin-1"), payload[end:]


def pack_answer(status: int, content_type: str, body: bytes) -> bytes:
    """Return ANSWER's payload."""
    kind = content_type.encode("latin-1")[:0xFF]
    return b"".join((_ANSWER.pack(status, len(kind)), kind, body))


def unpack_answer(payload: bytes) -> tuple[int, bytes, bytes]:
    """Return HTTP status, content type and body of ANSWER's payload."""
    status, length = _ANSWER.unpack_from(payload)
    end = _ANSWER.size + length
    return status, payload[_ANSWER.size : end], payload[end:]


def pack_ids(ids: Iterable[int] | None) -> bytes:
    """Return CALLING's payload: the requests of a call; None: no call is under way."""
    return b"" if ids is None else b"\1" + b"".join(map(_ID.pack, ids))


def unpack_ids(payload: bytes) -> list[int] | None:
    """Return the requests of CALLING's payload; None: the call has ended."""
    return [found for (found,) in _ID.iter_unpack(payload[1:])] if payload else None


def pack_batch(requests: int, rows: int, seconds: float) -> bytes:
    """Return BATCH's payload for one call of the model."""
    return _BATCH.pack(requests, rows, seconds)


def unpack_batch(payload: bytes) -> tuple[int, int, float]:
    """Return requests, rows and seconds of BATCH's payload."""
    requests, rows, seconds = _BATCH.unpack(payload)
    return requests, rows, seconds


def pack_seconds(seconds: float) -> bytes:
    """Return DEADLINE's payload."""
    return _SECONDS.pack(seconds)


def unpack_seconds(payload: bytes) -> float:
    """Return the seconds of DEADLINE's payload."""
    (seconds,) = _SECONDS.unpack(payload)
    return float(seconds)
