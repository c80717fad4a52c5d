"""Declare the part of the controller that the API uses, so that neither imports the other."""

from __future__ import annotations

from typing import Protocol

from deployer.controller.context import ReconcileContext
from deployer.controller.metrics import Metrics
from deployer.controller.operator import ApplyOptions
from deployer.plan.preview import Node, Preview
from deployer.registry.watch import Health, Watch
from deployer.status.verdict import Status


class Engine(Protocol):
    """The controller as the API sees it."""

    context: ReconcileContext
    metrics: Metrics
    watch: Watch

    @property
    def health(self) -> Health: ...  # noqa: D102
    def statuses(self) -> list[Status]: ...  # noqa: D102
    def status(self, deployment: str) -> Status: ...  # noqa: D102
    def planned(self, deployment: str) -> tuple[Status, Preview | None]: ...  # noqa: D102
    def previewed(self, deployment: str) -> tuple[Status, Preview]: ...  # noqa: D102
    def tree(self, deployment: str) -> Node: ...  # noqa: D102
    def apply(self, deployment: str, who: str, options: ApplyOptions) -> None: ...  # noqa: D102
    def pause(self, deployment: str, who: str, reason: str) -> None: ...  # noqa: D102
    def resume(self, deployment: str, who: str) -> None: ...  # noqa: D102
    def accept_registry(self, who: str) -> None: ...  # noqa: D102
    def resync(self) -> None: ...  # noqa: D102
    def depth(self) -> int: ...  # noqa: D102
