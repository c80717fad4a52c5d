"""Nothing in; out: what the API asks of the controller, so that neither imports the other."""

from __future__ import annotations

from typing import Protocol

from deployer.interventions import Word
from deployer.metrics import Metrics
from deployer.rendered import Node, Preview
from deployer.status import Status
from deployer.watch import Health, Watch
from deployer.world import World


class Engine(Protocol):
    """The controller, as the API sees it."""

    world: World
    metrics: Metrics
    watch: Watch

    @property
    def health(self) -> Health: ...  # noqa: D102
    def statuses(self) -> list[Status]: ...  # noqa: D102
    def status(self, deployment: str) -> Status: ...  # noqa: D102
    def planned(self, deployment: str) -> Status: ...  # noqa: D102
    def previewed(self, deployment: str) -> tuple[Status, Preview]: ...  # noqa: D102
    def tree(self, deployment: str) -> Node: ...  # noqa: D102
    def apply(self, deployment: str, who: str, word: Word) -> None: ...  # noqa: D102
    def pause(self, deployment: str, who: str, reason: str) -> None: ...  # noqa: D102
    def resume(self, deployment: str, who: str) -> None: ...  # noqa: D102
    def accept_registry(self, who: str) -> None: ...  # noqa: D102
    def look(self) -> None: ...  # noqa: D102
    def depth(self) -> int: ...  # noqa: D102
