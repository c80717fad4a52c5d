"""Count the values of the model's answers, in a summary of bounded size.

Texts and whole numbers are counted by label, numbers by bin; of large answers, a sample is counted.
Runs in the worker, where the values are at hand: standard library only, and no package is imported
for the counts.

A bin's number is 0 for zero, else the place of abs(value) among EDGES, from 1 on, negative for
negative values: bin i holds values over EDGES[i - 2] and up to EDGES[i - 1].
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from . import framing

if TYPE_CHECKING:
    from collections.abc import Iterable

EDGES = (
    *(1e-6 * 1.25**k for k in range(45)),  # up to 0.0184
    *(k / 50 for k in range(1, 51)),
    *(1.1**k for k in range(1, 219)),  # up to 1.06e9
)
LOOKED_AT = 128
"""Values of one request that are counted; of more values, that many, evenly spread."""
LABELS = 20
CHARACTERS = 40
"""A longer text is no label, and never leaves the worker."""
ITEM_BYTES = 4096
"""Arrays with larger items are not examined."""
WHOLE = 10**15
"""Larger whole numbers are no labels."""


def packed(results: Iterable[Any]) -> bytes:
    """Return the frame with the counts of the model's answers; empty if they cannot be counted."""
    counts = Counts()
    with suppress(Exception):  # a model may return anything, and no request waits for the counts
        for result in results:
            counts.add(result)
        if counts.values:
            return framing.pack(0, framing.ANSWERS, json.dumps(counts.to_json()).encode())
    return b""


class Counts:
    """Counts of the values of one call's answers."""

    def __init__(self) -> None:
        self.values = self.counted = self.other = self.missing = 0
        self.labels: dict[str, int] = {}
        self.bins: dict[int, int] = {}

    def add(self, result: Any) -> None:
        """Count the model's result for one request; of several parts, the first."""
        total, values = _values(result)
        self.values += total
        self.counted += len(values)
        for value in values:
            self._count(value)

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON data, without zeros."""
        parts = {
            "values": self.values, "counted": self.counted, "other": self.other,
            "missing": self.missing, "labels": self.labels, "bins": self.bins,
        }  # fmt: skip
        return {name: part for name, part in parts.items() if part}

    def _count(self, value: Any) -> None:
        kind = type(value)
        if kind is float:
            self._bin(value)
        elif kind is str:
            self._label(value)
        elif kind is bool:
            self._label("true" if value else "false")
        elif kind is int and abs(value) < WHOLE:
            self._label(str(value))
            self._bin(value)
        elif value is None:
            self.missing += 1
        else:
            self.other += 1

    def _bin(self, value: float) -> None:
        if math.isnan(value):
            self.missing += 1
            return
        number = bisect_left(EDGES, abs(value)) + 1 if value else 0
        number = -number if value < 0 else number
        self.bins[number] = self.bins.get(number, 0) + 1

    def _label(self, text: str) -> None:
        text = text.encode("utf-8", "replace").decode() if len(text) <= CHARACTERS else ""
        if text in self.labels or (text and len(self.labels) < LABELS):
            self.labels[text] = self.labels.get(text, 0) + 1
        else:
            self.other += 1


def _values(result: Any) -> tuple[int, list[Any]]:
    """Return the number of values, and a sample of them as Python's own objects."""
    if isinstance(result, dict):
        result = next(iter(result.values()), [])
    elif hasattr(result, "columns") and hasattr(result, "iloc"):
        result = _first_column(result) if len(result.columns) else []
    if isinstance(result, tuple | list):
        first: Any = result[0] if result else None
        result = first if getattr(first, "ndim", 0) else result
    if hasattr(result, "to_numpy"):
        result = result.to_numpy()
    if hasattr(result, "dtype") and hasattr(result, "flat"):
        total = int(result.size)
        if result.dtype.itemsize > ITEM_BYTES:
            return total, []
        some = result.ravel() if total <= LOOKED_AT else result.flat[:: _step(total)]
        return total, some.tolist()
    if not isinstance(result, list | tuple):
        return 1, [_plain(result)]
    return len(result), [_plain(each) for each in islice(result, 0, None, _step(len(result)))]


def _first_column(frame: Any) -> Any:
    """Return a frame's first column: by its name, which is quicker, where the name is unique."""
    column = frame[frame.columns[0]]
    return column.iloc[:, 0] if hasattr(column, "columns") else column


def _plain(value: Any) -> Any:
    """Convert a numpy scalar to Python's own number."""
    return value.item() if hasattr(value, "dtype") and hasattr(value, "item") else value


def _step(total: int) -> int:
    return -(-total // LOOKED_AT) or 1
