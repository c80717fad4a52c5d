"""The protocol of a target: what every place that deployments run in can do.

In: deployments to have. Out: what is observed of them. No call waits for long work: a fetch, a
build, a start, an example request is begun, and seen in what `observe` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from deployer.plan.preview import Node, Preview
from deployer.python_env.retention import Inventory, Needs
from deployer.state.deployment import Deployment, Observed
from deployer.status.verdict import Status


@dataclass(frozen=True, slots=True)
class PreflightCheck:
    """One thing that was looked at: "ok" or "fail", what was found, and the mending command."""

    name: str
    level: str
    message: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class MetricsEndpoint:
    """Where one running server shows its metrics ("HOST:PORT", at /metrics), and whose it is."""

    address: str
    labels: Mapping[str, str]


class Target(Protocol):
    """Where deployments run."""

    name: str

    @property
    def server(self) -> str:
        """The version of chart and server that predictors are made with now; "" for none."""
        ...

    def observe(self, deployment: str) -> Observed:
        """What runs of a deployment, by its id, and what the gateway serves of it.

        Raises:
            TargetUnavailable: It cannot be seen now; nothing is to be concluded from that.
        """
        ...

    def apply(self, deployment: Deployment, observed: Observed) -> None:
        """Take what runs closer to this deployment: start, ask, route, then retire.

        Raises:
            TargetUnavailable: It did not take effect; the next pass tries again.
        """
        ...

    def preview(self, deployment: Deployment) -> Preview:
        """What would be written and deleted to get there, with secrets masked; nothing is begun.

        Raises:
            SchnitzelError: It cannot be said now.
        """
        ...

    def tree(self, deployment: str) -> Node:
        """What there is of a deployment, by its id, and how each part of it is.

        Raises:
            TargetUnavailable: It cannot be seen now.
        """
        ...

    def deployments(self) -> set[tuple[str, str]]:
        """Model and environment of each deployment of which anything of ours exists."""
        ...

    def url(self, model: str, environment: str) -> str:
        """The address at which a deployment answers."""
        ...

    def logs(self, predictor: str, lines: int) -> str:
        """The last lines that a predictor wrote, also after it ended."""
        ...

    def tell(self, told: Status) -> None:
        """Show what is known of a deployment where it runs, if there is a place for it there.

        Raises:
            TargetUnavailable: It could not be shown; nothing else depends on it.
        """
        ...

    def check(self) -> list[PreflightCheck]:
        """Look at what it needs; of this machine `schnitzel doctor` tells, and nothing here."""
        ...

    def pages(self) -> list[MetricsEndpoint]:
        """The metrics of the model servers here; none where Prometheus finds them by itself."""
        ...

    def environments(self, needs: Needs) -> Inventory:
        """The environments that were built here, and what each is kept for.

        Raises:
            TargetUnavailable: They cannot be seen now.
        """
        ...

    def collect(self, names: Collection[str], needs: Callable[[], Needs], grace: float) -> None:
        """Begin to remove those that nothing needs, unused for so many seconds, of the named.

        `needs` is asked again once nobody can begin to use them any more.
        """
        ...

    def close(self) -> None:
        """Let go of everything; what runs goes on running."""
        ...
