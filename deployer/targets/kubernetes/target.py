"""Run deployments on a cluster: apply their objects there, and observe them.

The target reads live objects from a cache that watches the cluster; it renders the wanted ones,
compares them, and writes only differences. The record and the status live in the deployment's
ModelDeployment.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.analysis import windows
from deployer.errors import TargetUnavailable
from deployer.plan.preview import Node, Preview
from deployer.python_env.collector import Collector
from deployer.python_env.retention import Inventory, Needs
from deployer.state.deployment import Deployment
from deployer.state.observed import Observed
from deployer.state.predictor import Predictor
from deployer.state.record import Record
from deployer.status.verdict import Status
from deployer.targets.base import PreflightCheck
from deployer.targets.kubernetes.apply.pipeline import Pipeline
from deployer.targets.kubernetes.apply.preview import Previewer
from deployer.targets.kubernetes.client.errors import Unavailable
from deployer.targets.kubernetes.client.kinds import POD
from deployer.targets.kubernetes.context import ClusterContext
from deployer.targets.kubernetes.images.preparation import ImagePreparation
from deployer.targets.kubernetes.observe import logs as podlogs, tree
from deployer.targets.kubernetes.observe.observer import Observer
from deployer.targets.kubernetes.observe.select import replicas
from deployer.targets.kubernetes.queue.consumers import Consumers
from deployer.targets.kubernetes.render.deployment import DeploymentRenderer
from deployer.targets.kubernetes.render.route import ADMIN_PORT


@dataclass(frozen=True, slots=True)
class Components:
    """The parts of the target of one cluster; `wiring` makes each of them."""

    preflight: Callable[[], list[PreflightCheck]]
    renderer: DeploymentRenderer
    preparation: ImagePreparation
    observer: Observer
    pipeline: Pipeline
    previewer: Previewer
    collector: Collector
    consumers: Consumers


class KubernetesTarget:
    """Deployments as objects of one cluster.

    Args:
        context: The cluster.
        parts: The parts of the target.
    """

    def __init__(self, context: ClusterContext, parts: Components) -> None:
        self.name = context.name
        self._context = context
        self._parts = parts

    @property
    def server(self) -> str:
        """The version of chart and server image that predictors are now rendered with."""
        return self._parts.renderer.version

    def watch(self, changed: Callable[[str], None]) -> None:
        """See `Target.watch`; the cache reports changes of objects."""
        self._parts.observer.watch(changed)

    def observe(self, deployment: str) -> Observed:
        """See `Target.observe`."""
        return self._parts.observer.observe(deployment)

    def apply(self, deployment: Deployment, observed: Observed) -> None:
        """See `Target.apply`."""
        parts = self._parts
        there = self._context.read(deployment.id)
        if there is None:
            raise TargetUnavailable(
                f"The ModelDeployment {deployment.id} is not there (any more).", transient=True
            )
        parts.pipeline.apply(deployment, there)
        if any(one.predictor.spec.runtime == "queue" for one in deployment.predictors):
            parts.consumers.apply(deployment, self._context.objects(there))
        for name in deployment.ask:
            parts.observer.ask(observed.predictors[name].predictor, there, deployment)
        kept = {weighted.predictor.name for weighted in deployment.predictors}
        for name, seen in observed.predictors.items():
            if name not in kept:
                parts.preparation.forget(seen.predictor)
                parts.observer.forget(name)
                parts.consumers.forget(name)

    def preview(self, deployment: Deployment) -> Preview:
        """See `Target.preview`."""
        record = Record(deployment.id, deployment.model, deployment.environment)
        there = self._context.read(deployment.id) or self._context.read_unstored(record)
        return self._parts.previewer.preview(deployment, there)

    def tree(self, deployment: str) -> Node:
        """See `HasTree.tree`."""
        there = self._context.read(deployment)
        if there is None:
            return Node("ModelDeployment", deployment, "absent")
        return tree.of(there.record, there.objects, self.observe(deployment))

    def deployments(self) -> set[tuple[str, str]]:
        """See `Target.deployments`."""
        return {(record.model, record.environment) for record in self._context.records.all()}

    def url(self, model: str, environment: str) -> str:
        """See `Target.url`."""
        return self._parts.observer.url(model, environment)

    def publish(self, status: Status) -> None:
        """See `PublishesStatus.publish`; a cluster that does not answer cannot show that."""
        verdict, record, records = status.verdict, status.record, self._context.records
        if verdict.reason == Unavailable.reason:
            return
        ready = wanted = 0
        there = self._context.read(record.id) if record.champion else None
        if record.champion and there:
            ready, wanted = replicas(there.of(record.champion.name))
        now = self._context.clock()
        if records.publish(status, f"{ready}/{wanted}", now):
            warning = verdict.state in ("Degraded", "Failed")
            records.emit_event(record.id, verdict.reason, verdict.message, now, warning=warning)

    def logs(self, predictor: str, lines: int) -> str:
        """See `HasLogs.logs`."""
        pods = [obj for obj in self._context.cache.all(POD) if obj.predictor == predictor]
        return podlogs.lines_of(self._context.client, pods, lines)

    def windows(self, predictor: Predictor) -> Mapping[str, bytes]:
        """See `CountsRequests.windows`; each pod counts once, whatever a Service would choose."""
        get = self._context.client.pods.get
        return {
            pod["metadata"]["name"]: get(pod, ADMIN_PORT, windows.PATH)
            for pod in self._pods(predictor)
        }

    def queues(self, predictor: Predictor) -> Mapping[str, bytes]:
        """See `HasQueues.queues`."""
        return self._parts.consumers.read(self._pods(predictor))

    def check(self) -> list[PreflightCheck]:
        """See `HasPreflight.check`."""
        return self._parts.preflight()

    def environments(self, needs: Needs) -> Inventory:
        """See `HasPythonEnvironments.environments`."""
        return self._parts.collector.inventory(needs)

    def collect(self, names: Collection[str], needs: Callable[[], Needs], grace: float) -> None:
        """See `HasPythonEnvironments.collect`."""
        self._parts.collector.collect(names, needs, grace)

    def close(self) -> None:
        """See `Target.close`."""
        parts = self._parts
        parts.pipeline.close()
        parts.collector.close()
        parts.preparation.close()
        parts.observer.close()
        self._context.close()

    def _pods(self, predictor: Predictor) -> list[Mapping[str, Any]]:
        return [
            obj.object()
            for obj in self._context.cache.all(POD)
            if obj.predictor == predictor.name and not obj.deleting
        ]
