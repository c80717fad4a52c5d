"""Read what a model server of this machine says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx

SECONDS: Final = 2.0
"""Time for an answer: the server's own listener for it answers under any load."""


def read(host: str, server: Mapping[str, Any], path: str) -> bytes:
    """Read what a server says of itself; b"" if it does not answer.

    Args:
        host: The host of the model servers.
        server: The configuration of the server's last start.
        path: Where its listener for questions about it says so.
    """
    port = server.get("admin_port")
    if port is None:
        return b""
    try:
        answer = httpx.get(f"http://{host}:{port}{path}", timeout=SECONDS, trust_env=False)
    except httpx.HTTPError:
        return b""
    return answer.content if answer.status_code == httpx.codes.OK else b""
