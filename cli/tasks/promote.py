"""Compute the changes of a promotion, and write them to the registry."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.clients.deployments import deployment_command, explain, label, version_of
from cli.errors import Unreachable, UsageError
from cli.tasks.wait import wait_for
from cli.views.output import say

if TYPE_CHECKING:
    from cli.clients.all import Clients
    from cli.clients.deployments import Deployment, Plan
    from cli.clients.mlflow import Registry, Version
    from cli.tasks.environments import Environment


SEEN_SECONDS = 10.0  # a promotion by stage fires no event: the Deployer sees it at its next poll
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Promotion:
    """The changes in the registry when a version is promoted.

    Attributes:
        alias: the alias that moves, or None if the version has it already or the environment has
            none.
        alias_from: the version that has the alias now.
        stage: the stage to move to, or None likewise.
        archived: the versions that leave that stage for Archived.
    """

    model: str
    version: str
    environment: str
    alias: str | None
    alias_from: str | None
    stage: str | None
    archived: tuple[str, ...]

    @property
    def pending(self) -> bool:
        """Whether anything changes."""
        return bool(self.alias or self.stage or self.archived)

    def data(self) -> dict[str, Any]:
        """Return the promotion as JSON data."""
        return {
            "model": self.model,
            "version": self.version,
            "environment": self.environment,
            "alias": {"name": self.alias, "from": self.alias_from, "to": self.version}
            if self.alias
            else None,
            "stage": self.stage,
            "archived": list(self.archived),
        }

    def lines(self) -> list[str]:
        """Describe each change in a line."""
        found = []
        if self.alias:
            found.append(f"alias {self.alias}: {self.alias_from or 'none'} -> {self.version}")
        if self.stage:
            found.append(f"stage {self.stage}: version {self.version} moves in")
        found += [f"stage Archived: version {each} moves out of the way" for each in self.archived]
        return found


def prepare(versions: list[Version], version: Version, environment: Environment) -> Promotion:
    """Compute the changes of a promotion; pure.

    Args:
        versions: every version of the model.
        version: the version to promote.
        environment: with its selector, `alias` and `stage`; each may be None.

    Raises:
        UsageError: the version is not ready, or the environment has no selector.
    """
    number = version["version"]
    alias, stage = environment.get("alias"), environment.get("stage")
    if not (alias or stage):
        raise UsageError(
            f"{environment['name']} has neither a stage nor an alias",
            "give it one in platform.yaml",
        )
    if version.get("status", "READY") != "READY":
        raise UsageError(
            f"{version['name']} version {number} is {version['status']} in the registry",
            "promote it once its upload is done",
        )
    holder = next((v["version"] for v in versions if alias and alias in v["aliases"]), None)
    others = [v["version"] for v in versions if stage and v.get("current_stage") == stage]
    archived = tuple(sorted((v for v in others if v != number), key=int))
    return Promotion(
        model=version["name"],
        version=number,
        environment=environment["name"],
        alias=alias if alias and holder != number else None,
        alias_from=holder,
        stage=stage if stage and (number not in others or archived) else None,
        archived=archived,
    )


def execute(promotion: Promotion, registry: Registry, who: str) -> None:
    """Write a promotion to the registry: the promoter, the alias, the stage and its archiving.

    MLflow does not record who moved an alias or a stage; the tag is written before either moves, so
    that the Deployer's history can name the promoter.
    """
    tag = f"schnitzel.{promotion.environment}.promoted_by"
    registry.set_version_tag(promotion.model, promotion.version, tag, who)
    if promotion.alias:
        registry.set_alias(promotion.model, promotion.alias, promotion.version)
    if promotion.stage:
        registry.move_to_stage(promotion.model, promotion.version, promotion.stage)
    # One by one: with archive_existing_versions, MLflow 3.17 fails on PostgreSQL.
    for other in promotion.archived:
        registry.move_to_stage(promotion.model, other, "Archived")


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
            say(f"next: {deployment_command('deploy wait', seen)}")
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
    say(f"next: {deployment_command('predict', served, '--example')}")


def _seen(clients: Clients, promotion: Promotion) -> Deployment | None:
    deadline = time.monotonic() + SEEN_SECONDS
    while time.monotonic() < deadline:
        for each in clients.deployments.find(promotion.model, promotion.environment):
            if version_of(each["wanted"]) == promotion.version:
                return each
        time.sleep(POLL_SECONDS)
    return None
