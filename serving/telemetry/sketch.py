"""Estimate the distribution of durations within 2.5 %, in a bounded number of buckets.

Bucket 0 holds all up to LEAST, bucket i all over LEAST * RATIO ** (i - 1) and up to LEAST * RATIO
** i, and bucket LAST all beyond. The counts of two sketches add up to the sketch of both (DDSketch:
Masson, Rim and Lee, VLDB 2019).
"""

from __future__ import annotations

import math
from typing import Any

RATIO = 1.05
LEAST = 1e-5
LONGEST = 3_600.0
"""Longer durations, and NaN, count as this; no request may take as long."""
LAST = math.ceil(math.log(LONGEST / LEAST, RATIO))
"""404."""
_SCALE = 1 / math.log(RATIO)


class Sketch:
    """Counts of seconds in log-spaced buckets, without the empty buckets."""

    __slots__ = ("buckets", "sum")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one value."""
        seconds = min(LONGEST, seconds)
        index = math.ceil(math.log(seconds / LEAST) * _SCALE) if seconds > LEAST else 0
        self.buckets[index] = self.buckets.get(index, 0) + 1
        self.sum += seconds

    def merge(self, other: Sketch) -> None:
        """Add the counts of `other`."""
        for index, count in other.buckets.items():
            self.buckets[index] = self.buckets.get(index, 0) + count
        self.sum += other.sum

    def to_json(self) -> dict[str, Any]:
        """Return the sketch as JSON data: the sum, and the counts by bucket number."""
        counts = {str(index): self.buckets[index] for index in sorted(self.buckets)}
        return {"sum": round(self.sum, 6), "buckets": counts}
