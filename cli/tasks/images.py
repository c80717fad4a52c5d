"""List the Python environments that the Deployer built, and wait for their removal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cli.clients.retry import with_retries
from cli.errors import WaitTimedOut
from cli.views.deployments import age
from cli.views.output import say, table

if TYPE_CHECKING:
    from cli.clients.deployments import Deployments

Place = dict[str, Any]
Image = dict[str, Any]

SHORT = 12
"""Characters of a name that are shown; enough to distinguish Python environments."""

POLL_SECONDS = 0.5


def as_table(places: list[Place]) -> str:
    """Draw the Python environments of all places, collectable ones last."""
    rows = [
        (
            place["name"],
            image["name"][:SHORT],
            image["python"],
            size(image["bytes"]),
            age(image["made_at"]),
            age(image["used_at"]),
            image["state"],
            image["kept"] or "may be collected",
        )
        for place in places
        for image in sorted(place["images"], key=lambda one: (one["collectable"], one["made_at"]))
    ]
    headers = ("PLACE", "IMAGE", "PYTHON", "SIZE", "MADE", "USED", "STATE", "KEPT FOR")
    lines = [table(headers, rows)] if rows else ["no environment was built"]
    lines += [f"{place['name']}: {place['message']}" for place in places if place["message"]]
    return "\n".join(lines)


def size(count: int | None) -> str:
    """Format bytes in megabytes: "286 MB"; "-" where unknown."""
    return "-" if count is None else f"{count / 1e6:.0f} MB"


def collectable(places: list[Place]) -> list[Image]:
    """List the images that may be removed."""
    return [image for place in places for image in place["images"] if image["collectable"]]


def wait_for_usage(deployments: Deployments, seconds: float) -> list[Place]:
    """List the places once the Deployer knows what needs each image, or time is up."""
    deadline = time.monotonic() + seconds
    look = with_retries(deployments.images, say)
    while True:
        places = look()
        pending = [p for p in places if p["message"].startswith("it is not known yet")]
        if not pending or time.monotonic() >= deadline:
            return places
        time.sleep(POLL_SECONDS)


def wait(deployments: Deployments, seconds: float) -> list[Place]:
    """Wait until no removal is under way.

    Raises:
        WaitTimedOut: a removal still is.
    """
    deadline = time.monotonic() + seconds
    look = with_retries(deployments.images, say, answered=True)
    while True:
        places = look()
        if not any((place["collection"] or {}).get("state") == "running" for place in places):
            return places
        if time.monotonic() >= deadline:
            raise WaitTimedOut(
                f"images are still being removed after {seconds:g} s", "see: schnitzel image list"
            )
        time.sleep(POLL_SECONDS)
