"""Encode lists of JSON values as typed columns for the socket, and decode them.

Typed columns are a JSON head (its length first, uint32) and one buffer for each column:
little-endian numbers, one byte for a BOOL, a JSON list of strings for BYTES. `columns` in the head
has name, datatype, shape and size in bytes of each. The front and the worker both load this file;
it needs the standard library only. Datatypes are those of the Open Inference Protocol,
https://github.com/kserve/open-inference-protocol (specification/protocol/inference_rest.md).
"""

from __future__ import annotations

import json
import struct
from array import array
from typing import Any

# Type codes of array; FP16 has none and goes through struct.
CODES = {
    "BOOL": "B",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP32": "f",
    "FP64": "d",
}
DATATYPES = (*CODES, "FP16", "BYTES")
_NUMBERS: tuple[type, ...] = (int, float, type(None))
_NOTHING = float("nan")
INFINITE = float("inf")


class WrongDatatype(ValueError):  # noqa: N818 - it becomes an answer
    """A value is not of its column's datatype; the message has the value and the datatype."""


def _accepted(datatype: str) -> tuple[tuple[type, ...], str]:
    if datatype == "BOOL":
        return (bool,), "true or false"
    if datatype == "BYTES":
        return (str, type(None)), "strings"
    if datatype.startswith("FP"):
        return _NUMBERS, "numbers"
    return (int,), "whole numbers"


def encode(datatype: str, values: list[Any]) -> bytes:
    """Return the buffer of `values`, a flat list of JSON values; None is a missing value.

    Raises:
        WrongDatatype: a value does not fit; the message names the first.
    """
    types, names = _accepted(datatype)
    if not set(map(type, values)).issubset(types):
        place = next(i for i, value in enumerate(values) if type(value) not in types)
        found = json.dumps(values[place])
        raise WrongDatatype(f"expected {names} ({datatype}), got {found[:60]} at position {place}")
    if datatype == "BYTES":
        return json.dumps(values).encode()
    if datatype.startswith("FP") and None in values:
        values = [_NOTHING if value is None else value for value in values]
    try:
        if datatype == "FP16":
            return struct.pack(f"<{len(values)}e", *values)
        column = array(CODES[datatype], values)
        if datatype == "FP32" and (INFINITE in column or -INFINITE in column):
            _check_range(column, values)
        return column.tobytes()
    except OverflowError as error:
        raise WrongDatatype(f"a value does not fit into {datatype}: {error}") from error


def _check_range(column: array[Any], values: list[Any]) -> None:
    """Refuse a number that 32 bits made infinite; array converts it silently."""
    for place, (value, sent) in enumerate(zip(column, values, strict=True)):
        if abs(value) == INFINITE != abs(sent):
            raise WrongDatatype(f"{sent!r} at position {place} does not fit into FP32")


def decode(datatype: str, buffer: bytes) -> list[Any]:
    """Return the values of a buffer as a flat list; NaN stays NaN."""
    if datatype == "BYTES":
        values: list[Any] = json.loads(buffer)
        return values
    if datatype == "FP16":
        return list(struct.unpack(f"<{len(buffer) // 2}e", buffer))
    column = array(CODES[datatype])
    column.frombytes(buffer)
    return [value != 0 for value in column] if datatype == "BOOL" else column.tolist()


def pack(head: dict[str, Any], buffers: list[bytes]) -> bytes:
    """Return a payload: `head` (JSON; `columns` has one entry for each buffer) and the buffers."""
    for column, buffer in zip(head["columns"], buffers, strict=True):
        column["size"] = len(buffer)
    text = json.dumps(head).encode()
    return b"".join((len(text).to_bytes(4, "little"), text, *buffers))


def unpack(payload: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Return the head and the buffers of a payload of `pack`."""
    start = 4 + int.from_bytes(payload[:4], "little")
    head: dict[str, Any] = json.loads(payload[4:start])
    buffers: list[bytes] = []
    for column in head["columns"]:
        buffers.append(payload[start : start + column["size"]])
        start += column["size"]
    return head, buffers
