"""Answer what the API and the pages ask of the controller and of what it works with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from deployer import hints
from deployer.analysis.replay import Replayed, replay, with_criteria
from deployer.config.settings import Settings
from deployer.controller.context import ReconcileContext, upgrading
from deployer.controller.controller import Controller
from deployer.errors import NotFound, SchnitzelError, TargetUnavailable
from deployer.operator import usage
from deployer.plan.preview import Node, Preview
from deployer.python_env.retention import Inventory, decisions
from deployer.registry.client import RegistryClient
from deployer.registry.watch import Health
from deployer.rollout import upgrade
from deployer.rollout.upgrade import Upgrade
from deployer.spec.model import ServingSpec
from deployer.state.evidence import Window
from deployer.status.verdict import Status
from deployer.targets.base import (
    HasLogs,
    HasMetricsEndpoints,
    HasPreflight,
    HasPythonEnvironments,
    HasTree,
    MetricsEndpoint,
    PreflightCheck,
)


@dataclass(frozen=True, slots=True)
class RegistryReport:
    """The health of the registry, its address, the number of its models, and the time."""

    health: Health
    url: str
    models: int
    now: float


@dataclass(frozen=True, slots=True)
class UpgradeReport:
    """The progress of an upgrade, with the user and the time of a halt that is in force."""

    progress: Upgrade
    servers: Mapping[str, str]
    halted_by: str = ""
    halted_at: float = 0.0
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class BuiltEnvironments:
    """The Python environments of a target, and for each why it is kept; "" if it may go."""

    target: str
    inventory: Inventory
    kept: Mapping[str, str]
    message: str = ""
    hint: str = ""


class Queries:
    """The questions that change nothing."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._context: ReconcileContext = controller.context

    @property
    def settings(self) -> Settings:
        """The settings of the platform."""
        return self._context.settings

    @property
    def mlflow(self) -> RegistryClient:
        """The client of MLflow, for what only MLflow has."""
        return self._context.registry.rest

    def evidence(self, deployment: str, limit: int) -> list[tuple[int, Mapping[str, Any]]]:
        """Return the last verdicts on the steps of a deployment's rollouts, newest first.

        Each with its step, as `deployer.analysis.judging` kept it.

        Raises:
            NotFound: No deployment has this id.
        """
        self.status(deployment)
        found = self._context.evidence.verdicts(deployment, limit)
        return [(step, body) for _, step, body in found]

    def replay(
        self, deployment: str, changes: Sequence[str]
    ) -> tuple[ServingSpec, Mapping[str, Any], list[Replayed]]:
        """Judge the windows of the last rollout once more, with other criteria.

        Returns:
            The changed spec, the last verdict as it was kept, and what would have been said.

        Raises:
            NotFound: No deployment has this id, or no windows of a rollout are kept any more.
            SpecInvalid: A change names no criterion.
        """
        self.status(deployment)
        for trial, _, body in self._context.evidence.verdicts(deployment, 1):
            spec = with_criteria(body["spec"], changes)
            if kept := self._context.evidence.windows(trial):
                return spec, body, replay(spec, kept)
        raise NotFound(
            f"No windows of a judged rollout of {deployment} are kept: they stay for a day.",
            "schnitzel deploy history",
        )

    def windows(self, deployment: str, subject: str, count: int) -> list[Window]:
        """Return the first and the last windows by which a predictor is or was judged last.

        Args:
            deployment: The deployment's id.
            subject: The digest of the predictor; of another one there are no windows.
            count: How many of the last.
        """
        for trial, _, _ in self._context.evidence.verdicts(deployment, 1):
            if trial.subject == subject:
                return self._context.evidence.latest(trial, count)
        return []

    def statuses(self) -> list[Status]:
        """Return the status of every deployment, by model and environment."""
        return self._controller.statuses()

    def status(self, deployment: str) -> Status:
        """Return the status of a deployment, by its id.

        Raises:
            NotFound: No deployment has this id.
        """
        return self._controller.status(deployment)

    def queue_depth(self) -> int:
        """Return the number of deployments whose pass is due and has not begun."""
        return self._controller.depth()

    def plan(self, deployment: str) -> tuple[Status, Preview | None]:
        """Return the status of a deployment with a current plan, and the changes in the target.

        If the target cannot be observed, the plan is that of the last pass, without the changes.

        Raises:
            NotFound: No deployment has this id.
        """
        with suppress(SchnitzelError):  # the status reports the error
            return self._controller.preview(deployment)
        return self.status(deployment), None

    def preview(self, deployment: str) -> tuple[Status, Preview]:
        """Return the status with a current plan, and the changes that it would make in the target.

        Raises:
            NotFound: No deployment has this id.
            SchnitzelError: The target cannot be observed now, or the goal cannot be rendered.
        """
        return self._controller.preview(deployment)

    def tree(self, deployment: str) -> tuple[Status, Node]:
        """Return the status of a deployment, and the tree of its objects in its target.

        Raises:
            NotFound: No deployment has this id, or its target shows no objects.
            TargetUnavailable: The target cannot be observed now.
        """
        status = self.status(deployment)
        target = self._context.targets[status.record.environment]
        if not isinstance(target, HasTree):
            raise NotFound(
                f"The target {target.name} does not show the objects of a deployment.",
                hints.deploy("status", status.record),
            )
        return status, target.tree(status.record.id)

    def history(self, deployment: str, limit: int) -> list[dict[str, Any]]:
        """Return the last events of a deployment, the oldest first."""
        return self._context.history.of(deployment, limit)

    def log(self, deployment: str, lines: int, predictor: str | None = None) -> tuple[str, str]:
        """Return the name of a predictor and the last lines of its log.

        Args:
            deployment: The deployment's id.
            lines: The number of lines.
            predictor: The predictor's name; None for the candidate, else the champion.

        Raises:
            NotFound: No deployment has this id, no predictor of it this name, or its target keeps
                no logs.
        """
        status = self.status(deployment)
        known = predictors_of(status)
        if predictor is not None and predictor not in known:
            raise NotFound(
                f"{deployment} has no predictor {predictor!r}.", f"It has {', '.join(known)}."
            )
        name = predictor or next(iter(known), "")
        target = self._context.targets[status.record.environment]
        if not isinstance(target, HasLogs):
            raise NotFound(
                f"The target {target.name} keeps no logs.", hints.deploy("status", status.record)
            )
        return name, target.logs(name, lines) if name else ""

    def registry(self) -> RegistryReport:
        """Report the health of the registry."""
        registry = self._context.registry
        models = len(registry.snapshot.models) if registry.snapshot else 0
        return RegistryReport(
            self._controller.health, registry.rest.url, models, self._context.clock()
        )

    def preflight(self) -> list[tuple[str, Sequence[PreflightCheck]]]:
        """Run the checks of every target that has any, now."""
        targets = self._context.each_target
        return [(each.name, each.check()) for each in targets if isinstance(each, HasPreflight)]

    def metrics_endpoints(self) -> list[MetricsEndpoint]:
        """List the metrics endpoints of model servers that Prometheus does not find itself."""
        targets = self._context.each_target
        found = [each.pages() for each in targets if isinstance(each, HasMetricsEndpoints)]
        return [page for pages in found for page in pages]

    def upgrade(self) -> UpgradeReport:
        """Report the progress of an upgrade of chart and server."""
        context = self._context
        progress = upgrading(context, self._controller.invalid())
        servers = {name: context.targets[name].server for name in progress.order}
        frozen = bool(context.identity.frozen)
        halt = context.records.get(upgrade.HALT)
        kept: dict[str, Any] = json.loads(halt) if halt else {"by": "", "at": 0.0}
        return UpgradeReport(progress, servers, kept["by"], kept["at"], frozen)

    def built_environments(self) -> list[BuiltEnvironments]:
        """List the Python environments that were built in each target, and who uses them."""
        context = self._context
        grace = context.settings.policy.collect_after
        found = []
        for target in context.each_target:
            if not isinstance(target, HasPythonEnvironments):
                continue
            message, hint = "", ""
            try:
                inventory = target.environments(usage.of_target(context, target))
                message = inventory.unknown
            except TargetUnavailable as error:
                inventory, message, hint = Inventory(""), error.message, error.hint
            kept = decisions(inventory, context.clock(), grace)
            found.append(BuiltEnvironments(target.name, inventory, kept, message, hint))
        return found


def predictors_of(status: Status) -> list[str]:
    """List a deployment's predictors: candidate, serving, desired, then other observed ones."""
    record = status.record
    candidate = record.candidate.predictor if record.candidate else None
    known = [one.name for one in (candidate, record.champion, status.wanted.champion) if one]
    return list(dict.fromkeys([*known, *sorted(status.observed.predictors)]))
