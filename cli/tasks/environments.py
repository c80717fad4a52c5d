"""List the platform's environments, and find the environment of a name, an alias or a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.errors import Unreachable, UsageError, unknown
from cli.settings import platform_settings

if TYPE_CHECKING:
    from cli.clients.all import Clients

Environment = dict[str, Any]


def environments(clients: Clients) -> list[Environment]:
    """List the environments: the Deployer's, or while it is down those of the settings."""
    try:
        return clients.deployments.environments()
    except Unreachable:
        found = platform_settings(clients.config.home)["environments"]
        return [{"name": name, **each} for name, each in found.items()]


def environment(clients: Clients, given: str) -> Environment:
    """Find the environment with this name, alias or stage.

    Raises:
        UsageError: there is none, or more than one.
    """
    everything = environments(clients)
    for each in everything:
        if each["name"] == given:
            return each
    found = [
        each
        for each in everything
        if given == each.get("alias") or given.lower() == (each.get("stage") or "").lower()
    ]
    if len(found) > 1:
        several = ", ".join(each["name"] for each in found)
        raise UsageError(f"{given!r} promotes to more than one environment", f"name one: {several}")
    if not found:
        names = [each["name"] for each in everything]
        raise unknown("environment", given, names, f"there is: {', '.join(names)}")
    return found[0]
