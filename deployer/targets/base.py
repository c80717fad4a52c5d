"""Define the protocol of a target, which runs deployments and observes them, and capabilities.

No call waits for long work: a call begins a fetch, a build, a start or an example request, and a
later `observe` reports its progress.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from deployer.plan.preview import Node, Preview
from deployer.python_env.retention import Inventory, Needs
from deployer.state.deployment import Deployment
from deployer.state.observed import Observed
from deployer.state.predictor import Predictor
from deployer.status.verdict import Status


@dataclass(frozen=True, slots=True)
class PreflightCheck:
    """The result of one check: "ok" or "fail", a message, and the command that fixes a failure."""

    name: str
    level: str
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class MetricsEndpoint:
    """The address of a model server's /metrics ("HOST:PORT"), and the labels of its deployment."""

    address: str
    labels: Mapping[str, str]


class Target(Protocol):
    """A place that runs deployments: what every target can do.

    What only some targets can do is a capability: one of the protocols below, which a caller asks
    for with `isinstance`. A target declares a capability by its methods alone.
    """

    name: str

    @property
    def server(self) -> str:
        """The version of chart and server that new predictors get; "" where there is none."""
        ...

    def watch(self, changed: Callable[[str], None]) -> None:
        """Begin to report each deployment of which anything that `observe` returns changed.

        A report is a hint to observe the deployment, and may come more than once.

        Args:
            changed: Called with the deployment's id, from any thread; quick.
        """
        ...

    def observe(self, deployment: str) -> Observed:
        """Observe a deployment's predictors and the weights that the gateway serves.

        Raises:
            TargetUnavailable: The target cannot be read now; callers must conclude nothing from it.
        """
        ...

    def apply(self, deployment: Deployment, observed: Observed) -> None:
        """Bring the target closer to this deployment: start, ask, route, then retire.

        Raises:
            TargetUnavailable: The change did not take effect; the next pass tries again.
        """
        ...

    def preview(self, deployment: Deployment) -> Preview:
        """List the writes and deletions that `apply` would make, with secrets masked.

        The preview begins nothing.

        Raises:
            SchnitzelError: The preview cannot be computed now.
        """
        ...

    def deployments(self) -> set[tuple[str, str]]:
        """List model and environment of each deployment that has anything of ours here."""
        ...

    def url(self, model: str, environment: str) -> str:
        """Return the address at which a deployment answers."""
        ...

    def close(self) -> None:
        """Release all resources; predictors keep running."""
        ...


@runtime_checkable
class PublishesStatus(Protocol):
    """A target that has a place for the status of a deployment."""

    def publish(self, status: Status) -> None:
        """Publish a deployment's status where it runs.

        Raises:
            TargetUnavailable: The status was not published; nothing else depends on it.
        """
        ...


@runtime_checkable
class HasTree(Protocol):
    """A target that can name the parts of a deployment."""

    def tree(self, deployment: str) -> Node:
        """Build the tree of a deployment's parts, each with its health.

        Raises:
            TargetUnavailable: The target cannot be read now.
        """
        ...


@runtime_checkable
class HasLogs(Protocol):
    """A target that keeps the logs of predictors."""

    def logs(self, predictor: str, lines: int) -> str:
        """Return the last lines of a predictor's log, also after the predictor ended."""
        ...


@runtime_checkable
class HasPreflight(Protocol):
    """A target that can check what it needs."""

    name: str

    def check(self) -> list[PreflightCheck]:
        """Check what the target needs; the checks change nothing."""
        ...


@runtime_checkable
class HasMetricsEndpoints(Protocol):
    """A target whose model servers Prometheus cannot discover."""

    def pages(self) -> list[MetricsEndpoint]:
        """List the metrics endpoints of the model servers."""
        ...


@runtime_checkable
class CountsRequests(Protocol):
    """A target whose predictors count what they answer, in windows of ten seconds."""

    def windows(self, predictor: Predictor) -> Mapping[str, bytes]:
        """Read the windows of each replica, by its name; b"" of one that does not answer.

        Waits for the replicas, a few seconds at most.
        """
        ...


@runtime_checkable
class HasQueues(Protocol):
    """A target whose predictors answer the messages of queues."""

    def queues(self, predictor: Predictor) -> Mapping[str, bytes]:
        """Read what each replica says of its queue, by its name; b"" of one that does not answer.

        Waits for the replicas, a few seconds at most.
        """
        ...


@runtime_checkable
class HasPythonEnvironments(Protocol):
    """A target that builds the Python environments of models, and can remove unused ones."""

    name: str

    def environments(self, needs: Needs) -> Inventory:
        """List the Python environments that were built here, with the users of each.

        Raises:
            TargetUnavailable: The Python environments cannot be listed now.
        """
        ...

    def collect(self, names: Collection[str], needs: Callable[[], Needs], grace: float) -> None:
        """Begin to remove the named Python environments that nothing needs.

        Args:
            names: The candidates.
            needs: Called again once no predictor can begin to use the candidates any more.
            grace: Seconds for which an unused Python environment stays.
        """
        ...
