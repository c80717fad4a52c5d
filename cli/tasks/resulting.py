"""A promotion that was carried out in; what the Deployer makes of it, and its serving, out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cli.clients.deployments import about, explain, label, version_of
from cli.errors import Unreachable
from cli.tasks.wait import wait_for
from cli.views.output import say

if TYPE_CHECKING:
    from cli.clients.all import Clients
    from cli.clients.deployments import Deployment, Plan
    from cli.tasks.promote import Promotion

SEEN_SECONDS = 10.0  # a promotion by stage fires no event: the Deployer sees it at its next poll
POLL_SECONDS = 0.2


def resulting_plan(clients: Clients, promotion: Promotion, *, waits: bool) -> Plan | None:
    """Return the Deployer's plan once it has seen a promotion, and say how far it is.

    None if the Deployer does not run or does not see it in time; both are said. With `waits` no
    next step is said: waiting is what comes next.
    """
    try:
        seen = _seen(clients, promotion)
        plan = clients.deployments.plan(seen["id"]) if seen else None
    except Unreachable as error:
        say(f"warning: {error}")
        say("it will be served once the Deployer runs; start it with: schnitzel up")
        return None
    if seen is None:
        say("the Deployer has not seen it yet; see: schnitzel status")
    else:
        say(f"{label(seen)} {explain(seen)}")
        if not waits:
            say(f"next: {about('deploy wait', seen)}")
    return plan


def await_serving(clients: Clients, promotion: Promotion, seconds: float) -> None:
    """Wait until the promoted version serves, and say where.

    Raises:
        CommandError: the Deployer says that it will not.
        WaitTimedOut: it did not in time.
    """

    def find() -> Deployment | None:
        found = clients.deployments.find(promotion.model, promotion.environment)
        return found[0] if found else None

    served = wait_for(clients.deployments, find, version=promotion.version, seconds=seconds)
    say(f"{label(served)} serves version {promotion.version} at {served['url']}")
    say(f"next: {about('predict', served, '--example')}")


def _seen(clients: Clients, promotion: Promotion) -> Deployment | None:
    deadline = time.monotonic() + SEEN_SECONDS
    while time.monotonic() < deadline:
        for each in clients.deployments.find(promotion.model, promotion.environment):
            if version_of(each["wanted"]) == promotion.version:
                return each
        time.sleep(POLL_SECONDS)
    return None
