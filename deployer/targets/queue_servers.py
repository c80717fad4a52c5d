"""Read what model servers say of their queue: their share of it, and how fast they answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from deployer.analysis import windows

PATH: Final = "/schnitzel/queue"
"""Where a model server's admin port shows its queue."""

WINDOWS: Final = 6
"""The last complete windows over which a rate is taken."""

SILENT: Final = "ServerSilent"
"""The reason of a server that does not answer on its admin port."""


@dataclass(frozen=True, slots=True)
class QueueServer:
    """What one replica of a predictor says of its queue.

    Attributes:
        name: The replica's.
        share: The beginning and the end of its share of the messages, between 0 and 1.
        consumes: Whether it takes messages now.
        in_flight: The messages that it has and has not answered yet.
        reason: Why it takes none; "" if it could.
        message: The same as a sentence.
        since: When that began, in seconds since the epoch.
    """

    name: str
    share: tuple[float, float] = (0.0, 0.0)
    consumes: bool = False
    in_flight: int = 0
    reason: str = ""
    message: str = ""
    since: float = 0.0


def parse(name: str, body: bytes) -> QueueServer:
    """Parse a server's answer to GET of PATH; b"" is one that does not answer."""
    try:
        data: Any = orjson.loads(body)
        low, high = data["share"]
        return QueueServer(
            name,
            (float(low), float(high)),
            bool(data["consumes"]),
            int(data["in_flight"]),
            str(data["reason"]),
            str(data["message"]),
            float(data["since"]),
        )
    except (KeyError, TypeError, ValueError):
        said = "what it says of its queue cannot be read" if body else "the server does not answer"
        return QueueServer(name, reason=SILENT, message=said)


def rate(body: bytes) -> float | None:
    """Return how many requests and messages a server answered per second, of late.

    Args:
        body: The server's windows; b"" of one that does not answer.

    Returns:
        The rate over the last complete windows; None as long as there is none, or it is unreadable.
    """
    try:
        replica = windows.parse(body)
    except windows.WindowsUnreadable:
        return None
    first = max(replica.started + 1, replica.open - WINDOWS)
    if first >= replica.open:
        return None
    counted = [arm for number, arm in replica.windows.items() if first <= number < replica.open]
    return sum(arm.answered for arm in counted) / ((replica.open - first) * windows.SECONDS)
