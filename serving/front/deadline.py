"""Read from a request's headers how long its client waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.front.listener import Refused

if TYPE_CHECKING:
    from serving.front.listener import Request

HEADERS = (b"x-request-timeout-ms", b"x-envoy-expected-rq-timeout-ms")
"""The client's header, and Envoy's for its own limit; in milliseconds."""


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
