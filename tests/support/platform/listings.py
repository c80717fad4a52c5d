"""Time as a Deployer counts it: by the complete listings of the registry."""

from __future__ import annotations

from support.platform.home import PlatformHome
from support.run.wait import wait_for


def listed(platform: PlatformHome, times: int) -> None:
    """Have the registry listed so many times from now on; else a busy one is seldom listed.

    A listing may have begun before it was asked for, so one more is waited for.
    """
    seen: set[str] = set()

    def listings() -> int:
        seen.add(platform.api("registry")["listed_at"])
        return len(seen)

    listings()
    for number in range(1, times + 2):
        platform.reconcile()
        wait_for(lambda number=number: listings() > number, f"listing {number} of {times}", 120)
