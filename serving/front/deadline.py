"""Read from a request how long its client waits, and hold answers on readiness for as long."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from serving.front.listener import Refused

if TYPE_CHECKING:
    from serving.front.listener import Request

HEADERS = (b"x-request-timeout-ms", b"x-envoy-expected-rq-timeout-ms")
"""The client's header, and Envoy's for its own limit; in milliseconds."""
MOST_HELD = 16
"""Answers that are held at the same time; a kubelet asks for one."""
_WAIT = re.compile(r"\d{1,2}(\.\d{1,3})?", re.ASCII)


def seconds(request: Request) -> float | None:
    """Return how long the client waits, None if no header says so.

    Raises:
        Refused: a header is no number of milliseconds (400).
    """
    said = [value for name in HEADERS if (value := request.header(name))]
    if not said:
        return None
    for value in said:
        if not value.isdigit() or not 0 < int(value[:16]) < 10**9:
            shown = value[:40].decode("latin-1")
            raise Refused(400, f"a timeout of {shown!r}: expected milliseconds, such as 250")
    return min(int(value) for value in said) / 1000


def wait(query: bytes) -> float:
    """Return how many seconds the client of a readiness probe offers to wait; 0 if none.

    Raises:
        Refused: `wait` is no number of seconds below 100 (400).
    """
    said = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("wait", ["0"])[-1]
    if _WAIT.fullmatch(said) is None:
        raise Refused(400, f"a wait of {said[:40]!r}: expected seconds below 100, such as 0.9")
    return float(said)


class Start:
    """The start of a server, for whose end answers on readiness can be held.

    A kubelet asks once a second: a server that gets ready between two of its questions would be
    found ready with the second.
    """

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._held = 0

    def end(self) -> None:
        """Release the answers that are held, and hold no more: the model is loaded, or never is."""
        self._over.set()

    async def wait(self, seconds: float) -> None:
        """Return at the end, after `seconds` at most; at once beside MOST_HELD others."""
        if self._held >= MOST_HELD:
            return
        self._held += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._over.wait()
        finally:
            self._held -= 1
