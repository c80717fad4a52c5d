"""Read quantiles and shares from counts in log-spaced buckets."""

from __future__ import annotations

import math
from typing import Final

from deployer.state.evidence import Buckets

RATIO: Final = 1.05
"""Between the edges of a bucket, as in the model server (serving/telemetry/sketch.py)."""

LEAST: Final = 1e-5
"""Seconds: the upper edge of bucket 0."""


def quantile(buckets: Buckets, share: float) -> float:
    """Find the place below which a share of the values lies.

    A place is a number of buckets: values within a bucket count as evenly spread over it, so that
    the same counts have the same share above the same place.

    Raises:
        ValueError: There are no values.
    """
    left = share * sum(buckets.values())
    for index in sorted(buckets):
        if buckets[index] >= left:
            return index - 1 + left / buckets[index]
        left -= buckets[index]
    if not buckets:
        raise ValueError("no values")
    return float(max(buckets))


def share_above(buckets: Buckets, place: float) -> float:
    """Return the share of the values above a place; 0 without values."""
    total = sum(buckets.values())
    above = sum(count * min(1.0, max(0.0, index - place)) for index, count in buckets.items())
    return above / total if total else 0.0


def times(place: float, factor: float) -> float:
    """Move a place to durations that are so many times as long."""
    return place + math.log(factor) / math.log(RATIO)


def seconds(place: float) -> float:
    """Convert a place to seconds."""
    return float(LEAST * RATIO**place)


def share_of(name: str) -> float:
    """Read "p99" as 0.99, and "p99.9" as 0.999."""
    return float(name.removeprefix("p")) / 100


def excess(own: Buckets, others: Buckets, reference: Buckets, name: str, factor: float) -> float:
    """Return by how much a larger share is slower than so many times a quantile of the reference.

    Above 0 if the quantile of `own` is more than `factor` times that of `others`.
    """
    place = quantile(reference, share_of(name))
    return share_above(own, times(place, factor)) - share_above(others, place)


def measured(buckets: Buckets, name: str) -> float | None:
    """Return a quantile by its name, in seconds; None without values."""
    return seconds(quantile(buckets, share_of(name))) if buckets else None


def compared(name: str, mine: float | None, others: float | None, whose: str) -> str:
    """Say, as a clause, how long requests took; `whose` introduces the second duration."""
    if mine is None or others is None:
        return f"latency {name} not measured yet"
    return f"latency {name} {short_time(mine)}, {whose} {short_time(others)}"


def short_time(seconds: float) -> str:
    """Write a duration, such as "12.5 ms"."""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
