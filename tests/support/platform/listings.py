"""Time as a Deployer counts it: by the complete listings of the registry."""

from __future__ import annotations

from typing import Any, Protocol

from support.run.wait import wait_for


class Asked(Protocol):
    """What has the Deployer's API."""

    def api(self, path: str) -> Any: ...


def listed(platform: Asked, times: int, seconds: float = 600) -> None:
    """Wait until the registry was listed so many times from now on; a busy one is listed seldom."""
    seen: set[str] = set()

    def look() -> bool:
        seen.add(platform.api("registry")["listed_at"])
        return len(seen) > times

    wait_for(look, f"{times} listings", seconds)
