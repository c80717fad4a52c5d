"""Show the Deployer's plan for a promotion, and wait until the version serves."""

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
    """Return the Deployer's plan once it has seen a promotion, and print the deployment's state.

    None if the Deployer does not run or does not see the promotion in time; either is printed. With
    `waits` no next step is printed: the caller waits next.
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
    """Wait until the promoted version serves, and print its URL.

    Raises:
        CommandError: the Deployer reports that it will not serve.
        WaitTimedOut: it did not serve in time.
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
