"""Share a queue by time: decide in which moments a server consumes.

Time is cut into slots, and each slot belongs to a point between 0 and 1; a server consumes in the
slots whose points lie in its interval. The servers of one version have the same interval, and the
intervals of all versions cover 0 to 1, so that somebody consumes at each moment.

A share by the number of consumers, or by their prefetch, holds only while messages are answered as
fast as they come: under a backlog, every consumer takes what it can answer, and a candidate with 10
% of the consumers answered 30 % of the messages and more (measured with RabbitMQ 3.10).
Clocks that differ make gaps and overlaps of slots: a message waits a little longer, none is lost.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from serving.telemetry.state import replace_file

SLOT = 0.2
"""Seconds."""
_STEP = (math.sqrt(5) - 1) / 2
"""From a slot's point to the next one's, modulo 1: any interval has its slots evenly in time, and
in step with no producer's clock. https://en.wikipedia.org/wiki/Low-discrepancy_sequence"""
LONGEST_DEBT = 60.0
"""Seconds: a message that hangs must not end a server's share for hours."""


class Share(NamedTuple):
    """A server's interval between 0 and 1."""

    low: float = 0.0
    high: float = 1.0

    @property
    def is_none(self) -> bool:
        """Whether the server is silent."""
        return self.high <= self.low

    @property
    def is_whole(self) -> bool:
        """Whether the server consumes all the time."""
        return self.low <= 0 and self.high >= 1

    def holds(self, slot: int) -> bool:
        """Return whether a slot is the server's."""
        return self.low <= slot * _STEP % 1 < self.high


def parsed(value: Any) -> Share | None:
    """Return the share of two numbers of JSON; None: they are no interval between 0 and 1."""
    try:
        low, high = value
        share = Share(float(low), float(high))
    except (ValueError, TypeError):
        return None
    return share if 0 <= share.low <= share.high <= 1 else None


class ShareFile:
    """Keeps a share that was set while the server ran, for its next start."""

    def __init__(self, path: Path, predictor: str) -> None:
        self._path, self._predictor = path, predictor

    def read(self) -> Share | None:
        """Return the share that was set last; None: none was, or for another predictor."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(self._path.read_text(encoding="utf-8"))
            if content["predictor"] == self._predictor:
                return parsed(content["share"])
        return None

    def write(self, share: Share) -> None:
        """Keep a share.

        Raises:
            OSError: it cannot be kept.
        """
        content = {"predictor": self._predictor, "share": list(share)}
        replace_file(self._path, json.dumps(content))


class FollowedShare:
    """Follows a share in a file that somebody else writes, such as a volume of a ConfigMap."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None

    def read(self) -> Share | None:
        """Return the file's share if the file is another than at the last call, else None.

        A file that cannot be read, or that holds no share, changes nothing.
        """
        with suppress(OSError, ValueError):
            found = self._path.stat()
            seen = found.st_ino, found.st_mtime_ns
            if seen != self._seen:
                share = parsed(json.loads(self._path.read_text(encoding="utf-8")))
                self._seen = seen
                return share
        return None


def slot_of(now: float) -> int:
    """Return the slot of a moment (unix time)."""
    return math.floor(now / SLOT)


def until_next(now: float) -> float:
    """Return the seconds to the next slot."""
    return SLOT - now % SLOT


class Turns:
    """Decide slot by slot whether a server consumes.

    A slow model goes on with what it took for longer than its slot. It pays for that time with
    later slots of its own: else a backlog would fill its prefetch in each slot, however short.
    """

    def __init__(self) -> None:
        self._slot = -1
        self._consumes = False
        self._flooded = False
        self._debt = 0.0

    def consumes(self, share: Share, now: float, in_flight: int, *, filled: bool) -> bool:
        """Return whether to consume now.

        Args:
            share: the server's share, as it is now.
            now: unix time.
            in_flight: messages that the server has not answered yet.
            filled: whether they have filled the prefetch since the last call.
        """
        if share.is_none or share.is_whole:
            self._slot, self._consumes, self._flooded, self._debt = -1, share.is_whole, False, 0.0
            return self._consumes
        self._flooded = (self._flooded or (filled and self._consumes)) and in_flight > 0
        slot = slot_of(now)
        if slot != self._slot:
            self._begin(share, slot)
        return self._consumes

    def _begin(self, share: Share, slot: int) -> None:
        mine = share.holds(slot)
        if mine and self._debt >= SLOT:
            self._debt -= SLOT
            mine = False
        elif not mine and self._flooded:
            self._debt = min(LONGEST_DEBT, self._debt + SLOT)
        self._slot, self._consumes = slot, mine
