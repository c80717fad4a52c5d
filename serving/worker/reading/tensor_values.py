"""Check the values of a tensor before numpy converts them to the signature's type.

numpy silently drops fractions, converts truth values to numbers and numbers to texts, and pads each
text to the longest. Runs in the worker.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from .values import LARGEST_FLOAT, InvalidValue, TooLarge, invalid_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEXT_BYTES = 256 * 2**20
"""Memory limit of one array's texts; numpy gives each text the room of the longest, 4 bytes a
character."""
KINDS: dict[str, tuple[frozenset[type], str]] = {
    "b": (frozenset({bool}), "true or false"),
    "i": (frozenset({int, float}), "a whole number"),
    "u": (frozenset({int, float}), "a whole number"),
    "f": (frozenset({int, float, type(None)}), "a number"),
    "U": (frozenset({str}), "a text"),
}
"""The JSON types that each kind of dtype takes; numpy reads the other kinds."""
LARGEST = {2: 65_520.0, 4: LARGEST_FLOAT}
"""Numbers from here on are infinite in a float of so many bytes."""


def sent(request: dict[str, Any], specs: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, spec and nested values of each tensor of a request, in any form."""
    named = {spec.name: spec for spec in specs if spec.name}
    for form in ("inputs", "instances", "dataframe_records"):
        data = request.get(form)
        if isinstance(data, dict):
            yield from ((name, named[name], data[name]) for name in data if name in named)
        elif isinstance(data, list) and data and isinstance(data[0], dict):
            yield from _of_records(data, named, specs)
        elif data is not None and specs:
            yield specs[0].name or "input", specs[0], data
    split = request.get("dataframe_split")
    if isinstance(split, dict) and isinstance(split.get("data"), list):
        columns = split.get("columns")
        if isinstance(columns, list) and named:
            rows = [row for row in split["data"] if isinstance(row, list)]
            for place, name in enumerate(columns):
                if isinstance(name, str) and name in named:
                    values = [row[place] for row in rows if place < len(row)]
                    yield name, named[name], values
        elif specs and not named:
            yield "input", specs[0], split["data"]


def _of_records(
    records: list[Any], named: dict[str, Any], specs: list[Any]
) -> Iterator[tuple[str, Any, Any]]:
    rows = [row for row in records if isinstance(row, dict)]
    if named:
        for name, spec in named.items():
            yield name, spec, [row[name] for row in rows if name in row]
    elif specs:
        yield "input", specs[0], [list(row.values()) for row in rows]


def check(name: str, spec: Any, data: Any) -> None:
    """Refuse values that numpy would change.

    Raises:
        InvalidValue: numpy would change a value.
    """
    flat, dtype = _flat(data), spec.type
    if dtype.kind not in KINDS:
        return
    types, expected = KINDS[dtype.kind]
    if set(map(type, flat)) - types:
        # numpy reads a number that is written as a text.
        also = types | {str} if dtype.kind in "iuf" else types
        _refuse(name, flat, lambda value: type(value) not in also, f"{expected} ({dtype})")
    if dtype.kind in "iu":
        least, most = _bounds(dtype)
        _refuse(
            name, flat, lambda v: type(v) is float and not v.is_integer(), f"{expected} ({dtype})"
        )
        _refuse(
            name,
            flat,
            lambda v: type(v) is not str and not least <= v <= most,
            f"a number from {least} to {most}",
        )
    elif dtype.kind == "f" and (largest := LARGEST.get(dtype.itemsize)) is not None:
        numbers = (int, float)
        _refuse(
            name,
            flat,
            lambda v: type(v) in numbers and largest <= abs(v) < float("inf"),
            f"a number that fits into {dtype}",
        )
    elif dtype.kind == "U":
        fits(name, flat)


def _refuse(name: str, flat: list[Any], wrong: Callable[[Any], bool], expected: str) -> None:
    place = next((place for place, value in enumerate(flat) if wrong(value)), None)
    if place is not None:
        raise invalid_value(f"input '{name}', position", place, flat[place], expected)


def _bounds(dtype: Any) -> tuple[int, int]:
    bits = 8 * int(dtype.itemsize)
    return (0, 2**bits - 1) if dtype.kind == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def fits(name: str, texts: list[Any]) -> None:
    """Refuse texts that numpy would expand far beyond the size of the request.

    Raises:
        InvalidValue: the array of the texts would exceed TEXT_BYTES.
    """
    if not has_room(texts):
        longest = max(map(len, filter(None, texts)))
        said = f"{len(texts)} texts, of which the longest has {longest} characters, would take"
        needed = 4 * longest * len(texts) >> 20
        raise InvalidValue(f"input '{name}': {said} {needed} MiB; send fewer in one request")


def has_room(texts: list[Any]) -> bool:
    """Return whether numpy can give each text the room of the longest."""
    longest = max((len(text) for text in texts if isinstance(text, str)), default=0)
    return 4 * longest * len(texts) <= TEXT_BYTES


def _flat(data: Any) -> list[Any]:
    """Return the values in nested lists, in order."""
    flat = data if isinstance(data, list) else [data]
    while any(type(each) is list for each in flat):
        flat = list(chain.from_iterable(e if type(e) is list else [e] for e in flat))
    return flat


def no_overflow(data: Any) -> None:
    """Refuse numbers that no double can hold, at any depth.

    Raises:
        InvalidValue: there is such a number.
    """
    waiting = [data]
    while waiting:
        each = waiting.pop()
        if isinstance(each, TooLarge):
            raise InvalidValue(f"the number {str(each)[:80]} does not fit into 64 bits")
        if isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
